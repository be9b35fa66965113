#include "registry/events.h"

#include "base/crypto.h"
#include "registry/keys.h"

#include <algorithm>
#include <array>
#include <utility>

namespace iotcore::registry {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(EventType::kCount_)> kNames = {
    "THING",
    "THING_GROUP",
    "THING_TYPE",
    "THING_GROUP_MEMBERSHIP",
    "THING_GROUP_HIERARCHY",
    "THING_TYPE_ASSOCIATION",
    "JOB",
    "JOB_EXECUTION",
    "POLICY",
    "CERTIFICATE",
    "CA_CERTIFICATE",
};

// How many left events one read takes.
constexpr std::size_t kLeftPage = 1000;

constexpr std::uint32_t bit_of(std::size_t type) {
  return std::uint32_t{1} << type;
}

std::uint32_t bits_of(const record::EventConfigurations& configurations) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    const auto& enabled = configurations.enabled();
    if (std::find(enabled.begin(), enabled.end(), kNames[i]) != enabled.end()) {
      bits |= bit_of(i);
    }
  }
  return bits;
}

}  // namespace

std::string_view event_type_name(EventType type) {
  return kNames[static_cast<std::size_t>(type)];
}

Status Events::load() {
  IOTCORE_ASSIGN(
      const auto found,
      find_record<record::EventConfigurations>(
          store_, keys::kRegistry, keys::event_configurations()
      )
  );
  enabled_ = found ? bits_of(found->record) : 0;
  return {};
}

Status Events::start(Publish publish) {
  IOTCORE_TRY(load());
  // Numbers grow from one run to the next, unless the clock is set back; an event that overtakes another does no harm.
  last_number_ = static_cast<std::uint64_t>(to_epoch_ms(clock_.wall())) << 20U;
  publish_ = std::move(publish);
  started_ = true;
  std::string from;
  while (true) {
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> left,
        store_.scan(keys::kRegistry, keys::events(), from, kLeftPage)
    );
    for (const store::Entry& row : left) {
      store::KeyReader reader(row.key);
      reader.kind();
      IOTCORE_ASSIGN(record::Event event, parse_record<record::Event>(row.value));
      this->publish(
          {reader.u64().value_or(0),
           std::move(*event.mutable_topic()),
           std::move(*event.mutable_payload())}
      );
    }
    if (left.size() < kLeftPage) {
      return {};
    }
    from = store::key_after(left.back().key);
  }
}

bool Events::enabled(EventType type) const {
  return (enabled_.load(std::memory_order_relaxed) & bit_of(static_cast<std::size_t>(type))) != 0;
}

json::object Events::begin(EventType type, std::string_view operation) const {
  json::object event;
  event["eventType"] = std::string(event_type_name(type)) + "_EVENT";
  event["eventId"] = new_uuid();
  event["timestamp"] = to_epoch_ms(clock_.wall());
  event["operation"] = operation;
  event["accountId"] = options_.account.id;
  return event;
}

void Events::add(Change& change, std::string_view topic, const json::object& event) {
  const std::uint64_t number = last_number_.fetch_add(1) + 1;
  record::Event row;
  row.set_topic(std::string("$aws/events/").append(topic));
  row.set_payload(to_json(event));
  change.batch.put(keys::kRegistry, keys::event(number), to_row(row));
  change.events_.push_back(
      {number, std::move(*row.mutable_topic()), std::move(*row.mutable_payload())}
  );
}

Status Events::commit(Change change) {
  IOTCORE_TRY(registry::commit(store_, std::move(change.batch)));
  if (started_) {
    for (Change::Pending& event : change.events_) {
      publish(std::move(event));
    }
  }
  return {};
}

void Events::publish(Change::Pending event) {
  const std::uint64_t number = event.number;
  publish_(std::move(event.topic), std::move(event.payload), [this, number] {
    store::Batch gone;
    gone.erase(keys::kRegistry, keys::event(number));
    // Nobody waits for it: without it the event is published once more after a crash.
    store_.commit(std::move(gone), nullptr, nullptr);
  });
}

Result<api::DescribeEventConfigurationsResponse>
Events::describe(const api::DescribeEventConfigurationsRequest&) {
  IOTCORE_ASSIGN(
      const auto found,
      find_record<record::EventConfigurations>(
          store_, keys::kRegistry, keys::event_configurations()
      )
  );
  const std::uint32_t bits = found ? bits_of(found->record) : 0;
  api::DescribeEventConfigurationsResponse response;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    (*response.mutable_event_configurations())[std::string(kNames[i])].set_enabled(
        (bits & bit_of(i)) != 0
    );
  }
  if (found) {
    response.set_creation_date(found->record.created_ms());
    response.set_last_modified_date(found->record.modified_ms());
  }
  return response;
}

Result<api::UpdateEventConfigurationsResponse> Events::update(
    const api::UpdateEventConfigurationsRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&] { return try_update(request); }));
  IOTCORE_TRY(load());
  return api::UpdateEventConfigurationsResponse();
}

Status Events::try_update(const api::UpdateEventConfigurationsRequest& request) {
  const auto key = keys::event_configurations();
  IOTCORE_ASSIGN(
      const auto found, find_record<record::EventConfigurations>(store_, keys::kRegistry, key)
  );
  record::EventConfigurations configurations;
  const std::uint32_t bits = found ? bits_of(found->record) : 0;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    const auto given = request.event_configurations().find(std::string(kNames[i]));
    const bool named = given != request.event_configurations().end();
    if (named ? given->second.enabled() : (bits & bit_of(i)) != 0) {
      configurations.add_enabled(std::string(kNames[i]));
    }
  }
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  configurations.set_created_ms(found ? found->record.created_ms() : now_ms);
  configurations.set_modified_ms(now_ms);
  store::Batch batch;
  if (found) {
    batch.expect_revision(keys::kRegistry, key, found->revision);
  } else {
    batch.expect_absent(keys::kRegistry, key);
  }
  batch.put(keys::kRegistry, key, to_row(configurations));
  return registry::commit(store_, std::move(batch));
}

}  // namespace iotcore::registry
