#pragma once

#include "base/json.h"
#include "base/result.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace iotcore::shadow::document {

// A JSON Schema of draft 2020-12, read so that schemas of drafts 6 and 7 mean the same. All of validation, applicators and local references; `format` and
// unknown keywords say nothing. What it can't judge (unevaluated…, dynamic and remote references, expressions that RE2 does not know) it refuses to compile.
class JsonSchema {
 public:
  // kInvalidRequest says where in the schema.
  static Result<std::shared_ptr<const JsonSchema>> compile(std::string_view text);
  ~JsonSchema();

  struct Violation {
    std::string path;     // JSON Pointer to the value; empty: the whole
    std::string message;  // "must be …"
  };

  // The first violation; nothing: valid.
  std::optional<Violation> check(const json::value& value) const;

  struct Rules;  // one schema and those in it

 private:
  JsonSchema();

  std::unique_ptr<Rules> root_;
};

}  // namespace iotcore::shadow::document
