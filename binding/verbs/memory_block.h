#pragma once

#include <memory>

#include "fabric/fabric.h"
#include "verbs/budget.h"
#include "verbs/library.h"
#include "verbs/mapping.h"

namespace rdma_net::verbs {

/// Registered memory: whole pages of its own, unregistered and unmapped on destruction, which may
/// happen on the worker.
class MemoryBlock {
 public:
  /// @param budget is charged for what is registered; must outlive the block
  /// @return null with `failure` set: kMemoryLockLimit when RLIMIT_MEMLOCK is to blame
  static std::unique_ptr<MemoryBlock> Create(const Library* library, ibv_pd* pd, size_t bytes,
                                             fabric::Access access, Budget* budget,
                                             fabric::Failure* failure);
  MemoryBlock(const MemoryBlock&) = delete;
  MemoryBlock& operator=(const MemoryBlock&) = delete;
  MemoryBlock(MemoryBlock&&) = delete;
  MemoryBlock& operator=(MemoryBlock&&) = delete;
  ~MemoryBlock();

  [[nodiscard]] const fabric::Region& region() const { return region_; }

 private:
  MemoryBlock(const Library* library, Budget* budget) : library_(library), budget_(budget) {}

  const Library* library_;
  Budget* budget_;
  std::unique_ptr<Mapping> mapping_;
  size_t charged_bytes_ = 0;
  ibv_mr* registration_ = nullptr;
  fabric::Region region_;
};

}  // namespace rdma_net::verbs
