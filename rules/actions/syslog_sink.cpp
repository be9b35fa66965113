#include "rules/actions/syslog_sink.h"

#include "rules/actions/aws_calls.h"
#include "rules/actions/streams.h"
#include "rules/http_outcome.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unistd.h>

namespace iotcore::rules::actions {
namespace {

constexpr ServerKind kServerKind = {
    .scheme = "syslog", .tls_scheme = "syslogs", .port = 601, .tls_port = 6514};

std::string host_name() {
  constexpr std::size_t kBytesMax = 256;
  std::array<char, kBytesMax> name{};
  return gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0' ? name.data() : "-";
}

// A MSGID: 1 to 32 printable characters.
std::string message_id(std::string_view group) {
  constexpr std::size_t kBytesMax = 32;
  std::string id(group.substr(0, kBytesMax));
  std::ranges::replace_if(
      id, [](char c) { return c <= ' ' || c > '~'; }, '_'
  );
  return id.empty() ? "-" : id;
}

class SyslogSink final : public Sink {
 public:
  SyslogSink(TargetRef target, const Targets& targets)
      : target_(std::move(target)), targets_(targets), host_(host_name()) {}

  void deliver(std::span<const Record* const> batch, std::span<Outcome> outcomes) override {
    Status open = ensure_open();
    std::string bytes;
    for (std::size_t i = 0; open && i < batch.size(); ++i) {
      const Result<std::vector<LogEvent>> events = log_events_of(*batch[i]);
      if (!events) {
        outcomes[i] = Outcome::permanent(events.error().message());
        continue;
      }
      for (const LogEvent& event : *events) {
        append(bytes, *batch[i], event);
      }
    }
    if (open) {
      channel_->set_deadline(options_.timeout);
      open = channel_->write(bytes);
    }
    if (open) {
      return;
    }
    channel_.reset();
    for (Outcome& outcome : outcomes) {
      if (outcome.kind == Outcome::Kind::kDelivered) {
        outcome = outcome_of(open.error(), "syslog");
      }
    }
  }

  Status probe() override {
    channel_.reset();
    return ensure_open();
  }

 private:
  Status ensure_open() {
    if (channel_ && !channel_->is_stale()) {
      return {};
    }
    channel_.reset();
    IOTCORE_ASSIGN(options_, open_target(*target_, targets_, read_syslog));
    const Address& address = options_.server.address;
    IOTCORE_ASSIGN(
        net::ClientChannel channel,
        net::ClientChannel::open(address.host, address.port, options_.timeout)
    );
    if (options_.server.tls.on) {
      IOTCORE_ASSIGN(const net::ClientTls tls, load_tls(options_.server.tls));
      IOTCORE_TRY(channel.start_tls(tls));
    }
    channel_.emplace(std::move(channel));
    return {};
  }

  void append(std::string& out, const Record& record, const LogEvent& event) const {
    constexpr std::int64_t kFacility = 8;
    constexpr std::int64_t kInformational = 6;
    const std::string message = fmt::format(
        "<{}>1 {} {} iotcore - {} - {}",
        options_.facility * kFacility + kInformational,
        aws_time(event.time_ms),
        host_,
        message_id(record.fields[kLogGroup]),
        event.message
    );
    out += fmt::format("{} {}", message.size(), message);
  }

  const TargetRef target_;
  const Targets& targets_;
  const std::string host_;
  SyslogOptions options_;
  std::optional<net::ClientChannel> channel_;
};

}  // namespace

SyslogOptions read_syslog(MemberReader& members) {
  constexpr std::int64_t kLocal0 = 16;
  constexpr std::int64_t kFacilityMax = 23;
  SyslogOptions options;
  options.server = read_server(members, kServerKind);
  options.facility = members.optional_integer("facility", 0, kFacilityMax).value_or(kLocal0);
  options.timeout = read_timeout(members, "timeout", std::chrono::seconds(10));
  return options;
}

Result<std::unique_ptr<Sink>> make_syslog(
    const TargetRef& target, const SinkEnvironment& environment
) {
  return std::make_unique<SyslogSink>(target, *environment.targets);
}

}  // namespace iotcore::rules::actions
