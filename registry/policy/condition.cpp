#include "registry/policy/condition.h"

#include "base/crypto.h"
#include "registry/policy/dates.h"
#include "registry/policy/ip_range.h"
#include "registry/policy/pattern.h"
#include "registry/policy/text.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace iotcore::registry::policy {
namespace {

bool is_negated(Operator op) {
  switch (op) {
    case Operator::kStringNotEquals:
    case Operator::kStringNotEqualsIgnoreCase:
    case Operator::kStringNotLike:
    case Operator::kNumericNotEquals:
    case Operator::kDateNotEquals:
    case Operator::kNotIpAddress:
    case Operator::kArnNotEquals:
    case Operator::kArnNotLike:
      return true;
    default:
      return false;
  }
}

// Only these put in variables.
bool is_textual(Operator op) {
  return op <= Operator::kStringNotLike ||
         (op >= Operator::kArnEquals && op <= Operator::kArnNotLike);
}

std::optional<double> as_number(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool digits = !text.empty() && (text.front() == '-' || text.front() == '.' ||
                                        (text.front() >= '0' && text.front() <= '9'));
  if (!digits || error != std::errc() || end != text.data() + text.size() || number != number) {
    return std::nullopt;
  }
  return number;
}

std::optional<bool> as_bool(std::string_view text) {
  if (equal_ignoring_case(text, "true")) {
    return true;
  }
  if (equal_ignoring_case(text, "false")) {
    return false;
  }
  return std::nullopt;
}

// Field by field, the last may hold colons itself.
bool arn_matches(const Pattern& pattern, std::string_view arn) {
  constexpr std::size_t kFields = 6;
  std::vector<Pattern> fields(1);
  for (const Part& part : pattern) {
    if (part.kind != Part::Kind::kText) {
      fields.back().push_back(part);
      continue;
    }
    std::string_view rest = part.text;
    for (std::size_t colon; fields.size() < kFields && (colon = rest.find(':')) != rest.npos;) {
      fields.back().push_back({Part::Kind::kText, std::string(rest.substr(0, colon))});
      fields.emplace_back();
      rest.remove_prefix(colon + 1);
    }
    fields.back().push_back({Part::Kind::kText, std::string(rest)});
  }
  if (fields.size() != kFields) {
    return false;
  }
  for (std::size_t i = 0; i + 1 < kFields; ++i) {
    const std::size_t colon = arn.find(':');
    if (colon == arn.npos || !matches(fields[i], arn.substr(0, colon))) {
      return false;
    }
    arn.remove_prefix(colon + 1);
  }
  return matches(fields.back(), arn);
}

template <typename Value>
bool compare(Operator op, Operator equals, const Value& actual, const Value& wanted) {
  // Both families list their operators in one order.
  switch (static_cast<int>(op) - static_cast<int>(equals)) {
    case 0:
    case 1:  // the negation is the caller's
      return actual == wanted;
    case 2:
      return actual < wanted;
    case 3:
      return actual <= wanted;
    case 4:
      return actual > wanted;
    default:
      return actual >= wanted;
  }
}

// Whether `actual` fits one value of the policy, negation aside.
bool fits(Operator op, const Pattern& wanted, std::string_view actual) {
  if (op == Operator::kStringLike || op == Operator::kStringNotLike) {
    return matches(wanted, actual);
  }
  if (op >= Operator::kArnEquals && op <= Operator::kArnNotLike) {
    return arn_matches(wanted, actual);
  }
  const std::string text = as_text(wanted);
  if (op == Operator::kStringEquals || op == Operator::kStringNotEquals) {
    return actual == text;
  }
  if (op == Operator::kStringEqualsIgnoreCase || op == Operator::kStringNotEqualsIgnoreCase) {
    return equal_ignoring_case(actual, text);
  }
  if (op >= Operator::kNumericEquals && op <= Operator::kNumericGreaterThanEquals) {
    const auto a = as_number(actual);
    const auto b = as_number(text);
    return a && b && compare(op, Operator::kNumericEquals, *a, *b);
  }
  if (op >= Operator::kDateEquals && op <= Operator::kDateGreaterThanEquals) {
    const auto a = parse_date_ms(actual);
    const auto b = parse_date_ms(text);
    return a && b && compare(op, Operator::kDateEquals, *a, *b);
  }
  if (op == Operator::kBool) {
    const auto a = as_bool(actual);
    return a && a == as_bool(text);
  }
  if (op == Operator::kBinaryEquals) {
    const auto bytes = from_base64(text);
    return bytes && *bytes == actual;
  }
  return ip_in_range(actual, text);
}

bool null_holds(const Condition& condition, bool present) {
  return std::any_of(
      condition.values.begin(),
      condition.values.end(),
      [&](const std::string& value) { return as_bool(value) == !present; }
  );
}

bool holds_without_value(const Condition& condition) {
  if (condition.if_exists || condition.set_mode == SetMode::kForAllValues) {
    return true;
  }
  return condition.set_mode == SetMode::kNone && is_negated(condition.op);
}

Pattern plain_text(std::string_view text) {
  return text.empty() ? Pattern() : Pattern{{Part::Kind::kText, std::string(text)}};
}

// The policy's values; false if a variable among them has none.
bool read_wanted(
    const Condition& condition,
    bool has_variables,
    const Context& context,
    std::vector<Pattern>& wanted,
    std::vector<std::string>& missing
) {
  bool complete = true;
  for (const std::string& value : condition.values) {
    if (!is_textual(condition.op)) {
      wanted.push_back(plain_text(value));
    } else if (auto pattern = put_in_values(parse_pattern(value, has_variables), context, missing)) {
      wanted.push_back(std::move(*pattern));
    } else {
      complete = false;
    }
  }
  return complete;
}

}  // namespace

bool holds(
    const Condition& condition,
    bool has_variables,
    const Context& context,
    std::vector<std::string>& missing
) {
  const std::optional<Values> actual = context.find(condition.key);
  if (condition.op == Operator::kNull) {
    return (condition.if_exists && !actual) || null_holds(condition, actual.has_value());
  }
  std::vector<Pattern> wanted;
  if (!read_wanted(condition, has_variables, context, wanted, missing)) {
    return false;
  }
  const bool empty_without_set_mode =
      actual && actual->texts.empty() && condition.set_mode == SetMode::kNone;
  if (!actual || empty_without_set_mode) {
    const bool result = holds_without_value(condition);
    if (!result) {
      missing.push_back(condition.key);
    }
    return result;
  }
  const auto fits_one = [&](const std::string& text) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const Pattern& pattern) {
      return fits(condition.op, pattern, text);
    });
  };
  const bool negated = is_negated(condition.op);
  const auto satisfies = [&](const std::string& text) { return fits_one(text) != negated; };
  // A set without a set mode: some value must fit, or none may.
  if (condition.set_mode == SetMode::kForAllValues ||
      (condition.set_mode == SetMode::kNone && negated)) {
    return std::all_of(actual->texts.begin(), actual->texts.end(), satisfies);
  }
  return std::any_of(actual->texts.begin(), actual->texts.end(), satisfies);
}

bool depends_on_time(const Condition& condition, bool has_variables) {
  const auto is_time = [](std::string_view name) {
    return equal_ignoring_case(name, "aws:CurrentTime") ||
           equal_ignoring_case(name, "aws:EpochTime");
  };
  if (is_time(condition.key)) {
    return true;
  }
  return is_textual(condition.op) &&
         std::any_of(
             condition.values.begin(),
             condition.values.end(),
             [&](const std::string& value) {
               const Pattern pattern = parse_pattern(value, has_variables);
               return std::any_of(pattern.begin(), pattern.end(), [&](const Part& part) {
                 return part.kind == Part::Kind::kVariable && is_time(part.text);
               });
             }
         );
}

}  // namespace iotcore::registry::policy
