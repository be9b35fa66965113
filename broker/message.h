#pragma once

#include "base/clock.h"
#include "broker/mqtt/packet.h"

#include <atomic>
#include <cstdint>
#include <string_view>
#include <utility>

namespace iotcore::broker {

using mqtt::Qos;

// Where a publish came from. Some services look at it: a will at a shadow topic, for one, changes no shadow.
enum class Origin : std::uint8_t { kClient, kWill, kHttp, kRule, kService };

// One publish as views: into the reader's buffer, or into a Message. Valid as long as what it points into.
struct PublishView {
  std::string_view topic;
  std::string_view payload;
  // The MQTT 5 properties that travel with a message (payload format, content type, response topic, correlation data, user properties),
  // still encoded, without their length; message expiry is apart, since it changes while the message waits.
  std::string_view properties;
  Qos qos = Qos::kAtMostOnce;
  bool retain = false;
  Origin origin = Origin::kClient;
  std::uint8_t hops = 0;  // republishes by rules so far; the rules engine bounds them
  bool has_expiry = false;
  MonotonicTime expires_at = {};  // if has_expiry
};

// An immutable publish in one allocation, shared by an intrusive count. Any thread.
class Message {
 public:
  class Ref {
   public:
    Ref() = default;

    Ref(const Ref& other) : message_(other.message_) {
      if (message_ != nullptr) {
        message_->references_.fetch_add(1, std::memory_order_relaxed);
      }
    }

    Ref(Ref&& other) noexcept : message_(std::exchange(other.message_, nullptr)) {}

    Ref& operator=(Ref other) noexcept {
      std::swap(message_, other.message_);
      return *this;
    }

    ~Ref() {
      if (message_ != nullptr) {
        message_->release();
      }
    }

    explicit operator bool() const { return message_ != nullptr; }

    const Message& operator*() const { return *message_; }

    const Message* operator->() const { return message_; }

   private:
    friend class Message;

    explicit Ref(const Message* adopted) : message_(adopted) {}

    const Message* message_ = nullptr;
  };

  // Copies topic, properties and payload; the only copy on a message's way in.
  static Ref make(const PublishView& publish);

  const PublishView& view() const { return view_; }

  Message(const Message&) = delete;
  Message& operator=(const Message&) = delete;

 private:
  explicit Message(const PublishView& view) : view_(view) {}

  ~Message() = default;
  void release() const;

  mutable std::atomic<std::uint32_t> references_ = 1;
  PublishView view_;
};

}  // namespace iotcore::broker
