#include "tests/simulation/ledger.h"

#include "broker/topic.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

namespace iotcore::simulation {

using broker::mqtt::PublishView;

namespace {

constexpr std::string_view kDurable = "durable/";

std::optional<std::uint64_t> number_of(std::string_view payload) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(payload.data(), payload.data() + payload.size(), number);
  if (parsed.ec != std::errc{} || payload != Ledger::payload_of(number)) {
    return std::nullopt;
  }
  return number;
}

bool matches(const Subscription& subscription, std::string_view topic) {
  return broker::topic_matches(subscription.filter, topic);
}

// Whether the subscription was there, or may have been, at any time from `from` on.
bool may_be_there(const Subscription& subscription, Step from) {
  return subscription.left == kNever || subscription.left >= from;
}

}  // namespace

void violated(std::string_view what) {
  throw Violation(std::string(what));
}

std::string Ledger::payload_of(std::uint64_t number) {
  // Of different lengths, so that packets end anywhere in a read.
  return fmt::format("{} {}", number, std::string((number * 37) % 150, 'x'));
}

void Ledger::received(Session& session, const PublishView& packet, bool is_v5) {
  if (packet.payload.empty()) {
    const bool asked = std::any_of(
        session.subscriptions.begin(),
        session.subscriptions.end(),
        [&](const Subscription& s) { return matches(s, packet.topic); }
    );
    if (!asked) {
      violated("an empty message that the client had not asked for");
    }
    return;
  }
  const auto number = number_of(packet.payload);
  if (!number || *number >= sent_.size()) {
    violated(fmt::format("a payload that nobody sent, on {}", packet.topic));
  }
  const Sent& sent = sent_[*number];
  if (sent.topic != packet.topic) {
    violated(fmt::format("message {} of {} came on {}", *number, sent.topic, packet.topic));
  }
  if (sent.promise == Sent::Promise::kRefused) {
    violated(fmt::format("message {} arrived though its publisher was refused", *number));
  }
  if (sent.topic.starts_with(kForbidden) ||
      (sent.topic.starts_with(kSecret) && !rights_.saw_secrets_since(session.client_id, sent.at))) {
    violated(fmt::format(
        "message {} arrived at {}, which may not receive {}", *number, session.client_id, sent.topic
    ));
  }
  if (packet.qos > sent.qos) {
    violated(fmt::format("message {} arrived with a higher QoS than it was sent with", *number));
  }
  check_asked_for(session, sent, packet, is_v5);
  // It says itself that it may be one too many. What was sent is not known to the next life if the disk failed.
  if (packet.qos == Qos::kAtLeastOnce && (packet.dup || disk_failed) &&
      session.copies.contains(*number)) {
    return;
  }
  session.copies_once[*number] += packet.qos == Qos::kExactlyOnce ? 1 : 0;
  ++session.copies[*number];
  check_copies(session, *number, sent, packet.qos);
  // A message that one member of a group does not take goes to another, after what came later (MQTT5 4.6 leaves shared subscriptions out).
  const bool is_shared = std::any_of(
      session.subscriptions.begin(),
      session.subscriptions.end(),
      [&](const Subscription& s) { return !s.share_name.empty() && matches(s, packet.topic); }
  );
  if (!packet.retain && !sent.is_will && !may_be_late(sent) && !is_shared) {
    check_order(session, *number, sent, packet.qos);
  }
}

void Ledger::check_asked_for(
    const Session& session, const Sent& sent, const PublishView& packet, bool is_v5
) {
  bool asked = false;
  bool retain_allowed = false;
  Qos qos_max = Qos::kAtMostOnce;
  std::set<std::uint32_t> ids;
  for (const Subscription& subscription : session.subscriptions) {
    if (!matches(subscription, packet.topic) || !may_be_there(subscription, sent.at)) {
      continue;
    }
    // No Local says nothing of what comes because of a SUBSCRIBE.
    asked = asked || subscription.local || packet.retain || sent.publisher != session.client_id;
    retain_allowed =
        retain_allowed || subscription.retain_as_published || subscription.retained_asked > 0;
    qos_max = std::max(qos_max, subscription.qos_max);
    ids.insert(subscription.ids.begin(), subscription.ids.end());
  }
  if (!asked) {
    violated(fmt::format(
        "{} got a message on {}, for which it had not asked", session.client_id, packet.topic
    ));
  }
  if (packet.qos > qos_max) {
    violated("a message came with a higher QoS than was asked for");
  }
  if (packet.retain && (!sent.retain || !retain_allowed)) {
    violated("RETAIN is set on a message that is not a retained one");
  }
  if (is_v5) {
    packet.properties.for_each_subscription_id([&](std::uint32_t id) {
      if (!ids.contains(id)) {
        violated("a Subscription Identifier that does not belong to a matching subscription");
      }
    });
  }
}

void Ledger::check_order(Session& session, std::uint64_t number, const Sent& sent, Qos qos) {
  // Sending again repeats what has been seen, so only what is new has to be newer (MQTT-4.6.0-6).
  if (session.copies[number] > 1) {
    return;
  }
  // Who subscribed, asked for more (a higher QoS, its own messages), or came back to a subscription of QoS 0, between the first time and this one
  // may have got later messages already; as has who was away for so long that the first copy expired, or had no room for it.
  const bool was_there = std::any_of(
      session.subscriptions.begin(),
      session.subscriptions.end(),
      [&](const Subscription& s) {
        return s.granted < sent.at && s.leaving == kNever && matches(s, sent.topic) &&
               (!s.no_local || sent.publisher != session.client_id) &&
               std::min(s.qos_min, sent.qos) >= qos;
      }
  );
  const bool was_away = qos == Qos::kAtMostOnce && session.connected >= sent.at;
  if (sent.resent > 0 && (!was_there || was_away || sent.expires || little_room)) {
    return;
  }
  std::uint64_t& newest = session.newest[fmt::format(
      "{} {} {} {}", sent.publisher, sent.topic, static_cast<int>(sent.qos), static_cast<int>(qos)
  )];
  if (newest > number) {
    violated(fmt::format("message {} overtook message {} on {}", newest, number, sent.topic));
  }
  newest = number;
}

void Ledger::check_copies(const Session& session, std::uint64_t number, const Sent& sent, Qos qos) {
  std::uint32_t own = 0;
  std::uint32_t groups = 0;
  std::uint32_t retained = 0;
  for (const Subscription& subscription : session.subscriptions) {
    if (matches(subscription, sent.topic)) {
      own = subscription.share_name.empty() ? 1 : own;
      groups += subscription.share_name.empty() ? 0 : 1;
      retained += sent.retain ? subscription.retained_asked : 0;
    }
  }
  if (groups > 0) {
    return;  // what a member leaves unacknowledged goes to another one, or to itself
  }
  // What a subscriber gets at a lower QoS leaves before the message is kept, so it may come again when that fails; to who has no persistent session
  // at QoS 2, too.
  const bool once = qos == Qos::kExactlyOnce && !may_be_late(sent);
  // A will that went out just before the server died may not be known to have done so: rather twice than never.
  const std::uint32_t again = sent.is_will ? deaths : sent.resent;
  const std::uint32_t most = own * (once ? 1 : 1 + again) + retained;
  const std::uint32_t copies = once ? session.copies_once.at(number) : session.copies.at(number);
  if (copies > most) {
    violated(fmt::format(
        "{} copies of message {} at {}, and {} at most were due",
        copies,
        number,
        session.client_id,
        most
    ));
  }
}

bool Ledger::must_have(const Session& session, const Sent& sent) {
  if (sent.topic.starts_with(kForbidden)) {
    return false;
  }
  if (sent.topic.starts_with(kSecret)) {
    const Rights::Secrets& secrets = rights_.secrets(session.client_id);
    if (!secrets.allowed || secrets.changed >= sent.at) {
      return false;
    }
  }
  return std::any_of(
      session.subscriptions.begin(),
      session.subscriptions.end(),
      [&](const Subscription& subscription) {
        // Who is away gets what is worth keeping.
        const bool there = std::min(subscription.qos_min, sent.qos) != Qos::kAtMostOnce ||
                           session.connected < sent.at;
        return there && subscription.share_name.empty() && subscription.granted < sent.at &&
               subscription.leaving == kNever && matches(subscription, sent.topic) &&
               (!subscription.no_local || sent.publisher != session.client_id);
      }
  );
}

void Ledger::check_arrivals(const std::vector<const Session*>& sessions, std::uint64_t dropped) {
  std::uint64_t missing = 0;
  std::string first;
  for (std::uint64_t number = 0; number < sent_.size(); ++number) {
    const Sent& sent = sent_[number];
    if (sent.promise != Sent::Promise::kKept || sent.expires || sent.clears) {
      continue;
    }
    for (const Session* session : sessions) {
      if (must_have(*session, sent) && !session->copies.contains(number)) {
        first =
            missing++ == 0
                ? fmt::format(
                      "message {} on {} never reached {}", number, sent.topic, session->client_id
                  )
                : first;
      }
    }
  }
  if (missing > dropped) {
    violated(fmt::format("{} ({} are missing, {} were counted as dropped)", first, missing, dropped)
    );
  }
  if (dropped == 0) {
    check_groups(sessions);
  }
}

void Ledger::check_groups(const std::vector<const Session*>& sessions) {
  for (std::uint64_t number = 0; number < sent_.size(); ++number) {
    const Sent& sent = sent_[number];
    if (sent.promise != Sent::Promise::kKept || sent.qos != Qos::kAtMostOnce || sent.clears) {
      continue;
    }
    // One copy for each group, whichever of its members has it.
    std::set<std::pair<std::string, std::string>> groups;
    std::uint32_t copies = 0;
    for (const Session* session : sessions) {
      bool is_member = false;
      for (const Subscription& subscription : session->subscriptions) {
        if (!subscription.share_name.empty() && matches(subscription, sent.topic)) {
          groups.emplace(subscription.share_name, subscription.filter);
          is_member = true;
        }
      }
      const auto found = session->copies.find(number);
      copies += is_member && found != session->copies.end() ? found->second : 0;
    }
    if (copies > groups.size() * (1 + sent.resent)) {
      violated(
          fmt::format("message {} came {} times to {} share groups", number, copies, groups.size())
      );
    }
  }
}

bool Ledger::is_superseded(const Sent& sent, Step asked) const {
  return std::any_of(sent_.begin(), sent_.end(), [&](const Sent& other) {
    return other.retain && other.topic == sent.topic && other.at > sent.settled &&
           other.acknowledged < asked;
  });
}

void Ledger::check_retained(
    const std::map<std::string, std::string>& payload_of_topic, Step asked
) {
  for (const auto& [topic, payload] : payload_of_topic) {
    const auto number = number_of(payload);
    if (!number || *number >= sent_.size() || sent_[*number].topic != topic) {
      violated(fmt::format("what is retained on {} was never published there", topic));
    }
    if (!sent_[*number].retain || is_superseded(sent_[*number], asked)) {
      violated(fmt::format(
          "message {} is retained on {}, which an acknowledged one has replaced", *number, topic
      ));
    }
  }
  for (std::uint64_t number = 0; number < sent_.size(); ++number) {
    const Sent& sent = sent_[number];
    if (!sent.retain || sent.clears || sent.expires || sent.acknowledged >= asked ||
        payload_of_topic.contains(sent.topic)) {
      continue;
    }
    // Nothing is there: some publish that clears must have been able to come after this one, or one that expires.
    const bool may_be_gone = std::any_of(sent_.begin(), sent_.end(), [&](const Sent& other) {
      return other.retain && (other.clears || other.expires) && other.topic == sent.topic &&
             other.settled > sent.at;
    });
    if (!may_be_gone) {
      violated(fmt::format("the retained message {} of {} is gone", number, sent.topic));
    }
  }
}

void Ledger::check_durable(const SimulatedStore& store) {
  for (std::uint64_t number = 0; number < sent_.size(); ++number) {
    const Sent& sent = sent_[number];
    if (sent.acknowledged != kNever && !sent.clears && sent.topic.starts_with(kDurable) &&
        !store.is_durable(store::Table::kOutbox, std::to_string(number))) {
      violated(fmt::format("message {} was acknowledged, and its row is not on the disk", number));
    }
  }
}

void Ledger::settle(const std::shared_ptr<Wire>& wire, Step now) {
  for (Sent& sent : sent_) {
    if (sent.wire == wire && sent.settled == kNever) {
      sent.settled = now;
    }
  }
}

}  // namespace iotcore::simulation
