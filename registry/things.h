#pragma once

#include "base/clock.h"
#include "proto/api/things.pb.h"
#include "proto/record/registry.pb.h"
#include "registry/options.h"
#include "registry/thing_writer.h"

#include <optional>
#include <string>

namespace iotcore::registry {

// The operations on things. Requests have passed their bounds (proto/shapes.proto). Blocking; any
// thread.
class Things {
 public:
  Things(
      store::Store& store,
      const Clock& clock,
      const Options& options,
      ThingWriter& writer,
      Events& events
  )
      : store_(store), clock_(clock), options_(options), writer_(writer), events_(events) {}

  // The same configuration again is the same thing; another one is kAlreadyExists.
  Result<api::CreateThingResponse> create(const api::CreateThingRequest& request);
  Result<api::DescribeThingResponse> describe(const api::DescribeThingRequest& request);
  // The same without blocking: nothing if not all of it is in memory, or the thing is not there.
  std::optional<api::DescribeThingResponse> describe_cached(const api::DescribeThingRequest& request
  );
  Result<api::UpdateThingResponse> update(const api::UpdateThingRequest& request);
  // An absent thing is deleted already. Its shadows stay.
  Result<api::DeleteThingResponse> remove(const api::DeleteThingRequest& request);
  Result<api::ListThingsResponse> list(const api::ListThingsRequest& request);

 private:
  Result<api::CreateThingResponse> try_create(const api::CreateThingRequest& request);
  Status try_update(const api::UpdateThingRequest& request);
  Status try_remove(const api::DeleteThingRequest& request);

  api::DescribeThingResponse describe(const std::string& name, record::Thing thing, bool is_billed)
      const;
  // Refuses an unknown or deprecated type, and ties the batch to the type as it is.
  Status expect_usable_type(store::Batch& batch, std::string_view type);
  Status check_attribute_count(const record::Thing& thing) const;
  Result<api::ListThingsResponse> list_all(const api::ListThingsRequest& request);
  Result<api::ListThingsResponse> list_by_index(const api::ListThingsRequest& request);

  store::Store& store_;
  const Clock& clock_;
  const Options& options_;
  ThingWriter& writer_;
  Events& events_;
};

}  // namespace iotcore::registry
