#include "verbs/budget.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

#include "system/user_namespace.h"

namespace rdma_net::verbs {

using fabric::Failure;

namespace {

/// Whether the kernel lets this process pin more than RLIMIT_MEMLOCK (CAP_IPC_LOCK, which it asks
/// for in the first user namespace: what root of a rootless container has does not count). There is
/// no function for it in the C library.
bool IsFreeOfMemoryLockLimit() {
  if (!system::IsFirstUserNamespace()) return false;
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (syscall(SYS_capget, &header, data.data()) != 0) return false;
  return (data[0].effective & (1U << static_cast<unsigned>(CAP_IPC_LOCK))) != 0;
}

}  // namespace

Budget::Budget(uint64_t pinned_bytes_max, uint32_t queue_pairs_max)
    : pinned_bytes_max_(pinned_bytes_max), queue_pairs_max_(queue_pairs_max) {
  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  const uint64_t usable = limit.rlim_cur - limit.rlim_cur / 4;
  if (usable >= pinned_bytes_max_ || IsFreeOfMemoryLockLimit()) return;
  pinned_bytes_max_ = usable;
  pinned_limit_ = fabric::Status::kMemoryLockLimit;
}

Failure Budget::Pin(uint64_t bytes, uint64_t spare) {
  uint64_t now = pinned_bytes();
  do {
    // In this order nothing can overflow.
    if (now > pinned_bytes_max_ || bytes > pinned_bytes_max_ - now ||
        spare > pinned_bytes_max_ - now - bytes) {
      return {.status = pinned_limit_};
    }
  } while (!pinned_bytes_.compare_exchange_weak(now, now + bytes, std::memory_order_relaxed));
  return {};
}

}  // namespace rdma_net::verbs
