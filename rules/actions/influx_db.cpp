#include "rules/actions/influx_db.h"

#include "net/http_caller.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/influx_sink.h"
#include "rules/actions/line_protocol.h"
#include "rules/actions/transaction_sink.h"
#include "rules/bindings.h"
#include "rules/built_ins.h"
#include "rules/member_reader.h"
#include "rules/series/series_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace iotcore::rules::actions {
namespace {

// The fields of a record; the points as a JSON list of {"m": measurement, "t": time, "tags": {…}, "fields": {…}}.
enum Field : std::size_t { kDatabase, kOrganization, kUnit, kPoints, kFieldCount };

constexpr std::string_view kBindingKind = "influx";
constexpr std::string_view kTimestamp = "timestamp";
constexpr std::size_t kTagsMax = 128;

// A text in which one @{path} may stand, or any ${…}.
struct PointTemplate {
  sql::Template text;  // without @{…}, the whole
  bool per_point = false;
  std::string before;
  std::vector<std::string> path;
  std::string after;
  std::string whole_member;  // of "${member}" and nothing else: the member's name

  Result<std::string> render(const ActionInput& input, const json::object& point) const {
    if (!per_point) {
      return input.evaluation.render(text);
    }
    const json::value* at = nullptr;
    const json::object* object = &point;
    for (const std::string& step : path) {
      at = object == nullptr ? nullptr : object->if_contains(step);
      object = at == nullptr ? nullptr : at->if_object();
    }
    if (at == nullptr || at->is_null()) {
      return before + after;
    }
    return before + (at->is_string() ? std::string(at->get_string()) : to_json(*at)) + after;
  }

  // The member of a point that this takes out of its fields; empty: none.
  const std::string& taken() const { return per_point ? path.front() : whole_member; }
};

bool is_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
}

// The path of the one @{…} in the text; an error says what is wrong with it.
Status read_marker(std::string_view text, PointTemplate& made) {
  const std::size_t begin = text.find("@{");
  const std::size_t end = text.find('}', begin);
  if (end == std::string_view::npos) {
    return fail(Errc::kInvalidRequest, "a @{ is never closed");
  }
  if (text.find("@{", end) != std::string_view::npos || text.find("${") != std::string_view::npos) {
    return fail(Errc::kInvalidRequest, "may have one @{…}, and no ${…} beside it");
  }
  std::string_view path = text.substr(begin + 2, end - begin - 2);
  while (true) {
    const std::size_t dot = path.find('.');
    if (!is_name(path.substr(0, dot))) {
      return fail(Errc::kInvalidRequest, "@{…} holds the path of a member, such as @{a.b}");
    }
    made.path.emplace_back(path.substr(0, dot));
    if (dot == std::string_view::npos) {
      break;
    }
    path.remove_prefix(dot + 1);
  }
  made.per_point = true;
  made.before = text.substr(0, begin);
  made.after = text.substr(end + 1);
  return {};
}

std::optional<PointTemplate> read_template(MemberReader& members, std::string_view name) {
  std::optional<sql::Template> text = members.text_template(name);
  if (!text) {
    return std::nullopt;
  }
  PointTemplate made{*std::move(text), false, {}, {}, {}, {}};
  const std::string_view written = made.text.text();
  if (written.find("@{") != std::string_view::npos) {
    if (const Status valid = read_marker(written, made); !valid) {
      members.fail_member(name, valid.error().message());
    }
  } else if (written.starts_with("${") && written.ends_with("}") && is_name(written.substr(2, written.size() - 3))) {
    made.whole_member = written.substr(2, written.size() - 3);
  }
  return made;
}

class InfluxAction final : public Action {
 public:
  struct Members {
    std::string target;
    sql::Template database;
    std::optional<sql::Template> organization;
    PointTemplate table;
    std::vector<std::pair<std::string, PointTemplate>> tags;
    std::string unit;
    std::optional<BatchConfig> batches;
  };

  explicit InfluxAction(Members members) : members_(std::move(members)) {}

  std::string target() const override { return members_.target; }

  std::string resource(const Fields& fields) const override { return fields[kDatabase]; }

  void fill_in(DeliveryOptions& delivery) const override {
    actions::fill_in(delivery, members_.batches);
  }

  Batching batching() const override { return batching_of(members_.batches); }

  Result<Fields> resolve(const ActionInput& input) const override {
    Result<json::value> result = parse_json(input.payload);
    if (!input.is_json || !result) {
      return fail(Errc::kInvalidRequest, "the result is not JSON, so it has no points");
    }
    Fields fields(kFieldCount);
    IOTCORE_ASSIGN(fields[kDatabase], input.evaluation.render(members_.database));
    if (members_.organization) {
      IOTCORE_ASSIGN(fields[kOrganization], input.evaluation.render(*members_.organization));
    }
    fields[kUnit] = members_.unit;
    json::array points;
    if (result->is_array()) {
      for (const json::value& each : result->get_array()) {
        IOTCORE_ASSIGN(json::object point, point_of(input, each));
        points.push_back(std::move(point));
      }
    } else {
      IOTCORE_ASSIGN(json::object point, point_of(input, *result));
      points.push_back(std::move(point));
    }
    if (points.empty()) {
      return fail(Errc::kInvalidRequest, "the result is an empty list");
    }
    fields[kPoints] = to_json(points);
    return fields;
  }

 private:
  Result<json::object> point_of(const ActionInput& input, const json::value& element) const {
    const json::object* members = element.if_object();
    const json::value* time = members == nullptr ? nullptr : members->if_contains(kTimestamp);
    if (time == nullptr || !time->is_int64()) {
      return fail(Errc::kInvalidRequest, "a point is an object with a whole number `timestamp`");
    }
    json::object fields = *members;
    fields.stable_erase(fields.find(kTimestamp));
    json::object tags;
    IOTCORE_ASSIGN(const std::string table, members_.table.render(input, *members));
    for (const auto& [name, value] : members_.tags) {
      IOTCORE_ASSIGN(tags[name], value.render(input, *members));
    }
    const auto take_out = [&fields](const PointTemplate& used) {
      if (const auto found = fields.find(used.taken()); found != fields.end()) {
        fields.stable_erase(found);
      }
    };
    take_out(members_.table);
    for (const auto& [name, value] : members_.tags) {
      take_out(value);
    }
    InfluxPoint point{table, {}, fields, time->get_int64()};
    for (const auto& tag : tags) {
      point.tags.emplace_back(tag.key(), tag.value().get_string());
    }
    std::string line;  // whether it can be written at all
    IOTCORE_TRY(append_line(line, point));
    IOTCORE_TRY(series::to_nanoseconds(time->get_int64(), members_.unit));
    return json::object{
        {"m", table}, {"t", *time}, {"tags", std::move(tags)}, {"fields", std::move(fields)}};
  }

  Members members_;
};

// The points of a record; an error: it is not one of this kind.
Result<std::vector<InfluxPoint>> points_of(const Record& record) {
  std::vector<InfluxPoint> points;
  if (record.fields.size() != kFieldCount) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  IOTCORE_ASSIGN(const json::value list, parse_json(record.fields[kPoints]));
  if (!list.is_array()) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  for (const json::value& each : list.get_array()) {
    const json::object& point = each.as_object();
    InfluxPoint& made = points.emplace_back();
    made.measurement = std::string(point.at("m").as_string());
    made.time = point.at("t").as_int64();
    made.fields = point.at("fields").as_object();
    for (const auto& tag : point.at("tags").as_object()) {
      made.tags.emplace_back(tag.key(), tag.value().as_string());
    }
  }
  return points;
}

class InfluxWriter : public InfluxSink {
 public:
  using InfluxSink::InfluxSink;

 private:
  Result<InfluxLines> lines_of(const Record& record) override {
    IOTCORE_ASSIGN(const std::vector<InfluxPoint> points, points_of(record));
    InfluxLines made{
        record.fields[kDatabase], record.fields[kOrganization], record.fields[kUnit], {}};
    for (const InfluxPoint& point : points) {
      IOTCORE_TRY(append_line(made.lines, point));
    }
    return made;
  }
};

SqliteResult<void> write_point_of(
    SqliteDatabase& database, const Record& record, const InfluxPoint& point
) {
  json::object tags;
  for (const auto& [name, value] : point.tags) {
    tags[name] = value;
  }
  const std::string dimensions = to_json(tags);
  series::PointView view;
  view.database = record.fields[kDatabase];
  view.table = point.measurement;
  view.dimensions = dimensions;
  view.time_ns = series::to_nanoseconds(point.time, record.fields[kUnit]).value_or(0);
  for (const auto& field : point.fields) {
    std::string text;
    const json::value& value = field.value();
    view.name = field.key();
    switch (value.kind()) {
      case json::kind::null:
        continue;
      case json::kind::bool_:
        view.value = value.get_bool();
        break;
      case json::kind::int64:
        view.value = value.get_int64();
        break;
      case json::kind::uint64:
        view.value = static_cast<double>(value.get_uint64());
        break;
      case json::kind::double_:
        view.value = value.get_double();
        break;
      case json::kind::string:
        view.value = std::string_view(value.get_string());
        break;
      default:
        text = to_json(value);
        view.value = std::string_view(text);
    }
    if (auto written = series::write_point(database, view); !written) {
      return written;
    }
  }
  return {};
}

SqliteResult<void> write_points(SqliteDatabase& database, const Record& record) {
  const Result<std::vector<InfluxPoint>> points = points_of(record);
  if (!points) {
    return refuse_record(points.error().message());
  }
  for (const InfluxPoint& point : *points) {
    if (auto written = write_point_of(database, record, point); !written) {
      return written;
    }
  }
  return {};
}

Result<std::unique_ptr<Sink>> make_built_in(const SinkEnvironment& environment) {
  return std::make_unique<TransactionSink>(
      environment.folder / series::kFileName, series::kSchema, &write_points
  );
}

Result<std::unique_ptr<Sink>> make_bound(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return std::make_unique<InfluxWriter>(target, *environment.targets);
}

constexpr AwsSinks kSinks = {kBindingKind, &field_of<kDatabase>, &make_built_in, &make_bound};

// What a rule destination stands for. Where there is none of that ARN, since the rule comes from elsewhere, the database's name says where the points go.
class InfluxDestination final : public InfluxWriter {
 public:
  InfluxDestination(
      std::string arn,
      Destinations& destinations,
      const Targets& targets,
      std::unique_ptr<Sink> other
  )
      : InfluxWriter(nullptr, targets),
        arn_(std::move(arn)),
        destinations_(destinations),
        other_(std::move(other)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    Result<record::RuleDestination> found = destinations_.influx(arn_);
    if (!found && found.error().code() == Errc::kNotFound) {
      other_->deliver(batch, outcomes);
      return;
    }
    if (!found) {
      const std::string& why = found.error().message();
      const bool later = found.error().code() == Errc::kUnavailable;
      std::ranges::fill(outcomes, later ? Outcome::retry(why) : Outcome::permanent(why));
      return;
    }
    if (found->updated_ms() != destination_.updated_ms()) {
      close();
    }
    destination_ = *std::move(found);
    InfluxWriter::deliver(batch, outcomes);
  }

  Status probe() override {
    const Result<record::RuleDestination> found = destinations_.influx(arn_);
    return found || found.error().code() != Errc::kNotFound ? Status() : other_->probe();
  }

 private:
  Result<Opened> open() override {
    IOTCORE_ASSIGN(const InfluxAccess access, destinations_.open(destination_));
    IOTCORE_ASSIGN(const net::HttpUrl url, net::parse_http_url(access.endpoint));
    Opened opened;
    opened.options.version = access.version;
    opened.options.token = access.token;
    opened.options.http.path = url.target == "/" ? std::string() : url.target;
    opened.options.http.timeout = destinations_.http().timeout;
    opened.server.host = url.host;
    opened.server.port = url.port;
    opened.server.tls = url.tls;
    opened.server.admits = [this, tls = url.tls](std::string_view ip) {
      return net::check_address(destinations_.http(), tls, ip);
    };
    return opened;
  }

  const std::string arn_;
  Destinations& destinations_;
  const std::unique_ptr<Sink> other_;
  record::RuleDestination destination_;
};

constexpr std::string_view kDestinationMark = ":ruledestination/influxdb/";

constexpr BatchBounds kBatchBounds = {
    .open_ms_min = 5,
    .open_ms_max = 1000,
    .size_min = 1,
    .size_max = 500,
    .absent = {.open_ms = 0, .size = 500, .bytes = 131'072}};

std::vector<std::pair<std::string, PointTemplate>> read_tags(MemberReader& members) {
  std::vector<std::pair<std::string, PointTemplate>> tags;
  const json::object* map = members.optional_object("tags");
  if (map == nullptr) {
    return tags;
  }
  if (map->size() > kTagsMax) {
    members.fail_member("tags", fmt::format("there may be {} tags", kTagsMax));
  }
  MemberReader inner = members.inner(*map, members.pointer_to("tags"));
  for (const auto& tag : *map) {
    if (std::optional<PointTemplate> value = read_template(inner, tag.key())) {
      tags.emplace_back(tag.key(), *std::move(value));
    }
  }
  members.take_error(inner);
  return tags;
}

}  // namespace

ParsedAction InfluxDb::parse(MemberReader& members, const SinkEnvironment& environment) {
  static constexpr auto kUnits = std::to_array<std::string_view>({"s", "ms", "us", "ns"});
  const std::string destination = members.text("destinationArn");
  std::optional<sql::Template> database = members.text_template("databaseName");
  std::optional<sql::Template> organization = members.optional_template("organization");
  std::optional<PointTemplate> table = read_template(members, "tableName");
  auto tags = read_tags(members);
  std::string unit = members.choice("timestampUnit", kUnits, "ms");
  std::optional<BatchConfig> batches;
  if (members.optional_object("batchConfig") != nullptr) {
    batches = read_batch_config(members, kBatchBounds);
  }
  if (members.failed()) {
    return nullptr;
  }
  std::string target = destination.find(kDestinationMark) != std::string::npos
                           ? destination
                           : bound_target(kBindingKind, *database, environment);
  return std::make_unique<InfluxAction>(InfluxAction::Members{
      std::move(target),
      *std::move(database),
      std::move(organization),
      *std::move(table),
      std::move(tags),
      std::move(unit),
      batches});
}

Result<std::unique_ptr<Sink>> InfluxDb::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  if (target.find(kDestinationMark) != std::string_view::npos) {
    if (environment.built_ins == nullptr || environment.targets == nullptr) {
      return fail(Errc::kUnavailable, "there are no destinations here");
    }
    return std::make_unique<InfluxDestination>(
        std::string(target),
        environment.built_ins->destinations,
        *environment.targets,
        std::make_unique<BoundSink>(kSinks.kind, kSinks.name_of, &make_sink, environment)
    );
  }
  return make_aws_sink(target, environment, kSinks, &make_sink);
}

}  // namespace iotcore::rules::actions
