#pragma once

#include <memory>
#include <span>
#include <vector>

#include "fabric/memory.h"
#include "verbs/budget.h"
#include "verbs/library.h"
#include "verbs/mapping.h"

namespace rdma_net::verbs {

class SlabPool;

/// The registration of a chunk of slabs, and a memory window for each: made on the worker and
/// ended there. The mapping is shared with the slabs, which may outlive it.
///
/// Nothing of it may be written by a peer: peers only ever get the key of a window, which is bound
/// to one slab and to their own queue pair.
class ChunkRegistration {
 public:
  /// @param bytes already charged to the budget, which gets them back from here, whatever comes
  /// @param windows how many to make; without them the slabs are only good for sending
  /// @return null when the memory cannot be registered, or the windows not be made
  static std::unique_ptr<ChunkRegistration> Create(const Library* library, ibv_pd* pd, size_t bytes,
                                                   size_t windows, Budget* budget);
  ChunkRegistration(const ChunkRegistration&) = delete;
  ChunkRegistration& operator=(const ChunkRegistration&) = delete;
  ChunkRegistration(ChunkRegistration&&) = delete;
  ChunkRegistration& operator=(ChunkRegistration&&) = delete;
  ~ChunkRegistration();

  [[nodiscard]] const std::shared_ptr<Mapping>& mapping() const { return mapping_; }
  [[nodiscard]] ibv_mr* region() const { return region_; }
  /// One for each slab, or none at all. Those that are null have been lost.
  [[nodiscard]] std::vector<ibv_mw*>& windows() { return windows_; }

 private:
  ChunkRegistration(const Library* library, Budget* budget, size_t bytes)
      : library_(library), budget_(budget), bytes_(bytes) {}

  const Library* library_;
  Budget* budget_;
  size_t bytes_;
  std::shared_ptr<Mapping> mapping_;
  ibv_mr* region_ = nullptr;
  std::vector<ibv_mw*> windows_;
};

class SlabChunk;

/// A slab as its pool knows it.
class PooledSlab final : public fabric::Slab {
 public:
  PooledSlab(SlabChunk* chunk, std::span<std::byte> memory, uint32_t local_key, size_t index,
             std::shared_ptr<Mapping> mapping)
      : Slab(memory, local_key), chunk_(chunk), index_(index), mapping_(std::move(mapping)) {}

  /// Null when the pool is gone: the memory is still there, the registration is not.
  [[nodiscard]] SlabChunk* chunk() const { return chunk_; }
  [[nodiscard]] ibv_mw* window() const;
  void set_window(ibv_mw* window);
  [[nodiscard]] bool used() const { return used_; }

 private:
  friend class SlabChunk;
  void OnUnreferenced() override;

  SlabChunk* chunk_;
  size_t index_;
  bool used_ = false;
  std::shared_ptr<Mapping> mapping_;
};

/// Slabs that were registered together, on the loop thread.
class SlabChunk {
 public:
  SlabChunk(SlabPool* pool, std::unique_ptr<ChunkRegistration> registration, size_t slab_bytes);
  SlabChunk(const SlabChunk&) = delete;
  SlabChunk& operator=(const SlabChunk&) = delete;
  SlabChunk(SlabChunk&&) = delete;
  SlabChunk& operator=(SlabChunk&&) = delete;
  /// Slabs that are in use live on with their mapping alone.
  ~SlabChunk();

  [[nodiscard]] SlabPool* pool() const { return pool_; }
  [[nodiscard]] ChunkRegistration* registration() const { return registration_.get(); }
  /// What is left to be destroyed on the worker.
  [[nodiscard]] std::unique_ptr<ChunkRegistration> TakeRegistration() {
    return std::move(registration_);
  }

  [[nodiscard]] std::span<std::byte> memory() const { return memory_; }
  [[nodiscard]] size_t used() const { return used_; }
  [[nodiscard]] size_t free() const { return free_.size(); }
  fabric::SlabRef Take();
  void Give(PooledSlab* slab);
  /// The slab in use that holds the bytes, which are in this chunk's memory.
  [[nodiscard]] fabric::SlabRef Find(std::span<const std::byte> bytes) const;

 private:
  SlabPool* pool_;
  std::unique_ptr<ChunkRegistration> registration_;
  std::span<std::byte> memory_;
  size_t slab_bytes_;
  size_t used_ = 0;
  std::vector<std::unique_ptr<PooledSlab>> slabs_;
  std::vector<PooledSlab*> free_;
};

}  // namespace rdma_net::verbs
