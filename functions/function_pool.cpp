#include "functions/function_pool.h"

#include "base/check.h"
#include "base/crypto.h"
#include "base/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <pwd.h>
#include <unistd.h>
#include <utility>

namespace iotcore::functions {
namespace {

constexpr std::chrono::milliseconds kBackoffFirst{100};
constexpr std::chrono::milliseconds kBackoffMax{30'000};

MetricLabels of(const std::string& function) {
  return {{"function", function}};
}

// Whose connections a function's process makes, where that says anything.
std::optional<std::uint32_t> function_user(const Site& site) {
  if (::geteuid() != 0 || site.user.empty()) {
    return ::geteuid();
  }
  passwd entry = {};
  passwd* found = nullptr;
  std::array<char, 4096> texts;
  ::getpwnam_r(site.user.c_str(), &entry, texts.data(), texts.size(), &found);
  return found == nullptr ? std::nullopt : std::optional<std::uint32_t>(entry.pw_uid);
}

std::string wall_text(WallTime time) {
  const std::int64_t ms = to_epoch_ms(time);
  const std::time_t seconds = ms / 1000;
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  return fmt::format(
      "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
      parts.tm_year + 1900,
      parts.tm_mon + 1,
      parts.tm_mday,
      parts.tm_hour,
      parts.tm_min,
      parts.tm_sec,
      ms % 1000
  );
}

}  // namespace

FunctionPool::FunctionPool(
    Definition definition, const Site& site, net::EventLoop& loop, Metrics& metrics
)
    : definition_(std::move(definition)),
      site_(site),
      loop_(loop),
      output_(definition_.name),
      invocations_(metrics.counter(
          "iotcore_function_invocations_total",
          "Events that local functions have worked on",
          of(definition_.name)
      )),
      errors_(metrics.counter(
          "iotcore_function_errors_total",
          "Events at which a local function failed, time-outs included",
          of(definition_.name)
      )),
      timeouts_(metrics.counter(
          "iotcore_function_timeouts_total",
          "Events for which a local function took too long",
          of(definition_.name)
      )),
      throttles_(metrics.counter(
          "iotcore_function_throttles_total",
          "Events refused since too many waited for a local function",
          of(definition_.name)
      )),
      starts_(metrics.counter(
          "iotcore_function_starts_total",
          "Processes of local functions that were started",
          of(definition_.name)
      )),
      processes_(metrics.gauge(
          "iotcore_function_processes", "Processes of local functions", of(definition_.name)
      )),
      duration_(metrics.histogram(
          "iotcore_function_duration_seconds",
          "From handing an event to a local function to its answer",
          of(definition_.name)
      )) {}

FunctionPool::~FunctionPool() {
  loop_.timers().cancel(start_again_);
  for (const std::unique_ptr<Slot>& slot : instances_) {
    loop_.timers().cancel(slot->timer);
    loop_.timers().cancel(slot->deadline);
    loop_.timers().cancel(slot->patience);
  }
  for (const Waiting& waiting : waiting_) {
    loop_.timers().cancel(waiting.patience);
  }
  processes_.add(-static_cast<std::int64_t>(instances_.size()));
}

void FunctionPool::invoke(Invocation invocation, OnAnswer done) {
  if (invocation.payload.size() > kPayloadBytesMax) {
    done(fail(
        Errc::kTooLarge,
        fmt::format("{} bytes are more than a function takes", invocation.payload.size())
    ));
    return;
  }
  if (waiting_.size() >= site_.waiting_max ||
      waiting_bytes_ + invocation.payload.size() > site_.waiting_bytes_max) {
    throttles_.add();
    done(fail(
        Errc::kThrottled,
        fmt::format("{} events wait for the function {}", waiting_.size(), definition_.name)
    ));
    return;
  }
  Waiting waiting;
  if (invocation.patience.count() > 0) {
    waiting.until = loop_.clock().now() + invocation.patience;
  }
  waiting.invocation = std::move(invocation);
  waiting.done = std::move(done);
  wait(std::move(waiting));
  dispatch();
}

void FunctionPool::wait(Waiting waiting) {
  waiting.id = next_id_++;
  if (waiting.until != MonotonicTime::max()) {
    waiting.patience =
        loop_.timers().schedule(waiting.until, [this, id = waiting.id] { on_patience(id); });
  }
  waiting_bytes_ += waiting.invocation.payload.size();
  waiting_.push_back(std::move(waiting));
}

std::deque<FunctionPool::Waiting> FunctionPool::retire() {
  is_retired_ = true;
  for (const std::unique_ptr<Slot>& slot : instances_) {
    if (!slot->is_at_work) {
      slot->instance->end("");
    }
  }
  waiting_bytes_ = 0;
  for (const Waiting& each : waiting_) {
    loop_.timers().cancel(each.patience);
  }
  return std::exchange(waiting_, {});
}

void FunctionPool::adopt(std::deque<Waiting> waiting) {
  for (Waiting& each : waiting) {
    wait(std::move(each));
  }
  dispatch();
}

bool FunctionPool::is_at_work() const {
  return !waiting_.empty() ||
         std::any_of(instances_.begin(), instances_.end(), [](const auto& slot) {
           return slot->is_at_work;
         });
}

void FunctionPool::abort(const Error& why) {
  is_retired_ = true;
  fail_waiting(why);
  for (const std::unique_ptr<Slot>& slot : instances_) {
    slot->instance->end("");
    if (slot->is_at_work) {
      finish(*slot, fail(why));
    }
  }
}

void FunctionPool::dispatch() {
  if (is_retired_) {
    return;
  }
  std::size_t starting = 0;
  for (std::size_t i = 0; i < instances_.size() && !waiting_.empty(); ++i) {
    Slot& slot = *instances_[i];
    if (slot.instance->state() == Instance::State::kIdle) {
      Waiting first = std::move(waiting_.front());
      waiting_.pop_front();
      waiting_bytes_ -= first.invocation.payload.size();
      hand_over(slot, std::move(first));
    } else if (slot.instance->state() == Instance::State::kStarting) {
      ++starting;
    }
  }
  while (starting < waiting_.size() && instances_.size() < definition_.concurrency) {
    if (loop_.turn_time() < start_not_before_) {
      loop_.timers().cancel(start_again_);
      start_again_ = loop_.timers().schedule(start_not_before_, [this] { dispatch(); });
      if (instances_.empty() && !last_start_error_.empty()) {
        fail_waiting(Error(Errc::kUnavailable, last_start_error_));
      }
      return;
    }
    if (!start()) {
      return;
    }
    ++starting;
  }
}

bool FunctionPool::start() {
  starts_.add();
  Result<Process> process = Process::start(site_.launcher, launch(), environment());
  if (!process) {
    give_up_start(process.error().message());
    return false;
  }
  auto slot = std::make_unique<Slot>();
  slot->instance =
      std::make_unique<Instance>(loop_, std::move(*process), function_user(site_), output_, *this);
  Instance& instance = *slot->instance;
  slot->timer = loop_.timers().schedule(loop_.turn_time() + site_.start_time_max, [&instance] {
    instance.end(error_document("Sandbox.Timedout", "The function did not start in time"));
  });
  instances_.push_back(std::move(slot));
  processes_.add(1);
  return true;
}

void FunctionPool::back_off() {
  const std::uint32_t doublings = std::min(failures_in_row_++, 20U);
  start_not_before_ =
      loop_.turn_time() + std::min(kBackoffFirst * (std::int64_t{1} << doublings), kBackoffMax);
}

// The process does not start: whoever waits learns why, and the next attempt waits longer each time.
void FunctionPool::give_up_start(const std::string& error) {
  last_start_error_ = fmt::format("the function {} does not start: {}", definition_.name, error);
  back_off();
  log(LogLevel::kWarn, "function.not_started", {{"function", definition_.name}, {"error", error}});
  const bool others = std::any_of(instances_.begin(), instances_.end(), [](const auto& slot) {
    return slot->instance->state() != Instance::State::kEnding;
  });
  if (!others) {
    fail_waiting(Error(Errc::kUnavailable, last_start_error_));
  }
}

void FunctionPool::fail_waiting(const Error& why) {
  std::deque<Waiting> failed = std::exchange(waiting_, {});
  waiting_bytes_ = 0;
  for (Waiting& each : failed) {
    loop_.timers().cancel(each.patience);
    each.done(fail(why));
  }
}

void FunctionPool::hand_over(Slot& slot, Waiting waiting) {
  loop_.timers().cancel(slot.timer);
  Instance& instance = *slot.instance;
  slot.is_at_work = true;
  slot.done = std::move(waiting.done);
  slot.since = loop_.clock().now();
  slot.deadline = loop_.timers().schedule(slot.since + definition_.timeout, [this, &instance] {
    on_deadline(instance);
  });
  loop_.timers().cancel(waiting.patience);
  if (waiting.until != MonotonicTime::max()) {
    slot.patience = loop_.timers().schedule(waiting.until, [&slot] {
      // It goes on with it, for nobody.
      if (slot.done) {
        std::exchange(slot.done, {})(fail(Errc::kTimeout, "the function has not answered in time"));
      }
    });
  }
  invocations_.add();
  const WallTime wall = loop_.clock().wall();
  Event event;
  event.request_id = new_uuid();
  event.function_arn = std::move(waiting.invocation.function_arn);
  event.client_context = std::move(waiting.invocation.client_context);
  event.payload = std::move(waiting.invocation.payload);
  event.deadline_ms = to_epoch_ms(wall) + definition_.timeout.count();
  event.trace_id = make_trace_id(to_epoch_s(wall), random_bytes(20));
  if (event.function_arn.empty()) {
    event.function_arn = fmt::format(
        "arn:aws:lambda:{}:{}:function:{}", site_.region, site_.account, definition_.name
    );
  }
  instance.give(std::move(event));
}

void FunctionPool::on_patience(std::uint64_t id) {
  const auto found = std::find_if(waiting_.begin(), waiting_.end(), [id](const Waiting& each) {
    return each.id == id;
  });
  if (found == waiting_.end()) {
    return;
  }
  OnAnswer done = std::move(found->done);
  waiting_bytes_ -= found->invocation.payload.size();
  waiting_.erase(found);
  done(fail(Errc::kTimeout, "no process of the function was free in time"));
}

void FunctionPool::on_idle(Instance& instance) {
  Slot* slot = slot_of(instance);
  loop_.timers().cancel(slot->timer);
  last_start_error_.clear();
  if (is_retired_) {
    instance.end("");
    return;
  }
  slot->timer = loop_.timers().schedule(loop_.turn_time() + site_.idle_time_max, [&instance] {
    instance.end("");
  });
  dispatch();
}

void FunctionPool::finish(Slot& slot, Result<Answer> answer) {
  slot.is_at_work = false;
  loop_.timers().cancel(slot.deadline);
  loop_.timers().cancel(slot.patience);
  duration_.observe(std::chrono::duration<double>(loop_.clock().now() - slot.since).count());
  if (answer && answer->is_error) {
    errors_.add();
  }
  if (slot.done) {
    std::exchange(slot.done, {})(std::move(answer));
  }
}

void FunctionPool::on_answer(Instance& instance, std::string payload, bool is_error) {
  failures_in_row_ = 0;
  start_not_before_ = {};
  Slot* slot = slot_of(instance);
  // It has to ask for the next event in time, or it hangs.
  slot->timer = loop_.timers().schedule(loop_.turn_time() + site_.start_time_max, [&instance] {
    instance.end(error_document("Sandbox.Timedout", "The function asked for no further event"));
  });
  finish(*slot, Answer{std::move(payload), is_error});
}

void FunctionPool::on_deadline(Instance& instance) {
  timeouts_.add();
  const std::string id = instance.request_id();
  log(LogLevel::kWarn, "function.timeout", {{"function", definition_.name}, {"request", id}});
  Slot* slot = slot_of(instance);
  const double seconds = static_cast<double>(definition_.timeout.count()) / 1000;
  std::string error = error_document(
      "Sandbox.Timedout",
      fmt::format(
          "{} {} Task timed out after {:.2f} seconds", wall_text(loop_.clock().wall()), id, seconds
      )
  );
  instance.end(error);
  finish(*slot, Answer{std::move(error), true});
}

void FunctionPool::on_ended(Instance& instance, std::string error, bool had_started) {
  const auto found = std::find_if(instances_.begin(), instances_.end(), [&](const auto& slot) {
    return slot->instance.get() == &instance;
  });
  std::unique_ptr<Slot> slot = std::move(*found);
  instances_.erase(found);
  processes_.add(-1);
  loop_.timers().cancel(slot->timer);
  if (slot->is_at_work) {
    back_off();
    finish(*slot, Answer{std::move(error), true});
  } else if (!had_started && !is_retired_) {
    give_up_start(describe_error({std::move(error), true}));
  }
  // The instance is on the way back from this call.
  loop_.post([slot = std::move(slot)]() mutable { slot.reset(); });
  dispatch();
}

FunctionPool::Slot* FunctionPool::slot_of(const Instance& instance) {
  const auto found = std::find_if(instances_.begin(), instances_.end(), [&](const auto& slot) {
    return slot->instance.get() == &instance;
  });
  IOTCORE_CHECK(found != instances_.end());
  return found->get();
}

Launch FunctionPool::launch() const {
  Launch launch;
  launch.command = definition_.command;
  launch.dir = (site_.base / definition_.dir).lexically_normal();
  launch.runtimes = site_.runtimes;
  launch.hidden = site_.hidden;
  launch.user = site_.user;
  launch.memory_bytes = std::uint64_t{definition_.memory_mib} << 20U;
  launch.network = definition_.network;
  launch.must_isolate = site_.must_isolate;
  return launch;
}

std::map<std::string, std::string> FunctionPool::environment() const {
  std::map<std::string, std::string> all = {
      {"LANG", "C.UTF-8"}, {"TZ", ":UTC"}, {"PATH", "/usr/local/bin:/usr/bin:/bin"}};
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    all["PATH"] = path;
  }
  for (const auto& [name, value] : definition_.environment) {
    all[name] = value;
  }
  all["AWS_REGION"] = site_.region;
  all["AWS_DEFAULT_REGION"] = site_.region;
  all["AWS_LAMBDA_FUNCTION_NAME"] = definition_.name;
  all["AWS_LAMBDA_FUNCTION_VERSION"] = definition_.version;
  all["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = std::to_string(definition_.memory_mib);
  all["AWS_LAMBDA_INITIALIZATION_TYPE"] = "on-demand";
  all["AWS_LAMBDA_LOG_GROUP_NAME"] = "/aws/lambda/" + definition_.name;
  all["AWS_LAMBDA_LOG_STREAM_NAME"] = fmt::format(
      "{}/[{}]{}",
      wall_text(loop_.clock().wall()).substr(0, 10),
      definition_.version,
      to_hex(random_bytes(16))
  );
  all["_HANDLER"] = definition_.handler;
  return all;
}

}  // namespace iotcore::functions
