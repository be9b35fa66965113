#include "shadow/document/render.h"

#include "base/json.h"

#include <charconv>
#include <cstring>

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

struct Delta {
  std::string& state;
  std::string& metadata;
  Renderer& renderer;
  std::pmr::memory_resource& memory;

  // Appends {…} to both, or nothing.
  bool object(const NodeView& desired, const NodeView& reported) {
    const std::size_t state_start = state.size();
    const std::size_t metadata_start = metadata.size();
    MemberFinder finder(reported, memory);
    bool any = false;
    for (const NodeView* wanted = desired.first; wanted != nullptr; wanted = wanted->next) {
      const std::size_t state_before = state.size();
      const std::size_t metadata_before = metadata.size();
      state.push_back(any ? ',' : '{');
      state.append(wanted->key).push_back(':');
      metadata.push_back(any ? ',' : '{');
      metadata.append(wanted->key).push_back(':');
      if (member(*wanted, finder.find(wanted->key))) {
        any = true;
      } else {
        state.resize(state_before);
        metadata.resize(metadata_before);
      }
    }
    if (!any) {
      state.resize(state_start);
      metadata.resize(metadata_start);
      return false;
    }
    state.push_back('}');
    metadata.push_back('}');
    return true;
  }

  bool member(const NodeView& wanted, const NodeView* found) {
    if (found != nullptr && wanted.kind == Kind::kObject && found->kind == Kind::kObject) {
      return object(wanted, *found);
    }
    if (found != nullptr && equal_values(wanted, *found)) {
      return false;
    }
    renderer.state(state, wanted);
    renderer.metadata(metadata, wanted);
    return true;
  }
};

}  // namespace

template <typename Value>
void Renderer::members(std::string& out, const NodeView& object, const Value& value) {
  out.push_back('{');
  for (const NodeView* member = object.first; member != nullptr; member = member->next) {
    out.append(member->key).push_back(':');
    value(*member);
    out.push_back(',');
  }
  if (object.first == nullptr) {
    out.push_back('}');
  } else {
    out.back() = '}';
  }
}

void Renderer::state(std::string& out, const NodeView& node) {
  switch (node.kind) {
    case Kind::kNull:
      out.append("null");
      return;
    case Kind::kScalar:
    case Kind::kArray:
      out.append(node.text);
      return;
    case Kind::kObject:
      members(out, node, [&](const NodeView& member) { state(out, member); });
      return;
  }
}

void Renderer::metadata(std::string& out, const NodeView& node) {
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

void Renderer::metadata_at(std::string& out, const NodeView& node, std::int64_t now_s) {
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

void Renderer::sections_state(std::string& out, const SectionsView& sections) {
  out.push_back('{');
  if (sections.desired.count != 0) {
    out.append("\"desired\":");
    state(out, sections.desired);
  }
  if (sections.reported.count != 0) {
    out.append(sections.desired.count != 0 ? ",\"reported\":" : "\"reported\":");
    state(out, sections.reported);
  }
  out.push_back('}');
}

void Renderer::sections_metadata(std::string& out, const SectionsView& sections) {
  out.push_back('{');
  if (sections.desired.count != 0) {
    out.append("\"desired\":");
    metadata(out, sections.desired);
  }
  if (sections.reported.count != 0) {
    out.append(sections.desired.count != 0 ? ",\"reported\":" : "\"reported\":");
    metadata(out, sections.reported);
  }
  out.push_back('}');
}

void Renderer::stamp(std::string& out, std::int64_t seconds) {
  if (seconds != stamped_s_ || stamp_size_ == 0) {
    static constexpr std::string_view kHead = "{\"timestamp\":";
    std::memcpy(stamp_, kHead.data(), kHead.size());
    const auto [end, error] =
        std::to_chars(stamp_ + kHead.size(), stamp_ + sizeof stamp_ - 1, seconds);
    *end = '}';
    stamp_size_ = static_cast<std::size_t>(end + 1 - stamp_);
    stamped_s_ = seconds;
  }
  out.append(stamp_, stamp_size_);
}

// An array of the same shape, down to the objects in it.
void Renderer::array_metadata(std::string& out, std::string_view array, std::int64_t seconds) {
  std::size_t at = 0;
  while (at < array.size()) {
    const char c = array[at];
    if (c == '[' || c == ']' || c == '{' || c == '}' || c == ',') {
      out.push_back(c);
      ++at;
      continue;
    }
    const std::size_t end = end_of_scalar(array, at);
    if (end < array.size() && array[end] == ':') {
      out.append(array, at, end + 1 - at);
      at = end + 1;
    } else {
      stamp(out, seconds);
      at = end;
    }
  }
}

void append_number(std::string& out, std::int64_t number) {
  char text[24];
  const auto [end, error] = std::to_chars(text, text + sizeof text, number);
  out.append(text, end);
}

void append_number(std::string& out, std::uint64_t number) {
  char text[24];
  const auto [end, error] = std::to_chars(text, text + sizeof text, number);
  out.append(text, end);
}

void append_version(std::string& out, std::uint64_t version) {
  out.append(",\"version\":");
  append_number(out, version);
}

void append_timestamp(std::string& out, std::int64_t now_s) {
  out.append(",\"timestamp\":");
  append_number(out, now_s);
}

void append_client_token(std::string& out, const ClientToken& client_token) {
  if (client_token) {
    out.append(",\"clientToken\":");
    append_json_string(out, *client_token);
  }
}

bool append_delta(
    std::string& state,
    std::string& metadata,
    const SectionsView& sections,
    Renderer& renderer,
    std::pmr::memory_resource& memory
) {
  return Delta{state, metadata, renderer, memory}.object(sections.desired, sections.reported);
}

}  // namespace iotcore::shadow::document
