#include "registry/policy/glob_table.h"

#include "registry/policy/text.h"

#include <algorithm>
#include <cstring>

namespace iotcore::registry::policy {

// The part of a text that is not matched yet.
struct GlobTable::Span {
  const GlobTable& table;
  const BoundValuesView& values;
  const char* begin;
  const char* end;

  std::string_view text_of(const Piece& piece) const {
    return piece.kind == PieceKind::kText
               ? std::string_view(table.text_.data() + piece.offset, piece.size)
               : values[piece.offset];
  }

  bool cut_front(const Piece& piece) {
    if (piece.kind == PieceKind::kAnyOne) {
      if (begin == end) {
        return false;
      }
      ++begin;
      while (begin != end && is_continuation(*begin)) {
        ++begin;
      }
      return true;
    }
    const std::string_view text = text_of(piece);
    if (static_cast<std::size_t>(end - begin) < text.size() ||
        std::memcmp(begin, text.data(), text.size()) != 0) {
      return false;
    }
    begin += text.size();
    return true;
  }

  bool cut_back(const Piece& piece) {
    if (piece.kind == PieceKind::kAnyOne) {
      if (begin == end) {
        return false;
      }
      --end;
      while (end != begin && is_continuation(*end)) {
        --end;
      }
      return true;
    }
    const std::string_view text = text_of(piece);
    if (static_cast<std::size_t>(end - begin) < text.size() ||
        std::memcmp(end - text.size(), text.data(), text.size()) != 0) {
      return false;
    }
    end -= text.size();
    return true;
  }

  bool cut_front(const Chunk& chunk) {
    const Piece* piece = table.pieces_.data() + chunk.first_piece;
    for (const Piece* const last = piece + chunk.piece_count; piece != last; ++piece) {
      if (!cut_front(*piece)) {
        return false;
      }
    }
    return true;
  }

  bool cut_back(const Chunk& chunk) {
    for (std::uint32_t i = chunk.piece_count; i-- != 0;) {
      if (!cut_back(table.pieces_[chunk.first_piece + i])) {
        return false;
      }
    }
    return true;
  }

  // Drops everything up to the end of the chunk's first occurrence.
  bool cut_through(const Chunk& chunk) {
    const Piece& first = table.pieces_[chunk.first_piece];
    while (true) {
      if (first.kind != PieceKind::kAnyOne) {
        const std::string_view text = text_of(first);
        const auto remaining = static_cast<std::size_t>(end - begin);
        begin = static_cast<const char*>(memmem(begin, remaining, text.data(), text.size()));
        if (begin == nullptr) {
          return false;
        }
      }
      Span attempt = *this;
      if (attempt.cut_front(chunk)) {
        begin = attempt.begin;
        return true;
      }
      if (!cut_front(Piece{PieceKind::kAnyOne, 0, 0})) {
        return false;
      }
    }
  }

  Span& operator=(const Span&) = delete;
};

GlobTable::Glob GlobTable::add(const Pattern& pattern) {
  const auto first_chunk = static_cast<std::uint32_t>(chunks_.size());
  begin_chunk();
  for (const Part& part : pattern) {
    if (part.kind == Part::Kind::kAnyRun) {
      begin_chunk();
    } else {
      add_piece(part);
    }
  }
  return {first_chunk, static_cast<std::uint32_t>(chunks_.size()) - first_chunk};
}

void GlobTable::begin_chunk() {
  chunks_.push_back({static_cast<std::uint32_t>(pieces_.size()), 0});
}

void GlobTable::add_piece(const Part& part) {
  Piece piece{PieceKind::kAnyOne, 0, 0};
  if (part.kind == Part::Kind::kText) {
    piece = {
        PieceKind::kText,
        static_cast<std::uint32_t>(text_.size()),
        static_cast<std::uint32_t>(part.text.size())};
    text_.append(part.text);
  } else if (part.kind == Part::Kind::kVariable) {
    piece = {PieceKind::kVariable, variable_index(part.text), 0};
  }
  pieces_.push_back(piece);
  ++chunks_.back().piece_count;
}

std::uint16_t GlobTable::variable_index(std::string_view name) {
  const auto found = std::find(variables_.begin(), variables_.end(), name);
  const auto index = static_cast<std::uint16_t>(found - variables_.begin());
  if (found == variables_.end()) {
    variables_.emplace_back(name);
  }
  return index;
}

bool GlobTable::matches(Glob glob, std::string_view text, const BoundValuesView& values) const {
  const char* const begin = text.empty() ? "" : text.data();  // an empty view may point nowhere
  Span rest{*this, values, begin, begin + text.size()};
  const Chunk* const first = chunks_.data() + glob.first_chunk;
  const Chunk* const last = first + glob.chunk_count - 1;
  if (!rest.cut_front(*first)) {
    return false;
  }
  if (first == last) {
    return rest.begin == rest.end;
  }
  if (!rest.cut_back(*last)) {
    return false;
  }
  for (const Chunk* chunk = first + 1; chunk != last; ++chunk) {
    if (!rest.cut_through(*chunk)) {
      return false;
    }
  }
  return true;
}

}  // namespace iotcore::registry::policy
