#include "broker/connections.h"

#include "broker/broker.h"
#include "broker/client_session.h"
#include "broker/session.h"
#include "broker/worker_broker.h"
#include "broker/worker_sessions.h"

#include <algorithm>

namespace iotcore::broker {
namespace {

tl::unexpected<Error> not_found(std::string_view client_id) {
  return fail(Errc::kNotFound, "There is no connection of client '" + std::string(client_id) + "'");
}

// Calls task(worker) on the worker that owns the client.
template <typename Task>
void on_owner(Broker& broker, std::string_view client_id, Task task) {
  const WorkerId owner = broker.workers().owner_of(client_id);
  broker.workers().executor(owner).post([&broker, owner, task = std::move(task)]() mutable {
    task(broker.workers().broker(owner));
  });
}

}  // namespace

void Connections::get(std::string client_id, Function<void(Result<ConnectionInfo>)> done) {
  const std::string& name = client_id;
  on_owner(broker_, name, [client_id, done = std::move(done)](WorkerBroker& worker) mutable {
    if (const ClientSession* client = worker.clients().find_by_id(client_id)) {
      done(client->info());
      return;
    }
    Session* session = worker.sessions().find_offline(client_id);
    if (session == nullptr) {
      done(not_found(client_id));
      return;
    }
    const PersistentState& state = session->persistent();
    ConnectionInfo info;
    info.clean_session = false;
    info.source_ip = state.source_ip;
    info.session_expiry_s = state.expiry_s;
    info.disconnected_ms = state.disconnected_ms;
    info.disconnect_reason = state.disconnect_reason;
    done(std::move(info));
  });
}

void Connections::subscriptions(
    std::string client_id, Function<void(Result<std::vector<SubscriptionInfo>>)> done
) {
  const std::string& name = client_id;
  on_owner(broker_, name, [client_id, done = std::move(done)](WorkerBroker& worker) mutable {
    const Session* session = worker.sessions().find_client(client_id);
    if (session == nullptr) {
      done(not_found(client_id));
      return;
    }
    std::vector<SubscriptionInfo> all;
    for (const Session::Subscribed& place : session->subscriptions()) {
      const SubscriberTable::Slot& slot = worker.subscribers().slot(place.slot);
      all.push_back({std::string(slot.filter()), slot.subscribers[place.index].qos});
    }
    std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
      return a.filter < b.filter;
    });
    done(std::move(all));
  });
}

void Connections::remove(
    std::string client_id, bool clean_session, bool prevent_will, Function<void(Status)> done
) {
  const std::string& name = client_id;
  on_owner(
      broker_,
      name,
      [client_id, clean_session, prevent_will, done = std::move(done)](WorkerBroker& worker
      ) mutable {
        if (ClientSession* client = worker.clients().find_by_id(client_id)) {
          client->close_by_api(clean_session, prevent_will);
          done({});
          return;
        }
        Session* session = worker.sessions().find_offline(client_id);
        if (session == nullptr) {
          done(not_found(client_id));
          return;
        }
        if (prevent_will) {
          worker.sessions().cancel_will(*session);
        }
        if (clean_session) {
          worker.sessions().discard(worker.sessions().take(client_id));
        }
        done({});
      }
  );
}

void Connections::trace(
    std::string client_id, std::uint64_t after, Function<void(Result<ClientTrace::Page>)> done
) {
  const std::string& name = client_id;
  on_owner(broker_, name, [client_id, after, done = std::move(done)](WorkerBroker& worker) mutable {
    Result<ClientTrace::Page> page = worker.traces().read(client_id, after, worker.now());
    if (ClientSession* client = worker.clients().find_by_id(client_id); page && client != nullptr) {
      client->start_trace(client_id);
    }
    done(std::move(page));
  });
}

void Connections::send(std::string client_id, DirectMessage message, Function<void(Status)> done) {
  const std::string& name = client_id;
  on_owner(
      broker_,
      name,
      [client_id, message = std::move(message), done = std::move(done)](WorkerBroker& worker
      ) mutable {
        ClientSession* client = worker.clients().find_by_id(client_id);
        if (client == nullptr) {
          done(not_found(client_id));
          return;
        }
        client->send_direct(message, std::move(done));
      }
  );
}

}  // namespace iotcore::broker
