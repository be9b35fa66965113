#include "server/api_client.h"
#include "server/commands.h"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace iotcore::server {
namespace {

constexpr std::size_t kThingsPerCall = 1000;
// With room below limits.http_body_bytes.
constexpr std::size_t kBytesPerCall = 768 * 1024;
// What the server works on while others are on their way.
constexpr std::size_t kCallsAtOnce = 8;
constexpr std::size_t kFailuresTold = 100;

struct Line {
  std::size_t number;
  std::string text;
};

// The lines of a file, handed out in parts that fit into one call.
class Lines {
 public:
  explicit Lines(std::istream& in) : in_(in) {}

  std::vector<Line> next() {
    const std::lock_guard lock(mutex_);
    std::vector<Line> part;
    std::size_t bytes = 0;
    std::string text;
    while (part.size() < kThingsPerCall && bytes < kBytesPerCall && std::getline(in_, text)) {
      ++number_;
      if (text.find_first_not_of(" \t\r") != std::string::npos) {
        bytes += text.size();
        part.push_back({number_, std::move(text)});
      }
    }
    return part;
  }

 private:
  std::mutex mutex_;
  std::istream& in_;
  std::size_t number_ = 0;
};

std::int64_t number_in(const json::value& answer, std::string_view name) {
  const json::value* member = answer.is_object() ? find_member(answer.get_object(), name) : nullptr;
  return member != nullptr && member->is_int64() ? member->get_int64() : 0;
}

std::string text_in(const json::object& object, std::string_view name) {
  const json::value* member = find_member(object, name);
  return member != nullptr && member->is_string() ? std::string(member->get_string())
                                                  : std::string();
}

class Import {
 public:
  Import(const ApiClient& api, std::istream& in) : api_(api), lines_(in) {}

  Status run() {
    std::array<std::thread, kCallsAtOnce> senders;
    for (std::thread& sender : senders) {
      sender = std::thread([this] { send_all(); });
    }
    for (std::thread& sender : senders) {
      sender.join();
    }
    std::printf(
        "%lld imported, %lld there already, %lld refused\n",
        static_cast<long long>(imported_),
        static_cast<long long>(unchanged_),
        static_cast<long long>(refused_)
    );
    if (broken_) {
      return fail(*broken_);
    }
    return refused_ == 0
               ? Status()
               : fail(Errc::kInvalidRequest, fmt::format("{} lines were refused", refused_));
  }

 private:
  void send_all() {
    while (!is_broken()) {
      const std::vector<Line> part = lines_.next();
      if (part.empty()) {
        return;
      }
      send(part);
    }
  }

  void send(std::span<const Line> part) {
    std::string body = "{\"things\":[";
    for (const Line& line : part) {
      body += (&line == part.data() ? "" : ",") + line.text;
    }
    body += "]}";
    const auto answer = api_.send("POST", "/_iotcore/things/import", std::move(body));
    if (answer) {
      take(*answer, part);
    } else if (answer.error().code() != Errc::kInvalidRequest) {
      const std::lock_guard lock(mutex_);
      broken_ = answer.error();
    } else if (part.size() == 1) {
      const std::lock_guard lock(mutex_);
      refuse(part.front().number, answer.error().message());
    } else {
      // One that is malformed spoils all: which one?
      send(part.first(part.size() / 2));
      send(part.subspan(part.size() / 2));
    }
  }

  void take(const json::value& answer, std::span<const Line> part) {
    const std::lock_guard lock(mutex_);
    imported_ += number_in(answer, "imported");
    unchanged_ += number_in(answer, "unchanged");
    const json::value* failures =
        answer.is_object() ? find_member(answer.get_object(), "failures") : nullptr;
    if (failures == nullptr || !failures->is_array()) {
      return;
    }
    for (const json::value& failure : failures->get_array()) {
      const auto index = static_cast<std::size_t>(number_in(failure, "index"));
      const json::object& object = failure.get_object();
      refuse(
          index < part.size() ? part[index].number : 0,
          text_in(object, "thingName") + ": " + text_in(object, "message")
      );
    }
  }

  // With the lock held.
  void refuse(std::size_t line, const std::string& why) {
    if (++refused_ <= static_cast<std::int64_t>(kFailuresTold)) {
      std::fprintf(stderr, "line %zu: %s\n", line, why.c_str());
    } else if (refused_ == static_cast<std::int64_t>(kFailuresTold) + 1) {
      std::fprintf(stderr, "and others\n");
    }
  }

  bool is_broken() {
    const std::lock_guard lock(mutex_);
    return broken_.has_value();
  }

  const ApiClient& api_;
  Lines lines_;
  std::mutex mutex_;  // and what follows
  std::int64_t imported_ = 0;
  std::int64_t unchanged_ = 0;
  std::int64_t refused_ = 0;
  std::optional<Error> broken_;
};

}  // namespace

Status import_things(const ImportOptions& options) {
  IOTCORE_ASSIGN(const ApiClient api, ApiClient::open(options.data_dir));
  if (options.file == "-") {
    return Import(api, std::cin).run();
  }
  std::ifstream file(options.file);
  if (!file) {
    return fail(Errc::kNotFound, options.file.string() + " cannot be read");
  }
  return Import(api, file).run();
}

}  // namespace iotcore::server
