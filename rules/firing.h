#pragma once

#include "broker/message.h"
#include "proto/record/rules.pb.h"
#include "rules/action.h"
#include "rules/rule_set.h"
#include "rules/rule_trace.h"
#include "rules/sink_queue.h"
#include "rules/sql/message_view.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace iotcore::rules {

// A record and the queue that it is for.
struct Prepared {
  SinkQueue* queue;
  std::unique_ptr<Record> record;
};

// One rule that fired for one message: what its actions become, before any of it goes on its way.
class Firing {
 public:
  // The message. `is_promised`: its publisher is told when it is kept.
  struct Origin {
    const sql::MessageView& message;
    std::uint8_t hops = 0;
    bool is_promised = false;
  };

  struct Publish {
    broker::Message::Ref message;
    const ActionKind* kind;
  };

  // `trace`: where its actions are noted, or nullptr. `records`: this thread's, if it has one. All of it outlives the firing.
  Firing(
      const LiveRule& live, const Origin& origin, TraceEvent* trace, RecordSource* records = nullptr
  )
      : live_(live), origin_(origin), trace_(trace), records_(records) {}

  void resolve(const ActionInput& input);

  // Puts the durable records into `batch`, and what their ends need.
  void write(store::Batch& batch, const record::OutboxMessage& message);
  // Where in-memory records say how they ended; they share it.
  void connect_in_memory(const record::OutboxMessage& message);

  const std::string& rule() const { return live_.rule->definition.name; }

  bool has_error_action() const { return live_.rule->error_action.has_value(); }

  const RuleAction* error_action() const {
    return has_error_action() ? &*live_.rule->error_action : nullptr;
  }

  bool is_durable(const RuleAction& action) const;

  // What came of it; whoever delivers takes it from here.
  std::vector<Publish> publishes;
  std::vector<Prepared> durable;
  std::vector<Prepared> in_memory;
  std::vector<record::ActionFailure> failures;  // of actions that went nowhere

 private:
  void publish(const RuleAction& action, const ActionInput& input, Action::Fields fields);
  void queue(std::size_t index, const ActionInput& input, Action::Fields fields);
  void add_failure(const RuleAction& action, const Action::Fields& fields, const Error& error);
  void note(
      const RuleAction& action, const ActionInput& input, const Result<Action::Fields>& fields
  );

  const LiveRule& live_;
  const Origin origin_;
  TraceEvent* trace_;
  RecordSource* records_;
  std::uint32_t durable_mask_ = 0;
};

}  // namespace iotcore::rules
