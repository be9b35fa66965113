#include "rules/actions/firehose.h"

#include "base/crypto.h"
#include "base/files.h"
#include "base/json.h"
#include "rules/actions/aws_service.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/s3.h"
#include "rules/actions/s3_endpoint.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <map>

namespace iotcore::rules::actions {
namespace {

constexpr std::size_t kElementsMax = 500;

Status check_separator(std::string_view value) {
  return value == "\n" || value == "\t" || value == "\r\n" || value == ","
             ? Status()
             : fail(Errc::kInvalidRequest, "must be a line end (\\n or \\r\\n), a tab or a comma");
}

Status check_stream(std::string_view value) {
  return value.find('/') == std::string_view::npos
             ? check_resource_name(value)
             : fail(Errc::kInvalidRequest, fmt::format("'{}' is not a stream's name", value));
}

constexpr auto kFields = std::to_array<FieldSpec>({
    {.member = "deliveryStreamName", .check = check_stream},
    {.member = "separator",
     .kind = FieldKind::kText,
     .presence = Presence::kOptional,
     .check = check_separator},
    {.member = "batchMode", .kind = FieldKind::kBoolean, .presence = Presence::kOptional},
});
static_assert(kFields.size() == kFirehoseFieldCount);

constexpr ActionSpec kSpec = {.kind = Firehose::kName, .fields = kFields, .name = kDeliveryStream};

// What a batch has for one stream.
struct Part {
  std::string bytes;
  std::vector<std::size_t> records;
};

std::map<std::string, Part> parts_of(
    std::span<const Record* const> batch, std::span<Outcome> outcomes
) {
  std::map<std::string, Part> parts;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (batch[i]->fields.size() != kFirehoseFieldCount) {
      outcomes[i] = Outcome::permanent("not a record of this kind");
      continue;
    }
    Part& part = parts[batch[i]->fields[kDeliveryStream]];
    outcomes[i] = append_firehose_data(part.bytes, *batch[i]);
    if (outcomes[i].kind == Outcome::Kind::kDelivered) {
      part.records.push_back(i);
    }
  }
  return parts;
}

class StreamFiles final : public Sink {
 public:
  StreamFiles(std::filesystem::path folder, const Clock& clock)
      : folder_(std::move(folder)), clock_(clock) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    for (const auto& [stream, part] : parts_of(batch, outcomes)) {
      const Status written = part.records.empty() ? Status() : write(stream, part.bytes);
      for (const std::size_t i : part.records) {
        if (!written) {
          outcomes[i] = Outcome::retry(written.error().message());
        }
      }
    }
  }

  Status probe() override {
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    return error ? fail(Errc::kStoreIo, folder_.string() + ": " + error.message()) : Status();
  }

 private:
  Status write(const std::string& stream, std::string_view bytes) const {
    const auto now = fmt::gmtime(static_cast<std::time_t>(to_epoch_s(clock_.wall())));
    const std::filesystem::path folder = folder_ / stream / fmt::format("{:%Y/%m/%d/%H}", now);
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) {
      return fail(Errc::kStoreIo, folder.string() + ": " + error.message());
    }
    return write_file(
        folder / fmt::format("{}-{:%Y-%m-%d-%H-%M-%S}-{}", stream, now, new_uuid()),
        bytes,
        FileMode::kPublic
    );
  }

  const std::filesystem::path folder_;
  const Clock& clock_;
};

Result<std::unique_ptr<Sink>> make_built_in(const SinkEnvironment& environment) {
  return std::make_unique<StreamFiles>(environment.folder / "firehose", clock_of(environment));
}

// S3: one object for what a batch has for one stream, in the bucket of its name.
class StreamObjects final : public Sink {
 public:
  explicit StreamObjects(std::unique_ptr<Sink> objects) : objects_(std::move(objects)) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    for (const auto& [stream, part] : parts_of(batch, outcomes)) {
      if (part.records.empty()) {
        continue;
      }
      Record object;
      object.delivery_id = batch[part.records.front()]->delivery_id;
      object.is_json = false;
      object.payload = part.bytes;
      object.fields.resize(kS3FieldCount);
      object.fields[kBucket] = stream;
      object.fields[kObjectKey] = key_of(stream, *batch[part.records.front()]);
      const Record* const put = &object;
      Outcome outcome;
      objects_->deliver(std::span(&put, 1), std::span(&outcome, 1));
      for (const std::size_t i : part.records) {
        outcomes[i] = outcome;
      }
    }
  }

  Status probe() override { return objects_->probe(); }

 private:
  // By its first record, so that a retry of the same batch writes the same object.
  static std::string key_of(const std::string& stream, const Record& first) {
    const auto time = fmt::gmtime(static_cast<std::time_t>(first.received_ms / 1000));
    return fmt::format(
        "{0:%Y/%m/%d/%H}/{1}-{0:%Y-%m-%d-%H-%M-%S}-{2}", time, stream, first.delivery_id
    );
  }

  const std::unique_ptr<Sink> objects_;
};

Result<json::object> entry_of_stream(const Record& record, const std::string& /*id*/) {
  constexpr std::size_t kDataBytesMax = 1000U << 10;
  std::string data;
  if (record.fields.size() != kFirehoseFieldCount) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  if (const Outcome made = append_firehose_data(data, record);
      made.kind != Outcome::Kind::kDelivered || data.size() > kDataBytesMax) {
    return fail(Errc::kInvalidRequest, made.reason.empty() ? "larger than 1000 KiB" : made.reason);
  }
  return json::object{{"Data", to_base64(data)}};
}

constexpr AwsService kService = {
    .name = "firehose",
    .operation = "Firehose_20150804.PutRecordBatch",
    .version = "1.1",
    .entries_max = 500,
    .bytes_max = 4'000'000,
    .destination = "DeliveryStreamName",
    .entries = "Records",
    .results = "RequestResponses",
    .destination_of = &field_of<kDeliveryStream>,
    .entry_of = &entry_of_stream};

Result<std::unique_ptr<Sink>> make_bound(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "aws") {
    return make_aws_service_sink(kService, target, environment);
  }
  IOTCORE_ASSIGN(std::unique_ptr<Sink> objects, make_s3_endpoint(target, environment));
  return std::make_unique<StreamObjects>(std::move(objects));
}

constexpr AwsSinks kSinks = {
    Firehose::kName, &field_of<kDeliveryStream>, &make_built_in, &make_bound};

}  // namespace

Outcome append_firehose_data(std::string& out, const Record& record) {
  const std::string& separator = record.fields[kSeparator];
  if (!record.is_json || record.fields[kFirehoseBatchMode] != "true") {
    out += record.payload;
    out += separator;
    return {};
  }
  const Result<json::value> result = parse_json(record.payload);
  if (!result || !result->is_array()) {
    out += record.payload;
    out += separator;
    return {};
  }
  if (result->get_array().size() > kElementsMax) {
    return Outcome::permanent("more than 500 records in one batch");
  }
  for (const json::value& element : result->get_array()) {
    append_json(out, element);
    out += separator;
  }
  return {};
}

ParsedAction Firehose::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, kSpec);
}

Result<std::unique_ptr<Sink>> Firehose::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kSinks, &make_sink);
}

}  // namespace iotcore::rules::actions
