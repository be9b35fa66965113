#pragma once

#include "base/clock.h"
#include "base/result.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace iotcore::broker {

// One thing that passed between a client and the server, or that the server decided about it. Never payloads, passwords or user names.
struct ClientTraceEvent {
  enum class Kind : std::uint8_t { kReceived, kSent, kAllowed, kDenied, kDropped, kClosed };

  std::uint64_t number = 0;
  std::int64_t time_ms = 0;
  Kind kind = Kind::kReceived;
  std::string what;    // the packet or the action
  std::string detail;  // "topic=a/b qos=1 id=7 bytes=12"; for people
};

std::string_view name_of(ClientTraceEvent::Kind kind);

// The latest events of one client, until nobody has asked for them for a while.
class ClientTrace {
 public:
  struct Page {
    std::vector<ClientTraceEvent> events;
    std::uint64_t next = 0;    // what to read after
    std::uint64_t missed = 0;  // events that were dropped before they were read
  };

  static constexpr std::size_t kEventsKept = 1000;
  static constexpr std::size_t kDetailBytes = 1024;

  void add(ClientTraceEvent event);
  // The events with numbers above `after`.
  Page read(std::uint64_t after) const;

 private:
  std::uint64_t count_ = 0;
  std::deque<ClientTraceEvent> events_;
};

// The clients of one worker that somebody looks at, for `iotcore trace client`. A client is traced from the first read() until nobody has read for
// a while; its connection has a flag, so that one that is not traced costs a look at that. On the worker.
class ClientTraces {
 public:
  static constexpr std::size_t kClientsMax = 16;
  static constexpr std::chrono::seconds kLife{30};

  // Null: nobody looks at that client.
  ClientTrace* find(std::string_view client_id, MonotonicTime now);
  // Begins the trace if there is none; kThrottled if there are too many.
  Result<ClientTrace::Page> read(
      std::string_view client_id, std::uint64_t after, MonotonicTime now
  );

 private:
  struct Entry {
    MonotonicTime end = {};
    ClientTrace trace;
  };

  void drop_old(MonotonicTime now);

  std::map<std::string, Entry, std::less<>> traces_;
};

}  // namespace iotcore::broker
