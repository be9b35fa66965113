#pragma once

#include "registry/policy/pattern.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::registry::policy {

// What the variables of a set of policies stand for on one connection: value i ends at ends[i] of
// `bytes`. Points into the connection's BoundPolicies.
struct BoundValuesView {
  const std::uint32_t* ends;
  const char* bytes;

  std::string_view operator[](std::size_t i) const {
    const std::uint32_t begin = i == 0 ? 0 : ends[i - 1];
    return {bytes + begin, ends[i] - begin};
  }
};

// Patterns with variables in a form that is matched without allocation and in time of at most
// pattern times text; without
// '?' it is linear. A pattern is cut at its stars into chunks: the first must begin the text, the
// last must end it, and those between are looked for from left to right, each as early as possible.
class GlobTable {
 public:
  struct Glob {
    std::uint32_t first_chunk;
    std::uint32_t chunk_count;  // stars + 1
  };

  Glob add(const Pattern& pattern);
  bool matches(Glob glob, std::string_view text, const BoundValuesView& values) const;

  // Names of variables, by their index.
  const std::vector<std::string>& variables() const { return variables_; }

  std::uint16_t variable_index(std::string_view name);

 private:
  enum class PieceKind : std::uint32_t { kText, kVariable, kAnyOne };

  struct Piece {
    PieceKind kind;
    std::uint32_t offset;  // into text_, or index of the variable
    std::uint32_t size;
  };

  struct Chunk {
    std::uint32_t first_piece;
    std::uint32_t piece_count;
  };

  struct Span;

  void begin_chunk();
  void add_piece(const Part& part);

  std::string text_;
  std::vector<Piece> pieces_;
  std::vector<Chunk> chunks_;
  std::vector<std::string> variables_;
};

}  // namespace iotcore::registry::policy
