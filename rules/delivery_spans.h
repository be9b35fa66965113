#pragma once

#include "base/tracing.h"
#include "rules/sink.h"

#include <span>
#include <string>

namespace iotcore::rules {

// What a batch's delivery is in the traces of the messages that its records come from. Begins with the delivery, ends with it.
class DeliverySpans {
 public:
  // All of it outlives this.
  DeliverySpans(
      const std::string& sink,
      std::span<const Record* const> records,
      std::span<const Outcome> outcomes
  )
      : sink_(sink), records_(records), outcomes_(outcomes) {
    if (tracing::Tracer::installed() != nullptr) [[unlikely]] {
      start_ns_ = tracing::now_ns();
    }
  }

  ~DeliverySpans() {
    if (start_ns_ != 0) [[unlikely]] {
      end();
    }
  }

  DeliverySpans(const DeliverySpans&) = delete;
  DeliverySpans& operator=(const DeliverySpans&) = delete;

 private:
  void end() const;

  const std::string& sink_;
  std::span<const Record* const> records_;
  std::span<const Outcome> outcomes_;
  std::int64_t start_ns_ = 0;
};

}  // namespace iotcore::rules
