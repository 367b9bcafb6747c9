#pragma once

#include <atomic>
#include <memory>

#include "fabric/fabric.h"
#include "verbs/library.h"

namespace rdma_net::verbs {

/// Registered memory: whole pages of its own, unregistered and unmapped on destruction, which may
/// happen on the worker.
class MemoryBlock {
 public:
  /// @param pinned_bytes counts what is registered; must outlive the block
  /// @return null with `failure` set: kMemoryLockLimit when RLIMIT_MEMLOCK is to blame
  static std::unique_ptr<MemoryBlock> Create(const Library* library, ibv_pd* pd, size_t bytes,
                                             fabric::Access access,
                                             std::atomic<uint64_t>* pinned_bytes,
                                             fabric::Failure* failure);
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;
  MemoryBlock(MemoryBlock&&) = delete;
  MemoryBlock& operator=(MemoryBlock&&) = delete;
  ~MemoryBlock();

  [[nodiscard]] const fabric::Region& region() const { return region_; }

 private:
  MemoryBlock(const Library* library, std::atomic<uint64_t>* pinned_bytes)
      : library_(library), pinned_bytes_(pinned_bytes) {}

  const Library* library_;
  std::atomic<uint64_t>* pinned_bytes_;
  size_t mapped_bytes_ = 0;
  void* mapping_ = nullptr;
  ibv_mr* registration_ = nullptr;
  fabric::Region region_;
};

}  // namespace rdma_net::verbs
