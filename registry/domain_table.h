#pragma once

#include "base/executor.h"
#include "proto/record/principals.pb.h"
#include "store/store.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace iotcore::registry {

// How a peer may come in, and what is to be asked of it, where a domain configuration says so (mqtt.md section 1).
enum class Entrance : std::uint8_t { kMqtt, kWebSocket, kHttps };
enum class Authentication : std::uint8_t {
  kDefault,               // whatever the peer shows
  kCertificate,           // AWS_X509
  kSignature,             // AWS_SIGV4
  kCustom,                // CUSTOM_AUTH: a certificate counts for nothing
  kCustomAndCertificate,  // CUSTOM_AUTH_X509
};

// kInvalidRequest: AWS does not let these two go together. Either may be empty: what was not said goes with anything.
Status check_domain_protocols(
    std::string_view authentication_type, std::string_view application_protocol
);

// How many there can be: they are few, and all of them are read when one changes.
inline constexpr std::size_t kDomainConfigurationsMax = 10'000;

// The domain configurations that have a host of their own, in memory and current: asked in every handshake. Thread-safe.
class DomainTable {
 public:
  using Domain = record::DomainConfiguration;

  DomainTable(store::Store& store, Executor& pool);
  DomainTable(const DomainTable&) = delete;
  DomainTable& operator=(const DomainTable&) = delete;

  // By the host that a connection named (SNI); null if no configuration has it. Second owner: the call that is just deciding by it.
  std::shared_ptr<const Domain> find(std::string_view host) const;
  // What is to be asked of a peer that came by that host. kNotAuthorized, with the detail "code": the configuration is disabled, or for another protocol.
  Result<Authentication> admit(std::string_view host, Entrance entrance) const;

  // Takes what is in the store now; by itself after every change, and by who has just made one.
  void reload();

 private:
  using Table = std::map<std::string, std::shared_ptr<const Domain>, std::less<>>;

  store::Store& store_;
  std::mutex reloading_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Table> table_;  // second owner: who is looking something up
  store::Watch watch_;
};

// As hosts are kept: in lower case.
std::string lower_host(std::string_view host);

}  // namespace iotcore::registry
