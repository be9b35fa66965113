#include "shadow/service.h"

#include "shadow/rows.h"
#include "tests/unit/shadow/service_fixture.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>

namespace iotcore::shadow {
namespace {

using test::Published;
using test::ServiceFixture;

const std::string kPrefix = "$aws/things/t1/shadow";
const std::string kUpdate = kPrefix + "/update";
constexpr const char* kState = R"({"state":{"reported":{"a":1}}})";

std::vector<std::string> topics(const std::vector<Published>& published) {
  std::vector<std::string> all;
  for (const Published& message : published) {
    all.push_back(message.topic.substr(message.topic.find("shadow/") + 7));
  }
  return all;
}

using Topics = std::vector<std::string>;

// The reason of the next PUBACK; nothing: none has come.
std::optional<broker::mqtt::Reason> puback(broker::test::TestClient& client) {
  const broker::mqtt::PacketView packet = client.receive();
  const auto* ack = std::get_if<broker::mqtt::Ack>(&packet);
  return ack == nullptr ? std::nullopt : std::optional(ack->reason);
}

TEST_CASE("answers come in their order") {
  ServiceFixture f;
  f.publish(kUpdate, R"({"state":{"desired":{"a":1}}})");
  f.settle();
  const auto published = f.take();
  CHECK(topics(published) == Topics{"update/accepted", "update/documents", "update/delta"});
  f.publish(kPrefix + "/get", "");
  f.publish(kPrefix + "/delete", "");
  f.publish(kPrefix + "/get", "");
  f.settle();
  CHECK(topics(f.take()) == Topics{"get/accepted", "delete/accepted", "get/rejected"});
}

TEST_CASE("bodies go to those who want them, whoever asks") {
  ServiceFixture f(1, {}, nullptr, false);
  test::Recorder deltas;
  f.broker.add_consumer("$aws/things/+/shadow/update/delta", deltas);
  f.publish(kUpdate, R"({"state":{"desired":{"a":1}}})");
  const Result<std::string> body = f.update(ServiceFixture::classic("t1"), kState);
  CHECK(ServiceFixture::version_of(body.value()) == 2);
  f.publish(kUpdate, "{");
  f.settle();
  REQUIRE(deltas.seen.size() == 1);
  CHECK(ServiceFixture::version_of(deltas.seen[0].payload) == 1);
}

TEST_CASE("a client gets the answers it has subscribed to and its PUBACK") {
  ServiceFixture f;
  auto& client = f.client("t1");
  std::string entries;
  broker::mqtt::SubscriptionView entry;
  entry.filter = "$aws/things/t1/shadow/get/+";
  broker::mqtt::append_entry(entries, entry);
  broker::mqtt::SubscribeView subscribe;
  subscribe.packet_id = PacketId{1};
  subscribe.entries = {entries, 1};
  client.send(subscribe);
  f.settle();
  client.receive();
  f.send(client, kPrefix + "/get", R"({"clientToken":"x"})", 5);
  f.settle();
  bool answered = false;
  bool acknowledged = false;
  for (int i = 0; i < 2; ++i) {
    const broker::mqtt::PacketView packet = client.receive();
    if (const auto* publish = std::get_if<broker::mqtt::PublishView>(&packet)) {
      CHECK(publish->topic == "$aws/things/t1/shadow/get/rejected");
      CHECK(
          publish->payload ==
          R"({"code":404,"message":"No shadow exists with name: 't1'","clientToken":"x"})"
      );
      answered = true;
    } else {
      acknowledged = std::holds_alternative<broker::mqtt::Ack>(packet);
    }
  }
  CHECK(answered);
  CHECK(acknowledged);
}

TEST_CASE("nothing is accepted, and no PUBACK sent, before the commit is durable") {
  const std::size_t workers = GENERATE(1U, 2U);
  ServiceFixture f(workers);
  auto& client = f.client("some-client", index(f.workers.owner_of("some-client")));
  const std::size_t at = index(f.workers.owner_of("some-client"));
  f.fault.hold();
  std::optional<Result<std::string>> api;
  f.send(client, kUpdate, kState, 1, at);
  f.settle();
  f.service->update(ServiceFixture::classic("t1"), kState, [&](auto got) { api = std::move(got); });
  f.settle();
  CHECK(f.take().empty());
  CHECK_FALSE(puback(client));
  CHECK_FALSE(api);
  // What builds on what is not durable yet waits, too: a read, a conflict, a deletion, a miss after it.
  f.publish(kPrefix + "/get", "");
  f.settle();
  f.publish(kUpdate, R"({"state":{},"version":1})");
  f.publish(kPrefix + "/delete", "");
  f.settle();
  f.publish(kPrefix + "/get", "");
  f.settle();
  CHECK(f.take().empty());
  // What needs no document does not.
  f.publish(kUpdate, "{");
  f.publish("$aws/things/other/shadow/get", "");
  f.settle();
  CHECK(f.take().size() == 2);
  f.fault.release();
  f.settle();
  const auto published = f.take();
  CHECK(
      topics(published) ==
      Topics{
          "update/accepted",
          "update/documents",
          "update/accepted",
          "update/documents",
          "get/accepted",
          "update/rejected",
          "delete/accepted",
          "get/rejected",
      }
  );
  CHECK(ServiceFixture::version_of(published[0].payload) == 1);
  CHECK(ServiceFixture::version_of(published[2].payload) == 2);
  CHECK(ServiceFixture::version_of(published[4].payload) == 2);
  CHECK(puback(client) == broker::mqtt::Reason::kSuccess);
  REQUIRE(api);
  CHECK(ServiceFixture::version_of(**api) == 2);
}

TEST_CASE("a failed commit refuses all that was built on it, and memory goes back to the store") {
  ServiceFixture f;
  auto& client = f.client("c");
  REQUIRE(f.update(ServiceFixture::classic("t1"), kState));
  f.take();
  f.fault.break_writes({Errc::kStoreFull, "the disk is full"});
  f.send(client, kUpdate, R"({"state":{"reported":{"a":2}},"clientToken":"k"})", 1);
  f.publish(kPrefix + "/get", "");
  f.settle();
  const auto refused = f.take();
  CHECK(topics(refused) == Topics{"update/rejected", "get/rejected"});
  CHECK(
      refused[0].payload == R"({"code":503,"message":"Internal service failure","clientToken":"k"})"
  );
  CHECK(puback(client) == broker::mqtt::Reason::kUnspecifiedError);
  // Reading goes on, with what is kept.
  const Result<std::string> kept = f.get(ServiceFixture::classic("t1"));
  REQUIRE(kept);
  CHECK(ServiceFixture::version_of(*kept) == 1);
  CHECK(parse_json(*kept)->at("state").at("reported").at("a") == 1);
  const Result<std::string> failed = f.update(ServiceFixture::classic("t1"), kState);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code() == Errc::kUnavailable);
  CHECK(f.take().empty());
  const Result<std::string> not_deleted = f.erase(ServiceFixture::classic("t1"));
  CHECK_FALSE(not_deleted);
  f.fault.mend();
  const Result<std::string> next = f.update(ServiceFixture::classic("t1"), kState);
  REQUIRE(next);
  CHECK(ServiceFixture::version_of(*next) == 2);
}

TEST_CASE("requests that come while a failed shadow is read again wait for it in their order") {
  ServiceFixture f;
  f.fault.hold();
  f.publish(kUpdate, kState);
  f.settle();
  f.publish(kUpdate, kState);  // the next turn, hence the next commit
  f.settle();
  CHECK(f.fault.held() == 2);
  f.publish(kUpdate, kState);  // before the failure is known
  f.fault.break_writes({Errc::kStoreIo, "broken"});
  f.fault.release();
  Result<std::string> api = fail(Errc::kTimeout, "no answer");
  f.service->update(ServiceFixture::classic("t1"), kState, [&](auto got) { api = std::move(got); });
  f.settle(false);
  f.fault.mend();
  f.publish(kPrefix + "/get", "");
  f.settle();
  const auto published = f.take();
  std::map<std::string, int> count;
  std::vector<std::int64_t> versions;
  for (const Published& message : published) {
    ++count[message.topic.substr(message.topic.find("shadow/") + 7)];
    if (message.topic.ends_with("update/accepted")) {
      versions.push_back(ServiceFixture::version_of(message.payload));
    }
  }
  CHECK(count["update/rejected"] == 3);
  CHECK(versions == std::vector<std::int64_t>{1});
  REQUIRE(api);
  CHECK(ServiceFixture::version_of(*api) == 1);
  CHECK(ServiceFixture::version_of(published.back().payload) == 1);
}

TEST_CASE("concurrent updates of a shadow lose nothing and number their versions without a gap") {
  const std::size_t workers = GENERATE(1U, 2U);
  const bool held = GENERATE(false, true);
  ServiceFixture f(workers);
  constexpr int kUpdates = 600;
  std::mt19937 random(7);
  int answered = 0;
  std::vector<std::int64_t> api_versions;
  std::vector<broker::test::TestClient*> clients;
  std::vector<std::size_t> at;
  for (int i = 0; i < 10; ++i) {
    const std::string id = "client-" + std::to_string(i);
    at.push_back(index(f.workers.owner_of(id)));
    clients.push_back(&f.client(id, at.back()));
  }
  for (int i = 0; i < kUpdates; ++i) {
    const std::string payload = R"({"state":{"reported":{"k)" + std::to_string(i) + R"(":1}}})";
    const std::size_t who = random() % 12;
    if (who < clients.size()) {
      f.send(*clients[who], kUpdate, payload, static_cast<std::uint16_t>(i + 1), at[who]);
    } else {
      f.service->update(ServiceFixture::classic("t1"), payload, [&](Result<std::string> got) {
        ++answered;
        api_versions.push_back(ServiceFixture::version_of(got.value()));
      });
    }
    if (random() % 5 == 0) {
      f.settle(random() % 3 == 0);
    }
    if (held && random() % 20 == 0) {
      random() % 2 == 0 ? f.fault.hold() : f.fault.release();
    }
  }
  f.fault.release();
  f.settle();
  std::vector<std::int64_t> accepted;
  std::vector<std::int64_t> documents;
  for (const Published& message : f.take()) {
    if (message.topic == kUpdate + "/accepted") {
      accepted.push_back(ServiceFixture::version_of(message.payload));
    } else if (message.topic == kUpdate + "/documents") {
      documents.push_back(
          parse_json(message.payload)->at("current").at("version").to_number<std::int64_t>()
      );
    }
  }
  std::vector<std::int64_t> expected;
  for (std::int64_t i = 1; i <= kUpdates; ++i) {
    expected.push_back(i);
  }
  CHECK(accepted == expected);
  CHECK(documents == expected);
  CHECK(answered == static_cast<int>(api_versions.size()));
  CHECK(std::is_sorted(api_versions.begin(), api_versions.end()));
  const Result<std::string> end = f.get(ServiceFixture::classic("t1"));
  REQUIRE(end);
  CHECK(parse_json(*end)->at("state").at("reported").as_object().size() == kUpdates);
}

TEST_CASE("updates of one turn share a commit, and one row for each shadow") {
  ServiceFixture f;
  REQUIRE(f.update(ServiceFixture::classic("t1"), kState));
  const int commits = f.store.commits;
  const std::uint64_t writes = f.store.writes;
  for (int i = 0; i < 100; ++i) {
    f.publish(kUpdate, kState);
  }
  f.settle();
  CHECK(f.store.commits == commits + 1);
  CHECK(f.store.writes == writes + 1);
  CHECK(f.take().size() == 2 + 200);
}

TEST_CASE("shadows, and the versions of deleted ones, outlive the process") {
  store::MemoryStore kept;
  std::string before;
  {
    ServiceFixture f(1, {}, &kept);
    REQUIRE(f.update(ServiceFixture::classic("t1"), R"({"state":{"desired":{"a":[1,{}]}}})"));
    REQUIRE(f.update(ServiceFixture::named("t1", "s"), kState));
    REQUIRE(f.update(ServiceFixture::named("t1", "gone"), kState));
    REQUIRE(f.erase(ServiceFixture::named("t1", "gone")));
    before = f.get(ServiceFixture::classic("t1")).value();
  }
  ServiceFixture f(2, {}, &kept);
  CHECK(f.get(ServiceFixture::classic("t1")).value() == before);
  CHECK(ServiceFixture::version_of(*f.update(ServiceFixture::named("t1", "s"), kState)) == 2);
  const Result<std::string> gone = f.get(ServiceFixture::named("t1", "gone"));
  CHECK(gone.error().message() == "No shadow exists with name: 't1~gone'");
  CHECK(ServiceFixture::version_of(*f.update(ServiceFixture::named("t1", "gone"), kState)) == 3);
  CHECK(f.service->list_named(ThingName("t1"), ShadowName(), 10)->names.size() == 2);
}

TEST_CASE("a deleted shadow's version is forgotten after its time") {
  const bool swept = GENERATE(false, true);
  const bool cached = GENERATE(false, true);
  store::MemoryStore kept;
  ServiceFixture f(1, {}, &kept);
  const ShadowId id = ServiceFixture::classic("t1");
  REQUIRE(f.update(id, kState));
  REQUIRE(f.erase(id));
  f.clock.advance(std::chrono::hours(48) - std::chrono::seconds(1));
  if (swept) {
    REQUIRE(f.service->forget_old_tombstones());
  }
  CHECK(ServiceFixture::version_of(*f.update(id, kState)) == 3);
  REQUIRE(f.erase(id));
  f.clock.advance(std::chrono::hours(48));
  if (swept) {
    REQUIRE(f.service->forget_old_tombstones());
    CHECK(kept.scan(store::Table::kShadows, "t", "", 10)->empty());
  }
  if (cached) {
    CHECK(ServiceFixture::version_of(*f.update(id, kState)) == 1);
  } else {
    ServiceFixture again(1, {}, &kept);
    again.clock.advance(std::chrono::hours(96));
    CHECK(ServiceFixture::version_of(*again.update(id, kState)) == 1);
    CHECK(kept.scan(store::Table::kShadows, "t", "", 10)->empty());
  }
}

TEST_CASE("the versions of deleted shadows are swept by themselves") {
  ServiceFixture f;
  REQUIRE(f.update(ServiceFixture::classic("t1"), kState));
  REQUIRE(f.erase(ServiceFixture::classic("t1")));
  const auto kept = [&] { return f.memory.scan(store::Table::kShadows, "t", "", 10)->size(); };
  for (int hour = 0; hour < 48; ++hour) {
    CHECK(kept() == 1);
    f.clock.advance(std::chrono::minutes(61));
    f.timers.advance(f.clock.now());
    f.settle();
  }
  CHECK(kept() == 0);
}

TEST_CASE("a burst on shadows that are not in memory is read together and answered in order") {
  ServiceFixture f;
  for (int i = 0; i < 100; ++i) {
    const std::string prefix = "$aws/things/thing" + std::to_string(i) + "/shadow";
    f.publish(prefix + "/get", "");
    f.publish(prefix + "/update", kState);
    f.publish(prefix + "/get", "");
  }
  f.settle(false);
  CHECK(f.take().empty());
  f.settle();
  CHECK(f.store.reads == 2);
  std::map<std::string, Topics> by_thing;
  for (const Published& message : f.take()) {
    const std::size_t end = message.topic.find("/shadow/");
    by_thing[message.topic.substr(0, end)].push_back(message.topic.substr(end + 8));
  }
  CHECK(by_thing.size() == 100);
  for (const auto& [thing, answers] : by_thing) {
    CHECK(answers == Topics{"get/rejected", "update/accepted", "update/documents", "get/accepted"});
  }
}

TEST_CASE("a shadow that cannot be read is not made anew") {
  ServiceFixture f;
  REQUIRE(f.update(ServiceFixture::classic("t1"), kState));
  ServiceFixture after(1, {}, &f.memory);
  after.store.broken = true;
  const Result<std::string> failed = after.update(ServiceFixture::classic("t1"), kState);
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code() == Errc::kStoreIo);
  CHECK(failed.error().message() == "Internal service failure");
  after.publish(kPrefix + "/get", "");
  after.settle();
  CHECK(after.take().at(0).payload == R"({"code":503,"message":"Internal service failure"})");
  after.store.broken = false;
  CHECK(ServiceFixture::version_of(*after.update(ServiceFixture::classic("t1"), kState)) == 2);
  store::Batch batch;
  batch.put(store::Table::kShadows, document_key("t2", ""), "\xff\xff");
  REQUIRE(f.memory.commit_wait(std::move(batch)));
  CHECK(after.update(ServiceFixture::classic("t2"), kState).error().code() == Errc::kStoreCorrupt);
}

TEST_CASE("too many requests that wait are refused, and reading what is at hand is not") {
  ServiceOptions options;
  const bool by_bytes = GENERATE(false, true);
  constexpr std::size_t kMax = 8;
  if (by_bytes) {
    options.waiting_bytes_max = 8192;
  } else {
    options.waiting_requests_max = kMax;
  }
  ServiceFixture f(1, options);
  REQUIRE(f.update(ServiceFixture::classic("ready"), kState));
  f.take();
  f.fault.hold();
  for (int i = 0; i < 100; ++i) {
    f.publish(kUpdate, R"({"state":{"desired":{"a":1}},"clientToken":"t"})");
  }
  f.settle();
  const auto refused = f.take();
  REQUIRE_FALSE(refused.empty());
  CHECK(refused[0].topic == kUpdate + "/rejected");
  CHECK(refused[0].payload == R"({"code":429,"message":"Rate exceeded","clientToken":"t"})");
  if (!by_bytes) {
    CHECK(refused.size() == 100 - kMax);
  }
  CHECK(f.get(ServiceFixture::classic("ready")));
  f.fault.release();
  f.settle();
  const auto accepted = f.take();
  CHECK(accepted.size() == 3 * (100 - refused.size()));
  REQUIRE(f.update(ServiceFixture::classic("t1"), kState));

  // The same for shadows that wait to be read.
  f.take();
  for (int i = 0; i < 100; ++i) {
    f.publish("$aws/things/cold/shadow/get", "");
  }
  f.settle(false);
  const std::size_t refused_cold = f.take().size();
  CHECK(refused_cold > 0);
  f.settle();
  CHECK(f.take().size() == 100 - refused_cold);
}

TEST_CASE("the memory of the cache is bounded, and what is dropped comes back from the store") {
  ServiceOptions options;
  options.cache_bytes_max = 64 * 1024;
  ServiceFixture f(1, options);
  for (int round = 1; round <= 2; ++round) {
    for (int i = 0; i < 500; ++i) {
      const ShadowId id = ServiceFixture::classic("thing" + std::to_string(i));
      CHECK(ServiceFixture::version_of(*f.update(id, kState)) == round);
    }
  }
  CHECK(f.store.reads == 1000);
  const std::string metrics = f.metrics.to_text();
  const auto value = [&](const std::string& name) {
    const std::size_t at = metrics.find("\n" + name + " ");
    REQUIRE(at != std::string::npos);
    return std::stod(metrics.substr(at + name.size() + 2));
  };
  CHECK(value("iotcore_shadow_cache_bytes") <= 64.0 * 1024);
  CHECK(value("iotcore_shadows_cached") > 20);
  CHECK(value("iotcore_shadows_loading") == 0);
  CHECK(value("iotcore_shadow_waiting_bytes") == 0);
  CHECK(
      metrics.find(R"(iotcore_shadow_requests_total{code="200",operation="update"} 1000)") !=
      std::string::npos
  );
}

TEST_CASE("a will changes no shadow, and other publishers do") {
  ServiceFixture f;
  f.publish(kUpdate, kState, broker::Origin::kWill);
  f.settle();
  CHECK(f.take().empty());
  CHECK_FALSE(f.get(ServiceFixture::classic("t1")));
  for (const broker::Origin origin :
       {broker::Origin::kClient, broker::Origin::kHttp, broker::Origin::kRule}) {
    f.publish(kUpdate, kState, origin);
  }
  f.settle();
  CHECK(ServiceFixture::version_of(*f.get(ServiceFixture::classic("t1"))) == 3);
}

TEST_CASE("names that no shadow can have are refused on the topic they came on") {
  ServiceFixture f;
  const std::string long_name(129, 'a');
  const std::string prefixes[] = {
      "$aws/things/a b/shadow",
      "$aws/things/t1/shadow/name/a b",
      "$aws/things//shadow",
      "$aws/things/t1/shadow/name/",
  };
  for (const std::string& prefix : prefixes) {
    f.publish(prefix + "/get", R"({"clientToken":"x"})");
    f.settle();
    const auto published = f.take();
    REQUIRE(published.size() == 1);
    CHECK(published[0].topic == prefix + "/get/rejected");
    CHECK(parse_json(published[0].payload)->at("code") == 400);
    CHECK(parse_json(published[0].payload)->at("clientToken") == "x");
  }
  CHECK(f.get(ServiceFixture::classic(long_name)).error().code() == Errc::kInvalidRequest);
  CHECK(f.get(ServiceFixture::classic("a/b")).error().code() == Errc::kInvalidRequest);
  CHECK(f.get(ServiceFixture::classic("t/shadow/name/x")).error().code() == Errc::kInvalidRequest);
  CHECK(f.get(ServiceFixture::named("t", "a/get")).error().code() == Errc::kInvalidRequest);
  CHECK(f.get(ServiceFixture::classic("")).error().code() == Errc::kInvalidRequest);
  CHECK(f.store.reads == 0);
}

TEST_CASE("an answer that others keep is waited for by the one who asked") {
  ServiceFixture f;
  f.recorder.keep = true;
  auto& client = f.client("c");
  f.send(client, kUpdate, kState, 1);
  // The turn in which the update is committed; what the recorder keeps of the answer is not yet.
  std::optional<Result<std::string>> api;
  f.service->update(ServiceFixture::named("t1", "s"), kState, [&](auto got) {
    api = std::move(got);
  });
  f.settle();
  CHECK(puback(client) == broker::mqtt::Reason::kSuccess);
  CHECK(api);
  f.take();
  f.service->update(ServiceFixture::named("t1", "s"), kState, [&](auto got) {
    api = std::move(got);
  });
  api.reset();
  int turns = 0;
  while (f.take().empty()) {  // until it is accepted
    REQUIRE(++turns < 10);
    f.workers.brokers_[0]->bind_to_thread();
    f.workers.executors_[0].run();
    f.fault.hold();
    f.workers.brokers_[0]->end_turn();
    if (f.recorder.seen.empty()) {
      f.fault.release();
    }
  }
  CHECK_FALSE(api);
  f.fault.release();
  f.settle();
  REQUIRE(api);
  CHECK(*api);
}

TEST_CASE("a reset forgets every shadow and every version") {
  ServiceFixture f(2);
  for (int i = 0; i < 10; ++i) {
    REQUIRE(f.update(ServiceFixture::classic("t" + std::to_string(i)), kState));
  }
  REQUIRE(f.erase(ServiceFixture::classic("t1")));
  std::optional<Status> wiped;
  f.service->wipe([&](Status status) { wiped = std::move(status); });
  CHECK_FALSE(wiped);
  f.settle();
  REQUIRE(wiped);
  CHECK(*wiped);
  for (int i = 0; i < 10; ++i) {
    CHECK_FALSE(f.get(ServiceFixture::classic("t" + std::to_string(i))));
    CHECK(
        ServiceFixture::version_of(
            *f.update(ServiceFixture::classic("t" + std::to_string(i)), kState)
        ) == 1
    );
  }
}

TEST_CASE("a service goes while requests are under way") {
  bool done = false;
  {
    ServiceFixture f;
    f.fault.hold();
    f.publish(kUpdate, kState);
    f.settle();
    f.service->update(ServiceFixture::named("t1", "s"), kState, [&](const auto& got) {
      done = true;
      CHECK_FALSE(got);
    });
    f.settle(false);
    f.publish(kUpdate, kState);
  }
  CHECK(done);
}

}  // namespace
}  // namespace iotcore::shadow
