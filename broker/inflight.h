#pragma once

#include "base/ids.h"
#include "broker/mqtt/packet.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace iotcore::broker {

// What was sent to one client at QoS 1 or 2 and is not finished, in the order of sending (MQTT5 4.3, 4.4). Pure.
//
// A session numbers its messages, and the packet identifier is a function of the number: it is the same after a restart without
// having been written anywhere. Two open messages never share one, because they are never 65535 numbers apart.
class Inflight {
 public:
  // How many packet identifiers there are.
  static constexpr std::uint64_t kIds = 65'535;

  enum class State : std::uint8_t { kDone, kAwaitPuback, kAwaitPubrec, kAwaitPubcomp };

  // What an acknowledgement meant.
  enum class Outcome : std::uint8_t {
    kUnknown,      // nothing of that identifier is open
    kWrongPacket,  // what is open waits for another packet (MQTT5 4.3.2, 4.3.3)
    kFinished,     // the message is done
    kReleased,     // PUBREC: the client has it, and PUBREL is due
    kAgain,        // PUBREC once more: PUBREL is due once more
  };

  struct Answer {
    Outcome outcome = Outcome::kUnknown;
    std::uint64_t sequence = 0;
    std::uint64_t body = 0;  // as given to open()
  };

  static PacketId id_of(std::uint64_t sequence) {
    return static_cast<PacketId>(sequence % kIds + 1);
  }

  std::size_t size() const { return open_; }

  // Whether another one may be sent: at most `window` open. An old one that the client never acknowledges does not let the span between
  // it and the newest grow without end either.
  bool has_room(std::size_t window) const { return has_room(window, end_); }

  bool has_room(std::size_t window, std::uint64_t sequence) const {
    return open_ < window && (open_ == 0 || sequence - begin() < span_max(window));
  }

  // The number after the last that was opened.
  std::uint64_t end() const { return end_; }

  // The oldest that is not done; end() if all are.
  std::uint64_t begin() const { return end_ - (slots_.size() - begin_); }

  // Begins anew: the next one will be `sequence`, or a later one.
  void reset(std::uint64_t sequence);
  // From end() on; those left out count as done. `body` (below 2^56) is given back when the message is finished.
  void open(std::uint64_t sequence, State state, std::uint64_t body = 0);
  // The next number.
  PacketId open_next(mqtt::Qos qos);

  Answer on_puback(PacketId id);
  // A refusal (reason 0x80 and above) finishes the message.
  Answer on_pubrec(PacketId id, bool refused);
  Answer on_pubcomp(PacketId id);

  State state(std::uint64_t sequence) const;

  // visit(sequence, State, body) for each that is not done, the oldest first.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (std::size_t i = begin_; i < slots_.size(); ++i) {
      if (slots_[i].state != State::kDone) {
        visit(end_ - (slots_.size() - i), slots_[i].state, slots_[i].body);
      }
    }
  }

 private:
  // A client with a small window may take long over one message while it goes on with the others.
  static constexpr std::size_t kSpanMin = 2048;
  static constexpr std::uint64_t kBodyMask = (std::uint64_t{1} << 56U) - 1;

  struct Slot {
    std::uint64_t body : 56;
    State state : 8;
  };

  static std::size_t span_max(std::size_t window) {
    return window < kIds / 2 - 16 ? std::max(2 * window + 16, kSpanMin) : kIds - 1;
  }

  // The slot of an identifier whose message is open, or null.
  Slot* find(PacketId id, std::uint64_t& sequence);
  // An acknowledgement that is right in that state only.
  Answer finish_if(State state, PacketId id);
  Answer finish(Slot& slot, std::uint64_t sequence);

  std::vector<Slot> slots_;  // from begin_; the first of them is not done
  std::uint64_t end_ = 0;
  std::uint32_t begin_ = 0;
  std::uint32_t open_ = 0;
};

}  // namespace iotcore::broker
