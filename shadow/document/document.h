#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <utility>

namespace iotcore::shadow::document {

// A shadow as it is kept: one tree of desired and reported in which every leaf carries the second
// it was last set, and the version. Held in the form in which it is stored, so that neither reading
// nor writing the store converts anything.
class Document {
 public:
  // What encode() gave, of this or an earlier version of the program. kStoreCorrupt.
  static Result<Document> decode(std::string bytes);

  const std::string& encode() const { return bytes_; }

  std::uint64_t version() const { return version_; }

  // {"desired": …, "reported": …}, compact; a section that is empty is absent.
  std::string state_json() const;
  std::string metadata_json() const;

  // From what this module itself has just written.
  Document(std::string bytes, std::uint64_t version)
      : bytes_(std::move(bytes)), version_(version) {}

 private:
  std::string bytes_;
  std::uint64_t version_;
};

}  // namespace iotcore::shadow::document
