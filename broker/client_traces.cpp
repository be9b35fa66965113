#include "broker/client_traces.h"

#include "broker/printable.h"

#include <utility>

namespace iotcore::broker {

std::string_view name_of(ClientTraceEvent::Kind kind) {
  switch (kind) {
    case ClientTraceEvent::Kind::kReceived:
      return "RECEIVED";
    case ClientTraceEvent::Kind::kSent:
      return "SENT";
    case ClientTraceEvent::Kind::kAllowed:
      return "ALLOWED";
    case ClientTraceEvent::Kind::kDenied:
      return "DENIED";
    case ClientTraceEvent::Kind::kDropped:
      return "DROPPED";
    case ClientTraceEvent::Kind::kClosed:
      return "CLOSED";
  }
  return "";
}

void ClientTrace::add(ClientTraceEvent event) {
  event.detail = printable(event.detail, kDetailBytes);
  event.number = ++count_;
  events_.push_back(std::move(event));
  if (events_.size() > kEventsKept) {
    events_.pop_front();
  }
}

ClientTrace::Page ClientTrace::read(std::uint64_t after) const {
  Page page;
  page.next = count_;
  if (after > count_) {
    after = 0;  // of an earlier trace: begin anew
  }
  const std::uint64_t first = count_ - events_.size();  // before the first that is kept
  page.missed = first > after ? first - after : 0;
  for (const ClientTraceEvent& event : events_) {
    if (event.number > after) {
      page.events.push_back(event);
    }
  }
  return page;
}

void ClientTraces::drop_old(MonotonicTime now) {
  std::erase_if(traces_, [now](const auto& trace) { return trace.second.end < now; });
}

ClientTrace* ClientTraces::find(std::string_view client_id, MonotonicTime now) {
  if (traces_.empty()) [[likely]] {
    return nullptr;
  }
  drop_old(now);
  const auto found = traces_.find(client_id);
  return found == traces_.end() ? nullptr : &found->second.trace;
}

Result<ClientTrace::Page> ClientTraces::read(
    std::string_view client_id, std::uint64_t after, MonotonicTime now
) {
  drop_old(now);
  auto found = traces_.find(client_id);
  if (found == traces_.end()) {
    if (traces_.size() >= kClientsMax) {
      return fail(
          Errc::kThrottled,
          "Too many clients are traced; one is free half a minute after its last call"
      );
    }
    found = traces_.try_emplace(std::string(client_id)).first;
  }
  found->second.end = now + kLife;
  return found->second.trace.read(after);
}

}  // namespace iotcore::broker
