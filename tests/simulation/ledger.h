#pragma once

#include "broker/mqtt/packet.h"
#include "tests/simulation/machine.h"
#include "tests/simulation/rights.h"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::simulation {

using broker::mqtt::Qos;

// The broker did what it must not, or did not do what it must.
struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void violated(std::string_view what);

inline constexpr Step kNever = ~Step{0};

// A publish, and what has become of it.
struct Sent {
  enum class Promise : std::uint8_t {
    kNone,     // it may arrive or not
    kKept,     // the server has said that it has it, or there was nothing to keep it from arriving
    kRefused,  // the server has said no: it must never arrive
  };

  std::string publisher;
  std::string topic;
  Qos qos = Qos::kAtMostOnce;
  bool retain = false;
  bool clears = false;  // a retained message is forgotten
  bool expires = false;
  bool is_will = false;
  Step at = 0;
  Promise promise = Promise::kNone;
  Step acknowledged = kNever;  // positively
  Step settled = kNever;       // from here on it has happened, or never will
  std::uint32_t resent = 0;
  std::shared_ptr<Wire> wire;  // by which it went; the sender's connection shares it
};

// What a client asked for, from the first SUBSCRIBE for a filter to its UNSUBSCRIBE. Bounds are over everything it asked for in between.
struct Subscription {
  std::string filter;  // without $share
  std::string share_name;
  Qos qos_min = Qos::kAtMostOnce;
  Qos qos_max = Qos::kAtMostOnce;
  bool no_local = false;  // asked for at least once
  bool local = false;     // its opposite was
  bool retain_as_published = false;
  std::set<std::uint32_t> ids;
  Step requested = 0;
  Step granted = kNever;
  Step leaving = kNever;  // UNSUBSCRIBE sent
  Step left = kNever;     // and answered
  std::uint32_t retained_asked = 0;
};

// One MQTT session of a device as the device saw it.
struct Session {
  std::string client_id;
  Step connected = 0;    // by the connection that it has now
  bool resumed = false;  // at least once
  std::vector<Subscription> subscriptions;
  std::map<std::uint64_t, std::uint32_t> copies;       // by message
  std::map<std::uint64_t, std::uint32_t> copies_once;  // of them, at QoS 2
  std::map<std::string, std::uint64_t> newest;         // by publisher, topic and QoS
};

// Everything that was published, and what the invariants say of it.
class Ledger {
 public:
  explicit Ledger(Rights& rights) : rights_(rights) {}

  std::uint64_t add(Sent sent) {
    sent_.push_back(std::move(sent));
    return sent_.size() - 1;
  }

  Sent& sent(std::uint64_t number) { return sent_[number]; }

  std::size_t size() const { return sent_.size(); }

  bool disk_failed = false;  // at any time so far
  std::uint32_t deaths = 0;  // of the server
  bool little_room = false;  // what waits may be dropped

  static std::string payload_of(std::uint64_t number);

  // A client got a PUBLISH in that session: it may, it had asked for it, and it came in order.
  void received(Session& session, const broker::mqtt::PublishView& packet, bool is_v5);

  // Nothing is under way any more. `sessions` are those of clients that are connected.
  void check_arrivals(const std::vector<const Session*>& sessions, std::uint64_t dropped);

  // What is retained is what was published last, as far as that is determined. `asked`: when the one who got it asked for it.
  void check_retained(const std::map<std::string, std::string>& payload_of_topic, Step asked);

  // Every acknowledged message for the durable consumer has its row.
  void check_durable(const SimulatedStore& store);

  // The connection is over: what went by it is settled.
  void settle(const std::shared_ptr<Wire>& wire, Step now);

 private:
  void check_asked_for(
      const Session& session, const Sent& sent, const broker::mqtt::PublishView& packet, bool is_v5
  );
  void check_order(Session& session, std::uint64_t number, const Sent& sent, Qos qos);
  void check_copies(const Session& session, std::uint64_t number, const Sent& sent, Qos qos);
  bool must_have(const Session& session, const Sent& sent);

  // Sent again, and the server may have read that after its disk had failed and what came behind the message had gone through.
  bool may_be_late(const Sent& sent) const { return sent.resent > 0 && disk_failed; }

  void check_groups(const std::vector<const Session*>& sessions);
  // Whether the retained message of that publish had certainly been replaced or forgotten before `asked`.
  bool is_superseded(const Sent& sent, Step asked) const;

  Rights& rights_;
  std::deque<Sent> sent_;
};

}  // namespace iotcore::simulation
