#include "base/json.h"
#include "shadow/document/names.h"
#include "shadow/document/operations.h"
#include "tests/vectors/shadow_replay.h"
#include "tests/vectors/vectors.h"

#include <cstdint>
#include <optional>
#include <string>

namespace iotcore::vectors {
namespace {

namespace document = shadow::document;

constexpr std::string_view kThing = "thing-1";

// The service around the engine, at its smallest: one shadow, and what it publishes.
class Shadow {
 public:
  explicit Shadow(std::string name) : name_(std::move(name)) {}

  Answers update(std::string_view payload, std::int64_t now_s) {
    document::ParsedUpdate parsed = document::parse_update(payload);
    if (!parsed.request) {
      return {{"rejected", document::error_body(parsed.request.error(), parsed.client_token)}};
    }
    Result<document::Applied> applied = document::apply_update(
        current_ ? &*current_ : nullptr, tombstone_version_, *parsed.request, now_s
    );
    if (!applied) {
      return {{"rejected", document::error_body(applied.error(), parsed.client_token)}};
    }
    Answers answers = {{"accepted", applied->accepted}, {"documents", applied->documents}};
    if (applied->delta) {
      answers["delta"] = *applied->delta;
    }
    // Through the store and back, as in life.
    Result<document::Document> stored = document::Document::decode(applied->document.encode());
    if (!stored) {
      return {{"rejected", stored.error().message()}};
    }
    current_ = *std::move(stored);
    return answers;
  }

  Answers get(std::string_view payload, std::int64_t now_s) const {
    const document::ClientToken token = document::client_token_of(payload);
    if (!current_) {
      return {{"rejected", document::error_body(document::no_such_shadow(kThing, name_), token)}};
    }
    return {{"accepted", document::get(*current_, now_s, token)}};
  }

  Answers remove(std::string_view payload, std::int64_t now_s) {
    const document::ClientToken token = document::client_token_of(payload);
    if (!current_) {
      return {{"rejected", document::error_body(document::no_such_shadow(kThing, name_), token)}};
    }
    document::Deleted deleted = document::apply_delete(*current_, now_s, token);
    current_.reset();
    tombstone_version_ = deleted.tombstone_version;
    return {{"accepted", std::move(deleted.accepted)}};
  }

 private:
  std::string name_;
  std::optional<document::Document> current_;
  std::uint64_t tombstone_version_ = 0;
};

Answers answer(
    Shadow& shadow, std::string_view operation, std::string_view payload, std::int64_t now_s
) {
  if (operation == "update") {
    return shadow.update(payload, now_s);
  }
  return operation == "get" ? shadow.get(payload, now_s) : shadow.remove(payload, now_s);
}

void run_vector(const json::object& vector, Report& report) {
  Shadow shadow(shadow_name_of(vector));
  const auto wrong = replay_shadow(
      vector,
      kThing,
      [&](std::string_view operation, std::string_view payload, std::int64_t now_s) {
        return answer(shadow, operation, payload, now_s);
      }
  );
  if (wrong) {
    report.fail(text_of(vector.at("id")), wrong->expected, wrong->got);
  } else {
    report.pass();
  }
}

}  // namespace

void run_shadow(std::istream& in, Report& report) {
  std::string line;
  while (std::getline(in, line)) {
    const Result<json::value> vector = parse_json(line);
    if (!vector || !vector->is_object()) {
      report.fail(line.substr(0, 60), "a vector", "no JSON object");
      continue;
    }
    run_vector(vector->get_object(), report);
  }
}

}  // namespace iotcore::vectors
