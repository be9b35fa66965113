#pragma once

#include "tests/conformance/cases.h"
#include "tests/conformance/words.h"
#include "tests/conformance/world.h"

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace iotcore::conformance {

// One case against one world, in one version. Throws a Failure that says what is wrong, and where.
class CaseRun {
 public:
  CaseRun(World& world, const Case& test, Version version, std::string prefix);

  void run();

 private:
  struct Connection {
    std::unique_ptr<Wire> wire;
    Version version{};
    std::string unread;
    std::deque<Packet> packets;  // read and not asked for yet
    bool accepted = false;       // CONNACK was success
    bool end_seen = false;       // the server closed
    bool over = false;           // and the case knows, or dropped it itself
    unsigned next_id = 101;
    unsigned long packet_bytes_max = 0;  // that the client said; 0: did not
  };

  using Words = std::vector<std::string>;

  void step(const std::string& text);
  void on_connection(const Words& words);
  bool world_step(const Words& words);

  void send(Connection& connection, const Words& words);
  void expect(Connection& connection, const Words& words);
  void expect_closed(Connection& connection);
  void expect_nothing(Connection& connection, const std::string& name);
  void expect_error(Connection& connection, const Words& words);
  void expect_refusal(Connection& connection, const Words& words);
  void expect_packet(Connection& connection, const std::string& type, const Fields& wanted);
  void expect_in_any_order(Connection& connection, const std::vector<Words>& all);

  // A connection of its own that sends these bytes, accepted or not yet, and is ended for it.
  void breaks(const Words& words, bool accepted);

  // Whole exchanges.
  void connects(const std::string& name, Connection& connection, const Words& words);
  void subscribes(Connection& connection, const Words& words);
  void publishes(Connection& connection, const Words& words);
  void gets(Connection& connection, const Words& words);

  Connection& connection(const std::string& name);
  void send_packet(Connection& connection, const std::string& type, const Fields& fields);
  // The next packet; nothing once the server has closed, or when nothing comes.
  std::optional<Packet> next(Connection& connection, std::chrono::milliseconds patience);
  bool read(Connection& connection, std::chrono::milliseconds patience);
  // Sees to it that all is in `packets` that is on its way.
  void fence(Connection& connection, const std::string& name);
  void ping(Connection& connection);
  void bind(const Packet& got, const Fields& wanted);

  World& world_;
  const Case& test_;
  Version version_;
  Names names_;
  std::map<std::string, Connection> connections_;
};

}  // namespace iotcore::conformance
