#include "rules/rule_trace.h"

#include "rules/sql/withheld.h"

#include <algorithm>
#include <utility>

namespace iotcore::rules {

void RuleTraces::drop_old() {
  const MonotonicTime now = clock_.now();
  std::erase_if(traces_, [now](const auto& trace) { return trace.second.end < now; });
  on_ = !traces_.empty();
}

std::optional<TraceEvent> RuleTraces::make(
    std::string_view rule, const sql::MessageView& message, std::string_view payload
) {
  {
    const std::lock_guard lock(mutex_);
    drop_old();
    if (!traces_.contains(rule)) {
      return std::nullopt;
    }
  }
  TraceEvent event;
  event.time_ms = message.timestamp_ms;
  event.trace_id = message.trace_id.value_or("");
  event.topic = message.topic;
  event.client_id = message.client_id.value_or("");
  event.payload = payload;
  return event;
}

void RuleTraces::end(
    std::string_view rule,
    std::optional<TraceEvent> event,
    const Result<std::optional<sql::Output>>& output,
    std::string_view secret_mark
) {
  if (!event) {
    return;
  }
  if (!output) {
    event->outcome = TraceEvent::Outcome::kFailed;
    event->error = output.error().message();
  } else if (!*output) {
    event->outcome = TraceEvent::Outcome::kNotFired;
  } else {
    event->output = sql::show_withheld((*output)->view(), secret_mark);
  }
  add(rule, *std::move(event));
}

void RuleTraces::add(std::string_view rule, TraceEvent event) {
  for (std::string* text : {&event.payload, &event.output}) {
    text->resize(std::min(text->size(), kBytesShown));
  }
  const std::lock_guard lock(mutex_);
  const auto found = traces_.find(rule);
  if (found == traces_.end()) {
    return;
  }
  Trace& trace = found->second;
  event.number = trace.next++;
  trace.events.push_back(std::move(event));
  if (trace.events.size() > kEventsKept) {
    trace.events.pop_front();
  }
}

RuleTraces::Page RuleTraces::read(std::string_view rule, std::uint64_t after) {
  const std::lock_guard lock(mutex_);
  drop_old();
  Trace& trace = traces_[std::string(rule)];
  trace.end = clock_.now() + kLife;
  on_ = true;
  Page page;
  page.next = trace.next - 1;
  if (after == 0 || after > page.next) {
    // Whoever begins sees what comes from here on; one who was away too long begins anew.
    if (after == 0 && trace.next == 1) {
      trace.next = 2;  // so that the first answer is not mistaken for a beginning
      page.next = 1;
    }
    return page;
  }
  for (const TraceEvent& event : trace.events) {
    if (event.number > after) {
      page.events.push_back(event);
    }
  }
  page.missed = page.next - after - page.events.size();
  return page;
}

}  // namespace iotcore::rules
