#include "gateway/operations.h"

#include "base/json.h"
#include "gateway/call_control.h"
#include "gateway/transcode.h"
#include "proto/api/account.pb.h"
#include "proto/api/data.pb.h"
#include "proto/api/imports.pb.h"
#include "proto/api/policies.pb.h"
#include "proto/api/provisioning.pb.h"
#include "proto/api/rules.pb.h"
#include "proto/api/thing_groups.pb.h"
#include "proto/api/things.pb.h"
#include "tests/unit/gateway/samples.h"

#include <catch2/catch.hpp>

#include <optional>

namespace iotcore::gateway {
namespace {

// Keeps tasks until the test runs them.
class HandExecutor final : public Executor {
 public:
  void post(Function<void()> task) override { tasks_.push_back(std::move(task)); }

  std::size_t run() {
    const std::size_t n = tasks_.size();
    for (auto& task : std::exchange(tasks_, {})) {
      task();
    }
    return n;
  }

 private:
  std::vector<Function<void()>> tasks_;
};

struct Fixture {
  HandExecutor pool;
  OperationRegistry registry{api_table()};
  Dispatcher dispatcher{api_table(), registry, pool, {"us-east-1", "000000000000"}};
  std::optional<net::HttpResponse> response;

  void send(net::HttpRequest request, const std::string& signing_service = "iot") {
    CallerIdentity caller;
    caller.peer.kind = broker::PeerIdentity::Kind::kAccessKey;
    caller.peer.principal = "AKID";
    caller.signing_service = signing_service;
    response.reset();
    dispatcher.dispatch(std::move(request), std::move(caller), [this](net::HttpResponse r) {
      REQUIRE(!response);
      response = std::move(r);
    });
  }

  std::string header(std::string_view name) const {
    const std::string* value = response->headers.find(name);
    return value == nullptr ? "" : *value;
  }
};

TEST_CASE_METHOD(Fixture, "a blocking handler runs on the pool and sees who calls") {
  registry.add<api::CreateThingRequest, api::CreateThingResponse>(
      "CreateThing",
      [](const CallContext& context,
         const api::CreateThingRequest& request) -> Result<api::CreateThingResponse> {
        api::CreateThingResponse reply;
        reply.set_thing_name(request.thing_name());
        reply.set_thing_arn(
            "arn:aws:iot:" + context.region + ":" + context.account + ":thing/" +
            request.thing_name()
        );
        reply.set_thing_id(context.peer.principal + context.user_agent);
        return reply;
      }
  );
  send({"POST", "/things/t", {{"User-Agent", "cli"}}, "{}"});
  CHECK(!response);
  CHECK(pool.run() == 1);
  REQUIRE(response);
  CHECK(response->status == 200);
  CHECK(
      response->body ==
      R"({"thingName":"t","thingArn":"arn:aws:iot:us-east-1:000000000000:thing/t","thingId":"AKIDcli"})"
  );
  CHECK(header("Content-Type") == "application/json");
  CHECK(header("x-amzn-RequestId").size() == 36);
}

// Who may do nothing, or anything; writes down what is recorded.
struct Desk final : AccessControl, CallAudit {
  bool unrestricted = true;
  std::vector<std::string> records;

  bool is_unrestricted(const CallerIdentity& /*caller*/) const override { return unrestricted; }

  Status allows(
      const CallerIdentity& /*caller*/,
      std::string_view /*action*/,
      std::span<const std::string> /*resources*/
  ) override {
    return fail(Errc::kAccessDenied, "no");
  }

  void record(const CallRecordView& call) override {
    records.push_back(std::string(call.operation) + ' ' + std::to_string(call.status));
  }
};

TEST_CASE("a read that is at hand is answered at once, recorded, and only to who may have it") {
  HandExecutor pool;
  OperationRegistry registry(api_table());
  Desk desk;
  const Dispatcher dispatcher(api_table(), registry, pool, {"us-east-1", "0"}, {&desk, &desk});
  bool at_hand = true;
  int asked = 0;
  registry.add_read<api::DescribeThingRequest, api::DescribeThingResponse>(
      "DescribeThing",
      [&](const api::DescribeThingRequest& request) {
        ++asked;
        api::DescribeThingResponse response;
        response.set_thing_name(request.thing_name());
        return at_hand ? std::optional(response) : std::nullopt;
      },
      [](const CallContext&, const api::DescribeThingRequest& request
      ) -> Result<api::DescribeThingResponse> {
        return fail(Errc::kNotFound, "no " + request.thing_name());
      }
  );
  std::optional<net::HttpResponse> response;
  const auto send = [&](const std::string& path) {
    response.reset();
    dispatcher.dispatch({"GET", path, {}, ""}, {}, [&](net::HttpResponse r) {
      response = std::move(r);
    });
    return response.has_value();
  };
  REQUIRE(send("/things/t"));
  CHECK(response->status == 200);
  CHECK(response->body.find(R"("thingName":"t")") != std::string::npos);
  CHECK(response->headers.find("x-amzn-RequestId") != nullptr);

  at_hand = false;
  CHECK_FALSE(send("/things/t"));
  CHECK(pool.run() == 1);
  REQUIRE(response);
  CHECK(response->status == 404);

  // What is wrong with the request is said before anything is looked up.
  at_hand = true;
  REQUIRE(send("/things/t%20t"));
  CHECK(response->status == 400);
  CHECK(asked == 2);

  desk.unrestricted = false;
  CHECK_FALSE(send("/things/t"));
  CHECK(pool.run() == 1);
  REQUIRE(response);
  CHECK(response->status == 403);
  CHECK(asked == 2);
  CHECK(
      desk.records == std::vector<std::string>{
                          "DescribeThing 200",
                          "DescribeThing 404",
                          "DescribeThing 400",
                          "DescribeThing 403"}
  );
}

TEST_CASE_METHOD(Fixture, "an asynchronous handler answers later, or not at all") {
  std::optional<Reply<api::GetThingShadowResponse>> kept;
  registry.add_async<api::GetThingShadowRequest, api::GetThingShadowResponse>(
      "GetThingShadow",
      [&](const CallContext& context,
          api::GetThingShadowRequest request,
          Reply<api::GetThingShadowResponse> reply) {
        CHECK(context.plane == api::IOT_DATA);
        CHECK(request.shadow_name() == "s");
        kept.emplace(std::move(reply));
      }
  );
  const net::HttpRequest get{"GET", "/things/t/shadow?name=s", {}, ""};
  send(get, "iotdata");
  CHECK(!response);
  api::GetThingShadowResponse document;
  document.set_payload(R"({"state":{}})");
  (*kept)(document);
  REQUIRE(response);
  CHECK(response->body == R"({"state":{}})");
  CHECK(pool.run() == 0);

  send(get, "iotdata");
  kept.reset();
  REQUIRE(response);
  CHECK(response->status == 500);
  CHECK(header("x-amzn-ErrorType") == "InternalFailureException");
}

TEST_CASE_METHOD(Fixture, "an error carries its type, its details and, on data planes, a trace") {
  registry.add<api::CreatePolicyRequest, api::CreatePolicyResponse>(
      "CreatePolicy",
      [](const CallContext&, const api::CreatePolicyRequest&) -> Result<api::CreatePolicyResponse> {
        return fail(Error(Errc::kAlreadyExists, "Policy \"p\" exists.")
                        .with("resourceId", "p")
                        .with("resourceArn", "arn:p"));
      }
  );
  send({"POST", "/policies/p", {}, R"({"policyDocument":"{}"})"});
  pool.run();
  REQUIRE(response);
  CHECK(response->status == 409);
  CHECK(header("x-amzn-ErrorType") == "ResourceAlreadyExistsException");
  CHECK(
      response->body ==
      R"({"message":"Policy \"p\" exists.","resourceId":"p","resourceArn":"arn:p"})"
  );

  send({"GET", "/things/%20/shadow", {}, ""}, "iotdata");
  registry.add_async<api::GetThingShadowRequest, api::GetThingShadowResponse>(
      "GetThingShadow", [](const CallContext&, api::GetThingShadowRequest, auto) {}
  );
  send({"GET", "/things/%20/shadow", {}, ""}, "iotdata");
  REQUIRE(response);
  CHECK(response->status == 400);
  const auto body = parse_json(response->body);
  REQUIRE(body);
  CHECK(body->at("traceId").as_string() == json::string(header("x-amzn-RequestId")));
}

TEST_CASE_METHOD(Fixture, "what has no handler or no route says so") {
  send({"GET", "/things", {}, ""});
  REQUIRE(response);
  CHECK(response->status == 501);
  CHECK(header("x-amzn-ErrorType") == "NotImplementedException");
  send({"GET", "/nothing/here", {}, ""});
  REQUIRE(response);
  CHECK(response->status == 404);
  CHECK(header("x-amzn-ErrorType") == "UnknownOperationException");
  CHECK(header("x-amzn-RequestId").size() == 36);
}

TEST_CASE("a request is about the resources that it names, by name, by ARN or in lists") {
  const auto of = [](std::string_view name, const google::protobuf::Message& request) {
    return resources_of(*api_table().find(api::IOT, name), request, "arn:");
  };
  using Names = std::vector<std::string>;
  api::AddThingToThingGroupRequest add;
  add.set_thing_group_name("g");
  add.set_thing_arn("arn:thing/t");
  CHECK(of("AddThingToThingGroup", add) == Names{"arn:thinggroup/g", "arn:thing/t"});
  api::UpdateThingGroupsForThingRequest update;
  update.set_thing_name("t");
  update.add_thing_groups_to_add("a");
  update.add_thing_groups_to_add("b");
  update.add_thing_groups_to_remove("c");
  CHECK(
      of("UpdateThingGroupsForThing", update) ==
      Names{"arn:thing/t", "arn:thinggroup/a", "arn:thinggroup/b", "arn:thinggroup/c"}
  );
  api::TagResourceRequest tag;
  tag.set_resource_arn("arn:policy/p");
  CHECK(of("TagResource", tag) == Names{"arn:policy/p"});
  CHECK(of("RegisterThing", api::RegisterThingRequest()) == Names{"*"});
  CHECK(of("ImportThings", api::ImportThingsRequest()) == Names{"*"});
  CHECK(of("UpdateThingGroupsForThing", api::UpdateThingGroupsForThingRequest()) == Names{"*"});
}

TEST_CASE("errors are spelled as the operation models them") {
  const auto spelled = [](Errc code, api::Plane plane, std::string_view operation) {
    const auto response =
        error_response(Error(code, "m"), api_table().find(plane, operation), plane, "id");
    return *response.headers.find("x-amzn-errortype") + " " + std::to_string(response.status);
  };
  CHECK(spelled(Errc::kInternal, api::IOT, "CreateThing") == "InternalFailureException 500");
  CHECK(spelled(Errc::kInternal, api::IOT, "CreateTopicRule") == "InternalException 500");
  CHECK(spelled(Errc::kThrottled, api::IOT, "CreateThing") == "ThrottlingException 400");
  CHECK(spelled(Errc::kThrottled, api::IOT_DATA, "Publish") == "ThrottlingException 429");
  CHECK(spelled(Errc::kLimitExceeded, api::IOT, "AttachPolicy") == "LimitExceededException 410");
  CHECK(spelled(Errc::kMalformedJson, api::IOT, "CreateThing") == "InvalidRequestException 400");
  CHECK(spelled(Errc::kStoreIo, api::IOT, "CreateThing") == "ServiceUnavailableException 503");
}

}  // namespace
}  // namespace iotcore::gateway
