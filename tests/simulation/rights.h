#pragma once

#include "broker/authorizer.h"
#include "broker/workers.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::simulation {

using Step = std::uint64_t;

// Topics that nobody may publish to, and topics that a device may have to do with only for some of the time.
inline constexpr std::string_view kForbidden = "forbidden/";
inline constexpr std::string_view kSecret = "secret/";

// Who may do what, and since when. A change is in force at once. Answers to CONNECT come at once, or when chance has them.
class Rights final : public broker::Authorizer {
 public:
  // When did the device's right to secrets last change, and what is it since then?
  struct Secrets {
    Step changed = 0;
    bool allowed = true;
  };

  Secrets& secrets(const std::string& client_id) { return secrets_[client_id]; }

  // Whether the device was allowed to see secrets at any time from `from` on.
  bool saw_secrets_since(const std::string& client_id, Step from) {
    const Secrets& now = secrets(client_id);
    return now.allowed || now.changed >= from;
  }

  void answer_later(bool later) { later_ = later; }

  void set_workers(broker::Workers* workers) { workers_ = workers; }

  void connect(const broker::ConnectRequest& request, Answer answer) override {
    auto permissions = std::make_unique<Permissions>(*this, std::string(request.client_id));
    if (!later_) {
      answer(std::move(permissions));
      return;
    }
    workers_->executor(request.worker)
        .post([answer = std::move(answer), permissions = std::move(permissions)]() mutable {
          answer(std::move(permissions));
        });
  }

 private:
  class Permissions final : public broker::Permissions {
   public:
    Permissions(Rights& rights, std::string client_id)
        : rights_(rights), client_id_(std::move(client_id)) {}

    bool allows(broker::Action action, std::string_view resource, std::uint64_t /*hash*/) override {
      if (resource.starts_with(kSecret)) {
        return action == broker::Action::kSubscribe || rights_.secrets(client_id_).allowed;
      }
      return !resource.starts_with(kForbidden);
    }

    std::string_view thing_name() const override { return {}; }

   private:
    Rights& rights_;
    std::string client_id_;
  };

  std::map<std::string, Secrets> secrets_;
  broker::Workers* workers_ = nullptr;
  bool later_ = false;
};

}  // namespace iotcore::simulation
