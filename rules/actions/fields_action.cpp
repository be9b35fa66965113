#include "rules/actions/fields_action.h"

#include "rules/bindings.h"
#include "rules/targets.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <deque>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kTrue = "true";

// The readers of an action and of the objects in it, by their names.
class Readers {
 public:
  explicit Readers(MemberReader& outer) : outer_(outer) {}

  // Nullptr: the object that the member is in is not there. `name` becomes the member's own.
  MemberReader* of(std::string_view& name) {
    const std::size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) {
      return &outer_;
    }
    const std::string_view object = name.substr(0, dot);
    name.remove_prefix(dot + 1);
    const auto found = std::ranges::find(inner_, object, &Inner::name);
    return found == inner_.end() ? nullptr : &found->reader;
  }

  // False: it is not there.
  bool open(std::string_view path, Presence presence) {
    std::string_view name = path;
    MemberReader* reader = of(name);
    if (reader == nullptr) {
      return false;
    }
    const json::object* object = reader->optional_object(name);
    if (object == nullptr) {
      if (presence == Presence::kRequired && !reader->failed()) {
        reader->fail_at(reader->pointer(), fmt::format("member {} is missing", name));
      }
      return false;
    }
    inner_.push_back({path, *reader, reader->inner(*object, reader->pointer_to(name))});
    return true;
  }

  void finish() {
    for (auto inner = inner_.rbegin(); inner != inner_.rend(); ++inner) {
      inner->outer.take_error(inner->reader);
    }
  }

 private:
  struct Inner {
    std::string_view name;
    MemberReader& outer;
    MemberReader reader;
  };

  MemberReader& outer_;
  std::deque<Inner> inner_;  // which refer to each other
};

void check_literal(
    MemberReader& reader, std::string_view name, const FieldSpec& spec, std::string_view value
) {
  if (spec.check == nullptr) {
    return;
  }
  if (const Status valid = spec.check(value); !valid) {
    reader.fail_member(name, valid.error().message());
  }
}

std::optional<sql::Template> read_template(
    MemberReader& reader, std::string_view name, const FieldSpec& spec
) {
  std::optional<sql::Template> value = spec.presence == Presence::kRequired
                                           ? reader.text_template(name)
                                           : reader.optional_template(name);
  if (value && value->is_literal()) {
    check_literal(reader, name, spec, value->text());
  }
  return value;
}

std::optional<std::string> read_text(
    MemberReader& reader, std::string_view name, const FieldSpec& spec
) {
  if (spec.kind == FieldKind::kBoolean) {
    const std::optional<bool> given = reader.optional_boolean(name);
    return given ? std::optional<std::string>(*given ? "true" : "false") : std::nullopt;
  }
  std::optional<std::string> value = spec.presence == Presence::kRequired
                                         ? std::optional(reader.text(name))
                                         : reader.optional_text(name);
  if (value && !reader.failed()) {
    check_literal(reader, name, spec, *value);
  }
  return value;
}

void read_field(Readers& readers, FieldsAction& action, const FieldSpec& spec) {
  if (spec.kind == FieldKind::kObject) {
    action.add(std::string(readers.open(spec.member, spec.presence) ? kTrue : std::string_view()));
    return;
  }
  std::string_view name = spec.member;
  MemberReader* reader = readers.of(name);
  if (reader == nullptr) {
    action.add(std::string(spec.absent));
  } else if (spec.kind == FieldKind::kTemplate) {
    action.add(read_template(*reader, name, spec), spec);
  } else {
    action.add(read_text(*reader, name, spec).value_or(std::string(spec.absent)));
  }
  if (spec.is_secret) {
    action.withhold_last(std::string(spec.member));
  }
}

}  // namespace

void FieldsAction::add(std::string text) {
  fields_.push_back({std::move(text), std::nullopt, nullptr, {}});
}

void FieldsAction::add(std::optional<sql::Template> text, const FieldSpec& spec) {
  if (!text) {
    add(std::string(spec.absent));
  } else {
    std::string literal = text->is_literal() ? text->text() : std::string();
    fields_.push_back({std::move(literal), std::move(text), &spec, {}});
  }
}

Result<Action::Fields> FieldsAction::resolve(const ActionInput& input) const {
  if (spec_.needs_json && !input.is_json) {
    return fail(Errc::kInvalidRequest, "the result is not JSON");
  }
  Fields fields;
  fields.reserve(fields_.size());
  for (const Field& field : fields_) {
    if (!field.value || field.value->is_literal()) {
      fields.push_back(
          field.withheld.empty() ? field.text : input.evaluation.own(field.withheld, field.text)
      );
      continue;
    }
    IOTCORE_ASSIGN(
        fields.emplace_back(),
        field.withheld.empty() ? input.evaluation.render(*field.value)
                               : input.evaluation.render_own(field.withheld, *field.value)
    );
    const std::string& value = fields.back();
    const bool required = field.spec->presence == Presence::kRequired;
    Status valid = value.empty() && required ? fail(Errc::kInvalidRequest, "is empty") : Status();
    if (valid && field.spec->check != nullptr && !value.empty()) {
      valid = field.spec->check(value);
    }
    if (!valid) {
      return fail(
          valid.error().code(), fmt::format("{}: {}", field.spec->member, valid.error().message())
      );
    }
  }
  if (spec_.check != nullptr) {
    IOTCORE_TRY(spec_.check(fields));
  }
  return fields;
}

void add_list_field(FieldsAction& action, MemberReader& reader, const FieldSpec& spec) {
  const std::string_view name = spec.member.substr(spec.member.rfind('.') + 1);
  if (spec.kind == FieldKind::kTemplate) {
    action.add(read_template(reader, name, spec), spec);
  } else {
    action.add(read_text(reader, name, spec).value_or(std::string(spec.absent)));
  }
}

std::optional<std::string> FieldsAction::own_secret(std::string_view member) const {
  for (const Field& field : fields_) {
    if (field.withheld.empty()) {
      continue;
    }
    if (field.value) {
      if (auto part = field.value->literal_part(field.withheld, member)) {
        return part;
      }
    } else if (field.withheld == member) {
      return field.text;
    }
  }
  return std::nullopt;
}

void FieldsAction::fill_in(DeliveryOptions& delivery) const {
  actions::fill_in(delivery, batches_);
}

void fill_in(DeliveryOptions& delivery, const std::optional<BatchConfig>& config) {
  if (!config) {
    return;
  }
  if (!delivery.linger) {
    delivery.linger = std::chrono::milliseconds(config->open_ms);
  }
  if (!delivery.batch_size) {
    delivery.batch_size = static_cast<std::size_t>(config->size);
  }
  if (!delivery.batch_bytes) {
    delivery.batch_bytes = static_cast<std::size_t>(config->bytes);
  }
}

Batching batching_of(const std::optional<BatchConfig>& config) {
  if (!config) {
    return Batching::kNone;
  }
  return config->across_topics ? Batching::kAcrossTopics : Batching::kByTopic;
}

BatchConfig read_batch_config(MemberReader& members, const BatchBounds& bounds) {
  constexpr std::int64_t kBytesMin = 100;
  constexpr std::int64_t kBytesMax = 131'072;
  const json::object* object = members.optional_object("batchConfig");
  BatchConfig config = bounds.absent;
  if (object == nullptr) {
    return config;
  }
  MemberReader inner = members.inner(*object, members.pointer_to("batchConfig"));
  config.open_ms = inner.optional_integer("maxBatchOpenMs", bounds.open_ms_min, bounds.open_ms_max)
                       .value_or(config.open_ms);
  config.size = inner.optional_integer("maxBatchSize", bounds.size_min, bounds.size_max)
                    .value_or(config.size);
  config.bytes =
      inner.optional_integer("maxBatchSizeBytes", kBytesMin, kBytesMax).value_or(config.bytes);
  config.across_topics = inner.optional_boolean("batchAcrossTopics").value_or(false);
  members.take_error(inner);
  return config;
}

ParsedAction parse_fields(
    MemberReader& members, const SinkEnvironment& environment, const ActionSpec& spec
) {
  return read_fields(members, environment, spec);
}

std::unique_ptr<FieldsAction> read_fields(
    MemberReader& members, const SinkEnvironment& environment, const ActionSpec& spec
) {
  auto action = std::make_unique<FieldsAction>(spec);
  Readers readers(members);
  for (const FieldSpec& field : spec.fields) {
    read_field(readers, *action, field);
  }
  readers.finish();
  if (spec.read_lists != nullptr) {
    spec.read_lists(members, *action);
  }
  if (members.failed()) {
    return nullptr;
  }
  const FieldsAction::Field& name = action->fields_[spec.name];
  if (name.value) {
    action->target_ = bound_target(spec.kind, *name.value, environment);
  } else if (environment.targets != nullptr) {
    const TargetRef bound = environment.targets->bind(spec.kind, name.text);
    action->target_ = bound == nullptr ? std::string() : bound->name;
  }
  return action;
}

Status check_not_empty(std::string_view value) {
  return value.empty() ? fail(Errc::kInvalidRequest, "must not be empty") : Status();
}

std::optional<double> to_number(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end && std::isfinite(number) ? std::optional(number)
                                                                    : std::nullopt;
}

std::optional<std::int64_t> to_whole_number(std::string_view text) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end ? std::optional(number) : std::nullopt;
}

Status check_number(std::string_view value) {
  return to_number(value) ? Status()
                          : fail(Errc::kInvalidRequest, fmt::format("'{}' is not a number", value));
}

Status check_whole_number(std::string_view value) {
  return to_whole_number(value)
             ? Status()
             : fail(Errc::kInvalidRequest, fmt::format("'{}' is not a whole number", value));
}

Status check_resource_name(std::string_view value) {
  constexpr std::size_t kBytesMax = 512;
  const bool letters = std::ranges::all_of(value, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._-:/#+@").find(c) != std::string_view::npos;
  });
  if (value.empty() || value.size() > kBytesMax || !letters) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format("'{}' is not a name of 1 to {} letters, digits and ._-:/#+@", value, kBytesMax)
    );
  }
  for (std::string_view rest = value; !rest.empty();) {
    const std::string_view part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (part.empty() && rest.size() + 1 == value.size()) {
      continue;  // log groups begin with a slash
    }
    if (part.empty() || part == "." || part == "..") {
      return fail(Errc::kInvalidRequest, fmt::format("'{}' has a part that is no name", value));
    }
  }
  return {};
}

}  // namespace iotcore::rules::actions
