#pragma once

#include "base/json.h"
#include "rules/definition_error.h"
#include "rules/sql/program.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// Reads the members of one object of a rule and remembers the first error. What it returns after an error is empty; finish() tells.
class MemberReader {
 public:
  // `program` is the rule's, whose variables templates may use. All of it outlives the reader.
  MemberReader(const json::object& members, std::string pointer, const sql::Program* program)
      : members_(members), pointer_(std::move(pointer)), program_(program) {}

  // Text without substitution; required ones may not be empty.
  std::string text(std::string_view name);
  std::optional<std::string> optional_text(std::string_view name);
  // Options of targets: text, or secret('x'), whose text is there when the target is opened and empty before.
  std::string text_or_secret(std::string_view name);
  std::string optional_text_or_secret(std::string_view name);
  // Text that is one of these.
  std::string choice(
      std::string_view name, std::span<const std::string_view> choices, std::string_view absent
  );
  std::optional<std::int64_t> optional_integer(
      std::string_view name, std::int64_t min, std::int64_t max
  );
  std::optional<bool> optional_boolean(std::string_view name);
  // Milliseconds: a number, or text like '200ms', '5s', '10m', '24h', '7d'.
  std::optional<std::int64_t> optional_duration_ms(std::string_view name);
  // Text with ${…}. A number is taken as its text.
  std::optional<sql::Template> text_template(std::string_view name);
  std::optional<sql::Template> optional_template(std::string_view name);

  // Whatever it is; nullptr: there is none.
  const json::value* optional_value(std::string_view name) { return find(name); }

  const json::object* optional_object(std::string_view name);
  const json::array* optional_array(std::string_view name);
  // A template given as text, which stands at `pointer`.
  std::optional<sql::Template> compile(std::string_view text, std::string pointer);

  // Of an object within this one; take_error() when it has been read.
  MemberReader inner(const json::object& members, std::string pointer) const {
    return MemberReader(members, std::move(pointer), program_);
  }

  void take_error(MemberReader& inner);

  // Taken note of, and not looked at: roleArn.
  void ignore(std::string_view name) { find(name); }

  // Members that exist but can't be used yet: refused with `why`.
  void refuse(std::string_view name, std::string_view why);

  // A member that is null is none, as everywhere here.
  bool has(std::string_view name) const {
    const json::value* found = members_.if_contains(name);
    return found != nullptr && !found->is_null();
  }

  const std::string& pointer() const { return pointer_; }

  std::string pointer_to(std::string_view name) const;

  void fail_at(std::string pointer, std::string message);

  void fail_member(std::string_view name, std::string message) {
    fail_at(pointer_to(name), std::move(message));
  }

  bool failed() const { return error_.has_value(); }

  // Whether a template that was read calls a function that asks others.
  bool calls_external() const { return calls_external_; }

  // Also if secrets are withheld.
  bool has_to_wait() const { return has_to_wait_; }

  // The first error; members that nobody has asked for are one.
  std::optional<DefinitionError> finish();

 private:
  const json::value* find(std::string_view name);
  const json::value* find_required(std::string_view name);

  const json::object& members_;
  std::string pointer_;
  const sql::Program* program_;
  std::vector<std::string_view> asked_;
  std::optional<DefinitionError> error_;
  bool calls_external_ = false;
  bool has_to_wait_ = false;
};

}  // namespace iotcore::rules
