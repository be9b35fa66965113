#include "rules/actions/kafka.h"

#include "base/crypto.h"
#include "rules/actions/headers.h"
#include "rules/actions/kafka_sink.h"
#include "rules/bindings.h"
#include "rules/built_ins.h"
#include "rules/member_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

namespace iotcore::rules::actions {
namespace {

// The fields of a record; headers behind them.
enum Field : std::size_t { kProperties, kTopic, kHasKey, kKey, kPartition, kFirstHeader };

// Sinks of rules with client properties of their own: "#" and what the properties come to, so that rules with the same ones share a queue.
constexpr char kOwn = '#';
constexpr std::size_t kDigestBytes = 12;
constexpr std::size_t kTopicBytesMax = 249;
constexpr std::string_view kYes = "y";

struct Property {
  std::string name;
  sql::Template value;

  // What it says itself is not kept with records.
  bool is_secret() const { return is_secret_property(name); }
};

// As the record names it instead of its value.
std::string member_of(const std::string& property) {
  return "clientProperties/" + property;
}

Status check_topic(std::string_view topic) {
  const bool fits =
      !topic.empty() && topic.size() <= kTopicBytesMax && topic != "." && topic != "..";
  const bool clean =
      topic.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
      ) == std::string_view::npos;
  if (!fits || !clean) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format("'{}' is no topic of Kafka: 1 to 249 letters, digits, '.', '_' and '-'", topic)
    );
  }
  return {};
}

Status check_partition(const std::string& text) {
  std::int32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || at != end || number < 0) {
    return fail(Errc::kInvalidRequest, fmt::format("partition '{}' is no number", text));
  }
  return {};
}

class KafkaAction final : public Action {
 public:
  struct Members {
    std::string target;
    sql::Template topic;
    std::optional<sql::Template> key;
    std::optional<sql::Template> partition;
    std::vector<Property> properties;
    HeaderTemplates headers;
  };

  explicit KafkaAction(Members members) : members_(std::move(members)) {}

  std::string target() const override { return members_.target; }

  std::string resource(const Fields& fields) const override { return fields[kTopic]; }

  std::string order_key(const Fields& fields, std::string_view /*payload*/) const override {
    return fields[kKey].empty() ? fields[kPartition] : fields[kKey];
  }

  Result<Fields> resolve(const ActionInput& input) const override {
    Fields fields(kFirstHeader);
    if (!members_.properties.empty()) {
      json::object properties;
      for (const Property& property : members_.properties) {
        IOTCORE_ASSIGN(
            properties[property.name],
            property.is_secret()
                ? input.evaluation.render_own(member_of(property.name), property.value)
                : input.evaluation.render(property.value)
        );
      }
      fields[kProperties] = to_json(properties);
    }
    IOTCORE_ASSIGN(fields[kTopic], input.evaluation.render(members_.topic));
    IOTCORE_TRY(check_topic(fields[kTopic]));
    if (members_.key) {
      fields[kHasKey] = std::string(kYes);
      IOTCORE_ASSIGN(fields[kKey], input.evaluation.render(*members_.key));
    }
    if (members_.partition) {
      IOTCORE_ASSIGN(fields[kPartition], input.evaluation.render(*members_.partition));
      IOTCORE_TRY(check_partition(fields[kPartition]));
    }
    IOTCORE_TRY(members_.headers.resolve(input, fields));
    return fields;
  }

  std::optional<std::string> own_secret(std::string_view member) const override {
    for (const Property& property : members_.properties) {
      if (!property.is_secret()) {
        continue;
      }
      if (auto part = property.value.literal_part(member_of(property.name), member)) {
        return part;
      }
    }
    return std::nullopt;
  }

 private:
  Members members_;
};

class KafkaWriter final : public KafkaSink {
 public:
  using KafkaSink::KafkaSink;

 private:
  Result<Message> message_of(const Record& record) override {
    if (record.fields.size() < kFirstHeader) {
      return fail(Errc::kInvalidRequest, "not a record of this kind");
    }
    Message made;
    made.client_properties = record.fields[kProperties];
    made.message.topic = record.fields[kTopic];
    if (!record.fields[kHasKey].empty()) {
      made.message.key = record.fields[kKey];
    }
    const std::string& partition = record.fields[kPartition];
    std::from_chars(partition.data(), partition.data() + partition.size(), made.message.partition);
    made.message.headers = headers_of(record.fields, kFirstHeader);
    return made;
  }
};

std::vector<Property> read_properties(MemberReader& members) {
  std::vector<Property> properties;
  const json::object* map = members.optional_object("clientProperties");
  if (map == nullptr) {
    return properties;
  }
  MemberReader inner = members.inner(*map, members.pointer_to("clientProperties"));
  for (const auto& property : *map) {
    const std::string_view name = property.key();
    std::optional<sql::Template> value = inner.text_template(name);
    if (!is_client_property(name)) {
      const std::string_view near = nearest_client_property(name);
      inner.fail_member(
          name,
          near.empty() ? "there is no such client property"
                       : fmt::format("there is no such client property; did you mean {}?", near)
      );
    } else if (value && value->is_literal()) {
      if (const Status valid = check_client_property(name, value->text()); !valid) {
        inner.fail_member(name, valid.error().message());
      }
    }
    if (value) {
      properties.push_back({std::string(name), *std::move(value)});
    }
  }
  if (!map->contains("bootstrap.servers")) {
    inner.fail_at(inner.pointer(), "bootstrap.servers is missing");
  }
  members.take_error(inner);
  return properties;
}

// The same for rules with the same properties, whatever their order; nothing of it can be read.
std::string own_target(const std::vector<Property>& properties) {
  std::map<std::string_view, std::string_view> sorted;
  for (const Property& property : properties) {
    sorted[property.name] = property.value.text();
  }
  std::string all;
  for (const auto& [name, value] : sorted) {
    all += fmt::format("{}={}\n", name, value);
  }
  const std::string servers(sorted["bootstrap.servers"]);
  return kOwn + to_hex(as_text(sha256(all)).substr(0, kDigestBytes)) + " " + servers;
}

}  // namespace

ParsedAction Kafka::parse(MemberReader& members, const SinkEnvironment& environment) {
  const bool names_target = members.has("target");
  TargetRef target;
  if (names_target) {
    target = read_target(members, "target", kName, environment);
  } else {
    const std::string arn = members.text("destinationArn");
    if (environment.targets != nullptr && !arn.empty()) {
      target = environment.targets->bind(kName, arn);
    }
  }
  members.ignore("destinationArn");
  std::optional<sql::Template> topic = members.text_template("topic");
  std::optional<sql::Template> key = members.optional_template("key");
  std::optional<sql::Template> partition = members.optional_template("partition");
  HeaderTemplates headers = HeaderTemplates::read(members, "headers");
  std::vector<Property> properties = read_properties(members);
  if (target == nullptr && members.optional_value("clientProperties") == nullptr) {
    members.fail_at(members.pointer(), "member clientProperties is missing");
  }
  if (names_target && members.has("clientProperties")) {
    members.fail_member("clientProperties", "the target has them");
  }
  if (topic && topic->is_literal()) {
    if (const Status valid = check_topic(topic->text()); !valid) {
      members.fail_member("topic", valid.error().message());
    }
  }
  if (partition && partition->is_literal()) {
    if (const Status valid = check_partition(partition->text()); !valid) {
      members.fail_member("partition", valid.error().message());
    }
  }
  if (members.failed()) {
    return nullptr;
  }
  // What a name is bound to is the configuration's word, and comes before the rule's.
  std::string where = target != nullptr ? target->name : own_target(properties);
  if (target != nullptr) {
    properties.clear();
  }
  return std::make_unique<KafkaAction>(KafkaAction::Members{
      std::move(where),
      *std::move(topic),
      std::move(key),
      std::move(partition),
      std::move(properties),
      std::move(headers)});
}

Result<std::unique_ptr<Sink>> Kafka::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  if (target.starts_with(kOwn)) {
    return std::make_unique<KafkaWriter>(
        nullptr,
        nullptr,
        environment.built_ins == nullptr ? net::HttpRules()
                                         : environment.built_ins->destinations.http()
    );
  }
  IOTCORE_ASSIGN(TargetRef found, target_of_sink(target, environment));
  return std::make_unique<KafkaWriter>(std::move(found), environment.targets);
}

}  // namespace iotcore::rules::actions
