#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// openSearch and elasticsearch(endpoint*, index*, type*, id*): documents by _bulk, under their id, so that a retry rewrites. A target of kind `opensearch`
// whose match fits the endpoint says who signs in there (user and password, or accessKey and secretKey), and may say another endpoint. type is taken and
// not sent: neither OpenSearch nor Elasticsearch knows types any more.
struct OpenSearch {
  static constexpr std::string_view kName = "openSearch";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .batch_bytes = 4U << 20};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

struct Elasticsearch : OpenSearch {
  static constexpr std::string_view kName = "elasticsearch";
};

// The options of a target of kind `opensearch`.
void check_open_search(MemberReader& members);

}  // namespace iotcore::rules::actions
