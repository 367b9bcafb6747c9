#include "verbs/budget.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

namespace {

using rdma_net::verbs::Budget;

constexpr uint64_t kWanted = uint64_t{100} << 20;
constexpr uint64_t kLimit = uint64_t{8} << 20;

/// What may be pinned, in MiB, where RLIMIT_MEMLOCK is kLimit; nothing where a user namespace was
/// wanted and cannot be had.
uint64_t PinnedMebibytesMax(bool in_user_namespace) {
  const pid_t child = fork();
  if (child == 0) {
    const rlimit limit = {.rlim_cur = kLimit, .rlim_max = kLimit};
    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0) _exit(0);
    if (in_user_namespace && unshare(CLONE_NEWUSER) != 0) _exit(0);
    _exit(static_cast<int>(Budget(kWanted, 1).pinned_bytes_max() >> 20));
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? static_cast<uint64_t>(WEXITSTATUS(status)) : 1;
}

TEST("budget: the capability of a user namespace does not lift the limit of locked memory") {
  const uint64_t mebibytes = PinnedMebibytesMax(true);
  CHECK(mebibytes == 6 || mebibytes == 0);
}

}  // namespace
