#pragma once

#include "rules/action.h"

namespace iotcore::rules::actions {

// redis(target*, command XADD|SET|HSET|PUBLISH|LPUSH|RPUSH, key*, args, maxlen, ttl): results in Redis, a batch in one go.
//
// key may have ${…}. args is the value, or for XADD and HSET a map of fields, each a template; without it the payload is the value, XADD gets the fields
// payload and deliveryId, and HSET the members of the result. maxlen bounds a stream (about) or list; ttl is the key's time to live from each write on.
//
// Durable records are written exactly once (see redis_sink.h); PUBLISH reaches whoever listens at that moment.
struct Redis {
  static constexpr std::string_view kName = "redis";
  static constexpr bool kIsAws = false;
  static constexpr SinkDefaults kDefaults = {.batch_size = 500, .batch_bytes = 4U << 20};

  static ParsedAction parse(MemberReader& members, const SinkEnvironment& environment);
  static Result<std::unique_ptr<Sink>> make_sink(
      std::string_view target, const SinkEnvironment& environment
  );
};

}  // namespace iotcore::rules::actions
