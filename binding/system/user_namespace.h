#pragma once

#include <sys/types.h>

namespace rdma_net::system {

/// Whether this process is in the first user namespace. What cannot be seen says nothing against
/// it.
[[nodiscard]] bool IsFirstUserNamespace();

/// Whether a user, as the kernel tells it here, may be any who is not known in this user namespace:
/// they are all shown as /proc/sys/kernel/overflowuid (user_namespaces(7)).
[[nodiscard]] bool MayBeAnybody(uid_t user);

}  // namespace rdma_net::system
