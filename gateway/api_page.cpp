#include "gateway/api_page.h"

#include "base/errc.h"

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <vector>

namespace iotcore::gateway {
namespace {

using google::protobuf::FieldDescriptor;
using Place = MemberPlan::Place;

constexpr std::string_view kHead =
    R"(# API

Written by `iotcore api` from the descriptions in `proto/api`; a test holds it against them. The same in OpenAPI is at `/openapi.json` of the face `admin`.

AWS's operations are called by AWS's tools: the service `iot` with the control plane's operations, `iot-data` with those of the data plane. Members in **bold** are required. A member of a
reply that has no value is left out; lists and maps are always there, unless their type says that they are left out when empty. Times are seconds since 1970, with fraction, in bodies, and ISO 8601 in queries.

What a bound does not admit is refused with `InvalidRequestException`. Besides the errors of its model any operation may answer those of [authentication](#errors). Operations of AWS's that are not
here answer `NotImplementedException`, status 501; what AWS does not have either answers `UnknownOperationException`, status 404.
)";

// As text of a cell: a bar would end it, also inside of code.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') {
      out += '\\';
    }
    out += c;
  }
  return out;
}

std::string type_name(const MessagePlan& plan) {
  std::string name = plan.descriptor->name();
  const auto* outer = plan.descriptor->containing_type();
  return outer == nullptr ? name : outer->name() + "." + name;
}

std::string anchor(std::string name) {
  std::erase(name, '.');
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return name;
}

std::string range(std::string_view what, bool has_low, auto low, bool has_high, auto high) {
  if (has_low && has_high) {
    return low == high ? fmt::format("{}{}", low, what)
                       : fmt::format("{} to {}{}", low, high, what);
  }
  return has_low ? fmt::format("at least {}{}", low, what)
                 : fmt::format("at most {}{}", high, what);
}

std::string bounds_text(const Bounds* bounds) {
  if (bounds == nullptr) {
    return {};
  }
  const api::Bounds& row = bounds->row();
  std::vector<std::string> parts;
  if (row.values_size() > 0) {
    std::string values;
    for (const std::string& value : row.values()) {
      values += (values.empty() ? "`" : ", `") + value + "`";
    }
    parts.push_back(std::move(values));
  }
  if (row.has_length_min() || row.has_length_max()) {
    parts.push_back(range(
        " characters",
        row.has_length_min() && row.length_min() > 0,
        row.length_min(),
        row.has_length_max(),
        row.length_max()
    ));
  }
  if (row.has_min() || row.has_max()) {
    parts.push_back(range("", row.has_min(), row.min(), row.has_max(), row.max()));
  }
  // What admits everything says nothing.
  if (!row.pattern().empty() && row.pattern() != "[\\s\\S]*") {
    parts.push_back("`" + row.pattern() + "`");
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

std::string place_name(const MemberPlan& member) {
  const auto named = [&member](const char* place) {
    return member.wire_name == member.name ? std::string(place)
                                           : fmt::format("{} `{}`", place, member.wire_name);
  };
  switch (member.place) {
    case Place::kPath:
      return named("path");
    case Place::kQuery:
      return named("query");
    case Place::kHeader:
      return named("header");
    case Place::kPayload:
      return "the body";
    case Place::kStatus:
      return "status";
    case Place::kBody:
      break;
  }
  return "body";
}

class Page {
 public:
  void add(const Operation& operation);
  std::string finish() &&;

 private:
  std::string value_type(const MemberPlan& member, const FieldDescriptor& field);
  std::string type_of(const MemberPlan& member);
  std::string bounds_of(const MemberPlan& member) const;
  void add_request(std::string& out, const MessagePlan& plan);
  void add_reply(std::string& out, const MessagePlan& plan);
  void add_types(std::string& out);
  void add_errors(std::string& out) const;

  std::map<std::string, std::map<std::string, std::string>> groups_;  // operations by name
  std::map<std::string, const MessagePlan*> types_;                   // that something refers to
  std::set<std::string> errors_;
};

std::string Page::value_type(const MemberPlan& member, const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const std::string name = type_name(*member.nested);
      types_.emplace(name, member.nested);
      return fmt::format("[{}](#{})", name, anchor(name));
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      return "boolean";
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      return member.timestamp ? "time" : "integer";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return "number";
    default:
      break;
  }
  if (member.json) {
    return member.place == Place::kBody ? "any JSON" : "JSON in base64";
  }
  if (field.type() == FieldDescriptor::TYPE_BYTES) {
    return member.place == Place::kPayload ? "bytes" : "base64";
  }
  return "string";
}

std::string Page::type_of(const MemberPlan& member) {
  if (member.field->is_map()) {
    return "map of " + value_type(member, *member.field->message_type()->map_value());
  }
  const std::string one = value_type(member, *member.field);
  return member.field->is_repeated() ? "list of " + one : one;
}

std::string Page::bounds_of(const MemberPlan& member) const {
  std::string out;
  if (member.items_max > 0) {
    out = fmt::format("at most {}", member.items_max);
  } else if (member.omit_empty) {
    out = "left out when empty";
  }
  const auto add = [&out](std::string_view of_what, const Bounds* bounds) {
    const std::string text = bounds_text(bounds);
    if (!text.empty()) {
      out += out.empty() ? "" : "; ";
      out += std::string(of_what) + text;
    }
  };
  add("keys ", member.key_bounds);
  add(member.field->is_repeated() ? "each " : "", member.bounds);
  return out;
}

void Page::add_request(std::string& out, const MessagePlan& plan) {
  if (plan.members.empty()) {
    return;
  }
  out += "\n| request | in | type | bounds |\n| --- | --- | --- | --- |\n";
  for (const MemberPlan& member : plan.members) {
    const bool required = member.required || member.place == Place::kPath;
    out += fmt::format(
        "| {} | {} | {} | {} |\n",
        required ? "**" + member.name + "**" : member.name,
        place_name(member),
        type_of(member),
        cell(bounds_of(member))
    );
  }
}

void Page::add_reply(std::string& out, const MessagePlan& plan) {
  if (plan.members.empty()) {
    out += "\nThe reply is empty.\n";
    return;
  }
  std::vector<std::string> members;
  for (const MemberPlan& member : plan.members) {
    members.push_back(
        member.place == Place::kPayload ? "`" + member.name + "`, which is the body"
                                        : fmt::format("`{}` ({})", member.name, type_of(member))
    );
  }
  out += fmt::format("\nReply: {}.\n", fmt::join(members, ", "));
}

void Page::add(const Operation& operation) {
  std::string resource;
  for (const ResourcePattern& pattern : operation.resources) {
    resource += fmt::format(
        "{}`{}{}`",
        resource.empty() ? "" : ", ",
        pattern.prefix,
        pattern.member == nullptr ? std::string() : "{" + pattern.member->name + "}"
    );
  }
  std::string out = fmt::format(
      "\n### {}\n\n`{} {}` in `{}`. Policies name it `{}`, on {}.{}\n",
      operation.name,
      operation.method,
      operation.path,
      operation.plane == api::IOT_DATA        ? "iot-data"
      : operation.plane == api::IOT_JOBS_DATA ? "iot-jobs-data"
                                              : "iot",
      operation.action,
      resource.empty() ? "`*`" : resource,
      operation.unmodelled ? " AWS does not have it." : ""
  );
  add_request(out, *operation.request);
  add_reply(out, *operation.response);
  if (!operation.errors.empty()) {
    out += fmt::format("\nErrors: {}.\n", fmt::join(operation.errors, ", "));
  }
  errors_.insert(operation.errors.begin(), operation.errors.end());
  groups_[operation.group].emplace(
      operation.name + api::Plane_Name(operation.plane), std::move(out)
  );
}

void Page::add_types(std::string& out) {
  out += "\n## Types\n";
  std::set<std::string> done;
  // A type may name others that were not known before it.
  while (done.size() < types_.size()) {
    const auto next = std::find_if(types_.begin(), types_.end(), [&done](const auto& each) {
      return !done.contains(each.first);
    });
    const auto [name, plan] = *next;
    done.insert(name);
    for (const MemberPlan& member : plan->members) {
      type_of(member);
    }
  }
  for (const auto& [name, plan] : types_) {
    out += fmt::format("\n### {}\n\n| member | type | bounds |\n| --- | --- | --- |\n", name);
    for (const MemberPlan& member : plan->members) {
      out += fmt::format(
          "| {} | {} | {} |\n",
          member.required ? "**" + member.name + "**" : member.name,
          type_of(member),
          cell(bounds_of(member))
      );
    }
  }
}

void Page::add_errors(std::string& out) const {
  std::map<std::string_view, std::uint16_t> statuses;
  for (std::size_t i = 0; i < static_cast<std::size_t>(Errc::kCount_); ++i) {
    const ErrcInfo& info = errc_info(static_cast<Errc>(i));
    statuses.emplace(info.exception, info.http_status);
  }
  out +=
      "\n## Errors\n\nThe name of an error is in the header `x-amzn-ErrorType`, with `Exception` "
      "behind it, its text in the member `message`.\n\n"
      "| error | status |\n| --- | --- |\n";
  for (const auto& [name, status] : statuses) {
    const bool throttling = name == "Throttling";
    out += fmt::format(
        "| {} | {} |\n", name, throttling ? "400; 429 in the data plane" : fmt::to_string(status)
    );
  }
  for (const std::string& name : errors_) {
    // What a service calls by a name of its own.
    if (!statuses.contains(name)) {
      out += fmt::format("| {} | {} |\n", name, name.starts_with("Internal") ? 500 : 400);
    }
  }
}

std::string Page::finish() && {
  std::string out(kHead);
  for (const auto& [group, operations] : groups_) {
    std::vector<std::string> links;
    for (const auto& [key, text] : operations) {
      const std::string name = text.substr(5, text.find('\n', 5) - 5);
      links.push_back(fmt::format("[{}](#{})", name, anchor(name)));
    }
    out += fmt::format("\n- {}: {}", group, fmt::join(links, ", "));
  }
  out += "\n";
  for (const auto& [group, operations] : groups_) {
    out += "\n## " + group + "\n";
    for (const auto& [key, text] : operations) {
      out += text;
    }
  }
  add_types(out);
  add_errors(out);
  return out;
}

}  // namespace

std::string api_page(const OperationTable& table) {
  Page page;
  for (const auto& operation : table.operations()) {
    page.add(*operation);
  }
  return std::move(page).finish();
}

}  // namespace iotcore::gateway
