// Preloaded into the server: its syncs fail as long as the file named by FAILING_SYNC_SWITCH is there.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int sync_or_fail(int fd, const char* name) {
  const char* const path = getenv("FAILING_SYNC_SWITCH");
  if (path != NULL && access(path, F_OK) == 0) {
    errno = EIO;
    return -1;
  }
  int (*const real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  return real(fd);
}

int fsync(int fd) {
  return sync_or_fail(fd, "fsync");
}

int fdatasync(int fd) {
  return sync_or_fail(fd, "fdatasync");
}
