#pragma once

#include <iterator>
#include <memory>
#include <span>
#include <vector>

#include "fabric/memory.h"
#include "verbs/slab_pool.h"

namespace rdma_net::verbs {

/// The slabs of one device, of both sizes. Large ones are for those who stream; when there are
/// none, small ones do as well, so they never take the last of the memory.
class SlabPools {
 public:
  struct Sizes {
    SlabPool::Sizes small;
    SlabPool::Sizes large = {
        .slab_bytes = fabric::Slab::kLargeBytes, .chunk_slabs = 8, .spare_parts = 2};
  };

  SlabPools(const Library* library, Worker* worker, Budget* budget, const Sizes& sizes)
      : small_(library, worker, budget, sizes.small),
        large_(library, worker, budget, sizes.large) {}

  void Open(ibv_pd* pd, const ibv_device_attr& attributes) {
    small_.Open(pd, attributes);
    large_.Open(pd, attributes);
  }

  [[nodiscard]] bool can_revoke() const { return small_.can_revoke(); }
  bool HasSlab(fabric::SlabSize size) {
    return (size == fabric::SlabSize::kLarge && large_.HasSlab()) || small_.HasSlab();
  }
  fabric::SlabRef Take(fabric::SlabSize size) {
    fabric::SlabRef slab;
    if (size == fabric::SlabSize::kLarge) slab = large_.Take();
    return slab ? slab : small_.Take();
  }
  [[nodiscard]] fabric::SlabRef Find(std::span<const std::byte> bytes) const {
    fabric::SlabRef slab = small_.Find(bytes);
    return slab ? slab : large_.Find(bytes);
  }
  [[nodiscard]] bool Owns(const SlabPool* pool) const { return pool == &small_ || pool == &large_; }

  // As those of SlabPool, for both.
  bool Tidy() {
    const bool more = small_.Tidy();
    return large_.Tidy() || more;
  }
  void SetIdle(bool idle) {
    small_.SetIdle(idle);
    large_.SetIdle(idle);
  }
  std::vector<std::unique_ptr<ChunkRegistration>> Detach() {
    auto left = small_.Detach();
    auto large = large_.Detach();
    std::move(large.begin(), large.end(), std::back_inserter(left));
    return left;
  }
  [[nodiscard]] uint64_t bytes() const { return small_.bytes() + large_.bytes(); }
  [[nodiscard]] uint64_t used_bytes() const { return small_.used_bytes() + large_.used_bytes(); }

 private:
  SlabPool small_;
  SlabPool large_;
};

}  // namespace rdma_net::verbs
