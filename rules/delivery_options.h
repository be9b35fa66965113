#pragma once

#include "base/json.h"
#include "rules/definition_error.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace iotcore::rules {

// What happens when a sink's queue is full.
enum class OnFull : std::uint8_t {
  kBlock,       // acknowledgements wait; what nobody waits for is dropped
  kDropNew,     // the new record fails
  kDropOldest,  // the oldest record that is not on its way fails
};

// Which messages survive a crash on their way to a sink.
enum class Durable : std::uint8_t { kNever, kQos1, kAlways };

// How an action's records are delivered: `iotcoreDelivery` in JSON, WITH (…) in rule files. What is not given is the sink kind's default.
struct DeliveryOptions {
  Durable durable = Durable::kQos1;
  std::optional<std::size_t> batch_size;
  std::optional<std::size_t> batch_bytes;
  std::optional<std::chrono::milliseconds> linger;
  std::optional<std::chrono::milliseconds> retry_base;
  std::optional<std::chrono::milliseconds> retry_max;
  std::optional<std::chrono::milliseconds> age_max;
  std::optional<std::uint32_t> attempts_max;
  std::optional<std::size_t> bytes_max;
  std::optional<OnFull> on_full;
  std::size_t concurrency = 1;  // batches under way at one time, each of other keys
  bool is_ordered = true;       // by key; false: records go to whoever is next
};

// `options` may be null: all defaults.
Checked<DeliveryOptions> parse_delivery_options(
    const json::object* options, const std::string& pointer
);

}  // namespace iotcore::rules
