// Reads schemas.
#include "shadow/document/json_schema_rules.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace iotcore::shadow::document {
namespace {

using Rules = JsonSchema::Rules;

constexpr std::size_t kDepthMax = 64;

// Their meaning can't be ignored without accepting what they forbid.
constexpr std::array kRefused = std::to_array<std::string_view>({
    "unevaluatedProperties",
    "unevaluatedItems",
    "$dynamicRef",
    "$recursiveRef",
});

constexpr std::array kTypes = std::to_array<std::string_view>({
    "null",
    "boolean",
    "object",
    "array",
    "number",
    "integer",
    "string",
});

std::string escaped(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

// What a fragment of a URI stands for: `%25` is a per cent sign.
std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 &&
        digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Builds the rules of one schema text. Errors name the place by JSON Pointer.
class SchemaCompiler {
 public:
  Result<Rules::Owned> compile(const json::value& schema) {
    auto root = std::make_unique<Rules>();
    IOTCORE_TRY(read(schema, "", *root));
    for (const auto& [rules, target] : references_) {
      const auto found = places_.find(target);
      if (found == places_.end()) {
        return refuse(target, "no schema is there, but a $ref says so");
      }
      rules->reference = found->second;
    }
    return root;
  }

 private:
  static tl::unexpected<Error> refuse(std::string_view place, std::string_view why) {
    return fail(Errc::kInvalidRequest, "at #" + std::string(place) + ": " + std::string(why));
  }

  Status read(const json::value& schema, const std::string& place, Rules& rules) {
    places_.emplace(place, &rules);
    if (const bool* always = schema.if_bool()) {
      rules.never = !*always;
      return {};
    }
    const json::object* object = schema.if_object();
    if (object == nullptr) {
      return refuse(place, "a schema is an object, true or false");
    }
    if (++depth_ > kDepthMax) {
      return refuse(place, "too many levels");
    }
    for (const std::string_view keyword : kRefused) {
      if (find_member(*object, keyword) != nullptr) {
        return refuse(place, std::string(keyword) + " is not supported");
      }
    }
    IOTCORE_TRY(read_reference(*object, place, rules));
    IOTCORE_TRY(read_values(*object, place, rules));
    IOTCORE_TRY(read_numbers(*object, place, rules));
    IOTCORE_TRY(read_strings(*object, place, rules));
    IOTCORE_TRY(read_arrays(*object, place, rules));
    IOTCORE_TRY(read_objects(*object, place, rules));
    IOTCORE_TRY(read_dependencies(*object, place, rules));
    IOTCORE_TRY(read_combinations(*object, place, rules));
    --depth_;
    return {};
  }

  Status read_reference(const json::object& schema, const std::string& place, Rules& rules) {
    if (const json::value* anchor = find_member(schema, "$anchor");
        anchor != nullptr && anchor->is_string()) {
      places_.emplace("#" + std::string(anchor->get_string()), &rules);
    }
    if (const json::value* reference = find_member(schema, "$ref")) {
      if (!reference->is_string() || !reference->get_string().starts_with('#')) {
        return refuse(place, "a $ref begins with # here: schemas elsewhere are not read");
      }
      const std::string target =
          percent_decoded(std::string_view(reference->get_string()).substr(1));
      references_.emplace_back(&rules, target.empty() || target[0] == '/' ? target : "#" + target);
    }
    for (const std::string_view keyword : {"$defs", "definitions"}) {
      IOTCORE_TRY(each_member(
          schema,
          keyword,
          place,
          [&](std::string_view, const json::value& value, const std::string& at) {
            return read(value, at, *rules.definitions.emplace_back(std::make_unique<Rules>()));
          }
      ));
    }
    return {};
  }

  static Status read_values(const json::object& schema, const std::string& place, Rules& rules) {
    if (const json::value* type = find_member(schema, "type")) {
      const json::array one = type->is_array() ? json::array() : json::array{*type};
      for (const json::value& each : type->is_array() ? type->get_array() : one) {
        if (!each.is_string() ||
            std::find(kTypes.begin(), kTypes.end(), std::string_view(each.get_string())) ==
                kTypes.end()) {
          return refuse(place, "unknown type");
        }
        rules.types.emplace_back(each.get_string());
      }
    }
    if (const json::value* values = find_member(schema, "enum")) {
      if (!values->is_array()) {
        return refuse(place, "enum is an array");
      }
      rules.values = values->get_array();
    }
    if (const json::value* value = find_member(schema, "const")) {
      rules.values = json::array{*value};
    }
    return {};
  }

  static Status read_number(
      const json::object& schema,
      std::string_view keyword,
      const std::string& place,
      std::optional<double>& out
  ) {
    if (const json::value* value = find_member(schema, keyword)) {
      if (!value->is_number()) {
        return refuse(place, std::string(keyword) + " is a number");
      }
      out = value->to_number<double>();
    }
    return {};
  }

  static Status read_count(
      const json::object& schema,
      std::string_view keyword,
      const std::string& place,
      std::optional<std::size_t>& out
  ) {
    std::optional<double> number;
    IOTCORE_TRY(read_number(schema, keyword, place, number));
    if (number) {
      if (*number < 0 || *number > 1e15 || std::floor(*number) != *number) {
        return refuse(place, std::string(keyword) + " is a whole number");
      }
      out = static_cast<std::size_t>(*number);
    }
    return {};
  }

  static Result<Rules::Expression> read_expression(
      std::string_view text, const std::string& place
  ) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(1 << 20);
    auto expression =
        std::make_unique<re2::RE2>(re2::StringPiece(text.data(), text.size()), options);
    if (!expression->ok()) {
      return refuse(place, "the expression " + std::string(text) + ": " + expression->error());
    }
    return expression;
  }

  static Status read_numbers(const json::object& schema, const std::string& place, Rules& rules) {
    IOTCORE_TRY(read_number(schema, "minimum", place, rules.minimum));
    IOTCORE_TRY(read_number(schema, "maximum", place, rules.maximum));
    IOTCORE_TRY(read_number(schema, "exclusiveMinimum", place, rules.above));
    IOTCORE_TRY(read_number(schema, "exclusiveMaximum", place, rules.below));
    IOTCORE_TRY(read_number(schema, "multipleOf", place, rules.multiple_of));
    if (rules.multiple_of && *rules.multiple_of <= 0) {
      return refuse(place, "multipleOf is above 0");
    }
    return {};
  }

  static Status read_strings(const json::object& schema, const std::string& place, Rules& rules) {
    IOTCORE_TRY(read_count(schema, "minLength", place, rules.length_min));
    IOTCORE_TRY(read_count(schema, "maxLength", place, rules.length_max));
    if (const json::value* pattern = find_member(schema, "pattern")) {
      if (!pattern->is_string()) {
        return refuse(place, "pattern is a string");
      }
      IOTCORE_ASSIGN(rules.pattern, read_expression(pattern->get_string(), place));
    }
    return {};
  }

  Status read_arrays(const json::object& schema, const std::string& place, Rules& rules) {
    IOTCORE_TRY(each_element(schema, "prefixItems", place, rules.first_items));
    const json::value* items = find_member(schema, "items");
    if (items != nullptr && items->is_array()) {  // of draft 7
      IOTCORE_TRY(each_element(schema, "items", place, rules.first_items));
      IOTCORE_TRY(read_inner(schema, "additionalItems", place, rules.items));
    } else {
      IOTCORE_TRY(read_inner(schema, "items", place, rules.items));
    }
    IOTCORE_TRY(read_inner(schema, "contains", place, rules.contains));
    std::optional<std::size_t> contains_min;
    IOTCORE_TRY(read_count(schema, "minContains", place, contains_min));
    rules.contains_min = contains_min.value_or(1);
    IOTCORE_TRY(read_count(schema, "maxContains", place, rules.contains_max));
    IOTCORE_TRY(read_count(schema, "minItems", place, rules.items_min));
    IOTCORE_TRY(read_count(schema, "maxItems", place, rules.items_max));
    const json::value* unique = find_member(schema, "uniqueItems");
    rules.items_unique = unique != nullptr && unique->is_bool() && unique->get_bool();
    return {};
  }

  Status read_objects(const json::object& schema, const std::string& place, Rules& rules) {
    IOTCORE_TRY(each_member(
        schema,
        "properties",
        place,
        [&](std::string_view key, const json::value& value, const std::string& at) {
          return read(value, at, *(rules.properties[std::string(key)] = std::make_unique<Rules>()));
        }
    ));
    IOTCORE_TRY(each_member(
        schema,
        "patternProperties",
        place,
        [&](std::string_view key, const json::value& value, const std::string& at) -> Status {
          IOTCORE_ASSIGN(Rules::Expression expression, read_expression(key, at));
          rules.pattern_properties.emplace_back(std::move(expression), std::make_unique<Rules>());
          return read(value, at, *rules.pattern_properties.back().second);
        }
    ));
    IOTCORE_TRY(read_inner(schema, "additionalProperties", place, rules.additional));
    IOTCORE_TRY(read_inner(schema, "propertyNames", place, rules.property_names));
    IOTCORE_TRY(read_count(schema, "minProperties", place, rules.properties_min));
    IOTCORE_TRY(read_count(schema, "maxProperties", place, rules.properties_max));
    if (const json::value* required = find_member(schema, "required")) {
      IOTCORE_TRY(read_names(*required, place, rules.required));
    }
    return {};
  }

  Status read_dependencies(const json::object& schema, const std::string& place, Rules& rules) {
    // `dependencies` of draft 7 holds both kinds.
    for (const std::string_view keyword :
         {"dependentRequired", "dependentSchemas", "dependencies"}) {
      IOTCORE_TRY(each_member(
          schema,
          keyword,
          place,
          [&](std::string_view key, const json::value& value, const std::string& at) -> Status {
            if (value.is_array()) {
              rules.dependent_required.emplace_back(key, std::vector<std::string>());
              return read_names(value, at, rules.dependent_required.back().second);
            }
            rules.dependent.emplace_back(key, std::make_unique<Rules>());
            return read(value, at, *rules.dependent.back().second);
          }
      ));
    }
    return {};
  }

  Status read_combinations(const json::object& schema, const std::string& place, Rules& rules) {
    IOTCORE_TRY(each_element(schema, "allOf", place, rules.all_of));
    IOTCORE_TRY(each_element(schema, "anyOf", place, rules.any_of));
    IOTCORE_TRY(each_element(schema, "oneOf", place, rules.one_of));
    IOTCORE_TRY(read_inner(schema, "not", place, rules.none_of));
    IOTCORE_TRY(read_inner(schema, "if", place, rules.condition));
    IOTCORE_TRY(read_inner(schema, "then", place, rules.then_rules));
    return read_inner(schema, "else", place, rules.else_rules);
  }

  static Status read_names(
      const json::value& names, const std::string& place, std::vector<std::string>& out
  ) {
    if (!names.is_array()) {
      return refuse(place, "names of properties are an array");
    }
    for (const json::value& name : names.get_array()) {
      if (!name.is_string()) {
        return refuse(place, "the name of a property is a string");
      }
      out.emplace_back(name.get_string());
    }
    return {};
  }

  Status read_inner(
      const json::object& schema,
      std::string_view keyword,
      const std::string& place,
      Rules::Owned& out
  ) {
    if (const json::value* inner = find_member(schema, keyword)) {
      out = std::make_unique<Rules>();
      return read(*inner, place + "/" + std::string(keyword), *out);
    }
    return {};
  }

  Status each_element(
      const json::object& schema,
      std::string_view keyword,
      const std::string& place,
      std::vector<Rules::Owned>& out
  ) {
    const json::value* list = find_member(schema, keyword);
    if (list == nullptr) {
      return {};
    }
    const std::string at = place + "/" + std::string(keyword);
    if (!list->is_array()) {
      return refuse(at, "an array of schemas is expected");
    }
    for (std::size_t i = 0; i < list->get_array().size(); ++i) {
      out.push_back(std::make_unique<Rules>());
      IOTCORE_TRY(read(list->get_array()[i], at + "/" + std::to_string(i), *out.back()));
    }
    return {};
  }

  template <typename Read>
  Status each_member(
      const json::object& schema,
      std::string_view keyword,
      const std::string& place,
      const Read& read_member
  ) {
    const json::value* table = find_member(schema, keyword);
    if (table == nullptr) {
      return {};
    }
    const std::string at = place + "/" + std::string(keyword);
    if (!table->is_object()) {
      return refuse(at, "an object is expected");
    }
    for (const auto& [key, value] : table->get_object()) {
      IOTCORE_TRY(read_member(std::string_view(key), value, at + "/" + escaped(key)));
    }
    return {};
  }

  std::size_t depth_ = 0;
  std::map<std::string, const Rules*> places_;  // by JSON Pointer; by "#anchor"
  std::vector<std::pair<Rules*, std::string>> references_;
};

}  // namespace

JsonSchema::JsonSchema() = default;
JsonSchema::~JsonSchema() = default;

Result<std::shared_ptr<const JsonSchema>> JsonSchema::compile(std::string_view text) {
  IOTCORE_ASSIGN(const json::value schema, parse_json(text));
  IOTCORE_ASSIGN(std::unique_ptr<Rules> root, SchemaCompiler().compile(schema));
  std::shared_ptr<JsonSchema> compiled(new JsonSchema());
  compiled->root_ = std::move(root);
  return std::shared_ptr<const JsonSchema>(std::move(compiled));
}

}  // namespace iotcore::shadow::document
