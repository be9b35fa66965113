#include "registry/provisioning/expression.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace iotcore::registry::provisioning {
namespace {

constexpr int kDepthMax = 16;
constexpr std::array<std::string_view, 6> kFunctions = {
    "Ref", "Fn::Join", "Fn::Select", "Fn::Split", "Fn::Sub", "Fn::FindInMap"};

tl::unexpected<Error> invalid(std::string what) {
  return fail(Errc::kInvalidRequest, std::move(what));
}

Result<std::string> text(const json::value& value, std::string_view what) {
  if (!value.is_string()) {
    return invalid(std::string(what) + " must be a text");
  }
  return std::string(value.get_string());
}

Result<json::array> list(const json::value& value, std::string_view what) {
  if (!value.is_array()) {
    return invalid(std::string(what) + " must be a list");
  }
  return value.get_array();
}

class Evaluator {
 public:
  explicit Evaluator(const Environment& environment) : environment_(environment) {}

  Result<json::value> value(const json::value& value, int depth);

 private:
  Result<json::value> call(std::string_view function, const json::value& argument, int depth);
  // The argument as a list of values, each of which has been evaluated: once, as what comes of a function may look like one.
  Result<json::array> arguments(
      const json::value& argument, std::string_view function, std::size_t size, int depth
  );
  Result<json::value> reference(const json::value& argument);
  Result<json::value> join(const json::value& argument, int depth);
  Result<json::value> select(const json::value& argument, int depth);
  Result<json::value> split(const json::value& argument, int depth);
  Result<json::value> substitute(const json::value& argument, int depth);
  Result<json::value> find_in_map(const json::value& argument, int depth);

  const Environment& environment_;
};

Result<json::value> Evaluator::value(const json::value& value, int depth) {
  if (depth > kDepthMax) {
    return invalid("functions are nested deeper than " + std::to_string(kDepthMax));
  }
  if (const auto function = function_of(value)) {
    return call(*function, value.get_object().begin()->value(), depth + 1);
  }
  if (value.is_object()) {
    json::object out;
    for (const auto& [name, member] : value.get_object()) {
      IOTCORE_ASSIGN(out[name], this->value(member, depth + 1));
    }
    return json::value(std::move(out));
  }
  if (value.is_array()) {
    json::array out;
    for (const json::value& element : value.get_array()) {
      IOTCORE_ASSIGN(json::value evaluated, this->value(element, depth + 1));
      out.push_back(std::move(evaluated));
    }
    return json::value(std::move(out));
  }
  return value;
}

Result<json::value> Evaluator::call(
    std::string_view function, const json::value& argument, int depth
) {
  if (function == "Ref") {
    return reference(argument);
  }
  if (function == "Fn::Join") {
    return join(argument, depth);
  }
  if (function == "Fn::Select") {
    return select(argument, depth);
  }
  if (function == "Fn::Split") {
    return split(argument, depth);
  }
  if (function == "Fn::Sub") {
    return substitute(argument, depth);
  }
  return find_in_map(argument, depth);
}

Result<json::array> Evaluator::arguments(
    const json::value& argument, std::string_view function, std::size_t size, int depth
) {
  IOTCORE_ASSIGN(json::value evaluated, this->value(argument, depth));
  if (!evaluated.is_array() || evaluated.get_array().size() != size) {
    return invalid(std::string(function) + " must be a list of " + std::to_string(size));
  }
  return std::move(evaluated.get_array());
}

Result<json::value> Evaluator::reference(const json::value& argument) {
  if (!argument.is_string()) {
    return invalid("Ref must name a parameter");
  }
  const std::string_view name = argument.get_string();
  const auto found = environment_.parameter(name);
  if (!found) {
    return invalid("the parameter " + std::string(name) + " has no value");
  }
  return json::value(*found);
}

Result<json::value> Evaluator::join(const json::value& argument, int depth) {
  IOTCORE_ASSIGN(const json::array parts, arguments(argument, "Fn::Join", 2, depth));
  IOTCORE_ASSIGN(const std::string separator, text(parts[0], "Fn::Join's separator"));
  IOTCORE_ASSIGN(const json::array texts, list(parts[1], "what Fn::Join joins"));
  std::string out;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    IOTCORE_ASSIGN(const std::string piece, text(texts[i], "each of what Fn::Join joins"));
    out += (i == 0 ? "" : separator) + piece;
  }
  return json::value(out);
}

Result<json::value> Evaluator::select(const json::value& argument, int depth) {
  IOTCORE_ASSIGN(const json::array parts, arguments(argument, "Fn::Select", 2, depth));
  std::int64_t index = -1;
  if (parts[0].is_int64()) {
    index = parts[0].get_int64();
  } else if (parts[0].is_string()) {
    const std::string_view digits = parts[0].get_string();
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    index = error == std::errc() && end == digits.data() + digits.size() ? index : -1;
  }
  IOTCORE_ASSIGN(const json::array from, list(parts[1], "what Fn::Select selects from"));
  if (index < 0 || static_cast<std::size_t>(index) >= from.size() ||
      from[static_cast<std::size_t>(index)].is_null()) {
    return invalid("Fn::Select's index is out of its list");
  }
  return from[static_cast<std::size_t>(index)];
}

Result<json::value> Evaluator::split(const json::value& argument, int depth) {
  IOTCORE_ASSIGN(const json::array parts, arguments(argument, "Fn::Split", 2, depth));
  IOTCORE_ASSIGN(const std::string separator, text(parts[0], "Fn::Split's separator"));
  IOTCORE_ASSIGN(const std::string whole, text(parts[1], "what Fn::Split splits"));
  if (separator.empty()) {
    return invalid("Fn::Split's separator is empty");
  }
  json::array out;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = whole.find(separator, begin);
    out.emplace_back(whole.substr(begin, end - begin));
    if (end == std::string::npos) {
      return json::value(std::move(out));
    }
    begin = end + separator.size();
  }
}

Result<json::value> Evaluator::substitute(const json::value& argument, int depth) {
  json::object own;
  std::string whole;
  if (argument.is_string()) {
    whole = std::string(argument.get_string());
  } else {
    IOTCORE_ASSIGN(json::array parts, arguments(argument, "Fn::Sub", 2, depth));
    IOTCORE_ASSIGN(whole, text(parts[0], "Fn::Sub's text"));
    if (!parts[1].is_object()) {
      return invalid("Fn::Sub's second argument must be an object");
    }
    own = std::move(parts[1].get_object());
  }
  std::string out;
  std::size_t at = 0;
  while (true) {
    const std::size_t begin = whole.find("${", at);
    const std::size_t end = begin == std::string::npos ? begin : whole.find('}', begin);
    if (end == std::string::npos) {
      return json::value(out.append(whole, at));
    }
    out.append(whole, at, begin - at);
    const std::string name = whole.substr(begin + 2, end - begin - 2);
    at = end + 1;
    if (name.starts_with('!')) {
      out += "${" + name.substr(1) + "}";  // written so to be left alone
    } else if (const json::value* mine = find_member(own, name)) {
      IOTCORE_ASSIGN(const std::string value, text(*mine, "a value of Fn::Sub"));
      out += value;
    } else {
      const auto found = environment_.parameter(name);
      if (!found) {
        return invalid("the parameter " + name + " in Fn::Sub has no value");
      }
      out += *found;
    }
  }
}

Result<json::value> Evaluator::find_in_map(const json::value& argument, int depth) {
  IOTCORE_ASSIGN(const json::array parts, arguments(argument, "Fn::FindInMap", 3, depth));
  const json::object* at = &environment_.mappings;
  for (std::size_t i = 0; i < 3; ++i) {
    IOTCORE_ASSIGN(const std::string key, text(parts[i], "each key of Fn::FindInMap"));
    const json::value* found = find_member(*at, key);
    if (found == nullptr || (i < 2 && !found->is_object())) {
      return invalid("Fn::FindInMap finds no " + key);
    }
    if (i == 2) {
      return *found;
    }
    at = &found->get_object();
  }
  return json::value();
}

}  // namespace

std::optional<std::string_view> function_of(const json::value& value) {
  if (!value.is_object() || value.get_object().size() != 1) {
    return std::nullopt;
  }
  const auto key = value.get_object().begin()->key();
  const std::string_view name(key.data(), key.size());
  return std::find(kFunctions.begin(), kFunctions.end(), name) == kFunctions.end()
             ? std::nullopt
             : std::optional(name);
}

Result<json::value> evaluate(const json::value& value, const Environment& environment) {
  return Evaluator(environment).value(value, 0);
}

}  // namespace iotcore::registry::provisioning
