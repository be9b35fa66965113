#include "shadow/document/operations.h"

#include "base/json.h"
#include "shadow/document/json_schema.h"
#include "shadow/document/render.h"
#include "shadow/document/storage.h"
#include "shadow/document/text_writer.h"
#include "shadow/document/tree.h"

namespace iotcore::shadow::document {
namespace {

// Enough for the nodes of a document of a few kilobytes.
using WorkArena = Arena<16 * 1024>;
// What a body has besides state and metadata.
constexpr std::size_t kEnvelopeBytes = 256;

void put_document(
    TextWriter& out, const SectionsView& sections, std::uint64_t version, Renderer& renderer
) {
  out.put("{\"state\":");
  renderer.sections_state(out, sections);
  out.put(",\"metadata\":");
  renderer.sections_metadata(out, sections);
  put_version(out, version);
  out.put('}');
}

// The beginning of the documents body; there is no `previous` on the first update.
void put_previous(
    TextWriter& out, const SectionsView& sections, const Document* previous, Renderer& renderer
) {
  out.put('{');
  if (previous != nullptr) {
    out.put("\"previous\":");
    put_document(out, sections, previous->version(), renderer);
    out.put(',');
  }
}

// Both sections of what was sent, nulls included, each as `put_section` writes it.
template <typename PutSection>
void put_sent(TextWriter& out, const Tree& sent, const PutSection& put_section) {
  out.put('{');
  if (sent.desired != nullptr) {
    out.put("\"desired\":");
    put_section(*sent.desired);
  }
  if (sent.reported != nullptr) {
    out.put(sent.desired != nullptr ? ",\"reported\":" : "\"reported\":");
    put_section(*sent.reported);
  }
  out.put('}');
}

// The request's own state and the metadata of what was sent.
std::string accepted_body(
    const Request& request, std::uint64_t version, std::int64_t now_s, Renderer& renderer
) {
  const Tree& sent = request.tree();
  // Metadata takes two or three times the bytes of the state.
  TextWriter out(kEnvelopeBytes + 4 * sent.text_bytes);
  out.put("{\"state\":");
  if (sent.clears_all) {
    out.put("null,\"metadata\":");
    renderer.stamp(out, now_s);
  } else {
    put_sent(out, sent, [&](const NodeView& section) { renderer.state(out, section); });
    out.put(",\"metadata\":");
    put_sent(out, sent, [&](const NodeView& section) {
      renderer.metadata_at(out, section, now_s);
    });
  }
  put_version(out, version);
  put_timestamp(out, now_s);
  put_client_token(out, request.client_token());
  out.put('}');
  return out.take();
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
  TextWriter out(kEnvelopeBytes);
  TextWriter metadata(kEnvelopeBytes);
  out.put("{\"version\":");
  out.put_number(version);
  put_timestamp(out, now_s);
  out.put(",\"state\":");
  if (!put_delta(out, metadata, sections, renderer, memory)) {
    return std::nullopt;
  }
  out.put(",\"metadata\":");
  out.put(metadata.view());
  put_client_token(out, client_token);
  out.put('}');
  return out.take();
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

Status check_section(
    const NodeView& section,
    const NodeView* patch,
    std::string_view name,
    const JsonSchema* schema,
    Renderer& renderer
) {
  // A section that nobody touches is not held against who updates the other.
  if (schema == nullptr || patch == nullptr || patch->kind == Kind::kNull) {
    return {};
  }
  TextWriter text(kEnvelopeBytes);
  renderer.state(text, section);
  IOTCORE_ASSIGN(const json::value value, parse_json(text.view()));
  if (const auto violation = schema->check(value)) {
    return fail(
        Errc::kInvalidRequest,
        "State violates its schema at /" + std::string(name) + violation->path + ": " +
            violation->message
    );
  }
  return {};
}

Status check_merged(
    const SectionsView& sections, const Tree& patch, const Settings& settings, Renderer& renderer
) {
  if (state_bytes(sections) > settings.limits.document_bytes_max) {
    return fail(Errc::kTooLarge, "The payload exceeds the maximum size allowed");
  }
  IOTCORE_TRY(check_section(
      sections.desired, patch.desired, "desired", settings.desired_schema.get(), renderer
  ));
  return check_section(
      sections.reported, patch.reported, "reported", settings.reported_schema.get(), renderer
  );
}

// The delta's state, to see whether an update changes it.
std::string delta_state(
    const SectionsView& sections, Renderer& renderer, std::pmr::memory_resource& memory
) {
  TextWriter state(kEnvelopeBytes);
  TextWriter metadata(kEnvelopeBytes);
  return put_delta(state, metadata, sections, renderer, memory) ? state.take() : std::string();
}

// What the new document knows about itself.
Record next_record(
    const Document* current,
    std::uint64_t tombstone_version,
    const Request& request,
    std::int64_t now_s,
    bool differs
) {
  Record record = current != nullptr ? current->record() : Record{.version = tombstone_version};
  ++record.version;
  record.written_s = now_s;
  const NodeView* reported = request.tree().reported;
  if (request.tree().clears_all || (reported != nullptr && reported->kind == Kind::kNull)) {
    record.reported_at_s.reset();
    record.told_stale = false;
  } else if (reported != nullptr) {
    record.reported_at_s = now_s;
    record.told_stale = false;
  }
  if (!differs) {
    record.differs_since_s.reset();
    record.told_overdue = false;
  } else if (!record.differs_since_s) {
    record.differs_since_s = now_s;
  }
  return record;
}

}  // namespace

Result<Applied> apply_update(
    const Document* current,
    std::uint64_t tombstone_version,
    const Request& request,
    std::int64_t now_s,
    const Settings& settings,
    Wanted wanted
) {
  IOTCORE_TRY(check_version(current, tombstone_version, request));
  WorkArena arena;
  Renderer renderer;
  SectionsView sections;
  TextWriter documents(
      !wanted.documents ? 0
                        : kEnvelopeBytes + (current == nullptr ? 0 : current->encode().size() * 4)
  );
  if (current != nullptr) {
    read_sections(*current, sections, arena.memory());
  }
  if (wanted.documents) {
    // Before the update: it changes the tree in place.
    put_previous(documents, sections, current, renderer);
  }
  const bool delta_compared = wanted.delta && settings.delta_on_change;
  const std::string delta_before =
      delta_compared ? delta_state(sections, renderer, arena.memory()) : std::string();
  const Tree& patch = request.tree();
  if (patch.clears_all) {
    sections = SectionsView();
  }
  update_section(sections.desired, patch.desired, now_s, arena.memory());
  update_section(sections.reported, patch.reported, now_s, arena.memory());
  IOTCORE_TRY(check_merged(sections, patch, settings, renderer));

  const bool differs = settings.difference_tracked && has_delta(sections, arena.memory());
  const Record record = next_record(current, tombstone_version, request, now_s, differs);
  const std::uint64_t version = record.version;
  Applied applied{.document = write_document(sections, record)};
  if (wanted.accepted) {
    applied.accepted = accepted_body(request, version, now_s, renderer);
  }
  if (wanted.documents) {
    documents.put("\"current\":");
    put_document(documents, sections, version, renderer);
    put_timestamp(documents, now_s);
    put_client_token(documents, request.client_token());
    documents.put('}');
    applied.documents = documents.take();
  }
  if (wanted.delta &&
      !(delta_compared && delta_state(sections, renderer, arena.memory()) == delta_before)) {
    applied.delta =
        delta_body(sections, version, now_s, request.client_token(), renderer, arena.memory());
  }
  return applied;
}

std::string get(const Document& document, std::int64_t now_s, const ClientToken& client_token) {
  WorkArena arena;
  Renderer renderer;
  SectionsView sections;
  read_sections(document, sections, arena.memory());
  TextWriter out(kEnvelopeBytes + document.encode().size() * 3);
  out.put("{\"state\":");
  renderer.sections_state(out, sections);
  TextWriter delta_metadata(kEnvelopeBytes);
  const std::size_t before = out.size();
  out.set_back(',');  // there is a delta only if there is a desired section
  out.put("\"delta\":");
  if (put_delta(out, delta_metadata, sections, renderer, arena.memory())) {
    out.put('}');
  } else {
    out.truncate(before);
    out.set_back('}');
  }
  out.put(",\"metadata\":");
  renderer.sections_metadata(out, sections);
  put_version(out, document.version());
  put_timestamp(out, now_s);
  put_client_token(out, client_token);
  out.put('}');
  return out.take();
}

Deleted apply_delete(
    const Document& document, std::int64_t now_s, const ClientToken& client_token
) {
  TextWriter out(kEnvelopeBytes);
  out.put("{\"version\":");
  out.put_number(document.version());
  put_timestamp(out, now_s);
  put_client_token(out, client_token);
  out.put('}');
  return {.accepted = out.take(), .tombstone_version = document.version() + 1};
}

std::string error_body(const Error& error, const ClientToken& client_token) {
  TextWriter out(kEnvelopeBytes);
  out.put("{\"code\":");
  out.put_number(errc_info(error.code()).http_status);
  out.put(",\"message\":");
  std::string message;
  append_json_string(message, error.message());
  out.put(message);
  put_client_token(out, client_token);
  out.put('}');
  return out.take();
}

}  // namespace iotcore::shadow::document
