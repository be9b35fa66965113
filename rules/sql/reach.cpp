#include "rules/sql/reach.h"

#include "rules/sql/functions.h"

#include <map>
#include <optional>
#include <string_view>

namespace iotcore::rules::sql {
namespace {

// A level of a topic as its filter knows it.
struct Level {
  bool exists = true;
  std::string_view text;  // empty: any, or the empty level
  bool is_known = false;
};

class Reach {
 public:
  explicit Reach(const ProgramData& code) : code_(code) {}

  std::string why_never(NodeIndex index) {
    const Node& node = code_.nodes[index];
    switch (node.op) {
      case Op::kConstant:
        return code_.constants[node.a].is_true() ? ""
                                                 : "WHERE is never true, so the rule never fires";
      case Op::kAnd:
        return why_never_all(node);
      case Op::kOr:
        return why_never_any(node);
      case Op::kEqual:
        return why_never_equal(node.a, node.b);
      default:
        return "";
    }
  }

 private:
  // One that is never true is enough; or two that want different values of one member.
  std::string why_never_all(const Node& node) {
    std::map<std::string, Value> wanted;  // by the member's path
    for (std::size_t i = 0; i < node.count; ++i) {
      const NodeIndex operand = code_.operands[node.a + i];
      if (std::string why = why_never(operand); !why.empty()) {
        return why;
      }
      const Node& part = code_.nodes[operand];
      if (part.op != Op::kEqual) {
        continue;
      }
      const std::string path = path_of(part.a);
      const Value* value = constant(part.b);
      if (path.empty() || value == nullptr) {
        continue;
      }
      const auto [found, is_new] = wanted.emplace(path, *value);
      if (!is_new && differ(found->second, *value)) {
        return path + " cannot be two things at once, so the rule never fires";
      }
    }
    return "";
  }

  std::string why_never_any(const Node& node) {
    std::string why;
    for (std::size_t i = 0; i < node.count; ++i) {
      why = why_never(code_.operands[node.a + i]);
      if (why.empty()) {
        return why;
      }
    }
    return why;
  }

  std::string why_never_equal(NodeIndex a, NodeIndex b) const {
    const Value* value = constant(b);
    if (value == nullptr) {
      value = constant(a);
      a = b;
    }
    const std::optional<Level> level = value == nullptr ? std::nullopt : level_asked(a);
    if (!level) {
      return "";
    }
    if (!level->exists) {
      return "topics that FROM lets through have no such level, so the rule fires by Basic Ingest "
             "at most";
    }
    if (value->kind() != Kind::kString) {
      return "a level of a topic is a String and equals nothing else, so the rule never fires";
    }
    if (level->is_known && level->text != value->text()) {
      return "FROM says '" + std::string(level->text) +
             "' there, so the rule fires by Basic Ingest at most";
    }
    return "";
  }

  // Of topic(n) with a constant n, if the filter is there.
  std::optional<Level> level_asked(NodeIndex index) const {
    const Node& node = code_.nodes[index];
    if (node.op != Op::kCall || functions()[node.detail].name != "topic" || node.count != 1 ||
        !code_.topic_filter) {
      return std::nullopt;
    }
    const Value* n = constant(code_.operands[node.a]);
    if (n == nullptr || n->kind() != Kind::kInt || !n->is_small()) {
      return std::nullopt;
    }
    if (n->small() < 1) {
      return Level{false, {}, false};
    }
    std::string_view rest = *code_.topic_filter;
    for (std::int64_t i = 1;; ++i) {
      const std::size_t slash = rest.find('/');
      const std::string_view level = rest.substr(0, slash);
      if (level == "#") {
        return Level{};
      }
      if (i == n->small()) {
        return Level{true, level, level != "+"};
      }
      if (slash == std::string_view::npos) {
        return Level{false, {}, false};
      }
      rest.remove_prefix(slash + 1);
    }
  }

  const Value* constant(NodeIndex index) const {
    const Node& node = code_.nodes[index];
    return node.op == Op::kConstant ? &code_.constants[node.a] : nullptr;
  }

  // "a.b" of a member of the payload.
  std::string path_of(NodeIndex index) const {
    const Node& node = code_.nodes[index];
    std::string path;
    for (std::size_t i = 0; node.op == Op::kField && i < node.count; ++i) {
      path += i == 0 ? "" : ".";
      path += code_.names[node.a + i];
    }
    return path;
  }

  static bool differ(const Value& a, const Value& b) {
    if (a.kind() == Kind::kString && b.kind() == Kind::kString) {
      return a.text() != b.text();
    }
    if (a.is_number() && b.is_number()) {
      return a.is_small() && b.is_small() && a.small() != b.small();
    }
    return !a.is_container() && !b.is_container() && a.kind() != b.kind();
  }

  const ProgramData& code_;
};

}  // namespace

std::string why_never_true(const ProgramData& code) {
  return code.where == kNoNode ? "" : Reach(code).why_never(code.where);
}

}  // namespace iotcore::rules::sql
