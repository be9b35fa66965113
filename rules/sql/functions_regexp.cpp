#include "rules/sql/function_bodies.h"
#include "rules/sql/unicode.h"

#include <string>

namespace iotcore::rules::sql {

std::unique_ptr<re2::RE2> compile_expression(std::string_view pattern) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(1 << 20);
  return std::make_unique<re2::RE2>(re2::StringPiece(pattern.data(), pattern.size()), options);
}

namespace bodies {
namespace {

constexpr int kGroupsMax = 10;  // $0 … $9

// The text and the expression of a call; the latter from the program or compiled now.
class Search {
 public:
  explicit Search(const Call& call) {
    const std::optional<std::string_view> text = call.evaluator.text(call[0]);
    const std::optional<std::string_view> pattern = call.evaluator.text(call[1]);
    if (!text || !pattern) {
      return;
    }
    text_ = re2::StringPiece(text->data(), text->size());
    expression_ = call.expression;
    if (expression_ == nullptr) {
      own_ = compile_expression(*pattern);
      expression_ = own_->ok() ? own_.get() : nullptr;
    }
  }

  bool is_possible() const { return expression_ != nullptr; }

  const re2::StringPiece& text() const { return text_; }

  int groups() const { return std::min(kGroupsMax, expression_->NumberOfCapturingGroups() + 1); }

  bool find(std::size_t from, re2::StringPiece* groups, int count) const {
    return expression_->Match(text_, from, text_.size(), re2::RE2::UNANCHORED, groups, count);
  }

 private:
  re2::StringPiece text_;
  const re2::RE2* expression_ = nullptr;
  std::unique_ptr<re2::RE2> own_;
};

// $1 … $9 are groups, $0 the whole match, \$ a dollar sign.
void append_replacement(
    std::string& out, std::string_view to, const re2::StringPiece* groups, int count
) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const bool more = i + 1 < to.size();
    if (to[i] == '\\' && more) {
      out.push_back(to[++i]);
    } else if (to[i] == '$' && more && to[i + 1] >= '0' && to[i + 1] <= '9') {
      const int group = to[++i] - '0';
      if (group < count) {
        out.append(groups[group].data(), groups[group].size());
      }
    } else {
      out.push_back(to[i]);
    }
  }
}

std::size_t character_size(char lead) {
  const auto c = static_cast<unsigned char>(lead);
  return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

}  // namespace

Value regexp_matches(const Call& call) {
  const Search search(call);
  return search.is_possible() ? Value::boolean(search.find(0, nullptr, 0)) : Value();
}

Value regexp_substr(const Call& call) {
  const Search search(call);
  re2::StringPiece match;
  if (!search.is_possible() || !search.find(0, &match, 1)) {
    return {};
  }
  return call.evaluator.string({match.data(), match.size()});
}

Value regexp_replace(const Call& call) {
  const Search search(call);
  const std::optional<std::string_view> to = call.evaluator.text(call[2]);
  if (!search.is_possible() || !to) {
    return {};
  }
  const re2::StringPiece text = search.text();
  re2::StringPiece groups[kGroupsMax];
  const int count = search.groups();
  std::string out;
  std::size_t at = 0;
  while (at <= text.size() && search.find(at, groups, count)) {
    const auto begin = static_cast<std::size_t>(groups[0].data() - text.data());
    out.append(text.data() + at, begin - at);
    append_replacement(out, *to, groups, count);
    at = begin + groups[0].size();
    if (groups[0].empty() && at < text.size()) {
      // An empty match: go on behind the next character.
      const std::size_t size = std::min(character_size(text[at]), text.size() - at);
      out.append(text.data() + at, size);
      at += size;
    } else if (groups[0].empty()) {
      return call.evaluator.string(out);
    }
    if (out.size() > kTextMax) {
      return call.evaluator.exhaust("regexp_replace() makes a text that is too long");
    }
  }
  out.append(text.data() + at, text.size() - at);
  return call.evaluator.string(out);
}

}  // namespace bodies
}  // namespace iotcore::rules::sql
