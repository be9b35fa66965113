#pragma once

#include "shadow/document/request.h"
#include "shadow/document/text_writer.h"
#include "shadow/document/tree.h"

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string_view>

namespace iotcore::shadow::document {

// Writes a node as JSON: its value, or its metadata, in which every leaf is {"timestamp": seconds}.
class Renderer {
 public:
  void state(TextWriter& out, const NodeView& node);
  void metadata(TextWriter& out, const NodeView& node);
  // All leaves, and every null, as if set at one time: the answer to an update.
  void metadata_at(TextWriter& out, const NodeView& node, std::int64_t now_s);
  // {"desired":…,"reported":…}
  void sections_state(TextWriter& out, const SectionsView& sections);
  void sections_metadata(TextWriter& out, const SectionsView& sections);
  void stamp(TextWriter& out, std::int64_t seconds);

 private:
  template <typename Value>
  void members(TextWriter& out, const NodeView& object, const Value& value);
  template <typename Value>
  void sections(TextWriter& out, const SectionsView& sections, const Value& value);
  void array_metadata(TextWriter& out, std::string_view array, std::int64_t seconds);

  // Most leaves of a document were set in one second: its text is made once.
  std::int64_t stamped_s_ = -1;
  std::size_t stamp_size_ = 0;
  char stamp_[40];
};

// Of what Renderer::state() writes for both sections.
std::size_t state_bytes(const SectionsView& sections);

// ,"version":…
void put_version(TextWriter& out, std::uint64_t version);
// ,"timestamp":…
void put_timestamp(TextWriter& out, std::int64_t now_s);
// ,"clientToken":"…" or nothing
void put_client_token(TextWriter& out, const ClientToken& client_token);

// What desired asks for and reported does not have. False and nothing written: no difference.
bool put_delta(
    TextWriter& state,
    TextWriter& metadata,
    const SectionsView& sections,
    Renderer& renderer,
    std::pmr::memory_resource& memory
);

// Whether put_delta() would write anything.
bool has_delta(const SectionsView& sections, std::pmr::memory_resource& memory);

}  // namespace iotcore::shadow::document
