#include "registry/query/query.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <string>

namespace iotcore::registry::query {
namespace {

// Fields by name; a name may be there several times, as lists are.
class Fields final : public Subject {
 public:
  using Values = std::multimap<std::string, ValueView, std::less<>>;

  explicit Fields(Values values) : values_(std::move(values)) {}

  bool any(std::string_view field, const Test& test) const override {
    const auto [from, to] = values_.equal_range(field);
    return std::any_of(from, to, [&test](const auto& value) { return test(value.second); });
  }

  bool any(const Test& test) const override {
    return std::any_of(values_.begin(), values_.end(), [&test](const auto& value) {
      return test(value.second);
    });
  }

 private:
  Values values_;
};

const Fields kThing({
    {"thingName", ValueView::of_text("myTv-1")},
    {"thingTypeName", ValueView::of_text("Television")},
    {"thingGroupNames", ValueView::of_text("lobby")},
    {"thingGroupNames", ValueView::of_text("floor:2")},
    {"attributes.size", ValueView::of_attribute("75.5")},
    {"attributes.serial", ValueView::of_attribute("007")},
    {"attributes.model", ValueView::of_attribute("Q80-b")},
    {"shadow.reported.volume", ValueView::of_number(12.0)},
    {"shadow.reported.text", ValueView::of_text("12")},
    {"shadow.hasDelta", ValueView::of_boolean(true)},
});

bool matches(std::string_view text) {
  const auto query = Query::parse(text);
  INFO(text << " " << (query ? "" : query.error().message()));
  REQUIRE(query);
  return query->matches(kThing);
}

TEST_CASE("queries match") {
  for (const char* text : {
           "*",
           "thingName:*",
           "thingName:my*",
           "thingName:MYTV-1",
           "thingName:mytv-?",
           "thingName:m*-1",
           "thingName:\"mytv-1\"",
           "mytv-1",
           "tele*",
           "thingGroupNames:lobby AND thingGroupNames:floor\\:2",
           "thingGroupNames:\"floor:2\"",
           "attributes.size:75.50",
           "attributes.size:[75 TO 80]",
           "attributes.size:{75 TO 75.5]",
           "attributes.size:[* TO 80]",
           "attributes.size:[70 TO *]",
           "attributes.size>75",
           "attributes.size >= 75.5",
           "attributes.size<=75.5",
           "attributes.size:>75",
           "attributes.serial:7",
           "attributes.serial:007",
           "attributes.serial:[\"006\" TO \"008\"]",
           "attributes.model:[\"q7\" TO \"Q9\"]",
           "attributes.model:{Q7 TO Q9}",
           "shadow.reported.volume:12",
           "shadow.reported.volume<12.5",
           "shadow.reported.text:12",
           "shadow.hasDelta:true",
           "shadow.hasDelta:TRUE",
           "NOT attributes.model:legacy",
           "NOT attributes.none:x",
           "-attributes.none:*",
           "NOT NOT thingName:my*",
           "thingName:(my* AND -plasma)",
           "thingName:(other OR my*)",
           "thingName:other OR thingTypeName:television",
           "thingName:other OR thingName:my* attributes.size>1",
           "attributes.size>1 attributes.size<100 NOT attributes.model:x",
           "(thingName:my*) AND (attributes.size:75.5 OR thingName:x)",
           "attributes.model:Q80\\-b",
       }) {
    CHECK(matches(text));
  }
}

TEST_CASE("queries do not match") {
  for (const char* text : {
           "NOT *",
           "thingname:my*",
           "thingName:my",
           "thingName:my?",
           "thingName:other",
           "other",
           "attributes.none:*",
           "attributes.size:{75.5 TO 80]",
           "attributes.size:[70 TO 75.5}",
           "attributes.size<75.5",
           "attributes.size>75.5",
           "attributes.model:[1 TO 100]",
           "attributes.serial:07.1",
           "shadow.reported.text:12.0",
           "shadow.reported.text:[1 TO 20]",
           "shadow.hasDelta:false",
           "shadow.hasDelta:[a TO z]",
           "thingName:(my* AND -mytv*)",
           "thingName:my* attributes.size>100",
           "thingName:other OR thingName:x",
           "NOT (thingName:my* OR thingName:x)",
           "thingName:my\\*",
       }) {
    CHECK_FALSE(matches(text));
  }
}

TEST_CASE("what is no query is refused with its place") {
  for (const char* text : {
           "",
           "   ",
           "thingName:",
           "thingName:*tv",
           "thingName:?tv",
           "*tv",
           "thingName:(my*",
           "thingName:my*)",
           "(",
           "()",
           "AND",
           "a AND",
           "a OR",
           "OR a",
           "NOT",
           "-",
           "attributes.size:[1 TO",
           "attributes.size:[1 2]",
           "attributes.size:[1 TO 2",
           "attributes.size:[1* TO 2]",
           "attributes.size>",
           "attributes.size>1*",
           "thingName:\"open",
           "thingName:a\\",
           "thing*:a",
           "a]",
       }) {
    INFO(text);
    const auto query = Query::parse(text);
    REQUIRE_FALSE(query);
    CHECK(query.error().code() == Errc::kInvalidQuery);
    CHECK(query.error().message().find("at character") != std::string::npos);
  }
}

TEST_CASE("queries are bounded") {
  std::string terms = "a";
  for (int i = 1; i < 64; ++i) {
    terms += " a";
  }
  CHECK(Query::parse(terms));
  CHECK_FALSE(Query::parse(terms + " a"));
  CHECK(Query::parse(std::string(31, '(') + "a" + std::string(31, ')')));
  CHECK_FALSE(Query::parse(std::string(32, '(') + "a" + std::string(32, ')')));
  CHECK_FALSE(Query::parse(std::string(1000, '(') + "a"));
  CHECK(Query::parse(std::string(4096, 'a')));
  CHECK_FALSE(Query::parse(std::string(4097, 'a')));
}

}  // namespace
}  // namespace iotcore::registry::query
