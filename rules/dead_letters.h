#pragma once

#include "base/metrics.h"
#include "proto/record/rules.pb.h"
#include "rules/outbox.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

class Sinks;

struct FiringLimits {
  std::size_t dead_letter_bytes_max = 256U << 20;
  std::chrono::hours dead_letter_age_max{14 * 24};
};

// A record that nobody took, and why.
struct DeadLetter {
  std::string id;  // "rule-number"
  record::DeadLetter content;
};

// What could not be delivered and had no errorAction, or whose errorAction failed too: kept for the operator, who looks at it and has it delivered
// again or drops it. Any thread; everything but bury() blocks.
class DeadLetters {
 public:
  DeadLetters(Outbox& outbox, Metrics& metrics, const Clock& clock, FiringLimits limits);

  // Sizes up what is there, and drops what is too old. Once, before anything else.
  Status load();
  Status drop_too_old();

  // Written with the commit of `batch`.
  void bury(
      const std::string& sink,
      const Record& record,
      std::vector<record::ActionFailure> failures,
      store::Batch& batch
  );

  // Which letters are meant: those of these ids, or all of that rule, or of all rules if it is empty.
  struct Selection {
    std::vector<std::string> ids;
    std::string rule;
  };

  // In the order of rules and age, from after the letter `after` on.
  Result<std::vector<DeadLetter>> list(
      std::string_view rule, std::string_view after, std::size_t limit
  ) const;
  Result<DeadLetter> get(std::string_view id) const;
  // Back to the end of its sink's queue, as if it were new. Answers how many; stops at the first whose target is not there.
  Result<std::size_t> retry(const Selection& selection, Sinks& sinks);
  Result<std::size_t> drop(const Selection& selection);

 private:
  // Calls act(letters) for pages of them.
  template <typename Act>
  Result<std::size_t> each_page(const Selection& selection, const Act& act);
  Status erase(std::span<const DeadLetter> letters);
  Gauge& kept(const std::string& rule);
  void note_gone(const DeadLetter& letter);

  Outbox& outbox_;
  Metrics& metrics_;
  Counter& buried_;
  Gauge& bytes_;
  Counter& dropped_;
  const Clock& clock_;
  const FiringLimits limits_;
  std::atomic<std::uint64_t> next_ = 0;
  std::mutex changing_;  // one retry() or drop() at a time
  std::mutex mutex_;     // and what follows
  std::map<std::string, Gauge*, std::less<>> kept_;
};

}  // namespace iotcore::rules
