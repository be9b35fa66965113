#pragma once

#include "rules/sql/arena.h"
#include "rules/sql/program.h"
#include "rules/sql/value.h"

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What a compiled statement or template consists of. The compiler writes it, the evaluator reads
// it.
namespace iotcore::rules::sql {

enum class Op : std::uint8_t {
  kConstant,      // constants[a]
  kField,         // names[a .. a+count) from the current element
  kFieldOrOuter,  // the same, from the payload if the element has no member names[a]
  kCurrent,       // the current element: the payload, or that of the innermost subquery
  kVariable,      // slot a
  kMember,        // names[a .. a+count) from node b
  kCall,  // function `detail` on operands[a .. a+count); b: 1 + index of its regular expression
  kGetOrDefault,  // operands[a .. a+count)
  kCast,          // node a to CastType `detail`
  kCase,          // operands[a .. a+count): operand if detail & 1, pairs, ELSE if detail & 2
  kExists,        // queries[a]
  kSubquery,      // queries[a]
  kObject,        // operands[a .. a+count) under names[b ..]
  kArray,         // operands[a .. a+count)
  kAnd,           // operands[a .. a+count)
  kOr,
  kNot,  // a
  kNegate,
  kEqual,  // a, b
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kRemainder,
};

enum class CastType : std::uint8_t { kString, kInt, kDouble, kDecimal, kBoolean };

using NodeIndex = std::uint32_t;
inline constexpr NodeIndex kNoNode = 0xFFFFFFFF;

struct Node {
  Op op;
  std::uint8_t detail = 0;
  std::uint16_t count = 0;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
};

// Where an item's value goes in the result: a tree of the aliases' parts.
struct Place {
  std::string_view key;
  std::vector<std::uint16_t> items;     // that end here, in their order
  std::vector<std::uint16_t> children;  // indices into Selection::places
};

struct Selection {
  static constexpr NodeIndex kStar = kNoNode;  // among `items`: all members of the current element

  bool is_value = false;
  bool only_star = false;  // SELECT *
  std::vector<NodeIndex> items;
  std::vector<Place> places;  // places[0] is the root
};

struct QueryCode {
  Selection select;
  NodeIndex source = kNoNode;
  bool source_is_star = false;  // FROM *: one element, the current one
  NodeIndex where = kNoNode;
};

struct TemplatePart {
  std::string_view literal;
  NodeIndex expression = kNoNode;  // if there is one, the literal stands before it
};

struct ProgramData {
  std::string text;
  Version version = Version::k2016_03_23;
  CompileOptions options;
  std::optional<std::string> topic_filter;

  std::vector<Node> nodes;
  std::vector<NodeIndex> operands;
  std::vector<Value> constants;
  std::vector<std::string_view> names;
  std::vector<QueryCode> queries;
  std::vector<std::unique_ptr<re2::RE2>> expressions;
  Arena memory{16U << 20};  // of constants and names

  std::vector<std::string_view> variables;  // names with @, by slot
  std::vector<NodeIndex> variable_values;
  Selection select;
  NodeIndex where = kNoNode;
  std::vector<TemplatePart> parts;  // of a template

  bool calls_external = false;
  bool reads_secret = false;  // get_secret(), or a variable that may
  bool calls_others = false;  // external functions besides, or a secret that cannot be withheld
  std::vector<std::string> payload_paths;
  std::vector<SourceError> notes;

  bool keeps_decimals() const { return version == Version::k2015_10_08; }
};

// Whether get_secret() is called for it, other than in a subquery. `rule`: whose variables there are.
bool takes_secret(const ProgramData& code, const ProgramData& rule, NodeIndex index);
// Whether it can be written down with everything but that computed.
bool can_withhold(const ProgramData& code, const ProgramData& rule, NodeIndex index);

}  // namespace iotcore::rules::sql
