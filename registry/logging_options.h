#pragma once

#include "proto/api/account.pb.h"
#include "proto/record/registry.pb.h"
#include "registry/rows.h"

#include <atomic>

namespace iotcore::registry {

// The operations on logging options, both generations. Once they are set, they say what the server logs, and its configuration does not: DISABLED leaves
// the errors; the targets CLIENT_ID, SOURCE_IP, PRINCIPAL_ID and THING_GROUP have levels of their own. Blocking; any thread.
class LoggingOptions {
 public:
  explicit LoggingOptions(store::Store& store) : store_(store) {}

  ~LoggingOptions();
  LoggingOptions(const LoggingOptions&) = delete;
  LoggingOptions& operator=(const LoggingOptions&) = delete;

  // Puts what is stored in force: at start, and when the account has been emptied.
  Status apply();

  // Role and level stay as they were where they are not given.
  Result<api::SetV2LoggingOptionsResponse> set_v2(const api::SetV2LoggingOptionsRequest& request);
  // kNotConfigured until they have been set.
  Result<api::GetV2LoggingOptionsResponse> get_v2(const api::GetV2LoggingOptionsRequest& request);
  Result<api::SetV2LoggingLevelResponse> set_level(const api::SetV2LoggingLevelRequest& request);
  Result<api::DeleteV2LoggingLevelResponse> delete_level(
      const api::DeleteV2LoggingLevelRequest& request
  );
  Result<api::ListV2LoggingLevelsResponse> list_levels(
      const api::ListV2LoggingLevelsRequest& request
  );
  Result<api::SetLoggingOptionsResponse> set(const api::SetLoggingOptionsRequest& request);
  Result<api::GetLoggingOptionsResponse> get(const api::GetLoggingOptionsRequest& request);

 private:
  Result<record::LoggingOptions> read(store::Batch& batch);
  Status try_set_level(const api::SetV2LoggingLevelRequest& request);
  Status write(store::Batch batch, const record::LoggingOptions& options);
  Result<record::LoggingOptions> read_configured(store::Batch& batch);

  store::Store& store_;
  std::atomic<bool> asks_store_ = false;  // the levels in force look things up
};

}  // namespace iotcore::registry
