#pragma once

#include <atomic>
#include <cstdint>

#include "fabric/status.h"

namespace rdma_net::verbs {

/// What a fabric may use in all of what a machine has little of. Established connections are never
/// taken anything away: only what is new is refused.
class Budget {
 public:
  /// Of RLIMIT_MEMLOCK, where it holds for this process, no more than three quarters are used: the
  /// rest is for the program and for what providers pin themselves.
  Budget(uint64_t pinned_bytes_max, uint32_t queue_pairs_max);

  /// Charges memory that is about to be registered; from any thread. kPinnedLimit when it is too
  /// much, or kMemoryLockLimit when it is RLIMIT_MEMLOCK that sets the limit.
  /// @param spare bytes that must remain to others
  fabric::Failure Pin(uint64_t bytes, uint64_t spare = 0);
  void Unpin(uint64_t bytes) { pinned_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[nodiscard]] uint64_t pinned_bytes() const {
    return pinned_bytes_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] uint64_t pinned_bytes_max() const { return pinned_bytes_max_; }

  // Queue pairs, those included for which only a place was reserved; on the loop thread.
  [[nodiscard]] bool has_queue_pair() const { return queue_pairs_ < queue_pairs_max_; }
  void TakeQueuePair() { queue_pairs_++; }
  void GiveQueuePair() { queue_pairs_--; }

 private:
  uint64_t pinned_bytes_max_;
  fabric::Status pinned_limit_ = fabric::Status::kPinnedLimit;
  std::atomic<uint64_t> pinned_bytes_ = 0;
  uint32_t queue_pairs_max_;
  uint32_t queue_pairs_ = 0;
};

}  // namespace rdma_net::verbs
