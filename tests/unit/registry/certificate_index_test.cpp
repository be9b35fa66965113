#include "registry/certificate_index.h"

#include "base/thread_pool.h"
#include "registry/certificate_rows.h"
#include "registry/keys.h"
#include "store/forwarding_store.h"
#include "tests/unit/registry/fixture.h"

#include <fmt/format.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace iotcore::registry {
namespace {

using Knowledge = CertificateIndex::Knowledge;

record::Certificate certificate_with(record::CertificateStatus status) {
  record::Certificate record;
  record.set_status(status);
  record.set_not_before_ms(1000);
  record.set_not_after_ms(2'000'000);
  return record;
}

std::string id_of(std::size_t number) {
  return to_hex(as_text(sha256(std::to_string(number))));
}

// On any thread; REQUIRE is for the test's own.
bool try_put(store::Store& store, std::size_t number, record::CertificateStatus status) {
  store::Batch batch;
  put_new_certificate(batch, id_of(number), certificate_with(status));
  return store.commit_wait(std::move(batch)).has_value();
}

bool try_erase(store::Store& store, std::size_t number) {
  store::Batch batch;
  erase_certificate(batch, id_of(number), certificate_with(record::ACTIVE));
  return store.commit_wait(std::move(batch)).has_value();
}

void put(store::Store& store, std::size_t number, record::CertificateStatus status) {
  REQUIRE(try_put(store, number, status));
}

void erase(store::Store& store, std::size_t number) {
  REQUIRE(try_erase(store, number));
}

// A store whose disk fails when the test says so.
class ShakyStore final : public store::ForwardingStore {
 public:
  ShakyStore() : ForwardingStore(rows) {}

  bool readable = true;
  std::optional<Error> failure;
  std::uint64_t failed = 0;
  store::MemoryStore rows;

  Result<std::optional<store::Row>> get(store::Table table, std::string_view key) override {
    return readable ? rows.get(table, key) : fail(Errc::kStoreIo, "unreadable");
  }

  Result<std::vector<std::optional<store::Row>>> multi_get(
      store::Table table, std::span<const std::string> keys
  ) override {
    return readable ? rows.multi_get(table, keys) : fail(Errc::kStoreIo, "unreadable");
  }

  Result<std::vector<store::Entry>> scan(
      store::Table table, std::string_view prefix, std::string_view from, std::size_t limit
  ) override {
    return readable ? rows.scan(table, prefix, from, limit) : fail(Errc::kStoreIo, "unreadable");
  }

  store::Health health() const override { return {failure, 0, 0}; }

  std::uint64_t failures() const override { return failed; }
};

TEST_CASE("the standing of a certificate is what was written, and old rows have none") {
  for (const auto status : {record::INACTIVE, record::ACTIVE, record::PENDING_ACTIVATION}) {
    const CertificateStanding standing{status, -5, 253'402'300'799'000};
    const auto read = standing_in_row(standing_to_row(standing));
    REQUIRE(read);
    CHECK(read->status == standing.status);
    CHECK(read->not_before_ms == standing.not_before_ms);
    CHECK(read->not_after_ms == standing.not_after_ms);
  }
  CHECK_FALSE(standing_in_row({}));
  CHECK_FALSE(standing_in_row("\x01 too short"));
  CHECK_FALSE(standing_in_row(std::string(17, '\x63')));
}

TEST_CASE("what the index says is never older than a change that was answered") {
  Fixture f;
  CertificateIndex& index = f.registry.certificate_index();
  const auto find = [&index](const std::string& id) { return index.find(id); };
  const std::string first = f.certificate(true).certificate_id();
  CHECK(find(first).knowledge == Knowledge::kAskStore);  // nothing has been read yet
  CHECK(find(id_of(1)).knowledge == Knowledge::kAskStore);
  f.pool.run();
  REQUIRE(find(first).knowledge == Knowledge::kRegistered);
  CHECK(find(first).standing.status == record::ACTIVE);
  CHECK(find(id_of(1)).knowledge == Knowledge::kNotRegistered);
  CHECK(find("nonsense").knowledge == Knowledge::kAskStore);

  // A registration is known at once, to the point of saying that the store has to be asked.
  const std::string second = f.certificate(false).certificate_id();
  CHECK(find(second).knowledge == Knowledge::kAskStore);
  f.pool.run();
  CHECK(find(second).standing.status == record::INACTIVE);
  REQUIRE(f.set_status(second, "ACTIVE"));
  CHECK(find(second).knowledge == Knowledge::kAskStore);
  f.pool.run();
  CHECK(find(second).standing.status == record::ACTIVE);
  REQUIRE(f.set_status(second, "REVOKED"));
  f.pool.run();
  CHECK(find(second).standing.status == record::REVOKED);

  REQUIRE(f.delete_certificate(second));
  CHECK(find(second).knowledge == Knowledge::kAskStore);
  CHECK(find(first).knowledge == Knowledge::kAskStore);  // whoever has changed
  f.pool.run();
  CHECK(find(first).knowledge == Knowledge::kRegistered);
  CHECK(find(second).knowledge == Knowledge::kNotRegistered);
  CHECK(index.size() == 1);
  REQUIRE(f.registry.wipe());
  CHECK(find(first).knowledge == Knowledge::kAskStore);
  f.pool.run();
  CHECK(index.size() == 0);
  CHECK(find(first).knowledge == Knowledge::kNotRegistered);
}

TEST_CASE("attaching leaves a certificate's standing known, transferring changes it") {
  Fixture f;
  CertificateIndex& index = f.registry.certificate_index();
  const auto made = f.certificate(false);
  f.pool.run();
  REQUIRE(f.create_policy("p", allow("iot:*", "*")));
  REQUIRE(f.create_thing("thing_name: 't'"));
  REQUIRE(f.attach_policy("p", made.certificate_arn()));
  REQUIRE(f.attach_thing("t", made.certificate_arn()));
  CHECK(index.find(made.certificate_id()).standing.status == record::INACTIVE);
  CHECK(index.find(made.certificate_id()).knowledge == Knowledge::kRegistered);
  REQUIRE(f.detach_policy("p", made.certificate_arn()));
  REQUIRE(f.detach_thing("t", made.certificate_arn()));
  REQUIRE(f.registry.certificate_transfer().offer(Fixture::request<api::TransferCertificateRequest>(
      "certificate_id: '" + made.certificate_id() + "' target_aws_account: '111111111111'"
  )));
  f.pool.run();
  CHECK(index.find(made.certificate_id()).standing.status == record::PENDING_TRANSFER);
  api::CancelCertificateTransferRequest cancel;
  cancel.set_certificate_id(made.certificate_id());
  REQUIRE(f.registry.certificate_transfer().cancel(cancel));
  f.pool.run();
  CHECK(index.find(made.certificate_id()).standing.status == record::INACTIVE);
}

TEST_CASE("what goes while certificates are being read does not come back") {
  store::MemoryStore store;
  constexpr std::size_t kCertificates = 10'500;  // more than one page
  for (std::size_t i = 0; i < kCertificates; i += 500) {
    store::Batch batch;
    for (std::size_t j = i; j < i + 500; ++j) {
      put_new_certificate(batch, id_of(j), certificate_with(record::ACTIVE));
    }
    REQUIRE(store.commit_wait(std::move(batch)));
  }
  ManualExecutor pool;
  ManualClock clock;
  CertificateIndex index(store, clock, pool);
  erase(store, 7);  // before any page is read
  pool.run_one();   // the first page
  erase(store, 8);  // which may have been in it
  put(store, 7, record::REVOKED);
  erase(store, 7);
  CHECK(index.find(id_of(9)).knowledge == Knowledge::kAskStore);
  pool.run();
  CHECK(index.size() == kCertificates - 2);
  CHECK(index.find(id_of(7)).knowledge == Knowledge::kNotRegistered);
  CHECK(index.find(id_of(8)).knowledge == Knowledge::kNotRegistered);
  CHECK(index.find(id_of(9)).knowledge == Knowledge::kRegistered);
  put(store, 7, record::INACTIVE);
  pool.run();
  CHECK(index.find(id_of(7)).standing.status == record::INACTIVE);
  INFO(fmt::format("{} bytes each", index.memory_bytes() / index.size()));
  CHECK(index.memory_bytes() / index.size() < 300);
}

TEST_CASE("a server that stops does not read the rest") {
  Fixture f;
  constexpr std::size_t kPage = 10'000;
  store::Batch batch;
  for (std::size_t i = 0; i < 2 * kPage; ++i) {
    put_new_certificate(batch, id_of(i), certificate_with(record::ACTIVE));
  }
  // Before the index watches: written by an earlier run.
  store::MemoryStore before;
  REQUIRE(before.commit_wait(std::move(batch)));
  ManualExecutor pool;
  CertificateIndex index(before, f.clock, pool);
  pool.run_one();
  CHECK(index.size() == kPage);
  index.stop();
  pool.run();
  CHECK(index.size() == kPage);
  CHECK(index.find(id_of(1)).knowledge == Knowledge::kAskStore);
}

TEST_CASE("rows from before they had a standing are read from the certificates") {
  store::MemoryStore store;
  put(store, 1, record::REVOKED);
  store::Batch batch;
  batch.put(keys::kPrincipals, keys::certificates_by_end().u64(2'000'000).text(id_of(1)), {});
  REQUIRE(store.commit_wait(std::move(batch)));
  ManualExecutor pool;
  ManualClock clock;
  CertificateIndex index(store, clock, pool);
  pool.run();
  REQUIRE(index.find(id_of(1)).knowledge == Knowledge::kRegistered);
  CHECK(index.find(id_of(1)).standing.status == record::REVOKED);
  CHECK(index.find(id_of(1)).standing.not_after_ms == 2'000'000);
}

TEST_CASE("what changes comes with its standing, which is not read again") {
  ShakyStore store;
  ManualExecutor pool;
  ManualClock clock;
  CertificateIndex index(store, clock, pool);
  pool.run();
  store.readable = false;
  put(store, 1, record::REVOKED);
  put(store, 2, record::ACTIVE);
  erase(store, 1);
  put(store, 1, record::ACTIVE);
  pool.run();
  REQUIRE(index.find(id_of(1)).knowledge == Knowledge::kRegistered);
  CHECK(index.find(id_of(1)).standing.status == record::ACTIVE);
  CHECK(index.size() == 2);
}

TEST_CASE("the index agrees with a map over many random changes") {
  store::MemoryStore store;
  ManualExecutor pool;
  ManualClock clock;
  CertificateIndex index(store, clock, pool);
  pool.run();
  std::mt19937 random(20'260'101);
  std::map<std::size_t, record::CertificateStatus> model;
  for (int step = 0; step < 6000; ++step) {
    const std::size_t number = random() % 3000;
    if (model.contains(number)) {
      erase(store, number);
      model.erase(number);
    } else {
      const auto status = random() % 2 == 0 ? record::ACTIVE : record::REVOKED;
      put(store, number, status);
      model[number] = status;
    }
    if (step % 97 == 0) {
      pool.run();
    }
  }
  pool.run();
  CHECK(index.size() == model.size());
  for (std::size_t number = 0; number < 3000; ++number) {
    const auto found = index.find(id_of(number));
    const auto expected = model.find(number);
    REQUIRE(
        found.knowledge ==
        (expected == model.end() ? Knowledge::kNotRegistered : Knowledge::kRegistered)
    );
    if (expected != model.end()) {
      REQUIRE(found.standing.status == expected->second);
    }
  }
}

TEST_CASE("grants are refused from memory with the reason that the store would give") {
  Fixture f;
  const auto made = f.certificate(true);
  f.pool.run();
  DeviceFacts facts;
  facts.certificate_id = made.certificate_id();
  facts.client_id = std::string("client");
  LiveDevices& devices = f.registry.devices();
  CHECK(devices.check_certificate(facts));
  const auto code = [&] {
    const Status refused = devices.check_certificate(facts);
    const auto read = f.registry.grants().read(facts);
    REQUIRE_FALSE(refused);
    REQUIRE_FALSE(read);
    GrantReader without_index(f.store, f.clock, f.registry.options());
    const auto from_store = without_index.read(facts);
    REQUIRE_FALSE(from_store);
    CHECK(refused.error().message() == from_store.error().message());
    CHECK(refused.error().details() == from_store.error().details());
    return refused.error().details().front().second;
  };
  REQUIRE(f.set_status(made.certificate_id(), "INACTIVE"));
  f.pool.run();
  CHECK(code() == "DEVICE_CERTIFICATE_INACTIVE");
  REQUIRE(f.set_status(made.certificate_id(), "REVOKED"));
  f.pool.run();
  CHECK(code() == "DEVICE_CERTIFICATE_REVOKED");
  REQUIRE(f.set_status(made.certificate_id(), "ACTIVE"));
  f.pool.run();
  f.clock.advance(std::chrono::hours(24 * 365 * 100));
  CHECK(code() == "NOT_AUTHENTICATED");
  facts.certificate_id = id_of(1);
  CHECK(code() == "DEVICE_CERTIFICATE_NOT_REGISTERED");
}

TEST_CASE("after a failed commit the store is asked until all has been read again") {
  ShakyStore store;
  put(store, 1, record::ACTIVE);
  ManualExecutor pool;
  ManualClock clock;
  CertificateIndex index(store, clock, pool);
  const auto knowledge = [&] { return index.find(id_of(1)).knowledge; };
  pool.run();
  CHECK(knowledge() == Knowledge::kRegistered);

  store.failure = Error(Errc::kStoreIo, "what was written may be there or not");
  ++store.failed;
  CHECK(knowledge() == Knowledge::kAskStore);
  pool.run();
  CHECK(knowledge() == Knowledge::kAskStore);  // nobody knows yet
  pool.run();
  store.failure.reset();
  CHECK(knowledge() == Knowledge::kAskStore);
  pool.run();
  CHECK(knowledge() == Knowledge::kRegistered);

  // Not over and over: the next reading waits.
  ++store.failed;
  CHECK(knowledge() == Knowledge::kAskStore);
  pool.run();
  CHECK(knowledge() == Knowledge::kAskStore);
  pool.run();
  clock.advance(std::chrono::seconds(10));
  CHECK(knowledge() == Knowledge::kAskStore);
  pool.run();
  CHECK(knowledge() == Knowledge::kRegistered);
}

TEST_CASE("certificates that cannot be read are looked up in the store until they can") {
  ShakyStore store;
  put(store, 1, record::ACTIVE);
  ManualExecutor pool;
  ManualClock clock;
  CertificateIndex index(store, clock, pool);
  const auto knowledge = [&] { return index.find(id_of(1)).knowledge; };
  SECTION("at start") {
    store.readable = false;
    pool.run();
  }
  SECTION("when one has changed") {
    pool.run();
    CHECK(knowledge() == Knowledge::kRegistered);
    store.readable = false;
    store::Batch batch;  // without a standing: what there is to know is in the certificate
    batch.put(keys::kPrincipals, keys::certificates_by_end().u64(2'000'000).text(id_of(1)), {});
    REQUIRE(store.commit_wait(std::move(batch)));
    pool.run();
  }
  CHECK(knowledge() == Knowledge::kAskStore);
  store.readable = true;
  pool.run();
  CHECK(knowledge() == Knowledge::kRegistered);
}

// Who has been answered finds what was answered, whatever else goes on.
TEST_CASE("a certificate's change is seen by whoever comes after its answer, on any thread") {
  store::MemoryStore store;
  auto pool = std::make_unique<ThreadPool>("test", 3);
  const SystemClock clock;
  CertificateIndex index(store, clock, *pool);
  std::vector<std::thread> operators;
  std::atomic<int> wrong = 0;
  for (std::size_t mine = 0; mine < 4; ++mine) {
    operators.emplace_back([&, mine] {
      for (std::size_t round = 0; round < 300; ++round) {
        const std::size_t number = mine * 10 + round % 10;
        wrong += try_put(store, number, record::ACTIVE) ? 0 : 1;
        wrong += index.find(id_of(number)).knowledge == Knowledge::kNotRegistered ? 1 : 0;
        auto found = read_certificate(store, id_of(number));
        found->record.set_status(record::REVOKED);
        store::Batch batch;
        put_certificate(batch, id_of(number), *found);
        wrong += store.commit_wait(std::move(batch)) ? 0 : 1;
        const auto after = index.find(id_of(number));
        wrong += after.knowledge == Knowledge::kNotRegistered ||
                         (after.knowledge == Knowledge::kRegistered &&
                          after.standing.status != record::REVOKED)
                     ? 1
                     : 0;
        wrong += try_erase(store, number) ? 0 : 1;
        wrong += index.find(id_of(number)).knowledge == Knowledge::kRegistered ? 1 : 0;
      }
    });
  }
  for (std::thread& each : operators) {
    each.join();
  }
  pool.reset();  // comes to rest before the index goes
  CHECK(wrong == 0);
}

}  // namespace
}  // namespace iotcore::registry
