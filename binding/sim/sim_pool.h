#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "fabric/memory.h"

namespace rdma_net::sim {

class SimPool;

/// What a simulation found to be wrong.
using Findings = std::vector<std::string>;

class SimSlab final : public fabric::Slab {
 public:
  SimSlab(std::span<std::byte> memory, uint32_t local_key) : Slab(memory, local_key) {}

  /// The key under which a peer may write to it; 0 for none.
  [[nodiscard]] uint32_t exposed_key() const { return exposed_key_; }
  void set_exposed_key(uint32_t key) { exposed_key_ = key; }
  /// Nobody holds it.
  [[nodiscard]] bool free() const { return keeper_ == nullptr; }

 protected:
  void OnUnreferenced() override;

 private:
  friend class SimPool;
  /// The pool, while the slab is in use: the bytes outlive the fabric.
  std::shared_ptr<SimPool> keeper_;
  uint32_t exposed_key_ = 0;
};

/// The slabs of a simulated device. The bytes of free ones are poisoned, so that AddressSanitizer
/// finds whoever still looks at them.
class SimPool final : public std::enable_shared_from_this<SimPool> {
 public:
  explicit SimPool(Findings* findings) : findings_(findings) {}
  SimPool(const SimPool&) = delete;
  SimPool& operator=(const SimPool&) = delete;
  SimPool(SimPool&&) = delete;
  SimPool& operator=(SimPool&&) = delete;
  ~SimPool();

  void Grow(size_t bytes, uint32_t local_key);
  /// One that is free; there must be one.
  fabric::SlabRef Take(uint32_t random);
  /// The slab in use that holds all of `bytes`, or null.
  [[nodiscard]] SimSlab* Find(std::span<const std::byte> bytes) const;
  /// The fabric has ended, and hears of nothing any more.
  void Detach() { findings_ = nullptr; }

  [[nodiscard]] bool has_free() const { return !free_.empty(); }
  [[nodiscard]] size_t slabs() const { return slabs_.size(); }
  [[nodiscard]] size_t slabs_used() const { return slabs_.size() - free_.size(); }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] uint64_t bytes_used() const;

 private:
  friend class SimSlab;
  struct Owned {
    std::unique_ptr<std::byte[]> memory;
    std::unique_ptr<SimSlab> slab;
  };

  void TakeBack(SimSlab* slab);

  uint64_t bytes_ = 0;
  Findings* findings_;
  /// By the address of their bytes.
  std::map<const std::byte*, Owned> slabs_;
  std::vector<SimSlab*> free_;
};

}  // namespace rdma_net::sim
