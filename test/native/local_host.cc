#include "local_host.h"

#include <dirent.h>
#include <poll.h>
#include <unistd.h>

#include <cassert>

namespace simulation {

LocalHost::LocalHost(const local::LocalFabric::Options& options) {
  fabric::Failure failure;
  fabric_ = local::LocalFabric::Create(options, &failure);
  assert(fabric_ != nullptr);
}

bool LocalHost::Turn(uint32_t budget) {
  if (crashed()) return false;
  if (!awake_) {
    pollfd entry = {.fd = fabric_->fd(), .events = POLLIN, .revents = 0};
    if (poll(&entry, 1, 0) != 1) return false;
  }
  awake_ = fabric_->Poll(budget) || (fabric_->Arm() && fabric_->PollArmed(budget));
  return true;
}

fabric::Address NextAddress(const std::string& host) {
  // Other programs with the same remainder are many processes away.
  static uint32_t taken = 0;
  const auto process = static_cast<uint32_t>(getpid());
  const auto port = static_cast<uint16_t>(1 + (process * 997 + taken++) % 65535);
  return {.host = host, .port = port, .ipv6 = host.find(':') != std::string::npos};
}

size_t OpenFiles() {
  DIR* folder = opendir("/proc/self/fd");
  size_t count = 0;
  while (folder != nullptr && readdir(folder) != nullptr) count++;
  closedir(folder);
  return count;
}

}  // namespace simulation
