#include "net/tls_context.h"

#include "base/bytes.h"
#include "base/check.h"
#include "net/descriptor_bio.h"
#include "net/free_with.h"
#include "net/peer_certificate.h"
#include "net/pem_passphrase.h"
#include "net/tls_library.h"
#include "net/tls_secrets.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <array>
#include <cstring>

namespace iotcore::net {
namespace {

constexpr long kSessionSeconds = 24 * 3600;
// What a client may send as its certificates.
constexpr long kClientChainBytesMax = 32 * 1024;

struct AlpnProtocol {
  std::string_view name;
  bool client_certificate;  // asked for under kByAlpn
};

// In the order of our preference; a client usually names one.
constexpr std::array kAlpnProtocols = {
    AlpnProtocol{"x-amzn-mqtt-ca", true},
    AlpnProtocol{"x-amzn-http-ca", true},
    AlpnProtocol{"mqtt", false},
    AlpnProtocol{"http/1.1", false},
};

using BioPtr = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, FreeWith<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;

BioPtr memory_bio(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

tl::unexpected<Error> tls_failure(const std::string& what) {
  const unsigned long error = ERR_peek_last_error();
  const char* reason = error == 0 ? nullptr : ERR_reason_error_string(error);
  return fail(
      Errc::kCertificateValidation, reason == nullptr ? what : what + ": " + std::string(reason)
  );
}

const TlsServerConfig& config_of(void* argument) {
  return static_cast<const TlsContext*>(argument)->config();
}

// The names in the client's list, one after the other, each with its length before it.
bool offers(const unsigned char* list, unsigned int size, std::string_view name) {
  ByteReader reader(std::string_view(reinterpret_cast<const char*>(list), size));
  while (reader.ok() && reader.remaining() > 0) {
    if (reader.bytes(reader.u8()) == name && reader.ok()) {
      return true;
    }
  }
  return false;
}

int select_alpn(
    SSL* ssl,
    const unsigned char** out,
    unsigned char* out_size,
    const unsigned char* in,
    unsigned int in_size,
    void* argument
) {
  for (const AlpnProtocol& protocol : kAlpnProtocols) {
    if (offers(in, in_size, protocol.name)) {
      *out = reinterpret_cast<const unsigned char*>(protocol.name.data());
      *out_size = static_cast<unsigned char>(protocol.name.size());
      if (config_of(argument).client_certificates == ClientCertificates::kByAlpn &&
          !protocol.client_certificate) {
        SSL_set_verify(ssl, SSL_VERIFY_NONE, nullptr);
      }
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_NOACK;
}

// The host that a ClientHello names (RFC 6066, section 3), or nothing.
std::string_view host_in_hello(SSL* ssl) {
  const unsigned char* bytes = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &size) != 1) {
    return {};
  }
  ByteReader reader(std::string_view(reinterpret_cast<const char*>(bytes), size));
  reader.u16();  // of the list, which has one entry
  const bool is_host = reader.u8() == TLSEXT_NAMETYPE_host_name;
  const std::string_view host = reader.bytes(reader.u16());
  return is_host && reader.ok() ? host : std::string_view();
}

bool is_own_name(SSL* ssl, std::string_view host) {
  X509* own = SSL_get_certificate(ssl);
  const std::string text(host);
  unsigned char address[16];
  // Some clients name the address to which they connect, though RFC 6066 does not let them.
  return ::inet_pton(AF_INET, text.c_str(), address) == 1 ||
         ::inet_pton(AF_INET6, text.c_str(), address) == 1 ||
         (own != nullptr && X509_check_host(own, host.data(), host.size(), 0, nullptr) == 1);
}

// Before the version is chosen, so that a host may have a policy of its own.
int on_client_hello(SSL* ssl, int* alert, void* argument) {
  const auto& choose = config_of(argument).choose;
  const std::string_view host = choose ? host_in_hello(ssl) : std::string_view();
  if (host.empty()) {
    return SSL_CLIENT_HELLO_SUCCESS;
  }
  const ServerNameChoice choice = choose(host);
  using Answers = ServerNameChoice::Answers;
  if (choice.answers == Answers::kNo ||
      (choice.answers == Answers::kIfOwn && !is_own_name(ssl, host))) {
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_CLIENT_HELLO_ERROR;
  }
  if (choice.policy != nullptr && !apply(*choice.policy, ssl)) {
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
  }
  return SSL_CLIENT_HELLO_SUCCESS;
}

int acknowledge_server_name(SSL* ssl, int* /*alert*/, void* /*argument*/) {
  return SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) == nullptr ? SSL_TLSEXT_ERR_NOACK
                                                                       : SSL_TLSEXT_ERR_OK;
}

bool use_certificate(SSL_CTX* context, const std::string& chain_pem, const std::string& key_pem) {
  const BioPtr chain = memory_bio(chain_pem);
  const X509Ptr own(PEM_read_bio_X509_AUX(chain.get(), nullptr, no_passphrase, nullptr));
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) {
    return false;
  }
  while (true) {
    X509Ptr issuer(PEM_read_bio_X509(chain.get(), nullptr, no_passphrase, nullptr));
    if (!issuer) {
      break;
    }
    if (SSL_CTX_add0_chain_cert(context, issuer.get()) != 1) {
      return false;
    }
    static_cast<void>(issuer.release());
  }
  ERR_clear_error();  // the end of the text is an error to the reader above
  const BioPtr key_text = memory_bio(key_pem);
  const KeyPtr key(PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr));
  return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1 &&
         SSL_CTX_check_private_key(context) == 1;
}

// Sessions are kept here and their tickets only name them. Tickets that carry the session would carry the client's certificate too: written, encrypted
// and parsed again with every handshake, at a quarter of its whole cost.
bool set_resumption(SSL_CTX* context, SessionCache* sessions) {
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  if (sessions == nullptr) {
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_num_tickets(context, 0) == 1;
  }
  sessions->attach(context);
  SSL_CTX_set_timeout(context, kSessionSeconds);
  // Required with client certificates; the value only has to be ours.
  static constexpr unsigned char kSessionContext[] = "iotcore";
  return SSL_CTX_set_session_id_context(context, kSessionContext, sizeof kSessionContext - 1) ==
             1 &&
         SSL_CTX_set_num_tickets(context, 1) == 1;
}

}  // namespace

void TlsContext::Deleter::operator()(SSL_CTX* context) const {
  SSL_CTX_free(context);
}

TlsContext::~TlsContext() = default;

Result<std::unique_ptr<TlsContext>> TlsContext::make(TlsServerConfig config) {
  std::unique_ptr<TlsContext> out(new TlsContext(std::move(config)));
  if (out->config_.resumable_sessions_max != 0) {
    out->sessions_ = std::make_unique<SessionCache>(out->config_.resumable_sessions_max);
  }
  IOTCORE_ASSIGN(
      out->context_, out->build(out->config_.certificate_chain_pem, out->config_.private_key_pem)
  );
  // No second copy of the key in memory beside OpenSSL's.
  out->config_.private_key_pem.clear();
  return out;
}

Result<TlsContext::Context> TlsContext::build(
    const std::string& chain_pem, const std::string& key_pem
) const {
  ERR_clear_error();
  Context context(SSL_CTX_new_ex(tls_library(), nullptr, TLS_server_method()));
  if (!context) {
    return tls_failure("can't make a TLS context");
  }
  if (!use_certificate(context.get(), chain_pem, key_pem)) {
    return tls_failure("the server's certificate and key can't be used");
  }
  if (!apply(*config_.policy, context.get()) || !set_resumption(context.get(), sessions_.get())) {
    return tls_failure("can't set up TLS");
  }
  SSL_CTX_set_options(
      context.get(),
      SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
          // A TCP end without close_notify could be a truncation, but MQTT and HTTP know their own ends; and OpenSSL would forget the session.
          SSL_OP_IGNORE_UNEXPECTED_EOF
  );
  SSL_CTX_set_mode(
      context.get(),
      SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
  );
  note_secrets(context.get());
  remember_peer_certificates(context.get());
  SSL_CTX_set_max_cert_list(context.get(), kClientChainBytesMax);
  auto* self = const_cast<TlsContext*>(this);
  SSL_CTX_set_alpn_select_cb(context.get(), select_alpn, self);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"  // inside OpenSSL's macro
  SSL_CTX_set_tlsext_servername_callback(context.get(), acknowledge_server_name);
#pragma GCC diagnostic pop
  SSL_CTX_set_client_hello_cb(context.get(), on_client_hello, self);
  return context;
}

Stream TlsContext::accept(UniqueFd fd) const {
  SSL* ssl = nullptr;
  {
    const std::lock_guard lock(mutex_);
    ssl = SSL_new(context_.get());
  }
  IOTCORE_CHECK(ssl != nullptr);
  BIO* bio = new_descriptor_bio(fd.get());
  SSL_set_bio(ssl, bio, bio);
  SSL_set_accept_state(ssl);
  return Stream(std::move(fd), ssl);
}

Status TlsContext::reload(std::string certificate_chain_pem, std::string private_key_pem) {
  IOTCORE_ASSIGN(Context fresh, build(certificate_chain_pem, private_key_pem));
  const std::lock_guard lock(mutex_);
  context_.swap(fresh);
  return {};
}

}  // namespace iotcore::net
