#include "gateway/shadow_operations.h"

#include "base/clock.h"
#include "base/crypto.h"
#include "proto/api/data.pb.h"
#include "registry/http_authorizer.h"
#include "registry/list_token.h"
#include "shadow/service.h"

#include <charconv>
#include <string>
#include <utility>

namespace iotcore::gateway {
namespace {

constexpr std::string_view kNamedToken = "named shadows";

using registry::policy::Action;

template <typename Request>
shadow::ShadowId id_of(const Request& request) {
  return {ThingName(request.thing_name()), shadow::ShadowName(request.shadow_name())};
}

// What follows "thing/" in the ARN of a shadow.
template <typename Request>
std::string resource_of(const Request& request) {
  return request.shadow_name().empty() ? request.thing_name()
                                       : request.thing_name() + "/" + request.shadow_name();
}

template <typename Response>
shadow::Service::Done answer_with_body(Reply<Response> reply) {
  return [reply = std::move(reply)](Result<std::string> body) mutable {
    if (!body) {
      reply(fail(std::move(body).error()));
      return;
    }
    Response response;
    response.set_payload(*std::move(body));
    reply(std::move(response));
  };
}

// Registers one of the three that answer with a body: `run(Request, Done)` asks the service.
template <typename Request, typename Response, typename Run>
void add(
    OperationRegistry& operations,
    std::string_view name,
    Action action,
    registry::HttpAuthorizer& authorizer,
    Executor& pool,
    Run run
) {
  operations.add_async<Request, Response>(
      name,
      [&authorizer, &pool, action, run](
          const CallContext& context, Request request, Reply<Response> reply
      ) {
        if (context.peer.kind == broker::PeerIdentity::Kind::kAccessKey) {
          run(request, answer_with_body(std::move(reply)));
          return;
        }
        // The policies of a device may have to be read.
        pool.post([&authorizer,
                   action,
                   run,
                   peer = context.peer,
                   request = std::move(request),
                   reply = std::move(reply)]() mutable {
          if (Status allowed = authorizer.allows(peer, action, resource_of(request)); !allowed) {
            reply(fail(std::move(allowed).error()));
            return;
          }
          run(request, answer_with_body(std::move(reply)));
        });
      }
  );
}

Result<api::ListNamedShadowsForThingResponse> list_named(
    const shadow::Service& shadows,
    const Clock& clock,
    const api::ListNamedShadowsForThingRequest& request
) {
  shadow::ShadowName after;
  if (request.has_next_token()) {
    IOTCORE_ASSIGN(std::string name, registry::name_in_token(kNamedToken, request.next_token()));
    after = shadow::ShadowName(std::move(name));
  }
  const std::size_t limit = request.has_page_size() ? static_cast<std::size_t>(request.page_size())
                                                    : shadows.options().page_default;
  IOTCORE_ASSIGN(
      const shadow::Service::NamedShadows listed,
      shadows.list_named(ThingName(request.thing_name()), after, limit)
  );
  api::ListNamedShadowsForThingResponse response;
  for (const shadow::ShadowName& name : listed.names) {
    response.add_results(name.str());
  }
  if (listed.more) {
    response.set_next_token(registry::list_token(kNamedToken, listed.names.back().view()));
  }
  response.set_timestamp(to_epoch_s(clock.wall()));
  return response;
}

std::string history_body(const shadow::Service::History& history, std::int64_t now_s) {
  std::string body = R"({"versions":[)";
  for (const shadow::document::Document& each : history.versions) {
    body.append(body.back() == '[' ? "" : ",");
    body.append(R"({"version":)").append(std::to_string(each.version()));
    body.append(R"(,"timestamp":)").append(std::to_string(each.record().written_s));
    body.append(R"(,"state":)").append(each.state_json());
    body.append(R"(,"metadata":)").append(each.metadata_json()).append("}");
  }
  body.append("]");
  if (history.more) {
    const std::string last = std::to_string(history.versions.back().version());
    body.append(R"(,"nextToken":")").append(to_base64(last)).append("\"");
  }
  return body.append(R"(,"timestamp":)").append(std::to_string(now_s)).append("}");
}

Result<api::GetThingShadowHistoryResponse> history(
    const shadow::Service& shadows, const api::GetThingShadowHistoryRequest& request
) {
  std::uint64_t before = 0;
  if (request.has_next_token()) {
    const auto last = from_base64(request.next_token());
    const char* const end = last ? last->data() + last->size() : nullptr;
    if (!last || std::from_chars(last->data(), end, before).ptr != end || before < 2) {
      return fail(Errc::kInvalidRequest, "Invalid nextToken");
    }
  }
  const std::size_t limit = request.has_page_size() ? static_cast<std::size_t>(request.page_size())
                                                    : shadows.options().page_default;
  IOTCORE_ASSIGN(
      const shadow::Service::History found, shadows.history(id_of(request), before, limit)
  );
  api::GetThingShadowHistoryResponse response;
  response.set_payload(history_body(found, to_epoch_s(shadows.clock().wall())));
  return response;
}

}  // namespace

void register_shadow_operations(
    OperationRegistry& operations,
    shadow::Service& shadows,
    registry::HttpAuthorizer& authorizer,
    Executor& pool
) {
  add<api::GetThingShadowRequest, api::GetThingShadowResponse>(
      operations,
      "GetThingShadow",
      Action::kGetThingShadow,
      authorizer,
      pool,
      [&shadows](const api::GetThingShadowRequest& request, shadow::Service::Done done) {
        shadows.get(id_of(request), std::move(done));
      }
  );
  add<api::UpdateThingShadowRequest, api::UpdateThingShadowResponse>(
      operations,
      "UpdateThingShadow",
      Action::kUpdateThingShadow,
      authorizer,
      pool,
      [&shadows](const api::UpdateThingShadowRequest& request, shadow::Service::Done done) {
        shadows.update(id_of(request), request.payload(), std::move(done));
      }
  );
  add<api::DeleteThingShadowRequest, api::DeleteThingShadowResponse>(
      operations,
      "DeleteThingShadow",
      Action::kDeleteThingShadow,
      authorizer,
      pool,
      [&shadows](const api::DeleteThingShadowRequest& request, shadow::Service::Done done) {
        shadows.erase(id_of(request), std::move(done));
      }
  );
  operations.add<api::ListNamedShadowsForThingRequest, api::ListNamedShadowsForThingResponse>(
      "ListNamedShadowsForThing",
      [&shadows, &authorizer](
          const CallContext& context, const api::ListNamedShadowsForThingRequest& request
      ) -> Result<api::ListNamedShadowsForThingResponse> {
        IOTCORE_TRY(authorizer.allows(context.peer, Action::kListNamedShadowsForThing, "*"));
        return list_named(shadows, shadows.clock(), request);
      }
  );
  operations.add<api::GetThingShadowHistoryRequest, api::GetThingShadowHistoryResponse>(
      "GetThingShadowHistory",
      [&shadows, &authorizer](
          const CallContext& context, const api::GetThingShadowHistoryRequest& request
      ) -> Result<api::GetThingShadowHistoryResponse> {
        // Whoever may read the shadow may read what it was.
        IOTCORE_TRY(authorizer.allows(context.peer, Action::kGetThingShadow, resource_of(request)));
        return history(shadows, request);
      }
  );
}

}  // namespace iotcore::gateway
