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
      .device = caller.peer.kind == broker::PeerIdentity::Kind::kCertificate};
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
  const bool added = entries_.try_emplace(operation, Entry{thread, std::move(handler)}).second;
  IOTCORE_CHECK(added);
}

const OperationRegistry::Entry* OperationRegistry::find(const Operation& operation) const {
  const auto it = entries_.find(&operation);
  return it == entries_.end() ? nullptr : &it->second;
}

void Dispatcher::dispatch(
    net::HttpRequest request, CallerIdentity caller, Function<void(net::HttpResponse)> reply
) const {
  auto context = std::make_unique<CallContext>();
  context->request_id = new_uuid();
  const RouteScope scope = scope_of(caller);
  const auto match = table_.route(request.method, net::split_target(request.target).path, scope);
  if (!match) {
    reply(error_response(match.error(), nullptr, plane_of(scope), context->request_id));
    return;
  }
  const Operation& operation = *match->operation;
  context->plane = operation.plane;
  const auto answer_error = [&](const Error& error) {
    reply(error_response(error, &operation, operation.plane, context->request_id));
  };
  const OperationRegistry::Entry* entry = registry_.find(operation);
  if (entry == nullptr) {
    answer_error(
        {Errc::kNotImplemented, fmt::format("{} is not implemented here yet.", operation.name)}
    );
    return;
  }
  auto message = decode(request, *match);
  if (!message) {
    answer_error(message.error());
    return;
  }
  context->peer = std::move(caller.peer);
  context->region = site_.region;
  context->account = site_.account;
  if (const std::string* user_agent = request.headers.find("user-agent")) {
    context->user_agent = *user_agent;
  }

  OperationRegistry::RawReply send =
      [&operation, id = context->request_id, reply = std::move(reply)](
          Result<std::unique_ptr<google::protobuf::Message>> result
      ) mutable {
        if (!result) {
          reply(error_response(result.error(), &operation, operation.plane, id));
          return;
        }
        net::HttpResponse response = encode(operation, **result);
        response.headers.add("x-amzn-RequestId", std::move(id));
        reply(std::move(response));
      };
  if (entry->thread == OperationRegistry::Thread::kCaller) {
    entry->handler(*context, std::move(*message), std::move(send));
    return;
  }
  pool_.post(
      [entry, context = std::move(context), message = std::move(*message), send = std::move(send)](
      ) mutable { entry->handler(*context, std::move(message), std::move(send)); }
  );
}

net::HttpResponse Dispatcher::refuse(
    const net::HttpRequest& request, const CallerIdentity& caller, const Error& error
) const {
  const RouteScope scope = scope_of(caller);
  const auto match = table_.route(request.method, net::split_target(request.target).path, scope);
  const Operation* operation = match ? match->operation : nullptr;
  const api::Plane plane = operation != nullptr ? operation->plane : plane_of(scope);
  return error_response(error, operation, plane, new_uuid());
}

}  // namespace iotcore::gateway
