#include "tests/vectors/vectors.h"

#include <cstdio>
#include <fstream>
#include <string_view>

namespace iotcore::vectors {

void Report::fail(std::string_view id, std::string_view expected, std::string_view got) {
  ++failed_;
  std::printf(
      "%.*s\n  expected %.*s\n  got      %.*s\n",
      static_cast<int>(id.size()),
      id.data(),
      static_cast<int>(expected.size()),
      expected.data(),
      static_cast<int>(got.size()),
      got.data()
  );
}

void Report::differ(std::string_view id, std::string_view expected, std::string_view got) {
  differing_.push_back(
      std::string(id) + " (expected " + std::string(expected) + ", got " + std::string(got) + ")"
  );
}

int Report::finish() {
  if (!differing_.empty()) {
    std::printf("uncertain and different:");
    for (const std::string& one : differing_) {
      std::printf(" %s", one.c_str());
    }
    std::printf("\n");
  }
  std::printf("%d passed, %d failed\n", passed_, failed_);
  return failed_ == 0 ? 0 : 1;
}

namespace {

struct Kind {
  std::string_view name;
  void (*run)(std::istream&, Report&);
};

constexpr Kind kKinds[] = {
    {"rules", run_rules},
    {"shadow", run_shadow},
    {"policy", run_policy},
};

}  // namespace
}  // namespace iotcore::vectors

int main(int argc, char** argv) {
  using namespace iotcore::vectors;
  const Kind* chosen = nullptr;
  for (const Kind& kind : kKinds) {
    if (argc > 2 && kind.name == argv[1]) {
      chosen = &kind;
    }
  }
  if (chosen == nullptr) {
    std::fprintf(stderr, "usage: vectors rules|shadow|policy FILE.jsonl...\n");
    return 2;
  }
  Report report;
  for (int i = 2; i < argc; ++i) {
    std::ifstream file(argv[i]);
    if (!file) {
      std::fprintf(stderr, "vectors: cannot read %s\n", argv[i]);
      return 2;
    }
    chosen->run(file, report);
  }
  return report.finish();
}
