#include "verbs/slab_pool.h"

#include <algorithm>
#include <utility>

#include "system/clock.h"

namespace rdma_net::verbs {

using fabric::SlabRef;

namespace {

/// How long a device that could not register a chunk is left alone.
constexpr uint64_t kGrowthPauseMs = 1000;
/// A chunk that was not needed in one whole period ends.
constexpr uint64_t kPeriodMs = 5000;

using Registrations = std::vector<std::unique_ptr<ChunkRegistration>>;

bool IsBelow(const std::byte* address, const std::unique_ptr<SlabChunk>& chunk) {
  return address < chunk->memory().data();
}

}  // namespace

void SlabPool::Open(ibv_pd* pd, const ibv_device_attr& attributes) {
  pd_ = pd;
  if ((attributes.device_cap_flags & static_cast<unsigned>(IBV_DEVICE_MEM_WINDOW_TYPE_2B)) == 0) {
    return;
  }
  ibv_mw* window = ibv_alloc_mw(pd, IBV_MW_TYPE_2);
  can_revoke_ = window != nullptr;
  if (can_revoke_) ibv_dealloc_mw(window);
}

void SlabPool::GrowAhead() {
  // Half a chunk lasts while the next one is being registered.
  if (free_ < sizes_.chunk_slabs / 2) Grow();
}

bool SlabPool::HasSlab() {
  GrowAhead();
  return free_ > 0;
}

SlabRef SlabPool::Take() {
  GrowAhead();
  if (free_ == 0) return {};
  // Always the first, so that the last ones become free.
  const auto found = std::find_if(chunks_.begin(), chunks_.end(),
                                  [](const auto& chunk) { return chunk->free() > 0; });
  SlabChunk* chunk = found->get();
  if (chunk->used() == 0) unused_chunks_--;
  peak_chunks_ = std::max(peak_chunks_, chunks_.size() - unused_chunks_);
  free_--;
  used_++;
  return chunk->Take();
}

void SlabPool::Give(PooledSlab* slab) {
  SlabChunk* chunk = slab->chunk();
  const size_t free_before = chunk->free();
  chunk->Give(slab);
  free_ += chunk->free() - free_before;
  used_--;
  if (chunk->used() > 0) return;
  unused_chunks_++;
  if (idle_) RemoveUnused(0);
}

bool SlabPool::Tidy() {
  if (chunks_.size() < 2) return false;
  const uint64_t now_ms = system::NowMs();
  if (now_ms - period_began_ms_ < kPeriodMs) return true;
  const size_t used = chunks_.size() - unused_chunks_;
  // One stays, so that the next who streams has no need to wait.
  const size_t needed = std::max({peak_chunks_, last_peak_chunks_, size_t{1}});
  RemoveUnused(needed - std::min(needed, used));
  period_began_ms_ = now_ms;
  last_peak_chunks_ = std::exchange(peak_chunks_, used);
  return chunks_.size() > 1;
}

SlabRef SlabPool::Find(std::span<const std::byte> bytes) const {
  auto after = std::upper_bound(chunks_.begin(), chunks_.end(), bytes.data(), IsBelow);
  if (after == chunks_.begin()) return {};
  const SlabChunk& chunk = **std::prev(after);
  const std::span<std::byte> memory = chunk.memory();
  const auto offset = static_cast<size_t>(bytes.data() - memory.data());
  if (offset >= memory.size() || bytes.size() > memory.size() - offset) return {};
  return chunk.Find(bytes);
}

void SlabPool::SetIdle(bool idle) {
  idle_ = idle;
  if (idle) RemoveUnused(0);
}

void SlabPool::Grow() {
  if (growing_ || system::NowMs() < next_growth_ms_) return;
  // Connections come first: slabs leave them a part of what may be pinned.
  if (!budget_->Pin(sizes_.chunk_bytes(), budget_->pinned_bytes_max() / sizes_.spare_parts).ok())
    return;
  growing_ = true;
  worker_->Run([this, windows = can_revoke_ ? sizes_.chunk_slabs : 0]() -> Worker::Finish {
    // Shared only because a std::function must be copyable.
    auto made = std::make_shared<std::unique_ptr<ChunkRegistration>>(
        ChunkRegistration::Create(library_, pd_, sizes_.chunk_bytes(), windows, budget_));
    return [this, made] { OnGrown(std::move(*made)); };
  });
}

void SlabPool::OnGrown(std::unique_ptr<ChunkRegistration> registration) {
  growing_ = false;
  if (registration == nullptr) {
    next_growth_ms_ = system::NowMs() + kGrowthPauseMs;
    return;
  }
  auto chunk = std::make_unique<SlabChunk>(this, std::move(registration), sizes_.slab_bytes);
  free_ += chunk->free();
  unused_chunks_++;
  chunks_.insert(std::upper_bound(chunks_.begin(), chunks_.end(), chunk->memory().data(), IsBelow),
                 std::move(chunk));
  // Whoever wanted it may have gone.
  if (idle_) RemoveUnused(0);
}

void SlabPool::RemoveUnused(size_t kept) {
  if (unused_chunks_ <= kept) return;
  // Shared only because a std::function must be copyable.
  auto removed = std::make_shared<Registrations>();
  // From the end, where those are that are wanted least.
  for (size_t i = chunks_.size(); i-- > 0 && unused_chunks_ > kept;) {
    if (chunks_[i]->used() > 0) continue;
    unused_chunks_--;
    free_ -= chunks_[i]->free();
    removed->push_back(chunks_[i]->TakeRegistration());
    chunks_.erase(chunks_.begin() + static_cast<ptrdiff_t>(i));
  }
  worker_->Run([removed]() -> Worker::Finish {
    removed->clear();
    return nullptr;
  });
}

Registrations SlabPool::Detach() {
  Registrations left;
  for (const auto& chunk : chunks_) left.push_back(chunk->TakeRegistration());
  chunks_.clear();
  free_ = used_ = unused_chunks_ = 0;
  return left;
}

}  // namespace rdma_net::verbs
