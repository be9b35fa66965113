#include "base/log.h"
#include "tests/conformance/case_run.h"
#include "tests/conformance/cases.h"
#include "tests/conformance/failure.h"
#include "tests/conformance/memory_world.h"
#include "tests/conformance/socket_world.h"

#include <algorithm>
#include <atomic>
#include <iostream>
#include <map>
#include <mutex>
#include <set>
#include <thread>

namespace iotcore::conformance {
namespace {

constexpr const char* kUsage =
    "conformance FOLDER memory [--only TEXT]              replay against the broker in memory\n"
    "conformance FOLDER server PORT [--tls CA CERT KEY] [--websocket]   replay against a server\n"
    "conformance FOLDER coverage                          every statement has a case or an "
    "argument\n"
    "conformance FOLDER table                             statements and cases as a table in "
    "Markdown\n";

// Longer ones are left to the broker in memory, where time costs nothing.
constexpr double kWaitMax = 4;
constexpr std::size_t kThreads = 48;

struct Results {
  std::mutex mutex;
  std::size_t passed = 0;
  std::size_t pending = 0;
  std::vector<std::string> failures;
};

struct Run {
  const Case* test;
  Version version;
  std::string prefix;
};

bool has_step(const Case& test, std::string_view word) {
  return std::any_of(test.steps.begin(), test.steps.end(), [word](const Step& step) {
    return step.text.substr(0, step.text.find(' ')) == word;
  });
}

double waits(const Case& test) {
  double sum = 0;
  for (const Step& step : test.steps) {
    if (step.text.starts_with("wait ")) {
      sum += std::stod(step.text.substr(5));
    }
  }
  return sum;
}

bool is_for_servers(const Case& test) {
  return !test.memory_only && !has_step(test, "deny") && !has_step(test, "option") &&
         waits(test) <= kWaitMax;
}

// Every case in each of its versions. The prefixes keep cases apart that share a server.
std::vector<Run> runs_of(
    const std::vector<Case>& cases,
    const std::string& only,
    const std::string& prefix,
    Results& results
) {
  std::vector<Run> runs;
  for (const Case& test : cases) {
    if (test.name.find(only) == std::string::npos) {
      continue;
    }
    if (!test.pending.empty() && only.empty()) {
      ++results.pending;
      continue;
    }
    for (const Version version : test.versions) {
      runs.push_back({&test, version, prefix + std::to_string(runs.size()) + 'x'});
    }
  }
  return runs;
}

void run_one(World& world, const Run& run, Results& results, const char* where) {
  std::string failure;
  try {
    CaseRun(world, *run.test, run.version, run.prefix).run();
  } catch (const Failure& error) {
    failure = run.test->name + " (MQTT " + (run.version == Version::k3 ? "3.1.1" : "5") + ", " +
              where + "): " + error.what();
  }
  const std::lock_guard lock(results.mutex);
  if (failure.empty()) {
    ++results.passed;
  } else {
    results.failures.push_back(failure);
  }
}

void run_memory(const std::vector<Run>& runs, Results& results) {
  for (const Run& run : runs) {
    for (const std::size_t workers : {1U, 3U}) {
      MemoryWorld world(workers, workers > 1);
      run_one(world, run, results, workers == 1 ? "one worker" : "three workers, in pieces");
    }
  }
}

void run_together(
    Server& server, const std::vector<Run>& runs, Results& results, std::size_t threads
) {
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> pool;
  for (std::size_t i = 0; i < threads; ++i) {
    pool.emplace_back([&] {
      for (std::size_t at = next++; at < runs.size(); at = next++) {
        SocketWorld world(server);
        run_one(world, runs[at], results, "server");
      }
    });
  }
  for (std::thread& thread : pool) {
    thread.join();
  }
}

// First those that see what others do, one by one; then most, together; then those that restart the server, in step.
void run_server(Server& server, const std::vector<Run>& runs, Results& results) {
  std::vector<Run> alone;
  std::vector<Run> together;
  std::vector<Run> restarting;
  for (const Run& run : runs) {
    if (is_for_servers(*run.test)) {
      (has_step(*run.test, "restart") ? restarting
       : run.test->alone              ? alone
                                      : together)
          .push_back(run);
    }
  }
  run_together(server, alone, results, 1);
  // The slow ones first.
  std::stable_sort(together.begin(), together.end(), [](const Run& a, const Run& b) {
    return waits(*a.test) > waits(*b.test);
  });
  run_together(server, together, results, kThreads);
  server.begin_round(restarting.size());
  std::vector<std::thread> pool;
  for (const Run& run : restarting) {
    pool.emplace_back([&server, &run, &results] {
      SocketWorld world(server);
      run_one(world, run, results, "server");
      server.leave_round();
    });
  }
  for (std::thread& thread : pool) {
    thread.join();
  }
}

int report(const Results& results) {
  for (const std::string& failure : results.failures) {
    std::cerr << failure << '\n';
  }
  std::cerr << results.passed << " passed, " << results.failures.size() << " failed, "
            << results.pending << " cases pending\n";
  return results.failures.empty() ? 0 : 1;
}

using CasesById = std::map<std::string, std::vector<const Case*>>;

CasesById cases_by_id(const std::vector<Case>& cases) {
  CasesById by_id;
  for (const Case& test : cases) {
    for (const std::string& id : test.covers) {
      by_id[id].push_back(&test);
    }
  }
  return by_id;
}

int check_coverage(const std::vector<Case>& cases, const std::vector<Statement>& statements) {
  CasesById by_id = cases_by_id(cases);
  std::size_t tested = 0;
  std::size_t argued = 0;
  std::size_t pending = 0;
  std::size_t open = 0;
  std::set<std::string> known;
  for (const Statement& statement : statements) {
    if (!known.insert(statement.id).second) {
      std::cerr << "twice in the catalogue: " << statement.id << '\n';
      ++open;
    }
    const std::vector<const Case*>& all = by_id[statement.id];
    const bool runs =
        std::any_of(all.begin(), all.end(), [](const Case* test) { return test->pending.empty(); });
    if (runs) {
      ++tested;
    } else if (!statement.argument.empty()) {
      ++argued;
    } else if (!all.empty()) {
      ++pending;
    } else {
      std::cerr << "no case and no argument: " << statement.id << "  " << statement.summary << '\n';
      ++open;
    }
  }
  for (const auto& [id, all] : by_id) {
    if (!known.contains(id)) {
      std::cerr << all.front()->name << " covers " << id << ", which is not in the catalogue\n";
      ++open;
    }
  }
  std::cerr << statements.size() << " statements: " << tested << " tested, " << argued
            << " argued, " << pending << " by pending cases only; " << cases.size() << " cases\n";
  return open == 0 ? 0 : 1;
}

int print_table(const std::vector<Case>& cases, const std::vector<Statement>& statements) {
  CasesById by_id = cases_by_id(cases);
  std::cout << "| statement | in short | shown by |\n| --- | --- | --- |\n";
  for (const Statement& statement : statements) {
    std::cout << "| " << (statement.id[0] == '3' ? "3.1.1 MQTT-" : "5 MQTT-")
              << statement.id.substr(2) << " | " << statement.summary << " | ";
    for (const Case* test : by_id[statement.id]) {
      std::cout << '`' << test->name << '`' << (test->pending.empty() ? " " : " (pending) ");
    }
    std::cout << statement.argument << " |\n";
  }
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 2) {
    std::cerr << kUsage;
    return 2;
  }
  const std::filesystem::path folder = arguments[0];
  const std::string& mode = arguments[1];
  const std::vector<Case> cases = read_cases(folder);
  if (mode == "coverage") {
    return check_coverage(cases, read_statements(folder));
  }
  if (mode == "table") {
    return print_table(cases, read_statements(folder));
  }
  const auto only = std::find(arguments.begin(), arguments.end(), "--only");
  const std::string filter = only == arguments.end() ? "" : only[1];
  Results results;
  if (mode == "memory") {
    run_memory(runs_of(cases, filter, "m", results), results);
    return report(results);
  }
  Address address;
  address.port = static_cast<unsigned short>(number_of(arguments.at(2)));
  const auto tls = std::find(arguments.begin(), arguments.end(), "--tls");
  if (tls != arguments.end()) {
    address.ca = tls[1];
    address.certificate = tls[2];
    address.key = tls[3];
  }
  address.websocket =
      std::find(arguments.begin(), arguments.end(), "--websocket") != arguments.end();
  const char* const prefix = address.websocket ? "w" : address.ca.empty() ? "p" : "s";
  Server server(address);
  run_server(server, runs_of(cases, filter, prefix, results), results);
  return report(results);
}

}  // namespace
}  // namespace iotcore::conformance

int main(int count, char** values) {
  // What the broker logs about clients that get it wrong is what cases provoke.
  iotcore::configure_log(iotcore::LogLevel::kError, iotcore::LogFormat::kText);
  try {
    return iotcore::conformance::run({values + 1, values + count});
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 2;
  }
}
