#include "net/session_cache.h"

#include "base/bytes.h"

#include <openssl/ssl.h>

#include <cstdint>
#include <iterator>
#include <optional>

namespace iotcore::net {
namespace {

int cache_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

SessionCache* cache_of(const SSL_CTX* context) {
  return static_cast<SessionCache*>(SSL_CTX_get_ex_data(context, cache_index()));
}

std::string_view id_of(const SSL_SESSION* session) {
  unsigned int size = 0;
  const unsigned char* id = SSL_SESSION_get_id(session, &size);
  return {reinterpret_cast<const char*>(id), size};
}

struct DerElement {
  std::uint8_t tag;
  std::string_view content;
  std::string_view whole;
};

// Takes one element with a tag of one byte from the front.
std::optional<DerElement> next_element(std::string_view& bytes) {
  ByteReader reader(bytes);
  const std::uint8_t tag = reader.u8();
  std::size_t size = reader.u8();
  if (size == 0x81) {
    size = reader.u8();
  } else if (size == 0x82) {
    size = reader.u16();
  } else if (size >= 0x80) {
    return std::nullopt;
  }
  const std::string_view content = reader.bytes(size);
  if (!reader.ok()) {
    return std::nullopt;
  }
  const std::size_t used = bytes.size() - reader.remaining();
  DerElement out{tag, content, bytes.substr(0, used)};
  bytes.remove_prefix(used);
  return out;
}

void append_length(std::string& out, std::size_t size) {
  if (size >= 0x100) {
    out.push_back('\x82');
    append_u16(out, static_cast<std::uint16_t>(size));
  } else {
    if (size >= 0x80) {
      out.push_back('\x81');
    }
    out.push_back(static_cast<char>(size));
  }
}

}  // namespace

void SessionCache::attach(SSL_CTX* context) {
  SSL_CTX_set_ex_data(context, cache_index(), this);
  SSL_CTX_set_session_cache_mode(
      context, SSL_SESS_CACHE_SERVER | SSL_SESS_CACHE_NO_INTERNAL | SSL_SESS_CACHE_NO_AUTO_CLEAR
  );
  SSL_CTX_sess_set_new_cb(context, on_new);
  SSL_CTX_sess_set_get_cb(context, on_get);
  SSL_CTX_sess_set_remove_cb(context, on_remove);
}

int SessionCache::on_new(SSL* ssl, SSL_SESSION* session) {
  const int size = i2d_SSL_SESSION(session, nullptr);
  if (size > 0) {
    std::string bytes(static_cast<std::size_t>(size), '\0');
    auto* at = reinterpret_cast<unsigned char*>(bytes.data());
    i2d_SSL_SESSION(session, &at);
    cache_of(SSL_get_SSL_CTX(ssl))
        ->put(id_of(session), without_peer(bytes), peer_certificate_of(session));
  }
  return 0;  // OpenSSL's object itself is not kept
}

SSL_SESSION* SessionCache::on_get(SSL* ssl, const unsigned char* id, int size, int* copy) {
  *copy = 0;
  Entry found = cache_of(SSL_get_SSL_CTX(ssl))
                    ->find({reinterpret_cast<const char*>(id), static_cast<std::size_t>(size)});
  if (found.id.empty()) {
    return nullptr;
  }
  const auto* at = reinterpret_cast<const unsigned char*>(found.session.data());
  SSL_SESSION* session = d2i_SSL_SESSION(nullptr, &at, static_cast<long>(found.session.size()));
  if (session != nullptr) {
    set_peer_certificate(session, std::move(found.certificate));
  }
  return session;
}

void SessionCache::on_remove(SSL_CTX* context, SSL_SESSION* session) {
  cache_of(context)->erase(id_of(session));
}

void SessionCache::put(
    std::string_view id, std::string session, SharedPeerCertificate certificate
) {
  const std::lock_guard lock(mutex_);
  if (id.empty() || by_id_.contains(id)) {
    return;
  }
  if (certificate) {
    Shared& shared = by_fingerprint_[certificate->fingerprint];
    if (!shared.certificate) {
      shared.certificate = std::move(certificate);
    }
    ++shared.sessions;
    certificate = shared.certificate;
  }
  session.shrink_to_fit();
  entries_.push_front({std::string(id), std::move(session), std::move(certificate)});
  by_id_.emplace(entries_.front().id, entries_.begin());
  if (entries_.size() > sessions_max_) {
    drop(std::prev(entries_.end()));
  }
}

SessionCache::Entry SessionCache::find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) {
    return {};
  }
  entries_.splice(entries_.begin(), entries_, found->second);
  return *found->second;
}

void SessionCache::erase(std::string_view id) {
  const std::lock_guard lock(mutex_);
  if (const auto found = by_id_.find(id); found != by_id_.end()) {
    drop(found->second);
  }
}

void SessionCache::drop(Entries::iterator entry) {
  if (entry->certificate) {
    const auto shared = by_fingerprint_.find(entry->certificate->fingerprint);
    if (--shared->second.sessions == 0) {
      by_fingerprint_.erase(shared);
    }
  }
  by_id_.erase(entry->id);
  entries_.erase(entry);
}

std::size_t SessionCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

std::size_t SessionCache::certificates() const {
  const std::lock_guard lock(mutex_);
  return by_fingerprint_.size();
}

std::string without_peer(std::string_view session_der) {
  // A sequence of elements; that with the certificate has the explicit tag 3.
  constexpr std::uint8_t kSequence = 0x30;
  constexpr std::uint8_t kPeer = 0xA3;
  std::string_view rest = session_der;
  const std::optional<DerElement> whole = next_element(rest);
  if (!whole || whole->tag != kSequence || !rest.empty()) {
    return std::string(session_der);
  }
  std::string kept;
  for (std::string_view inside = whole->content; !inside.empty();) {
    const std::optional<DerElement> element = next_element(inside);
    if (!element) {
      return std::string(session_der);
    }
    if (element->tag != kPeer) {
      kept += element->whole;
    }
  }
  std::string out(1, static_cast<char>(kSequence));
  append_length(out, kept.size());
  return out + kept;
}

}  // namespace iotcore::net
