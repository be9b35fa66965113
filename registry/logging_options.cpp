#include "registry/logging_options.h"

#include "base/log_levels.h"
#include "registry/group_log_levels.h"
#include "registry/keys.h"
#include "registry/page.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace iotcore::registry {
namespace {

constexpr std::string_view kDefaultTarget = "DEFAULT";
constexpr std::string_view kGroupTarget = "THING_GROUP";
constexpr std::size_t kLevelsMax = 1000;

LogLevel level_of(std::string_view name) {
  return name == "DEBUG"  ? LogLevel::kDebug
         : name == "INFO" ? LogLevel::kInfo
         : name == "WARN" ? LogLevel::kWarn
                          : LogLevel::kError;
}

// The field of the log by which a target is known, or empty.
std::string_view field_of(std::string_view target_type) {
  return target_type == "CLIENT_ID"      ? "client_id"
         : target_type == "SOURCE_IP"    ? "source_ip"
         : target_type == "PRINCIPAL_ID" ? "principal"
                                         : "";
}

Status check_events(const api::SetV2LoggingOptionsRequest& request) {
  constexpr std::size_t kNameMax = 512;
  constexpr std::string_view kDestination =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_/#";
  for (const auto& event : request.event_configurations()) {
    if (event.event_type().empty() || event.event_type().size() > kNameMax) {
      return fail(Errc::kInvalidRequest, "An eventType has 1 to 512 characters");
    }
    const std::string& destination = event.log_destination();
    if (event.has_log_destination() &&
        (destination.empty() || destination.size() > kNameMax ||
         destination.find_first_not_of(kDestination) != std::string::npos)) {
      return fail(
          Errc::kInvalidRequest,
          "A logDestination has 1 to 512 letters, digits and characters of . - _ / #"
      );
    }
  }
  return {};
}

}  // namespace

LoggingOptions::~LoggingOptions() {
  if (asks_store_) {
    set_log_levels({});
  }
}

Status LoggingOptions::apply() {
  store::Batch unused;
  IOTCORE_ASSIGN(const record::LoggingOptions options, read(unused));
  LogLevels levels;
  if (options.has_v2()) {
    const api::SetV2LoggingOptionsRequest& v2 = options.v2();
    if (v2.has_default_log_level()) {
      levels.all = level_of(v2.default_log_level());
    }
    if (v2.disable_all_logs()) {
      levels.all = LogLevel::kError;
    }
    IOTCORE_ASSIGN(
        const std::vector<store::Entry> rows,
        store_.scan(keys::kRegistry, keys::logging_levels(), {}, kLevelsMax)
    );
    GroupLogLevels::Levels groups;
    for (const store::Entry& row : rows) {
      const std::string type = segment_of(row.key, 0);
      const LogLevel level = level_of(row.value);
      if (type == kDefaultTarget) {
        levels.all = level;
      } else if (type == kGroupTarget && !v2.disable_all_logs()) {
        groups[segment_of(row.key, 1)] = level;
        levels.clients_least = std::min(levels.clients_least, level);
      } else if (!field_of(type).empty() && !v2.disable_all_logs()) {
        levels.targets.push_back({std::string(field_of(type)), segment_of(row.key, 1), level});
      }
    }
    if (!groups.empty()) {
      // Second owner: whoever is just logging when the levels change.
      auto shared = std::make_shared<GroupLogLevels>(store_, std::move(groups));
      levels.of_client = [shared](std::string_view client) { return shared->of_client(client); };
    }
  } else if (options.has_v1() && options.v1().has_log_level()) {
    levels.all = level_of(options.v1().log_level());
  }
  asks_store_ = asks_store_ || levels.of_client;
  set_log_levels(std::move(levels));
  return {};
}

// The batch expects the row as it is read.
Result<record::LoggingOptions> LoggingOptions::read(store::Batch& batch) {
  const auto key = keys::logging_options();
  IOTCORE_ASSIGN(auto found, find_record<record::LoggingOptions>(store_, keys::kRegistry, key));
  if (!found) {
    batch.expect_absent(keys::kRegistry, key);
    return record::LoggingOptions();
  }
  batch.expect_revision(keys::kRegistry, key, found->revision);
  return std::move(found->record);
}

Status LoggingOptions::write(store::Batch batch, const record::LoggingOptions& options) {
  batch.put(keys::kRegistry, keys::logging_options(), to_row(options));
  return commit(store_, std::move(batch));
}

Result<record::LoggingOptions> LoggingOptions::read_configured(store::Batch& batch) {
  IOTCORE_ASSIGN(record::LoggingOptions options, read(batch));
  if (!options.has_v2()) {
    return fail(Errc::kNotConfigured, "Set the logging options first, with SetV2LoggingOptions");
  }
  return options;
}

Result<api::SetV2LoggingOptionsResponse> LoggingOptions::set_v2(
    const api::SetV2LoggingOptionsRequest& request
) {
  IOTCORE_TRY(check_events(request));
  IOTCORE_TRY(until_no_conflict([&]() -> Status {
    store::Batch batch;
    IOTCORE_ASSIGN(record::LoggingOptions options, read(batch));
    api::SetV2LoggingOptionsRequest& v2 = *options.mutable_v2();
    if (request.has_role_arn()) {
      v2.set_role_arn(request.role_arn());
    }
    if (request.has_default_log_level()) {
      v2.set_default_log_level(request.default_log_level());
    }
    v2.set_disable_all_logs(request.disable_all_logs());
    if (request.event_configurations_size() > 0) {
      *v2.mutable_event_configurations() = request.event_configurations();
    }
    return write(std::move(batch), options);
  }));
  IOTCORE_TRY(apply());
  return api::SetV2LoggingOptionsResponse();
}

Result<api::GetV2LoggingOptionsResponse> LoggingOptions::get_v2(
    const api::GetV2LoggingOptionsRequest& request
) {
  store::Batch batch;
  IOTCORE_ASSIGN(const record::LoggingOptions options, read_configured(batch));
  const api::SetV2LoggingOptionsRequest& v2 = options.v2();
  api::GetV2LoggingOptionsResponse response;
  if (v2.has_role_arn()) {
    response.set_role_arn(v2.role_arn());
  }
  if (v2.has_default_log_level()) {
    response.set_default_log_level(v2.default_log_level());
  }
  response.set_disable_all_logs(v2.disable_all_logs());
  if (request.verbose()) {
    *response.mutable_event_configurations() = v2.event_configurations();
  }
  return response;
}

Result<api::SetV2LoggingLevelResponse> LoggingOptions::set_level(
    const api::SetV2LoggingLevelRequest& request
) {
  const api::LogTarget& target = request.log_target();
  const bool is_default = target.target_type() == kDefaultTarget;
  if (target.target_name().empty() != is_default) {
    return fail(
        Errc::kInvalidRequest,
        "A target has a targetName, unless its targetType is " + std::string(kDefaultTarget)
    );
  }
  IOTCORE_TRY(until_no_conflict([&] { return try_set_level(request); }));
  IOTCORE_TRY(apply());
  return api::SetV2LoggingLevelResponse();
}

Status LoggingOptions::try_set_level(const api::SetV2LoggingLevelRequest& request) {
  store::Batch batch;
  IOTCORE_TRY(read_configured(batch));
  const api::LogTarget& target = request.log_target();
  const auto key = keys::logging_levels().text(target.target_type()).text(target.target_name());
  IOTCORE_ASSIGN(
      const std::vector<store::Entry> rows,
      store_.scan(keys::kRegistry, keys::logging_levels(), {}, kLevelsMax)
  );
  IOTCORE_ASSIGN(const auto existing, store_.get(keys::kRegistry, key));
  if (!existing && rows.size() >= kLevelsMax) {
    return fail(
        Errc::kLimitExceeded,
        "There can be at most " + std::to_string(kLevelsMax) + " targets with a log level"
    );
  }
  batch.put(keys::kRegistry, key, request.log_level());
  return commit(store_, std::move(batch));
}

Result<api::DeleteV2LoggingLevelResponse> LoggingOptions::delete_level(
    const api::DeleteV2LoggingLevelRequest& request
) {
  store::Batch batch;
  batch.erase(
      keys::kRegistry,
      keys::logging_levels().text(request.target_type()).text(request.target_name())
  );
  IOTCORE_TRY(commit(store_, std::move(batch)));
  IOTCORE_TRY(apply());
  return api::DeleteV2LoggingLevelResponse();
}

Result<api::ListV2LoggingLevelsResponse> LoggingOptions::list_levels(
    const api::ListV2LoggingLevelsRequest& request
) {
  store::Batch batch;
  IOTCORE_TRY(read_configured(batch));
  auto prefix = keys::logging_levels();
  if (request.has_target_type()) {
    prefix.text(request.target_type());
  }
  api::ListV2LoggingLevelsResponse response;
  IOTCORE_TRY(read_page(
      store_,
      keys::kRegistry,
      prefix,
      request,
      response,
      [&response](const store::Entry& row) -> Status {
        auto& out = *response.add_log_target_configurations();
        out.mutable_log_target()->set_target_type(segment_of(row.key, 0));
        if (std::string name = segment_of(row.key, 1); !name.empty()) {
          out.mutable_log_target()->set_target_name(std::move(name));
        }
        out.set_log_level(row.value);
        return {};
      }
  ));
  return response;
}

Result<api::SetLoggingOptionsResponse> LoggingOptions::set(
    const api::SetLoggingOptionsRequest& request
) {
  IOTCORE_TRY(until_no_conflict([&]() -> Status {
    store::Batch batch;
    IOTCORE_ASSIGN(record::LoggingOptions options, read(batch));
    *options.mutable_v1() = request.logging_options_payload();
    return write(std::move(batch), options);
  }));
  IOTCORE_TRY(apply());
  return api::SetLoggingOptionsResponse();
}

Result<api::GetLoggingOptionsResponse> LoggingOptions::get(const api::GetLoggingOptionsRequest&) {
  store::Batch batch;
  IOTCORE_ASSIGN(const record::LoggingOptions options, read(batch));
  api::GetLoggingOptionsResponse response;
  if (options.has_v1()) {
    response.set_role_arn(options.v1().role_arn());
    if (options.v1().has_log_level()) {
      response.set_log_level(options.v1().log_level());
    }
  }
  return response;
}

}  // namespace iotcore::registry
