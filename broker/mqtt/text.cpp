#include "broker/mqtt/text.h"

#include "base/bytes.h"

namespace iotcore::broker::mqtt {

bool is_mqtt_text(std::string_view text) {
  // memchr of nothing is not defined for a null pointer.
  return text.empty() ||
         (std::memchr(text.data(), 0, text.size()) == nullptr && is_valid_utf8(text));
}

namespace detail {

TopicScan scan_topic_tail(std::string_view text, std::size_t from) {
  const std::string_view tail = text.substr(from);
  if (!is_mqtt_text(tail)) {
    return TopicScan::kMalformed;
  }
  return tail.find_first_of("+#") == std::string_view::npos ? TopicScan::kName
                                                            : TopicScan::kHasWildcard;
}

}  // namespace detail
}  // namespace iotcore::broker::mqtt
