#include "rules/actions/file_writer.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace iotcore::rules::actions {
namespace {

constexpr std::size_t kTailBytes = 64U << 10;
constexpr std::size_t kHeaderBytesMax = 64U << 10;
constexpr std::size_t kColumnsMax = 1000;

tl::unexpected<Error> io_error(const std::filesystem::path& path, std::string_view what) {
  return fail(
      errno == ENOSPC ? Errc::kStoreFull : Errc::kStoreIo,
      fmt::format("{} {}: {}", what, path.string(), std::strerror(errno))
  );
}

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

void sync_folder(const std::filesystem::path& folder) {
  const int descriptor =
      ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0) {
    ::fsync(descriptor);
    ::close(descriptor);
  }
}

}  // namespace

void FileWriter::close() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
  descriptor_ = -1;
  columns_.clear();
}

Status FileWriter::ensure_open(bool lines) {
  struct stat info = {};
  if (descriptor_ >= 0) {
    if (::stat(path_.c_str(), &info) == 0 && info.st_ino == inode_) {
      return {};
    }
    close();  // somebody has moved it away
  }
  std::error_code ignored;  // opening says what is wrong
  std::filesystem::create_directories(path_.parent_path(), ignored);
  descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (descriptor_ < 0 || ::fstat(descriptor_, &info) != 0) {
    const auto error = io_error(path_, "cannot open");
    close();
    return error;
  }
  inode_ = info.st_ino;
  size_ = static_cast<std::uint64_t>(info.st_size);
  if (size_ == 0) {
    sync_folder(path_.parent_path());
  }
  Status ready = lines ? drop_torn_line() : Status();
  if (ready) {
    ready = read_header();
  }
  if (!ready) {
    close();
  }
  return ready;
}

Status FileWriter::drop_torn_line() {
  std::string tail;
  std::uint64_t end = size_;
  while (end > 0) {
    const std::uint64_t from = end > kTailBytes ? end - kTailBytes : 0;
    tail.resize(end - from);
    if (::pread(descriptor_, tail.data(), tail.size(), static_cast<off_t>(from)) !=
        static_cast<ssize_t>(tail.size())) {
      return io_error(path_, "cannot read");
    }
    const std::size_t newline = tail.rfind('\n');
    if (newline != std::string::npos) {
      end = from + newline + 1;
      break;
    }
    end = from;
  }
  if (end != size_) {
    if (::ftruncate(descriptor_, static_cast<off_t>(end)) != 0) {
      return io_error(path_, "cannot truncate");
    }
    size_ = end;
  }
  return {};
}

Status FileWriter::read_header() {
  std::string head(std::min<std::uint64_t>(size_, kHeaderBytesMax), '\0');
  if (::pread(descriptor_, head.data(), head.size(), 0) != static_cast<ssize_t>(head.size())) {
    return io_error(path_, "cannot read");
  }
  const std::size_t newline = head.find('\n');
  if (newline != std::string::npos) {
    std::string_view line = std::string_view(head).substr(0, newline);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    columns_ = split_csv(line);
  }
  return {};
}

Status FileWriter::rotate() {
  const std::int64_t now_ms = to_epoch_ms(SystemClock().wall());
  const std::string stem = path_.stem().string();
  const std::string extension = path_.extension().string();
  const std::string time = fmt::format(
      "{:%Y%m%dT%H%M%S}.{:03}Z", fmt::gmtime(static_cast<std::time_t>(now_ms / 1000)), now_ms % 1000
  );
  std::filesystem::path to;
  for (int attempt = 0; attempt == 0 || std::filesystem::exists(to); ++attempt) {
    const std::string number = attempt == 0 ? "" : fmt::format("-{}", attempt);
    to = path_.parent_path() / fmt::format("{}-{}{}{}", stem, time, number, extension);
  }
  if (::rename(path_.c_str(), to.c_str()) != 0) {
    return io_error(path_, "cannot rename");
  }
  close();
  sync_folder(path_.parent_path());
  return {};
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

Status FileWriter::write_out(std::string_view bytes) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t n = ::pwrite(
        descriptor_,
        bytes.data() + written,
        bytes.size() - written,
        static_cast<off_t>(size_ + written)
    );
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return io_error(path_, "cannot write");
    }
    written += static_cast<std::size_t>(n);
  }
  if (::fdatasync(descriptor_) != 0) {
    return io_error(path_, "cannot sync");
  }
  size_ += bytes.size();
  return {};
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
    if (first.fields.size() != kFileFieldCount) {
      outcomes[i++] = Outcome::permanent("not a record of this kind");
      continue;
    }
    if (const Status open = ensure_open(first.fields[kFormat] != kRaw); !open) {
      retry_from(i, open.error());
      return;
    }
    const std::uint64_t rotate_bytes = number_of(first.fields[kRotateBytes]);
    if (rotate_bytes != 0 && size_ >= rotate_bytes) {
      if (const Status rotated = rotate(); !rotated) {
        retry_from(i, rotated.error());
        return;
      }
      continue;
    }
    // As much as fits before the next rotation, in one write.
    out.clear();
    const std::size_t from = i;
    do {
      outcomes[i] = batch[i]->fields.size() == kFileFieldCount
                        ? append(out, *batch[i])
                        : Outcome::permanent("not a record of this kind");
      ++i;
    } while (i < batch.size() && (rotate_bytes == 0 || size_ + out.size() < rotate_bytes));
    if (const Status written = write_out(out); !written) {
      // What came through in part is cut off again, so that trying again repeats nothing.
      if (::ftruncate(descriptor_, static_cast<off_t>(size_)) != 0) {
        close();
      }
      close();
      retry_from(from, written.error());
      return;
    }
  }
}

}  // namespace iotcore::rules::actions
