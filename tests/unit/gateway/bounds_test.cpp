#include "gateway/bounds.h"

#include <catch2/catch.hpp>
#include <google/protobuf/descriptor.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <random>
#include <set>
#include <string>
#include <string_view>

namespace iotcore::gateway {
namespace {

bool satisfies(const Bounds& bounds, std::string_view text) {
  const auto violations = bounds.violations(text);
  return std::none_of(violations.begin(), violations.end(), [](const std::string& violation) {
    return violation.starts_with("Member must satisfy regular expression pattern");
  });
}

bool satisfies_by_re2(const std::string& pattern, std::string_view text) {
  std::string in_re2 = pattern;
  if (const auto at = in_re2.find("\\p{Graph}"); at != std::string::npos) {
    in_re2.replace(at, 9, "[:graph:]");
  }
  return re2::RE2::FullMatch({text.data(), text.size()}, re2::RE2(in_re2, re2::RE2::Quiet));
}

std::set<std::string> patterns() {
  std::set<std::string> out;
  const auto* shapes = api::Shape_descriptor();
  for (int i = 0; i < shapes->value_count(); ++i) {
    const std::string& pattern = shapes->value(i)->options().GetExtension(api::bounds).pattern();
    if (!pattern.empty()) {
      out.insert(pattern);
    }
  }
  // What looks like a class of characters, and is not only one, or has its brackets in it.
  for (const char* pattern :
       {"[a]+[b]+", "[a]*b", "[\\]]+", "[\\[a]*", "[^a]+", "[^\\]a]*", "[é]+", "[a]", "a+"}) {
    out.insert(pattern);
  }
  return out;
}

TEST_CASE("a pattern means what RE2 says it means, for every character") {
  for (const std::string& pattern : patterns()) {
    api::Bounds row;
    row.set_pattern(pattern);
    const Bounds bounds(row);
    INFO(pattern);
    CHECK(satisfies(bounds, "") == satisfies_by_re2(pattern, ""));
    for (int i = 0; i < 256; ++i) {
      const std::string character(1, static_cast<char>(i));
      for (const std::string& text : {character, "a" + character, character + "0"}) {
        INFO(i);
        REQUIRE(satisfies(bounds, text) == satisfies_by_re2(pattern, text));
      }
    }
  }
}

TEST_CASE("a pattern means what RE2 says it means, for random texts") {
  static constexpr std::array<std::string_view, 16> kPieces = {
      "a", "Z", "0", "9", ":", "_", "-", "]", "[", "\\", " ", "$", "\n", "é", "\xe2\x82\xac", "\xff"};
  std::mt19937 random(20'260'102);
  for (const std::string& pattern : patterns()) {
    api::Bounds row;
    row.set_pattern(pattern);
    const Bounds bounds(row);
    for (int i = 0; i < 500; ++i) {
      std::string text;
      // Mostly of few kinds, so that some match.
      const std::size_t kinds = 1 + random() % kPieces.size();
      for (std::size_t length = random() % 12; length > 0; --length) {
        text += kPieces[random() % kinds];
      }
      INFO(pattern << " and " << text);
      REQUIRE(satisfies(bounds, text) == satisfies_by_re2(pattern, text));
    }
  }
}

}  // namespace
}  // namespace iotcore::gateway
