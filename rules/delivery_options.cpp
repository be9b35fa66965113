#include "rules/delivery_options.h"

#include "rules/member_reader.h"

#include <array>

namespace iotcore::rules {
namespace {

template <typename Number>
std::optional<Number> as(const std::optional<std::int64_t>& number) {
  return number ? std::optional(static_cast<Number>(*number)) : std::nullopt;
}

std::optional<std::chrono::milliseconds> as_ms(const std::optional<std::int64_t>& number) {
  return number ? std::optional(std::chrono::milliseconds(*number)) : std::nullopt;
}

}  // namespace

Checked<DeliveryOptions> parse_delivery_options(
    const json::object* options, const std::string& pointer
) {
  DeliveryOptions parsed;
  if (options == nullptr) {
    return parsed;
  }
  static constexpr auto kDurable = std::to_array<std::string_view>({"qos1", "always", "never"});
  static constexpr auto kOnFull =
      std::to_array<std::string_view>({"block", "dropNew", "dropOldest"});
  static constexpr auto kOrderBy = std::to_array<std::string_view>({"key", "none"});
  MemberReader reader(*options, pointer, nullptr);
  const std::string durable = reader.choice("durable", kDurable, "qos1");
  parsed.durable = durable == "always"  ? Durable::kAlways
                   : durable == "never" ? Durable::kNever
                                        : Durable::kQos1;
  parsed.batch_size = as<std::size_t>(reader.optional_integer("batchSize", 1, 100'000));
  parsed.batch_bytes = as<std::size_t>(reader.optional_integer("batchBytes", 1, 64 << 20));
  parsed.linger = as_ms(reader.optional_integer("lingerMs", 0, 3'600'000));
  parsed.retry_base = as_ms(reader.optional_duration_ms("retryBase"));
  parsed.retry_max = as_ms(reader.optional_duration_ms("retryMax"));
  parsed.age_max = as_ms(reader.optional_duration_ms("maxAge"));
  parsed.attempts_max = as<std::uint32_t>(reader.optional_integer("maxAttempts", 1, 1'000'000));
  parsed.bytes_max = as<std::size_t>(reader.optional_integer("maxBytes", 1, std::int64_t{1} << 50));
  if (reader.has("onFull")) {
    const std::string on_full = reader.choice("onFull", kOnFull, "block");
    parsed.on_full = on_full == "dropNew"      ? OnFull::kDropNew
                     : on_full == "dropOldest" ? OnFull::kDropOldest
                                               : OnFull::kBlock;
  }
  parsed.is_ordered = reader.choice("orderBy", kOrderBy, "key") == "key";
  parsed.concurrency =
      static_cast<std::size_t>(reader.optional_integer("concurrency", 1, 64).value_or(1));
  if (std::optional<DefinitionError> error = reader.finish()) {
    return tl::unexpected(*std::move(error));
  }
  return parsed;
}

}  // namespace iotcore::rules
