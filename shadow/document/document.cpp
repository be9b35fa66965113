#include "shadow/document/document.h"

#include "base/check.h"
#include "shadow/document/render.h"
#include "shadow/document/storage.h"
#include "shadow/document/text_writer.h"

namespace iotcore::shadow::document {
namespace {

// Layout 2: u8 layout, u8 marks, varint version, varint seconds when it was written, varint age of
// the last report if kHasReport, varint age of the difference if kDiffers, desired, reported; each a
// varint count of members and the members: u8 kind, text key, then an object's count and members,
// or varint age (seconds before the writing) and text. A text is a varint length and that many
// bytes. Ages, because most leaves are young or of one age: one byte each. Layout 1 has no marks and no ages of its own.
constexpr char kLayoutWithoutMarks = 1;
constexpr char kLayout = 2;
constexpr std::size_t kMarksAt = 1;
constexpr std::uint8_t kHasReport = 1;
constexpr std::uint8_t kDiffers = 2;
constexpr std::uint8_t kToldStale = 4;
constexpr std::uint8_t kToldOverdue = 8;
constexpr std::uint8_t kAllMarks = 15;
// A bound for damaged bytes only: requests of more levels are refused.
constexpr int kDepthMax = 64;

void write_text(TextWriter& out, std::string_view text) {
  out.put_varint(text.size());
  out.put(text);
}

// Seconds between two times, either way round: a clock that was set back makes an age that wraps, and damaged bytes make any. So without signs.
std::uint64_t age_of(std::int64_t at_s, std::int64_t written_s) {
  return static_cast<std::uint64_t>(written_s) - static_cast<std::uint64_t>(at_s);
}

std::int64_t before(std::int64_t written_s, std::uint64_t age) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(written_s) - age);
}

void write_members(TextWriter& out, const NodeView& object, std::int64_t written_s) {
  out.put_varint(object.count);
  for (const NodeView* member = object.first; member != nullptr; member = member->next) {
    out.put(static_cast<char>(member->kind));
    write_text(out, member->key);
    if (member->kind == Kind::kObject) {
      write_members(out, *member, written_s);
    } else {
      out.put_varint(age_of(member->set_at_s, written_s));
      write_text(out, member->text);
    }
  }
}

// Reads what TextWriter wrote, never past the end. After a failed read everything is empty.
class StoredReader {
 public:
  explicit StoredReader(std::string_view bytes)
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }

  std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }

  char byte() {
    if (at_ == end_) {
      ok_ = false;
      return 0;
    }
    return *at_++;
  }

  std::uint64_t varint() {
    std::uint64_t value = static_cast<std::uint8_t>(byte());
    if (value < 0x80) [[likely]] {
      return value;
    }
    value &= 0x7F;
    for (int shift = 7; shift < 64; shift += 7) {
      const auto next = static_cast<std::uint8_t>(byte());
      value |= static_cast<std::uint64_t>(next & 0x7F) << shift;
      if (next < 0x80) {
        return value;
      }
    }
    ok_ = false;
    return 0;
  }

  std::string_view text() {
    const std::uint64_t size = varint();
    if (size > remaining()) {
      ok_ = false;
      at_ = end_;
      return {};
    }
    at_ += size;
    return {at_ - size, size};
  }

 private:
  const char* at_;
  const char* end_;
  bool ok_ = true;
};

std::int64_t read_age(StoredReader& in, std::int64_t written_s) {
  return before(written_s, in.varint());
}

// Of a known layout; what is before the sections.
Record read_record(StoredReader& in) {
  Record record;
  const char layout = in.byte();
  const auto marks =
      layout == kLayoutWithoutMarks ? std::uint8_t{0} : static_cast<std::uint8_t>(in.byte());
  record.version = in.varint();
  record.written_s = static_cast<std::int64_t>(in.varint());
  if ((marks & kHasReport) != 0) {
    record.reported_at_s = read_age(in, record.written_s);
  }
  if ((marks & kDiffers) != 0) {
    record.differs_since_s = read_age(in, record.written_s);
  }
  record.told_stale = (marks & kToldStale) != 0;
  record.told_overdue = (marks & kToldOverdue) != 0;
  return record;
}

std::uint8_t marks_of(const Record& record) {
  return static_cast<std::uint8_t>(
      (record.reported_at_s ? kHasReport : 0) | (record.differs_since_s ? kDiffers : 0) |
      (record.told_stale ? kToldStale : 0) | (record.told_overdue ? kToldOverdue : 0)
  );
}

bool is_leaf(char kind) {
  return kind == static_cast<char>(Kind::kScalar) || kind == static_cast<char>(Kind::kArray);
}

bool check_members(StoredReader& in, int depth) {
  for (std::uint64_t left = in.varint(); left != 0; --left) {
    const char kind = in.byte();
    in.text();
    if (is_leaf(kind)) {
      in.varint();
      in.text();
    } else if (kind != static_cast<char>(Kind::kObject) || depth == kDepthMax || !check_members(in, depth + 1)) {
      return false;
    }
    if (!in.ok()) {
      return false;
    }
  }
  return in.ok();
}

// Of bytes that check_members() has seen.
void read_members(
    StoredReader& in, NodeView& object, std::int64_t written_s, std::pmr::memory_resource& memory
) {
  for (std::uint64_t left = in.varint(); left != 0; --left) {
    NodeView* member = new_node(memory);
    member->kind = static_cast<Kind>(in.byte());
    member->key = in.text();
    if (member->kind == Kind::kObject) {
      read_members(in, *member, written_s, memory);
    } else {
      member->set_at_s = before(written_s, in.varint());
      member->text = in.text();
    }
    append_member(object, member);
  }
}

// A piece of the document as JSON.
template <typename Render>
std::string render(const Document& document, const Render& piece) {
  Arena<8192> arena;
  SectionsView sections;
  read_sections(document, sections, arena.memory());
  TextWriter out(document.encode().size());
  piece(out, sections);
  return out.take();
}

}  // namespace

Result<Document> Document::decode(std::string bytes) {
  const char layout = bytes.empty() ? '\0' : bytes[0];
  if (layout != kLayout && layout != kLayoutWithoutMarks) {
    return fail(
        Errc::kStoreCorrupt,
        "stored shadow has layout " + std::to_string(static_cast<int>(layout)) +
            ", known are 1 and 2"
    );
  }
  if (layout == kLayout && bytes.size() > kMarksAt &&
      static_cast<std::uint8_t>(bytes[kMarksAt]) > kAllMarks) {
    return fail(Errc::kStoreCorrupt, "stored shadow has unknown marks");
  }
  StoredReader in(bytes);
  const Record record = read_record(in);
  if (!check_members(in, 0) || !check_members(in, 0) || in.remaining() != 0) {
    return fail(
        Errc::kStoreCorrupt,
        "stored shadow is damaged at byte " + std::to_string(bytes.size() - in.remaining()) +
            " of " + std::to_string(bytes.size())
    );
  }
  return Document(std::move(bytes), record.version);
}

void read_sections(
    const Document& document, SectionsView& sections, std::pmr::memory_resource& memory
) {
  StoredReader in(document.encode());
  const Record record = read_record(in);
  read_members(in, sections.desired, record.written_s, memory);
  read_members(in, sections.reported, record.written_s, memory);
  IOTCORE_CHECK(in.ok());  // decode() has seen it
}

Document write_document(const SectionsView& sections, const Record& record) {
  const auto put_age = [&](TextWriter& out, std::optional<std::int64_t> at_s) {
    if (at_s) {
      out.put_varint(age_of(*at_s, record.written_s));
    }
  };
  TextWriter out(1024);
  out.put(kLayout);
  out.put(static_cast<char>(marks_of(record)));
  out.put_varint(record.version);
  out.put_varint(static_cast<std::uint64_t>(record.written_s));
  put_age(out, record.reported_at_s);
  put_age(out, record.differs_since_s);
  write_members(out, sections.desired, record.written_s);
  write_members(out, sections.reported, record.written_s);
  std::string bytes = out.take();
  bytes.shrink_to_fit();  // it may stay in memory for long
  return {std::move(bytes), record.version};
}

Record Document::record() const {
  StoredReader in(bytes_);
  return read_record(in);
}

void Document::set_told(bool stale, bool overdue) {
  if (bytes_[0] == kLayoutWithoutMarks) {
    bytes_.insert(kMarksAt, 1, '\0');
    bytes_[0] = kLayout;
  }
  Record told = record();
  told.told_stale = stale;
  told.told_overdue = overdue;
  bytes_[kMarksAt] = static_cast<char>(marks_of(told));
}

bool Document::note_difference(std::int64_t now_s) {
  Record known = record();
  Arena<8192> arena;
  SectionsView sections;
  read_sections(*this, sections, arena.memory());
  if (known.differs_since_s || !has_delta(sections, arena.memory())) {
    return false;
  }
  known.differs_since_s = now_s;
  bytes_ = write_document(sections, known).bytes_;
  return true;
}

std::string Document::state_json() const {
  return render(*this, [](TextWriter& out, const SectionsView& sections) {
    Renderer().sections_state(out, sections);
  });
}

std::string Document::metadata_json() const {
  return render(*this, [](TextWriter& out, const SectionsView& sections) {
    Renderer().sections_metadata(out, sections);
  });
}

}  // namespace iotcore::shadow::document
