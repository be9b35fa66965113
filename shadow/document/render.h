#pragma once

#include "shadow/document/request.h"
#include "shadow/document/tree.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace iotcore::shadow::document {

// Writes a node as JSON: its value, or its metadata, in which every leaf is {"timestamp": seconds}.
class Renderer {
 public:
  void state(std::string& out, const NodeView& node);
  void metadata(std::string& out, const NodeView& node);
  // All leaves, and every null, as if set at one time: the answer to an update.
  void metadata_at(std::string& out, const NodeView& node, std::int64_t now_s);
  // {"desired":…,"reported":…}
  void sections_state(std::string& out, const SectionsView& sections);
  void sections_metadata(std::string& out, const SectionsView& sections);
  void stamp(std::string& out, std::int64_t seconds);

 private:
  template <typename Value>
  void members(std::string& out, const NodeView& object, const Value& value);
  void array_metadata(std::string& out, std::string_view array, std::int64_t seconds);

  // Most leaves of a document were set in one second: its text is made once.
  std::int64_t stamped_s_ = -1;
  std::size_t stamp_size_ = 0;
  char stamp_[40];
};

void append_number(std::string& out, std::int64_t number);
void append_number(std::string& out, std::uint64_t number);
// ,"version":…,"timestamp":…
void append_version(std::string& out, std::uint64_t version);
void append_timestamp(std::string& out, std::int64_t now_s);
// ,"clientToken":"…" or nothing
void append_client_token(std::string& out, const ClientToken& client_token);

// What desired asks for and reported does not have. False and nothing appended: no difference.
bool append_delta(
    std::string& state,
    std::string& metadata,
    const SectionsView& sections,
    Renderer& renderer,
    std::pmr::memory_resource& memory
);

}  // namespace iotcore::shadow::document
