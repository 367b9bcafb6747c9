#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fabric/memory.h"
#include "verbs/budget.h"
#include "verbs/library.h"
#include "verbs/slab_chunk.h"
#include "verbs/worker.h"

namespace rdma_net::verbs {

/// Slabs of one device and one size. They come in chunks, which are registered on the worker when
/// slabs run short, and end there when they have not been needed for some seconds: a collection of
/// garbage brings many slabs back at once, and the next ones would have to be waited for.
///
///     Take --> few are free --> Grow on the worker --> OnGrown
///     last reference --> Give --> ... --> Tidy: more chunks than were lately in use end
class SlabPool {
 public:
  struct Sizes {
    /// Whole pages.
    size_t slab_bytes = fabric::Slab::kBytesDefault;
    size_t chunk_slabs = 32;
    /// One in so many of all bytes that may be pinned is left to others.
    uint64_t spare_parts = 8;
    [[nodiscard]] size_t chunk_bytes() const { return slab_bytes * chunk_slabs; }
  };

  SlabPool(const Library* library, Worker* worker, Budget* budget, const Sizes& sizes)
      : library_(library), worker_(worker), budget_(budget), sizes_(sizes) {}
  SlabPool(const SlabPool&) = delete;
  SlabPool& operator=(const SlabPool&) = delete;
  SlabPool(SlabPool&&) = delete;
  SlabPool& operator=(SlabPool&&) = delete;
  ~SlabPool() = default;

  /// For the worker: says what the chunks hang on, and finds out whether windows can be had.
  void Open(ibv_pd* pd, const ibv_device_attr& attributes);

  /// Whether the slabs have memory windows.
  [[nodiscard]] bool can_revoke() const { return can_revoke_; }
  /// Whether Take would give one now; sees to that there will be one next time.
  bool HasSlab();
  fabric::SlabRef Take();
  /// The slab in use that holds all of these bytes.
  [[nodiscard]] fabric::SlabRef Find(std::span<const std::byte> bytes) const;

  /// Lets go of what has not been needed for a while; true while there is something to look after.
  bool Tidy();
  /// While nobody is there who could want a slab, nothing that is free is kept.
  void SetIdle(bool idle);

  /// The chunks leave: slabs in use lose them, and what is returned is to be destroyed on the
  /// worker. No growth may be under way.
  std::vector<std::unique_ptr<ChunkRegistration>> Detach();

  [[nodiscard]] uint64_t bytes() const { return chunks_.size() * sizes_.chunk_bytes(); }
  [[nodiscard]] uint64_t used_bytes() const { return used_ * sizes_.slab_bytes; }

  // For PooledSlab.
  void Give(PooledSlab* slab);

 private:
  /// When few are free.
  void GrowAhead();
  void Grow();
  void OnGrown(std::unique_ptr<ChunkRegistration> registration);
  void RemoveUnused(size_t kept);

  const Library* library_;
  Worker* worker_;
  Budget* budget_;
  Sizes sizes_;
  ibv_pd* pd_ = nullptr;
  bool can_revoke_ = false;
  bool growing_ = false;
  bool idle_ = true;
  /// Of the monotonic clock: when the device may be asked again after it had refused.
  uint64_t next_growth_ms_ = 0;
  size_t free_ = 0;
  size_t used_ = 0;
  /// Chunks of which no slab is in use.
  size_t unused_chunks_ = 0;
  /// Most chunks that had a slab in use, in this period and the one before.
  size_t peak_chunks_ = 0;
  size_t last_peak_chunks_ = 0;
  uint64_t period_began_ms_ = 0;
  /// By address.
  std::vector<std::unique_ptr<SlabChunk>> chunks_;
};

}  // namespace rdma_net::verbs
