// Judges values.
#include "shadow/document/json_schema.h"

#include "shadow/document/json_equality.h"
#include "shadow/document/json_schema_rules.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>
#include <vector>

namespace iotcore::shadow::document {
namespace {

using Rules = JsonSchema::Rules;
using Violation = JsonSchema::Violation;

// Of schemas in schemas, references included: one that refers to itself without going deeper into the value never ends.
constexpr int kDepthMax = 512;

bool is_whole(const json::value& value) {
  return value.is_int64() || value.is_uint64() ||
         (value.is_double() && std::isfinite(value.get_double()) &&
          std::floor(value.get_double()) == value.get_double());
}

bool is_type(const json::value& value, std::string_view type) {
  switch (value.kind()) {
    case json::kind::null:
      return type == "null";
    case json::kind::bool_:
      return type == "boolean";
    case json::kind::object:
      return type == "object";
    case json::kind::array:
      return type == "array";
    case json::kind::string:
      return type == "string";
    default:
      return type == "number" || (type == "integer" && is_whole(value));
  }
}

bool is_multiple(double value, double of) {
  const double times = value / of;
  if (!std::isfinite(times)) {
    return std::fmod(value, of) == 0;
  }
  // 0.3 is three times 0.1, whatever binary fractions make of it.
  return std::abs(times - std::round(times)) <= 1e-9 * std::max(1.0, std::abs(times));
}

std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool matches(const re2::RE2& expression, std::string_view text) {
  return re2::RE2::PartialMatch(re2::StringPiece(text.data(), text.size()), expression);
}

std::string number_text(double number) {
  std::string text;
  if (std::floor(number) == number && std::abs(number) < 1e15) {
    return std::to_string(static_cast<std::int64_t>(number));
  }
  append_json_number(text, number);
  return text;
}

// Equal values have equal ones.
std::size_t fingerprint(const json::value& value) {
  constexpr std::size_t kSpread = 0x9E3779B97F4A7C15;
  std::size_t print = kSpread;
  if (value.is_number()) {
    return std::hash<double>()(value.to_number<double>()) + 1;
  }
  if (value.is_array()) {
    for (const json::value& each : value.get_array()) {
      print = print * kSpread + fingerprint(each);
    }
    return print;
  }
  if (value.is_object()) {
    for (const auto& [key, member] : value.get_object()) {
      print += (std::hash<std::string_view>()(key) ^ (fingerprint(member) * kSpread)) * kSpread;
    }
    return print + 2;
  }
  return value.is_string() ? std::hash<std::string_view>()(value.get_string())
                           : std::hash<std::string_view>()(to_json(value)) + 3;
}

class Checker {
 public:
  // False: `violation` says why.
  bool check(const Rules& rules, const json::value& value) {
    if (++depth_ > kDepthMax) {
      return refuse("must not be checked against a schema that refers to itself without end");
    }
    const bool valid = check_here(rules, value) && check_combinations(rules, value);
    --depth_;
    return valid;
  }

  Violation violation;

 private:
  bool refuse(std::string message) {
    violation = {path_, std::move(message)};
    return false;
  }

  // Without a trace: whether it would be valid.
  bool fits(const Rules& rules, const json::value& value) {
    const Violation before = violation;
    const std::size_t path = path_.size();
    const int depth = depth_;
    const bool valid = check(rules, value);
    violation = before;
    path_.resize(path);
    depth_ = depth;
    return valid;
  }

  bool check_here(const Rules& rules, const json::value& value) {
    if (rules.never) {
      return refuse("must not be there");
    }
    if (rules.reference != nullptr && !check(*rules.reference, value)) {
      return false;
    }
    if (!rules.types.empty() &&
        std::none_of(rules.types.begin(), rules.types.end(), [&](const std::string& type) {
          return is_type(value, type);
        })) {
      std::string names;
      for (const std::string& type : rules.types) {
        names.append(names.empty() ? "" : " or ").append(type);
      }
      return refuse("must be of type " + names);
    }
    if (rules.values &&
        std::none_of(rules.values->begin(), rules.values->end(), [&](const json::value& each) {
          return equal_json(each, value);
        })) {
      return refuse("must be one of " + to_json(*rules.values));
    }
    if (value.is_number()) {
      return check_number(rules, value.to_number<double>());
    }
    if (value.is_string()) {
      return check_string(rules, value.get_string());
    }
    if (value.is_array()) {
      return check_array(rules, value.get_array());
    }
    return !value.is_object() || check_object(rules, value.get_object());
  }

  bool check_number(const Rules& rules, double number) {
    if (rules.minimum && number < *rules.minimum) {
      return refuse("must be at least " + number_text(*rules.minimum));
    }
    if (rules.maximum && number > *rules.maximum) {
      return refuse("must be at most " + number_text(*rules.maximum));
    }
    if (rules.above && number <= *rules.above) {
      return refuse("must be above " + number_text(*rules.above));
    }
    if (rules.below && number >= *rules.below) {
      return refuse("must be below " + number_text(*rules.below));
    }
    if (rules.multiple_of && !is_multiple(number, *rules.multiple_of)) {
      return refuse("must be a multiple of " + number_text(*rules.multiple_of));
    }
    return true;
  }

  bool check_string(const Rules& rules, std::string_view text) {
    if (rules.length_min || rules.length_max) {
      const std::size_t length = characters(text);
      if (rules.length_min && length < *rules.length_min) {
        return refuse("must have at least " + std::to_string(*rules.length_min) + " characters");
      }
      if (rules.length_max && length > *rules.length_max) {
        return refuse("must have at most " + std::to_string(*rules.length_max) + " characters");
      }
    }
    if (rules.pattern != nullptr && !matches(*rules.pattern, text)) {
      return refuse("must match " + rules.pattern->pattern());
    }
    return true;
  }

  bool check_array(const Rules& rules, const json::array& array) {
    if (rules.items_min && array.size() < *rules.items_min) {
      return refuse("must have at least " + std::to_string(*rules.items_min) + " elements");
    }
    if (rules.items_max && array.size() > *rules.items_max) {
      return refuse("must have at most " + std::to_string(*rules.items_max) + " elements");
    }
    for (std::size_t i = 0; i < array.size(); ++i) {
      const Rules* element =
          i < rules.first_items.size() ? rules.first_items[i].get() : rules.items.get();
      if (element != nullptr && !check_inside(*element, array[i], std::to_string(i))) {
        return false;
      }
    }
    return check_contained(rules, array) && (!rules.items_unique || check_unique(array));
  }

  bool check_contained(const Rules& rules, const json::array& array) {
    if (rules.contains == nullptr) {
      return true;
    }
    const auto count = static_cast<std::size_t>(std::count_if(
        array.begin(),
        array.end(),
        [&](const json::value& each) { return fits(*rules.contains, each); }
    ));
    if (count < rules.contains_min || (rules.contains_max && count > *rules.contains_max)) {
      return refuse(
          "must contain another number of fitting elements than " + std::to_string(count)
      );
    }
    return true;
  }

  bool check_unique(const json::array& array) {
    // By fingerprint, so that a long array costs no more than sorting it.
    std::vector<std::pair<std::size_t, const json::value*>> sorted;
    sorted.reserve(array.size());
    for (const json::value& each : array) {
      sorted.emplace_back(fingerprint(each), &each);
    }
    std::sort(sorted.begin(), sorted.end());
    for (std::size_t i = 1; i < sorted.size(); ++i) {
      for (std::size_t j = i; j-- > 0 && sorted[j].first == sorted[i].first;) {
        if (equal_json(*sorted[i].second, *sorted[j].second)) {
          return refuse("must not have equal elements");
        }
      }
    }
    return true;
  }

  bool check_object(const Rules& rules, const json::object& object) {
    for (const std::string& name : rules.required) {
      if (find_member(object, name) == nullptr) {
        return refuse("must have " + name);
      }
    }
    if (rules.properties_min && object.size() < *rules.properties_min) {
      return refuse("must have at least " + std::to_string(*rules.properties_min) + " members");
    }
    if (rules.properties_max && object.size() > *rules.properties_max) {
      return refuse("must have at most " + std::to_string(*rules.properties_max) + " members");
    }
    for (const auto& [key, value] : object) {
      if (!check_member(rules, key, value)) {
        return false;
      }
    }
    return check_dependencies(rules, object);
  }

  bool check_member(const Rules& rules, std::string_view key, const json::value& value) {
    if (rules.property_names != nullptr &&
        !check_inside(
            *rules.property_names, json::value(json::string_view(key.data(), key.size())), key
        )) {
      return false;
    }
    bool named = false;
    if (const auto found = rules.properties.find(key); found != rules.properties.end()) {
      named = true;
      if (!check_inside(*found->second, value, key)) {
        return false;
      }
    }
    for (const auto& [expression, inner] : rules.pattern_properties) {
      if (matches(*expression, key)) {
        named = true;
        if (!check_inside(*inner, value, key)) {
          return false;
        }
      }
    }
    return named || rules.additional == nullptr || check_inside(*rules.additional, value, key);
  }

  bool check_dependencies(const Rules& rules, const json::object& object) {
    for (const auto& [key, names] : rules.dependent_required) {
      if (find_member(object, key) == nullptr) {
        continue;
      }
      for (const std::string& name : names) {
        if (find_member(object, name) == nullptr) {
          return refuse("must have " + name + " because it has " + key);
        }
      }
    }
    return std::all_of(rules.dependent.begin(), rules.dependent.end(), [&](const auto& each) {
      return find_member(object, each.first) == nullptr || check(*each.second, object);
    });
  }

  bool check_inside(const Rules& rules, const json::value& value, std::string_view key) {
    const std::size_t before = path_.size();
    path_.push_back('/');
    for (const char c : key) {
      if (c == '~' || c == '/') {
        path_.append(c == '~' ? "~0" : "~1");
      } else {
        path_.push_back(c);
      }
    }
    const bool valid = check(rules, value);
    path_.resize(before);
    return valid;
  }

  bool check_combinations(const Rules& rules, const json::value& value) {
    for (const Rules::Owned& each : rules.all_of) {
      if (!check(*each, value)) {
        return false;
      }
    }
    const auto fitting = [&](const std::vector<Rules::Owned>& of) {
      return std::count_if(of.begin(), of.end(), [&](const Rules::Owned& each) {
        return fits(*each, value);
      });
    };
    if (!rules.any_of.empty() && fitting(rules.any_of) == 0) {
      // Of the only one there is, what is wrong can be said.
      return rules.any_of.size() == 1 ? check(*rules.any_of.front(), value)
                                      : refuse("must fit one of the schemas of anyOf");
    }
    if (!rules.one_of.empty() && fitting(rules.one_of) != 1) {
      return refuse("must fit exactly one of the schemas of oneOf");
    }
    if (rules.none_of != nullptr && fits(*rules.none_of, value)) {
      return refuse("must not fit the schema of not");
    }
    if (rules.condition != nullptr) {
      const Rules* then =
          fits(*rules.condition, value) ? rules.then_rules.get() : rules.else_rules.get();
      return then == nullptr || check(*then, value);
    }
    return true;
  }

  std::string path_;
  int depth_ = 0;
};

}  // namespace

std::optional<Violation> JsonSchema::check(const json::value& value) const {
  Checker checker;
  if (checker.check(*root_, value)) {
    return std::nullopt;
  }
  return std::move(checker.violation);
}

}  // namespace iotcore::shadow::document
