#include "base/bytes.h"
#include "base/crypto.h"
#include "base/errc.h"
#include "base/function.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/result.h"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <memory>
#include <random>
#include <string>

namespace iotcore {
namespace {

TEST_CASE("JSON numbers print as people and AWS write them") {
  const auto text = [](double d) {
    std::string out;
    append_json_number(out, d);
    return out;
  };
  CHECK(text(21.375) == "21.375");
  CHECK(text(1) == "1.0");
  CHECK(text(0) == "0.0");
  CHECK(text(-0.001) == "-0.001");
  CHECK(text(1e-7) == "1.0E-7");
  CHECK(text(1.5e300) == "1.5E300");
}

TEST_CASE("JSON is parsed whole, within limits, and written back in order") {
  CHECK(
      to_json(*parse_json(R"({"b":1,"a":[true,null,"x\n"],"c":2.5})")) ==
      R"({"b":1,"a":[true,null,"x\n"],"c":2.5})"
  );
  CHECK(parse_json("{").error().code() == Errc::kMalformedJson);
  CHECK(parse_json("{} x").error().code() == Errc::kMalformedJson);
  CHECK(parse_json("").error().code() == Errc::kMalformedJson);
  CHECK(parse_json("\"\xff\"").error().code() == Errc::kMalformedJson);
  JsonLimits limits;
  limits.depth_max = 2;
  CHECK(parse_json("[[1]]", limits).has_value());
  CHECK(parse_json("[[[1]]]", limits).error().code() == Errc::kMalformedJson);
  limits.bytes_max = 2;
  CHECK(parse_json("[]", limits).has_value());
  CHECK(parse_json("[1]", limits).error().code() == Errc::kTooLarge);
}

TEST_CASE("JSON's numbers are read exactly, however many digits they have") {
  const auto number = [](const std::string& text) {
    return parse_json("{\"a\":" + text + "}")->at("a").to_number<double>();
  };
  CHECK(number("0e999") == 0.0);
  CHECK(number("66666.6633333333324") == 66666.66333333333);
  CHECK(number("9.967448324391879e-241") == 9.967448324391879e-241);
  CHECK(number("18446744073709551616") == 18446744073709551616.0);
  CHECK(number("123456789012345680") == 123456789012345680.0);
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto bits = random();
    const auto any = i % 2 == 0 ? std::bit_cast<double>(bits)
                                : static_cast<double>(bits % 1'000'000'000) / 997.0;
    if (std::isfinite(any)) {
      std::string text;
      append_json_number(text, any);
      REQUIRE(number(text) == any);
    }
  }
}

TEST_CASE("base64 and hex are strict") {
  CHECK(to_base64("hi") == "aGk=");
  CHECK(from_base64("aGk=") == "hi");
  CHECK(from_base64("") == "");
  CHECK_FALSE(from_base64("aGk"));
  CHECK_FALSE(from_base64(" Gk="));
  CHECK_FALSE(from_base64("a=k="));
  CHECK(from_hex("00fF") == std::string("\x00\xff", 2));
  CHECK_FALSE(from_hex("0g"));
  CHECK(
      to_hex(as_text(sha256(""))) ==
      "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  );
  CHECK(new_uuid().size() == 36);
}

TEST_CASE("UTF-8 is checked to the letter") {
  CHECK(is_valid_utf8("plain ascii of some length"));
  CHECK(is_valid_utf8("\xe2\x82\xac \xf0\x9f\x98\x80"));
  CHECK_FALSE(is_valid_utf8("\xc0\x80"));
  CHECK_FALSE(is_valid_utf8("\xed\xa0\x80"));
  CHECK_FALSE(is_valid_utf8("\xf4\x90\x80\x80"));
  CHECK_FALSE(is_valid_utf8("12345678\xe2\x82"));
}

TEST_CASE("a byte reader never reads past its end") {
  ByteReader reader(std::string_view("\x01\x02\x03", 3));
  CHECK(reader.u16() == 0x0102);
  CHECK(reader.u16() == 0);
  CHECK_FALSE(reader.ok());
  CHECK(reader.u8() == 0);
}

TEST_CASE("a function owns what it captures, small or large") {
  auto owned = std::make_unique<int>(7);
  Function<int()> small = [owned = std::move(owned)] { return *owned; };
  std::array<char, 200> block = {};
  block[199] = 3;
  Function<int()> large = [block] { return block[199]; };
  Function<int()> moved = std::move(small);
  CHECK(moved() == 7);
  CHECK_FALSE(small);
  CHECK(large() == 3);
}

TEST_CASE("errors pass through TRY and ASSIGN") {
  const auto inner = [](bool good) -> Result<std::string> {
    if (!good) {
      return fail(Errc::kNotFound, "no such thing");
    }
    return std::string("value");
  };
  const auto outer = [&](bool good) -> Result<std::size_t> {
    IOTCORE_ASSIGN(const std::string text, inner(good));
    return text.size();
  };
  CHECK(*outer(true) == 5);
  CHECK(outer(false).error().code() == Errc::kNotFound);
  CHECK(errc_info(Errc::kNotFound).exception == "ResourceNotFound");
}

TEST_CASE("metrics of one name and label set are summed, and print in Prometheus form") {
  Metrics metrics;
  Counter& one = metrics.counter("messages_total", "Messages", {{"worker", "0"}});
  Counter& two = metrics.counter("messages_total", "Messages", {{"worker", "0"}});
  one.add(2);
  two.add(3);
  metrics.histogram("wait_seconds", "Wait").observe(0.002);
  const std::string text = metrics.to_text();
  CHECK(text.find("messages_total{worker=\"0\"} 5") != std::string::npos);
  CHECK(text.find("wait_seconds_bucket{le=\"0.003\"} 1") != std::string::npos);
}

TEST_CASE("HMAC-SHA-256 equals RFC 4231, keys longer than a block included") {
  const auto hmac = [](std::string_view key, std::string_view text) {
    return to_hex(as_text(hmac_sha256(key, text)));
  };
  CHECK(
      hmac(std::string(20, '\x0b'), "Hi There") ==
      "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
  );
  CHECK(
      hmac(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First") ==
      "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
  );
  CHECK(
      hmac(std::string(64, 'k'), "") ==
      "83026a325aaee70e36cfe607536aa1054104ad1077c36134810d4ccded1ccd3b"
  );
}

}  // namespace
}  // namespace iotcore
