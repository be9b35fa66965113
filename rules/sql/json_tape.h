#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace iotcore::rules::sql {

enum class JsonKind : std::uint8_t { kNull, kTrue, kFalse, kNumber, kString, kArray, kObject };

// What stands below a node, so that its text can be copied as it is instead of being written anew.
enum JsonTraits : std::uint8_t {
  kHasSpace = 1,         // white space between tokens, or escapes in a string
  kHasWholeDecimal = 2,  // 10.0: an Int in 2016-03-23
  kHasOddNumber = 4,     // 1.50, 1E3, -0: not as we write it
  kHasDuplicates = 8,    // a member name twice, or too many members to have looked
};

// One JSON text as a flat list of nodes in text order: a container is followed by its contents, a
// member by its value. Numbers and strings stay text until somebody asks, so a number keeps all its
// digits. Strict RFC 8259, valid UTF-8.
class JsonTape {
 public:
  struct Node {
    std::uint32_t begin;  // offset in the text; of a string, after its quote
    std::uint32_t end;    // one past the last byte; of a string, before its quote
    std::uint32_t next;   // index of the node after this one and everything in it
    JsonKind kind;
    std::uint8_t traits;
    std::uint16_t count;  // members or elements, 0xFFFF for that many or more
  };

  static constexpr std::uint32_t kDepthMax = 64;

  // False if the text is not JSON. The text must outlive the tape's use.
  bool parse(std::string_view text);

  std::string_view text() const { return text_; }

  const Node& node(std::uint32_t index) const { return nodes_[index]; }

  const Node& root() const { return nodes_.front(); }

  std::string_view raw(const Node& node) const {
    return text_.substr(node.begin, node.end - node.begin);
  }

  // The value of the last member of that name in the object at `object`, or 0.
  std::uint32_t find(std::uint32_t object, std::string_view name) const;

 private:
  friend class JsonScanner;

  std::string_view text_;
  std::vector<Node> nodes_;
};

// A string's contents without its escapes, appended. `raw` comes from a parsed tape.
void append_unescaped(std::string_view raw, std::string& out);

}  // namespace iotcore::rules::sql
