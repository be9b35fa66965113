#pragma once

#include "base/check.h"
#include "base/clock.h"
#include "base/function.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace iotcore {

// Names a timer until it has fired or been cancelled; the default one names none.
struct TimerHandle {
  std::uint64_t id = 0;
};

// Many timers, each of which hands its payload back when its time has come: a hierarchical wheel of
// 64 slots a level and one millisecond a tick. Scheduling and cancelling are O(1); a timer moves at
// most five times before it fires. Never early, and late by less than a tick plus what the caller
// is late. One thread. 32 bytes a timer with a payload of eight.
//
// A timer that is pushed back all the time (keep-alive: every packet) is better left where it is:
// when it fires, look whether it is really due, and schedule it anew if not.
template <typename Payload>
class BasicTimerWheel {
 public:
  BasicTimerWheel() {
    for (Level& level : levels_) {
      level.heads.fill(kNil);
    }
  }

  // A deadline that has passed fires with the next advance().
  TimerHandle schedule(MonotonicTime deadline, Payload payload) {
    const std::uint32_t at = allocate();
    Node& node = nodes_[at];
    node.payload = std::move(payload);
    node.due = std::max(tick_after(deadline), advancing_ ? horizon_ + 1 : horizon_);
    link(at);
    ++size_;
    return {(std::uint64_t{node.generation} << 32) | at};
  }

  // Whether the timer was still to fire; then it will not.
  bool cancel(TimerHandle handle) {
    const auto at = static_cast<std::uint32_t>(handle.id);
    if (at >= nodes_.size() || nodes_[at].generation != handle.id >> 32) {
      return false;
    }
    unlink(at);
    release(at);
    return true;
  }

  // Calls fire(Payload) for every timer that is due, in the order of their ticks. It may schedule
  // and cancel; what it schedules fires in a later advance(). A `now` before the last one counts
  // as the last one.
  template <typename Fire>
  void advance(MonotonicTime now, Fire&& fire) {
    IOTCORE_DCHECK(!advancing_);
    advancing_ = true;
    horizon_ = std::max(horizon_, tick_before(now));
    while (const std::optional<Expiry> expiry = next_expiry()) {
      if (expiry->tick > horizon_) {
        break;
      }
      elapsed_ = expiry->tick;
      if (expiry->level == 0) {
        fire_slot(expiry->slot, fire);
      } else {
        cascade(expiry->level, expiry->slot);
      }
    }
    elapsed_ = horizon_;
    advancing_ = false;
  }

  // When to call advance() at the latest; it may find nothing to fire then, but seldom.
  // MonotonicTime::max() if there is nothing to wait for.
  MonotonicTime next() const {
    const std::optional<Expiry> expiry = next_expiry();
    return expiry ? MonotonicTime(kTick * static_cast<std::int64_t>(expiry->tick))
                  : MonotonicTime::max();
  }

  std::size_t size() const { return size_; }

  bool empty() const { return size_ == 0; }

 private:
  using Tick = std::uint64_t;

  static constexpr Duration kTick = std::chrono::milliseconds(1);
  static constexpr unsigned kBits = 6;
  static constexpr unsigned kSlots = 1U << kBits;
  static constexpr unsigned kLevels = 6;  // 2^36 ms are two years; what lies beyond goes round
  static constexpr std::uint32_t kNil = UINT32_MAX;

  struct Node {
    Tick due = 0;
    std::uint32_t previous = kNil;  // the head's: the last
    std::uint32_t next = kNil;      // free nodes: the next free one
    std::uint32_t generation = 1;
    std::uint8_t level = 0;
    std::uint8_t slot = 0;
    Payload payload = {};
  };

  struct Level {
    std::uint64_t occupied = 0;
    std::array<std::uint32_t, kSlots> heads;
  };

  struct Expiry {
    Tick tick;
    unsigned level;
    unsigned slot;
  };

  static Tick tick_before(MonotonicTime t) {
    return t <= MonotonicTime() ? 0 : static_cast<Tick>(t.time_since_epoch() / kTick);
  }

  static Tick tick_after(MonotonicTime t) {
    const Tick whole = tick_before(t);
    return t > MonotonicTime(kTick * static_cast<std::int64_t>(whole)) ? whole + 1 : whole;
  }

  std::uint32_t allocate() {
    if (free_ == kNil) {
      IOTCORE_CHECK(nodes_.size() < kNil);
      nodes_.emplace_back();
      return static_cast<std::uint32_t>(nodes_.size() - 1);
    }
    const std::uint32_t at = free_;
    free_ = nodes_[at].next;
    return at;
  }

  void release(std::uint32_t at) {
    Node& node = nodes_[at];
    node.payload = Payload{};
    ++node.generation;
    if (node.generation == 0) {
      node.generation = 1;
    }
    node.next = free_;
    free_ = at;
    --size_;
  }

  // A timer lies on the level of the highest digit (of six bits) in which its tick differs from the
  // wheel's: on level 0 a slot is a tick, and what lies on a lower level comes before all that lies
  // on a higher one.
  void link(std::uint32_t at) {
    Node& node = nodes_[at];
    const Tick difference = (node.due ^ elapsed_) | (kSlots - 1);
    const auto bit = static_cast<unsigned>(std::bit_width(difference)) - 1;
    const unsigned level = std::min(bit / kBits, kLevels - 1);
    const auto slot = static_cast<unsigned>((node.due >> (level * kBits)) % kSlots);
    node.level = static_cast<std::uint8_t>(level);
    node.slot = static_cast<std::uint8_t>(slot);
    node.next = kNil;
    std::uint32_t& head = levels_[level].heads[slot];
    if (head == kNil) {
      head = at;
      node.previous = at;
      levels_[level].occupied |= std::uint64_t{1} << slot;
      return;
    }
    Node& first = nodes_[head];
    nodes_[first.previous].next = at;
    node.previous = first.previous;
    first.previous = at;
  }

  void unlink(std::uint32_t at) {
    const Node& node = nodes_[at];
    Level& level = levels_[node.level];
    std::uint32_t& head = level.heads[node.slot];
    if (head != at) {
      nodes_[node.previous].next = node.next;
      nodes_[node.next == kNil ? head : node.next].previous = node.previous;
      return;
    }
    head = node.next;
    if (head == kNil) {
      level.occupied &= ~(std::uint64_t{1} << node.slot);
    } else {
      nodes_[head].previous = node.previous;
    }
  }

  std::optional<Expiry> next_expiry() const {
    for (unsigned level = 0; level < kLevels; ++level) {
      const std::uint64_t occupied = levels_[level].occupied;
      if (occupied == 0) {
        continue;
      }
      const unsigned shift = level * kBits;
      const bool top = level == kLevels - 1;
      const Tick current = elapsed_ >> shift;
      // On the top level the current slot is one whole turn away.
      const auto from = static_cast<unsigned>((current + (top ? 1 : 0)) % kSlots);
      const auto distance =
          static_cast<unsigned>(std::countr_zero(std::rotr(occupied, static_cast<int>(from))));
      const Tick slot_number = current + (top ? 1 : 0) + distance;
      return Expiry{slot_number << shift, level, static_cast<unsigned>(slot_number % kSlots)};
    }
    return std::nullopt;
  }

  template <typename Fire>
  void fire_slot(unsigned slot, Fire& fire) {
    // One by one, since each may cancel the next. New ones do not come here: they are due after the
    // horizon.
    while (levels_[0].heads[slot] != kNil) {
      const std::uint32_t at = levels_[0].heads[slot];
      unlink(at);
      Payload payload = std::move(nodes_[at].payload);
      release(at);
      fire(std::move(payload));
    }
  }

  void cascade(unsigned level, unsigned slot) {
    std::uint32_t at = std::exchange(levels_[level].heads[slot], kNil);
    levels_[level].occupied &= ~(std::uint64_t{1} << slot);
    while (at != kNil) {
      const std::uint32_t next = nodes_[at].next;
      link(at);
      at = next;
    }
  }

  Tick elapsed_ = 0;  // where the wheel stands
  Tick horizon_ = 0;  // where it is going
  bool advancing_ = false;
  std::array<Level, kLevels> levels_;
  std::vector<Node> nodes_;
  std::uint32_t free_ = kNil;
  std::size_t size_ = 0;
};

// Things to do at a time. One thread.
class TimerWheel : public BasicTimerWheel<Function<void()>> {
 public:
  // Runs what is due, in the order of time.
  void advance(MonotonicTime now) {
    BasicTimerWheel::advance(now, [](Function<void()> task) { task(); });
  }
};

}  // namespace iotcore
