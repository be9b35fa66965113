#include "gateway/operations.h"

#include "base/check.h"
#include "base/crypto.h"
#include "gateway/transcode.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

namespace iotcore::gateway {
namespace {

RouteScope scope_of(const CallerIdentity& caller) {
  return {
      .signing_service = caller.signing_service,
      .device = caller.peer.kind == broker::PeerIdentity::Kind::kCertificate ||
                caller.peer.kind == broker::PeerIdentity::Kind::kCustomAuthorizer};
}

// The plane whose error form suits a caller that reached no operation.
api::Plane plane_of(const RouteScope& scope) {
  if (scope.device) {
    return api::IOT_DATA;
  }
  for (const api::Plane plane : {api::IOT_DATA, api::IOT_JOBS_DATA}) {
    if (plane_has_signing_name(plane, scope.signing_service)) {
      return plane;
    }
  }
  return api::IOT;
}

}  // namespace

void OperationRegistry::add_entry(
    std::string_view name,
    const google::protobuf::Descriptor* request,
    const google::protobuf::Descriptor* response,
    Thread thread,
    RawHandler handler
) {
  const Operation* operation = table_.find_by_request(request);
  IOTCORE_CHECK(operation != nullptr && operation->name == name);
  IOTCORE_CHECK(operation->response->descriptor == response);
  const bool added = entries_.try_emplace(operation, Entry{thread, std::move(handler), {}}).second;
  IOTCORE_CHECK(added);
}

void OperationRegistry::set_at_hand(
    const google::protobuf::Descriptor* request, AtHand at_hand
) {
  entries_.at(table_.find_by_request(request)).at_hand = std::move(at_hand);
}

const OperationRegistry::Entry* OperationRegistry::find(const Operation& operation) const {
  const auto it = entries_.find(&operation);
  return it == entries_.end() ? nullptr : &it->second;
}

// One call on its way through dispatch().
struct Dispatcher::Call {
  const Operation* operation = nullptr;
  const OperationRegistry::Entry* entry = nullptr;
  CallerIdentity caller;
  CallContext context;
  std::unique_ptr<google::protobuf::Message> message;
  std::vector<std::string> resources;
  Function<void(net::HttpResponse)> reply;
};

void Dispatcher::finish(Call& call, Result<std::unique_ptr<google::protobuf::Message>> result)
    const {
  const CallContext& context = call.context;
  net::HttpResponse response;
  if (result) {
    response = encode(*call.operation, **result);
    response.headers.add("x-amzn-RequestId", context.request_id);
  } else {
    response = error_response(result.error(), call.operation, context.plane, context.request_id);
  }
  if (control_.audit != nullptr && context.plane == api::IOT) {
    const std::string* error = response.headers.find("x-amzn-ErrorType");
    control_.audit->record(
        {.caller = call.caller,
         .operation = call.operation == nullptr ? std::string_view() : call.operation->name,
         .resources = call.resources,
         .request_id = context.request_id,
         .user_agent = context.user_agent,
         .status = response.status,
         .error = error == nullptr ? std::string_view() : std::string_view(*error)}
    );
  }
  call.reply(std::move(response));
}

void Dispatcher::run(std::unique_ptr<Call> call) const {
  // Second owner: the reply, which may come while the handler still looks at the context.
  const std::shared_ptr<Call> shared = std::move(call);
  OperationRegistry::RawReply send = [this, shared](
                                         Result<std::unique_ptr<google::protobuf::Message>> result
                                     ) { finish(*shared, std::move(result)); };
  shared->entry->handler(shared->context, std::move(shared->message), std::move(send));
}

void Dispatcher::dispatch(
    net::HttpRequest request, CallerIdentity caller, Function<void(net::HttpResponse)> reply
) const {
  auto call = std::make_unique<Call>();
  call->reply = std::move(reply);
  CallContext& context = call->context;
  context.request_id = new_uuid();
  context.peer = caller.peer;
  context.signer = caller.signer;
  context.region = site_.region;
  context.account = site_.account;
  if (const std::string* user_agent = request.headers.find("user-agent")) {
    context.user_agent = *user_agent;
  }
  call->caller = std::move(caller);
  const RouteScope scope = scope_of(call->caller);
  context.plane = plane_of(scope);
  const auto match = table_.route(request.method, net::split_target(request.target).path, scope);
  if (!match) {
    finish(*call, fail(match.error()));
    return;
  }
  call->operation = match->operation;
  context.plane = match->operation->plane;
  call->entry = registry_.find(*match->operation);
  if (call->entry == nullptr) {
    finish(
        *call,
        fail(
            Errc::kNotImplemented,
            fmt::format("{} is not implemented here yet.", match->operation->name)
        )
    );
    return;
  }
  Decoded decoded = decode_what_can_be(request, *match);
  call->message = std::move(decoded.message);
  call->resources = resources_of(
      *call->operation,
      *call->message,
      fmt::format("arn:aws:iot:{}:{}:", site_.region, site_.account)
  );
  const bool ask = control_.access != nullptr && !control_.access->is_unrestricted(call->caller);
  if (!ask && !decoded.status) {
    finish(*call, fail(std::move(decoded.status).error()));
    return;
  }
  if (!ask && call->entry->thread == OperationRegistry::Thread::kCaller) {
    run(std::move(call));
    return;
  }
  if (!ask && call->entry->at_hand) {
    if (auto response = call->entry->at_hand(*call->message)) {
      finish(*call, std::move(response));
      return;
    }
  }
  pool_.post([this, ask, call = std::move(call), status = std::move(decoded.status)]() mutable {
    if (ask) {
      auto allowed =
          control_.access->allows(call->caller, call->operation->action, call->resources);
      if (!allowed) {
        finish(*call, fail(std::move(allowed).error()));
        return;
      }
    }
    // Only who may call the operation learns what is wrong with his request, as on AWS.
    if (!status) {
      finish(*call, fail(std::move(status).error()));
      return;
    }
    run(std::move(call));
  });
}

net::HttpResponse Dispatcher::refuse(
    const net::HttpRequest& request, const CallerIdentity& caller, const Error& error
) const {
  Call call;
  call.caller = caller;
  const RouteScope scope = scope_of(call.caller);
  const auto match = table_.route(request.method, net::split_target(request.target).path, scope);
  net::HttpResponse response;
  call.operation = match ? match->operation : nullptr;
  call.context.request_id = new_uuid();
  call.context.plane = call.operation != nullptr ? call.operation->plane : plane_of(scope);
  call.reply = [&response](net::HttpResponse made) { response = std::move(made); };
  finish(call, fail(error));
  return response;
}

}  // namespace iotcore::gateway
