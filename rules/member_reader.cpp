#include "rules/member_reader.h"

#include "rules/rule_file_values.h"
#include "rules/sql/source_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace iotcore::rules {
namespace {

std::optional<std::int64_t> parse_duration(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) {
    return std::nullopt;
  }
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  const std::int64_t factor = unit == "ms"  ? 1
                              : unit == "s" ? 1000
                              : unit == "m" ? 60'000
                              : unit == "h" ? 3'600'000
                              : unit == "d" ? 86'400'000
                                            : 0;
  constexpr std::int64_t kYearsMs = std::int64_t{100} * 365 * 86'400'000;
  if (factor == 0 || number > kYearsMs / factor) {
    return std::nullopt;
  }
  return number * factor;
}

}  // namespace

std::string MemberReader::pointer_to(std::string_view name) const {
  return pointer_ + "/" + escaped_pointer(name);
}

void MemberReader::fail_at(std::string pointer, std::string message) {
  if (!error_) {
    error_ = DefinitionError{Errc::kInvalidRequest, std::move(pointer), std::move(message)};
  }
}

const json::value* MemberReader::find(std::string_view name) {
  asked_.push_back(name);
  const json::value* found = members_.if_contains(name);
  return found == nullptr || found->is_null() ? nullptr : found;
}

const json::value* MemberReader::find_required(std::string_view name) {
  const json::value* found = find(name);
  if (found == nullptr) {
    fail_at(pointer_, fmt::format("member {} is missing", name));
  }
  return found;
}

std::string MemberReader::text(std::string_view name) {
  const json::value* found = find_required(name);
  if (found == nullptr) {
    return {};
  }
  if (!found->is_string() || found->get_string().empty()) {
    fail_member(name, "must be a string that is not empty");
    return {};
  }
  return std::string(found->get_string());
}

std::optional<std::string> MemberReader::optional_text(std::string_view name) {
  const json::value* found = find(name);
  if (found == nullptr) {
    return std::nullopt;
  }
  if (!found->is_string()) {
    fail_member(name, "must be a string");
    return std::nullopt;
  }
  return std::string(found->get_string());
}

std::string MemberReader::text_or_secret(std::string_view name) {
  return find_required(name) == nullptr ? std::string() : optional_text_or_secret(name);
}

std::string MemberReader::optional_text_or_secret(std::string_view name) {
  const json::value* found = find(name);
  if (found == nullptr) {
    return {};
  }
  if (found->is_string()) {
    return std::string(found->get_string());
  }
  const json::object* object = found->if_object();
  const json::value* secret = object != nullptr ? object->if_contains("$secret") : nullptr;
  if (secret == nullptr || object->size() != 1 || !secret->is_string()) {
    fail_member(name, "must be a string or secret('name')");
  }
  return {};
}

std::string MemberReader::choice(
    std::string_view name, std::span<const std::string_view> choices, std::string_view absent
) {
  const std::optional<std::string> given = optional_text(name);
  if (!given) {
    return std::string(absent);
  }
  if (std::ranges::find(choices, *given) == choices.end()) {
    const std::string_view near = sql::nearest(*given, choices);
    fail_member(
        name,
        near.empty()
            ? fmt::format("'{}' is none of {}", *given, fmt::join(choices, ", "))
            : fmt::format(
                  "'{}' is none of {}; did you mean '{}'?", *given, fmt::join(choices, ", "), near
              )
    );
  }
  return *given;
}

std::optional<std::int64_t> MemberReader::optional_integer(
    std::string_view name, std::int64_t min, std::int64_t max
) {
  const json::value* found = find(name);
  if (found == nullptr) {
    return std::nullopt;
  }
  boost::system::error_code error;
  const auto number = found->to_number<std::int64_t>(error);
  if (error || number < min || number > max) {
    fail_member(name, fmt::format("must be a whole number from {} to {}", min, max));
    return std::nullopt;
  }
  return number;
}

std::optional<bool> MemberReader::optional_boolean(std::string_view name) {
  const json::value* found = find(name);
  if (found == nullptr) {
    return std::nullopt;
  }
  if (!found->is_bool()) {
    fail_member(name, "must be true or false");
    return std::nullopt;
  }
  return found->get_bool();
}

std::optional<std::int64_t> MemberReader::optional_duration_ms(std::string_view name) {
  const json::value* found = find(name);
  if (found == nullptr) {
    return std::nullopt;
  }
  std::optional<std::int64_t> duration;
  if (found->is_string()) {
    duration = parse_duration(found->get_string());
  } else if (found->is_int64() && found->get_int64() >= 0) {
    duration = found->get_int64();
  }
  if (!duration) {
    fail_member(name, "must be milliseconds, or text such as '200ms', '5s', '10m', '24h' or '7d'");
  }
  return duration;
}

std::optional<sql::Template> MemberReader::text_template(std::string_view name) {
  if (find_required(name) == nullptr) {
    return std::nullopt;
  }
  std::optional<sql::Template> compiled = optional_template(name);
  if (compiled && compiled->text().empty()) {
    fail_member(name, "must not be empty");
  }
  return compiled;
}

std::optional<sql::Template> MemberReader::optional_template(std::string_view name) {
  const json::value* found = find(name);
  if (found == nullptr) {
    return std::nullopt;
  }
  if (found->is_string()) {
    return compile(found->get_string(), pointer_to(name));
  }
  if (found->is_number()) {
    return compile(to_json(*found), pointer_to(name));
  }
  fail_member(name, "must be a string");
  return std::nullopt;
}

std::optional<sql::Template> MemberReader::compile(std::string_view text, std::string pointer) {
  auto compiled = sql::compile_template_source(text, *program_);
  if (!compiled) {
    fail_at(
        std::move(pointer),
        fmt::format(
            "'{}', column {}: {}",
            text,
            sql::locate(text, compiled.error().offset).column,
            compiled.error().message
        )
    );
    return std::nullopt;
  }
  calls_external_ = calls_external_ || compiled->calls_external();
  has_to_wait_ = has_to_wait_ || compiled->has_to_wait();
  return std::move(*compiled);
}

const json::object* MemberReader::optional_object(std::string_view name) {
  const json::value* found = find(name);
  if (found != nullptr && !found->is_object()) {
    fail_member(name, "must be an object");
    return nullptr;
  }
  return found == nullptr ? nullptr : &found->get_object();
}

const json::array* MemberReader::optional_array(std::string_view name) {
  const json::value* found = find(name);
  if (found != nullptr && !found->is_array()) {
    fail_member(name, "must be a list");
    return nullptr;
  }
  return found == nullptr ? nullptr : &found->get_array();
}

void MemberReader::refuse(std::string_view name, std::string_view why) {
  if (find(name) != nullptr) {
    fail_member(name, std::string(why));
  }
}

void MemberReader::take_error(MemberReader& inner) {
  calls_external_ = calls_external_ || inner.calls_external_;
  has_to_wait_ = has_to_wait_ || inner.has_to_wait_;
  if (std::optional<DefinitionError> error = inner.finish(); error && !error_) {
    error_ = *std::move(error);
  }
}

std::optional<DefinitionError> MemberReader::finish() {
  for (const auto& member : members_) {
    if (std::ranges::find(asked_, std::string_view(member.key())) != asked_.end()) {
      continue;
    }
    const std::string_view near = sql::nearest(member.key(), asked_);
    fail_member(
        member.key(),
        near.empty() ? fmt::format("unknown member; there are {}", fmt::join(asked_, ", "))
                     : fmt::format("unknown member; did you mean {}?", near)
    );
  }
  return error_;
}

}  // namespace iotcore::rules
