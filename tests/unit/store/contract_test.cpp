#include "store/keys.h"
#include "store/rocksdb_store.h"
#include "tests/unit/store/engines.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

// What every engine of Store promises.
namespace iotcore::store {
namespace {

using test::Engine;
using test::Fault;
using test::TestExecutor;

std::unique_ptr<Engine> any_engine() {
  const auto make = GENERATE(&test::make_memory_engine, &test::make_rocksdb_engine);
  return make();
}

Revision put(Store& store, std::string_view key, std::string_view value) {
  Batch batch;
  batch.put(Table::kRegistry, key, value);
  return store.commit_wait(std::move(batch)).value();
}

std::string value_of(Store& store, std::string_view key, Table table = Table::kRegistry) {
  const auto row = store.get(table, key).value();
  return row ? row->value : "(none)";
}

std::string keys_of(const Result<std::vector<Entry>>& entries) {
  std::string out;
  for (const Entry& entry : entries.value()) {
    out += entry.key + " ";
  }
  return out;
}

template <typename Value>
Errc code_of(const Result<Value>& result) {
  return result ? Errc::kCount_ : result.error().code();
}

TEST_CASE("every table reads in the order of its keys, whatever is written over and over") {
  const auto memory = test::make_memory_engine();
  const test::TempDir folder;
  std::unique_ptr<Store> rocksdb = open_rocksdb_store(folder / "db", {}).value();
  const Table table = GENERATE(Table::kRegistry, Table::kRetained, Table::kShadows);
  std::mt19937 random(7);
  const auto below = [&random](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::vector<std::string> things = {"", "a", std::string("a\0", 2), "ab", "b", "\xff"};
  const auto any_key = [&] {
    return Key(below(4) == 0 ? 't' : 'd')
        .text(things[below(things.size())])
        .text(std::to_string(below(300)))
        .take();
  };
  for (int round = 0; round < 40; ++round) {
    if (round % 13 == 12) {  // from now on they are in a file
      rocksdb.reset();
      rocksdb = open_rocksdb_store(folder / "db", {}).value();
    }
    Batch batches[2];
    const bool is_large = round % 3 == 1;  // written in another order, between deletions of ranges
    for (int i = 0; i < (is_large ? 600 : 30); ++i) {
      const std::string key = any_key();
      const std::string value = std::to_string(random());
      const std::size_t what = is_large ? 1 + below(19) : below(20);
      for (Batch& batch : batches) {
        if (what == 0) {
          batch.erase_prefix(table, Key('d').text(things[1]).view());
        } else if (what < 4) {
          batch.erase(table, key);
        } else {
          batch.put(table, key, value);
        }
      }
    }
    REQUIRE(memory->store().commit_wait(std::move(batches[0])));
    REQUIRE(rocksdb->commit_wait(std::move(batches[1])));
    const std::vector<std::string> prefixes = {
        "",
        "d",
        "d\x01",
        Key('d').text(things[below(things.size())]).take(),
        Key('t').text(things[below(things.size())]).take(),
        Key('d').text(things[below(things.size())]).text("1").take(),
        any_key()};
    for (const std::string& prefix : prefixes) {
      const std::string from = below(2) == 0 ? "" : any_key();
      const auto expected = memory->store().scan(table, prefix, from, 100).value();
      const auto found = rocksdb->scan(table, prefix, from, 100).value();
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        REQUIRE(found[i].key == expected[i].key);
        REQUIRE(found[i].value == expected[i].value);
      }
    }
    const std::string key = any_key();
    CHECK(value_of(*rocksdb, key, table) == value_of(memory->store(), key, table));
  }
}

TEST_CASE("a row that was put is read back with its revision") {
  const auto engine = any_engine();
  Store& store = engine->store();
  CHECK_FALSE(store.get(Table::kRegistry, "a").value());
  const Revision first = put(store, "a", "1");
  const Revision second = put(store, "a", std::string("\0\xff", 2));
  CHECK(number(second) > number(first));
  const auto row = store.get(Table::kRegistry, "a").value();
  REQUIRE(row);
  CHECK(row->value == std::string("\0\xff", 2));
  CHECK(row->revision == second);
  CHECK_FALSE(store.get(Table::kRules, "a").value());
  put(store, "a", "");
  CHECK(value_of(store, "a").empty());
}

TEST_CASE("a batch takes effect whole, in the order of its operations") {
  const auto engine = any_engine();
  Store& store = engine->store();
  put(store, "k1", "old");
  put(store, "k2", "old");
  Batch batch;
  batch.put(Table::kRegistry, "k0", "first");
  batch.erase_range(Table::kRegistry, "k0", "k9");
  batch.put(Table::kRegistry, "k2", "new");
  batch.put(Table::kRegistry, "k3", "new");
  batch.erase(Table::kRegistry, "k3");
  batch.put(Table::kRules, "k1", "other table");
  const Revision revision = store.commit_wait(std::move(batch)).value();
  CHECK(keys_of(store.scan(Table::kRegistry, "", "", 10)) == "k2 ");
  CHECK(value_of(store, "k1", Table::kRules) == "other table");
  CHECK(store.get(Table::kRegistry, "k2").value()->revision == revision);
}

TEST_CASE("scan gives pages of a prefix in the order of bytes") {
  const auto engine = any_engine();
  Store& store = engine->store();
  for (const std::string_view key : {"a", "b", "ba", "bb", "b\x01", "b\xff", "b\xff\xff", "c"}) {
    put(store, key, key);
  }
  CHECK(keys_of(store.scan(Table::kRegistry, "b", "", 10)) == "b b\x01 ba bb b\xff b\xff\xff ");
  CHECK(keys_of(store.scan(Table::kRegistry, "b", "", 2)) == "b b\x01 ");
  CHECK(keys_of(store.scan(Table::kRegistry, "b", key_after("b\x01"), 2)) == "ba bb ");
  CHECK(keys_of(store.scan(Table::kRegistry, "b", "bb", 10)) == "bb b\xff b\xff\xff ");
  CHECK(keys_of(store.scan(Table::kRegistry, "b\xff", "", 10)) == "b\xff b\xff\xff ");
  CHECK(keys_of(store.scan(Table::kRegistry, "b", "a", 1)) == "b ");
  CHECK(keys_of(store.scan(Table::kRegistry, "b", "c", 1)).empty());
  CHECK(keys_of(store.scan(Table::kRegistry, "", "", 0)).empty());
  CHECK(keys_of(store.scan(Table::kRules, "", "", 10)).empty());
  Batch batch;
  batch.erase_prefix(Table::kRegistry, "b");
  REQUIRE(store.commit_wait(std::move(batch)));
  CHECK(keys_of(store.scan(Table::kRegistry, "", "", 10)) == "a c ");
}

TEST_CASE("multi_get keeps the order of the keys") {
  const auto engine = any_engine();
  Store& store = engine->store();
  put(store, "a", "1");
  put(store, "c", "3");
  const std::vector<std::string> keys = {"c", "b", "a", "c"};
  const auto rows = store.multi_get(Table::kRegistry, keys).value();
  REQUIRE(rows.size() == 4);
  CHECK(rows[0]->value == "3");
  CHECK_FALSE(rows[1]);
  CHECK(rows[2]->value == "1");
  CHECK(rows[3]->value == "3");
  CHECK(store.multi_get(Table::kRegistry, {}).value().empty());
}

TEST_CASE("an expectation that does not hold stops its batch and no other") {
  const auto engine = any_engine();
  Store& store = engine->store();
  const Revision revision = put(store, "a", "1");

  Batch absent;
  absent.expect_absent(Table::kRegistry, "a");
  absent.put(Table::kRegistry, "b", "no");
  CHECK(code_of(store.commit_wait(std::move(absent))) == Errc::kRevisionConflict);
  CHECK(value_of(store, "b") == "(none)");

  Batch stale;
  stale.put(Table::kRegistry, "b", "no");
  stale.expect_revision(Table::kRegistry, "a", Revision(number(revision) - 1));
  CHECK(code_of(store.commit_wait(std::move(stale))) == Errc::kRevisionConflict);
  CHECK(value_of(store, "b") == "(none)");

  Batch missing;
  missing.expect_revision(Table::kRegistry, "b", revision);
  CHECK(code_of(store.commit_wait(std::move(missing))) == Errc::kRevisionConflict);

  Batch good;
  good.expect_revision(Table::kRegistry, "a", revision);
  good.expect_absent(Table::kRegistry, "b");
  good.put(Table::kRegistry, "a", "2");
  const auto committed = store.commit_wait(std::move(good));
  REQUIRE(committed);
  CHECK(number(*committed) > number(revision));
  CHECK(value_of(store, "a") == "2");
}

// Many commits are queued at once here, so that an engine that groups them must see the earlier
// ones of a group.
TEST_CASE("expectations see the commits before them, whether written yet or not") {
  const auto engine = any_engine();
  Store& store = engine->store();
  TestExecutor executor;
  std::string outcome;
  const auto commit = [&](auto fill) {
    Batch batch;
    fill(batch);
    store.commit(std::move(batch), &executor, [&](const Result<Revision>& result) {
      outcome += result ? 'y' : 'n';
    });
  };
  const auto create = [](Batch& batch) {
    batch.expect_absent(Table::kRegistry, "k");
    batch.put(Table::kRegistry, "k", "v");
  };
  const auto erase = [](Batch& batch) { batch.erase(Table::kRegistry, "k"); };
  const auto erase_range = [](Batch& batch) { batch.erase_prefix(Table::kRegistry, "k"); };
  for (int i = 0; i < 50; ++i) {
    commit(create);
    commit(create);
    commit(erase);
    commit(create);
    commit(erase_range);
    commit(create);
    commit(create);
    commit(erase_range);
  }
  executor.run_until([&] { return outcome.size() == 400; });
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    expected += "ynyyyyny";
  }
  CHECK(outcome == expected);
}

TEST_CASE("of many that compare and set one row, one wins each round") {
  const auto engine = any_engine();
  Store& store = engine->store();
  put(store, "n", "0");
  constexpr int kThreads = 4;
  constexpr int kRounds = 25;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int won = 0; won < kRounds;) {
        const std::vector<Entry> row = store.scan(Table::kRegistry, "n", "", 1).value();
        Batch batch;
        batch.expect_revision(Table::kRegistry, "n", row[0].revision);
        batch.put(Table::kRegistry, "n", std::to_string(std::stoi(row[0].value) + 1));
        won += store.commit_wait(std::move(batch)) ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(value_of(store, "n") == std::to_string(kThreads * kRounds));
}

TEST_CASE("commits of one thread are applied and completed in order, on the executor asked for") {
  const auto engine = any_engine();
  Store& store = engine->store();
  constexpr int kCount = 1000;
  const auto committer = [&](char name) {
    TestExecutor executor;
    std::vector<Revision> revisions;
    const auto self = std::this_thread::get_id();
    bool here = true;
    for (int i = 0; i < kCount; ++i) {
      Batch batch;
      batch.put(Table::kQueue, Key(name).u64(static_cast<std::uint64_t>(i)), "x");
      batch.put(Table::kQueue, "last", std::string(1, name) + std::to_string(i));
      store.commit(std::move(batch), &executor, [&](const Result<Revision>& revision) {
        here = here && std::this_thread::get_id() == self;
        revisions.push_back(revision.value());
      });
    }
    executor.run_until([&] { return revisions.size() == kCount; });
    const bool ordered = std::is_sorted(revisions.begin(), revisions.end());
    const bool distinct = std::set(revisions.begin(), revisions.end()).size() == kCount;
    return here && ordered && distinct;
  };
  std::atomic<int> good = 0;
  std::vector<std::thread> threads;
  for (const char name : {'a', 'b', 'c', 'd'}) {
    threads.emplace_back([&, name] { good += committer(name) ? 1 : 0; });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  CHECK(good == 4);
  for (const char name : {'a', 'b', 'c', 'd'}) {
    const auto entries = store.scan(Table::kQueue, std::string(1, name), "", 2 * kCount).value();
    REQUIRE(entries.size() == kCount);
    CHECK(number(entries.back().revision) > number(entries.front().revision));
  }
  CHECK(value_of(store, "last", Table::kQueue).substr(1) == std::to_string(kCount - 1));
}

TEST_CASE("a read that may not block says what is in memory") {
  const auto engine = any_engine();
  Store& store = engine->store();
  const Revision revision = put(store, "a", "1");
  const auto found = store.get_cached(Table::kRegistry, "a");
  REQUIRE(found);
  CHECK(found->value == "1");
  CHECK(found->revision == revision);
  CHECK_FALSE(store.get_cached(Table::kRegistry, "b"));
}

TEST_CASE("a change of a small row comes with its value") {
  const auto engine = any_engine();
  Store& store = engine->store();
  TestExecutor executor;
  std::vector<Change> heard;
  const auto watch = store.watch(Table::kRegistry, "k", executor, [&](const Change& change) {
    heard.push_back(change);
  });
  Batch batch;
  batch.put(Table::kRegistry, "k1", "");
  batch.put(Table::kRegistry, "k2", std::string(kChangeValueBytesMax, 'x'));
  batch.put(Table::kRegistry, "k3", std::string(kChangeValueBytesMax + 1, 'x'));
  batch.erase(Table::kRegistry, "k1");
  batch.erase_range(Table::kRegistry, "k4", "k5");
  REQUIRE(store.commit_wait(std::move(batch)));
  executor.run_until([&] { return heard.size() == 5; });
  CHECK(heard[0].value == "");
  CHECK(heard[1].value == std::string(kChangeValueBytesMax, 'x'));
  for (const std::size_t other : {2, 3, 4}) {
    CHECK_FALSE(heard[other].value);
  }
}

TEST_CASE("a watch hears of its prefix, in order, and nothing after its end") {
  const auto engine = any_engine();
  Store& store = engine->store();
  TestExecutor executor;
  std::string heard;
  const auto write_down = [&](const Change& change) {
    static constexpr std::string_view kSigns = "+-*";
    heard += kSigns[static_cast<std::size_t>(change.kind)];
    heard += change.key;
    heard += change.kind == Change::Kind::kRangeErased ? ".." + change.end + " " : " ";
  };
  auto watch = std::optional(store.watch(Table::kRegistry, "k", executor, write_down));
  put(store, "j", "not watched");
  CHECK(executor.posts() == 0);
  const Revision revision = put(store, "k1", "1");
  CHECK(executor.posts() == 1);  // before the commit completed
  Batch batch;
  batch.put(Table::kRegistry, "k2", "2");
  batch.erase(Table::kRegistry, "k1");
  batch.put(Table::kRules, "k3", "not watched");
  batch.erase_range(Table::kRegistry, "j", "k5");
  batch.erase_prefix(Table::kRegistry, "");
  batch.erase_prefix(Table::kRegistry, "m");
  REQUIRE(number(*store.commit_wait(std::move(batch))) > number(revision));
  const std::string expected = "+k1 +k2 -k1 *k..k5 *k..l ";
  executor.run_until([&] { return heard.size() >= expected.size(); });
  CHECK(heard == expected);

  put(store, "k4", "posted, but not heard any more");
  watch.reset();
  put(store, "k5", "not watched any more");
  bool reached = false;
  executor.post([&] { reached = true; });
  executor.run_until([&] { return reached; });
  CHECK(heard == expected);
}

TEST_CASE("a commit that fails stops acknowledgements until the disk is mended") {
  const auto engine = any_engine();
  const auto [fault, code] = GENERATE(
      std::pair(Fault::kFull, Errc::kStoreFull), std::pair(Fault::kSyncFails, Errc::kStoreIo)
  );
  Store& store = engine->store();
  put(store, "before", "kept");
  CHECK_FALSE(store.health().failure);

  engine->set_fault(fault);
  Batch batch;
  batch.put(Table::kRegistry, "during", "?");
  CHECK(code_of(store.commit_wait(std::move(batch))) == code);
  for (int i = 0; i < 3; ++i) {
    Batch more;
    more.put(Table::kRegistry, "during", "?");
    CHECK_FALSE(store.commit_wait(std::move(more)));
  }
  REQUIRE(store.health().failure);
  CHECK_FALSE(store.health().failure->message().empty());
  // Reads go on, while the store tries in vain to recover.
  for (int i = 0; i < 20; ++i) {
    REQUIRE(value_of(store, "before") == "kept");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  engine->set_fault(Fault::kNone);
  while (store.health().failure) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const Revision revision = put(store, "after", "kept");
  CHECK(store.get(Table::kRegistry, "after").value()->revision == revision);
  CHECK(value_of(store, "before") == "kept");
}

TEST_CASE("wipe leaves nothing in any table") {
  const auto engine = any_engine();
  Store& store = engine->store();
  Batch batch;
  for (std::size_t i = 0; i < kTableCount; ++i) {
    batch.put(Table(i), std::string(1, '\0'), "x");
    batch.put(Table(i), "k", "x");
    batch.put(Table(i), "\xfe\xff\xff", "x");
  }
  const Revision before = store.commit_wait(std::move(batch)).value();
  REQUIRE(store.wipe());
  for (std::size_t i = 0; i < kTableCount; ++i) {
    CHECK(store.scan(Table(i), "", "", 1).value().empty());
  }
  CHECK(number(put(store, "k", "new")) > number(before));
}

}  // namespace
}  // namespace iotcore::store
