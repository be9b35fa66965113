#include "shadow/document/document.h"

#include "base/bytes.h"
#include "base/check.h"
#include "shadow/document/render.h"
#include "shadow/document/storage.h"

#include <optional>

namespace iotcore::shadow::document {
namespace {

// Layout 1: u8 layout, varint version, desired, reported; each a varint count of members and the
// members: u8 kind, text key, then an object's count and members, or varint seconds and text. A
// text is a varint length and that many bytes.
constexpr std::uint8_t kLayout = 1;
// A bound for damaged bytes only: requests of more levels are refused.
constexpr int kDepthMax = 64;

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

std::uint64_t read_varint(ByteReader& in) {
  std::uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const std::uint8_t byte = in.u8();
    value |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
    if ((byte & 0x80) == 0) {
      break;
    }
  }
  return value;
}

void append_text(std::string& out, std::string_view text) {
  append_varint(out, text.size());
  out.append(text);
}

std::string_view read_text(ByteReader& in) {
  return in.bytes(read_varint(in));
}

void write_members(std::string& out, const NodeView& object) {
  append_varint(out, object.count);
  for (const NodeView* member = object.first; member != nullptr; member = member->next) {
    out.push_back(static_cast<char>(member->kind));
    append_text(out, member->key);
    if (member->kind == Kind::kObject) {
      write_members(out, *member);
    } else {
      append_varint(out, static_cast<std::uint64_t>(member->set_at_s));
      append_text(out, member->text);
    }
  }
}

// Checks only, if `object` is nullptr.
bool read_members(ByteReader& in, NodeView* object, std::pmr::memory_resource* memory, int depth) {
  const std::uint64_t count = read_varint(in);
  if (depth > kDepthMax || count > in.remaining()) {
    return false;
  }
  for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
    NodeView* member = object == nullptr ? nullptr : new_node(*memory);
    const std::uint8_t kind = in.u8();
    const std::string_view key = read_text(in);
    if (kind == static_cast<std::uint8_t>(Kind::kObject)) {
      if (!read_members(in, member, memory, depth + 1)) {
        return false;
      }
    } else if (kind == static_cast<std::uint8_t>(Kind::kScalar) || kind == static_cast<std::uint8_t>(Kind::kArray)) {
      const auto set_at_s = static_cast<std::int64_t>(read_varint(in));
      const std::string_view text = read_text(in);
      if (member != nullptr) {
        member->set_at_s = set_at_s;
        member->text = text;
      }
    } else {
      return false;
    }
    if (member != nullptr) {
      member->kind = static_cast<Kind>(kind);
      member->key = key;
      append_member(*object, member);
    }
  }
  return in.ok();
}

}  // namespace

Result<Document> Document::decode(std::string bytes) {
  ByteReader in(bytes);
  const std::uint8_t layout = in.u8();
  if (layout != kLayout) {
    return fail(
        Errc::kStoreCorrupt, "stored shadow has layout " + std::to_string(layout) + ", known is 1"
    );
  }
  const std::uint64_t version = read_varint(in);
  if (!read_members(in, nullptr, nullptr, 0) || !read_members(in, nullptr, nullptr, 0) ||
      in.remaining() != 0) {
    return fail(
        Errc::kStoreCorrupt,
        "stored shadow is damaged at byte " + std::to_string(bytes.size() - in.remaining()) +
            " of " + std::to_string(bytes.size())
    );
  }
  return Document(std::move(bytes), version);
}

void read_sections(
    const Document& document, SectionsView& sections, std::pmr::memory_resource& memory
) {
  ByteReader in(document.encode());
  in.u8();
  read_varint(in);
  const bool whole = read_members(in, &sections.desired, &memory, 0) &&
                     read_members(in, &sections.reported, &memory, 0);
  IOTCORE_CHECK(whole);  // decode() has seen it
}

Document write_document(const SectionsView& sections, std::uint64_t version) {
  std::string bytes;
  bytes.reserve(1024);
  bytes.push_back(static_cast<char>(kLayout));
  append_varint(bytes, version);
  write_members(bytes, sections.desired);
  write_members(bytes, sections.reported);
  return {std::move(bytes), version};
}

std::string Document::state_json() const {
  Arena<8192> arena;
  SectionsView sections;
  read_sections(*this, sections, arena.memory());
  std::string out;
  Renderer().sections_state(out, sections);
  return out;
}

std::string Document::metadata_json() const {
  Arena<8192> arena;
  SectionsView sections;
  read_sections(*this, sections, arena.memory());
  std::string out;
  Renderer().sections_metadata(out, sections);
  return out;
}

}  // namespace iotcore::shadow::document
