#pragma once

#include "base/metrics.h"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

// Traces of a message's way, in OpenTelemetry's terms: a sampled publish is a trace; what is done with it are spans. Off, each place costs one branch.
namespace iotcore::tracing {

// Names a span. W3C Trace Context.
struct SpanContext {
  std::array<std::uint8_t, 16> trace_id = {};
  std::uint64_t span_id = 0;
};

// The value of a `traceparent` that says "sampled"; nothing for any other.
std::optional<SpanContext> parse_traceparent(std::string_view text);

enum class SpanKind : std::uint8_t { kInternal = 1, kProducer = 4, kConsumer = 5 };

struct SpanRecord {
  SpanContext context;
  std::uint64_t parent_id = 0;  // 0: a root
  const char* name = "";
  SpanKind kind = SpanKind::kInternal;
  std::int64_t start_ns = 0;  // since 1970
  std::int64_t end_ns = 0;
  std::vector<std::pair<const char*, std::string>> attributes;
  std::string error;  // empty: it went well
};

// Which publishes are traced, and their spans until somebody takes them. Any thread. There is at most one in a process; a Scope finds it.
class Tracer {
 public:
  static constexpr std::size_t kSpansMax = 8192;
  static constexpr std::size_t kFollowedMax = 8192;

  // `ratio` of the publishes that do not say themselves that they are traced.
  Tracer(double ratio, Metrics& metrics);
  ~Tracer();
  Tracer(const Tracer&) = delete;
  Tracer& operator=(const Tracer&) = delete;

  // Null: traces are off.
  static Tracer* installed() { return installed_.load(std::memory_order_relaxed); }

  bool samples();

  // Dropped and counted if nobody takes them fast enough.
  void record(SpanRecord span);
  // Waits for spans, at most that long; all that are there.
  std::vector<SpanRecord> take(std::chrono::milliseconds wait);
  // take() does not wait any more.
  void close();

  // What goes on elsewhere and later under a name, such as a delivery id: a child of the calling thread's span. Forgotten at the end, and when
  // there are too many.
  void follow(const std::string& name);
  std::optional<SpanContext> followed(const std::string& name) const;
  void forget(const std::string& name);

 private:
  static std::atomic<Tracer*> installed_;

  const std::uint64_t threshold_;  // a random number below it is a sample
  Counter& dropped_;
  mutable std::mutex mutex_;  // and what follows
  std::condition_variable changed_;
  std::vector<SpanRecord> spans_;
  std::unordered_map<std::string, SpanContext> followed_;
  bool closed_ = false;
};

std::uint64_t new_span_id();
std::int64_t now_ns();

// A span of the calling thread, from here to the end of the block: a child of the one around it, or nothing if that is not traced.
class Scope {
 public:
  explicit Scope(const char* name) {
    if (current_ != nullptr) [[unlikely]] {
      begin(name, SpanKind::kInternal, current_->record_->context);
    }
  }

  ~Scope() {
    if (record_) [[unlikely]] {
      end();
    }
  }

  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  bool is_on() const { return record_.has_value(); }

  // Only if is_on().
  void set(const char* attribute, std::string value) {
    record_->attributes.emplace_back(attribute, std::move(value));
  }

  void set_error(std::string why) { record_->error = std::move(why); }

  static const Scope* current() { return current_; }

  const SpanContext& context() const { return record_->context; }

 protected:
  Scope() = default;
  void begin(const char* name, SpanKind kind, const std::optional<SpanContext>& parent);

 private:
  void end();

  static constinit thread_local Scope* current_;

  std::optional<SpanRecord> record_;
  Scope* outer_ = nullptr;
};

// The first span of a publish.
class RootScope : public Scope {
 public:
  RootScope() = default;

  void start(const char* name, const std::optional<SpanContext>& parent) {
    begin(name, SpanKind::kConsumer, parent);
  }
};

}  // namespace iotcore::tracing
