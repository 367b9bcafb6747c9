#include "sim/sim_memory.h"

#include <cassert>
#include <utility>

namespace rdma_net::sim {

void SimRegistration::OnUnreferenced() {
  owner_->Unregister(this);
}

SimMemory::SimMemory(const SimOptions& options, Scheduler* scheduler, Findings* findings)
    : options_(options),
      scheduler_(scheduler),
      findings_(findings),
      pool_(std::make_shared<SimPool>(findings)) {
  for (uint32_t n = 0; n < options.slabs_at_first; n++) Grow();
}

SimMemory::~SimMemory() {
  // Whoever holds one still would come back to memory that is gone.
  for ([[maybe_unused]] const auto& [number, registration] : registrations_) {
    assert(registration->given_up_);
  }
  pool_->Detach();
}

bool SimMemory::Allocate(size_t bytes, bool remote, const SimEndpoint* owner,
                         fabric::Region* region) {
  if (removed_ || pinned_bytes_ + bytes > options_.pinned_bytes_max) return false;
  const uint32_t key = next_key_++;
  auto data = std::make_unique<std::byte[]>(bytes);
  *region = {.data = data.get(), .bytes = bytes, .local_key = key, .remote_key = key};
  keys_[key] = {.kind = Kind::kRegion,
                .remote = remote,
                .data = data.get(),
                .bytes = bytes,
                .owner = owner,
                .slab = nullptr,
                .owned = std::move(data)};
  pinned_bytes_ += bytes;
  regions_++;
  return true;
}

void SimMemory::Free(uint32_t key) {
  const auto found = keys_.find(key);
  if (found == keys_.end() || found->second.kind != Kind::kRegion) {
    findings_->push_back("a region was freed that is not there");
    return;
  }
  pinned_bytes_ -= found->second.bytes;
  regions_--;
  keys_.erase(found);
}

void SimMemory::Grow() {
  if (removed_ || pool_->slabs() >= options_.slabs_max) return;
  const size_t bytes = options_.slab_bytes * (scheduler_->Chance(options_.large_slabs) ? 4 : 1);
  if (pinned_bytes_ + bytes > options_.pinned_bytes_max) return;
  const uint32_t key = next_key_++;
  pool_->Grow(bytes, key);
  keys_[key] = {.kind = Kind::kSlab,
                .remote = false,
                .data = nullptr,
                .bytes = 0,
                .owner = nullptr,
                .slab = nullptr,
                .owned = nullptr};
  pinned_bytes_ += bytes;
}

void SimMemory::GrowLater() {
  if (pool_->slabs() >= options_.slabs_max || std::exchange(growing_, true)) return;
  scheduler_->Later([this] {
    growing_ = false;
    for (uint32_t n = 1 + scheduler_->Random(3); n > 0; n--) Grow();
  });
}

bool SimMemory::HasSlab() {
  if (!removed_ && pool_->has_free()) return true;
  GrowLater();
  return false;
}

fabric::SlabRef SimMemory::TakeSlab() {
  if (!HasSlab()) return {};
  return pool_->Take(scheduler_->Random(UINT32_MAX));
}

fabric::SlabRef SimMemory::FindSlab(std::span<const std::byte> bytes) {
  SimSlab* slab = pool_->Find(bytes);
  if (slab == nullptr) return {};
  if (slab->free()) {
    findings_->push_back("somebody still holds bytes of a slab that was handed back");
    return {};
  }
  return fabric::SlabRef(slab);
}

uint32_t SimMemory::Expose(fabric::Slab* slab, const SimEndpoint* owner) {
  SimSlab* ours = pool_->Find(slab->memory());
  if (ours != slab || ours->free()) {
    findings_->push_back("a slab was exposed that is not in use");
    return 0;
  }
  if (ours->exposed_key() != 0) {
    findings_->push_back("a slab was exposed twice");
    return 0;
  }
  const uint32_t key = next_key_++;
  ours->set_exposed_key(key);
  exposures_++;
  keys_[key] = {.kind = Kind::kExposure,
                .remote = true,
                .data = slab->data(),
                .bytes = slab->bytes(),
                .owner = owner,
                .slab = ours,
                .owned = nullptr};
  return key;
}

void SimMemory::Conceal(uint32_t key) {
  const auto found = keys_.find(key);
  if (found == keys_.end()) return;
  found->second.slab->set_exposed_key(0);
  exposures_--;
  keys_.erase(found);
}

void SimMemory::Scribble(uint32_t key) {
  const auto found = keys_.find(key);
  if (found == keys_.end() || found->second.slab->free()) return;
  for (std::byte& byte : found->second.slab->memory()) byte ^= std::byte{0x5a};
}

fabric::RegistrationRef SimMemory::Register(std::span<const std::byte> memory,
                                            std::function<void()> released) {
  const uint64_t number = registrations_made_++;
  auto& registration = registrations_[number];
  registration = std::make_unique<SimRegistration>(this, number, memory, std::move(released));
  scheduler_->Later([this, number] { MakeReady(number); });
  return fabric::RegistrationRef(registration.get());
}

void SimMemory::MakeReady(uint64_t number) {
  const auto found = registrations_.find(number);
  if (found == registrations_.end() || found->second->given_up_) return;
  SimRegistration& registration = *found->second;
  const std::span<const std::byte> memory = registration.memory();
  if (removed_ || scheduler_->Chance(options_.allocation_errors)) return;
  if (pinned_bytes_ + memory.size() > options_.pinned_bytes_max) return;
  pinned_bytes_ += memory.size();
  registration.key_ = next_key_++;
  keys_[registration.key_] = {.kind = Kind::kRegistration,
                              .remote = false,
                              .data = memory.data(),
                              .bytes = memory.size(),
                              .owner = nullptr,
                              .slab = nullptr,
                              .owned = nullptr};
}

void SimMemory::Unregister(SimRegistration* registration) {
  registration->given_up_ = true;
  scheduler_->Later([this, registration] {
    if (keys_.erase(registration->key_) > 0) pinned_bytes_ -= registration->memory().size();
    const std::function<void()> released = std::move(registration->released_);
    registrations_.erase(registration->number_);
    if (released) released();
  });
}

std::optional<uint32_t> SimMemory::LocalKey(const fabric::Registration& registration) const {
  const auto& ours = static_cast<const SimRegistration&>(registration);
  const auto found = registrations_.find(ours.number_);
  if (found == registrations_.end() || ours.given_up_) {
    findings_->push_back("a registration was used after it was given up");
    return std::nullopt;
  }
  if (removed_ || ours.key_ == 0) return std::nullopt;
  return ours.key_;
}

const SimMemory::Memory* SimMemory::Find(uint32_t key, uint64_t address, uint64_t bytes) const {
  const auto found = keys_.find(key);
  if (found == keys_.end() || found->second.kind == Kind::kSlab) return nullptr;
  const Memory& memory = found->second;
  const auto start = reinterpret_cast<uint64_t>(memory.data);
  if (address < start || bytes > memory.bytes || address - start > memory.bytes - bytes) {
    return nullptr;
  }
  return &memory;
}

std::byte* SimMemory::Remote(uint32_t key, uint64_t address, uint64_t bytes,
                             const SimEndpoint* owner) const {
  const Memory* memory = Find(key, address, bytes);
  if (memory == nullptr || !memory->remote || memory->owner != owner) return nullptr;
  // That it was exposed when it was handed back has been found before.
  if (memory->slab != nullptr && memory->slab->free()) return nullptr;
  std::byte* start = memory->slab != nullptr ? memory->slab->data() : memory->owned.get();
  return start + (address - reinterpret_cast<uint64_t>(start));
}

bool SimMemory::Readable(const fabric::Segment& segment) const {
  const std::span<const std::byte> bytes(segment.data, segment.bytes);
  if (const SimSlab* slab = pool_->Find(bytes); slab != nullptr) {
    return !slab->free() && slab->local_key() == segment.local_key;
  }
  return Find(segment.local_key, reinterpret_cast<uint64_t>(segment.data), segment.bytes) !=
         nullptr;
}

}  // namespace rdma_net::sim
