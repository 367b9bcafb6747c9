#pragma once

#include "verbs/library.h"

namespace rdma_net::verbs {

/// What a device says unasked. The descriptor is that of the context, which librdmacm shares among
/// all fabrics of a process: each event is read by one of them.
class AsyncEvents {
 public:
  explicit AsyncEvents(const Library* library) : library_(library) {}

  /// False with errno set when the descriptor cannot be read without waiting.
  bool Open(ibv_context* context);
  [[nodiscard]] int fd() const { return context_->async_fd; }
  /// Takes what is there; true if the device is no more.
  bool Read();

 private:
  const Library* library_;
  ibv_context* context_ = nullptr;
};

}  // namespace rdma_net::verbs
