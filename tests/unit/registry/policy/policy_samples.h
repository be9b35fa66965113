#pragma once

#include "registry/policy/compile.h"
#include "registry/policy/document.h"

#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

// Policies and circumstances, at random and from a small alphabet, so that they meet often.
namespace iotcore::registry::policy::test {

constexpr std::string_view kArnPrefix = "arn:aws:iot:us-east-1:000000000000:";

inline Document parse(std::string_view text) {
  return parse_document(text).value();
}

class RandomPolicies {
 public:
  explicit RandomPolicies(std::uint32_t seed) : random_(seed) {}

  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() >> 3) % n; }

  template <std::size_t kCount>
  std::string pick(const std::array<const char*, kCount>& from) {
    return from[below(kCount)];
  }

  // A topic, a client id, a filter.
  std::string name() {
    std::string out;
    for (std::uint32_t i = below(6); i != 0; --i) {
      out += pick(std::array{"a", "b", "/", "ab", "*", "?", "\xC3\xA9", "\xE6\xB8\xA9", "d1"});
    }
    return out;
  }

  std::string resource_pattern() {
    std::string out = pick(std::array{
        "arn:aws:iot:us-east-1:000000000000:topic/",
        "arn:aws:iot:us-east-1:000000000000:topic/",
        "arn:aws:iot:us-east-1:000000000000:topic/",
        "arn:aws:iot:*:*:topic/",
        "arn:aws:iot:*:topic",
        "*",
        "arn:aws:iot:us-east-1:000000000000:client/",
        "arn:aws:iot:us-east-?:${aws:userid}:topic/",
        "arn:aws:iot:us-east-1:000000000000:topic*/",
        "arn:aws:iot:eu-west-1:*"});
    for (std::uint32_t i = below(6); i != 0; --i) {
      out += pick(std::array{
          "a",
          "b",
          "/",
          "ab",
          "*",
          "?",
          "**",
          "\xC3\xA9",
          "${*}",
          "${?}",
          "$",
          "${iot:ClientId}",
          "${iot:Connection.Thing.ThingName}",
          "${iot:Certificate.Subject.CommonName}",
          "${",
          "}"});
    }
    return out;
  }

  Condition condition() {
    Condition out{
        .op = static_cast<Operator>(below(static_cast<std::uint32_t>(Operator::kNull) + 1)),
        .set_mode = static_cast<SetMode>(below(6) < 4 ? 0 : 1 + below(2)),
        .if_exists = below(5) == 0,
        .key = pick(std::array{
            "iot:ClientId",
            "IOT:clientid",
            "aws:SourceIp",
            "iot:ConnectAttributes",
            "x:none",
            "aws:CurrentTime",
            "aws:EpochTime",
            "iot:Certificate.Subject.CommonName",
            "iot:Connection.Thing.Attributes[n]"}),
        .values = {},
    };
    for (std::uint32_t i = below(3); i != 0; --i) {
      out.values.push_back(pick(std::array{
          "d1",
          "*",
          "a?",
          "${iot:ClientId}",
          "${iot:Connection.Thing.ThingName}*",
          "${aws:CurrentTime}",
          "10.0.0.0/8",
          "LastWill",
          "7",
          "2023-11-14T22:13:20Z",
          "true",
          "arn:*:*:*:*:*",
          "YQ=="}));
    }
    return out;
  }

  Document document() {
    Document out{.has_variables = below(8) != 0, .statements = {}};
    for (std::uint32_t i = 1 + below(4); i != 0; --i) {
      Statement statement{
          .sid = "s" + std::to_string(i),
          .effect = below(4) == 0 ? Effect::kDeny : Effect::kAllow,
          .not_action = below(10) == 0,
          .not_resource = below(10) == 0,
          .actions = {},
          .resources = {},
          .conditions = {},
      };
      for (std::uint32_t k = 1 + below(2); k != 0; --k) {
        statement.actions.push_back(pick(std::array{
            "iot:Publish",
            "iot:*",
            "*",
            "iot:Connect",
            "IOT:publish",
            "iot:?ublish",
            "iot:UpdateJobExecution"}));
      }
      for (std::uint32_t k = 1 + below(3); k != 0; --k) {
        statement.resources.push_back(resource_pattern());
      }
      for (std::uint32_t k = below(6) == 0 ? 1 + below(2) : 0; k != 0; --k) {
        statement.conditions.push_back(condition());
      }
      out.statements.push_back(std::move(statement));
    }
    return out;
  }

  std::vector<NamedDocument> policies() {
    std::vector<NamedDocument> out;
    for (std::uint32_t i = below(4); i != 0; --i) {
      out.push_back({"p" + std::to_string(i), document()});
    }
    return out;
  }

  Context context(const Clock& clock) {
    Context out;
    out.protocol = static_cast<Protocol>(below(3));
    if (below(5) != 0) {
      out.client_id = pick(std::array{"d1", "a", "a*", "\xC3\xA9", ""});
    }
    if (below(3) != 0) {
      out.thing =
          ThingFacts{.name = pick(std::array{"d1", "ab"}), .type = {}, .attributes = {{"n", "7"}}};
    }
    if (below(3) != 0) {
      out.certificate = CertificateFacts{};
      out.certificate->subject["CommonName"] = {pick(std::array{"a", "a,b", "a*b"})};
    }
    if (below(3) != 0) {
      out.source_ip = pick(std::array{"10.1.2.3", "192.0.2.1", "2001:db8::1"});
    }
    if (below(3) != 0) {
      out.principal_id = "000000000000";
    }
    if (below(2) == 0) {
      out.set(
          "iot:ConnectAttributes",
          below(2) == 0 ? std::vector<std::string>{} : std::vector<std::string>{"LastWill"}
      );
    }
    if (below(2) == 0) {
      out.clock = &clock;
    }
    return out;
  }

 private:
  std::minstd_rand random_;
};

}  // namespace iotcore::registry::policy::test
