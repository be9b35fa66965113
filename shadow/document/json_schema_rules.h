#pragma once

#include "shadow/document/json_schema.h"

#include <re2/re2.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace iotcore::shadow::document {

// A compiled schema: what its keywords demand. Absent is no demand.
struct JsonSchema::Rules {
  using Owned = std::unique_ptr<Rules>;
  using Expression = std::unique_ptr<re2::RE2>;

  bool never = false;                 // the schema `false`
  const Rules* reference = nullptr;   // $ref
  std::vector<std::string> types;     // none: any
  std::optional<json::array> values;  // enum, const

  std::optional<double> minimum;
  std::optional<double> maximum;
  std::optional<double> above;  // exclusiveMinimum
  std::optional<double> below;  // exclusiveMaximum
  std::optional<double> multiple_of;

  std::optional<std::size_t> length_min;
  std::optional<std::size_t> length_max;
  Expression pattern;

  std::vector<Owned> first_items;  // prefixItems
  Owned items;                     // of those after them
  Owned contains;
  std::size_t contains_min = 1;
  std::optional<std::size_t> contains_max;
  std::optional<std::size_t> items_min;
  std::optional<std::size_t> items_max;
  bool items_unique = false;

  std::map<std::string, Owned, std::less<>> properties;
  std::vector<std::pair<Expression, Owned>> pattern_properties;
  Owned additional;  // of properties that neither names
  Owned property_names;
  std::vector<std::string> required;
  std::optional<std::size_t> properties_min;
  std::optional<std::size_t> properties_max;
  std::vector<std::pair<std::string, std::vector<std::string>>> dependent_required;
  std::vector<std::pair<std::string, Owned>> dependent;  // dependentSchemas

  std::vector<Owned> all_of;
  std::vector<Owned> any_of;
  std::vector<Owned> one_of;
  Owned none_of;  // not
  Owned condition;
  Owned then_rules;
  Owned else_rules;

  std::vector<Owned> definitions;  // looked at by references only
};

}  // namespace iotcore::shadow::document
