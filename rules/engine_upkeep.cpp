// What the engine does from time to time, on a thread of the runner.
#include "rules/engine.h"

#include "base/log.h"
#include "rules/series/retention.h"
#include "rules/series/series_store.h"

#include <filesystem>
#include <system_error>

namespace iotcore::rules {

void Engine::drop_what_is_old(SinkRunner& runner) {
  constexpr std::chrono::minutes kEvery{10};
  const auto gone =
      drop_old_points(options_.sink_folder / series::kFileName, targets_, broker_.clock().wall());
  if (!gone) {
    log(LogLevel::kWarn, "series.not_cleaned", {{"error", gone.error().message()}});
  } else if (*gone > 0) {
    log(LogLevel::kInfo, "series.cleaned", {{"points", *gone}});
  }
  if (const Status dropped = dead_letters_.drop_too_old(); !dropped) {
    log(LogLevel::kWarn, "dead_letters.not_cleaned", {{"error", dropped.error().message()}});
  }
  runner.post_at(broker_.clock().now() + kEvery, [this, &runner] { drop_what_is_old(runner); });
}

void Engine::watch_disk(SinkRunner& runner) {
  if (options_.disk_folder.empty()) {
    return;
  }
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(options_.disk_folder, error);
  if (!error) {
    const bool is_low = space.available < space.capacity / 100 * options_.disk_free_min_percent;
    if (is_low != outbox_.is_disk_low()) {
      log(is_low ? LogLevel::kError : LogLevel::kInfo,
          is_low ? "outbox.disk_low" : "outbox.disk_has_room",
          {{"folder", options_.disk_folder.string()}, {"free", space.available}});
    }
    outbox_.set_disk_low(is_low);
  }
  runner.post_at(broker_.clock().now() + std::chrono::seconds(1), [this, &runner] {
    watch_disk(runner);
  });
}

}  // namespace iotcore::rules
