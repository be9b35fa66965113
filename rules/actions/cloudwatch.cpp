#include "rules/actions/cloudwatch.h"

#include "base/json.h"
#include "broker/topic.h"
#include "rules/actions/aws_messages.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/measurement_targets.h"
#include "rules/actions/post_targets.h"
#include "rules/actions/sns.h"
#include "rules/actions/transaction_sink.h"
#include "rules/built_ins.h"
#include "rules/in_process_publish.h"
#include "rules/series/series_store.h"
#include "rules/tables/table_store.h"

#include <fmt/format.h>

#include <array>

namespace iotcore::rules::actions {
namespace {

// cloudwatchMetric

Status check_label(std::string_view value) {
  constexpr std::size_t kBytesMax = 255;
  return value.empty() || value.size() > kBytesMax
             ? fail(Errc::kInvalidRequest, "must have 1 to 255 bytes")
             : Status();
}

constexpr auto kMetricFields = std::to_array<FieldSpec>({
    {.member = "metricNamespace", .check = check_label},
    {.member = "metricName", .check = check_label},
    {.member = "metricValue", .check = check_number},
    {.member = "metricUnit", .check = check_label},
    {.member = "metricTimestamp", .presence = Presence::kOptional, .check = check_whole_number},
});
static_assert(kMetricFields.size() == kCloudwatchMetricFieldCount);

constexpr ActionSpec kMetricSpec = {
    .kind = CloudwatchMetric::kName,
    .fields = kMetricFields,
    .name = kMetricNamespace,
    .order_by = kMetricName};

SqliteResult<void> write_metric(SqliteDatabase& database, const Record& record) {
  const Action::Fields& fields = record.fields;
  if (fields.size() != kCloudwatchMetricFieldCount) {
    return refuse_record("not a record of this kind");
  }
  const Result<std::int64_t> time =
      fields[kMetricTimestamp].empty()
          ? series::to_nanoseconds(record.received_ms, "MILLISECONDS")
          : series::to_nanoseconds(fields[kMetricTimestamp], "SECONDS");
  const std::optional<double> value = to_number(fields[kMetricValue]);
  if (!time || !value) {
    return refuse_record(time ? "the value is not a number" : time.error().message());
  }
  const std::string unit = to_json(json::value(json::object{{"unit", fields[kMetricUnit]}}));
  series::PointView point;
  point.database = "cloudwatch";
  point.table = fields[kMetricNamespace];
  point.name = fields[kMetricName];
  point.time_ns = *time;
  point.dimensions = unit;
  point.value = *value;
  return series::write_point(database, point);
}

class MetricSink final : public Sink {
 public:
  MetricSink(std::filesystem::path file, MetricSeries* series)
      : points_(std::move(file), series::kSchema, &write_metric), series_(series) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    points_.deliver(batch, outcomes);
    for (std::size_t i = 0; series_ != nullptr && i < batch.size(); ++i) {
      if (outcomes[i].kind != Outcome::Kind::kDelivered) {
        continue;
      }
      const Action::Fields& fields = batch[i]->fields;
      const Status shown = series_->observe(
          {fields[kMetricNamespace], fields[kMetricName], fields[kMetricUnit]},
          to_number(fields[kMetricValue]).value_or(0)
      );
      if (!shown) {
        outcomes[i] = Outcome::permanent(shown.error().message());
      }
    }
  }

  Status probe() override { return points_.probe(); }

 private:
  TransactionSink points_;
  MetricSeries* series_;
};

Result<std::unique_ptr<Sink>> make_metrics(const SinkEnvironment& environment) {
  return std::make_unique<MetricSink>(
      environment.folder / series::kFileName,
      environment.built_ins == nullptr ? nullptr : &environment.built_ins->metrics
  );
}

constexpr AwsSinks kMetricSinks = {
    CloudwatchMetric::kName, &field_of<kMetricNamespace>, &make_metrics, &make_bound_metric};

// cloudwatchAlarm

constexpr std::string_view kAlarmTopic = "$iotcore/alarms/";
constexpr std::string_view kNoState = "INSUFFICIENT_DATA";
constexpr const char* kAlarmSchema =
    "CREATE TABLE IF NOT EXISTS alarms(name TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT "
    "NULL, changed_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL) WITHOUT ROWID";

Status check_alarm(std::string_view value) {
  return !value.empty() && broker::is_valid_topic(value)
             ? Status()
             : fail(Errc::kInvalidRequest, fmt::format("'{}' is not an alarm's name", value));
}

Status check_reason(std::string_view value) {
  constexpr std::size_t kBytesMax = 1023;
  return value.size() <= kBytesMax ? Status()
                                   : fail(Errc::kInvalidRequest, "is longer than 1023 bytes");
}

Status check_state(std::string_view value) {
  return value == "OK" || value == "ALARM" || value == kNoState
             ? Status()
             : fail(
                   Errc::kInvalidRequest,
                   fmt::format("'{}' is none of OK, ALARM and INSUFFICIENT_DATA", value)
               );
}

constexpr auto kAlarmFields = std::to_array<FieldSpec>({
    {.member = "alarmName", .check = check_alarm},
    {.member = "stateReason", .check = check_reason},
    {.member = "stateValue", .check = check_state},
});
static_assert(kAlarmFields.size() == kCloudwatchAlarmFieldCount);

constexpr ActionSpec kAlarmSpec = {
    .kind = CloudwatchAlarm::kName,
    .fields = kAlarmFields,
    .name = kAlarmName,
    .order_by = kAlarmName};

struct AlarmState {
  std::string value{kNoState};
  std::string reason;
};

json::object shown(std::string_view value, std::string_view reason) {
  return {{"value", value}, {"reason", reason}};
}

// What a state was is read, its change told, and then written: after a crash in between it is told again.
class AlarmSink final : public Sink {
 public:
  // `subscriptions`: who besides hears of changes; may be nullptr.
  AlarmSink(
      std::filesystem::path file, broker::Workers& workers, std::unique_ptr<Sink> subscriptions
  )
      : file_(std::move(file)), workers_(workers), subscriptions_(std::move(subscriptions)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    deliver_in_order(batch, outcomes, [this](const Record& record) {
      return record.fields.size() == kCloudwatchAlarmFieldCount
                 ? deliver(record)
                 : Outcome::permanent("not a record of this kind");
    });
  }

  Status probe() override {
    auto opened = ensure_open();
    return opened ? Status() : fail(Errc::kUnavailable, opened.error().message);
  }

 private:
  Outcome deliver(const Record& record) {
    auto before = read(record.fields[kAlarmName]);
    if (!before) {
      database_.reset();
      return Outcome::retry(before.error().message);
    }
    const bool changed = before->value != record.fields[kStateValue];
    const Outcome told = changed ? tell(record, *before) : Outcome();
    if (told.kind == Outcome::Kind::kRetry) {
      return told;
    }
    if (auto written = write(record, changed); !written) {
      database_.reset();
      return Outcome::retry(written.error().message);
    }
    return told;
  }

  Outcome tell(const Record& record, const AlarmState& before) {
    json::object change;
    change["alarmName"] = record.fields[kAlarmName];
    change["state"] = shown(record.fields[kStateValue], record.fields[kStateReason]);
    change["previousState"] = shown(before.value, before.reason);
    change["timestamp"] = record.received_ms;
    const std::string text = to_json(json::value(std::move(change)));
    const broker::Message::Ref message =
        make_service_message(std::string(kAlarmTopic) + record.fields[kAlarmName], text);
    if (!publish_and_wait(workers_, std::span(&message, 1)).front()) {
      return Outcome::retry("the broker has not confirmed the publish");
    }
    if (subscriptions_ == nullptr) {
      return {};
    }
    Record notification;
    notification.delivery_id = record.delivery_id;
    notification.received_ms = record.received_ms;
    notification.payload = text;
    notification.fields.resize(kSnsFieldCount);
    notification.fields[kTargetArn] = record.fields[kAlarmName];
    const Record* const one = &notification;
    Outcome told;
    subscriptions_->deliver(std::span(&one, 1), std::span(&told, 1));
    told.is_own = false;  // the alarm's next state must not overtake it
    return told;
  }

  SqliteResult<void> ensure_open() {
    if (database_ && database_->is_current()) {
      return {};
    }
    database_.reset();
    auto opened = SqliteDatabase::open(file_);
    if (!opened) {
      return tl::unexpected(std::move(opened).error());
    }
    if (auto ready = (*opened)->run(kAlarmSchema); !ready) {
      return ready;
    }
    database_ = std::move(*opened);
    return {};
  }

  SqliteResult<AlarmState> read(const std::string& name) {
    if (auto opened = ensure_open(); !opened) {
      return tl::unexpected(std::move(opened).error());
    }
    auto statement = database_->prepare("SELECT state, reason FROM alarms WHERE name = ?1");
    if (!statement) {
      return tl::unexpected(statement.error());
    }
    (*statement)->bind(1, std::string_view(name));
    const auto row = (*statement)->step();
    AlarmState state;
    if (row && *row) {
      state = {std::string((*statement)->text(0)), std::string((*statement)->text(1))};
    }
    (*statement)->reset();
    if (!row) {
      return tl::unexpected(row.error());
    }
    return state;
  }

  SqliteResult<void> write(const Record& record, bool changed) {
    auto statement = database_->prepare(
        "INSERT INTO alarms(name, state, reason, changed_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, "
        "?4) "
        "ON CONFLICT DO UPDATE SET state = excluded.state, reason = excluded.reason, "
        "updated_ms = excluded.updated_ms, changed_ms = iif(?5, excluded.changed_ms, changed_ms)"
    );
    if (!statement) {
      return tl::unexpected(statement.error());
    }
    SqliteStatement& row = **statement;
    row.bind(1, std::string_view(record.fields[kAlarmName]));
    row.bind(2, std::string_view(record.fields[kStateValue]));
    row.bind(3, std::string_view(record.fields[kStateReason]));
    row.bind(4, record.received_ms);
    row.bind(5, std::int64_t{changed ? 1 : 0});
    return run_once(row);
  }

  const std::filesystem::path file_;
  broker::Workers& workers_;
  const std::unique_ptr<Sink> subscriptions_;
  std::unique_ptr<SqliteDatabase> database_;
};

Result<std::unique_ptr<Sink>> make_alarms(const SinkEnvironment& environment) {
  if (environment.workers == nullptr) {
    return fail(Errc::kUnavailable, "there is no broker here to publish to");
  }
  return std::make_unique<AlarmSink>(
      environment.folder / tables::kFileName, *environment.workers, nullptr
  );
}

Result<std::unique_ptr<Sink>> make_bound_alarm(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == SnsTarget::kName && environment.workers != nullptr) {
    IOTCORE_ASSIGN(std::unique_ptr<Sink> subscriptions, make_subscriptions(target, environment));
    return std::make_unique<AlarmSink>(
        environment.folder / tables::kFileName, *environment.workers, std::move(subscriptions)
    );
  }
  return target->kind == "alertmanager" ? make_alertmanager(target, environment)
                                        : make_aws_alarm(target, environment);
}

constexpr AwsSinks kAlarmSinks = {
    CloudwatchAlarm::kName, &field_of<kAlarmName>, &make_alarms, &make_bound_alarm};

}  // namespace

ParsedAction CloudwatchMetric::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, kMetricSpec);
}

Result<std::unique_ptr<Sink>> CloudwatchMetric::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kMetricSinks, &make_sink);
}

ParsedAction CloudwatchAlarm::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, kAlarmSpec);
}

Result<std::unique_ptr<Sink>> CloudwatchAlarm::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kAlarmSinks, &make_sink);
}

}  // namespace iotcore::rules::actions
