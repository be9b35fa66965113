#include "server/metrics_sample.h"

#include <catch2/catch.hpp>

using iotcore::server::MetricsSample;

TEST_CASE("a sample of metrics sums up and tells labels apart") {
  const MetricsSample sample = MetricsSample::parse(
      "# HELP a what\n# TYPE a counter\n"
      "a{rule=\"x\",worker=\"0\"} 1\na{rule=\"x\",worker=\"1\"} 2.5\na{rule=\"q\\\"\\\\y\"} 4\n"
      "ab 7\nbad line\nc{} nothing\n"
  );
  CHECK(sample.sum("a") == 7.5);
  CHECK(sample.sum("ab") == 7);
  CHECK(sample.sum("c") == 0);
  const auto by_rule = sample.by("a", "rule");
  CHECK(by_rule.at("x") == 3.5);
  CHECK(by_rule.at("q\"\\y") == 4);
  CHECK(sample.by("a", "worker").at("1") == 2.5);
}
