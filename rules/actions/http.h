#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// http(url*, confirmationUrl, headers, auth, enableBatching, batchConfig): POST to a URL that is below the confirmation URL of an enabled destination
// (rules/destinations.h). One queue for each confirmation URL.
struct Http {
  static constexpr std::string_view kName = "http";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 10};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// webhook(url*, method, headers, timeout, enableBatching, batchConfig): as http, to a URL that nobody has to confirm. One queue for each host.
struct Webhook {
  static constexpr std::string_view kName = "webhook";
  static constexpr bool kIsAws = false;
  static constexpr SinkDefaults kDefaults = {.batch_size = 10};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// salesforce(token*, url*): POST with the token.
struct Salesforce {
  static constexpr std::string_view kName = "salesforce";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {.batch_size = 10};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

// The fields of a record of http; behind them, a name and a value for each header.
enum HttpField : std::size_t {
  kUrl,
  kConfirmationUrl,
  kAuth,
  kSigV4,
  kSigningRegion,
  kServiceName,
  kSigningRole,
  kEnableBatching,
  kBatchTopic,  // empty: batches go across topics
  kBatchSize,
  kBatchBytes,
  kMethod,     // empty: POST
  kTimeoutMs,  // empty: what rules have for all
  kHttpFieldCount
};

enum SalesforceField : std::size_t { kSalesforceUrl, kToken, kSalesforceFieldCount };

}  // namespace iotcore::rules::actions
