#include "base/tracing.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/crypto.h"

#include <chrono>
#include <cmath>
#include <limits>

namespace iotcore::tracing {
namespace {

// xorshift64*, seeded from the system: ids need to be different, not unguessable.
std::uint64_t next_random() {
  thread_local std::uint64_t state = ByteReader(random_bytes(8)).u64() | 1U;
  state ^= state >> 12U;
  state ^= state << 25U;
  state ^= state >> 27U;
  return state * 0x2545F4914F6CDD1DULL;
}

std::uint64_t threshold_of(double ratio) {
  if (ratio >= 1) {
    return std::numeric_limits<std::uint64_t>::max();
  }
  return ratio <= 0 ? 0 : static_cast<std::uint64_t>(std::ldexp(ratio, 64));
}

std::optional<std::uint64_t> parse_hex(std::string_view text) {
  std::uint64_t value = 0;
  for (const char c : text) {
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && (c < 'a' || c > 'f')) {
      return std::nullopt;
    }
    value = value << 4U | static_cast<std::uint64_t>(is_digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

void put_u64(std::uint8_t* out, std::uint64_t value) {
  for (int i = 7; i >= 0; --i) {
    out[i] = static_cast<std::uint8_t>(value);
    value >>= 8U;
  }
}

}  // namespace

std::atomic<Tracer*> Tracer::installed_ = nullptr;
constinit thread_local Scope* Scope::current_ = nullptr;

std::uint64_t new_span_id() {
  return next_random() | 1U;
}

std::int64_t now_ns() {
  const WallTime now = SystemClock().wall();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
}

std::optional<SpanContext> parse_traceparent(std::string_view text) {
  // 00-<32 hex digits>-<16 hex digits>-<2 hex digits>; a later version may have more behind it.
  constexpr std::size_t kSize = 55;
  if (text.size() < kSize || text[2] != '-' || text[35] != '-' || text[52] != '-') {
    return std::nullopt;
  }
  const auto version = parse_hex(text.substr(0, 2));
  const auto high = parse_hex(text.substr(3, 16));
  const auto low = parse_hex(text.substr(19, 16));
  const auto span = parse_hex(text.substr(36, 16));
  const auto flags = parse_hex(text.substr(53, 2));
  if (!version || !high || !low || !span || !flags || *version == 0xFF) {
    return std::nullopt;
  }
  const bool is_whole =
      *version == 0 ? text.size() == kSize : text.size() == kSize || text[kSize] == '-';
  if (!is_whole || (*high | *low) == 0 || *span == 0 || (*flags & 1U) == 0) {
    return std::nullopt;
  }
  SpanContext context;
  put_u64(context.trace_id.data(), *high);
  put_u64(context.trace_id.data() + 8, *low);
  context.span_id = *span;
  return context;
}

Tracer::Tracer(double ratio, Metrics& metrics)
    : threshold_(threshold_of(ratio)),
      dropped_(metrics.counter(
          "iotcore_trace_spans_dropped_total", "Spans that could not be handed to the collector"
      )) {
  Tracer* none = nullptr;
  IOTCORE_CHECK(installed_.compare_exchange_strong(none, this));
}

Tracer::~Tracer() {
  installed_ = nullptr;
}

bool Tracer::samples() {
  return next_random() <= threshold_ && threshold_ != 0;
}

void Tracer::record(SpanRecord span) {
  const std::lock_guard lock(mutex_);
  if (spans_.size() >= kSpansMax) {
    dropped_.add_shared();
    return;
  }
  spans_.push_back(std::move(span));
}

std::vector<SpanRecord> Tracer::take(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, wait, [this] { return closed_; });
  return std::exchange(spans_, {});
}

void Tracer::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

void Tracer::follow(const std::string& name) {
  const Scope* scope = Scope::current();
  if (scope == nullptr) {
    return;
  }
  const std::lock_guard lock(mutex_);
  if (followed_.size() < kFollowedMax) {
    followed_.emplace(name, scope->context());
  }
}

std::optional<SpanContext> Tracer::followed(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = followed_.find(name);
  return found == followed_.end() ? std::nullopt : std::optional(found->second);
}

void Tracer::forget(const std::string& name) {
  const std::lock_guard lock(mutex_);
  followed_.erase(name);
}

void Scope::begin(const char* name, SpanKind kind, const std::optional<SpanContext>& parent) {
  SpanRecord& record = record_.emplace();
  if (parent) {
    record.context.trace_id = parent->trace_id;
    record.parent_id = parent->span_id;
  } else {
    put_u64(record.context.trace_id.data(), next_random());
    put_u64(record.context.trace_id.data() + 8, new_span_id());
  }
  record.context.span_id = new_span_id();
  record.name = name;
  record.kind = kind;
  record.start_ns = now_ns();
  outer_ = std::exchange(current_, this);
}

void Scope::end() {
  current_ = outer_;
  if (Tracer* tracer = Tracer::installed()) {
    record_->end_ns = now_ns();
    tracer->record(std::move(*record_));
  }
}

}  // namespace iotcore::tracing
