#pragma once

#include "base/ids.h"
#include "broker/mqtt/properties.h"
#include "broker/mqtt/reason.h"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

// Every packet as plain values. Views point into the bytes that were decoded, or into what the
// encoder's caller owns.
namespace iotcore::broker::mqtt {

// The protocol level byte of CONNECT. kNone: no CONNECT has been read yet, and only that is
// allowed.
enum class Version : std::uint8_t { kNone = 0, kV3 = 4, kV5 = 5 };

enum class Qos : std::uint8_t { kAtMostOnce = 0, kAtLeastOnce = 1, kExactlyOnce = 2 };

struct WillView {
  std::string_view topic = {};
  std::string_view payload = {};
  Qos qos = Qos::kAtMostOnce;
  bool retain = false;
  PropertiesView properties = {};

  friend bool operator==(const WillView&, const WillView&) = default;
};

struct ConnectView {
  Version version = Version::kV5;
  bool clean_start = true;  // v3: clean session
  std::uint16_t keep_alive_s = 0;
  std::string_view client_id = {};
  std::optional<WillView> will = {};
  std::optional<std::string_view> user_name = {};
  std::optional<std::string_view> password = {};
  PropertiesView properties = {};

  friend bool operator==(const ConnectView&, const ConnectView&) = default;
};

// In v3 the reason is the MQTT5 code that means the same as the return code.
struct Connack {
  bool session_present = false;
  Reason reason = Reason::kSuccess;
  PropertiesView properties = {};

  friend bool operator==(const Connack&, const Connack&) = default;
};

struct PublishView {
  std::string_view topic = {};  // v5: empty when only an alias is given
  std::string_view payload = {};
  PacketId packet_id{};  // 0 at QoS 0
  Qos qos = Qos::kAtMostOnce;
  bool retain = false;
  bool dup = false;
  PropertiesView properties = {};

  friend bool operator==(const PublishView&, const PublishView&) = default;
};

// PUBACK, PUBREC, PUBREL, PUBCOMP. v3 has neither reason nor properties.
struct Ack {
  PacketType type = PacketType::kPuback;
  PacketId packet_id{};
  Reason reason = Reason::kSuccess;
  PropertiesView properties = {};

  friend bool operator==(const Ack&, const Ack&) = default;
};

enum class RetainHandling : std::uint8_t { kSend = 0, kSendIfNew = 1, kDoNotSend = 2 };

struct SubscriptionView {
  std::string_view filter = {};  // with $share/name/ in front, if any; not yet checked by topic.h
  Qos qos = Qos::kAtMostOnce;
  bool no_local = false;
  bool retain_as_published = false;
  RetainHandling retain_handling = RetainHandling::kSend;

  friend bool operator==(const SubscriptionView&, const SubscriptionView&) = default;
};

// A payload of SUBSCRIBE (Entry = SubscriptionView) or UNSUBSCRIBE (Entry = std::string_view, the
// filter), walked in place.
template <typename Entry>
class EntriesView {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Entry;
    using difference_type = std::ptrdiff_t;
    using pointer = const Entry*;
    using reference = Entry;

    Iterator() = default;

    explicit Iterator(const char* at) : at_(at) {}

    Entry operator*() const {
      const std::string_view filter(at_ + 2, filter_size());
      if constexpr (std::is_same_v<Entry, SubscriptionView>) {
        const auto options = static_cast<std::uint8_t>(at_[2 + filter.size()]);
        return {
            filter,
            static_cast<Qos>(options & 3U),
            (options & 4U) != 0,
            (options & 8U) != 0,
            static_cast<RetainHandling>((options >> 4U) & 3U)};
      } else {
        return filter;
      }
    }

    Iterator& operator++() {
      at_ += 2 + filter_size() + (std::is_same_v<Entry, SubscriptionView> ? 1 : 0);
      return *this;
    }

    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }

    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    std::size_t filter_size() const {
      return (static_cast<std::size_t>(static_cast<std::uint8_t>(at_[0])) << 8U) |
             static_cast<std::uint8_t>(at_[1]);
    }

    const char* at_ = nullptr;
  };

  EntriesView() = default;

  // `encoded` comes from the decoder, or from append_entry.
  EntriesView(std::string_view encoded, std::size_t count) : encoded_(encoded), count_(count) {}

  Iterator begin() const { return Iterator(encoded_.data()); }

  Iterator end() const { return Iterator(encoded_.data() + encoded_.size()); }

  std::size_t count() const { return count_; }

  std::string_view encoded() const { return encoded_; }

  friend bool operator==(const EntriesView&, const EntriesView&) = default;

 private:
  std::string_view encoded_;
  std::size_t count_ = 0;
};

void append_entry(std::string& encoded, const SubscriptionView& subscription);
void append_entry(std::string& encoded, std::string_view filter);

struct SubscribeView {
  PacketId packet_id{};
  PropertiesView properties = {};
  EntriesView<SubscriptionView> entries = {};

  friend bool operator==(const SubscribeView&, const SubscribeView&) = default;
};

struct UnsubscribeView {
  PacketId packet_id{};
  PropertiesView properties = {};
  EntriesView<std::string_view> filters = {};

  friend bool operator==(const UnsubscribeView&, const UnsubscribeView&) = default;
};

// SUBACK and UNSUBACK: one byte of Reason per entry asked for. v3: SUBACK writes every error as
// 0x80, UNSUBACK no reasons.
struct SubackView {
  PacketId packet_id{};
  PropertiesView properties = {};
  std::string_view reasons = {};

  std::size_t count() const { return reasons.size(); }

  Reason reason(std::size_t i) const {
    return static_cast<Reason>(static_cast<std::uint8_t>(reasons[i]));
  }

  friend bool operator==(const SubackView&, const SubackView&) = default;
};

struct UnsubackView : SubackView {
  friend bool operator==(const UnsubackView&, const UnsubackView&) = default;
};

struct Pingreq {
  friend bool operator==(const Pingreq&, const Pingreq&) = default;
};

struct Pingresp {
  friend bool operator==(const Pingresp&, const Pingresp&) = default;
};

struct Disconnect {
  Reason reason = Reason::kSuccess;
  PropertiesView properties = {};

  friend bool operator==(const Disconnect&, const Disconnect&) = default;
};

struct Auth {
  Reason reason = Reason::kSuccess;
  PropertiesView properties = {};

  friend bool operator==(const Auth&, const Auth&) = default;
};

using PacketView = std::variant<
    std::monostate,
    ConnectView,
    Connack,
    PublishView,
    Ack,
    SubscribeView,
    SubackView,
    UnsubscribeView,
    UnsubackView,
    Pingreq,
    Pingresp,
    Disconnect,
    Auth>;

}  // namespace iotcore::broker::mqtt
