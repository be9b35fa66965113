#include "registry/custom_authorizers.h"

#include "base/metrics.h"
#include "registry/device_permissions.h"
#include "tests/unit/registry/fixture.h"

#include <atomic>
#include <mutex>
#include <thread>

namespace iotcore::registry {
namespace {

using namespace std::chrono_literals;
using broker::Action;

constexpr std::string_view kTopic = "t";

// Custom authorizers whose function is the test itself, with a clock that the test moves.
struct CustomFixture : Fixture {
  CustomFixture() {
    authorizers.on_lost([this](const std::string& client_id) {
      const std::lock_guard lock(mutex);
      lost.push_back(client_id);
    });
    create("a", "arn:aws:lambda:us-east-1:000000000000:function:one");
  }

  void create(const std::string& name, const std::string& function) {
    REQUIRE(registry.authorizers().create(request<api::CreateAuthorizerRequest>(
        "authorizer_name: '" + name + "' authorizer_function_arn: '" + function +
        "' status: 'ACTIVE' signing_disabled: true enable_caching_for_http: true"
    )));
  }

  void update(const std::string& text) {
    REQUIRE(registry.authorizers().update(
        request<api::UpdateAuthorizerRequest>("authorizer_name: 'a' " + text)
    ));
  }

  static std::string answer_of(const std::string& action, const std::string& more = "") {
    return R"({"isAuthenticated":true,"principalId":"p","policyDocuments":[)" +
           allow("iot:" + action, "*") + "]" + more + "}";
  }

  void set_answer(std::string text) {
    const std::lock_guard lock(mutex);
    answer = std::move(text);
  }

  AuthorizerFunctions functions() {
    AuthorizerFunctions out;
    out.local = [this](std::string_view name, const std::string&, std::chrono::milliseconds) {
      const std::lock_guard lock(mutex);
      called.emplace_back(name);
      return Result<std::string>(answer);
    };
    return out;
  }

  std::size_t calls() {
    const std::lock_guard lock(mutex);
    return called.size();
  }

  Result<std::shared_ptr<const CustomPeer>> by_mqtt() {
    AuthorizerRequest asked;
    asked.mqtt.emplace();
    asked.mqtt->user_name = "u?x-amz-customauthorizer-name=a";
    asked.mqtt->client_id = "device";
    return authorizers.authorize(asked);
  }

  Result<std::shared_ptr<const CustomPeer>> by_http() {
    AuthorizerRequest asked;
    asked.http.emplace();
    asked.http->headers.emplace_back("x-amz-customauthorizer-name", "a");
    asked.protocol = policy::Protocol::kHttps;
    return authorizers.authorize(asked);
  }

  // Lets time pass; then what is due is asked again, on threads of their own.
  void pass(std::chrono::seconds time) {
    clock.advance(time);
    authorizers.refresh_due();
  }

  template <typename Condition>
  static bool soon(Condition condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) {
      std::this_thread::sleep_for(5ms);
    }
    return condition();
  }

  std::mutex mutex;
  std::string answer = answer_of("*");
  std::vector<std::string> called;
  std::vector<std::string> lost;
  Metrics metrics;
  Counter& denied = metrics.counter("denied", "");
  DomainTable domains{store, pool};
  CustomAuthorizers authorizers{
      registry.authorizers(),
      domains,
      registry.devices(),
      functions(),
      clock,
      registry.options(),
      metrics};
};

bool may_publish(broker::Permissions& permissions) {
  return permissions.allows(Action::kPublish, kTopic, stable_hash(kTopic));
}

TEST_CASE("g74 g75: an answer holds until it is to be refreshed, and its end stays") {
  CustomFixture f;
  f.set_answer(CustomFixture::answer_of(
      "*", R"(,"refreshAfterInSeconds":300,"disconnectAfterInSeconds":300)"
  ));
  const MonotonicTime connected = f.clock.now();
  const auto peer = f.by_mqtt();
  REQUIRE(peer);
  CustomPermissions permissions(
      (*peer)->device, f.denied, f.clock.now() + (*peer)->disconnect_after
  );
  CHECK(may_publish(permissions));
  f.set_answer(CustomFixture::answer_of(
      "Subscribe", R"(,"refreshAfterInSeconds":300,"disconnectAfterInSeconds":86400)"
  ));
  f.pass(299s);
  CHECK(f.calls() == 1);
  CHECK(may_publish(permissions));
  f.pass(2s);
  CHECK(CustomFixture::soon([&] { return !may_publish(permissions); }));
  CHECK(f.calls() == 2);
  // When it ends was said by the first answer.
  REQUIRE(permissions.session_end());
  CHECK(permissions.session_end()->at == connected + 300s);
  CHECK(permissions.session_end()->reason == broker::CloseReason::kCustomAuthTtl);
  // The second answer said when to ask again, too.
  f.set_answer(CustomFixture::answer_of("*"));
  f.pass(301s);
  CHECK(CustomFixture::soon([&] { return may_publish(permissions); }));
  // This one did not.
  f.pass(100'000s);
  CHECK(f.calls() == 3);
}

TEST_CASE("who is refused when the answer is refreshed has no rights left") {
  const std::string refusal = GENERATE(R"({"isAuthenticated":false})", "no answer");
  CustomFixture f;
  f.set_answer(CustomFixture::answer_of("*", R"(,"refreshAfterInSeconds":300)"));
  const auto peer = f.by_mqtt();
  REQUIRE(peer);
  DevicePermissions permissions((*peer)->device, f.denied);
  f.set_answer(refusal);
  f.pass(301s);
  CHECK(CustomFixture::soon([&] {
    const std::lock_guard lock(f.mutex);
    return f.lost == std::vector<std::string>{"device"};
  }));
  CHECK_FALSE(may_publish(permissions));
}

TEST_CASE("a refresh asks the authorizer as it is by then") {
  CustomFixture f;
  f.set_answer(CustomFixture::answer_of("*", R"(,"refreshAfterInSeconds":300)"));
  REQUIRE(f.by_mqtt());
  const auto peer = f.by_mqtt();
  REQUIRE(peer);
  SECTION("another function") {
    f.update("authorizer_function_arn: 'arn:aws:lambda:us-east-1:000000000000:function:two'");
    f.pass(301s);
    CHECK(CustomFixture::soon([&] { return f.calls() == 3; }));
    CHECK(f.called.back() == "two");
  }
  SECTION("one that is switched off lets nobody stay") {
    f.update("status: 'INACTIVE'");
    f.pass(301s);
    CHECK(CustomFixture::soon([&] {
      const std::lock_guard lock(f.mutex);
      return f.lost == std::vector<std::string>{"device"};
    }));
    CHECK(f.calls() == 2);
  }
}

TEST_CASE("what was due for connections that have gone is forgotten") {
  CustomFixture f;
  f.set_answer(CustomFixture::answer_of("*", R"(,"refreshAfterInSeconds":86400)"));
  const auto stays = f.by_mqtt();
  REQUIRE(stays);
  for (int i = 0; i < 5000; ++i) {
    REQUIRE(f.by_mqtt());
  }
  CHECK(f.authorizers.refreshes_waiting() < 2500);
  CHECK(f.authorizers.refreshes_waiting() >= 1);
  const std::size_t calls = f.calls();
  f.pass(86'400s);
  CHECK(CustomFixture::soon([&] { return f.calls() == calls + 1; }));
}

TEST_CASE("equal requests over HTTP are answered from memory until the authorizer changes") {
  CustomFixture f;
  REQUIRE(f.by_http());
  REQUIRE(f.by_http());
  CHECK(f.calls() == 1);
  SECTION("by another function") {
    f.update("authorizer_function_arn: 'arn:aws:lambda:us-east-1:000000000000:function:two'");
    REQUIRE(f.by_http());
    CHECK(f.called == std::vector<std::string>{"one", "two"});
  }
  SECTION("back to what it was") {
    const auto function = [](const std::string& name) {
      return "authorizer_function_arn: 'arn:aws:lambda:us-east-1:000000000000:function:" + name +
             "'";
    };
    f.clock.advance(1s);
    f.update(function("two"));
    f.clock.advance(1s);
    f.update(function("one"));
    REQUIRE(f.by_http());
    CHECK(f.calls() == 2);
  }
  SECTION("by time") {
    f.clock.advance(301s);
    REQUIRE(f.by_http());
    CHECK(f.calls() == 2);
  }
  SECTION("inactive") {
    f.update("status: 'INACTIVE'");
    CHECK_FALSE(f.by_http());
    CHECK(f.calls() == 1);
  }
  SECTION("caching switched off") {
    f.update("enable_caching_for_http: false");
    REQUIRE(f.by_http());
    REQUIRE(f.by_http());
    CHECK(f.calls() == 3);
  }
}

}  // namespace
}  // namespace iotcore::registry
