#include "registry/query/node.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace iotcore::registry::query {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

int compare_ignoring_case(std::string_view text, std::string_view lower_cased) {
  const std::size_t shared = std::min(text.size(), lower_cased.size());
  for (std::size_t i = 0; i < shared; ++i) {
    const auto a = static_cast<unsigned char>(lower(text[i]));
    const auto b = static_cast<unsigned char>(lower_cased[i]);
    if (a != b) {
      return a < b ? -1 : 1;
    }
  }
  return text.size() == lower_cased.size() ? 0 : text.size() < lower_cased.size() ? -1 : 1;
}

// Greedy with one point of return, so that it takes time in proportion to both lengths multiplied, whatever the pattern.
bool matches_wildcard(std::string_view text, std::string_view pattern) {
  std::size_t t = 0;
  std::size_t p = 0;
  std::size_t run_at = std::string_view::npos;
  std::size_t run_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == kAnyRun) {
      run_at = p++;
      run_text = t;
    } else if (p < pattern.size() && (pattern[p] == kAnyOne || pattern[p] == lower(text[t]))) {
      ++p;
      ++t;
    } else if (run_at != std::string_view::npos) {
      p = run_at + 1;
      t = ++run_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == kAnyRun) {
    ++p;
  }
  return p == pattern.size();
}

bool has_number(const ValueView& value) {
  return value.kind == ValueView::Kind::kNumber;
}

// Numbers are held against numbers, texts against texts; a value that is both is a number for a bound that is one.
bool within(const ValueView& value, const Condition& condition) {
  const auto beyond = [&value](const std::optional<Condition::Bound>& bound, int sign) {
    if (!bound) {
      return false;
    }
    int order = 0;
    if (bound->number && has_number(value)) {
      order = value.number < *bound->number ? -1 : value.number > *bound->number ? 1 : 0;
    } else {
      order = compare_ignoring_case(value.text, bound->text);
    }
    return order * sign > 0 || (order == 0 && !bound->inclusive);
  };
  const bool numeric_bounds =
      (!condition.low || condition.low->number) && (!condition.high || condition.high->number);
  if (value.kind == ValueView::Kind::kBoolean) {
    return false;
  }
  if (has_number(value) ? (!numeric_bounds && value.text.empty()) : numeric_bounds) {
    return false;
  }
  return !beyond(condition.low, -1) && !beyond(condition.high, 1);
}

bool matches_node(const Node& node, const Subject& subject) {
  const auto child_matches = [&subject](const auto& child) {
    return matches_node(*child, subject);
  };
  switch (node.kind) {
    case Node::Kind::kAnd:
      return std::all_of(node.children.begin(), node.children.end(), child_matches);
    case Node::Kind::kOr:
      return std::any_of(node.children.begin(), node.children.end(), child_matches);
    case Node::Kind::kNot:
      return !matches_node(*node.children.front(), subject);
    case Node::Kind::kTerm:
      break;
  }
  const Condition& condition = node.condition;
  if (node.field.empty() && condition.kind == Condition::Kind::kAnything) {
    return true;
  }
  const auto test = [&condition](const ValueView& value) { return condition.holds(value); };
  return node.field.empty() ? subject.any(test) : subject.any(node.field, test);
}

}  // namespace

std::optional<double> number_from(std::string_view text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  const bool plain =
      !text.empty() && text.find_first_not_of("0123456789+-.eE") == std::string_view::npos;
  if (!plain || error != std::errc() || at != end || !std::isfinite(number)) {
    return std::nullopt;
  }
  return number;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

ValueView ValueView::of_attribute(std::string_view text) {
  ValueView value = of_text(text);
  if (const auto number = number_from(text)) {
    value.kind = Kind::kNumber;
    value.number = *number;
  }
  return value;
}

bool Condition::holds(const ValueView& value) const {
  switch (kind) {
    case Kind::kAnything:
      return true;
    case Kind::kEqual:
      if (value.kind == ValueView::Kind::kBoolean) {
        return text == (value.boolean ? "true" : "false");
      }
      if (has_number(value) && number && *number == value.number) {
        return true;
      }
      return (!has_number(value) || !value.text.empty()) &&
             compare_ignoring_case(value.text, text) == 0;
    case Kind::kWildcard:
      return value.kind != ValueView::Kind::kBoolean && matches_wildcard(value.text, pattern);
    case Kind::kRange:
      return within(value, *this);
  }
  return false;
}

bool Query::matches(const Subject& subject) const {
  return matches_node(*root_, subject);
}

}  // namespace iotcore::registry::query
