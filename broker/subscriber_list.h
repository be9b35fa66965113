#pragma once

#include "broker/mqtt/packet.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace iotcore::broker {

class Session;

// One client's subscription, in the slot of its filter.
struct Subscriber {
  Session* session = nullptr;
  std::uint32_t place = 0;            // of the entry in the client's own list
  std::uint32_t subscription_id = 0;  // v5; 0: none
  mqtt::Qos qos = mqtt::Qos::kAtMostOnce;
  bool no_local = false;
  bool retain_as_published = false;
};

// The subscribers of one filter. Most filters have one, which needs no memory apart.
class SubscriberList {
 public:
  SubscriberList() : one_() {}

  SubscriberList(const SubscriberList&) = delete;
  SubscriberList& operator=(const SubscriberList&) = delete;

  ~SubscriberList() { clear(); }

  std::size_t size() const { return count_; }

  bool empty() const { return count_ == 0; }

  Subscriber* begin() { return is_one() ? &one_ : many_; }

  const Subscriber* begin() const { return is_one() ? &one_ : many_; }

  Subscriber* end() { return begin() + count_; }

  const Subscriber* end() const { return begin() + count_; }

  Subscriber& operator[](std::size_t i) { return begin()[i]; }

  const Subscriber& operator[](std::size_t i) const { return begin()[i]; }

  Subscriber& back() { return begin()[count_ - 1]; }

  void push_back(const Subscriber& subscriber) {
    if (count_ == capacity_) {
      grow();
    }
    begin()[count_++] = subscriber;
  }

  void pop_back() {
    if (--count_ == 0) {
      clear();
    }
  }

  void clear() {
    if (!is_one()) {
      delete[] many_;
      one_ = Subscriber();
      capacity_ = 1;
    }
    count_ = 0;
  }

 private:
  static_assert(std::is_trivially_copyable_v<Subscriber>);

  bool is_one() const { return capacity_ == 1; }

  void grow() {
    const std::uint32_t capacity = std::max(4U, capacity_ * 2);
    auto* const more = new Subscriber[capacity];
    std::copy(begin(), end(), more);
    if (!is_one()) {
      delete[] many_;
    }
    many_ = more;
    capacity_ = capacity;
  }

  union {
    Subscriber one_;
    Subscriber* many_;
  };

  std::uint32_t count_ = 0;
  std::uint32_t capacity_ = 1;
};

}  // namespace iotcore::broker
