#pragma once

#include "base/clock.h"
#include "proto/api/imports.pb.h"
#include "registry/options.h"
#include "registry/thing_writer.h"

#include <string>
#include <vector>

namespace iotcore::registry {

// Takes in many things at once, each with its certificate and what is attached to it: one commit for all that can go together. Requests have passed their
// bounds. Blocking; any thread, several at a time.
class Importer {
 public:
  Importer(
      store::Store& store,
      const Clock& clock,
      const Options& options,
      ThingWriter& writer,
      Events& events
  )
      : store_(store), clock_(clock), options_(options), writer_(writer), events_(events) {}

  // What is wrong with one thing is among the failures; an error is about all of them.
  Result<api::ImportThingsResponse> import(const api::ImportThingsRequest& request);

 private:
  struct Item;
  class Round;

  // Reads, decides and commits; items that have an outcome afterwards are done. Most things of a fleet are new: `all_new` takes that for granted instead of reading,
  // and conflicts if it is not so.
  Status run_round(std::vector<Item>& items, std::size_t change_bytes, bool all_new);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  ThingWriter& writer_;
  Events& events_;
};

}  // namespace iotcore::registry
