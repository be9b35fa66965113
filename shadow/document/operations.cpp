#include "shadow/document/operations.h"

#include "base/json.h"
#include "shadow/document/render.h"
#include "shadow/document/storage.h"
#include "shadow/document/tree.h"

namespace iotcore::shadow::document {
namespace {

// Enough for the nodes of a document of a few kilobytes.
using WorkArena = Arena<16 * 1024>;

void append_document(
    std::string& out, const SectionsView& sections, std::uint64_t version, Renderer& renderer
) {
  out.append("{\"state\":");
  renderer.sections_state(out, sections);
  out.append(",\"metadata\":");
  renderer.sections_metadata(out, sections);
  append_version(out, version);
  out.push_back('}');
}

void append_sent_section(
    std::string& state,
    std::string& metadata,
    std::string_view name,
    const NodeView* section,
    std::int64_t now_s,
    Renderer& renderer
) {
  if (section == nullptr) {
    return;
  }
  if (state.back() != '{') {
    state.push_back(',');
    metadata.push_back(',');
  }
  state.append(name);
  renderer.state(state, *section);
  metadata.append(name);
  renderer.metadata_at(metadata, *section, now_s);
}

// The request's own state, nulls included, and the metadata of what was sent.
std::string accepted_body(
    const Request& request, std::uint64_t version, std::int64_t now_s, Renderer& renderer
) {
  const Tree& sent = request.tree();
  std::string out = "{\"state\":";
  std::string metadata;
  if (sent.clears_all) {
    out.append("null");
    renderer.stamp(metadata, now_s);
  } else {
    out.push_back('{');
    metadata.push_back('{');
    append_sent_section(out, metadata, "\"desired\":", sent.desired, now_s, renderer);
    append_sent_section(out, metadata, "\"reported\":", sent.reported, now_s, renderer);
    out.push_back('}');
    metadata.push_back('}');
  }
  out.append(",\"metadata\":").append(metadata);
  append_version(out, version);
  append_timestamp(out, now_s);
  append_client_token(out, request.client_token());
  out.push_back('}');
  return out;
}

void update_section(
    NodeView& section, const NodeView* patch, std::int64_t now_s, std::pmr::memory_resource& memory
) {
  if (patch == nullptr) {
    return;
  }
  if (patch->kind == Kind::kNull) {
    section = NodeView();
    return;
  }
  merge(section, *patch, now_s, memory);
}

std::optional<std::string> delta_body(
    const SectionsView& sections,
    std::uint64_t version,
    std::int64_t now_s,
    const ClientToken& client_token,
    Renderer& renderer,
    std::pmr::memory_resource& memory
) {
  std::string out = "{\"version\":";
  append_number(out, version);
  append_timestamp(out, now_s);
  out.append(",\"state\":");
  std::string metadata;
  if (!append_delta(out, metadata, sections, renderer, memory)) {
    return std::nullopt;
  }
  out.append(",\"metadata\":").append(metadata);
  append_client_token(out, client_token);
  out.push_back('}');
  return out;
}

Status check_version(
    const Document* current, std::uint64_t tombstone_version, const Request& request
) {
  const auto expected = request.expected_version();
  if (!expected) {
    return {};
  }
  // Of a shadow that is gone, the sender may know the last version or believe that there never was
  // one.
  const bool fits = current != nullptr ? *expected == current->version()
                                       : *expected == 0 || *expected == tombstone_version;
  if (!fits) {
    return fail(Errc::kConflict, "Version conflict");
  }
  return {};
}

std::size_t section_bytes(const NodeView& section, std::string& scratch, Renderer& renderer) {
  if (section.count == 0) {
    return 0;
  }
  scratch.clear();
  renderer.state(scratch, section);
  return scratch.size();
}

}  // namespace

Result<Applied> apply_update(
    const Document* current,
    std::uint64_t tombstone_version,
    const Request& request,
    std::int64_t now_s,
    const Limits& limits
) {
  IOTCORE_TRY(check_version(current, tombstone_version, request));
  WorkArena arena;
  Renderer renderer;
  SectionsView sections;
  std::string documents = "{";
  if (current != nullptr) {
    read_sections(*current, sections, arena.memory());
    documents.reserve(current->encode().size() * 6);
    documents.append("\"previous\":");
    append_document(documents, sections, current->version(), renderer);
    documents.push_back(',');
  }
  const Tree& patch = request.tree();
  if (patch.clears_all) {
    sections = SectionsView();
  }
  update_section(sections.desired, patch.desired, now_s, arena.memory());
  update_section(sections.reported, patch.reported, now_s, arena.memory());

  std::string scratch;
  if (section_bytes(sections.desired, scratch, renderer) +
          section_bytes(sections.reported, scratch, renderer) >
      limits.document_bytes_max) {
    return fail(Errc::kTooLarge, "The payload exceeds the maximum size allowed");
  }
  const std::uint64_t version = (current != nullptr ? current->version() : tombstone_version) + 1;
  documents.append("\"current\":");
  append_document(documents, sections, version, renderer);
  append_timestamp(documents, now_s);
  append_client_token(documents, request.client_token());
  documents.push_back('}');
  std::optional<std::string> delta =
      delta_body(sections, version, now_s, request.client_token(), renderer, arena.memory());
  return Applied{
      .accepted = accepted_body(request, version, now_s, renderer),
      .documents = std::move(documents),
      .delta = std::move(delta),
      .document = write_document(sections, version),
  };
}

std::string get(const Document& document, std::int64_t now_s, const ClientToken& client_token) {
  WorkArena arena;
  Renderer renderer;
  SectionsView sections;
  read_sections(document, sections, arena.memory());
  std::string out = "{\"state\":";
  out.reserve(document.encode().size() * 4);
  renderer.sections_state(out, sections);
  out.pop_back();
  const std::size_t before = out.size();
  out.append(",\"delta\":");
  std::string ignored;
  if (!append_delta(out, ignored, sections, renderer, arena.memory())) {
    out.resize(before);
  }
  out.append("},\"metadata\":");
  renderer.sections_metadata(out, sections);
  append_version(out, document.version());
  append_timestamp(out, now_s);
  append_client_token(out, client_token);
  out.push_back('}');
  return out;
}

Deleted apply_delete(
    const Document& document, std::int64_t now_s, const ClientToken& client_token
) {
  std::string out = "{\"version\":";
  append_number(out, document.version());
  append_timestamp(out, now_s);
  append_client_token(out, client_token);
  out.push_back('}');
  return {.accepted = std::move(out), .tombstone_version = document.version() + 1};
}

std::string error_body(const Error& error, const ClientToken& client_token) {
  std::string out = "{\"code\":";
  append_number(out, std::uint64_t{errc_info(error.code()).http_status});
  out.append(",\"message\":");
  append_json_string(out, error.message());
  append_client_token(out, client_token);
  out.push_back('}');
  return out;
}

}  // namespace iotcore::shadow::document
