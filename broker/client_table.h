#pragma once

#include "broker/slot_index.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace iotcore::broker {

class ClientSession;

// Names a client of one worker for as long as it lives; a stale handle finds nothing. May be kept anywhere, used on that worker.
struct ClientHandle {
  std::uint32_t place = 0;
  std::uint32_t generation = 0;
};

// The connected clients of one worker. Owns nothing: the gateway's connections own the sessions.
class ClientTable {
 public:
  ClientTable();

  ClientHandle add(ClientSession& client);
  void remove(ClientHandle handle);
  ClientSession* find(ClientHandle handle) const;

  // By client id, from CONNECT being accepted to the end of the session. The key is the session's own client id.
  ClientSession* find_by_id(std::string_view client_id) const;

  // Instead of who was bound to it so far.
  void bind_id(ClientHandle handle);
  void unbind_id(std::string_view client_id, const ClientSession& client);

  std::size_t connected() const { return by_id_.size(); }

  template <typename F>
  void for_each(F&& visit) const {
    for (std::size_t i = 0; i < places_.size(); ++i) {
      if (ClientSession* client = places_[i].client; client != nullptr) {
        visit(*client);
      }
    }
  }

 private:
  std::uint32_t find_place(std::string_view client_id) const;

  struct Place {
    ClientSession* client = nullptr;
    std::uint32_t generation = 1;
  };

  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
  std::uint64_t hash_seed_;
  SlotIndex by_id_;  // places
};

}  // namespace iotcore::broker
