#pragma once

#include "base/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::shadow {

enum class Operation : std::uint8_t { kGet, kUpdate, kDelete };

inline constexpr std::array kOperationNames = std::to_array<std::string_view>({
    "get",
    "update",
    "delete",
});
inline constexpr std::size_t kOperationCount = kOperationNames.size();

constexpr std::string_view name(Operation operation) {
  return kOperationNames[static_cast<std::size_t>(operation)];
}

// Where requests arrive.
inline constexpr std::array kRequestFilters = std::to_array<std::string_view>({
    "$aws/things/+/shadow/get",
    "$aws/things/+/shadow/update",
    "$aws/things/+/shadow/delete",
    "$aws/things/+/shadow/name/+/get",
    "$aws/things/+/shadow/name/+/update",
    "$aws/things/+/shadow/name/+/delete",
});

// `{prefix}/{operation}`, taken apart; the parts point into the topic.
struct RequestTopicView {
  // `$aws/things/{thing}/shadow`, or that and `/name/{shadow}`: what names a shadow everywhere in this module.
  std::string_view prefix;
  std::string_view thing;
  std::string_view shadow;  // of a named shadow
  bool named = false;
  Operation operation = Operation::kGet;
};

// Nothing: no request filter matches it.
std::optional<RequestTopicView> parse_request_topic(std::string_view topic);

// Whether the names in it are legal: kInvalidRequest.
Status validate_names(const RequestTopicView& topic);

// `shadow` empty: the classic one.
std::string topic_prefix(std::string_view thing, std::string_view shadow);

}  // namespace iotcore::shadow
