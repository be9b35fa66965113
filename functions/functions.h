#pragma once

#include "base/clock.h"
#include "base/metrics.h"
#include "functions/definition.h"
#include "functions/function_pool.h"
#include "functions/invocation.h"
#include "functions/site.h"
#include "net/event_loop.h"

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace iotcore::functions {

// The local functions of the server: AWS Lambda's contract on this machine. A thread of its own speaks the Runtime API with their processes.
class Functions {
 public:
  Functions(Site site, const Clock& clock, Metrics& metrics);
  // Stops.
  ~Functions();
  Functions(const Functions&) = delete;
  Functions& operator=(const Functions&) = delete;

  // From now on these are the functions there are. One that is as it was keeps its processes. Any thread.
  void define(std::vector<Definition> definitions);

  // Any thread. `done` is called once, on the thread of functions, and must not block.
  void invoke(std::string_view name, Invocation invocation, OnAnswer done);
  // The same, waited for. Never on a worker.
  Result<Answer> call(std::string_view name, Invocation invocation);

  // Waits that long for those at work, then kills all processes, and waits for their end. Nothing is invoked any more.
  void stop(Duration deadline);

 private:
  void do_define(std::vector<Definition> definitions);
  void sweep();

  const Site site_;
  Metrics& metrics_;
  net::EventLoop loop_;
  // By the thread.
  std::map<std::string, std::unique_ptr<FunctionPool>, std::less<>> pools_;
  std::vector<std::unique_ptr<FunctionPool>> retired_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace iotcore::functions
