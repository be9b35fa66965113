#include "functions/functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <utility>

namespace iotcore::functions {
namespace {

Error unknown_function(std::string_view name) {
  return Error(
      Errc::kNotFound,
      fmt::format(
          "there is no function {}: define it with CREATE TARGET {} AS function(…)", name, name
      )
  );
}

}  // namespace

Functions::Functions(Site site, const Clock& clock, Metrics& metrics)
    : site_(std::move(site)), metrics_(metrics), loop_(clock), thread_([this] { loop_.run(); }) {}

Functions::~Functions() {
  stop(Duration::zero());
}

void Functions::define(std::vector<Definition> definitions) {
  loop_.post([this, definitions = std::move(definitions)]() mutable {
    do_define(std::move(definitions));
  });
}

void Functions::do_define(std::vector<Definition> definitions) {
  auto before = std::exchange(pools_, {});
  for (Definition& definition : definitions) {
    std::string name = definition.name;
    const auto old = before.find(name);
    if (old != before.end() && old->second->definition() == definition) {
      pools_.emplace(std::move(name), std::move(old->second));
      before.erase(old);
      continue;
    }
    auto pool = std::make_unique<FunctionPool>(std::move(definition), site_, loop_, metrics_);
    if (old != before.end()) {
      pool->adopt(old->second->retire());
      retired_.push_back(std::move(old->second));
      before.erase(old);
    }
    pools_.emplace(std::move(name), std::move(pool));
  }
  for (auto& [name, pool] : before) {
    for (FunctionPool::Waiting& waiting : pool->retire()) {
      waiting.done(fail(unknown_function(name)));
    }
    retired_.push_back(std::move(pool));
  }
  sweep();
}

// Those that are retired go when their last process has.
void Functions::sweep() {
  std::erase_if(retired_, [](const auto& pool) { return pool->is_empty(); });
  if (!retired_.empty() && !stopping_) {
    loop_.timers().schedule(loop_.turn_time() + std::chrono::seconds(1), [this] { sweep(); });
  }
}

void Functions::invoke(std::string_view name, Invocation invocation, OnAnswer done) {
  loop_.post([this,
              name = std::string(name),
              invocation = std::move(invocation),
              done = std::move(done)]() mutable {
    if (stopping_) {
      done(fail(Errc::kUnavailable, "the server is stopping"));
      return;
    }
    const auto found = pools_.find(name);
    if (found == pools_.end()) {
      done(fail(unknown_function(name)));
      return;
    }
    found->second->invoke(std::move(invocation), std::move(done));
  });
}

Result<Answer> Functions::call(std::string_view name, Invocation invocation) {
  std::promise<Result<Answer>> promise;
  std::future<Result<Answer>> answer = promise.get_future();
  invoke(name, std::move(invocation), [&promise](Result<Answer> result) {
    promise.set_value(std::move(result));
  });
  return answer.get();
}

void Functions::stop(Duration deadline) {
  if (!thread_.joinable()) {
    return;
  }
  const auto ask = [this](auto what) {
    std::promise<bool> promise;
    std::future<bool> answer = promise.get_future();
    loop_.post([&] { promise.set_value(what()); });
    return answer.get();
  };
  const MonotonicTime until = loop_.clock().now() + deadline;
  const auto is_at_work = [this] {
    stopping_ = true;
    const auto works = [](const auto& pool) { return pool->is_at_work(); };
    return std::any_of(retired_.begin(), retired_.end(), works) ||
           std::any_of(pools_.begin(), pools_.end(), [&](const auto& each) {
             return works(each.second);
           });
  };
  while (ask(is_at_work) && loop_.clock().now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ask([this] {
    for (auto& [name, pool] : pools_) {
      retired_.push_back(std::move(pool));
    }
    pools_.clear();
    for (const auto& pool : retired_) {
      pool->abort(Error(Errc::kUnavailable, "the server is stopping"));
    }
    retired_.clear();  // waits for the processes
    return true;
  });
  loop_.stop();
  thread_.join();
}

}  // namespace iotcore::functions
