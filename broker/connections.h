#pragma once

#include "base/function.h"
#include "base/result.h"
#include "broker/client_traces.h"
#include "broker/link.h"
#include "broker/message.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace iotcore::broker {

class Broker;

// What is known of a client's connection, or of the session that it left.
struct ConnectionInfo {
  bool connected = false;
  bool clean_session = true;
  std::string thing_name;  // or empty
  std::string source_ip;
  std::uint16_t source_port = 0;
  std::string target_ip;  // if connected, and known
  std::uint16_t target_port = 0;
  std::uint16_t keep_alive_s = 0;
  std::uint32_t session_expiry_s = 0;
  std::int64_t connected_ms = 0;                 // if connected
  std::int64_t disconnected_ms = 0;              // if not
  std::optional<CloseReason> disconnect_reason;  // nothing: not known any more
};

struct SubscriptionInfo {
  std::string filter;
  mqtt::Qos qos = mqtt::Qos::kAtMostOnce;
};

struct DirectMessage {
  Message::Ref message;
  bool confirmation = false;  // wait for the client's acknowledgement
  std::chrono::seconds timeout{5};
};

// The clients' connections as the API sees them. Any thread; `done` is called once, on the client's worker. kNotFound: there is neither
// a connection nor a session of that client.
class Connections {
 public:
  explicit Connections(Broker& broker) : broker_(broker) {}

  void get(std::string client_id, Function<void(Result<ConnectionInfo>)> done);
  // All of them, by filter.
  void subscriptions(
      std::string client_id, Function<void(Result<std::vector<SubscriptionInfo>>)> done
  );
  // Closes the connection if there is one; ends the session, too, if `clean_session`.
  void remove(
      std::string client_id, bool clean_session, bool prevent_will, Function<void(Status)> done
  );
  // To that client whatever it subscribes to; not queued, not kept. kForbidden: it may not receive the topic. kTimeout: no acknowledgement.
  void send(std::string client_id, DirectMessage message, Function<void(Status)> done);
  // What that client and the server say to each other, from the first call on and for a while after the last; the client need not be there.
  void trace(
      std::string client_id, std::uint64_t after, Function<void(Result<ClientTrace::Page>)> done
  );

 private:
  Broker& broker_;
};

}  // namespace iotcore::broker
