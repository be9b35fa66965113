#include "rules/actions/sns.h"

#include "base/bytes.h"
#include "base/json.h"
#include "broker/topic.h"
#include "net/http_caller.h"
#include "rules/actions/aws_messages.h"
#include "rules/actions/aws_sinks.h"
#include "rules/actions/fields_action.h"
#include "rules/actions/message_targets.h"
#include "rules/actions/smtp_client.h"
#include "rules/actions/target_options.h"
#include "rules/built_ins.h"
#include "rules/http_outcome.h"
#include "rules/in_process_publish.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

namespace iotcore::rules::actions {
namespace {

constexpr std::string_view kTopicPrefix = "$iotcore/sns/";
constexpr std::string_view kJson = "JSON";
constexpr std::size_t kMessageBytesMax = 256U << 10;
constexpr auto kProtocols = std::to_array<std::string_view>({"mqtt", "http", "https", "email"});

std::string_view topic_name(std::string_view arn) {
  return arn.substr(arn.rfind(':') + 1);
}

Status check_topic_arn(std::string_view value) {
  const std::string_view name = topic_name(value);
  constexpr std::size_t kBytesMax = 256;
  const bool ok =
      !name.empty() && name.size() <= kBytesMax && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
      });
  return ok ? Status()
            : fail(
                  Errc::kInvalidRequest,
                  fmt::format("'{}' does not end with the name of a standard topic", value)
              );
}

Status check_format(std::string_view value) {
  return value == "RAW" || value == kJson
             ? Status()
             : fail(Errc::kInvalidRequest, fmt::format("'{}' is neither RAW nor JSON", value));
}

constexpr auto kFields = std::to_array<FieldSpec>({
    {.member = "targetArn", .check = check_topic_arn},
    {.member = "messageFormat",
     .kind = FieldKind::kText,
     .presence = Presence::kOptional,
     .check = check_format,
     .absent = "RAW"},
});
static_assert(kFields.size() == kSnsFieldCount);

constexpr ActionSpec kSpec = {.kind = Sns::kName, .fields = kFields, .name = kTargetArn};

struct Subscription {
  std::string protocol;
  std::string endpoint;
};

void check_endpoint(MemberReader& reader, const Subscription& subscription) {
  if (subscription.protocol == "email") {
    if (!parse_receivers(subscription.endpoint)) {
      reader.fail_member("endpoint", "is not a mail address");
    }
    return;
  }
  const bool is_topic = subscription.protocol == "mqtt";
  const bool ok = is_topic ? broker::is_valid_topic(subscription.endpoint) &&
                                 !subscription.endpoint.starts_with('$')
                           : subscription.endpoint.starts_with(subscription.protocol + "://") &&
                                 net::parse_http_url(subscription.endpoint).has_value();
  if (!ok && !reader.failed()) {
    reader.fail_member("endpoint", is_topic ? "is not a topic" : "is not such a URL");
  }
}

std::vector<Subscription> read_subscriptions(MemberReader& options) {
  constexpr std::size_t kMost = 100;
  std::vector<Subscription> subscriptions;
  const json::array* list = options.optional_array("subscriptions");
  if (list == nullptr || list->empty() || list->size() > kMost) {
    options.fail_member("subscriptions", "must have 1 to 100 entries");
    return subscriptions;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    const std::string at = fmt::format("{}/{}", options.pointer_to("subscriptions"), i);
    if (!(*list)[i].is_object()) {
      options.fail_at(at, "must be an object with protocol and endpoint");
      break;
    }
    MemberReader reader = options.inner((*list)[i].get_object(), at);
    Subscription subscription;
    static_cast<void>(reader.text("protocol"));
    subscription.protocol = reader.choice("protocol", kProtocols, "");
    subscription.endpoint = reader.text("endpoint");
    check_endpoint(reader, subscription);
    options.take_error(reader);
    subscriptions.push_back(std::move(subscription));
  }
  return subscriptions;
}

// What a subscription of that protocol gets.
Result<std::string> message_for(const Record& record, std::string_view protocol) {
  if (record.fields[kMessageFormat] != kJson) {
    return record.payload;
  }
  const Result<json::value> result =
      record.is_json ? parse_json(record.payload) : fail(Errc::kInvalidRequest, "no JSON");
  const json::object* texts = result ? result->if_object() : nullptr;
  const json::value* text = texts == nullptr ? nullptr : find_member(*texts, protocol);
  if (text == nullptr && texts != nullptr) {
    text = find_member(*texts, "default");
  }
  if (text == nullptr || !text->is_string()) {
    return fail(
        Errc::kInvalidRequest,
        fmt::format("messageFormat JSON needs an object with texts for default or {}", protocol)
    );
  }
  return std::string(text->get_string());
}

class TopicSink final : public Sink {
 public:
  // `mail_target`: of kind smtp; empty: there are no subscriptions by mail.
  TopicSink(
      std::vector<Subscription> subscriptions,
      std::string mail_target,
      const SinkEnvironment& environment
  )
      : subscriptions_(std::move(subscriptions)),
        mail_target_(std::move(mail_target)),
        targets_(environment.targets),
        workers_(*environment.workers),
        clock_(clock_of(environment)),
        caller_(
            environment.built_ins == nullptr ? net::HttpRules()
                                             : environment.built_ins->destinations.http()
        ) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    deliver_in_order(batch, outcomes, [this](const Record& record) {
      return record.fields.size() != kSnsFieldCount || record.payload.size() > kMessageBytesMax
                 ? Outcome::permanent("not a notification, or larger than 256 KiB")
                 : deliver(record);
    });
  }

  Status probe() override { return {}; }

 private:
  static constexpr std::size_t kProgressMax = 10'000;

  struct Progress {
    std::set<std::size_t> done;  // subscriptions
    std::string failure;         // why one of them never gets it
  };

  // To each subscription that has not had it: one that fails does not give others the message again, nor keep it from them.
  Outcome deliver(const Record& record) {
    Progress& progress = progress_[record.delivery_id];
    std::optional<Outcome> again;
    for (std::size_t i = 0; i < subscriptions_.size(); ++i) {
      if (progress.done.contains(i)) {
        continue;
      }
      Outcome outcome = send(record, subscriptions_[i]);
      if (outcome.kind == Outcome::Kind::kRetry) {
        // One subscription that is away keeps no other message waiting.
        outcome.is_own = subscriptions_[i].protocol != "mqtt";
        again = !again || again->is_own ? std::move(outcome) : *std::move(again);
        continue;
      }
      progress.done.insert(i);
      if (outcome.kind == Outcome::Kind::kPermanent) {
        progress.failure = std::move(outcome.reason);
      }
    }
    if (again) {
      if (progress_.size() > kProgressMax) {
        progress_.clear();  // whoever comes again goes to all
      }
      return *std::move(again);
    }
    Outcome outcome =
        progress.failure.empty() ? Outcome() : Outcome::permanent(std::move(progress.failure));
    progress_.erase(record.delivery_id);
    return outcome;
  }

  Outcome send(const Record& record, const Subscription& subscription) {
    const Result<std::string> text = message_for(record, subscription.protocol);
    if (!text) {
      return Outcome::permanent(text.error().message());
    }
    if (subscription.protocol == "mqtt") {
      const std::string topic =
          subscription.endpoint.empty()
              ? std::string(kTopicPrefix) + std::string(topic_name(record.fields[kTargetArn]))
              : subscription.endpoint;
      const broker::Message::Ref message = make_service_message(topic, *text);
      return publish_and_wait(workers_, std::span(&message, 1)).front()
                 ? Outcome()
                 : Outcome::retry("the broker has not confirmed the publish");
    }
    if (subscription.protocol == "email") {
      return mail(record, subscription.endpoint, *text);
    }
    return post(record, subscription.endpoint, *text);
  }

  Outcome mail(const Record& record, const std::string& receivers, const std::string& text) {
    const TargetRef target = targets_ == nullptr ? nullptr : targets_->find(mail_target_);
    if (target == nullptr || target->kind != "smtp") {
      return Outcome::retry(fmt::format("there is no target '{}' of kind smtp", mail_target_));
    }
    const Result<SmtpOptions> options = open_target(*target, *targets_, read_smtp);
    const auto to = parse_receivers(receivers);
    if (!options || !to) {
      return Outcome::retry(options ? to.error().message() : options.error().message());
    }
    Result<std::unique_ptr<SmtpClient>> client = SmtpClient::open(*options);
    if (!client) {
      return Outcome::retry(client.error().message());
    }
    const std::string subject =
        fmt::format("Notification of {}", topic_name(record.fields[kTargetArn]));
    Outcome sent = (*client)->send({*to, subject, text, record.delivery_id}, clock_.wall());
    if ((*client)->is_usable()) {
      (*client)->quit();
    }
    return sent;
  }

  Outcome post(const Record& record, const std::string& url, const std::string& text) {
    net::HttpRequest request;
    request.method = "POST";
    request.headers.set("Content-Type", "text/plain; charset=UTF-8");
    request.headers.set("x-amz-sns-message-type", "Notification");
    request.headers.set("x-amz-sns-topic-arn", record.fields[kTargetArn]);
    request.headers.set("x-amz-sns-message-id", record.delivery_id);
    json::object body;
    body["Type"] = "Notification";
    body["MessageId"] = record.delivery_id;
    body["TopicArn"] = record.fields[kTargetArn];
    body["Message"] = is_valid_utf8(text) ? text : std::string();
    body["Timestamp"] = fmt::format(
        "{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
        fmt::gmtime(static_cast<std::time_t>(record.received_ms / 1000)),
        record.received_ms % 1000
    );
    request.body = to_json(json::value(std::move(body)));
    return outcome_of_call(caller_.call(url, std::move(request)));
  }

  const std::vector<Subscription> subscriptions_;
  const std::string mail_target_;
  const Targets* targets_;
  broker::Workers& workers_;
  const Clock& clock_;
  net::HttpCaller caller_;
  std::map<std::string, Progress> progress_;  // of records that come again, by delivery id
};

Result<std::unique_ptr<Sink>> make_topics(
    std::vector<Subscription> further, std::string mail_target, const SinkEnvironment& environment
) {
  if (environment.workers == nullptr) {
    return fail(Errc::kUnavailable, "there is no broker here to publish to");
  }
  std::vector<Subscription> subscriptions = {{"mqtt", ""}};  // $iotcore/sns/<topic>
  for (Subscription& subscription : further) {
    subscriptions.push_back(std::move(subscription));
  }
  return std::make_unique<TopicSink>(std::move(subscriptions), std::move(mail_target), environment);
}

Result<std::unique_ptr<Sink>> make_built_in(const SinkEnvironment& environment) {
  return make_topics({}, {}, environment);
}

Result<RoutedMessage> route_of_topic(const Record& record) {
  if (record.fields.size() != kSnsFieldCount) {
    return fail(Errc::kInvalidRequest, "not a record of this kind");
  }
  return RoutedMessage{std::string(topic_name(record.fields[kTargetArn])), {}};
}

// With messageFormat JSON what is meant for all protocols.
Result<std::optional<std::string>> body_of_topic(const Record& record) {
  if (record.fields.size() != kSnsFieldCount || record.fields[kMessageFormat] != kJson) {
    return std::nullopt;
  }
  IOTCORE_ASSIGN(std::string text, message_for(record, "default"));
  return text;
}

Result<std::unique_ptr<Sink>> make_bound(
    const TargetRef& target, const SinkEnvironment& environment
) {
  if (target->kind == "aws") {
    return make_aws_topic(target, environment);
  }
  if (target->kind != SnsTarget::kName) {
    return make_message_sink(Sns::kName, target, environment, &route_of_topic, &body_of_topic);
  }
  return make_subscriptions(target, environment);
}

constexpr AwsSinks kSinks = {Sns::kName, &field_of<kTargetArn>, &make_built_in, &make_bound};

}  // namespace

Result<std::unique_ptr<Sink>> make_subscriptions(
    const TargetRef& target, const SinkEnvironment& environment
) {
  MemberReader options(target->options, "", nullptr);
  std::string mail_target = options.optional_text("mail").value_or("");
  return make_topics(read_subscriptions(options), std::move(mail_target), environment);
}

ParsedAction Sns::parse(MemberReader& members, const SinkEnvironment& environment) {
  return parse_fields(members, environment, kSpec);
}

Result<std::unique_ptr<Sink>> Sns::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  return make_aws_sink(target, environment, kSinks, &make_sink);
}

void SnsTarget::check(MemberReader& options) {
  const std::vector<Subscription> subscriptions = read_subscriptions(options);
  const bool has_mail =
      std::ranges::find(subscriptions, "email", &Subscription::protocol) != subscriptions.end();
  if (has_mail != options.optional_text("mail").has_value()) {
    options.fail_at(
        options.pointer(), "mail names the target of kind smtp that subscriptions by email need"
    );
  }
}

}  // namespace iotcore::rules::actions
