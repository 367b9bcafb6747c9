#pragma once

#include <sys/epoll.h>

#include <array>

#include "system/file_descriptor.h"

namespace rdma_net::system {

/// Descriptors under one descriptor (epoll), each with a pointer that says whose it is.
class EventSet {
 public:
  EventSet() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {}

  [[nodiscard]] int fd() const { return epoll_.get(); }
  [[nodiscard]] bool valid() const { return epoll_.valid(); }

  /// False with errno set when the kernel has no room for it.
  /// @param edge_only not as long as it is readable, but whenever it becomes so once more
  bool Watch(int fd, void* owner, bool edge_only = false) {
    epoll_event event{};
    event.events = edge_only ? EPOLLIN | EPOLLET : EPOLLIN;
    event.data.ptr = owner;
    return epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
  }
  void Unwatch(int fd) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

  /// Calls `deliver` with the owner of each descriptor that is readable now.
  template <typename Deliver>
  void Look(const Deliver& deliver) {
    std::array<epoll_event, 16> ready{};
    const int count = epoll_wait(epoll_.get(), ready.data(), ready.size(), 0);
    for (int i = 0; i < count; i++) deliver(ready[static_cast<size_t>(i)].data.ptr);
  }

 private:
  FileDescriptor epoll_;
};

}  // namespace rdma_net::system
