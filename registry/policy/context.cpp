#include "registry/policy/context.h"

#include "registry/policy/text.h"

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace iotcore::registry::policy {
namespace {

constexpr std::size_t kCertificateValuesMax = 5;
constexpr std::size_t kCertificateValueBytesMax = 1024;

std::optional<Values> single(const std::optional<std::string>& value) {
  if (!value) {
    return std::nullopt;
  }
  return Values{.texts = {*value}};
}

// What follows `prefix` in `key`, whatever the case of the prefix.
std::optional<std::string_view> after_prefix(std::string_view key, std::string_view prefix) {
  if (key.size() <= prefix.size() || !equal_ignoring_case(key.substr(0, prefix.size()), prefix)) {
    return std::nullopt;
  }
  return key.substr(prefix.size());
}

std::optional<Values> thing_value(const ThingFacts& thing, std::string_view name) {
  if (equal_ignoring_case(name, "ThingName")) {
    return Values{.texts = {thing.name}};
  }
  if (equal_ignoring_case(name, "ThingTypeName")) {
    return single(thing.type);
  }
  if (const auto rest = after_prefix(name, "Attributes["); rest && rest->ends_with(']')) {
    const auto found = thing.attributes.find(rest->substr(0, rest->size() - 1));
    if (found != thing.attributes.end()) {
      return Values{.texts = {found->second}};
    }
  }
  return std::nullopt;
}

const std::vector<std::string>* find_attribute(
    const std::map<std::string, std::vector<std::string>, std::less<>>& attributes,
    std::string_view name
) {
  for (const auto& [key, values] : attributes) {
    if (equal_ignoring_case(key, name)) {
      return &values;
    }
  }
  return nullptr;
}

// `name`, `name.N` or `name.List` of a subject or an issuer.
std::optional<Values> name_value(
    const std::map<std::string, std::vector<std::string>, std::less<>>& attributes,
    std::string_view name
) {
  std::size_t index = 0;
  bool list = false;
  const std::vector<std::string>* values = find_attribute(attributes, name);
  if (values == nullptr) {
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) {
      return std::nullopt;
    }
    const std::string_view suffix = name.substr(dot + 1);
    const auto [end, error] = std::from_chars(suffix.data(), suffix.data() + suffix.size(), index);
    list = equal_ignoring_case(suffix, "List");
    if (!list && (error != std::errc() || end != suffix.data() + suffix.size())) {
      return std::nullopt;
    }
    values = find_attribute(attributes, name.substr(0, dot));
  }
  if (values == nullptr) {
    return std::nullopt;
  }
  const std::size_t count = std::min(values->size(), kCertificateValuesMax);
  if (list) {
    return Values{
        .texts = {values->begin(), values->begin() + static_cast<std::ptrdiff_t>(count)},
        .is_set = true,
    };
  }
  if (index >= count) {
    return std::nullopt;
  }
  return Values{.texts = {(*values)[index]}};
}

std::optional<Values> certificate_value(
    const CertificateFacts& certificate, std::string_view name
) {
  if (const auto rest = after_prefix(name, "Subject.")) {
    return name_value(certificate.subject, *rest);
  }
  if (const auto rest = after_prefix(name, "Issuer.")) {
    return name_value(certificate.issuer, *rest);
  }
  if (equal_ignoring_case(name, "SerialNumber")) {
    return Values{.texts = {certificate.serial}};
  }
  if (equal_ignoring_case(name, "AvailableKeys")) {
    return Values{.texts = certificate.available_keys, .is_set = true};
  }
  return std::nullopt;
}

std::string iso_time(WallTime now) {
  const std::time_t seconds = to_epoch_s(now);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[32];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return {text, size};
}

std::optional<Values> time_value(const Clock* clock, std::string_view key) {
  if (clock == nullptr) {
    return std::nullopt;
  }
  if (equal_ignoring_case(key, "aws:CurrentTime")) {
    return Values{.texts = {iso_time(clock->wall())}};
  }
  if (equal_ignoring_case(key, "aws:EpochTime")) {
    return Values{.texts = {std::to_string(to_epoch_s(clock->wall()))}};
  }
  return std::nullopt;
}

// A value that came from a certificate as it may stand in a pattern, or nothing.
std::optional<std::string> escaped_certificate_value(std::string_view value) {
  if (value.size() > kCertificateValueBytesMax || value.find_first_of("*$+?#") != value.npos) {
    return std::nullopt;
  }
  std::string out;
  for (const char c : value) {
    if (std::string_view(",\"\\+=<>;").find(c) != std::string_view::npos) {
      out.push_back('\\');
    }
    out.push_back(c);
  }
  return out;
}

}  // namespace

void Context::set(std::string_view key, std::string value) {
  keys[lower(key)] = Values{.texts = {std::move(value)}};
}

void Context::set(std::string_view key, std::vector<std::string> set_of_values) {
  keys[lower(key)] = Values{.texts = std::move(set_of_values), .is_set = true};
}

std::optional<Values> Context::find(std::string_view key) const {
  const bool connected = protocol != Protocol::kHttps;
  if (connected && equal_ignoring_case(key, "iot:ClientId")) {
    return single(client_id);
  }
  if (connected && equal_ignoring_case(key, "iot:Connection.Thing.IsAttached")) {
    return Values{.texts = {thing ? "true" : "false"}};
  }
  if (connected && thing) {
    if (const auto name = after_prefix(key, "iot:Connection.Thing.")) {
      return thing_value(*thing, *name);
    }
    if (equal_ignoring_case(key, "iot:Thing.ThingName")) {
      return Values{.texts = {thing->name}};
    }
  }
  if (certificate) {
    if (equal_ignoring_case(key, "iot:CertificateId")) {
      return Values{.texts = {certificate->id}};
    }
    if (const auto name = after_prefix(key, "iot:Certificate.")) {
      return certificate_value(*certificate, *name);
    }
  }
  if (source_ip && equal_ignoring_case(key, "aws:SourceIp")) {
    return single(source_ip);
  }
  if (domain_name && equal_ignoring_case(key, "iot:DomainName")) {
    return single(domain_name);
  }
  if (principal_id && equal_ignoring_case(key, "aws:userid")) {
    return single(principal_id);
  }
  if (const auto found = keys.find(lower(key)); found != keys.end()) {
    return found->second;
  }
  return time_value(clock, key);
}

std::optional<std::string> Context::substitute(std::string_view name) const {
  const std::optional<Values> values = find(name);
  if (!values || values->is_set || values->texts.size() != 1) {
    return std::nullopt;
  }
  if (!after_prefix(name, "iot:Certificate.")) {
    return values->texts.front();
  }
  std::optional<std::string> escaped = escaped_certificate_value(values->texts.front());
  return escaped ? std::move(*escaped) : "${" + std::string(name) + "}";
}

}  // namespace iotcore::registry::policy
