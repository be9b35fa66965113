#include "broker/inflight.h"

#include "broker/received_ids.h"
#include "tests/unit/broker/random.h"

#include <catch2/catch.hpp>

#include <map>
#include <set>

namespace iotcore::broker {
namespace {

using Outcome = Inflight::Outcome;
using State = Inflight::State;

TEST_CASE("packet identifiers follow from the numbers, and 0 is never one") {
  CHECK(Inflight::id_of(0) == PacketId{1});
  CHECK(Inflight::id_of(65'534) == PacketId{65'535});
  CHECK(Inflight::id_of(65'535) == PacketId{1});
}

TEST_CASE("QoS 1 is finished by its PUBACK only") {
  Inflight inflight;
  const PacketId id = inflight.open_next(mqtt::Qos::kAtLeastOnce);
  CHECK(inflight.on_pubcomp(id).outcome == Outcome::kWrongPacket);
  CHECK(inflight.on_pubrec(id, false).outcome == Outcome::kWrongPacket);
  CHECK(inflight.on_puback(PacketId{0}).outcome == Outcome::kUnknown);
  CHECK(inflight.on_puback(PacketId{2}).outcome == Outcome::kUnknown);
  CHECK(inflight.on_puback(id).outcome == Outcome::kFinished);
  CHECK(inflight.on_puback(id).outcome == Outcome::kUnknown);
  CHECK(inflight.size() == 0);
}

TEST_CASE("QoS 2 goes through PUBREC and PUBCOMP, and a refusal ends it") {
  Inflight inflight;
  inflight.open(7, State::kAwaitPubrec, 99);
  const PacketId id = Inflight::id_of(7);
  CHECK(inflight.on_puback(id).outcome == Outcome::kWrongPacket);
  CHECK(inflight.on_pubcomp(id).outcome == Outcome::kWrongPacket);
  const Inflight::Answer released = inflight.on_pubrec(id, false);
  CHECK(released.outcome == Outcome::kReleased);
  CHECK(released.sequence == 7);
  CHECK(released.body == 99);
  CHECK(inflight.on_pubrec(id, false).outcome == Outcome::kAgain);
  CHECK(inflight.on_puback(id).outcome == Outcome::kWrongPacket);
  const Inflight::Answer finished = inflight.on_pubcomp(id);
  CHECK(finished.outcome == Outcome::kFinished);
  CHECK(finished.body == 0);
  inflight.open(8, State::kAwaitPubrec, 5);
  CHECK(inflight.on_pubrec(Inflight::id_of(8), true).outcome == Outcome::kFinished);
  CHECK(inflight.begin() == 9);
}

TEST_CASE("the window counts what is open, and the span has an end") {
  Inflight inflight;
  const PacketId stuck = inflight.open_next(mqtt::Qos::kAtLeastOnce);
  inflight.open_next(mqtt::Qos::kAtLeastOnce);
  CHECK_FALSE(inflight.has_room(2));
  CHECK(inflight.has_room(3));
  CHECK_FALSE(inflight.has_room(3, 100'000));  // would share an identifier with the stuck one
  for (int i = 0; i < 2040; ++i) {
    REQUIRE(inflight.has_room(3));
    inflight.on_puback(inflight.open_next(mqtt::Qos::kAtLeastOnce));
  }
  for (int i = 0; i < 30 && inflight.has_room(3); ++i) {
    inflight.on_puback(inflight.open_next(mqtt::Qos::kAtLeastOnce));
  }
  CHECK_FALSE(inflight.has_room(3));
  inflight.on_puback(stuck);
  CHECK(inflight.has_room(3));
  inflight.on_puback(PacketId{2});
  CHECK(inflight.has_room(3, 100'000));
}

TEST_CASE("any order of acknowledgements leaves what a plain map says") {
  Random random(GENERATE(1, 2, 3));
  Inflight inflight;
  inflight.reset(65'000);
  std::map<std::uint64_t, State> open;
  std::uint64_t next = 65'000;
  for (int step = 0; step < 20'000; ++step) {
    if (random.below(2) == 0 && inflight.has_room(50, next)) {
      const State state = random.below(2) == 0 ? State::kAwaitPuback : State::kAwaitPubrec;
      next += random.below(3);
      inflight.open(next, state, next);
      open[next++] = state;
    } else if (!open.empty()) {
      auto at = open.begin();
      std::advance(at, random.below(std::min(static_cast<unsigned>(open.size()), 8U)));
      const PacketId id = Inflight::id_of(at->first);
      const Inflight::Answer answer = at->second == State::kAwaitPuback ? inflight.on_puback(id)
                                      : at->second == State::kAwaitPubrec
                                          ? inflight.on_pubrec(id, false)
                                          : inflight.on_pubcomp(id);
      CHECK(answer.sequence == at->first);
      if (at->second == State::kAwaitPubrec) {
        at->second = State::kAwaitPubcomp;
      } else {
        open.erase(at);
      }
    }
    REQUIRE(inflight.size() == open.size());
    REQUIRE(inflight.begin() == (open.empty() ? inflight.end() : open.begin()->first));
  }
  std::map<std::uint64_t, State> seen;
  inflight.for_each([&](std::uint64_t sequence, State state, std::uint64_t) {
    seen[sequence] = state;
  });
  CHECK(seen == open);
}

TEST_CASE("received identifiers are pending, then received, then unknown again") {
  ReceivedIds ids;
  CHECK(ids.state(PacketId{5}) == ReceivedIds::State::kUnknown);
  ids.add(PacketId{5}, ReceivedIds::State::kPending);
  ids.add(PacketId{6}, ReceivedIds::State::kPending);
  CHECK(ids.state(PacketId{5}) == ReceivedIds::State::kPending);
  ids.set_received(PacketId{5});
  CHECK(ids.state(PacketId{5}) == ReceivedIds::State::kReceived);
  CHECK(ids.remove(PacketId{5}));
  CHECK_FALSE(ids.remove(PacketId{5}));
  CHECK(ids.size() == 1);
}

}  // namespace
}  // namespace iotcore::broker
