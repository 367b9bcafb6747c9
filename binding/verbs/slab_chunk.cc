#include "verbs/slab_chunk.h"

#include <utility>

#include "verbs/slab_pool.h"

namespace rdma_net::verbs {

std::unique_ptr<ChunkRegistration> ChunkRegistration::Create(const Library* library, ibv_pd* pd,
                                                             size_t bytes, size_t windows,
                                                             Budget* budget) {
  std::unique_ptr<ChunkRegistration> chunk(new ChunkRegistration(library, budget, bytes));
  chunk->mapping_ = Mapping::Create(bytes);
  if (chunk->mapping_ == nullptr) return nullptr;
  const unsigned bindable = windows > 0 ? static_cast<unsigned>(IBV_ACCESS_MW_BIND) : 0U;
  chunk->region_ =
      library->reg_mr(pd, chunk->mapping_->memory().data(), bytes,
                      static_cast<int>(static_cast<unsigned>(IBV_ACCESS_LOCAL_WRITE) | bindable));
  if (chunk->region_ == nullptr) return nullptr;
  for (size_t i = 0; i < windows; i++) {
    ibv_mw* window = ibv_alloc_mw(pd, IBV_MW_TYPE_2);
    if (window == nullptr) return nullptr;
    chunk->windows_.push_back(window);
  }
  return chunk;
}

ChunkRegistration::~ChunkRegistration() {
  for (ibv_mw* window : windows_) {
    if (window != nullptr) ibv_dealloc_mw(window);
  }
  if (region_ != nullptr) library_->dereg_mr(region_);
  budget_->Unpin(bytes_);
}

ibv_mw* PooledSlab::window() const {
  if (chunk_ == nullptr) return nullptr;
  const std::vector<ibv_mw*>& windows = chunk_->registration()->windows();
  return windows.empty() ? nullptr : windows[index_];
}

void PooledSlab::set_window(ibv_mw* window) {
  chunk_->registration()->windows()[index_] = window;
}

void PooledSlab::OnUnreferenced() {
  if (chunk_ == nullptr) {
    delete this;
    return;
  }
  chunk_->pool()->Give(this);
}

SlabChunk::SlabChunk(SlabPool* pool, std::unique_ptr<ChunkRegistration> registration,
                     size_t slab_bytes)
    : pool_(pool),
      registration_(std::move(registration)),
      memory_(registration_->mapping()->memory()),
      slab_bytes_(slab_bytes) {
  const size_t count = memory_.size() / slab_bytes;
  for (size_t i = 0; i < count; i++) {
    slabs_.push_back(std::make_unique<PooledSlab>(this, memory_.subspan(i * slab_bytes, slab_bytes),
                                                  registration_->region()->lkey, i,
                                                  registration_->mapping()));
  }
  // From the back, so that the first address is taken first.
  for (auto slab = slabs_.rbegin(); slab != slabs_.rend(); ++slab) free_.push_back(slab->get());
}

SlabChunk::~SlabChunk() {
  for (std::unique_ptr<PooledSlab>& slab : slabs_) {
    slab->chunk_ = nullptr;
    // Whoever refers to it owns it now.
    if (slab->used_) static_cast<void>(slab.release());
  }
}

fabric::SlabRef SlabChunk::Take() {
  PooledSlab* slab = free_.back();
  free_.pop_back();
  slab->used_ = true;
  used_++;
  return fabric::SlabRef(slab);
}

void SlabChunk::Give(PooledSlab* slab) {
  slab->used_ = false;
  used_--;
  // One that has lost its window is of no use until the chunk is made anew.
  const bool whole = registration_->windows().empty() || slab->window() != nullptr;
  if (whole) free_.push_back(slab);
}

fabric::SlabRef SlabChunk::Find(std::span<const std::byte> bytes) const {
  const auto offset = static_cast<size_t>(bytes.data() - memory_.data());
  PooledSlab* slab = slabs_[offset / slab_bytes_].get();
  const bool within = offset % slab_bytes_ + bytes.size() <= slab_bytes_;
  // One that nobody refers to is not memory that anybody could want to send from.
  return within && slab->used_ ? fabric::SlabRef(slab) : fabric::SlabRef();
}

}  // namespace rdma_net::verbs
