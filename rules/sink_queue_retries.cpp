// What a queue does with records that a sink did not take.
#include "rules/sink_queue.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace iotcore::rules {

bool SinkQueue::may_be_retried(const Record& record, std::string& why_not) const {
  if (record.attempts_max != 0 && record.attempts >= record.attempts_max) {
    why_not = "gave up after " + std::to_string(record.attempts) + " attempts";
    return false;
  }
  const std::int64_t age_ms = to_epoch_ms(clock_.wall()) - record.received_ms;
  if (record.age_max.count() != 0 && age_ms > record.age_max.count()) {
    why_not = "gave up after " + std::to_string(age_ms / 1000) + " s";
    return false;
  }
  return true;
}

void SinkQueue::retry(Delivered all, bool from_aside) {
  const bool was_down = failures_in_row_ >= kFailuresUntilDown;
  if (!all.any && !from_aside) {
    ++failures_in_row_;
    note_result(failures_in_row_ < kFailuresUntilDown, all.reason);
  }
  if (!all.any && !from_aside && !all.alone && failures_in_row_ == kStrikesUntilAside) {
    alone_left_ =
        all.failed.size() + all.behind.size();  // one of them may be what spoils the others
  }
  // A record that fails by itself again and again while the target is well is not worth the others' time.
  const bool suspect = all.any || (all.alone && failures_in_row_ >= kStrikesUntilAside);
  const bool target_is_well = all.any || (suspect && sink_->probe().has_value());
  std::vector<std::unique_ptr<Record>> again;
  for (std::unique_ptr<Record>& record : all.failed) {
    if (!was_down) {
      ++record->attempts;
    }
    // While the target is away, being alone proves nothing.
    if (all.any || (all.alone && target_is_well)) {
      ++record->strikes;
    }
    std::string why_not;
    if (!may_be_retried(*record, why_not)) {
      memory_.give_back(record->size_bytes());
      end(std::move(record),
          {RecordEnd::Kind::kFailed, why_not + ": " + all.reason, RecordEnd::Cause::kGaveUp});
      continue;
    }
    metrics_.retries.add();
    if (from_aside || (target_is_well && record->strikes >= kStrikesUntilAside)) {
      set_aside(std::move(record));
    } else {
      again.push_back(std::move(record));
    }
  }
  const bool goes_on = again.empty();
  std::ranges::move(all.behind, std::back_inserter(again));
  put_back(std::move(again));
  if (goes_on) {
    failures_in_row_ = from_aside ? failures_in_row_ : 0;
  } else {
    back_off(all.retry_after);
  }
}

std::vector<std::unique_ptr<Record>> SinkQueue::without_too_old(
    std::vector<std::unique_ptr<Record>> batch, const std::string& reason
) {
  std::vector<std::unique_ptr<Record>> rest;
  for (std::unique_ptr<Record>& record : batch) {
    std::string why_not;
    if (may_be_retried(*record, why_not)) {
      rest.push_back(std::move(record));
      continue;
    }
    memory_.give_back(record->size_bytes());
    end(std::move(record),
        {RecordEnd::Kind::kFailed, why_not + ": " + reason, RecordEnd::Cause::kGaveUp});
  }
  return rest;
}

void SinkQueue::retry_alone(std::unique_ptr<Record> record, const Outcome& outcome) {
  ++record->attempts;
  ++record->strikes;
  std::string why_not;
  if (may_be_retried(*record, why_not)) {
    metrics_.retries.add();
    note_result(is_up_, outcome.reason);
    set_aside(std::move(record), outcome.retry_after);
    return;
  }
  memory_.give_back(record->size_bytes());
  end(std::move(record),
      {RecordEnd::Kind::kFailed, why_not + ": " + outcome.reason, RecordEnd::Cause::kGaveUp});
}

void SinkQueue::set_aside(std::unique_ptr<Record> record, Duration at_least) {
  record->request = 0;
  const Duration wait =
      backoff_.wait(now_options_.retry_base, now_options_.retry_max, record->strikes);
  const MonotonicTime not_before = clock_.now() + std::max(at_least, wait);
  wake_at(not_before);
  aside_.emplace(not_before, std::move(record));
}

void SinkQueue::put_back(std::vector<std::unique_ptr<Record>> records) {
  for (const std::unique_ptr<Record>& record : records) {
    record->request = 0;
  }
  pending_.insert(
      pending_.begin(),
      std::make_move_iterator(records.begin()),
      std::make_move_iterator(records.end())
  );
}

void SinkQueue::back_off(Duration at_least) {
  not_before_ =
      clock_.now() +
      std::max(
          at_least, backoff_.wait(now_options_.retry_base, now_options_.retry_max, failures_in_row_)
      );
  wake_at(not_before_);
}

bool SinkQueue::fail_some(const std::string& why) {
  constexpr std::size_t kAtOnce = 1000;
  std::size_t failed = 0;
  const auto fail_one = [&](std::unique_ptr<Record> record) {
    memory_.give_back(record->size_bytes());
    end(std::move(record), {RecordEnd::Kind::kFailed, why, RecordEnd::Cause::kTargetGone});
    ++failed;
  };
  for (auto& [not_before, record] : std::exchange(aside_, {})) {
    fail_one(std::move(record));
  }
  while (!pending_.empty() && failed < kAtOnce) {
    std::unique_ptr<Record> record = std::move(pending_.front());
    pending_.pop_front();
    fail_one(std::move(record));
  }
  return failed > 0;
}

}  // namespace iotcore::rules
