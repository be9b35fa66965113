#include "rules/actions/amqp_action.h"

#include "rules/actions/amqp_sink.h"
#include "rules/actions/headers.h"
#include "rules/bindings.h"
#include "rules/member_reader.h"

namespace iotcore::rules::actions {
namespace {

// The fields of a record; headers behind them.
enum Field : std::size_t { kExchange, kRoutingKey, kPersistent, kMandatory, kFirstHeader };

constexpr std::string_view kYes = "y";

std::string flag(bool set) {
  return std::string(set ? kYes : "");
}

class AmqpAction final : public Action {
 public:
  AmqpAction(
      std::string target,
      sql::Template exchange,
      sql::Template routing_key,
      Fields fixed,
      HeaderTemplates headers
  )
      : target_(std::move(target)),
        exchange_(std::move(exchange)),
        routing_key_(std::move(routing_key)),
        fixed_(std::move(fixed)),
        headers_(std::move(headers)) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& fields) const override {
    return target_ + "/" + fields[kExchange] + "/" + fields[kRoutingKey];
  }

  Result<Fields> resolve(const ActionInput& input) const override {
    Fields fields = fixed_;
    IOTCORE_ASSIGN(fields[kExchange], input.evaluation.render(exchange_));
    IOTCORE_ASSIGN(fields[kRoutingKey], input.evaluation.render(routing_key_));
    IOTCORE_TRY(headers_.resolve(input, fields));
    return fields;
  }

 private:
  std::string target_;
  sql::Template exchange_;
  sql::Template routing_key_;
  Fields fixed_;
  HeaderTemplates headers_;
};

class AmqpWriter final : public AmqpSink {
 public:
  using AmqpSink::AmqpSink;

 private:
  Result<AmqpMessage> message_of(const Record& record) override {
    if (record.fields.size() < kFirstHeader) {
      return fail(Errc::kInvalidRequest, "not a record of this kind");
    }
    return AmqpMessage{
        record.fields[kExchange],
        record.fields[kRoutingKey],
        record.fields[kPersistent] == kYes,
        record.fields[kMandatory] == kYes,
        headers_of(record.fields, kFirstHeader)};
  }
};

}  // namespace

ParsedAction Amqp::parse(MemberReader& members, const SinkEnvironment& environment) {
  const TargetRef target = read_target(members, "target", kName, environment);
  std::optional<sql::Template> exchange = members.has("exchange")
                                              ? members.optional_template("exchange")
                                              : members.compile("", members.pointer_to("exchange"));
  std::optional<sql::Template> routing_key = members.text_template("routingKey");
  Action::Fields fixed(kFirstHeader);
  fixed[kPersistent] = flag(members.optional_boolean("persistent").value_or(true));
  fixed[kMandatory] = flag(members.optional_boolean("mandatory").value_or(true));
  HeaderTemplates headers = HeaderTemplates::read(members, "headers");
  static_cast<void>(members.optional_value("exchange"));
  if (members.failed() || !exchange || !routing_key) {
    return nullptr;
  }
  return std::make_unique<AmqpAction>(
      target->name,
      *std::move(exchange),
      *std::move(routing_key),
      std::move(fixed),
      std::move(headers)
  );
}

Result<std::unique_ptr<Sink>> Amqp::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  IOTCORE_ASSIGN(TargetRef found, target_of_sink(target, environment));
  return std::make_unique<AmqpWriter>(std::move(found), *environment.targets);
}

}  // namespace iotcore::rules::actions
