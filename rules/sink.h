#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "broker/workers.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace iotcore::rules {

struct BuiltIns;
class LocalFunctions;
class MemoryFiring;
class RecordSecrets;
class Targets;

// One thing to deliver to one sink, with everything resolved. Belongs to one thread at a time.
struct Record {
  std::uint64_t sequence = 0;  // in the outbox, unique for its sink for ever; 0: in memory only
  std::string rule;
  std::int32_t action = 0;          // index in the rule's actions; kErrorAction
  std::string delivery_id;          // the same at each attempt, also after a crash
  std::vector<std::string> fields;  // as the action's kind lays them out
  std::string payload;
  std::string secret_mark;  // of what stands there instead of secrets: rules/sql/withheld.h
  bool is_json = true;
  std::uint8_t hops = 0;  // republishes by rules before this one
  std::int64_t received_ms = 0;
  std::chrono::milliseconds age_max{0};
  std::uint32_t attempts_max = 0;  // 0: no limit

  // The firing that has to hear how this ends: durable ones by name, others by pointer.
  std::string message_id;
  std::uint32_t actions_mask = 0;
  std::shared_ptr<MemoryFiring> firing;  // shared by the records of one firing

  // The queue's own.
  std::uint32_t attempts = 0;
  std::uint32_t strikes = 0;  // failed alone, or while others of its batch succeeded
  std::uint32_t request = 0;  // Outcome::request of the last attempt
  MonotonicTime queued_at = {};
  Record* next = nullptr;

  static constexpr std::int32_t kErrorAction = -1;

  bool is_durable() const { return sequence != 0; }

  std::size_t size_bytes() const {
    std::size_t bytes =
        sizeof(Record) + payload.size() + rule.size() + delivery_id.size() + secret_mark.size();
    for (const std::string& field : fields) {
      bytes += field.size() + sizeof(std::string);
    }
    return bytes;
  }
};

// What became of one record of a batch.
struct Outcome {
  enum class Kind : std::uint8_t { kDelivered, kRetry, kPermanent };

  Kind kind = Kind::kDelivered;
  Duration retry_after{0};  // kRetry: not before that, if the target has said so
  std::string reason;
  bool is_own = false;   // kRetry: the target is well, this record alone is to wait
  bool is_tried = true;  // kRetry: else it only waits for one before it, and no attempt is counted
  // Records of one number went out in one request of a batching action, and are told to the errorAction together; 0: by itself.
  std::uint32_t request = 0;

  static Outcome retry(std::string reason, Duration after = {}) {
    return {Kind::kRetry, after, std::move(reason)};
  }

  // The others need not wait for it, and do not keep its place.
  static Outcome retry_alone(std::string reason, Duration after = {}) {
    return {Kind::kRetry, after, std::move(reason), true};
  }

  // Of a record that was not sent, since `failed`, before it, has to come again first.
  static Outcome behind(const Outcome& failed) {
    Outcome outcome = retry(failed.reason, failed.retry_after);
    outcome.is_tried = false;
    return outcome;
  }

  static Outcome permanent(std::string reason) { return {Kind::kPermanent, {}, std::move(reason)}; }
};

// Where records of one kind go for one target: a database, a file, a broker. Delivery only: queueing, retrying, batching, counting and what
// to do about failures are the SinkQueue's. One call at a time, on a thread that may block; nothing is opened before the first.
class Sink {
 public:
  virtual ~Sink() = default;
  // As far as it comes: an outcome for each record, in order; all are kDelivered when called. A record is delivered only when the target
  // keeps it whatever happens to us.
  virtual void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) = 0;
  // Whether the target would take anything at all; asked after several failures in a row.
  virtual Status probe() = 0;
};

// Sends one after another by `send`, Outcome(const Record&), as far as the first that has to come again: what is behind it must not overtake
// it.
template <typename Send>
void deliver_in_order(
    std::span<const Record* const> batch, std::span<Outcome> outcomes, const Send& send
) {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    outcomes[i] = send(*batch[i]);
    if (outcomes[i].kind == Outcome::Kind::kRetry && !outcomes[i].is_own) {
      std::ranges::fill(outcomes.subspan(i + 1), Outcome::behind(outcomes[i]));
      return;
    }
  }
}

// Records of a batch that go on to another sink, as they are or in another form, and where their outcomes belong.
class PartOfBatch {
 public:
  // `record` is there until deliver() has returned; `place` is that of the batch.
  void add(std::size_t place, const Record& record) {
    places_.push_back(place);
    records_.push_back(&record);
  }

  void deliver(Sink& sink, std::span<Outcome> outcomes) const {
    std::vector<Outcome> ends(records_.size());
    sink.deliver(records_, ends);
    for (std::size_t i = 0; i < ends.size(); ++i) {
      outcomes[places_[i]] = std::move(ends[i]);
    }
  }

  std::span<const std::size_t> places() const { return places_; }

 private:
  std::vector<const Record*> records_;
  std::vector<std::size_t> places_;
};

// What sinks and actions may use.
struct SinkEnvironment {
  std::filesystem::path folder;  // of files with relative names
  bool allow_absolute_paths = false;
  const Targets* targets = nullptr;  // what names in actions mean; nullptr: none is known
  LocalFunctions* functions = nullptr;
  const RecordSecrets* secrets = nullptr;  // nullptr: none is withheld
  std::string outbox_id;  // with a record's sequence and sink it names the record for ever
  std::string
      lane;  // "@2" of the second of several for one target, "-any" where names have ${…}; part of outbox_id
  broker::Workers* workers = nullptr;
  BuiltIns* built_ins = nullptr;  // nullptr where rules are only checked
  const Clock* clock = nullptr;
  std::vector<std::string> roles;  // that rules may name; empty: any
};

// How a queue treats the sinks of a kind, where an action does not say otherwise.
struct SinkDefaults {
  std::size_t batch_size = 100;
  std::size_t batch_bytes = 1U << 20;
  std::chrono::milliseconds linger{0};
  // 1: two of them for one target would be in each other's way. Of AWS's actions, as far as they go to what is built in.
  std::size_t concurrency_max = 64;
};

}  // namespace iotcore::rules
