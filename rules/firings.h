#pragma once

#include "proto/record/rules.pb.h"
#include "rules/dead_letters.h"
#include "rules/error_payload.h"
#include "rules/log_limit.h"
#include "rules/outbox.h"
#include "rules/rule_metrics.h"
#include "rules/rule_set.h"
#include "rules/sink_queue.h"
#include "rules/sink_runner.h"
#include "rules/sinks.h"
#include "rules/sql/environment.h"

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::rules {

// In Record::actions_mask, besides the actions: others of the firing could not be resolved, and there is a row of it that says so.
inline constexpr std::uint32_t kHasFailures = 1U << 31U;

// The actions of one rule for one message while none of them was promised to anybody: gone with the process.
class MemoryFiring {
 public:
  MemoryFiring(record::OutboxMessage message, std::uint32_t open)
      : message_(std::move(message)), open_(open) {}

  void add_failure(record::ActionFailure failure);
  // One action less; true for the last.
  bool end_one();

  const record::OutboxMessage& message() const { return message_; }

  std::vector<record::ActionFailure> take_failures();

 private:
  const record::OutboxMessage message_;
  std::mutex mutex_;  // and what follows
  std::uint32_t open_;
  std::vector<record::ActionFailure> failures_;
};

// What follows when actions end: the one errorAction of a rule and message after its last action has ended, dead letters where there is none
// or where it fails too, and the counting.
class Firings final : public RecordEnds {
 public:
  Firings(Outbox& outbox, DeadLetters& dead_letters, RuleMetricsTable& metrics, const Clock& clock);

  // What it needs and is made after it.
  void connect(
      RuleSet& rules, sql::ExternalFunctions& external, std::string account, SinkRunner& runner
  );

  Function<void()> on_end(
      const std::string& sink, Record& record, const RecordEnd& end, store::Batch& batch
  ) override;

  void on_delivered(const std::string& sink, std::span<const std::unique_ptr<Record>> records)
      override;

  void on_batch_end(
      const std::string& sink, store::Batch& batch, std::vector<Function<void()>>& after
  ) override;

  // All actions of a rule and message (or messages, see error_payload.h) have failed or ended: writes the errorAction's record to `batch`, to be delivered by calling the
  // result when it is durable; without `batch` it is delivered from memory.
  Function<void()> fire_error_action(
      const std::string& rule, std::span<const FailedMessage> failed, store::Batch* batch
  );

 private:
  // Some of whose ends the store does not show yet.
  struct OpenFiring {
    record::OutboxFiring state;     // of all its ends so far
    std::uint32_t uncommitted = 0;  // of them
    bool is_closed = false;         // all have ended: rows that are still to come are of no use
  };

  // Messages that failed in one request.
  struct Request {
    std::uint32_t number;
    std::string rule;
    bool is_durable;
    std::vector<FailedMessage> failed;
  };

  using FiringKey = std::pair<std::string, std::string>;  // message, rule

  Function<void()> end_durable(
      const std::string& sink, Record& record, const RecordEnd& end, store::Batch& batch
  );
  void note_committed(const FiringKey& key, std::uint32_t actions_mask);
  // All its actions have ended.
  Function<void()> close(
      const std::string& sink,
      const Record& record,
      const record::OutboxFiring& state,
      store::Batch& batch
  );
  Function<void()> end_in_memory(const std::string& sink, Record& record, const RecordEnd& end);
  void tell_together(const std::string& sink, const Record& record, FailedMessage failed);
  record::ActionFailure failure_of(
      const std::string& sink, const Record& record, const std::string& reason
  ) const;
  void count(const std::string& sink, const Record& record, const RecordEnd& end);

  Outbox& outbox_;
  DeadLetters& dead_letters_;
  RuleMetricsTable& metrics_;
  const Clock& clock_;
  RuleSet* rules_ = nullptr;
  sql::ExternalFunctions* external_ = nullptr;
  SinkRunner* runner_ = nullptr;
  std::string account_;
  LogLimit log_limit_;
  std::mutex mutex_;  // and what follows
  std::map<FiringKey, OpenFiring> open_;
  std::map<std::string, std::vector<Request>> ended_;  // by sink, until on_batch_end()
};

// How long and how often it is tried: for a day, or a few times if nobody was promised anything, or in the strict profile, as AWS does.
void set_patience(Record& record, const DeliveryOptions& delivery, bool durable, bool is_strict);

}  // namespace iotcore::rules
