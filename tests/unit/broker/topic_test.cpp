#include "broker/topic.h"

#include <catch2/catch.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace iotcore::broker {
namespace {

TEST_CASE("topic names are valid without wildcards and within the limits") {
  const TopicLimits limits{.bytes_max = 8, .levels_max = 3, .share_name_bytes_max = 4};
  for (const char* valid : {"a", "/", "a/b/c", "//", "$SYS/a", "a b", "12345678"}) {
    CAPTURE(valid);
    CHECK(is_valid_topic(valid, limits));
  }
  for (const char* invalid : {"", "+", "a/#", "a+b", "123456789", "a/b/c/d"}) {
    CAPTURE(invalid);
    CHECK_FALSE(is_valid_topic(invalid, limits));
  }
  for (std::size_t length = 1; length <= 20; ++length) {
    for (std::size_t at = 0; at < length; ++at) {
      std::string topic(length, 'a');
      CHECK(is_valid_topic(topic));
      topic[at] = '\0';
      CHECK_FALSE(is_valid_topic(topic));
    }
  }
}

TEST_CASE("MQTT-4.7.1-1 to -3: wildcards fill a level, # only the last one") {
  for (const char* valid : {"#", "+", "/#", "+/#", "a/+/b", "+/+", "/+", "a/#", "$aws/#", "//"}) {
    CAPTURE(valid);
    CHECK(is_valid_filter(valid));
  }
  for (const char* invalid : {"", "a#", "a/b#", "#/a", "a/#/b", "a+", "+a", "a/+b/c", "##", "++"}) {
    CAPTURE(invalid);
    CHECK_FALSE(is_valid_filter(invalid));
  }
  CHECK(is_valid_filter("a/+/c", {.levels_max = 3}));
  CHECK_FALSE(is_valid_filter("a/+/c/#", {.levels_max = 3}));
}

TEST_CASE("MQTT-4.8.2-1, -2: a shared filter has a name without wildcards and a filter") {
  const auto parsed = parse_filter("$share/group/a/+/#");
  REQUIRE(parsed);
  CHECK(parsed->is_shared());
  CHECK(parsed->share_name == "group");
  CHECK(parsed->filter == "a/+/#");
  const auto rooted = parse_filter("$share/g//a");
  REQUIRE(rooted);
  CHECK(rooted->filter == "/a");
  const auto plain = parse_filter("$sharex/g/a");
  REQUIRE(plain);
  CHECK_FALSE(plain->is_shared());
  CHECK(plain->filter == "$sharex/g/a");
  for (const char* invalid :
       {"$share",
        "$share/",
        "$share/g",
        "$share/g/",
        "$share//a",
        "$share/+/a",
        "$share/g#/a",
        "$share/g/a#",
        ""}) {
    CAPTURE(invalid);
    CHECK_FALSE(parse_filter(invalid));
  }
  CHECK(parse_filter("$share/1234/a", {.share_name_bytes_max = 4}));
  CHECK_FALSE(parse_filter("$share/12345/a", {.share_name_bytes_max = 4}));
}

TEST_CASE("limits can be held against what follows the reserved prefixes") {
  CHECK(without_uncounted_prefix("$aws/rules/r/a/b") == "a/b");
  CHECK(without_uncounted_prefix("$aws/rules/r") == "");
  CHECK(without_uncounted_prefix("$share/g/a/b") == "a/b");
  CHECK(without_uncounted_prefix("$aws/things/a") == "$aws/things/a");
  CHECK(without_uncounted_prefix("a/b") == "a/b");
}

TEST_CASE("no configuration lets more levels or bytes in than the trees can hold") {
  const TopicLimits unlimited{.bytes_max = SIZE_MAX, .levels_max = SIZE_MAX};
  const std::string deepest(kTopicLevelsMax - 1, '/');
  CHECK(is_valid_topic(deepest, unlimited));
  CHECK_FALSE(is_valid_topic(deepest + "/", unlimited));
  CHECK_FALSE(is_valid_filter(deepest + "/", unlimited));
  CHECK(is_valid_topic(std::string(kTopicBytesMax, 'a'), unlimited));
  CHECK_FALSE(is_valid_topic(std::string(kTopicBytesMax + 1, 'a'), unlimited));
}

TEST_CASE("levels") {
  const auto split = [](std::string_view text) {
    std::vector<std::string> out;
    Levels levels(text);
    for (std::string_view level; levels.next(level);) {
      out.emplace_back(level);
    }
    return out;
  };
  CHECK(split("a//b") == std::vector<std::string>{"a", "", "b"});
  CHECK(split("/") == std::vector<std::string>{"", ""});
  CHECK(split("") == std::vector<std::string>{""});
  CHECK(count_levels("a//b") == 3);
}

TEST_CASE("MQTT 4.7: which filters match which topics") {
  struct Row {
    const char* filter;
    const char* topic;
    bool matches;
  };

  // The examples of the standard's section 4.7 and their neighbours.
  const Row rows[] = {
      {"sport/tennis/player1/#", "sport/tennis/player1", true},
      {"sport/tennis/player1/#", "sport/tennis/player1/ranking", true},
      {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true},
      {"sport/tennis/player1/#", "sport/tennis/player2", false},
      {"sport/#", "sport", true},
      {"#", "sport/a", true},
      {"sport/tennis/+", "sport/tennis/player1", true},
      {"sport/tennis/+", "sport/tennis/player1/ranking", false},
      {"sport/+", "sport", false},
      {"sport/+", "sport/", true},
      {"+/+", "/finance", true},
      {"/+", "/finance", true},
      {"+", "/finance", false},
      {"+/monitor/Clients", "$SYS/monitor/Clients", false},
      {"#", "$SYS/monitor", false},
      {"$SYS/#", "$SYS/monitor", true},
      {"$SYS/monitor/+", "$SYS/monitor/Clients", true},
      {"ACCOUNTS", "Accounts", false},
      {"a", "a/", false},
      {"a/+/c", "a//c", true},
      {"a/+", "a/$b", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.filter, row.topic);
    CHECK(topic_matches(row.filter, row.topic) == row.matches);
  }
  CHECK_FALSE(topic_matches("sport/#", "sport", false));
  CHECK(topic_matches("sport/#", "sport/", false));
  CHECK(topic_matches("#", "sport", false));
}

}  // namespace
}  // namespace iotcore::broker
