#include "rules/actions/firehose.h"

#include "base/crypto.h"
#include "base/files.h"
#include "base/json.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/fields_action.h"

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

class StreamFiles final : public Sink {
 public:
  StreamFiles(std::filesystem::path folder, const Clock& clock)
      : folder_(std::move(folder)), clock_(clock) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
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
    for (const auto& [stream, part] : parts) {
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

constexpr AwsSinks kSinks = {Firehose::kName, &field_of<kDeliveryStream>, &make_built_in};

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
