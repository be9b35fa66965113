#include "rules/actions/nats.h"

#include "rules/actions/headers.h"
#include "rules/actions/nats_sink.h"
#include "rules/bindings.h"
#include "rules/member_reader.h"

namespace iotcore::rules::actions {
namespace {

// The fields of a record; headers behind them.
enum Field : std::size_t { kSubject, kJetStream, kFirstHeader };

constexpr std::string_view kYes = "y";
constexpr std::string_view kNo = "n";

class NatsAction final : public Action {
 public:
  NatsAction(
      std::string target, sql::Template subject, std::string jetstream, HeaderTemplates headers
  )
      : target_(std::move(target)),
        subject_(std::move(subject)),
        jetstream_(std::move(jetstream)),
        headers_(std::move(headers)) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& fields) const override {
    return target_ + "/" + fields[kSubject];
  }

  Result<Fields> resolve(const ActionInput& input) const override {
    Fields fields(kFirstHeader);
    IOTCORE_ASSIGN(fields[kSubject], input.evaluation.render(subject_));
    IOTCORE_TRY(check_nats_subject(fields[kSubject]));
    fields[kJetStream] = jetstream_;
    IOTCORE_TRY(headers_.resolve(input, fields));
    return fields;
  }

 private:
  std::string target_;
  sql::Template subject_;
  std::string jetstream_;
  HeaderTemplates headers_;
};

class NatsWriter final : public NatsSink {
 public:
  using NatsSink::NatsSink;

 private:
  Result<NatsMessage> message_of(const Record& record, bool jetstream) override {
    if (record.fields.size() < kFirstHeader) {
      return fail(Errc::kInvalidRequest, "not a record of this kind");
    }
    const std::string& wanted = record.fields[kJetStream];
    return NatsMessage{
        record.fields[kSubject],
        headers_of(record.fields, kFirstHeader),
        wanted.empty() ? jetstream : wanted == kYes};
  }
};

}  // namespace

ParsedAction Nats::parse(MemberReader& members, const SinkEnvironment& environment) {
  const TargetRef target = read_target(members, "target", kName, environment);
  std::optional<sql::Template> subject = members.text_template("subject");
  const std::optional<bool> jetstream = members.optional_boolean("jetstream");
  HeaderTemplates headers = HeaderTemplates::read(members, "headers");
  if (subject && subject->is_literal()) {
    if (const Status valid = check_nats_subject(subject->text()); !valid) {
      members.fail_member("subject", valid.error().message());
    }
  }
  if (members.failed()) {
    return nullptr;
  }
  return std::make_unique<NatsAction>(
      target->name,
      *std::move(subject),
      std::string(
          !jetstream   ? ""
          : *jetstream ? kYes
                       : kNo
      ),
      std::move(headers)
  );
}

Result<std::unique_ptr<Sink>> Nats::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  IOTCORE_ASSIGN(TargetRef found, target_of_sink(target, environment));
  return std::make_unique<NatsWriter>(std::move(found), *environment.targets);
}

}  // namespace iotcore::rules::actions
