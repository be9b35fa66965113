#pragma once

#include "rules/action.h"
#include "rules/member_reader.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules::actions {

enum class FieldKind : std::uint8_t {
  kTemplate,  // text with ${…}
  kText,      // text as it is
  kBoolean,   // "true" or "false"
  kObject,    // members of it are fields of their own, "object.member"; "true" if it is there
};

enum class Presence : std::uint8_t { kRequired, kOptional };

// One member of an action, and one field of its records.
struct FieldSpec {
  std::string_view
      member;  // "key", or "putItem.tableName" within an object that has a row before it
  FieldKind kind = FieldKind::kTemplate;
  Presence presence = Presence::kRequired;  // required in an object that is there
  // Of a value that is given: when the rule is made if it has no ${…}, and else for each message.
  Status (*check)(std::string_view value) = nullptr;
  std::string_view absent = {};  // the field when the member is not there
  bool is_secret = false;        // what it says outside ${…} is not kept with records
};

class FieldsAction;

// batchConfig: the first limit that is reached sends.
struct BatchConfig {
  std::int64_t open_ms = 0;
  std::int64_t size = 0;
  std::int64_t bytes = 0;
  bool across_topics = false;
};

struct BatchBounds {
  std::int64_t open_ms_min;
  std::int64_t open_ms_max;
  std::int64_t size_min;
  std::int64_t size_max;
  BatchConfig absent;
};

// The member `batchConfig`.
BatchConfig read_batch_config(MemberReader& members, const BatchBounds& bounds);

Batching batching_of(const std::optional<BatchConfig>& config);
// What `config` says where the delivery options say nothing.
void fill_in(DeliveryOptions& delivery, const std::optional<BatchConfig>& config);

// What an action is whose records hold its members. `fields` gives their order.
struct ActionSpec {
  std::string_view kind;  // by which targets match it
  std::span<const FieldSpec> fields;
  std::size_t name = 0;  // the field that names the resource
  bool needs_json = false;
  // Fields behind those of `fields`: what lists hold.
  void (*read_lists)(MemberReader& members, FieldsAction& action) = nullptr;
  // Of all fields of one message together.
  Status (*check)(const Action::Fields& fields) = nullptr;
  // The field whose records are kept in order; none: those of one client.
  std::optional<std::size_t> order_by = {};
  // What does, where it is not a field; empty: those of one client.
  std::string (*order_key)(const Action::Fields& fields, std::string_view payload) = nullptr;
};

// An action whose record has its members as fields, each resolved and checked.
class FieldsAction final : public Action {
 public:
  explicit FieldsAction(const ActionSpec& spec) : spec_(spec) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& fields) const override { return fields[spec_.name]; }

  Result<Fields> resolve(const ActionInput& input) const override;

  std::string order_key(const Fields& fields, std::string_view payload) const override {
    return spec_.order_by               ? fields[*spec_.order_by]
           : spec_.order_key != nullptr ? spec_.order_key(fields, payload)
                                        : std::string();
  }

  std::optional<std::string> own_secret(std::string_view member) const override;

  void fill_in(DeliveryOptions& delivery) const override;

  Batching batching() const override { return batching_of(batches_); }

  // Of an action that delivers to what it names by itself.
  void set_target(std::string target) { target_ = std::move(target); }

  // Batches as the action itself describes them.
  void set_batches(const BatchConfig& batches) { batches_ = batches; }

  // For read_lists().
  void add(std::string text);
  void add(std::optional<sql::Template> text, const FieldSpec& spec);

  // What the last one says outside ${…} is not kept with records; `member` names it.
  void withhold_last(std::string member) { fields_.back().withheld = std::move(member); }

 private:
  friend std::unique_ptr<FieldsAction> read_fields(
      MemberReader& members, const SinkEnvironment& environment, const ActionSpec& spec
  );

  struct Field {
    std::string text;  // if there is no ${…} in it
    std::optional<sql::Template> value;
    const FieldSpec* spec = nullptr;
    std::string withheld = {};  // what is outside ${…}, by this name
  };

  const ActionSpec& spec_;
  std::string target_;
  std::optional<BatchConfig> batches_;
  std::vector<Field> fields_;
};

// `spec` and what it refers to outlive the action: constants.
ParsedAction parse_fields(
    MemberReader& members, const SinkEnvironment& environment, const ActionSpec& spec
);
// The same, for those who have more to say of it; nullptr after an error.
std::unique_ptr<FieldsAction> read_fields(
    MemberReader& members, const SinkEnvironment& environment, const ActionSpec& spec
);

// A field as it was read from a list: `reader` is the list's element.
void add_list_field(FieldsAction& action, MemberReader& reader, const FieldSpec& spec);

// Checks that several actions share.
Status check_not_empty(std::string_view value);
Status check_number(std::string_view value);
Status check_whole_number(std::string_view value);
// A part of a path: letters, digits and ._-:/ as AWS allows in names, but nothing that leads elsewhere.
Status check_resource_name(std::string_view value);

std::optional<double> to_number(std::string_view text);
std::optional<std::int64_t> to_whole_number(std::string_view text);

}  // namespace iotcore::rules::actions
