#pragma once

#include "proto/api/account.pb.h"
#include "registry/options.h"
#include "registry/rows.h"

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <variant>

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
  using ByKey = std::map<std::string, std::string>;

  // A kind whose owner keeps the tags with its resources. A name that is not there fails.
  struct Keeper {
    std::function<Result<ByKey>(std::string_view name)> read;
    // Puts in the place of a resource's tags what `change` makes of them, unless that fails.
    std::function<Status(std::string_view name, const std::function<Status(ByKey&)>& change)>
        change;
  };

  Tags(store::Store& store, const Options& options);

  // "thinggroup": what stands in ARNs before the name. Before the first request.
  void add_kind(std::string kind, Kind where) {
    kinds_.insert_or_assign(std::move(kind), std::move(where));
  }

  void add_keeper(std::string kind, Keeper keeper) {
    kinds_.insert_or_assign(std::move(kind), std::move(keeper));
  }

  // For a resource that is just being made ("thinggroup/lamps"). kInvalidRequest: keys twice, or reserved.
  static Status put(store::Batch& batch, std::string_view resource, const List& tags);
  static Status erase(store::Store& store, store::Batch& batch, std::string_view resource);

  Result<api::TagResourceResponse> tag(const api::TagResourceRequest& request);
  Result<api::UntagResourceResponse> untag(const api::UntagResourceRequest& request);
  Result<api::ListTagsForResourceResponse> list(const api::ListTagsForResourceRequest& request);

 private:
  using Home = std::variant<Kind, Keeper>;

  struct Resource {
    std::string path;  // what stands behind the account in the ARN: "rule/r1"
    std::string_view name;
    const Home* home;
  };

  // kInvalidRequest if there is nothing of such ARNs that has tags.
  Result<Resource> resource_of(std::string_view arn) const;
  // kNotFound if there is no such resource; the batch then expects that it stays.
  Status expect(store::Batch& batch, const Resource& resource, const Kind& kind);
  Status try_tag(const Resource& resource, const Kind& kind, const List& tags);
  Status try_untag(
      const Resource& resource,
      const Kind& kind,
      const google::protobuf::RepeatedPtrField<std::string>& tag_keys
  );
  Result<api::ListTagsForResourceResponse> page_of(
      const Resource& resource, const Kind& kind, const api::ListTagsForResourceRequest& request
  );

  store::Store& store_;
  const Options& options_;
  std::map<std::string, Home, std::less<>> kinds_;
};

}  // namespace iotcore::registry
