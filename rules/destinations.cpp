#include "rules/destinations.h"

#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "net/http_caller.h"
#include "rules/http_outcome.h"
#include "rules/keys.h"

#include <fmt/format.h>

#include <utility>

namespace iotcore::rules {
namespace {

constexpr std::string_view kHttp = "http";
constexpr std::string_view kInflux = "influxdb";
constexpr std::string_view kEnabled = "ENABLED";
constexpr std::string_view kDisabled = "DISABLED";
constexpr std::string_view kInProgress = "IN_PROGRESS";
constexpr std::string_view kError = "ERROR";
constexpr std::size_t kDestinationsMax = 1000;
constexpr std::size_t kTokenBytes = 32;
constexpr std::chrono::milliseconds kTokenLife = std::chrono::hours(3 * 24);

tl::unexpected<Error> no_such_destination(std::string_view arn) {
  return fail(
      Errc::kUnauthorized, fmt::format("Access to topic rule destination '{}' was denied", arn)
  );
}

}  // namespace

bool is_below(std::string_view url, std::string_view base) {
  if (base.empty() || !url.starts_with(base)) {
    return false;
  }
  const std::size_t authority = base.find("://");
  const bool has_path = authority != std::string_view::npos &&
                        base.find_first_of("/?#", authority + 3) != std::string_view::npos;
  return has_path || url.size() == base.size() ||
         std::string_view("/?#").find(url[base.size()]) != std::string_view::npos;
}

Destinations::Destinations(store::Store& store, const Clock& clock, Executor& pool, Options options)
    : store_(store), clock_(clock), pool_(pool), options_(std::move(options)) {}

Status Destinations::load() {
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(keys::kRules, keys::destinations(), "", kDestinationsMax)
  );
  const std::lock_guard lock(mutex_);
  for (const store::Entry& row : rows) {
    record::RuleDestination destination;
    if (!destination.ParseFromString(row.value)) {
      return fail(Errc::kStoreCorrupt, "a rule destination is not readable");
    }
    if (destination.kind() == kInflux) {
      send_confirmation(destination);  // what came of an earlier try was not kept
    }
    destinations_[destination.id()] = std::move(destination);
  }
  return {};
}

std::string Destinations::arn_of(const record::RuleDestination& destination) const {
  return fmt::format(
      "{}ruledestination/{}/{}", options_.arn_prefix, destination.kind(), destination.id()
  );
}

Destinations::Table::iterator Destinations::find(std::string_view arn) {
  const auto found = destinations_.find(arn.substr(arn.rfind('/') + 1));
  return found != destinations_.end() && arn_of(found->second) == arn ? found : destinations_.end();
}

void Destinations::expire(record::RuleDestination& destination) const {
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  if (destination.status() == kInProgress && destination.token_expires_ms() < now_ms) {
    destination.set_status(std::string(kError));
    destination.set_status_reason("The destination was not confirmed within 3 days.");
    destination.clear_token();
  }
}

void Destinations::ask_for_confirmation(record::RuleDestination& destination) const {
  const std::int64_t now_ms = to_epoch_ms(clock_.wall());
  destination.set_updated_ms(now_ms);
  const bool has_to_confirm = destination.kind() == kHttp || destination.kind() == kInflux;
  if (!has_to_confirm || !options_.confirmation_required) {
    destination.set_status(std::string(kEnabled));
    destination.set_confirmed(true);
    destination.clear_token();
    destination.clear_status_reason();
    return;
  }
  destination.set_status(std::string(kInProgress));
  destination.set_status_reason("Awaiting confirmation. Confirmation message sent.");
  if (destination.kind() == kInflux) {
    destination.set_token_expires_ms(now_ms + kTokenLife.count());
    return;
  }
  destination.set_token(to_hex(random_bytes(kTokenBytes)));
  destination.set_token_expires_ms(now_ms + kTokenLife.count());
}

Status Destinations::commit(const record::RuleDestination& destination) {
  store::Batch batch;
  batch.put(keys::kRules, keys::destination(destination.id()), destination.SerializeAsString());
  IOTCORE_TRY(store_.commit_wait(std::move(batch)));
  const std::lock_guard lock(mutex_);
  destinations_[destination.id()] = destination;
  return {};
}

Result<record::RuleDestination> Destinations::create(record::RuleDestination destination) {
  if (destination.kind() == kHttp) {
    IOTCORE_ASSIGN(const net::HttpUrl url, net::parse_http_url(destination.confirmation_url()));
    static_cast<void>(url);
  }
  if (destination.kind() == kInflux) {
    IOTCORE_TRY(check_influx_destination(destination));
  }
  destination.set_id(new_uuid());
  destination.set_created_ms(to_epoch_ms(clock_.wall()));
  ask_for_confirmation(destination);
  std::unique_lock changing(changing_);
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, other] : destinations_) {
      if (destination.kind() == kHttp &&
          other.confirmation_url() == destination.confirmation_url()) {
        const std::string arn = arn_of(other);
        return fail(
            Error(Errc::kAlreadyExists, fmt::format("{} has that confirmation URL already", arn))
                .with("resourceId", id)
                .with("resourceArn", arn)
        );
      }
    }
    if (destinations_.size() >= kDestinationsMax) {
      return fail(
          Errc::kInvalidRequest, fmt::format("There are {} destinations already.", kDestinationsMax)
      );
    }
  }
  IOTCORE_TRY(commit(destination));
  changing.unlock();
  send_confirmation(destination);
  return destination;
}

Status Destinations::ensure(std::string_view confirmation_url) {
  record::RuleDestination destination;
  destination.set_kind(std::string(kHttp));
  destination.set_confirmation_url(std::string(confirmation_url));
  const auto made = create(std::move(destination));
  return made || made.error().code() == Errc::kAlreadyExists ? Status() : fail(made.error());
}

Result<record::RuleDestination> Destinations::get(std::string_view arn) {
  const std::lock_guard lock(mutex_);
  const auto found = find(arn);
  if (found == destinations_.end()) {
    return no_such_destination(arn);
  }
  expire(found->second);
  return found->second;
}

Status Destinations::update(std::string_view arn, std::string_view status) {
  record::RuleDestination destination;
  std::unique_lock changing(changing_);
  {
    const std::lock_guard lock(mutex_);
    const auto found = find(arn);
    if (found == destinations_.end()) {
      return no_such_destination(arn);
    }
    destination = found->second;
  }
  if (status == kInProgress) {
    ask_for_confirmation(destination);
  } else if (status == kEnabled || status == kDisabled) {
    if (!destination.confirmed()) {
      return fail(
          Errc::kInvalidRequest,
          "The destination has not been confirmed yet; IN_PROGRESS sends the confirmation again."
      );
    }
    destination.set_status(std::string(status));
    destination.clear_status_reason();
    destination.clear_token();
    destination.set_updated_ms(to_epoch_ms(clock_.wall()));
  } else {
    return fail(
        Errc::kInvalidRequest, "The status can be set to ENABLED, DISABLED and IN_PROGRESS."
    );
  }
  IOTCORE_TRY(commit(destination));
  changing.unlock();
  if (status == kInProgress) {
    send_confirmation(destination);
  }
  return {};
}

Status Destinations::remove(std::string_view arn) {
  std::string id;
  const std::lock_guard changing(changing_);
  {
    const std::lock_guard lock(mutex_);
    const auto found = find(arn);
    if (found == destinations_.end()) {
      return no_such_destination(arn);
    }
    id = found->first;
  }
  store::Batch batch;
  batch.erase(keys::kRules, keys::destination(id));
  IOTCORE_TRY(store_.commit_wait(std::move(batch)));
  const std::lock_guard lock(mutex_);
  destinations_.erase(id);
  return {};
}

Status Destinations::wipe() {
  const std::lock_guard changing(changing_);
  store::Batch batch;
  batch.erase_prefix(keys::kRules, keys::destinations());
  IOTCORE_TRY(store_.commit_wait(std::move(batch)));
  const std::lock_guard lock(mutex_);
  destinations_.clear();
  return {};
}

Status Destinations::confirm(std::string_view token) {
  record::RuleDestination confirmed;
  const std::lock_guard changing(changing_);
  {
    const std::lock_guard lock(mutex_);
    for (auto& [id, destination] : destinations_) {
      expire(destination);
      if (destination.token().empty() || !equal_in_constant_time(destination.token(), token)) {
        continue;
      }
      confirmed = destination;
      confirmed.set_status(std::string(kEnabled));
      confirmed.set_confirmed(true);
      confirmed.clear_status_reason();
      confirmed.clear_token();
      confirmed.set_updated_ms(to_epoch_ms(clock_.wall()));
    }
  }
  if (confirmed.id().empty()) {
    return fail(Errc::kUnauthorized, "The confirmation token is not one that is waited for.");
  }
  IOTCORE_TRY(commit(confirmed));
  log(LogLevel::kInfo, "destination.confirmed", {{"destination", arn_of(confirmed)}});
  return {};
}

std::vector<record::RuleDestination> Destinations::list(std::string_view after, std::size_t most) {
  const std::lock_guard lock(mutex_);
  std::vector<record::RuleDestination> found;
  for (auto at = destinations_.upper_bound(after); at != destinations_.end() && found.size() < most;
       ++at) {
    expire(at->second);
    found.push_back(at->second);
  }
  return found;
}

Result<record::RuleDestination> Destinations::influx(std::string_view arn) {
  const std::lock_guard lock(mutex_);
  const auto found = find(arn);
  if (found == destinations_.end() || found->second.kind() != kInflux) {
    return fail(Errc::kNotFound, fmt::format("there is no destination {}", arn));
  }
  expire(found->second);
  const record::RuleDestination& destination = found->second;
  if (destination.status() == kEnabled) {
    return destination;
  }
  return fail(
      destination.status() == kInProgress ? Errc::kUnavailable : Errc::kForbidden,
      fmt::format("destination {} is {}", arn, destination.status())
  );
}

void Destinations::try_influx(const record::RuleDestination& destination) {
  pool_.post([this, destination] {
    const Result<InfluxAccess> access = open(destination);
    end_of_try(
        destination,
        access ? try_influx_destination(*access, options_.http) : Status(fail(access.error()))
    );
  });
}

void Destinations::end_of_try(const record::RuleDestination& destination, const Status& tried) {
  record::RuleDestination changed;
  const std::lock_guard changing(changing_);
  {
    const std::lock_guard lock(mutex_);
    const auto found = destinations_.find(destination.id());
    if (found == destinations_.end() || found->second.status() != kInProgress) {
      return;  // somebody has changed it meanwhile
    }
    changed = found->second;
  }
  changed.set_status(std::string(tried ? kEnabled : kError));
  changed.set_updated_ms(to_epoch_ms(clock_.wall()));
  changed.clear_token_expires_ms();
  if (tried) {
    changed.set_confirmed(true);
    changed.clear_status_reason();
  } else {
    changed.set_status_reason(tried.error().message());
  }
  const Status kept = commit(changed);
  log(tried && kept ? LogLevel::kInfo : LogLevel::kWarn,
      tried ? "destination.confirmed" : "destination.confirmation_failed",
      {{"destination", arn_of(changed)},
       {"error",
        !tried  ? tried.error().message()
        : !kept ? kept.error().message()
                : ""}});
}

Status Destinations::check(std::string_view url) {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, destination] : destinations_) {
    if (destination.status() == kEnabled && is_below(url, destination.confirmation_url())) {
      return {};
    }
  }
  return fail(
      Errc::kForbidden, fmt::format("no enabled destination has a confirmation URL before {}", url)
  );
}

void Destinations::send_confirmation(const record::RuleDestination& destination) {
  if (destination.status() != kInProgress) {
    return;
  }
  if (destination.kind() == kInflux) {
    try_influx(destination);
    return;
  }
  const std::string arn = arn_of(destination);
  const std::string origin = options_.origin ? options_.origin() : "https://localhost";
  json::object body;
  body["arn"] = arn;
  body["confirmationToken"] = destination.token();
  body["enableUrl"] = fmt::format("{}/confirmdestination/{}", origin, destination.token());
  body["messageType"] = "DestinationConfirmation";
  net::HttpRequest request;
  request.method = "POST";
  request.headers.set("Content-Type", "application/json");
  request.headers.set("x-amz-rules-engine-message-type", "DestinationConfirmation");
  request.headers.set("x-amz-rules-engine-destination-arn", arn);
  request.body = to_json(json::value(std::move(body)));
  std::string url = destination.confirmation_url();
  url += url.find('?') == std::string::npos ? '?' : '&';
  url += "confirmationToken=" + destination.token();
  pool_.post([http = options_.http, url = std::move(url), request = std::move(request), arn](
             ) mutable {
    net::HttpCaller caller(std::move(http));
    const Outcome outcome = outcome_of_call(caller.call(url, std::move(request)));
    if (outcome.kind != Outcome::Kind::kDelivered) {
      log(LogLevel::kWarn,
          "destination.confirmation_failed",
          {{"destination", arn}, {"error", outcome.reason}});
    }
  });
}

}  // namespace iotcore::rules
