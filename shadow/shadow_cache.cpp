#include "shadow/shadow_cache.h"

#include "base/check.h"

namespace iotcore::shadow {
namespace {

// Of the hash table: the node's link, its cached hash and its share of the buckets.
constexpr std::size_t kNodeBytes = 24;

std::size_t bytes_of(const Shadow& shadow) {
  return kNodeBytes + sizeof(std::string) + sizeof(Shadow) + shadow.prefix.size() + 1 +
         (shadow.document ? shadow.document->encode().capacity() + 1 : 0);
}

}  // namespace

Shadow* ShadowCache::find(std::string_view prefix) {
  const auto found = shadows_.find(prefix);
  return found == shadows_.end() ? nullptr : &found->second;
}

Shadow& ShadowCache::insert(const RequestTopicView& topic) {
  const auto [at, added] = shadows_.try_emplace(std::string(topic.prefix));
  IOTCORE_CHECK(added);
  Shadow& shadow = at->second;
  shadow.prefix = at->first;
  const auto same_part = [&](std::string_view part) {
    return part.empty()
               ? part
               : shadow.prefix.substr(
                     static_cast<std::size_t>(part.data() - topic.prefix.data()), part.size()
                 );
  };
  shadow.thing = same_part(topic.thing);
  shadow.name = same_part(topic.shadow);
  shadow.bytes = bytes_of(shadow);
  bytes_ += shadow.bytes;
  return shadow;
}

void ShadowCache::erase(Shadow& shadow) {
  unlink(shadow);
  bytes_ -= shadow.bytes;
  shadows_.erase(shadows_.find(shadow.prefix));
}

void ShadowCache::hold(Shadow& shadow) {
  unlink(shadow);
}

void ShadowCache::settle(Shadow& shadow) {
  bytes_ -= shadow.bytes;
  shadow.bytes = bytes_of(shadow);
  bytes_ += shadow.bytes;
  if (shadow.idle() && newest_ != &shadow) {
    unlink(shadow);
    shadow.linked = true;
    shadow.older = newest_;
    (newest_ == nullptr ? oldest_ : newest_->newer) = &shadow;
    newest_ = &shadow;
  }
  while (bytes_ > bytes_max_ && oldest_ != nullptr && oldest_ != newest_) {
    erase(*oldest_);
  }
}

void ShadowCache::unlink(Shadow& shadow) {
  if (!shadow.linked) {
    return;
  }
  (shadow.newer == nullptr ? newest_ : shadow.newer->older) = shadow.older;
  (shadow.older == nullptr ? oldest_ : shadow.older->newer) = shadow.newer;
  shadow.newer = nullptr;
  shadow.older = nullptr;
  shadow.linked = false;
}

}  // namespace iotcore::shadow
