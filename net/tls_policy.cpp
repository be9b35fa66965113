#include "net/tls_policy.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <array>

namespace iotcore::net {
namespace {

constexpr const char* kSuites13 =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
constexpr const char* kGroups = "X25519:P-256:P-384:P-521";

#define IOTCORE_MODERN_SUITES                                  \
  "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"

constexpr const char* kModern = IOTCORE_MODERN_SUITES;
// For devices that cannot do better.
constexpr const char* kWithOld = IOTCORE_MODERN_SUITES
    ":ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256"
    ":ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384"
    ":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA"
    ":ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA"
    ":AES128-GCM-SHA256:AES256-GCM-SHA384"
    ":AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA";

#undef IOTCORE_MODERN_SUITES

constexpr std::array kPolicies = {
    TlsPolicy{"default", TLS1_2_VERSION, TLS1_3_VERSION, kModern},
    TlsPolicy{"IoTSecurityPolicy_TLS13_1_3_2022_10", TLS1_3_VERSION, TLS1_3_VERSION, kModern},
    TlsPolicy{"IoTSecurityPolicy_TLS13_1_2_2022_10", TLS1_2_VERSION, TLS1_3_VERSION, kWithOld},
    TlsPolicy{"IoTSecurityPolicy_TLS13_1_2_2022_01", TLS1_2_VERSION, TLS1_3_VERSION, kWithOld},
    TlsPolicy{"IoTSecurityPolicy_TLS12_1_2_2022_10", TLS1_2_VERSION, TLS1_2_VERSION, kWithOld},
    TlsPolicy{"IoTSecurityPolicy_TLS12_1_0_2016_01", TLS1_2_VERSION, TLS1_2_VERSION, kWithOld},
    TlsPolicy{"IoTSecurityPolicy_TLS12_1_0_2015_01", TLS1_2_VERSION, TLS1_2_VERSION, kWithOld},
};

}  // namespace

std::span<const TlsPolicy> tls_policies() {
  return kPolicies;
}

const TlsPolicy* find_tls_policy(std::string_view name) {
  const auto* found = std::find_if(kPolicies.begin(), kPolicies.end(), [&](const TlsPolicy& each) {
    return each.name == name;
  });
  return found == kPolicies.end() ? nullptr : found;
}

bool apply(const TlsPolicy& policy, SSL* connection) {
  return SSL_set_min_proto_version(connection, policy.version_min) == 1 &&
         SSL_set_max_proto_version(connection, policy.version_max) == 1 &&
         SSL_set_cipher_list(connection, policy.suites12) == 1;
}

bool apply(const TlsPolicy& policy, SSL_CTX* context) {
  return SSL_CTX_set_min_proto_version(context, policy.version_min) == 1 &&
         SSL_CTX_set_max_proto_version(context, policy.version_max) == 1 &&
         SSL_CTX_set_ciphersuites(context, kSuites13) == 1 &&
         SSL_CTX_set_cipher_list(context, policy.suites12) == 1 &&
         SSL_CTX_set1_groups_list(context, kGroups) == 1;
}

}  // namespace iotcore::net
