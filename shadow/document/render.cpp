#include "shadow/document/render.h"

#include "base/json.h"

#include <algorithm>
#include <cstring>
#include <string>

namespace iotcore::shadow::document {
namespace {

// The end of the string whose opening quote is at `at`; the text may be damaged, so the end of the
// text is an end, too.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return text.size();
}

std::size_t end_of_scalar(std::string_view text, std::size_t at) {
  if (text[at] == '"') {
    return end_of_string(text, at);
  }
  return std::min(text.find_first_of(",]}", at), text.size());
}

class DeltaWriter {
 public:
  DeltaWriter(
      TextWriter& state, TextWriter& metadata, Renderer& renderer, std::pmr::memory_resource& memory
  )
      : state_(state), metadata_(metadata), renderer_(renderer), memory_(memory) {}

  // Writes {…} to both, or nothing.
  bool object(const NodeView& desired, const NodeView& reported) {
    MemberFinder finder(reported, memory_);
    bool any = false;
    for (const NodeView* wanted = desired.first; wanted != nullptr; wanted = wanted->next) {
      const NodeView* found = finder.find(wanted->key);
      if (found != nullptr && wanted->kind != Kind::kObject && equal_values(*wanted, *found)) {
        continue;
      }
      const std::size_t state_before = state_.size();
      const std::size_t metadata_before = metadata_.size();
      state_.put(any ? ',' : '{');
      state_.put_key(wanted->key);
      metadata_.put(any ? ',' : '{');
      metadata_.put_key(wanted->key);
      if (member(*wanted, found)) {
        any = true;
      } else {
        state_.truncate(state_before);
        metadata_.truncate(metadata_before);
      }
    }
    if (any) {
      state_.put('}');
      metadata_.put('}');
    }
    return any;
  }

 private:
  bool member(const NodeView& wanted, const NodeView* found) {
    if (found != nullptr && wanted.kind == Kind::kObject && found->kind == Kind::kObject) {
      return object(wanted, *found);
    }
    renderer_.state(state_, wanted);
    renderer_.metadata(metadata_, wanted);
    return true;
  }

  TextWriter& state_;
  TextWriter& metadata_;
  Renderer& renderer_;
  std::pmr::memory_resource& memory_;
};

}  // namespace

template <typename Value>
void Renderer::members(TextWriter& out, const NodeView& object, const Value& value) {
  out.put('{');
  for (const NodeView* member = object.first; member != nullptr; member = member->next) {
    out.put_key(member->key);
    value(*member);
    out.put(',');
  }
  if (object.first == nullptr) {
    out.put('}');
  } else {
    out.set_back('}');
  }
}

void Renderer::state(TextWriter& out, const NodeView& node) {
  switch (node.kind) {
    case Kind::kNull:
      out.put("null");
      return;
    case Kind::kScalar:
    case Kind::kArray:
      out.put(node.text);
      return;
    case Kind::kObject:
      members(out, node, [&](const NodeView& member) { state(out, member); });
      return;
  }
}

void Renderer::metadata(TextWriter& out, const NodeView& node) {
  switch (node.kind) {
    case Kind::kNull:
    case Kind::kScalar:
      stamp(out, node.set_at_s);
      return;
    case Kind::kArray:
      array_metadata(out, node.text, node.set_at_s);
      return;
    case Kind::kObject:
      members(out, node, [&](const NodeView& member) { metadata(out, member); });
      return;
  }
}

void Renderer::metadata_at(TextWriter& out, const NodeView& node, std::int64_t now_s) {
  switch (node.kind) {
    case Kind::kNull:
    case Kind::kScalar:
      stamp(out, now_s);
      return;
    case Kind::kArray:
      array_metadata(out, node.text, now_s);
      return;
    case Kind::kObject:
      members(out, node, [&](const NodeView& member) { metadata_at(out, member, now_s); });
      return;
  }
}

template <typename Value>
void Renderer::sections(TextWriter& out, const SectionsView& sections, const Value& value) {
  const auto section = [&](std::string_view name, const NodeView& node) {
    if (node.count != 0) {
      out.put(name);
      value(node);
      out.put(',');
    }
  };
  out.put('{');
  section("\"desired\":", sections.desired);
  section("\"reported\":", sections.reported);
  if (out.back() == '{') {
    out.put('}');
  } else {
    out.set_back('}');
  }
}

void Renderer::sections_state(TextWriter& out, const SectionsView& both) {
  sections(out, both, [&](const NodeView& section) { state(out, section); });
}

void Renderer::sections_metadata(TextWriter& out, const SectionsView& both) {
  sections(out, both, [&](const NodeView& section) { metadata(out, section); });
}

void Renderer::stamp(TextWriter& out, std::int64_t seconds) {
  if (seconds != stamped_s_ || stamp_size_ == 0) {
    static constexpr std::string_view kHead = "{\"timestamp\":";
    std::memcpy(stamp_, kHead.data(), kHead.size());
    char* const end = std::to_chars(stamp_ + kHead.size(), stamp_ + sizeof stamp_ - 1, seconds).ptr;
    *end = '}';
    stamp_size_ = static_cast<std::size_t>(end + 1 - stamp_);
    stamped_s_ = seconds;
  }
  out.put(std::string_view(stamp_, stamp_size_));
}

// An array of the same shape, down to the objects in it.
void Renderer::array_metadata(TextWriter& out, std::string_view array, std::int64_t seconds) {
  std::size_t at = 0;
  while (at < array.size()) {
    const char c = array[at];
    if (c == '[' || c == ']' || c == '{' || c == '}' || c == ',') {
      out.put(c);
      ++at;
      continue;
    }
    const std::size_t end = end_of_scalar(array, at);
    if (end < array.size() && array[end] == ':') {
      out.put(array.substr(at, end + 1 - at));
      at = end + 1;
    } else {
      stamp(out, seconds);
      at = end;
    }
  }
}

namespace {

std::size_t state_bytes(const NodeView& node) {
  if (node.kind != Kind::kObject) {
    return node.kind == Kind::kNull ? std::string_view("null").size() : node.text.size();
  }
  if (node.first == nullptr) {
    return 2;
  }
  std::size_t bytes = 1;
  for (const NodeView* member = node.first; member != nullptr; member = member->next) {
    bytes += member->key.size() + 1 + state_bytes(*member) + 1;
  }
  return bytes;
}

}  // namespace

std::size_t state_bytes(const SectionsView& sections) {
  std::size_t bytes = 0;
  for (const NodeView* section : {&sections.desired, &sections.reported}) {
    bytes += section->count == 0 ? 0 : state_bytes(*section);
  }
  return bytes;
}

void put_version(TextWriter& out, std::uint64_t version) {
  out.put(",\"version\":");
  out.put_number(version);
}

void put_timestamp(TextWriter& out, std::int64_t now_s) {
  out.put(",\"timestamp\":");
  out.put_number(now_s);
}

void put_client_token(TextWriter& out, const ClientToken& client_token) {
  if (client_token) {
    std::string quoted;
    append_json_string(quoted, *client_token);
    out.put(",\"clientToken\":");
    out.put(quoted);
  }
}

bool put_delta(
    TextWriter& state,
    TextWriter& metadata,
    const SectionsView& sections,
    Renderer& renderer,
    std::pmr::memory_resource& memory
) {
  return DeltaWriter(state, metadata, renderer, memory).object(sections.desired, sections.reported);
}

namespace {

bool differs(const NodeView& desired, const NodeView& reported, std::pmr::memory_resource& memory) {
  MemberFinder finder(reported, memory);
  for (const NodeView* wanted = desired.first; wanted != nullptr; wanted = wanted->next) {
    const NodeView* found = finder.find(wanted->key);
    const bool both_objects =
        found != nullptr && wanted->kind == Kind::kObject && found->kind == Kind::kObject;
    const bool differ = both_objects ? differs(*wanted, *found, memory)
                                     : found == nullptr || !equal_values(*wanted, *found);
    if (differ) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool has_delta(const SectionsView& sections, std::pmr::memory_resource& memory) {
  return differs(sections.desired, sections.reported, memory);
}

}  // namespace iotcore::shadow::document
