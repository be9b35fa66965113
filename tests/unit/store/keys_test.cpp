#include "store/keys.h"

#include "store/batch.h"
#include "store/group_overlay.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

namespace iotcore::store {
namespace {

using namespace std::string_literals;

TEST_CASE("keys sort as their segments do, and no text is a prefix of another") {
  const std::vector<std::pair<std::string, std::uint64_t>> segments = {
      {"", 0},
      {"", 1},
      {"\0"s, 0},
      {"\0\x01"s, 0},
      {"\0\xff"s, 0},
      {"\x01", 0},
      {"a", 0},
      {"a", 255},
      {"a", 256},
      {"a", UINT64_MAX},
      {"a\0"s, 0},
      {"a\0b"s, 0},
      {"a\x01", 0},
      {"ab", 0},
      {"b", 0},
      {"\xff", 0},
  };
  std::vector<std::string> keys;
  for (const auto& [text, n] : segments) {
    keys.push_back(Key('k').text(text).u64(n).take());
    KeyReader passing(keys.back());
    CHECK(passing.kind() == 'k');
    CHECK(passing.skip_text());
    CHECK(passing.u64() == n);
    CHECK_FALSE(passing.skip_text());
    KeyReader reader(keys.back());
    CHECK(reader.kind() == 'k');
    CHECK(reader.text() == text);
    CHECK(reader.u64() == n);
    CHECK(reader.rest().empty());
  }
  CHECK(std::is_sorted(keys.begin(), keys.end()));
  CHECK(std::adjacent_find(keys.begin(), keys.end()) == keys.end());
  CHECK_FALSE(Key('k').text("ab").take().starts_with(Key('k').text("a").view()));
}

TEST_CASE("what is not a key is not read as one") {
  CHECK_FALSE(KeyReader("").kind());
  CHECK_FALSE(KeyReader("abc").text());
  CHECK_FALSE(KeyReader("abc\0"s).text());
  CHECK_FALSE(KeyReader("abc\0\x02"s).text());
  CHECK_FALSE(KeyReader("1234567").u64());
  KeyReader reader("sa/b");
  CHECK(reader.kind() == 's');
  CHECK(reader.rest() == "a/b");
}

TEST_CASE("a prefix ends before the first key that does not have it") {
  CHECK(prefix_end("a") == "b");
  CHECK(prefix_end("a\xff") == "b");
  CHECK(prefix_end("a\xff\x01") == "a\xff\x02");
  CHECK(prefix_end("") == "\xff");
  CHECK(key_after("a") == "a\0"s);
}

TEST_CASE("a batch gives back its operations in order") {
  Batch batch;
  CHECK(batch.empty());
  batch.put(Table::kQueue, "k", "v\0w"s);
  batch.erase(Table::kRules, "e");
  batch.erase_range(Table::kQueue, "b", "a");
  batch.erase_range(Table::kQueue, "a", "b");
  batch.expect_absent(Table::kQueue, "x");
  batch.expect_revision(Table::kQueue, "y", Revision(7));
  CHECK(batch.writes() == 3);
  CHECK(batch.expectations() == 2);
  std::string out;
  batch.for_each([&](const OperationView& operation) {
    out += std::to_string(static_cast<int>(operation.kind));
    out += std::string(name(operation.table)) + ":" + std::string(operation.key);
    out += operation.kind == OperationView::Kind::kExpectRevision
               ? std::to_string(number(operation.expected()))
               : "=" + std::string(operation.value);
    out += ' ';
  });
  CHECK(out == "0queue:k=v\0w 1rules:e= 2queue:a=b 3queue:x= 4queue:y7 "s);
}

TEST_CASE("the overlay of a group gives the last effect on a row") {
  GroupOverlay overlay;
  Batch first;
  first.put(Table::kQueue, "a", "1");
  first.put(Table::kQueue, "b", "1");
  first.erase_range(Table::kQueue, "b", "c");
  overlay.add(first, Revision(1));
  Batch second;
  second.put(Table::kQueue, "bb", "2");
  second.erase(Table::kQueue, "c");
  overlay.add(second, Revision(2));
  CHECK(overlay.find(Table::kQueue, "a")->revision == Revision(1));
  CHECK(overlay.find(Table::kQueue, "b"));
  CHECK_FALSE(overlay.find(Table::kQueue, "b")->revision);
  CHECK_FALSE(overlay.find(Table::kQueue, "ba")->revision);
  CHECK(overlay.find(Table::kQueue, "bb")->revision == Revision(2));
  CHECK_FALSE(overlay.find(Table::kQueue, "c")->revision);
  CHECK_FALSE(overlay.find(Table::kQueue, "d"));
  CHECK_FALSE(overlay.find(Table::kRules, "a"));
}

}  // namespace
}  // namespace iotcore::store
