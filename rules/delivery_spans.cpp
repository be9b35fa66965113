#include "rules/delivery_spans.h"

namespace iotcore::rules {

void DeliverySpans::end() const {
  tracing::Tracer* tracer = tracing::Tracer::installed();
  if (tracer == nullptr) {
    return;
  }
  const std::int64_t now = tracing::now_ns();
  for (std::size_t i = 0; i < records_.size(); ++i) {
    const Record& record = *records_[i];
    const std::optional<tracing::SpanContext> parent = tracer->followed(record.delivery_id);
    if (!parent) {
      continue;
    }
    tracing::SpanRecord span;
    span.context.trace_id = parent->trace_id;
    span.context.span_id = tracing::new_span_id();
    span.parent_id = parent->span_id;
    span.name = "deliver";
    span.kind = tracing::SpanKind::kProducer;
    span.start_ns = start_ns_;
    span.end_ns = now;
    span.attributes.emplace_back("iotcore.sink", sink_);
    span.attributes.emplace_back("iotcore.rule", record.rule);
    span.attributes.emplace_back("iotcore.attempt", std::to_string(record.attempts + 1));
    span.attributes.emplace_back("messaging.batch.message_count", std::to_string(records_.size()));
    span.error = outcomes_[i].reason;
    if (outcomes_[i].kind != Outcome::Kind::kRetry) {
      tracer->forget(record.delivery_id);
    }
    tracer->record(std::move(span));
  }
}

}  // namespace iotcore::rules
