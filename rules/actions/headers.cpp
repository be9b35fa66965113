#include "rules/actions/headers.h"

#include <fmt/format.h>

#include <algorithm>

namespace iotcore::rules::actions {
namespace {

constexpr std::size_t kHeadersMax = 100;

bool is_header_name(std::string_view name) {
  return !name.empty() &&
         std::ranges::all_of(name, [](char c) { return c > ' ' && c < '\x7f' && c != ':'; });
}

}  // namespace

HeaderTemplates HeaderTemplates::read(MemberReader& members, std::string_view name) {
  HeaderTemplates read;
  const json::value* given = members.optional_value(name);
  if (given == nullptr) {
    return read;
  }
  const auto add = [&](std::string key, std::optional<sql::Template> value) {
    if (!is_header_name(key)) {
      members.fail_member(name, fmt::format("'{}' is no name of a header", key));
    } else if (value) {
      read.headers_.emplace_back(std::move(key), *std::move(value));
    }
  };
  if (const json::object* map = given->if_object()) {
    MemberReader inner = members.inner(*map, members.pointer_to(name));
    for (const auto& header : *map) {
      add(header.key(), inner.optional_template(header.key()));
    }
    members.take_error(inner);
  } else if (const json::array* list = members.optional_array(name)) {
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::string pointer = fmt::format("{}/{}", members.pointer_to(name), i);
      if (!(*list)[i].is_object()) {
        members.fail_at(pointer, "must be an object of key and value");
        break;
      }
      MemberReader inner = members.inner((*list)[i].get_object(), pointer);
      std::string key = inner.text("key");
      std::optional<sql::Template> value = inner.text_template("value");
      members.take_error(inner);
      add(std::move(key), std::move(value));
    }
  }
  if (read.headers_.size() > kHeadersMax) {
    members.fail_member(name, fmt::format("there may be {} headers", kHeadersMax));
  }
  return read;
}

Status HeaderTemplates::resolve(const ActionInput& input, Action::Fields& fields) const {
  for (const auto& [name, value] : headers_) {
    IOTCORE_ASSIGN(std::string text, input.evaluation.render(value));
    if (text.find_first_of("\r\n") != std::string::npos) {
      return fail(Errc::kInvalidRequest, fmt::format("header {} has a line end in it", name));
    }
    fields.push_back(name);
    fields.push_back(std::move(text));
  }
  return {};
}

std::vector<std::pair<std::string, std::string>> headers_of(
    const Action::Fields& fields, std::size_t first
) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (std::size_t i = first; i + 1 < fields.size(); i += 2) {
    headers.emplace_back(fields[i], fields[i + 1]);
  }
  return headers;
}

}  // namespace iotcore::rules::actions
