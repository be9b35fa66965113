#pragma once

#include "proto/api/account.pb.h"
#include "registry/options.h"
#include "registry/rows.h"

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace iotcore::registry {

// The tags of resources, whatever module they belong to. Whoever owns a kind of resource says where its rows are, writes the
// tags of a new one with put(), and erases them with erase(). Blocking; any thread.
class Tags {
 public:
  // Where the row of a resource is. `name` is what stands behind the kind in its ARN ("a/b" for package/a/b).
  struct Kind {
    store::Table table;
    std::function<std::string(std::string_view name)> key;
  };

  using List = google::protobuf::RepeatedPtrField<api::Tag>;

  Tags(store::Store& store, const Options& options);

  // "thinggroup": what stands in ARNs before the name. Before the first request.
  void add_kind(std::string kind, Kind where) { kinds_[std::move(kind)] = std::move(where); }

  // For a resource that is just being made ("thinggroup/lamps"). kInvalidRequest: keys twice, or reserved.
  static Status put(store::Batch& batch, std::string_view resource, const List& tags);
  static Status erase(store::Store& store, store::Batch& batch, std::string_view resource);

  Result<api::TagResourceResponse> tag(const api::TagResourceRequest& request);
  Result<api::UntagResourceResponse> untag(const api::UntagResourceRequest& request);
  Result<api::ListTagsForResourceResponse> list(const api::ListTagsForResourceRequest& request);

 private:
  Status try_tag(const api::TagResourceRequest& request);
  Status try_untag(const api::UntagResourceRequest& request);
  // What stands behind the account in the ARN, if there is such a resource; the batch then expects that it stays.
  Result<std::string> expect_resource(store::Batch& batch, std::string_view arn);

  store::Store& store_;
  const Options& options_;
  std::map<std::string, Kind, std::less<>> kinds_;
};

}  // namespace iotcore::registry
