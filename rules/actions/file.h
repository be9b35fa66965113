#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// file(path*, format json|csv|raw, rotateBytes, rotateSeconds, compress zstd, keep): results appended to a file, synced once a batch.
//
// json: a line each. csv: the members of the object by the file's first line, which is made of the first result; a member that is not
// there is an error. raw: the bytes as they are. A file that has reached rotateBytes, or was last written in an earlier
// period of rotateSeconds, is renamed with the time in its name, and perhaps compressed, when the next result comes; so many of those are kept.
// At least once: what was written just before a crash may be there twice, but no line is left half written.
struct File {
  static constexpr std::string_view kName = "file";
  static constexpr bool kIsAws = false;
  static constexpr SinkDefaults kDefaults = {
      .batch_size = 10'000, .batch_bytes = 4U << 20, .concurrency_max = 1};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
