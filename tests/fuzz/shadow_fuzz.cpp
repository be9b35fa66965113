#include "base/bytes.h"
#include "base/check.h"
#include "base/json.h"
#include "shadow/document/operations.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace {

using namespace iotcore;

shadow::document::Document document_of(std::string_view payload) {
  const auto parsed = shadow::document::parse_update(payload);
  return shadow::document::apply_update(nullptr, 0, *parsed.request, 1).value().document;
}

json::value parsed_json(std::string_view text) {
  Result<json::value> value = parse_json(text);
  IOTCORE_CHECK(value.has_value());
  return *std::move(value);
}

// In any order of members. 0E999 is read as a number that equals nothing, itself neither, and written as null.
bool are_same(const json::value& a, const json::value& b) {
  return parsed_json(to_json(a)) == parsed_json(to_json(b));
}

void check_document(const shadow::document::Document& document) {
  const auto stored = shadow::document::Document::decode(document.encode());
  IOTCORE_CHECK(stored.has_value());
  IOTCORE_CHECK(stored->state_json() == document.state_json());
  parsed_json(document.metadata_json());
  parsed_json(shadow::document::get(*stored, 3, "t"));
}

// An update from outside: what is accepted is JSON, gives JSON, and survives the store.
void fuzz_update(std::string_view payload) {
  static const shadow::document::Document kCurrent = document_of(
      R"({"state":{"desired":{"a":{"b":[1,{"c":2}],"d":"x"},"e":1},"reported":{"a":{"b":[1]},"e":1.0}}})"
  );
  const shadow::document::ParsedUpdate parsed = shadow::document::parse_update(payload);
  shadow::document::client_token_of(payload);
  if (!parsed.request) {
    parsed_json(shadow::document::error_body(parsed.request.error(), parsed.client_token));
    return;
  }
  IOTCORE_CHECK(is_valid_utf8(payload));
  const json::value sent = parsed_json(payload);
  for (const shadow::document::Document* current :
       {static_cast<const shadow::document::Document*>(nullptr), &kCurrent}) {
    const auto applied = shadow::document::apply_update(current, 0, *parsed.request, 2);
    if (!applied) {
      parsed_json(shadow::document::error_body(applied.error(), parsed.client_token));
      continue;
    }
    IOTCORE_CHECK(are_same(parsed_json(applied->accepted).at("state"), sent.at("state")));
    const json::value documents = parsed_json(applied->documents);
    IOTCORE_CHECK(
        are_same(documents.at("current").at("state"), parsed_json(applied->document.state_json()))
    );
    if (applied->delta) {
      parsed_json(*applied->delta);
    }
    check_document(applied->document);
  }
}

// Bytes from a damaged store: refused, or good for every operation.
void fuzz_stored(std::string_view bytes) {
  const auto document = shadow::document::Document::decode(std::string(bytes));
  if (!document) {
    return;
  }
  document->state_json();
  document->metadata_json();
  shadow::document::get(*document, 3, {});
  const auto parsed = shadow::document::parse_update(
      R"({"state":{"desired":{"a":{"b":null,"z":1}},"reported":{"a":1}}})"
  );
  const auto applied = shadow::document::apply_update(&*document, 0, *parsed.request, 3);
  if (applied) {
    IOTCORE_CHECK(shadow::document::Document::decode(applied->document.encode()).has_value());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (!input.empty() && input.front() == '\x01') {
    fuzz_stored(input);
  } else {
    fuzz_update(input);
  }
  return 0;
}
