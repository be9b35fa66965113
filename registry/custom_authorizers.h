#pragma once

#include "base/clock.h"
#include "base/function.h"
#include "base/metrics.h"
#include "base/thread_pool.h"
#include "broker/authorizer.h"
#include "registry/authorizer_function.h"
#include "registry/authorizer_protocol.h"
#include "registry/authorizers.h"
#include "registry/domain_table.h"
#include "registry/live_devices.h"
#include "registry/options.h"

#include <chrono>
#include <condition_variable>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

namespace iotcore::registry {

// Everything by which a custom authorizer is chosen and asked.
struct AuthorizerRequest {
  // As broker::PeerIdentity has them.
  std::string server_name;
  std::string source_ip;
  // Of a peer that has to show both, a certificate and what the authorizer wants; or empty.
  std::string certificate_id;
  std::string certificate_der;
  std::optional<AuthorizerEvent::Http> http;
  std::optional<AuthorizerEvent::Mqtt> mqtt;
  policy::Protocol protocol = policy::Protocol::kMqtt;
  bool persistent_connect = false;
  bool has_will = false;
};

// Whom an authorizer has let in, with the rights that it gave.
class CustomPeer final : public broker::AuthenticatedPeer {
 public:
  std::string principal;
  // Second owner: the refresh that is just replacing its rights.
  std::shared_ptr<LiveDevice> device;
  std::chrono::seconds disconnect_after = std::chrono::hours(24);
};

// Asks custom authorizers (auth.md section 5) about peers who show a token, a name and a password or whatever their function understands, and asks
// again when an answer has grown old. Blocking, on threads of its own: a function may take seconds. Thread-safe.
class CustomAuthorizers {
 public:
  CustomAuthorizers(
      Authorizers& authorizers,
      const DomainTable& domains,
      LiveDevices& devices,
      AuthorizerFunctions functions,
      const Clock& clock,
      const Options& options,
      Metrics& metrics
  );
  ~CustomAuthorizers();
  CustomAuthorizers(const CustomAuthorizers&) = delete;
  CustomAuthorizers& operator=(const CustomAuthorizers&) = delete;

  // Where to call authorize().
  Executor& pool() { return pool_; }

  // Told the client id of a connection whose rights could not be renewed. Before the first connection.
  void on_lost(Function<void(const std::string& client_id)> lost) { lost_ = std::move(lost); }

  // Whether the request names an authorizer, or one stands by default for those who show nothing else.
  bool concerns(const AuthorizerRequest& request);
  // kNotAuthorized, with the detail "code".
  Result<std::shared_ptr<const CustomPeer>> authorize(const AuthorizerRequest& request);

  // TestInvokeAuthorizer: the same without a connection, and whatever the status of the authorizer.
  Result<api::TestInvokeAuthorizerResponse> test(const api::TestInvokeAuthorizerRequest& request);

  // Renews what is due; returns when to look again. By the thread of this class, and by tests.
  std::optional<MonotonicTime> refresh_due();
  // Renewals that wait for their time, of connections that have gone lately, too.
  std::size_t refreshes_waiting();

 private:
  struct Asked {
    std::string authorizer;
    std::string function_arn;
    std::string event;
    std::string certificate_id;  // or empty
    std::string digest;          // of everything but the connection's own id
  };

  struct Refresh {
    std::weak_ptr<LiveDevice> device;
    Asked asked;
  };

  struct Cached {
    std::shared_ptr<const CustomPeer> peer;
    MonotonicTime until;
  };

  Result<std::optional<std::string>> choose(const AuthorizerRequest& request);
  Result<Asked> question(
      const std::string& name,
      const record::Authorizer& authorizer,
      const AuthorizerRequest& request
  );
  // Equal questions that come meanwhile get the same answer.
  Result<AuthorizerAnswer> ask(const Asked& asked);
  // The authorizer as it is by now; one that has gone or is not ACTIVE refuses.
  Result<AuthorizerAnswer> ask_again(Asked asked);
  Result<AuthorizerAnswer> call(const Asked& asked);
  Result<Grants> grants_of(const AuthorizerAnswer& answer, const DeviceFacts& facts) const;
  // The device of the certificate that was shown, as yet with the certificate's rights only.
  Result<std::shared_ptr<LiveDevice>> open_certificate(const AuthorizerRequest& request);
  void keep(
      const std::string& digest,
      std::shared_ptr<const CustomPeer> peer,
      std::chrono::seconds how_long
  );
  void schedule(const std::shared_ptr<LiveDevice>& device, Asked asked, std::chrono::seconds after);
  void refresh(const Refresh& due);
  void run();

  Authorizers& authorizers_;
  const DomainTable& domains_;
  LiveDevices& devices_;
  const AuthorizerFunctions functions_;
  const Clock& clock_;
  const Options& options_;
  Counter& accepted_;
  Counter& refused_;
  Counter& failed_;
  Function<void(const std::string&)> lost_;

  std::mutex mutex_;  // and what follows
  std::condition_variable wakeup_;
  bool stopping_ = false;
  std::multimap<MonotonicTime, Refresh> due_;
  std::size_t forget_at_ = 0;  // entries with which those of devices that have gone are looked for
  std::unordered_map<std::string, Cached> http_cache_;  // by digest of the question
  std::unordered_map<std::string, std::shared_future<Result<AuthorizerAnswer>>> in_flight_;

  ThreadPool pool_;
  std::thread refresher_;
};

}  // namespace iotcore::registry
