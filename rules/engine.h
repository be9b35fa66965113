#pragma once

#include "broker/broker.h"
#include "functions/functions.h"
#include "net/http_caller.h"
#include "rules/built_ins.h"
#include "rules/dead_letters.h"
#include "rules/deferred_rules.h"
#include "rules/engine_functions.h"
#include "rules/firings.h"
#include "rules/functions/local_functions.h"
#include "rules/outbox.h"
#include "rules/record_secrets.h"
#include "rules/rule_catalog.h"
#include "rules/rule_metrics.h"
#include "rules/rule_set.h"
#include "rules/rule_trace.h"
#include "rules/sink_runner.h"
#include "rules/sinks.h"
#include "rules/sql/environment.h"
#include "rules/sql/evaluation.h"
#include "rules/targets.h"
#include "store/store.h"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <vector>

namespace iotcore::rules {

struct EngineOptions {
  // Of what `file` and `sqlite` actions write; inside the data folder.
  std::filesystem::path sink_folder = "sinks";
  bool allow_absolute_paths = false;  // rules.allow_absolute_paths
  std::size_t sink_threads =
      16;  // many, since each may wait for a target or function that takes its time
  std::size_t sink_memory_bytes_max = 256U << 20;           // of all queues
  std::size_t sink_queue_bytes_max = std::size_t{4} << 30;  // of each, in the outbox
  FiringLimits dead_letters;
  sql::EvaluationLimits limits;
  sql::CompileOptions compile;
  bool strict = false;  // three attempts for every record, as AWS's
  std::filesystem::path
      disk_folder;  // where the store is: what waits does not grow when its disk has little room; empty: not looked at
  unsigned disk_free_min_percent = 10;
  std::vector<std::filesystem::path>
      descriptor_folders;            // of decode(…, 'proto', …): bucket/key below one of them
  std::size_t deferred_threads = 8;  // evaluate rules that ask others
  std::size_t deferred_waiting_max = 10'000;  // messages of one such rule
  // Outlives the engine; called on threads that may wait, by any of them at once. nullptr: none.
  sql::ExternalFunctions* external = nullptr;
  std::vector<Target> targets;                // of the configuration, not checked yet
  bool files_win = true;                      // rules.files_win
  std::vector<std::string> roles;             // rules.roles
  std::size_t rules_max = 100'000;            // rules.limits.rules
  const SecretSource* secrets = nullptr;      // outlives the engine; nullptr: there are none
  functions::Functions* functions = nullptr;  // outlives the engine; nullptr: there are none
  MessageQueues::Limits queues;
  net::HttpRules http;               // http.allow
  bool confirm_destinations = true;  // http.confirmation
  // Of this server as others call it, "https://host:port"; asked when a destination is to be confirmed.
  std::function<std::string()> origin;
};

// The rules engine: rules from the store, run on the workers for every message that they match, their outputs delivered by sinks.
//
//   Engine engine(broker, store, options);   // nothing happens yet
//   engine.load();                           // blocks: reads rules and outbox
//   engine.start();                          // rules get messages, sinks deliver; before the first client
//   engine.stop(5s);                         // no more messages; what is in memory only is delivered if it can be in that time
//
// It outlives every publish; destroyed after the workers have stopped.
class Engine final : public RuleExecutor {
 public:
  // `runner`: for tests; otherwise threads of its own.
  Engine(
      broker::Broker& broker,
      store::Store& store,
      EngineOptions options,
      std::unique_ptr<SinkRunner> runner = nullptr
  );
  ~Engine() override;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  Status load();
  void start();
  void stop(Duration deadline);

  // Takes over other targets of the configuration, not checked yet. Blocks; an error changes nothing.
  Status set_targets(const std::vector<Target>& targets);

  RuleCatalog& catalog() { return catalog_; }

  const Targets& targets() const { return targets_; }

  // nullptr: there are none.
  LocalFunctions* functions() { return functions_.get(); }

  BuiltIns& built_ins() { return built_ins_; }

  DeadLetters& dead_letters() { return dead_letters_; }

  Result<std::size_t> retry_dead_letters(const DeadLetters::Selection& selection) {
    return dead_letters_.retry(selection, sinks_);
  }

  RuleTraces& traces() { return traces_; }

  sql::ExternalFunctions& external_functions() { return external_; }

  // State, lag and last error of each sink.
  std::vector<SinkQueue::State> sinks() const { return sinks_.states(); }

  const SinkEnvironment& environment() const { return sinks_.environment(); }

  const EngineOptions& options() const { return options_; }

  const broker::BrokerOptions& account() const { return broker_.options(); }

  // On a worker: from the rule set.
  void execute(
      std::span<const LiveRuleRef> rules, std::string_view topic, broker::PublishContext& context
  ) override;
  void rule_not_found(const broker::BasicIngestTopic& topic, broker::PublishContext& context)
      override;

 private:
  Status load_targets();
  struct WorkerState;

  void read_source(
      WorkerState& worker, std::string_view topic, const broker::PublishContext& context
  ) const;
  void run(const LiveRule& live, broker::PublishContext& context, WorkerState& worker);
  void send(Firing& firing, broker::PublishContext& context, WorkerState& worker);
  void log_failures(Firing& firing);
  void fail_all(
      Firing& firing,
      record::OutboxMessage message,
      broker::PublishContext& context,
      WorkerState& worker
  );
  void defer(const LiveRule& live, broker::PublishContext& context, const WorkerState& worker);
  // Over and over. Not by runner_, which is empty already while what was posted is run for the last time.
  void watch_disk(SinkRunner& runner);
  void drop_what_is_old(SinkRunner& runner);

  broker::Broker& broker_;
  const EngineOptions options_;
  EngineFunctions external_;
  Metrics& metrics_;
  Counter& not_found_;
  Counter& aws_not_found_;
  std::vector<std::unique_ptr<WorkerState>> workers_;
  LogLimit log_limit_;
  Outbox outbox_;
  DeadLetters dead_letters_;
  RuleMetricsTable rule_metrics_;
  RuleTraces traces_;
  Firings firings_;
  std::unique_ptr<SinkRunner> runner_;
  Targets targets_;
  std::unique_ptr<LocalFunctions> functions_;
  BuiltIns built_ins_;
  RecordSecrets secrets_;
  Sinks sinks_;
  RuleSet rules_;
  DeferredRules deferred_;
  RuleCatalog catalog_;
};

}  // namespace iotcore::rules
