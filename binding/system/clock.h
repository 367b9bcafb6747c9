#pragma once

#include <chrono>
#include <cstdint>

namespace rdma_net::system {

/// Milliseconds of CLOCK_MONOTONIC.
inline uint64_t NowMs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

/// The same in microseconds.
inline uint64_t NowUs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace rdma_net::system
