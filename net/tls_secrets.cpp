#include "net/tls_secrets.h"

#include "base/check.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include <charconv>
#include <memory>
#include <string_view>

namespace iotcore::net {
namespace {

constexpr std::uint8_t kNewSessionTicket = 4;

void free_secrets(
    void* /*ssl*/,
    void* secrets,
    CRYPTO_EX_DATA* /*data*/,
    int /*index*/,
    long /*argl*/,
    void* /*argp*/
) {
  delete static_cast<HandshakeSecrets*>(secrets);
}

int secrets_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_secrets);
  return index;
}

HandshakeSecrets& make_secrets(const SSL* ssl) {
  auto* secrets = static_cast<HandshakeSecrets*>(SSL_get_ex_data(ssl, secrets_index()));
  if (secrets == nullptr) {
    auto fresh = std::make_unique<HandshakeSecrets>();
    // OpenSSL's callback for key logs has the connection as a constant.
    IOTCORE_CHECK(SSL_set_ex_data(const_cast<SSL*>(ssl), secrets_index(), fresh.get()) == 1);
    secrets = fresh.release();
  }
  return *secrets;
}

bool read_hex(std::string_view hex, TrafficSecret& out) {
  if (hex.size() % 2 != 0 || hex.size() / 2 > TrafficSecret::kBytesMax) {
    return false;
  }
  for (std::size_t i = 0; i < hex.size() / 2; ++i) {
    const char* at = hex.data() + 2 * i;
    if (std::from_chars(at, at + 2, out.bytes[i], 16).ptr != at + 2) {
      return false;
    }
  }
  out.size = static_cast<std::uint8_t>(hex.size() / 2);
  return true;
}

// One line in the format of key logs: label, client random, secret. The only way in which OpenSSL tells the secrets.
void on_key_log(const SSL* ssl, const char* text) {
  constexpr std::string_view kClient = "CLIENT_TRAFFIC_SECRET_0 ";
  constexpr std::string_view kServer = "SERVER_TRAFFIC_SECRET_0 ";
  const std::string_view line = text;
  const bool is_client = line.starts_with(kClient);
  if (!is_client && !line.starts_with(kServer)) {
    return;
  }
  HandshakeSecrets& secrets = make_secrets(ssl);
  TrafficSecret& secret = is_client ? secrets.client : secrets.server;
  if (!read_hex(line.substr(line.rfind(' ') + 1), secret)) {
    secret.size = 0;
  }
}

void on_message(
    int is_written,
    int /*version*/,
    int content_type,
    const void* bytes,
    std::size_t size,
    SSL* ssl,
    void* /*argument*/
) {
  if (is_written == 1 && content_type == SSL3_RT_HANDSHAKE && size > 0 &&
      *static_cast<const std::uint8_t*>(bytes) == kNewSessionTicket &&
      SSL_version(ssl) == TLS1_3_VERSION) {
    ++make_secrets(ssl).tickets_sent;
  }
}

}  // namespace

TrafficSecret::~TrafficSecret() {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

void note_secrets(SSL_CTX* context) {
  SSL_CTX_set_keylog_callback(context, on_key_log);
  SSL_CTX_set_msg_callback(context, on_message);
}

const HandshakeSecrets* secrets_of(const SSL* ssl) {
  const auto* secrets = static_cast<const HandshakeSecrets*>(SSL_get_ex_data(ssl, secrets_index()));
  return secrets != nullptr && secrets->client.size != 0 && secrets->server.size != 0 ? secrets
                                                                                      : nullptr;
}

}  // namespace iotcore::net
