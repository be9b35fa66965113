// What can be asked for beyond what AWS does.
#include "proto/record/registry.pb.h"
#include "registry/keys.h"
#include "shadow/document/json_schema.h"
#include "shadow/document/operations.h"
#include "tests/unit/shadow/service_fixture.h"

#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace iotcore::shadow {
namespace {

using std::chrono::seconds;
using test::Published;
using test::ServiceFixture;

const ShadowId kShadow = ServiceFixture::classic("t1");
const std::string kUpdate = "$aws/things/t1/shadow/update";

// A second goes by, and everything that it brings.
void pass(ServiceFixture& f, int times = 1) {
  for (int i = 0; i < times; ++i) {
    f.clock.advance(seconds(1));
    f.timers.advance(f.clock.now());
    f.settle();
  }
}

std::size_t deltas(ServiceFixture& f, std::string_view payload) {
  f.publish(kUpdate, payload);
  f.settle();
  std::size_t count = 0;
  for (const Published& message : f.take()) {
    count += message.topic.ends_with("/delta") ? 1 : 0;
  }
  return count;
}

void set_type(ServiceFixture& f, const std::string& thing, const std::string& type) {
  record::Thing row;
  row.set_type(type);
  store::Batch batch;
  batch.put(registry::keys::kRegistry, registry::keys::thing(thing), row.SerializeAsString());
  REQUIRE(f.store.commit_wait(std::move(batch)));
  f.settle();
}

double metric(ServiceFixture& f, const std::string& name) {
  const std::string text = f.metrics.to_text();
  const std::size_t at = text.find("\n" + name + " ");
  REQUIRE(at != std::string::npos);
  return std::stod(text.substr(at + name.size() + 2));
}

TEST_CASE("a delta only when the difference is another one") {
  ServiceOptions options;
  options.settings.document.delta_on_change = true;
  ServiceFixture f(1, options);
  CHECK(deltas(f, R"({"state":{"desired":{"a":1}}})") == 1);
  CHECK(deltas(f, R"({"state":{"desired":{"a":1}}})") == 0);
  CHECK(deltas(f, R"({"state":{"reported":{"b":1}}})") == 0);
  CHECK(deltas(f, R"({"state":{"reported":{"a":2}}})") == 0);
  CHECK(deltas(f, R"({"state":{"desired":{"c":1}}})") == 1);
  CHECK(deltas(f, R"({"state":{"reported":{"a":1,"c":1}}})") == 0);
  CHECK(deltas(f, R"({"state":{"desired":{"c":2}}})") == 1);
}

TEST_CASE("documents of a mebibyte, and not one byte more") {
  ServiceOptions options;
  options.settings.document.limits.document_bytes_max = 1U << 20;
  options.settings.document.limits.request_bytes_max = 2U << 20;
  ServiceFixture f(1, options);
  const std::size_t around = std::string(R"({"a":""})").size();
  const auto payload = [&](std::size_t bytes) {
    return R"({"state":{"reported":{"a":")" + std::string(bytes - around, 'x') + R"("}}})";
  };
  CHECK(f.update(kShadow, payload(1U << 20)));
  CHECK(f.update(kShadow, payload((1U << 20) + 1)).error().code() == Errc::kTooLarge);
  CHECK(f.get(kShadow)->size() > (1U << 20));
}

TEST_CASE("sections that have a schema are held to it") {
  ServiceOptions options;
  options.settings.document.desired_schema =
      document::JsonSchema::compile(
          R"({"properties":{"level":{"maximum":100}},"required":["mode"]})"
      )
          .value();
  options.settings.document.reported_schema =
      document::JsonSchema::compile(
          R"({"properties":{"led":{"properties":{"on":{"type":"boolean"}}}}})"
      )
          .value();
  ServiceFixture f(1, options);
  const auto refusal = [&](std::string_view payload) {
    const Result<std::string> answer = f.update(kShadow, payload);
    return answer ? ""
                  : std::to_string(errc_info(answer.error().code()).http_status) + " " +
                        answer.error().message();
  };
  CHECK(
      refusal(R"({"state":{"reported":{"led":{"on":1}}}})") ==
      "400 State violates its schema at /reported/led/on: must be of type boolean"
  );
  CHECK(refusal(R"({"state":{"reported":{"led":{"on":true}}}})") == "");
  CHECK(
      refusal(R"({"state":{"desired":{"level":7}}})") ==
      "400 State violates its schema at /desired: must have mode"
  );
  CHECK(refusal(R"({"state":{"desired":{"level":7,"mode":"a"}}})") == "");
  // What counts is the merged section: a part of it may come alone.
  CHECK(refusal(R"({"state":{"desired":{"level":100}}})") == "");
  CHECK(
      refusal(R"({"state":{"desired":{"level":101}}})") ==
      "400 State violates its schema at /desired/level: must be at most 100"
  );
  CHECK(
      refusal(R"({"state":{"desired":{"mode":null}}})") ==
      "400 State violates its schema at /desired: must have mode"
  );
  CHECK(refusal(R"({"state":{"desired":null}})") == "");
  CHECK(ServiceFixture::version_of(*f.get(kShadow)) == 4);
}

std::vector<std::uint64_t> versions(const Result<Service::History>& history) {
  std::vector<std::uint64_t> found;
  for (const document::Document& each : history.value().versions) {
    found.push_back(each.version());
  }
  return found;
}

using Versions = std::vector<std::uint64_t>;

TEST_CASE("the last versions are kept, in pages and in order") {
  ServiceOptions options;
  options.settings.history_versions = 3;
  ServiceFixture f(1, options);
  CHECK(f.service->history(kShadow, 0, 10).error().code() == Errc::kNotFound);
  for (int i = 1; i <= 5; ++i) {
    // Two in one turn: each has its version.
    f.publish(kUpdate, R"({"state":{"reported":{"n":)" + std::to_string(i) + "}}}");
    f.publish("$aws/things/t10/shadow/update", R"({"state":{}})");
  }
  f.settle();
  CHECK(versions(f.service->history(kShadow, 0, 10)) == Versions{5, 4, 3});
  CHECK(versions(f.service->history(kShadow, 0, 2)) == Versions{5, 4});
  CHECK(f.service->history(kShadow, 0, 2)->more);
  CHECK(versions(f.service->history(kShadow, 4, 2)) == Versions{3});
  CHECK_FALSE(f.service->history(kShadow, 4, 2)->more);
  CHECK(f.service->history(kShadow, 0, 10)->versions[2].state_json() == R"({"reported":{"n":3}})");
  CHECK(f.memory.scan(store::Table::kShadows, "h", "", 100)->size() == 6);
  REQUIRE(f.erase(kShadow));
  CHECK(f.memory.scan(store::Table::kShadows, "h", "", 100)->size() == 3);
  CHECK(f.service->history(kShadow, 0, 10).error().code() == Errc::kNotFound);
}

TEST_CASE("fewer versions are kept once fewer are to be") {
  store::MemoryStore memory;
  for (const std::size_t kept : {5U, 2U}) {
    ServiceOptions options;
    options.settings.history_versions = kept;
    ServiceFixture f(1, options, &memory);
    for (int i = 0; i < 6; ++i) {
      REQUIRE(f.update(kShadow, R"({"state":{}})"));
      if (kept == 2) {
        CHECK(f.service->history(kShadow, 0, 100)->versions.size() == 2);
      }
    }
    CHECK(memory.scan(store::Table::kShadows, "h", "", 100)->size() == kept);
  }
}

TEST_CASE("without history there is none") {
  ServiceFixture f;
  REQUIRE(f.update(kShadow, R"({"state":{}})"));
  CHECK(f.service->history(kShadow, 0, 10).error().code() == Errc::kNotFound);
}

TEST_CASE("things of a type have settings of their own, from the moment they are of it") {
  ServiceOptions options;
  options.by_thing_type["pump"].history_versions = 2;
  options.by_thing_type["pump"].document.limits.document_bytes_max = 100;
  ServiceFixture f(1, options);
  set_type(f, "p", "pump");
  const std::string large = R"({"state":{"reported":{"a":")" + std::string(200, 'x') + R"("}}})";
  const ShadowId pump = ServiceFixture::classic("p");
  const ShadowId part = ServiceFixture::named("p", "part");
  CHECK(f.update(pump, large).error().code() == Errc::kTooLarge);
  CHECK(f.update(kShadow, large));
  CHECK(f.update(part, R"({"state":{}})"));
  CHECK(f.service->history(part, 0, 10)->versions.size() == 1);
  set_type(f, "p", "fan");
  CHECK(f.update(pump, large));
  CHECK(f.update(part, large));
  set_type(f, "t1", "pump");
  CHECK(f.update(kShadow, large).error().code() == Errc::kTooLarge);
}

std::vector<std::string> events(test::Recorder& recorder) {
  std::vector<std::string> found;
  for (const Published& event : recorder.seen) {
    found.push_back(event.topic.substr(std::string("$aws/events/shadow/").size()));
  }
  recorder.seen.clear();
  return found;
}

using Events = std::vector<std::string>;

TEST_CASE("a device that falls silent is told of, once, and that it is back") {
  ServiceOptions options;
  options.settings.stale_after = seconds(10);
  options.cache_bytes_max = GENERATE(std::size_t{0}, std::size_t{1} << 20);
  ServiceFixture f(1, options);
  test::Recorder recorder;
  f.broker.add_consumer("$aws/events/shadow/#", recorder);
  f.settle();
  REQUIRE(f.update(kShadow, R"({"state":{"reported":{"a":1}}})"));
  REQUIRE(f.update(ServiceFixture::named("t2", "s"), R"({"state":{"desired":{"a":1}}})"));
  pass(f, 5);
  REQUIRE(f.update(kShadow, R"({"state":{"reported":{}}})"));  // a sign of life
  pass(f, 9);
  CHECK(events(recorder).empty());
  pass(f, 2);
  REQUIRE(recorder.seen.size() == 1);
  const json::value event = parse_json(recorder.seen[0].payload).value();
  CHECK(event.at("eventType") == "stale");
  CHECK(event.at("thingName") == "t1");
  CHECK(event.at("version") == 2);
  CHECK(event.at("timestamp").as_int64() - event.at("since").as_int64() >= 10);
  CHECK(events(recorder) == Events{"stale/t1"});
  CHECK(metric(f, "iotcore_shadows_stale") == 1);
  pass(f, 30);
  CHECK(events(recorder).empty());
  CHECK(ServiceFixture::version_of(*f.get(kShadow)) == 2);
  REQUIRE(f.update(kShadow, R"({"state":{"desired":{"a":1}}})"));
  CHECK(events(recorder).empty());
  REQUIRE(f.update(kShadow, R"({"state":{"reported":{"a":1}}})"));
  CHECK(events(recorder) == Events{"fresh/t1"});
  CHECK(metric(f, "iotcore_shadows_stale") == 0);
  pass(f, 11);
  CHECK(events(recorder) == Events{"stale/t1"});
  REQUIRE(f.erase(kShadow));
  CHECK(metric(f, "iotcore_shadows_stale") == 0);
  pass(f, 30);
  CHECK(events(recorder).empty());
}

TEST_CASE("a shadow that could not be read when its time had come is looked at once more") {
  ServiceOptions options;
  options.settings.stale_after = seconds(10);
  options.cache_bytes_max = 0;
  ServiceFixture f(1, options);
  test::Recorder recorder;
  f.broker.add_consumer("$aws/events/shadow/#", recorder);
  f.settle();
  REQUIRE(f.update(kShadow, R"({"state":{"reported":{"a":1}}})"));
  REQUIRE(f.update(ServiceFixture::classic("t2"), R"({"state":{"reported":{"a":1}}})"));
  f.store.broken = true;
  pass(f, 12);
  CHECK(events(recorder).size() < 2);  // the last one used is in memory
  f.store.broken = false;
  pass(f, 61);
  CHECK(metric(f, "iotcore_shadows_stale") == 2);
}

TEST_CASE("what is desired and not reached in time is told of") {
  ServiceOptions options;
  options.settings.overdue_after = seconds(10);
  ServiceFixture f(1, options);
  test::Recorder recorder;
  f.broker.add_consumer("$aws/events/shadow/#", recorder);
  f.settle();
  REQUIRE(f.update(kShadow, R"({"state":{"desired":{"a":1}}})"));
  pass(f, 5);
  // Another wish and a wrong report: it is as late as before.
  REQUIRE(f.update(kShadow, R"({"state":{"desired":{"a":2},"reported":{"a":3}}})"));
  pass(f, 6);
  CHECK(events(recorder) == Events{"overdue/t1"});
  CHECK(metric(f, "iotcore_shadows_overdue") == 1);
  REQUIRE(f.update(kShadow, R"({"state":{"reported":{"a":2}}})"));
  CHECK(events(recorder) == Events{"reached/t1"});
  CHECK(metric(f, "iotcore_shadows_overdue") == 0);
  pass(f, 20);
  CHECK(events(recorder).empty());
  REQUIRE(f.update(kShadow, R"({"state":{"desired":{"a":5}}})"));
  REQUIRE(f.update(kShadow, R"({"state":{"desired":null}})"));
  pass(f, 20);
  CHECK(events(recorder).empty());
}

TEST_CASE(
    "a restart tells nothing twice, gives devices their time, and finds differences nobody asked "
    "about"
) {
  store::MemoryStore memory;
  {
    ServiceFixture f(1, {}, nullptr);
    store::Batch batch;
    REQUIRE(f.update(kShadow, R"({"state":{"desired":{"a":1},"reported":{"a":2}}})"));
    const std::vector<store::Entry> rows =
        f.memory.scan(store::Table::kShadows, "d", "", 10).value();
    for (const store::Entry& row : rows) {
      batch.put(store::Table::kShadows, row.key, row.value);
    }
    REQUIRE(memory.commit_wait(std::move(batch)));
  }
  for (int start = 0; start < 2; ++start) {
    ServiceOptions options;
    options.settings.stale_after = seconds(20);
    options.settings.overdue_after = seconds(10);
    ServiceFixture f(2, options, &memory);
    f.clock.advance(std::chrono::hours(start + 1));
    test::Recorder recorder;
    f.broker.add_consumer("$aws/events/shadow/#", recorder);
    f.settle();
    pass(f, 8);
    CHECK(events(recorder).empty());
    pass(f, 6);
    CHECK(events(recorder) == (start == 0 ? Events{"overdue/t1"} : Events{}));
    pass(f, 10);
    CHECK(events(recorder) == (start == 0 ? Events{"stale/t1"} : Events{}));
    CHECK(metric(f, "iotcore_shadows_overdue") == 1);
    CHECK(metric(f, "iotcore_shadows_stale") == 1);
  }
}

TEST_CASE("a document of the first layout is read, and knows more once it is written") {
  const auto parsed = document::parse_update(R"({"state":{"desired":{"a":1},"reported":{"b":2}}})");
  const document::Document now =
      document::apply_update(nullptr, 0, *parsed.request, 100).value().document;
  CHECK(now.record().reported_at_s == 100);
  // Without marks and the report's age.
  std::string old = now.encode();
  old[0] = 1;
  old.erase(1, 1);
  old.erase(1 + 1 + 1, 1);
  Result<document::Document> read = document::Document::decode(old);
  REQUIRE(read);
  CHECK(read->state_json() == now.state_json());
  CHECK(read->metadata_json() == now.metadata_json());
  CHECK_FALSE(read->record().reported_at_s);
  read->set_told(true, false);
  const auto told = document::Document::decode(read->encode());
  REQUIRE(told);
  CHECK(told->record().told_stale);
  CHECK_FALSE(told->record().told_overdue);
  CHECK(told->metadata_json() == now.metadata_json());
}

}  // namespace
}  // namespace iotcore::shadow
