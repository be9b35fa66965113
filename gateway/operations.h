#pragma once

#include "base/executor.h"
#include "base/function.h"
#include "base/result.h"
#include "broker/authorizer.h"
#include "gateway/call_control.h"
#include "gateway/operation_table.h"
#include "net/http_message.h"

#include <google/protobuf/message.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace iotcore::gateway {

// Who sent a request, after authentication.
struct CallerIdentity {
  broker::PeerIdentity peer;
  // Of the signature's credential scope, which says what plane is meant; empty when nothing is
  // signed.
  std::string signing_service;
  // Who signed; null for devices, and on a development face for anybody. Second owner: the connection that it opened.
  std::shared_ptr<const registry::Operator> signer;
};

// What a handler may want to know beside the request. The plane distinguishes operations of one
// name.
struct CallContext {
  broker::PeerIdentity peer;
  std::string request_id;
  std::string region;
  std::string account;
  std::string user_agent;
  api::Plane plane = api::IOT;
  std::shared_ptr<const registry::Operator> signer;  // as in CallerIdentity
};

// The answer to one call, to be given once, from any thread. One that is dropped unanswered answers
// InternalFailure.
template <typename Response>
class Reply {
 public:
  using Send = Function<void(Result<std::unique_ptr<google::protobuf::Message>>)>;

  explicit Reply(Send send) : send_(std::move(send)) {}

  Reply(Reply&& other) noexcept : send_(std::exchange(other.send_, nullptr)) {}

  Reply& operator=(Reply&& other) noexcept {
    std::swap(send_, other.send_);
    return *this;
  }

  ~Reply() {
    if (send_) {
      send_(fail(Errc::kInternal, "The request was dropped."));
    }
  }

  void operator()(Result<Response> result) {
    Send send = std::exchange(send_, nullptr);
    if (!result) {
      send(fail(std::move(result).error()));
    } else {
      send(std::make_unique<Response>(std::move(*result)));
    }
  }

 private:
  Send send_;
};

// Which function answers which operation. Filled at start, read by any thread.
class OperationRegistry {
 public:
  explicit OperationRegistry(const OperationTable& table) : table_(table) {}

  // A handler that may block: (const CallContext&, const Request&) -> Result<Response>, on the
  // dispatcher's pool, many calls at once.
  template <typename Request, typename Response, typename Handler>
  void add(std::string_view name, Handler handler) {
    add_entry(
        name,
        Request::descriptor(),
        Response::descriptor(),
        Thread::kPool,
        [handler = std::move(handler
         )](const CallContext& context,
            std::unique_ptr<google::protobuf::Message> request,
            RawReply reply) {
          Reply<Response> typed(std::move(reply));
          typed(handler(context, static_cast<const Request&>(*request)));
        }
    );
  }

  // The same for reads that mostly find their rows in memory. `at_hand`: (const Request&) -> optional<Response>, is asked on the thread that dispatches and must
  // not block; without an answer from it, the handler gives one.
  template <typename Request, typename Response, typename AtHand, typename Handler>
  void add_read(std::string_view name, AtHand at_hand, Handler handler) {
    add<Request, Response>(name, std::move(handler));
    set_at_hand(
        Request::descriptor(),
        [at_hand = std::move(at_hand)](const google::protobuf::Message& request) {
          std::unique_ptr<google::protobuf::Message> out;
          if (auto response = at_hand(static_cast<const Request&>(request))) {
            out = std::make_unique<Response>(*std::move(response));
          }
          return out;
        }
    );
  }

  // A handler that answers later: (const CallContext&, Request, Reply<Response>) -> void, called on
  // the thread that dispatches; it must not block.
  template <typename Request, typename Response, typename Handler>
  void add_async(std::string_view name, Handler handler) {
    add_entry(
        name,
        Request::descriptor(),
        Response::descriptor(),
        Thread::kCaller,
        [handler = std::move(handler
         )](const CallContext& context,
            std::unique_ptr<google::protobuf::Message> request,
            RawReply reply) {
          handler(
              context, std::move(static_cast<Request&>(*request)), Reply<Response>(std::move(reply))
          );
        }
    );
  }

 private:
  friend class Dispatcher;

  using RawReply = Function<void(Result<std::unique_ptr<google::protobuf::Message>>)>;
  using RawHandler =
      Function<void(const CallContext&, std::unique_ptr<google::protobuf::Message>, RawReply)>;
  using AtHand =
      Function<std::unique_ptr<google::protobuf::Message>(const google::protobuf::Message&)>;
  enum class Thread : std::uint8_t { kCaller, kPool };

  struct Entry {
    Thread thread = Thread::kPool;
    mutable RawHandler
        handler;  // called by many threads at once: handlers hold no state of their own
    mutable AtHand at_hand;  // may be empty; the same
  };

  void add_entry(
      std::string_view name,
      const google::protobuf::Descriptor* request,
      const google::protobuf::Descriptor* response,
      Thread thread,
      RawHandler handler
  );
  void set_at_hand(const google::protobuf::Descriptor* request, AtHand at_hand);
  const Entry* find(const Operation& operation) const;

  const OperationTable& table_;
  std::map<const Operation*, Entry> entries_;
};

// From an authenticated HTTP request to its response: route, decode, ask for access, handle, encode. Any thread.
class Dispatcher {
 public:
  struct Site {
    std::string region;
    std::string account;
  };

  // Either may be null: then nobody is refused, or nothing is recorded.
  struct Control {
    AccessControl* access = nullptr;
    CallAudit* audit = nullptr;
  };

  // All of it outlives the dispatcher and every reply.
  Dispatcher(
      const OperationTable& table,
      const OperationRegistry& registry,
      Executor& pool,
      Site site,
      Control control
  )
      : table_(table),
        registry_(registry),
        pool_(pool),
        site_(std::move(site)),
        control_(control) {}

  Dispatcher(
      const OperationTable& table, const OperationRegistry& registry, Executor& pool, Site site
  )
      : Dispatcher(table, registry, pool, std::move(site), Control()) {}

  // `reply` is called once: before this returns or later, on any thread.
  void dispatch(
      net::HttpRequest request, CallerIdentity caller, Function<void(net::HttpResponse)> reply
  ) const;

  // The answer to a request that does not reach dispatch(): not authenticated, too large and so on.
  net::HttpResponse refuse(
      const net::HttpRequest& request, const CallerIdentity& caller, const Error& error
  ) const;

 private:
  struct Call;

  void run(std::unique_ptr<Call> call) const;
  void finish(Call& call, Result<std::unique_ptr<google::protobuf::Message>> result) const;

  const OperationTable& table_;
  const OperationRegistry& registry_;
  Executor& pool_;
  Site site_;
  Control control_;
};

}  // namespace iotcore::gateway
