#include "rules/dead_letters.h"

#include "rules/keys.h"
#include "rules/sinks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

namespace iotcore::rules {
namespace {

constexpr std::size_t kPage = 1000;

struct Address {
  std::string rule;
  std::uint64_t sequence = 0;
};

std::string id_of(std::string_view rule, std::uint64_t sequence) {
  return fmt::format("{}-{}", rule, sequence);
}

std::optional<Address> address_of(std::string_view id) {
  const std::size_t dash = id.rfind('-');
  Address address;
  if (dash == std::string_view::npos) {
    return std::nullopt;
  }
  address.rule = id.substr(0, dash);
  const auto [end, error] =
      std::from_chars(id.data() + dash + 1, id.data() + id.size(), address.sequence);
  return error == std::errc() && end == id.data() + id.size() ? std::optional(address)
                                                              : std::nullopt;
}

std::optional<DeadLetter> from_entry(const store::Entry& entry) {
  store::KeyReader key(entry.key);
  key.kind();
  const std::string rule = key.text().value_or("");
  const std::uint64_t sequence = key.u64().value_or(0);
  DeadLetter letter{id_of(rule, sequence), {}};
  return letter.content.ParseFromString(entry.value) ? std::optional(std::move(letter))
                                                     : std::nullopt;
}

tl::unexpected<Error> unknown(std::string_view id) {
  return fail(Errc::kNotFound, fmt::format("there is no dead letter {}", id));
}

}  // namespace

DeadLetters::DeadLetters(Outbox& outbox, Metrics& metrics, const Clock& clock, FiringLimits limits)
    : outbox_(outbox),
      metrics_(metrics),
      buried_(metrics.counter("iotcore_dead_letters_total", "Records that nobody took")),
      bytes_(metrics.gauge("iotcore_dead_letter_bytes", "Bytes of the dead letters kept")),
      dropped_(metrics.counter(
          "iotcore_dead_letters_dropped_total", "Dead letters for which there was no room"
      )),
      clock_(clock),
      limits_(limits) {}

Gauge& DeadLetters::kept(const std::string& rule) {
  const std::lock_guard lock(mutex_);
  Gauge*& gauge = kept_[rule];
  if (gauge == nullptr) {
    gauge = &metrics_.gauge("iotcore_dead_letters", "Dead letters kept", {{"rule", rule}});
  }
  return *gauge;
}

Status DeadLetters::load() {
  next_ = outbox_.first_sequence();
  store::Batch unreadable;
  std::string from;
  for (;;) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> page,
        outbox_.store().scan(keys::kOutbox, keys::dead_letters(), from, kPage)
    );
    for (const store::Entry& entry : page) {
      const std::optional<DeadLetter> letter = from_entry(entry);
      if (!letter) {
        unreadable.erase(keys::kOutbox, entry.key);
      } else {
        bytes_.add(static_cast<std::int64_t>(entry.value.size()));
        kept(letter->content.record().rule()).add(1);
      }
    }
    if (page.size() < kPage) {
      break;
    }
    from = store::key_after(page.back().key);
  }
  if (!unreadable.empty()) {
    outbox_.store().commit(std::move(unreadable), nullptr, nullptr);
  }
  return drop_too_old();
}

Status DeadLetters::drop_too_old() {
  const std::int64_t oldest_ms =
      to_epoch_ms(clock_.wall()) -
      std::chrono::duration_cast<std::chrono::milliseconds>(limits_.dead_letter_age_max).count();
  std::vector<std::string> rules;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [rule, gauge] : kept_) {
      rules.push_back(rule);
    }
  }
  const std::lock_guard changing(changing_);
  for (const std::string& rule : rules) {
    std::vector<DeadLetter> letters;
    do {
      IOTCORE_ASSIGN(letters, list(rule, "", kPage));
      // The oldest come first.
      const auto young = std::ranges::find_if(letters, [&](const DeadLetter& letter) {
        return letter.content.failed_ms() >= oldest_ms;
      });
      letters.erase(young, letters.end());
      IOTCORE_TRY(erase(letters));
    } while (letters.size() == kPage);
  }
  return {};
}

Status DeadLetters::erase(std::span<const DeadLetter> letters) {
  if (letters.empty()) {
    return {};
  }
  store::Batch batch;
  for (const DeadLetter& letter : letters) {
    const Address address = *address_of(letter.id);
    batch.erase(keys::kOutbox, keys::dead_letter(address.rule, address.sequence));
  }
  IOTCORE_TRY(outbox_.store().commit_wait(std::move(batch)));
  for (const DeadLetter& letter : letters) {
    note_gone(letter);
  }
  return {};
}

void DeadLetters::bury(
    const std::string& sink,
    const Record& record,
    std::vector<record::ActionFailure> failures,
    store::Batch& batch
) {
  record::DeadLetter letter;
  *letter.mutable_record() = to_row(record);
  letter.set_sink(sink);
  letter.set_failed_ms(to_epoch_ms(clock_.wall()));
  for (record::ActionFailure& failure : failures) {
    *letter.add_failures() = std::move(failure);
  }
  const std::string row = letter.SerializeAsString();
  const auto size = static_cast<std::int64_t>(row.size());
  if (bytes_.value() + size > static_cast<std::int64_t>(limits_.dead_letter_bytes_max)) {
    dropped_.add_shared();
    return;
  }
  bytes_.add(size);
  buried_.add_shared();
  kept(record.rule).add(1);
  batch.put(keys::kOutbox, keys::dead_letter(record.rule, next_++), row);
}

Result<std::vector<DeadLetter>> DeadLetters::list(
    std::string_view rule, std::string_view after, std::size_t limit
) const {
  std::string from;
  if (!after.empty()) {
    const std::optional<Address> last = address_of(after);
    if (!last) {
      return unknown(after);
    }
    from = store::key_after(keys::dead_letter(last->rule, last->sequence).view());
  }
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> page,
      outbox_.store().scan(
          keys::kOutbox,
          rule.empty() ? keys::dead_letters() : keys::dead_letters_of(rule),
          from,
          limit
      )
  );
  std::vector<DeadLetter> letters;
  for (const store::Entry& entry : page) {
    if (std::optional<DeadLetter> letter = from_entry(entry)) {
      letters.push_back(std::move(*letter));
    }
  }
  return letters;
}

Result<DeadLetter> DeadLetters::get(std::string_view id) const {
  const std::optional<Address> address = address_of(id);
  if (!address) {
    return unknown(id);
  }
  const std::string key = keys::dead_letter(address->rule, address->sequence).take();
  IOTCORE_ASSIGN(const std::optional<store::Row> row, outbox_.store().get(keys::kOutbox, key));
  std::optional<DeadLetter> letter;
  if (row) {
    letter = from_entry({key, row->value, row->revision});
  }
  if (!letter) {
    return unknown(id);
  }
  return *std::move(letter);
}

void DeadLetters::note_gone(const DeadLetter& letter) {
  bytes_.add(-static_cast<std::int64_t>(letter.content.ByteSizeLong()));
  kept(letter.content.record().rule()).add(-1);
}

template <typename Act>
Result<std::size_t> DeadLetters::each_page(const Selection& selection, const Act& act) {
  const std::lock_guard changing(changing_);
  std::vector<DeadLetter> letters;
  if (!selection.ids.empty()) {
    std::set<std::string_view> seen;
    for (const std::string& id : selection.ids) {
      if (!seen.insert(id).second) {
        continue;
      }
      IOTCORE_ASSIGN(DeadLetter letter, get(id));
      letters.push_back(std::move(letter));
    }
    IOTCORE_TRY(act(letters));
    return letters.size();
  }
  const std::uint64_t end = next_;  // what is buried from now on, maybe by us, is not meant
  std::size_t count = 0;
  std::string after;
  for (;;) {
    IOTCORE_ASSIGN(letters, list(selection.rule, after, kPage));
    if (letters.empty()) {
      return count;
    }
    after = letters.back().id;
    std::erase_if(letters, [&](const DeadLetter& letter) {
      return address_of(letter.id)->sequence >= end;
    });
    IOTCORE_TRY(act(letters));
    count += letters.size();
  }
}

Result<std::size_t> DeadLetters::retry(const Selection& selection, Sinks& sinks) {
  return each_page(selection, [&](const std::vector<DeadLetter>& letters) -> Status {
    store::Batch batch;
    std::vector<std::pair<SinkQueue*, std::unique_ptr<Record>>> again;
    for (const DeadLetter& letter : letters) {
      const std::string& sink = letter.content.sink();
      if (sink.empty()) {
        return fail(
            Errc::kConflict,
            fmt::format("{} never got as far as a target: it can only be dropped", letter.id)
        );
      }
      IOTCORE_ASSIGN(SinkQueue * queue, sinks.open(sink, {}));
      std::unique_ptr<Record> record =
          from_row(letter.content.record(), queue->next_sequence(batch));
      record->received_ms = to_epoch_ms(clock_.wall());
      record->message_id.clear();  // its firing is over: it comes back here if it fails again
      record->actions_mask = 0;
      Outbox::put(batch, sink, *record);
      const Address address = *address_of(letter.id);
      batch.erase(keys::kOutbox, keys::dead_letter(address.rule, address.sequence));
      again.emplace_back(queue, std::move(record));
    }
    if (again.empty()) {
      return {};
    }
    IOTCORE_TRY(outbox_.store().commit_wait(std::move(batch)));
    for (auto& [queue, record] : again) {
      queue->push(std::move(record));
    }
    for (const DeadLetter& letter : letters) {
      note_gone(letter);
    }
    return {};
  });
}

Result<std::size_t> DeadLetters::drop(const Selection& selection) {
  return each_page(selection, [this](const std::vector<DeadLetter>& letters) {
    return erase(letters);
  });
}

}  // namespace iotcore::rules
