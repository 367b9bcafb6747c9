#include "system/user_namespace.h"

#include <sys/stat.h>

#include <fstream>

namespace rdma_net::system {

namespace {

/// PROC_USER_INIT_INO of the kernel: the inode of the first user namespace.
constexpr ino_t kFirstUserNamespace = 0xEFFFFFFD;

uid_t OverflowUser() {
  uid_t user = 65534;
  std::ifstream("/proc/sys/kernel/overflowuid") >> user;
  return user;
}

}  // namespace

bool IsFirstUserNamespace() {
  struct stat own {};
  return stat("/proc/self/ns/user", &own) != 0 || own.st_ino == kFirstUserNamespace;
}

bool MayBeAnybody(uid_t user) {
  static const uid_t overflow = OverflowUser();
  return user == overflow && !IsFirstUserNamespace();
}

}  // namespace rdma_net::system
