#include "net/tls_library.h"

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace iotcore::net {
namespace {

struct Wanted {
  int operation;
  std::string_view name;  // the first of the algorithm's names
};

// What the suites, groups and signatures of net/tls_policy.h need. Ciphers are also what the random generator and the CBC suites use.
constexpr std::array kWanted = {
    Wanted{OSSL_OP_DIGEST, "SHA1"},
    Wanted{OSSL_OP_DIGEST, "SHA2-256"},
    Wanted{OSSL_OP_DIGEST, "SHA2-384"},
    Wanted{OSSL_OP_DIGEST, "SHA2-512"},
    Wanted{OSSL_OP_DIGEST, "MD5"},
    Wanted{OSSL_OP_DIGEST, "MD5-SHA1"},
    Wanted{OSSL_OP_CIPHER, "NULL"},
    Wanted{OSSL_OP_CIPHER, "AES-128-GCM"},
    Wanted{OSSL_OP_CIPHER, "AES-256-GCM"},
    Wanted{OSSL_OP_CIPHER, "AES-128-CBC"},
    Wanted{OSSL_OP_CIPHER, "AES-256-CBC"},
    Wanted{OSSL_OP_CIPHER, "AES-256-CTR"},
    Wanted{OSSL_OP_CIPHER, "ChaCha20-Poly1305"},
    Wanted{OSSL_OP_MAC, "HMAC"},
    Wanted{OSSL_OP_KDF, "HKDF"},
    Wanted{OSSL_OP_KDF, "TLS1-PRF"},
    Wanted{OSSL_OP_KDF, "TLS13-KDF"},
    Wanted{OSSL_OP_RAND, "CTR-DRBG"},
    Wanted{OSSL_OP_RAND, "SEED-SRC"},
    Wanted{OSSL_OP_KEYMGMT, "RSA"},
    Wanted{OSSL_OP_KEYMGMT, "RSA-PSS"},
    Wanted{OSSL_OP_KEYMGMT, "EC"},
    Wanted{OSSL_OP_KEYMGMT, "X25519"},
    Wanted{OSSL_OP_KEYMGMT, "ED25519"},
    Wanted{OSSL_OP_KEYMGMT, "HMAC"},
    Wanted{OSSL_OP_KEYEXCH, "ECDH"},
    Wanted{OSSL_OP_KEYEXCH, "X25519"},
    Wanted{OSSL_OP_SIGNATURE, "RSA"},
    Wanted{OSSL_OP_SIGNATURE, "ECDSA"},
    Wanted{OSSL_OP_SIGNATURE, "ED25519"},
    Wanted{OSSL_OP_SIGNATURE, "HMAC"},
    Wanted{OSSL_OP_ASYM_CIPHER, "RSA"},
};

constexpr int kOperationsMax = 32;

// The whole default provider, and of each operation the algorithms that are passed on, with an empty entry behind them.
struct Source {
  OSSL_PROVIDER* provider = nullptr;
  std::array<std::vector<OSSL_ALGORITHM>, kOperationsMax> kept;
};

Source& source() {
  static Source of_process;
  return of_process;
}

std::string_view first_name(const OSSL_ALGORITHM& algorithm) {
  const std::string_view names = algorithm.algorithm_names;
  return names.substr(0, names.find(':'));
}

void gather(Source& from) {
  for (auto& list : from.kept) {
    list.push_back({});
  }
  for (const Wanted& wanted : kWanted) {
    int no_cache = 0;
    const OSSL_ALGORITHM* all =
        OSSL_PROVIDER_query_operation(from.provider, wanted.operation, &no_cache);
    for (; all != nullptr && all->algorithm_names != nullptr; ++all) {
      if (first_name(*all) == wanted.name) {
        auto& list = from.kept[static_cast<std::size_t>(wanted.operation)];
        list.insert(list.end() - 1, *all);
      }
    }
  }
}

const OSSL_ALGORITHM* query(void* /*context*/, int operation, int* no_cache) {
  *no_cache = 0;
  return operation >= 0 && operation < kOperationsMax
             ? source().kept[static_cast<std::size_t>(operation)].data()
             : nullptr;
}

int capabilities(void* /*context*/, const char* which, OSSL_CALLBACK* tell, void* argument) {
  return OSSL_PROVIDER_get_capabilities(source().provider, which, tell, argument);
}

void teardown(void* /*context*/) {}

int initialise(
    const OSSL_CORE_HANDLE* /*core*/,
    const OSSL_DISPATCH* /*from_core*/,
    const OSSL_DISPATCH** ours,
    void** context
) {
  static const OSSL_DISPATCH functions[] = {
      {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(query)},
      {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<void (*)()>(capabilities)},
      {OSSL_FUNC_PROVIDER_TEARDOWN, reinterpret_cast<void (*)()>(teardown)},
      {0, nullptr},
  };
  *ours = functions;
  // The algorithms are the default provider's own and expect its context.
  *context = OSSL_PROVIDER_get0_provider_ctx(source().provider);
  return 1;
}

OSSL_LIB_CTX* make() {
  Source& from = source();
  from.provider = OSSL_PROVIDER_load(nullptr, "default");
  OSSL_LIB_CTX* library = from.provider == nullptr ? nullptr : OSSL_LIB_CTX_new();
  if (library == nullptr) {
    return nullptr;
  }
  gather(from);
  if (OSSL_PROVIDER_add_builtin(library, "iotcore-tls", initialise) != 1 ||
      OSSL_PROVIDER_load(library, "iotcore-tls") == nullptr) {
    OSSL_LIB_CTX_free(library);
    ERR_clear_error();
    return nullptr;
  }
  return library;
}

}  // namespace

OSSL_LIB_CTX* tls_library() {
  // Never freed: contexts that use it may live until the process ends.
  static OSSL_LIB_CTX* const library = make();
  return library;
}

}  // namespace iotcore::net
