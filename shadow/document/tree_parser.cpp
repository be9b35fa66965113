#include "shadow/document/tree_parser.h"

#include "base/json.h"

#include <boost/json/basic_parser_impl.hpp>

#include <cstring>
#include <string>

namespace iotcore::shadow::document {
namespace {

// Of any kind of nesting, anywhere in the text. What is published of it is two levels deeper, and is to be read with the
// limit of parse_json().
constexpr std::size_t kDepthMax = 56;

// Receives the events of Boost.JSON's parser. Its names, results and parameters are given.
class TreeBuilder {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);
  using Code = json::error_code;
  using Text = json::string_view;

  TreeBuilder(std::string_view text, ParsedView& parsed, std::pmr::memory_resource& memory)
      : text_(text), parsed_(parsed), memory_(memory) {}

  bool on_document_begin(Code& /*code*/) { return true; }

  bool on_document_end(Code& /*code*/) { return true; }

  bool on_object_begin(Code& /*code*/) {
    ++objects_;
    if (arrays_ != 0) {
      element_begins();
      array_.push_back('{');
      return true;
    }
    NodeView* node = value(Kind::kObject);
    open_[open_count_++] = node;
    return true;
  }

  bool on_object_end(std::size_t /*n*/, Code& /*code*/) {
    --objects_;
    if (arrays_ != 0) {
      array_.push_back('}');
      return true;
    }
    NodeView* closed = open_[--open_count_];
    if (closed->count > 1) {
      remove_duplicates(*closed, memory_);
    }
    return true;
  }

  bool on_array_begin(Code& /*code*/) {
    if (arrays_ == 0) {
      array_.clear();
    } else {
      element_begins();
    }
    ++arrays_;
    array_.push_back('[');
    return true;
  }

  bool on_array_end(std::size_t /*n*/, Code& /*code*/) {
    array_.push_back(']');
    if (--arrays_ == 0) {
      value(Kind::kArray)->text = kept(array_);
    }
    return true;
  }

  bool on_key_part(Text s, std::size_t /*n*/, Code& /*code*/) { return part(s); }

  bool on_key(Text s, std::size_t /*n*/, Code& /*code*/) {
    if (arrays_ != 0) {
      element_begins();
      array_.append(whole_string(s)).push_back(':');
    } else {
      key_ = whole_string(s);
      if (open_count_ == 1) {
        in_state_ = key_ == "\"state\"";
        if (in_state_) {  // the last of several counts
          parsed_.depth = 0;
          parsed_.null_in_array = false;
        }
      }
    }
    // Above a section's keys are the document's and the state's.
    if (in_state_ && objects_ > 2) {
      parsed_.depth = std::max(parsed_.depth, objects_ - 2);
    }
    return true;
  }

  bool on_string_part(Text s, std::size_t /*n*/, Code& /*code*/) { return part(s); }

  bool on_string(Text s, std::size_t /*n*/, Code& /*code*/) { return scalar(whole_string(s)); }

  bool on_number_part(Text s, Code& /*code*/) { return part(s); }

  bool on_int64(std::int64_t /*i*/, Text s, Code& /*code*/) { return scalar(whole_number(s)); }

  bool on_uint64(std::uint64_t /*u*/, Text s, Code& /*code*/) { return scalar(whole_number(s)); }

  bool on_double(double /*d*/, Text s, Code& /*code*/) { return scalar(whole_number(s)); }

  bool on_bool(bool b, Code& /*code*/) { return scalar(b ? "true" : "false"); }

  bool on_null(Code& /*code*/) {
    if (arrays_ == 0) {
      value(Kind::kNull);
      return true;
    }
    parsed_.null_in_array = parsed_.null_in_array || in_state_;
    return scalar("null");
  }

  bool on_comment_part(Text /*s*/, Code& /*code*/) { return true; }

  bool on_comment(Text /*s*/, Code& /*code*/) { return true; }

 private:
  // A place for the value that begins now: the root, or a member under the last key.
  NodeView* value(Kind kind) {
    NodeView* node = &parsed_.root;
    if (open_count_ != 0) {
      node = new_node(memory_);
      node->key = key_;
      append_member(*open_[open_count_ - 1], node);
    }
    node->kind = kind;
    return node;
  }

  bool scalar(std::string_view text) {
    if (arrays_ != 0) {
      element_begins();
      array_.append(text);
    } else {
      value(Kind::kScalar)->text = text;
    }
    return true;
  }

  void element_begins() {
    const char before = array_.back();
    if (before != '[' && before != '{' && before != ':') {
      array_.push_back(',');
    }
  }

  bool part(Text s) {
    parts_.append(s.data(), s.size());
    return true;
  }

  // A string without escapes is already in its one spelling, quotes and all, in the text.
  std::string_view whole_string(Text s) {
    if (parts_.empty() && s.data() > text_.data() && s.data() < text_.data() + text_.size() &&
        s.data()[-1] == '"' && s.data()[s.size()] == '"') {
      return {s.data() - 1, s.size() + 2};
    }
    parts_.append(s.data(), s.size());
    std::string quoted;
    append_json_string(quoted, parts_);
    parts_.clear();
    return kept(quoted);
  }

  std::string_view whole_number(Text s) {
    if (parts_.empty()) {
      return {s.data(), s.size()};
    }
    parts_.append(s.data(), s.size());
    const std::string_view number = kept(parts_);
    parts_.clear();
    return number;
  }

  std::string_view kept(std::string_view text) {
    auto* copy = static_cast<char*>(memory_.allocate(text.size(), 1));
    std::memcpy(copy, text.data(), text.size());
    return {copy, text.size()};
  }

  std::string_view text_;
  ParsedView& parsed_;
  std::pmr::memory_resource& memory_;
  NodeView* open_[kDepthMax + 1];
  std::size_t open_count_ = 0;  // objects outside arrays
  std::size_t objects_ = 0;     // all objects
  std::size_t arrays_ = 0;
  bool in_state_ = false;
  std::string_view key_;
  std::string array_;
  std::string parts_;
};

}  // namespace

bool parse_tree(std::string_view text, ParsedView& parsed, std::pmr::memory_resource& memory) {
  json::parse_options options;
  options.max_depth = kDepthMax;
  options.allow_invalid_utf8 = true;  // looked at before
  json::basic_parser<TreeBuilder> parser(options, text, parsed, memory);
  json::error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  return !error && used == text.size();
}

std::string string_value(const NodeView& node) {
  const std::string_view inside = node.text.substr(1, node.text.size() - 2);
  if (inside.find('\\') == std::string_view::npos) {
    return std::string(inside);
  }
  const Result<json::value> value = parse_json(node.text);
  return value && value->is_string()
             ? std::string(value->get_string().c_str(), value->get_string().size())
             : std::string();
}

}  // namespace iotcore::shadow::document
