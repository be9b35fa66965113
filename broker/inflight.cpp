#include "broker/inflight.h"

#include "base/check.h"

namespace iotcore::broker {

void Inflight::reset(std::uint64_t sequence) {
  slots_ = {};
  begin_ = 0;
  open_ = 0;
  end_ = sequence;
}

void Inflight::open(std::uint64_t sequence, State state, std::uint64_t body) {
  IOTCORE_DCHECK(sequence >= end_);
  if (begin_ == slots_.size()) {
    slots_.clear();
    begin_ = 0;
  } else {
    if (begin_ > 64 && begin_ > slots_.size() / 2) {
      slots_.erase(slots_.begin(), slots_.begin() + begin_);
      begin_ = 0;
    }
    for (; end_ < sequence; ++end_) {
      slots_.push_back({0, State::kDone});
    }
  }
  slots_.push_back({body & kBodyMask, state});
  end_ = sequence + 1;
  ++open_;
}

PacketId Inflight::open_next(mqtt::Qos qos) {
  const PacketId id = id_of(end_);
  open(end_, qos == mqtt::Qos::kExactlyOnce ? State::kAwaitPubrec : State::kAwaitPuback);
  return id;
}

Inflight::Slot* Inflight::find(PacketId id, std::uint64_t& sequence) {
  const auto number = static_cast<std::uint64_t>(id);
  if (number == 0) {
    return nullptr;
  }
  const std::uint64_t first = begin();
  const std::uint64_t first_number = first % kIds + 1;
  const std::uint64_t offset =
      number >= first_number ? number - first_number : number + kIds - first_number;
  if (offset >= slots_.size() - begin_) {
    return nullptr;
  }
  sequence = first + offset;
  Slot& slot = slots_[begin_ + offset];
  return slot.state == State::kDone ? nullptr : &slot;
}

Inflight::Answer Inflight::finish_if(State state, PacketId id) {
  std::uint64_t sequence = 0;
  Slot* slot = find(id, sequence);
  if (slot == nullptr) {
    return {};
  }
  return slot->state == state ? finish(*slot, sequence) : Answer{Outcome::kWrongPacket};
}

Inflight::Answer Inflight::finish(Slot& slot, std::uint64_t sequence) {
  const Answer answer{Outcome::kFinished, sequence, slot.body};
  slot.state = State::kDone;
  --open_;
  while (begin_ < slots_.size() && slots_[begin_].state == State::kDone) {
    ++begin_;
  }
  return answer;
}

Inflight::Answer Inflight::on_puback(PacketId id) {
  return finish_if(State::kAwaitPuback, id);
}

Inflight::Answer Inflight::on_pubrec(PacketId id, bool refused) {
  std::uint64_t sequence = 0;
  Slot* slot = find(id, sequence);
  if (slot == nullptr) {
    return {};
  }
  switch (slot->state) {
    case State::kAwaitPubrec: {
      if (refused) {
        return finish(*slot, sequence);
      }
      slot->state = State::kAwaitPubcomp;
      const Answer answer{Outcome::kReleased, sequence, slot->body};
      slot->body = 0;
      return answer;
    }
    case State::kAwaitPubcomp:
      return {Outcome::kAgain, sequence, 0};
    case State::kAwaitPuback:
    case State::kDone:
      break;
  }
  return {Outcome::kWrongPacket};
}

Inflight::Answer Inflight::on_pubcomp(PacketId id) {
  return finish_if(State::kAwaitPubcomp, id);
}

Inflight::State Inflight::state(std::uint64_t sequence) const {
  if (sequence < begin() || sequence >= end_) {
    return State::kDone;
  }
  return slots_[slots_.size() - (end_ - sequence)].state;
}

}  // namespace iotcore::broker
