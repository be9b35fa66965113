#pragma once

namespace iotcore {
[[noreturn]] void check_failed(const char* condition, const char* file, int line);
}  // namespace iotcore

// A broken invariant of our own ends the process: a failed check beats a wrong acknowledgement. Never on input.
#define IOTCORE_CHECK(condition)                                       \
  do {                                                                 \
    if (!(condition)) [[unlikely]] {                                   \
      ::iotcore::check_failed(#condition, __FILE__, __LINE__);         \
    }                                                                  \
  } while (false)

#ifdef NDEBUG
#define IOTCORE_DCHECK(condition) static_cast<void>(0)
#else
#define IOTCORE_DCHECK(condition) IOTCORE_CHECK(condition)
#endif
