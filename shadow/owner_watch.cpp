// The part of Owner that tells of shadows whose devices fall silent or do not do what is desired, and that changes their settings.
#include "broker/worker_broker.h"
#include "shadow/document/render.h"
#include "shadow/owner.h"
#include "shadow/turn_commit.h"

#include <algorithm>
#include <utility>

namespace iotcore::shadow {
namespace {

// What subscribers hear: $aws/events/shadow/{what}/{thing}.
constexpr std::string_view kStale = "stale";
constexpr std::string_view kFresh = "fresh";
constexpr std::string_view kOverdue = "overdue";
constexpr std::string_view kReached = "reached";

WatchList::Told told_of(const document::Record& record) {
  return {.stale = record.told_stale, .overdue = record.told_overdue};
}

}  // namespace

std::optional<std::int64_t> Owner::stale_at(
    const document::Record& record, const ShadowSettings& settings
) const {
  if (settings.stale_after.count() == 0 || !record.reported_at_s) {
    return std::nullopt;
  }
  return std::max(*record.reported_at_s, watching_since_s_) + settings.stale_after.count();
}

std::optional<std::int64_t> Owner::overdue_at(
    const document::Record& record, const ShadowSettings& settings
) const {
  if (settings.overdue_after.count() == 0 || !record.differs_since_s) {
    return std::nullopt;
  }
  return std::max(*record.differs_since_s, watching_since_s_) + settings.overdue_after.count();
}

std::optional<std::int64_t> Owner::next_look(
    const document::Record& record, const ShadowSettings& settings
) const {
  const auto stale = record.told_stale ? std::nullopt : stale_at(record, settings);
  const auto overdue = record.told_overdue ? std::nullopt : overdue_at(record, settings);
  if (stale && overdue) {
    return std::min(*stale, *overdue);
  }
  return stale ? stale : overdue;
}

void Owner::start_watching() {
  watching_since_s_ = now_s();
  look_every_second();
}

void Owner::look_every_second() {
  worker().timers().schedule(broker_.clock().now() + std::chrono::seconds(1), [this] {
    look_at_due();
    look_every_second();
  });
}

void Owner::watch(const std::vector<Watched>& found) {
  for (const Watched& each : found) {
    if (const Shadow* shadow = cache_.find(each.prefix);
        shadow != nullptr && shadow->readable() && shadow->document) {
      plan(*shadow);  // is newer than what was found
      continue;
    }
    const ShadowSettings& settings = *each.settings;
    std::optional<std::int64_t> due = next_look(each.record, settings);
    if (settings.overdue_after.count() != 0 && !each.record.differs_since_s) {
      due = now_s();  // perhaps it was written when nobody asked for that
    }
    watch_list_.plan(each.prefix, due, told_of(each.record));
  }
  finish_turn();
}

void Owner::look_at_due() {
  const std::vector<std::string> due = watch_list_.take_due(now_s());
  for (const std::string& prefix : due) {
    Shadow* shadow = cache_.find(prefix);
    if (shadow == nullptr) {
      const std::string topic = prefix + "/get";
      shadow = &cache_.insert(*parse_request_topic(topic));
      load(*shadow);
    }
    if (shadow->readable()) {
      look(*shadow);
    } else {
      shadow->look = true;
    }
  }
  if (!due.empty()) {
    finish_turn();
  }
}

void Owner::look(Shadow& shadow) {
  if (!shadow.document) {
    watch_list_.forget(shadow.prefix);
    cache_.settle(shadow);
    return;
  }
  const ShadowSettings& settings = *shadow.settings;
  if (settings.overdue_after.count() != 0 && shadow.document->note_difference(now_s())) {
    mark_dirty(shadow);
    tell_with_commit(shadow, {}, {});
  }
  const document::Record record = shadow.document->record();
  const auto is_over = [this](std::optional<std::int64_t> at) { return at && *at <= now_s(); };
  const bool stale = !record.told_stale && is_over(stale_at(record, settings));
  const bool overdue = !record.told_overdue && is_over(overdue_at(record, settings));
  if (stale || overdue) {
    shadow.document->set_told(record.told_stale || stale, record.told_overdue || overdue);
    mark_dirty(shadow);
  }
  if (stale) {
    tell(shadow, kStale, record.reported_at_s);
  }
  if (overdue) {
    tell(shadow, kOverdue, record.differs_since_s);
  }
  plan(shadow);
  cache_.settle(shadow);
}

void Owner::plan(const Shadow& shadow) {
  const document::Record record = shadow.document->record();
  watch_list_.plan(shadow.prefix, next_look(record, *shadow.settings), told_of(record));
}

void Owner::tell_recovery(Shadow& shadow, const document::Record& before) {
  const document::Record record = shadow.document->record();
  if (before.told_stale && !record.told_stale) {
    tell(shadow, kFresh, before.reported_at_s);
  }
  if (before.told_overdue && !record.told_overdue) {
    tell(shadow, kReached, before.differs_since_s);
  }
}

void Owner::tell(Shadow& shadow, std::string_view what, std::optional<std::int64_t> since_s) {
  std::string topic("$aws/events/shadow/");
  topic.append(what).append("/").append(shadow.thing);
  std::string body(R"({"eventType":")");
  body.append(what).append(R"(","thingName":")").append(shadow.thing);
  if (!shadow.name.empty()) {
    body.append(R"(","shadowName":")").append(shadow.name);
  }
  body.append(R"(","version":)").append(std::to_string(shadow.document->version()));
  body.append(R"(,"since":)").append(std::to_string(since_s.value_or(0)));
  body.append(R"(,"timestamp":)").append(std::to_string(now_s())).append("}");
  tell_with_commit(shadow, std::move(topic), std::move(body));
}

void Owner::tell_with_commit(Shadow& shadow, std::string topic, std::string body) {
  cache_.hold(shadow);
  ++shadow.unanswered;
  shadow.commit->events.push_back({&shadow, std::move(topic), std::move(body)});
}

void Owner::send_events(TurnCommit& commit, bool ok) {
  for (const TurnCommit::Event& event : commit.events) {
    Shadow& shadow = *event.shadow;
    if (shadow.commit == &commit) {
      shadow.commit = nullptr;
    }
    if (ok && !event.topic.empty()) {
      broker::PublishView view;
      view.topic = event.topic;
      view.payload = event.body;
      view.qos = broker::Qos::kAtLeastOnce;
      view.origin = broker::Origin::kService;
      worker().publish({}, view, nullptr);
    } else if (!ok) {
      shadow.doubtful = true;
    }
    if (--shadow.unanswered == 0) {
      settled(shadow);
    }
  }
}

void Owner::set_settings(const std::vector<std::string>& prefixes, const ShadowSettings& settings) {
  for (const std::string& prefix : prefixes) {
    Shadow* shadow = cache_.find(prefix);
    if (shadow == nullptr) {
      // Whoever is not in memory gets them when it is read, which has to be for its time to run.
      if (settings.is_watched()) {
        watch_list_.plan(prefix, now_s(), {});
      } else {
        watch_list_.forget(prefix);
      }
      continue;
    }
    if (!shadow->readable()) {
      shadow->doubtful = true;  // what is being read may be of before
      shadow->look = shadow->look || settings.is_watched();
      continue;
    }
    shadow->settings = &settings;
    shadow->history_excess = true;  // perhaps fewer are to be kept than before
    if (settings.is_watched()) {
      look(*shadow);
    } else {
      watch_list_.forget(prefix);
    }
  }
  finish_turn();
}

}  // namespace iotcore::shadow
