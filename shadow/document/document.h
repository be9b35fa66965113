#pragma once

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace iotcore::shadow::document {

// What a document knows about itself besides its state.
struct Record {
  std::uint64_t version = 0;
  std::int64_t written_s = 0;
  std::optional<std::int64_t> reported_at_s = {};  // when a device last reported anything
  std::optional<std::int64_t> differs_since_s =
      {};  // since when reported is not what desired says, if that is tracked
  // What has been told about it, until it is over.
  bool told_stale = false;
  bool told_overdue = false;
};

// A shadow as it is kept: one tree of desired and reported in which every leaf carries the second
// it was last set, and the version. Held in the form in which it is stored, so that neither reading
// nor writing the store converts anything.
class Document {
 public:
  // What encode() gave, of this or an earlier version of the program. kStoreCorrupt.
  static Result<Document> decode(std::string bytes);

  const std::string& encode() const { return bytes_; }

  std::uint64_t version() const { return version_; }

  Record record() const;
  // Changes what has been told; everything else stays.
  void set_told(bool stale, bool overdue);
  // If its sections differ and it does not know since when: since `now_s`. Whether it has changed.
  bool note_difference(std::int64_t now_s);

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
