#include "broker/client_table.h"

namespace iotcore::broker {

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

ClientSession* ClientTable::find_by_id(std::string_view client_id) const {
  const auto found = by_id_.find(client_id);
  return found == by_id_.end() ? nullptr : found->second;
}

void ClientTable::unbind_id(std::string_view client_id, const ClientSession& client) {
  const auto found = by_id_.find(client_id);
  if (found != by_id_.end() && found->second == &client) {
    by_id_.erase(found);
  }
}

}  // namespace iotcore::broker
