#include "broker/client_table.h"

#include "broker/client_session.h"
#include "broker/hash_seed.h"
#include "broker/level_table.h"

namespace iotcore::broker {

ClientTable::ClientTable() : hash_seed_(random_hash_seed()) {}

ClientHandle ClientTable::add(ClientSession& client) {
  std::uint32_t place;
  if (free_.empty()) {
    place = static_cast<std::uint32_t>(places_.size());
    places_.emplace_back();
  } else {
    place = free_.back();
    free_.pop_back();
  }
  places_[place].client = &client;
  return {place, places_[place].generation};
}

void ClientTable::remove(ClientHandle handle) {
  if (find(handle) == nullptr) {
    return;
  }
  Place& place = places_[handle.place];
  place.client = nullptr;
  ++place.generation;
  free_.push_back(handle.place);
}

ClientSession* ClientTable::find(ClientHandle handle) const {
  if (handle.place >= places_.size() || places_[handle.place].generation != handle.generation) {
    return nullptr;
  }
  return places_[handle.place].client;
}

std::uint32_t ClientTable::find_place(std::string_view client_id) const {
  return by_id_.find(level_hash(client_id, hash_seed_), [&](std::uint32_t place) {
    return places_[place].client->client_id() == client_id;
  });
}

ClientSession* ClientTable::find_by_id(std::string_view client_id) const {
  const std::uint32_t place = find_place(client_id);
  return place == SlotIndex::kNone ? nullptr : places_[place].client;
}

void ClientTable::bind_id(ClientHandle handle) {
  const std::string_view client_id = places_[handle.place].client->client_id();
  const std::uint32_t hash = level_hash(client_id, hash_seed_);
  if (const std::uint32_t before = find_place(client_id); before != SlotIndex::kNone) {
    by_id_.erase(hash, before);
  }
  by_id_.insert(hash, handle.place);
}

void ClientTable::unbind_id(std::string_view client_id, const ClientSession& client) {
  const std::uint32_t place = find_place(client_id);
  if (place != SlotIndex::kNone && places_[place].client == &client) {
    by_id_.erase(level_hash(client_id, hash_seed_), place);
  }
}

}  // namespace iotcore::broker
