#include "registry/query/node.h"

#include <utility>

namespace iotcore::registry::query {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
// What ends a word unless it is escaped.
constexpr std::string_view kWordEnd = " \t\r\n()[]{}:\"<>";

// One word as it stands, taken apart.
struct Word {
  std::string text;     // without the escapes
  std::string pattern;  // lower case, with the wildcards' signs
  bool wildcard = false;
  bool leading_wildcard = false;
  bool escaped = false;
};

//   query  := and+                       juxtaposition is AND
//   and    := or (AND? or)*  ;  or := not (OR not)*
//   not    := (NOT | '-')* primary
//   primary:= '(' query ')' | field ':' value | field compare word | value
class Parser {
 public:
  Parser(std::string_view text, const Limits& limits) : text_(text), limits_(limits) {}

  Result<std::unique_ptr<Node>> run() {
    IOTCORE_ASSIGN(auto root, all(std::string()));
    if (!at_end()) {
      return error("unexpected '" + std::string(1, text_[at_]) + "'");
    }
    return root;
  }

 private:
  using Made = Result<std::unique_ptr<Node>>;

  tl::unexpected<Error> error(const std::string& what) const {
    return fail(
        Errc::kInvalidQuery, "Invalid query at character " + std::to_string(at_ + 1) + ": " + what
    );
  }

  void skip_space() {
    while (at_ < text_.size() && kSpace.find(text_[at_]) != std::string_view::npos) {
      ++at_;
    }
  }

  bool at_end() {
    skip_space();
    return at_ == text_.size();
  }

  bool sees(char c) {
    skip_space();
    return at_ < text_.size() && text_[at_] == c;
  }

  bool takes(char c) {
    if (!sees(c)) {
      return false;
    }
    ++at_;
    return true;
  }

  // An operator: the word in upper case, standing alone.
  bool sees_operator(std::string_view name) {
    skip_space();
    if (text_.substr(at_, name.size()) != name) {
      return false;
    }
    const std::size_t end = at_ + name.size();
    return end == text_.size() || kWordEnd.find(text_[end]) != std::string_view::npos;
  }

  bool takes_operator(std::string_view name) {
    if (!sees_operator(name)) {
      return false;
    }
    at_ += name.size();
    return true;
  }

  static std::unique_ptr<Node> join(Node::Kind kind, std::vector<std::unique_ptr<Node>> children) {
    if (children.size() == 1) {
      return std::move(children.front());
    }
    auto node = std::make_unique<Node>();
    node->kind = kind;
    node->children = std::move(children);
    return node;
  }

  // `field`: that of the list of values this stands in, or empty.
  Made all(const std::string& field) {
    if (++depth_ > limits_.depth_max) {
      return error("too many nested parentheses");
    }
    std::vector<std::unique_ptr<Node>> children;
    do {
      IOTCORE_ASSIGN(auto child, some(field));
      children.push_back(std::move(child));
      if (takes_operator("AND") && (at_end() || text_[at_] == ')')) {
        return error("AND has nothing to its side");
      }
    } while (!at_end() && text_[at_] != ')');
    --depth_;
    return join(Node::Kind::kAnd, std::move(children));
  }

  Made some(const std::string& field) {
    std::vector<std::unique_ptr<Node>> children;
    do {
      IOTCORE_ASSIGN(auto child, negated(field));
      children.push_back(std::move(child));
    } while (takes_operator("OR"));
    return join(Node::Kind::kOr, std::move(children));
  }

  Made negated(const std::string& field) {
    bool negative = false;
    while (takes_operator("NOT") || takes('-')) {
      negative = !negative;
    }
    IOTCORE_ASSIGN(auto node, primary(field));
    if (!negative) {
      return node;
    }
    auto negation = std::make_unique<Node>();
    negation->kind = Node::Kind::kNot;
    negation->children.push_back(std::move(node));
    return negation;
  }

  Made primary(const std::string& field) {
    if (at_end()) {
      return error("something is missing here");
    }
    if (takes('(')) {
      return parenthesis(field);
    }
    if (!field.empty()) {
      return value(field);
    }
    const std::size_t start = at_;
    if (text_[at_] != '"' && text_[at_] != '[' && text_[at_] != '{') {
      IOTCORE_ASSIGN(const Word name, word());
      if (takes(':')) {
        if (name.wildcard) {
          return error("a field's name has no wildcards");
        }
        return value(name.text);
      }
      if (sees('<') || sees('>')) {
        return comparison(name.text);
      }
    }
    at_ = start;
    return value({});
  }

  Made parenthesis(const std::string& field) {
    IOTCORE_ASSIGN(auto node, all(field));
    if (!takes(')')) {
      return error("')' is missing");
    }
    return node;
  }

  Made term(std::string field, Condition condition) {
    if (++terms_ > limits_.terms_max) {
      return error("more than " + std::to_string(limits_.terms_max) + " terms");
    }
    auto node = std::make_unique<Node>();
    node->field = std::move(field);
    node->condition = std::move(condition);
    return node;
  }

  Made value(const std::string& field) {
    if (at_end()) {
      return error("a value is missing");
    }
    switch (text_[at_]) {
      case '(':
        ++at_;
        return parenthesis(field);
      case '[':
      case '{':
        return range(field);
      case '"': {
        IOTCORE_ASSIGN(const std::string phrase, quoted());
        return term(field, equal(phrase, true));
      }
      case '<':
      case '>':
        return comparison(field);
      default:
        break;
    }
    IOTCORE_ASSIGN(Word found, word());
    if (found.pattern == std::string(1, kAnyRun)) {
      return term(field, Condition());
    }
    if (found.leading_wildcard) {
      return error("a wildcard at the front of a value");
    }
    if (!found.escaped && (found.text == "AND" || found.text == "OR" || found.text == "NOT")) {
      return error(found.text + " has nothing to its side");
    }
    if (found.wildcard) {
      Condition condition;
      condition.kind = Condition::Kind::kWildcard;
      condition.pattern = std::move(found.pattern);
      return term(field, std::move(condition));
    }
    return term(field, equal(found.text, false));
  }

  static Condition equal(const std::string& text, bool phrase) {
    Condition condition;
    condition.kind = Condition::Kind::kEqual;
    condition.text = lower_case(text);
    if (!phrase) {
      condition.number = number_from(text);
    }
    return condition;
  }

  static Condition::Bound bound(const std::string& text, bool inclusive) {
    return {lower_case(text), number_from(text), inclusive};
  }

  Made comparison(const std::string& field) {
    const char sign = text_[at_++];
    const bool inclusive = at_ < text_.size() && text_[at_] == '=';
    at_ += inclusive ? 1 : 0;
    if (at_end()) {
      return error("a number is missing");
    }
    IOTCORE_ASSIGN(const std::string text, plain_value());
    Condition condition;
    condition.kind = Condition::Kind::kRange;
    (sign == '<' ? condition.high : condition.low) = bound(text, inclusive);
    return term(field, std::move(condition));
  }

  Made range(const std::string& field) {
    Condition condition;
    condition.kind = Condition::Kind::kRange;
    const bool low_inclusive = text_[at_++] == '[';
    IOTCORE_ASSIGN(const std::string low, bound_text());
    if (!takes_operator("TO")) {
      return error("TO is missing");
    }
    IOTCORE_ASSIGN(const std::string high, bound_text());
    bool high_inclusive = true;
    if (takes('}')) {
      high_inclusive = false;
    } else if (!takes(']')) {
      return error("']' or '}' is missing");
    }
    if (low != "*") {
      condition.low = bound(low, low_inclusive);
    }
    if (high != "*") {
      condition.high = bound(high, high_inclusive);
    }
    if (!condition.low && !condition.high) {
      condition.kind = Condition::Kind::kAnything;
    }
    return term(field, std::move(condition));
  }

  Result<std::string> bound_text() {
    if (at_end()) {
      return error("the end of a range is missing");
    }
    if (sees('*')) {
      ++at_;
      return std::string("*");
    }
    return plain_value();
  }

  // A phrase, or a word without wildcards.
  Result<std::string> plain_value() {
    if (sees('"')) {
      return quoted();
    }
    IOTCORE_ASSIGN(Word found, word());
    if (found.wildcard) {
      return error("wildcards have no place here");
    }
    return std::move(found.text);
  }

  Result<std::string> quoted() {
    ++at_;
    std::string out;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return out;
      }
      if (c == '\\' && at_ + 1 < text_.size()) {
        ++at_;
      }
      out += text_[at_];
    }
    return error("the end of a phrase is missing");
  }

  Result<Word> word() {
    skip_space();
    Word out;
    const std::size_t start = at_;
    for (; at_ < text_.size() && kWordEnd.find(text_[at_]) == std::string_view::npos; ++at_) {
      char c = text_[at_];
      const bool sign = c == '*' || c == '?';
      if (sign) {
        out.wildcard = true;
        out.leading_wildcard = out.leading_wildcard || at_ == start;
        out.pattern += c == '*' ? kAnyRun : kAnyOne;
        out.text += c;
        continue;
      }
      if (c == '\\') {
        if (++at_ == text_.size()) {
          return error("a backslash at the end");
        }
        c = text_[at_];
        out.escaped = true;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        return error("a control character");
      }
      out.text += c;
      out.pattern += lower_case(std::string_view(&c, 1));
    }
    if (at_ == start) {
      return error("unexpected '" + std::string(1, text_[at_]) + "'");
    }
    return out;
  }

  std::string_view text_;
  const Limits& limits_;
  std::size_t at_ = 0;
  std::size_t terms_ = 0;
  std::size_t depth_ = 0;
};

}  // namespace

Result<Query> Query::parse(std::string_view text, const Limits& limits) {
  if (text.size() > limits.bytes_max) {
    return fail(
        Errc::kInvalidQuery,
        "A query can have at most " + std::to_string(limits.bytes_max) + " bytes, not " +
            std::to_string(text.size())
    );
  }
  IOTCORE_ASSIGN(std::unique_ptr<Node> root, Parser(text, limits).run());
  return Query(std::shared_ptr<const Node>(std::move(root)));
}

}  // namespace iotcore::registry::query
