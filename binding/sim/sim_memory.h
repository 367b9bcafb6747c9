#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>

#include "fabric/fabric.h"
#include "sim/scheduler.h"
#include "sim/sim_options.h"
#include "sim/sim_pool.h"

namespace rdma_net::sim {

class SimEndpoint;
class SimMemory;

class SimRegistration final : public fabric::Registration {
 public:
  SimRegistration(SimMemory* owner, uint64_t number, std::span<const std::byte> memory,
                  std::function<void()> released)
      : Registration(memory), owner_(owner), number_(number), released_(std::move(released)) {}

 protected:
  void OnUnreferenced() override;

 private:
  friend class SimMemory;
  SimMemory* owner_;
  uint64_t number_;
  std::function<void()> released_;
  bool given_up_ = false;
  /// 0 while it is not ready, or when it has failed.
  uint32_t key_ = 0;
};

/// All registered memory of a simulated device, by its keys. No key is ever used twice.
class SimMemory {
 public:
  SimMemory(const SimOptions& options, Scheduler* scheduler, Findings* findings);
  SimMemory(const SimMemory&) = delete;
  SimMemory& operator=(const SimMemory&) = delete;
  SimMemory(SimMemory&&) = delete;
  SimMemory& operator=(SimMemory&&) = delete;
  ~SimMemory();

  /// Memory of `owner`; false at the limit of what may be pinned.
  bool Allocate(size_t bytes, bool remote, const SimEndpoint* owner, fabric::Region* region);
  void Free(uint32_t key);

  /// If not, there may be one later.
  [[nodiscard]] bool HasSlab();
  fabric::SlabRef TakeSlab();
  [[nodiscard]] fabric::SlabRef FindSlab(std::span<const std::byte> bytes);
  /// Gives the key, or 0 if the slab may not be exposed.
  uint32_t Expose(fabric::Slab* slab, const SimEndpoint* owner);
  /// Ends the access by a key.
  void Conceal(uint32_t key);

  fabric::RegistrationRef Register(std::span<const std::byte> memory,
                                   std::function<void()> released);
  [[nodiscard]] std::optional<uint32_t> LocalKey(const fabric::Registration& registration) const;

  /// The bytes that `owner` lets its peer write to; null if it does not.
  [[nodiscard]] std::byte* Remote(uint32_t key, uint64_t address, uint64_t bytes,
                                  const SimEndpoint* owner) const;
  /// Whether the segment may be read.
  [[nodiscard]] bool Readable(const fabric::Segment& segment) const;

  /// Writes noise under the key of an exposure, as its peer could.
  void Scribble(uint32_t key);

  void EndFaults() { options_.allocation_errors = 0; }
  /// The device is gone: nothing new is given out.
  void Remove() { removed_ = true; }

  [[nodiscard]] uint64_t pinned_bytes() const { return pinned_bytes_; }
  [[nodiscard]] const SimPool& pool() const { return *pool_; }
  [[nodiscard]] size_t regions() const { return regions_; }
  [[nodiscard]] size_t exposures() const { return exposures_; }
  [[nodiscard]] size_t registrations() const { return registrations_.size(); }
  [[nodiscard]] uint64_t registrations_made() const { return registrations_made_; }

 private:
  friend class SimRegistration;
  enum class Kind : uint8_t { kRegion, kSlab, kExposure, kRegistration };
  struct Memory {
    Kind kind;
    bool remote;
    const std::byte* data;
    size_t bytes;
    const SimEndpoint* owner;
    SimSlab* slab;
    std::unique_ptr<std::byte[]> owned;
  };

  void Grow();
  void GrowLater();
  /// Some time after Register: the key is there, or never will be.
  void MakeReady(uint64_t number);
  void Unregister(SimRegistration* registration);
  /// Memory under a key if the range is inside of it, or null.
  [[nodiscard]] const Memory* Find(uint32_t key, uint64_t address, uint64_t bytes) const;

  SimOptions options_;
  Scheduler* scheduler_;
  Findings* findings_;
  std::shared_ptr<SimPool> pool_;
  std::unordered_map<uint32_t, Memory> keys_;
  /// By their numbers: an address may come back.
  std::unordered_map<uint64_t, std::unique_ptr<SimRegistration>> registrations_;
  uint32_t next_key_ = 1;
  uint64_t pinned_bytes_ = 0;
  size_t regions_ = 0;
  size_t exposures_ = 0;
  uint64_t registrations_made_ = 0;
  bool growing_ = false;
  bool removed_ = false;
};

}  // namespace rdma_net::sim
