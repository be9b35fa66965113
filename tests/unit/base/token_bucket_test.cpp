#include "base/token_bucket.h"

#include <catch2/catch.hpp>

namespace iotcore {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr MonotonicTime kNow = MonotonicTime(seconds(1000));

int takes(TokenBucket& bucket, const TokenRate& rate, MonotonicTime now) {
  int taken = 0;
  while (taken < 1000 && bucket.take(rate, now)) {
    ++taken;
  }
  return taken;
}

TEST_CASE("a bucket gives its burst at once and then its rate") {
  const TokenRate rate = {.tokens_per_s = 100, .burst = 20};
  TokenBucket bucket;
  CHECK(takes(bucket, rate, kNow) == 20);
  CHECK(bucket.ready_at(rate) == kNow + milliseconds(10));
  CHECK(takes(bucket, rate, kNow + milliseconds(9)) == 0);
  CHECK(takes(bucket, rate, kNow + milliseconds(10)) == 1);
  CHECK(takes(bucket, rate, kNow + milliseconds(60)) == 5);
  CHECK(takes(bucket, rate, kNow + seconds(60)) == 20);
  int in_a_second = 0;
  for (int ms = 1; ms <= 1000; ++ms) {
    in_a_second += takes(bucket, rate, kNow + seconds(60) + milliseconds(ms));
  }
  CHECK(in_a_second == 100);
}

TEST_CASE("a take is whole or nothing, and never above the burst") {
  const TokenRate rate = {.tokens_per_s = 1000, .burst = 10};
  TokenBucket bucket;
  CHECK_FALSE(bucket.take(rate, kNow, 11));
  CHECK(bucket.take(rate, kNow, 6));
  CHECK_FALSE(bucket.take(rate, kNow, 5));
  CHECK(bucket.take(rate, kNow, 4));
  CHECK(bucket.ready_at(rate, 10) == kNow + milliseconds(10));
  CHECK(bucket.ready_at(rate, 11) == MonotonicTime::max());
}

TEST_CASE("what is spent beyond the bucket is paid back before the next take") {
  const TokenRate rate = {.tokens_per_s = 512 * 1024, .burst = 512 * 1024};
  TokenBucket bucket;
  bucket.spend(rate, kNow, 3 * 512 * 1024);
  CHECK(bucket.ready_at(rate, 512 * 1024) == kNow + seconds(3));
  CHECK_FALSE(bucket.take(rate, kNow + seconds(2)));
  CHECK(bucket.take(rate, kNow + seconds(2) + milliseconds(1)));
}

TEST_CASE("a rate of zero is no limit") {
  const TokenRate rate;
  TokenBucket bucket;
  CHECK(takes(bucket, rate, kNow) == 1000);
  bucket.spend(rate, kNow, UINT64_MAX);
  CHECK(bucket.take(rate, kNow, UINT64_MAX));
}

}  // namespace
}  // namespace iotcore
