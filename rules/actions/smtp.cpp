#include "rules/actions/smtp.h"

#include "base/clock.h"
#include "rules/actions/smtp_client.h"
#include "rules/bindings.h"
#include "rules/member_reader.h"

#include <fmt/format.h>

#include <charconv>
#include <map>

namespace iotcore::rules::actions {
namespace {

// The fields of a record.
enum Field : std::size_t { kTo, kSubject, kHasBody, kBody, kThrottleMs, kFieldCount };

constexpr std::size_t kThrottledMax = 10'000;
constexpr std::size_t kSubjectBytesMax = 4096;

class SmtpAction final : public Action {
 public:
  SmtpAction(
      std::string target,
      sql::Template to,
      sql::Template subject,
      std::optional<sql::Template> body,
      std::int64_t throttle_ms
  )
      : target_(std::move(target)),
        to_(std::move(to)),
        subject_(std::move(subject)),
        body_(std::move(body)),
        throttle_ms_(throttle_ms) {}

  std::string target() const override { return target_; }

  std::string resource(const Fields& fields) const override { return fields[kTo]; }

  // By what `throttle` goes.
  std::string order_key(const Fields& fields, std::string_view /*payload*/) const override {
    return fields[kTo] + '\n' + fields[kSubject];
  }

  Result<Fields> resolve(const ActionInput& input) const override {
    Fields fields(kFieldCount);
    IOTCORE_ASSIGN(fields[kTo], input.evaluation.render(to_));
    IOTCORE_TRY(parse_receivers(fields[kTo]));
    IOTCORE_ASSIGN(fields[kSubject], input.evaluation.render(subject_));
    if (fields[kSubject].size() > kSubjectBytesMax) {
      return fail(Errc::kInvalidRequest, "the subject is too long");
    }
    if (body_) {
      fields[kHasBody] = std::string(1, 'y');
      IOTCORE_ASSIGN(fields[kBody], input.evaluation.render(*body_));
    }
    fields[kThrottleMs] = fmt::to_string(throttle_ms_);
    return fields;
  }

 private:
  std::string target_;
  sql::Template to_;
  sql::Template subject_;
  std::optional<sql::Template> body_;
  std::int64_t throttle_ms_;
};

class Mailer final : public Sink {
 public:
  Mailer(TargetRef target, const Targets& targets)
      : target_(std::move(target)), targets_(targets) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      outcomes[i] = send(*batch[i]);
      if (outcomes[i].kind == Outcome::Kind::kRetry && !client_) {
        std::ranges::fill(outcomes.subspan(i + 1), Outcome::behind(outcomes[i]));
        return;  // the server is away
      }
    }
    // Mail servers do not like connections that only wait.
    if (client_) {
      client_->quit();
      client_.reset();
    }
  }

  Status probe() override {
    client_.reset();
    IOTCORE_TRY(ensure_open());
    return client_->noop();
  }

 private:
  Status ensure_open() {
    if (client_) {
      return {};
    }
    IOTCORE_ASSIGN(const SmtpOptions options, open_target(*target_, targets_, read_smtp));
    IOTCORE_ASSIGN(client_, SmtpClient::open(options));
    return {};
  }

  Outcome send(const Record& record) {
    if (record.fields.size() != kFieldCount) {
      return Outcome::permanent("not a record of this kind");
    }
    const Result<std::vector<std::string>> to = parse_receivers(record.fields[kTo]);
    if (!to) {
      return Outcome::permanent(to.error().message());
    }
    const std::string key = record.fields[kTo] + "\n" + record.fields[kSubject];
    std::int64_t throttle_ms = 0;
    const std::string& text = record.fields[kThrottleMs];
    std::from_chars(text.data(), text.data() + text.size(), throttle_ms);
    const MonotonicTime now = clock_.now();
    const auto last = last_sent_.find(key);
    if (last != last_sent_.end() && now < last->second + std::chrono::milliseconds(throttle_ms)) {
      return {};  // said already
    }
    if (const Status open = ensure_open(); !open) {
      client_.reset();
      return Outcome::retry(open.error().message());
    }
    const std::string& body =
        record.fields[kHasBody].empty() ? record.payload : record.fields[kBody];
    Outcome sent =
        client_->send({*to, record.fields[kSubject], body, record.delivery_id}, clock_.wall());
    if (!client_->is_usable()) {
      client_.reset();
    }
    if (sent.kind == Outcome::Kind::kDelivered && throttle_ms > 0) {
      if (last_sent_.size() >= kThrottledMax) {
        last_sent_.clear();
      }
      last_sent_[key] = now;
    }
    return sent;
  }

  const TargetRef target_;
  const Targets& targets_;
  const SystemClock clock_;
  std::unique_ptr<SmtpClient> client_;
  std::map<std::string, MonotonicTime, std::less<>> last_sent_;
};

}  // namespace

ParsedAction Smtp::parse(MemberReader& members, const SinkEnvironment& environment) {
  const TargetRef target = read_target(members, "target", kName, environment);
  std::optional<sql::Template> to = members.text_template("to");
  std::optional<sql::Template> subject = members.text_template("subject");
  std::optional<sql::Template> body = members.optional_template("body");
  const std::int64_t throttle_ms = members.optional_duration_ms("throttle").value_or(0);
  if (to && to->is_literal()) {
    if (const auto receivers = parse_receivers(to->text()); !receivers) {
      members.fail_member("to", receivers.error().message());
    }
  }
  if (members.failed()) {
    return nullptr;
  }
  return std::make_unique<SmtpAction>(
      target->name, *std::move(to), *std::move(subject), std::move(body), throttle_ms
  );
}

Result<std::unique_ptr<Sink>> Smtp::make_sink(
    std::string_view target, const SinkEnvironment& environment
) {
  IOTCORE_ASSIGN(TargetRef found, target_of_sink(target, environment));
  return std::make_unique<Mailer>(std::move(found), *environment.targets);
}

}  // namespace iotcore::rules::actions
