#include "base/check.h"

#include <cstdio>
#include <cstdlib>

#ifdef __SANITIZE_THREAD__
// These libraries are not built with the sanitizer, which therefore does not see the atomics and C11 mutexes that order their memory accesses. Here because
// every program has this file.
extern "C" const char* __tsan_default_suppressions() {
  return "race:librocksdb\nrace:librdkafka\n";
}
#endif

namespace iotcore {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
  std::abort();
}

}  // namespace iotcore
