#include "shadow/topics.h"

#include "shadow/document/names.h"

#include <algorithm>

namespace iotcore::shadow {
namespace {

constexpr std::string_view kThings = "$aws/things/";
constexpr std::string_view kShadow = "shadow/";
constexpr std::string_view kName = "name/";

// Up to the next slash, which goes too; nothing if there is none.
std::optional<std::string_view> take_level(std::string_view& rest) {
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view level = rest.substr(0, slash);
  rest.remove_prefix(slash + 1);
  return level;
}

}  // namespace

std::optional<RequestTopicView> parse_request_topic(std::string_view topic) {
  if (!topic.starts_with(kThings)) {
    return std::nullopt;
  }
  std::string_view rest = topic.substr(kThings.size());
  RequestTopicView parsed;
  const auto thing = take_level(rest);
  if (!thing || !rest.starts_with(kShadow)) {
    return std::nullopt;
  }
  parsed.thing = *thing;
  rest.remove_prefix(kShadow.size());
  if (rest.starts_with(kName)) {
    rest.remove_prefix(kName.size());
    const auto shadow = take_level(rest);
    if (!shadow) {
      return std::nullopt;
    }
    parsed.shadow = *shadow;
    parsed.named = true;
  }
  const auto operation = std::find(kOperationNames.begin(), kOperationNames.end(), rest);
  if (operation == kOperationNames.end()) {
    return std::nullopt;
  }
  parsed.operation = static_cast<Operation>(operation - kOperationNames.begin());
  parsed.prefix = topic.substr(0, topic.size() - rest.size() - 1);
  return parsed;
}

Status validate_names(const RequestTopicView& topic) {
  IOTCORE_TRY(document::validate_thing_name(topic.thing));
  if (topic.named) {
    IOTCORE_TRY(document::validate_shadow_name(topic.shadow));
  }
  return {};
}

std::string topic_prefix(std::string_view thing, std::string_view shadow) {
  std::string prefix(kThings);
  prefix.append(thing).append("/shadow");
  if (!shadow.empty()) {
    prefix.append("/name/").append(shadow);
  }
  return prefix;
}

}  // namespace iotcore::shadow
