#include "base/tracing.h"

#include <catch2/catch.hpp>

namespace iotcore::tracing {
namespace {

TEST_CASE("a traceparent is taken as W3C has it, if it says sampled") {
  const auto context = parse_traceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  REQUIRE(context);
  CHECK(context->trace_id[0] == 0x0a);
  CHECK(context->trace_id[15] == 0x9c);
  CHECK(context->span_id == 0xb7ad6b7169203331);
  CHECK(parse_traceparent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more"));
  for (const char* wrong : {
           "",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
           "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
           "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
       }) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_traceparent(wrong));
  }
}

TEST_CASE("scopes nest; without a root there is nothing; what is not taken is dropped and counted"
) {
  Metrics metrics;
  {
    Scope nothing("lonely");
    CHECK_FALSE(nothing.is_on());
  }
  CHECK(Tracer::installed() == nullptr);
  Tracer tracer(1, metrics);
  CHECK(Tracer::installed() == &tracer);
  {
    RootScope root;
    root.start("root", std::nullopt);
    tracer.follow("delivery");
    Scope inner("inner");
    REQUIRE(inner.is_on());
    inner.set_error("no");
    CHECK(Scope::current() == &inner);
  }
  CHECK(Scope::current() == nullptr);
  const std::vector<SpanRecord> spans = tracer.take(std::chrono::milliseconds(0));
  REQUIRE(spans.size() == 2);
  CHECK(std::string(spans[0].name) == "inner");
  CHECK(spans[0].parent_id == spans[1].context.span_id);
  CHECK(spans[0].context.trace_id == spans[1].context.trace_id);
  CHECK(spans[1].parent_id == 0);
  CHECK(spans[0].error == "no");
  REQUIRE(tracer.followed("delivery"));
  CHECK(tracer.followed("delivery")->span_id == spans[1].context.span_id);
  tracer.forget("delivery");
  CHECK_FALSE(tracer.followed("delivery"));
  for (std::size_t i = 0; i < Tracer::kSpansMax + 3; ++i) {
    tracer.record({});
  }
  CHECK(metrics.to_text().find("iotcore_trace_spans_dropped_total 3") != std::string::npos);
}

TEST_CASE("the ratio of samples is what was asked for") {
  Metrics metrics;
  const double ratio = GENERATE(0.0, 0.1, 1.0);
  Tracer tracer(ratio, metrics);
  int sampled = 0;
  constexpr int kAsked = 20'000;
  for (int i = 0; i < kAsked; ++i) {
    sampled += tracer.samples() ? 1 : 0;
  }
  CHECK(sampled >= kAsked * (ratio - 0.02));
  CHECK(sampled <= kAsked * (ratio + 0.02));
}

}  // namespace
}  // namespace iotcore::tracing
