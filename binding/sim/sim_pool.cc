#include "sim/sim_pool.h"

#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#define RDMA_NET_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RDMA_NET_ADDRESS_SANITIZER 1
#endif
#endif

#ifdef RDMA_NET_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace rdma_net::sim {

namespace {

void SetAccessible([[maybe_unused]] std::span<std::byte> memory, [[maybe_unused]] bool accessible) {
#ifdef RDMA_NET_ADDRESS_SANITIZER
  if (accessible) {
    __asan_unpoison_memory_region(memory.data(), memory.size());
  } else {
    __asan_poison_memory_region(memory.data(), memory.size());
  }
#endif
}

}  // namespace

void SimSlab::OnUnreferenced() {
  // The pool may end here, and this slab with it.
  const std::shared_ptr<SimPool> keeper = std::move(keeper_);
  keeper->TakeBack(this);
}

SimPool::~SimPool() {
  for (const auto& [data, owned] : slabs_) SetAccessible(owned.slab->memory(), true);
}

void SimPool::Grow(size_t bytes, uint32_t local_key) {
  bytes_ += bytes;
  auto memory = std::make_unique<std::byte[]>(bytes);
  auto slab = std::make_unique<SimSlab>(std::span(memory.get(), bytes), local_key);
  SetAccessible(slab->memory(), false);
  free_.push_back(slab.get());
  const std::byte* data = memory.get();
  slabs_[data] = {.memory = std::move(memory), .slab = std::move(slab)};
}

uint64_t SimPool::bytes_used() const {
  uint64_t used = bytes_;
  for (const SimSlab* slab : free_) used -= slab->bytes();
  return used;
}

fabric::SlabRef SimPool::Take(uint32_t random) {
  std::swap(free_[random % free_.size()], free_.back());
  SimSlab* slab = free_.back();
  free_.pop_back();
  slab->keeper_ = shared_from_this();
  SetAccessible(slab->memory(), true);
  return fabric::SlabRef(slab);
}

SimSlab* SimPool::Find(std::span<const std::byte> bytes) const {
  auto found = slabs_.upper_bound(bytes.data());
  if (bytes.empty() || found == slabs_.begin()) return nullptr;
  const auto& [start, owned] = *--found;
  const auto offset = static_cast<size_t>(bytes.data() - start);
  const size_t slab_bytes = owned.slab->bytes();
  if (offset >= slab_bytes || bytes.size() > slab_bytes - offset) return nullptr;
  return owned.slab.get();
}

void SimPool::TakeBack(SimSlab* slab) {
  if (slab->exposed_key() != 0 && findings_ != nullptr) {
    findings_->push_back("a slab was handed back to the pool while its peer could write to it");
  }
  SetAccessible(slab->memory(), false);
  free_.push_back(slab);
}

}  // namespace rdma_net::sim
