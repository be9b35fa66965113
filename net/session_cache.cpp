#include "net/session_cache.h"

#include <openssl/ssl.h>

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
    cache_of(SSL_get_SSL_CTX(ssl))->put(id_of(session), std::move(bytes));
  }
  return 0;  // OpenSSL's object itself is not kept
}

SSL_SESSION* SessionCache::on_get(SSL* ssl, const unsigned char* id, int size, int* copy) {
  *copy = 0;
  const std::string bytes =
      cache_of(SSL_get_SSL_CTX(ssl))
          ->find({reinterpret_cast<const char*>(id), static_cast<std::size_t>(size)});
  const auto* at = reinterpret_cast<const unsigned char*>(bytes.data());
  return bytes.empty() ? nullptr : d2i_SSL_SESSION(nullptr, &at, static_cast<long>(bytes.size()));
}

void SessionCache::on_remove(SSL_CTX* context, SSL_SESSION* session) {
  cache_of(context)->erase(id_of(session));
}

void SessionCache::put(std::string_view id, std::string session) {
  const std::lock_guard lock(mutex_);
  if (by_id_.contains(id)) {
    return;
  }
  entries_.push_front({std::string(id), std::move(session)});
  by_id_.emplace(entries_.front().id, entries_.begin());
  if (entries_.size() > sessions_max_) {
    by_id_.erase(entries_.back().id);
    entries_.pop_back();
  }
}

std::string SessionCache::find(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) {
    return {};
  }
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->session;
}

void SessionCache::erase(std::string_view id) {
  const std::lock_guard lock(mutex_);
  const auto found = by_id_.find(id);
  if (found != by_id_.end()) {
    const Entries::iterator entry = found->second;
    by_id_.erase(found);
    entries_.erase(entry);
  }
}

std::size_t SessionCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace iotcore::net
