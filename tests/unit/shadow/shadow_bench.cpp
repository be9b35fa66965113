#include "shadow/document/operations.h"

#include <catch2/catch.hpp>

#include <cstdio>
#include <ctime>
#include <string>

namespace iotcore::shadow::document {
namespace {

// Members of the size that devices send: about 1 KB in both sections together.
std::string section(int members, int value) {
  std::string out = "{";
  for (int i = 0; i < members; ++i) {
    out += (i == 0 ? "\"sensor" : ",\"sensor") + std::to_string(i) + R"(":{"value":)" +
           std::to_string(value + i) + R"(,"unit":"celsius","on":true})";
  }
  return out + "}";
}

// Time of the processor, which others that share it do not lengthen.
double cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

template <typename Work>
void measure(const char* name, int rounds, const Work& work) {
  const double start = cpu_us();
  for (int i = 0; i < rounds; ++i) {
    work(i);
  }
  std::printf("%-44s %8.2f us\n", name, (cpu_us() - start) / rounds);
}

TEST_CASE("Time of a shadow update", "[.bench]") {
  const std::string whole =
      R"({"state":{"desired":)" + section(10, 1) + R"(,"reported":)" + section(10, 2) + "}}";
  const std::string small =
      R"({"state":{"reported":{"sensor3":{"value":77}}},"clientToken":"t-1"})";
  const std::string half = R"({"state":{"reported":)" + section(10, 3) + "}}";
  const Document document =
      apply_update(nullptr, 0, *parse_update(whole).request, 1'700'000'000).value().document;
  std::printf(
      "document: %zu bytes of state, %zu stored\n",
      document.state_json().size(),
      document.encode().size()
  );
  std::size_t sum = 0;
  const auto run = [&](const std::string& payload, int i) {
    const ParsedUpdate parsed = parse_update(payload);
    const Document stored = Document::decode(document.encode()).value();
    const Applied applied = apply_update(&stored, 0, *parsed.request, 1'700'000'000 + i).value();
    sum += applied.accepted.size() + applied.documents.size() + applied.document.encode().size();
  };
  constexpr int kRounds = 50'000;
  measure("update of one member", kRounds, [&](int i) { run(small, i); });
  measure("update of all of reported", kRounds, [&](int i) { run(half, i); });
  measure("update of the whole document", kRounds, [&](int i) { run(whole, i); });
  measure("parse of the whole document", kRounds, [&](int) {
    sum += parse_update(whole).request.has_value() ? 1 : 0;
  });
  measure("decode", kRounds, [&](int) {
    sum += Document::decode(document.encode()).value().version();
  });
  measure("get", kRounds, [&](int) { sum += get(document, 1'700'000'000, {}).size(); });
  CHECK(sum != 0);
}

}  // namespace
}  // namespace iotcore::shadow::document
