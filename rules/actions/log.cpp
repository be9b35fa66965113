#include "rules/actions/log.h"

#include "base/bytes.h"
#include "base/log.h"
#include "rules/member_reader.h"

#include <algorithm>
#include <array>

namespace iotcore::rules::actions {
namespace {

constexpr std::size_t kTextBytesMax = 1024;
constexpr auto kLevels = std::to_array<std::string_view>({"debug", "info", "warn", "error"});

class LogAction final : public Action {
 public:
  explicit LogAction(std::string level) : level_(std::move(level)) {}

  std::string target() const override { return level_; }

  std::string resource(const Fields& /*fields*/) const override { return level_; }

  Result<Fields> resolve(const ActionInput& /*input*/) const override { return Fields(); }

 private:
  std::string level_;
};

class LogSink final : public Sink {
 public:
  explicit LogSink(LogLevel level) : level_(level) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> /*outcomes*/) override {
    for (const Record* record : batch) {
      std::string text = record->payload.substr(0, kTextBytesMax);
      if (!is_valid_utf8(text)) {
        text = std::to_string(record->payload.size()) + " bytes";
      }
      // The one place where a payload is logged: somebody has asked for just that.
      log(level_, "rule.result", {{"rule", record->rule}, {"result", text}});
    }
  }

  Status probe() override { return {}; }

 private:
  LogLevel level_;
};

}  // namespace

ParsedAction Log::parse(MemberReader& members, const SinkEnvironment& /*environment*/) {
  return std::make_unique<LogAction>(members.choice("level", kLevels, "info"));
}

Result<std::unique_ptr<Sink>> Log::make_sink(
    std::string_view target, const SinkEnvironment& /*environment*/
) {
  const auto* const level = std::ranges::find(kLevels, target);
  if (level == kLevels.end()) {
    return fail(Errc::kInvalidRequest, "not a level of the log");
  }
  return std::make_unique<LogSink>(static_cast<LogLevel>(level - kLevels.begin()));
}

}  // namespace iotcore::rules::actions
