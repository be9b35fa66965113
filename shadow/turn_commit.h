#pragma once

#include "broker/publish_context.h"
#include "shadow/owner.h"

#include <cstddef>
#include <string>
#include <vector>

namespace iotcore::shadow {

// What one owner hands to the store in one turn, and the answers that wait for it. Deletes itself when it has been committed, or not.
class TurnCommit final : public broker::PendingAck {
 public:
  struct Waiting {
    Shadow* shadow;
    std::size_t bytes;  // as counted when it was added
    Answer answer;
  };

  struct Event {
    Shadow* shadow;
    std::string topic;
    std::string body;
  };

  explicit TurnCommit(Owner& owner) : PendingAck(&TurnCommit::on_complete), owner_(&owner) {}

  // The owner goes before it is complete: nobody is answered.
  void abandon() { owner_ = nullptr; }

  std::vector<Waiting> answers;
  std::vector<Event> events;

 private:
  static void on_complete(PendingAck& self, std::optional<Errc> failure);

  Owner* owner_;
};

}  // namespace iotcore::shadow
