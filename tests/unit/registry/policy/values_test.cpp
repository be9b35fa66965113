#include "registry/policy/condition.h"
#include "registry/policy/context.h"
#include "registry/policy/dates.h"
#include "registry/policy/ip_range.h"

#include <catch2/catch.hpp>

#include <string>

namespace iotcore::registry::policy {
namespace {

TEST_CASE("Dates are ISO 8601 or seconds since the epoch") {
  CHECK(parse_date_ms("1970-01-01T00:00:00Z") == 0);
  CHECK(parse_date_ms("2024") == 1704067200000);
  CHECK(parse_date_ms("2024-02") == 1706745600000);
  CHECK(parse_date_ms("2024-02-29") == 1709164800000);
  CHECK(parse_date_ms("2024-02-29T01:02Z") == 1709168520000);
  CHECK(parse_date_ms("2024-02-29T01:02:03.4567") == 1709168523456);
  CHECK(parse_date_ms("2024-02-29T01:02:03.4+01:30") == 1709163123400);
  CHECK(parse_date_ms("2024-02-29T01:02:03-0130") == 1709173923000);
  CHECK(parse_date_ms("0") == 0);
  CHECK(parse_date_ms("-1") == -1000);
  CHECK(parse_date_ms("1700000000") == 1700000000000);
  for (const char* text :
       {"",
        "x",
        "2023-02-29",
        "2024-13",
        "2024-1-1",
        "2024-02-29T",
        "2024-02-29T24:00Z",
        "2024-02-29T01Z",
        "2024-02-29T01:02:03.Z",
        "2024-02-29T01:02Zx",
        "2024-02-29 01:02",
        "99999999999999999999",
        "9223372036854775807"}) {
    INFO(text);
    CHECK_FALSE(parse_date_ms(text));
  }
}

TEST_CASE("Addresses are in ranges of their own family") {
  CHECK(ip_in_range("10.1.2.3", "10.0.0.0/8"));
  CHECK(ip_in_range("10.1.2.3", "0.0.0.0/0"));
  CHECK(ip_in_range("10.1.2.3", "10.1.2.3"));
  CHECK(ip_in_range("10.1.2.127", "10.1.2.0/25"));
  CHECK_FALSE(ip_in_range("10.1.2.128", "10.1.2.0/25"));
  CHECK(ip_in_range("2001:db8::1", "2001:DB8:0::/48"));
  CHECK_FALSE(ip_in_range("2001:db8::1", "::2/127"));
  CHECK_FALSE(ip_in_range("10.1.2.3", "::/0"));
  CHECK_FALSE(ip_in_range("::1", "0.0.0.0/0"));
  for (const char* range :
       {"",
        "/",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/8x",
        "10.0.0/8",
        "::/129",
        "x"}) {
    INFO(range);
    CHECK_FALSE(ip_in_range("10.0.0.0", range));
    CHECK_FALSE(ip_in_range("", range));
  }
}

TEST_CASE("Values of certificates are cut, escaped or left out") {
  Context context;
  context.certificate = CertificateFacts{
      .id = "f0", .serial = "1+1", .subject = {}, .issuer = {}, .available_keys = {}};
  context.certificate->subject["CommonName"] = {"a=b;\"c\"", "x", "3", "4", "5", "6"};
  CHECK(context.substitute("iot:Certificate.Subject.CommonName") == R"(a\=b\;\"c\")");
  CHECK(context.substitute("IOT:certificate.subject.commonname.4") == "5");
  CHECK(context.substitute("iot:Certificate.Subject.CommonName.5") == std::nullopt);
  CHECK(context.substitute("iot:Certificate.Subject.CommonName.x") == std::nullopt);
  CHECK(context.substitute("iot:Certificate.Subject.CommonName.List") == std::nullopt);
  CHECK(context.find("iot:Certificate.Subject.CommonName.List")->texts.size() == 5);
  CHECK(context.substitute("iot:Certificate.SerialNumber") == "${iot:Certificate.SerialNumber}");
  CHECK(context.find("iot:Certificate.SerialNumber")->texts == std::vector<std::string>{"1+1"});
  CHECK(context.substitute("iot:CertificateId") == "f0");
}

TEST_CASE("The time comes from the clock unless it is given") {
  ManualClock clock(from_epoch_ms(1'709'168'523'000));
  Context context;
  CHECK_FALSE(context.find("aws:CurrentTime"));
  context.clock = &clock;
  CHECK(context.substitute("aws:currenttime") == "2024-02-29T01:02:03Z");
  CHECK(context.substitute("aws:EpochTime") == "1709168523");
  context.set("aws:EpochTime", std::string("5"));
  CHECK(context.substitute("aws:EpochTime") == "5");
}

TEST_CASE("Sets under operators without a set mode") {
  Context context;
  context.set("x:set", std::vector<std::string>{"a", "b"});
  context.set("x:empty", std::vector<std::string>{});
  const auto check = [&](Operator op, const char* key, const char* value, bool if_exists = false) {
    std::vector<std::string> missing;
    return holds({op, SetMode::kNone, if_exists, key, {value}}, true, context, missing);
  };
  CHECK(check(Operator::kStringEquals, "x:set", "b"));
  CHECK_FALSE(check(Operator::kStringNotEquals, "x:set", "b"));
  CHECK(check(Operator::kStringNotEquals, "x:set", "c"));
  CHECK_FALSE(check(Operator::kStringEquals, "x:empty", "b"));
  CHECK(check(Operator::kStringEquals, "x:empty", "b", true));
  CHECK(check(Operator::kStringNotEquals, "x:empty", "b"));
}

}  // namespace
}  // namespace iotcore::registry::policy
