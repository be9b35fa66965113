#pragma once

#include "tests/bench/dialer.h"
#include "tests/bench/options.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

namespace iotcore::bench {

// Clients that make trouble for others, on a thread of their own from start() to the end:
//   stalled     twenty subscribers of all that goes about, which read nothing
//   all         a subscriber of `#`, which reads all
//   handshakes  1,000 new TLS connections a second
//   policies    four times a second, the policy of 1,000 connected devices is replaced
class Disturbance {
 public:
  Disturbance(const Options& options, TlsClient* tls);
  ~Disturbance();
  Disturbance(const Disturbance&) = delete;
  Disturbance& operator=(const Disturbance&) = delete;

  void start();

  // How often it has done what it does.
  std::uint64_t count() const { return count_.load(); }

 private:
  void prepare();
  void run();
  void read_everything();
  void shake_hands();
  void replace_policies();
  // The body of the answer.
  std::string call(const std::string& method, const std::string& path, const std::string& body);

  const Options& options_;
  Options tls_options_;
  TlsClient* tls_;
  Clients clients_;
  Dialer dialer_;
  Dialer tls_dialer_;
  std::thread thread_;
  std::atomic<std::uint64_t> count_ = 0;
  std::atomic<bool> stopping_ = false;
};

}  // namespace iotcore::bench
