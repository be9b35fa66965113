#include "rules/actions/line_log.h"

#include "base/json.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <vector>

namespace iotcore::rules::actions {
namespace {

// Of files that are open at a time; all are closed when there would be more.
constexpr std::size_t kOpenMax = 64;

// What a batch has for one file.
struct Part {
  std::string text;
  std::vector<std::size_t> records;
};

}  // namespace

Result<AppendFile*> LineLogSink::open(const std::string& name) {
  auto found = files_.find(name);
  if (found == files_.end()) {
    if (files_.size() >= kOpenMax) {
      files_.clear();
    }
    found = files_.emplace(name, std::make_unique<AppendFile>(folder_ / name)).first;
  }
  IOTCORE_TRY(found->second->ensure_open(true));
  return found->second.get();
}

void LineLogSink::deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) {
  std::map<std::string, Part> parts;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    Lines lines;
    outcomes[i] = format_(*batch[i], clock_.wall(), lines);
    if (outcomes[i].kind == Outcome::Kind::kDelivered) {
      Part& part = parts[lines.file];
      part.text += lines.text;
      part.records.push_back(i);
    }
  }
  for (const auto& [name, part] : parts) {
    const Result<AppendFile*> file = open(name);
    const Status written = file ? (*file)->append(part.text) : Status(tl::unexpected(file.error()));
    if (written) {
      continue;
    }
    for (const std::size_t i : part.records) {
      outcomes[i] = Outcome::retry(written.error().message());
    }
  }
}

Status LineLogSink::probe() {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  return error ? fail(Errc::kStoreIo, folder_.string() + ": " + error.message()) : Status();
}

std::string date_of(WallTime time) {
  return fmt::format("{:%Y-%m-%d}", fmt::gmtime(static_cast<std::time_t>(to_epoch_s(time))));
}

void append_line(std::string& out, std::string_view json_text) {
  // Results are compact, but one that is the payload itself may have line ends in it.
  if (json_text.find_first_of("\r\n") == std::string_view::npos) {
    out += json_text;
  } else if (const Result<json::value> value = parse_json(json_text)) {
    append_json(out, *value);
  } else {
    append_json_string(out, json_text);
  }
  out += '\n';
}

}  // namespace iotcore::rules::actions
