#include "rules/actions/file_writer.h"

#include "base/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace iotcore::rules::actions {
namespace {

constexpr std::size_t kHeaderBytesMax = 64U << 10;
constexpr std::size_t kColumnsMax = 1000;

void append_csv_field(std::string& out, std::string_view text) {
  if (text.find_first_of("\",\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out += '"';
  for (const char c : text) {
    out += c;
    if (c == '"') {
      out += c;
    }
  }
  out += '"';
}

// RFC 4180, one line.
std::vector<std::string> split_csv(std::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && line.substr(i + 1, 1) == "\"") {
      fields.back() += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

std::uint64_t number_of(const std::string& text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

FileRotation rotation_of(const std::vector<std::string>& fields) {
  FileRotation rotation;
  rotation.bytes = number_of(fields[kRotateBytes]);
  if (fields.size() == kFileFieldCount) {  // not of an earlier version
    rotation.seconds = number_of(fields[kRotateSeconds]);
    rotation.compress = !fields[kCompress].empty();
    rotation.keep = number_of(fields[kKeep]);
  }
  return rotation;
}

bool is_ours(const Record& record) {
  return record.fields.size() > kRotateBytes;
}

WallTime last_write_of(const std::filesystem::path& path) {
  std::error_code error;
  const auto written = std::filesystem::last_write_time(path, error);
  const SystemClock clock;
  if (error) {
    return clock.wall();
  }
  const auto age = std::filesystem::file_time_type::clock::now() - written;
  return clock.wall() - std::chrono::duration_cast<Duration>(age);
}

}  // namespace

Status FileWriter::ensure_open(bool lines) {
  IOTCORE_ASSIGN(const bool opened, file_.ensure_open(lines));
  if (!opened) {
    return {};
  }
  written_ = last_write_of(file_.path());
  return read_header();
}

Status FileWriter::read_header() {
  columns_.clear();
  const Result<std::string> head = file_.head(kHeaderBytesMax);
  if (!head) {
    file_.close();
    return fail(head.error());
  }
  const std::size_t newline = head->find('\n');
  if (newline != std::string::npos) {
    std::string_view line = std::string_view(*head).substr(0, newline);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    columns_ = split_csv(line);
  }
  return {};
}

Result<bool> FileWriter::rotate(const FileRotation& rotation) {
  const WallTime now = SystemClock().wall();
  if (!rotation.is_due(file_.size(), written_, now)) {
    return false;
  }
  IOTCORE_TRY(file_.move_to(rotated_name(file_.path(), now)));
  columns_.clear();
  if (const Status tidy = tidy_rotated(file_.path(), rotation); !tidy) {
    // The next rotation tries again.
    log(LogLevel::kWarn, "file.rotation", {{"error", tidy.error().message()}});
  }
  return true;
}

Outcome FileWriter::append_csv(std::string& out, const json::object& row) {
  if (columns_.empty()) {
    if (row.empty() || row.size() > kColumnsMax) {
      return Outcome::permanent(fmt::format("a file of {} columns cannot be made", row.size()));
    }
    for (const auto& member : row) {
      out += columns_.empty() ? "" : ",";
      append_csv_field(out, member.key());
      columns_.emplace_back(member.key());
    }
    out += '\n';
  }
  for (const auto& member : row) {
    if (std::ranges::find(columns_, std::string_view(member.key())) == columns_.end()) {
      return Outcome::permanent(
          fmt::format("the file has no column {}", std::string_view(member.key()))
      );
    }
  }
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    out += i == 0 ? "" : ",";
    const json::value* value = find_member(row, columns_[i]);
    if (value == nullptr || value->is_null()) {
      continue;
    }
    append_csv_field(out, value->is_string() ? std::string(value->get_string()) : to_json(*value));
  }
  out += '\n';
  return {};
}

Outcome FileWriter::append(std::string& out, const Record& record) {
  if (record.fields[kFormat] == kRaw) {
    out += record.payload;
    return {};
  }
  if (record.fields[kFormat] == kJson) {
    // Results are compact, but one that is the payload itself may have line ends in it.
    if (record.payload.find('\n') == std::string::npos &&
        record.payload.find('\r') == std::string::npos) {
      out += record.payload;
      out += '\n';
      return {};
    }
    const Result<json::value> value = parse_json(record.payload);
    if (!value) {
      return Outcome::permanent("the result is not JSON");
    }
    append_json(out, *value);
    out += '\n';
    return {};
  }
  const Result<json::value> row = parse_json(record.payload);
  if (!row || !row->is_object()) {
    return Outcome::permanent("the result is not an object, so it has no columns");
  }
  return append_csv(out, row->get_object());
}

Status FileWriter::probe() {
  return ensure_open(true);
}

void FileWriter::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  const auto retry_from = [&](std::size_t first, const Error& error) {
    for (std::size_t i = first; i < batch.size(); ++i) {
      if (outcomes[i].kind == Outcome::Kind::kDelivered) {
        outcomes[i] = Outcome::retry(error.message());
      }
    }
  };
  std::string out;
  for (std::size_t i = 0; i < batch.size();) {
    const Record& first = *batch[i];
    if (!is_ours(first)) {
      outcomes[i++] = Outcome::permanent("not a record of this kind");
      continue;
    }
    if (const Status open = ensure_open(first.fields[kFormat] != kRaw); !open) {
      retry_from(i, open.error());
      return;
    }
    const FileRotation rotation = rotation_of(first.fields);
    const Result<bool> rotated = rotate(rotation);
    if (!rotated) {
      retry_from(i, rotated.error());
      return;
    }
    if (*rotated) {
      continue;
    }
    // As much as fits before the next rotation, in one write.
    out.clear();
    const std::size_t from = i;
    do {
      outcomes[i] = is_ours(*batch[i]) ? append(out, *batch[i])
                                       : Outcome::permanent("not a record of this kind");
      ++i;
    } while (i < batch.size() && (rotation.bytes == 0 || file_.size() + out.size() < rotation.bytes)
    );
    if (const Status written = file_.append(out); !written) {
      retry_from(from, written.error());
      return;
    }
    written_ = SystemClock().wall();
  }
}

}  // namespace iotcore::rules::actions
