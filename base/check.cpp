#include "base/check.h"

#include <cstdio>
#include <cstdlib>

#ifdef __SANITIZE_THREAD__
// RocksDB and librdkafka are not built with the sanitizer, which therefore does not see the atomics and C11 mutexes that order their memory accesses; rows are
// read where RocksDB has them. The atomic shared pointer of GCC 12 is let go in a way that the sanitizer takes for none. Here because every program has this file.
extern "C" const char* __tsan_default_suppressions() {
  return "race:librocksdb\nrace:row_in\nrace:librdkafka\nrace:std::_Sp_atomic\n";
}
#endif

namespace iotcore {

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s\n", file, line, condition);
  std::abort();
}

}  // namespace iotcore
