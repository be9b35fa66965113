#pragma once

#include "broker/mqtt/packet.h"
#include "tests/simulation/ledger.h"
#include "tests/unit/broker/random.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::simulation {

// What devices and the history that they live in have in common.
struct Surroundings {
  broker::Random& random;
  Ledger& ledger;
  Step& now;
  std::function<void(const std::string&)> trace;
  std::function<void(const std::shared_ptr<Wire>&, const std::string& client_id)> connect;
  std::vector<std::shared_ptr<Wire>>&
      lost_wires;     // left by a device, perhaps not yet by the server
  bool& disk_failed;  // at any time so far: then what has to be kept may be refused
};

// A client that keeps to the standard, with a will of its own: it connects, subscribes, publishes and reads when chance wants it to, and holds
// the server to what it answers.
class Device {
 public:
  // A persistent one asks for its session to be kept, and goes on with it when it comes back.
  Device(Surroundings& world, std::string client_id, bool persistent);

  const std::string& client_id() const { return client_id_; }

  bool is_offline() const { return wire_ == nullptr; }

  bool is_online() const { return online_; }

  bool is_persistent() const { return persistent_; }

  const Session& session() const { return *session_; }

  const std::shared_ptr<Wire>& wire() const { return wire_; }

  // One thing that its state allows.
  void act();
  void connect();
  void disconnect();
  // The network drops the connection: some of what was under way still arrives at the server.
  void lose_connection();
  // Reads up to so many bytes and answers.
  void read(std::size_t bytes_max);
  // Acknowledges all that it has held back.
  void acknowledge_all();

  void open_window() {
    if (wire_) {
      wire_->room = std::size_t{1} << 30U;
    }
  }

 private:
  struct Outgoing {
    PacketId id;
    std::uint64_t number;
    bool received;             // QoS 2: PUBREC has come
    bool received_v3 = false;  // on a connection of 3.1.1, where it says nothing
  };

  // Whether the server has our session.
  enum class Kept : std::uint8_t { kNo, kPerhaps, kYes };

  template <typename Packet>
  void send(const Packet& packet);
  void publish();
  void subscribe();
  void unsubscribe();
  void acknowledge_one();
  bool on_packet(const broker::mqtt::PacketView& packet);
  // False if it ends the connection.
  bool on_connack(const broker::mqtt::Connack& packet);
  void on_publish(const broker::mqtt::PublishView& packet);
  void on_ack(const broker::mqtt::Ack& packet);
  Outgoing& awaited(Qos qos, PacketId id);
  void finish(PacketId id, broker::mqtt::Reason reason);
  std::size_t open_deliveries() const;
  void begin_session();
  void send_again();
  void send_publish(const Sent& sent, std::uint64_t number, PacketId id, bool dup);
  void on_suback(const broker::mqtt::SubackView& packet);
  void on_unsuback(const broker::mqtt::UnsubackView& packet);
  void forget_connection();
  PacketId next_id();
  std::size_t add_subscription(std::string_view filter, std::string_view share_name);
  std::string describe(std::string_view what) const;

  Surroundings& world_;
  std::string client_id_;
  broker::mqtt::Version version_ = broker::mqtt::Version::kV5;
  std::shared_ptr<Wire> wire_;  // shared with the server's end
  std::unique_ptr<Session> session_;
  std::string unread_;
  bool online_ = false;
  bool eager_ = true;  // acknowledges at once
  const bool persistent_;
  bool clean_start_ = true;
  bool clean_unanswered_ = false;
  Kept kept_ = Kept::kNo;
  std::uint16_t receive_maximum_ = 65'535;
  std::uint16_t last_id_ = 0;
  std::deque<Outgoing> unacknowledged_;      // sent by us
  std::deque<broker::mqtt::Ack> to_answer_;  // PUBACK and PUBREC that we owe
  std::set<PacketId> received_;              // at QoS 2, until PUBREL
  std::set<PacketId> received_here_;         // those that came on this connection
  std::map<std::uint16_t, std::vector<std::pair<std::size_t, Qos>>> subscribing_;
  std::map<std::uint16_t, std::vector<std::size_t>> unsubscribing_;
  std::optional<std::uint64_t> will_;
};

}  // namespace iotcore::simulation
