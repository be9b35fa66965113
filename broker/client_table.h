#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
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
  ClientHandle add(ClientSession& client);
  void remove(ClientHandle handle);
  ClientSession* find(ClientHandle handle) const;

  // By client id, from CONNECT being accepted to the end of the session. The key is a view of the session's own client id.
  ClientSession* find_by_id(std::string_view client_id) const;

  void bind_id(std::string_view client_id, ClientSession& client) { by_id_[client_id] = &client; }

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
  struct Place {
    ClientSession* client = nullptr;
    std::uint32_t generation = 1;
  };

  std::vector<Place> places_;
  std::vector<std::uint32_t> free_;
  std::unordered_map<std::string_view, ClientSession*> by_id_;
};

}  // namespace iotcore::broker
