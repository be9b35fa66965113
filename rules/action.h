#pragma once

#include "base/result.h"
#include "broker/message.h"
#include "rules/definition_error.h"
#include "rules/delivery_options.h"
#include "rules/sink.h"
#include "rules/sql/evaluation.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::rules {

class MemberReader;

// What a rule hands to its actions. Valid for the call it is given to.
struct ActionInput {
  sql::Evaluation& evaluation;  // for templates
  std::string_view payload;     // what goes out
  bool is_json = true;
};

// Messages of one request, where an action asks for that: of one topic, or of any.
enum class Batching : std::uint8_t { kNone, kByTopic, kAcrossTopics };

// One action of one rule, checked and compiled. Immutable, any thread.
class Action {
 public:
  using Fields = std::vector<std::string>;

  virtual ~Action() = default;
  // What its sink delivers to; with the kind it names the sink. The forms it may have: rules/bindings.h.
  virtual std::string target() const = 0;
  // What the sink needs besides the payload. An error is permanent: a field that is bad or empty.
  virtual Result<Fields> resolve(const ActionInput& input) const = 0;

  // What resolve() has withheld of what the rule says literally, by the member's name; nothing: there is no such.
  virtual std::optional<std::string> own_secret(std::string_view /*member*/) const {
    return std::nullopt;
  }

  // What was acted on, for people: `failedResource` of the errorAction.
  virtual std::string resource(const Fields& fields) const = 0;

  // What the action itself says of batches, where its delivery options say nothing.
  virtual void fill_in(DeliveryOptions& /*delivery*/) const {}

  // Whether the action itself asks for several messages in one request.
  virtual Batching batching() const { return Batching::kNone; }

  // Records of one key are delivered in order, also with several batches under way (`concurrency`): a partition key, a topic, a row's key.
  // Empty: the key is the publisher's client id. `payload`: what goes out.
  virtual std::string order_key(const Fields& /*fields*/, std::string_view /*payload*/) const {
    return {};
  }

  // Actions that are a publish in this server: done on the worker, in the turn and the commit of the message itself. Nothing: this one
  // goes through its sink.
  virtual bool is_publish() const { return false; }

  virtual Result<broker::Message::Ref> to_message(
      const Fields& /*fields*/, std::string_view /*payload*/, std::uint8_t /*hops*/
  ) const {
    return fail(Errc::kInternal, "not a publish");
  }
};

using ParsedAction = Checked<std::unique_ptr<const Action>>;

// A kind of action as the engine knows it; one row of the list in actions/all_actions.cpp.
struct ActionKind {
  std::string_view name;
  // AWS's, and not ours: written as {"name": {…}} instead of {"iotcore": {"type": "name", …}}.
  bool is_aws;
  SinkDefaults defaults;
  // Reads its members; unknown ones are found by the caller. What `environment` points to is there for the call only.
  ParsedAction (*parse)(MemberReader& members, const SinkEnvironment& environment);
  // Opens nothing yet. `environment` and what it points to are there as long as the sink. When the target of that name changes, another sink is made and
  // takes the place of this one; an error says that the target has gone.
  Result<std::unique_ptr<Sink>> (*make_sink
  )(std::string_view target, const SinkEnvironment& environment);
};

// Nullptr: there is no such kind.
const ActionKind* find_action_kind(std::string_view name);
// "file, log, republish and sqlite"
std::string action_kind_names();

}  // namespace iotcore::rules
