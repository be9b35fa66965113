#pragma once

#include <cstdint>
#include <string>

namespace iotcore::bench {

// What a run measures and against whom. Every field is an option of the same name with dashes; 0
// means the scenario's default.
struct Options {
  std::string scenario;
  std::string host = "127.0.0.1";
  std::uint32_t port = 0;
  std::string label;      // the peer's name in the record
  std::uint32_t pid = 0;  // the server's process, for CPU and memory; 0: not measured
  std::uint32_t version = 4;
  std::uint32_t qos = 0;
  std::uint32_t clients = 0;
  std::uint32_t publishers = 0;
  std::uint32_t window = 0;
  std::uint32_t payload = 256;
  std::uint32_t filters = 100;
  std::uint32_t filters_per_packet = 8;  // AWS takes no more in one SUBSCRIBE
  std::uint32_t count = 0;
  std::uint32_t parallel = 64;
  std::uint32_t threads = 1;
  std::uint32_t websocket = 0;   // 1: MQTT over WebSocket, at /mqtt
  std::uint32_t persistent = 0;  // 1: subscribers have sessions that outlive their connections
  double rate = 0;
  double seconds = 3;
  double warmup = 1;
  std::string disturb;         // neighbours: what the others do
  std::uint32_t tls_port = 0;  // neighbours: where they shake hands
  std::uint32_t api_port = 0;  // and where policies are changed
  // TLS, when a CA is given.
  std::string ca;
  std::string cert;
  std::string key;
  std::string server_name = "localhost";
};

// Exits with the list of scenarios and options when the arguments are not understood.
Options parse_options(int argc, char** argv);

// Ends the run: a line for people on stderr, a record with `error` on stdout, exit code 1.
[[noreturn]] void fail(const std::string& message);

}  // namespace iotcore::bench
