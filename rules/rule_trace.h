#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "rules/sql/evaluation.h"
#include "rules/sql/message_view.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

// One evaluation of a rule, with what went in and what came out.
struct TraceEvent {
  enum class Outcome : std::uint8_t { kFired, kNotFired, kFailed };

  struct Action {
    std::string kind;
    std::string resource;
    std::string error;  // empty: it went on its way
  };

  std::uint64_t number = 0;
  std::int64_t time_ms = 0;
  std::string trace_id;
  std::string topic;
  std::string client_id;
  std::string payload;
  Outcome outcome = Outcome::kFired;
  std::string output;
  std::string error;
  std::vector<Action> actions;
};

// Evaluations of the rules that somebody looks at, for `iotcore rule trace`. A rule is traced from the first read() until nobody has read for a while;
// a rule that is not costs one load of a flag. Any thread.
class RuleTraces {
 public:
  explicit RuleTraces(const Clock& clock) : clock_(clock) {}

  // Whether any rule is traced at all.
  bool is_on() const { return on_.load(std::memory_order_relaxed); }

  // Nothing: it is not traced.
  std::optional<TraceEvent> begin(
      std::string_view rule, const sql::MessageView& message, std::string_view payload
  ) {
    if (!is_on()) [[likely]] {
      return std::nullopt;
    }
    return make(rule, message, payload);
  }

  void end(
      std::string_view rule,
      std::optional<TraceEvent> event,
      const Result<std::optional<sql::Output>>& output,
      std::string_view secret_mark
  );
  void add(std::string_view rule, TraceEvent event);

  struct Page {
    std::vector<TraceEvent> events;
    std::uint64_t next = 0;    // what to read after
    std::uint64_t missed = 0;  // events that were dropped before they were read
  };

  // The events with numbers above `after`; 0: from now on.
  Page read(std::string_view rule, std::uint64_t after);

  static constexpr std::size_t kEventsKept = 256;
  static constexpr std::size_t kBytesShown = 16U << 10;  // of a payload or an output
  static constexpr std::chrono::seconds kLife{30};

 private:
  struct Trace {
    MonotonicTime end = {};
    std::uint64_t next = 1;
    std::deque<TraceEvent> events;
  };

  std::optional<TraceEvent> make(
      std::string_view rule, const sql::MessageView& message, std::string_view payload
  );
  void drop_old();

  const Clock& clock_;
  std::atomic<bool> on_ = false;
  std::mutex mutex_;  // and what follows
  std::map<std::string, Trace, std::less<>> traces_;
};

}  // namespace iotcore::rules
