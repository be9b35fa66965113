#pragma once

#include "rules/action.h"
#include "rules/targets.h"

namespace iotcore::rules::actions {

// sns(targetArn*, messageFormat RAW|JSON): a notification to all subscriptions of a topic. Built in: published on $iotcore/sns/<topic>; further subscriptions
// are those of the target of kind `sns` that the ARN matches.
struct Sns {
  static constexpr std::string_view kName = "sns";
  static constexpr bool kIsAws = true;
  static constexpr SinkDefaults kDefaults = {};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

enum SnsField : std::size_t { kTargetArn, kMessageFormat, kSnsFieldCount };

// sns(match*, subscriptions*, mail): who hears of a topic: [{'protocol': 'mqtt', 'endpoint': 'a/topic'}, {'protocol': 'https', 'endpoint': 'https://…'},
// {'protocol': 'email', 'endpoint': 'a@b'}, …]; mail: the target of kind smtp that mails go by.
struct SnsTarget {
  static constexpr std::string_view kName = "sns";
  static void check(MemberReader& options);
};

// The subscriptions of such a target, for others that notify. Records are of sns.
Result<std::unique_ptr<Sink>> make_subscriptions(
    const TargetRef& target, const SinkEnvironment& environment
);

}  // namespace iotcore::rules::actions
