#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

/// Memory that is shared between connections, the fabric and JavaScript, and counted by reference.
/// Everything here belongs to the thread of its Fabric.
namespace rdma_net::fabric {

/// Base of what Ref counts. OnUnreferenced is called when the last reference goes.
class Counted {
 public:
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  Counted(Counted&&) = delete;
  Counted& operator=(Counted&&) = delete;

 protected:
  Counted() = default;
  virtual ~Counted() = default;
  /// Nobody refers to it any more: back to its pool, or deleted.
  virtual void OnUnreferenced() = 0;

 private:
  template <typename T>
  friend class Ref;
  uint32_t references_ = 0;
};

/// A reference that keeps a Slab or a Registration.
template <typename T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* target) : target_(target) { Add(); }
  Ref(const Ref& other) : target_(other.target_) { Add(); }
  Ref(Ref&& other) noexcept : target_(std::exchange(other.target_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(target_, other.target_);
    return *this;
  }
  ~Ref() {
    if (target_ == nullptr) return;
    Counted* counted = target_;
    if (--counted->references_ == 0) counted->OnUnreferenced();
  }

  [[nodiscard]] T* get() const { return target_; }
  T* operator->() const { return target_; }
  T& operator*() const { return *target_; }
  explicit operator bool() const { return target_ != nullptr; }

 private:
  void Add() {
    if (target_ == nullptr) return;
    Counted* counted = target_;
    counted->references_++;
  }

  T* target_ = nullptr;
};

/// What is asked for of a pool: of about Slab::kBytesDefault, or Slab::kLargeBytes, unless the
/// fabric was told otherwise. What it gives may be of the other size.
enum class SlabSize : uint8_t { kSmall, kLarge };

/// A piece of a device's pool of registered memory. It goes back to the pool with its last
/// reference, and its bytes stay mapped until then even if the device, the fabric and the
/// environment's RDMA have ended.
class Slab : public Counted {
 public:
  static constexpr size_t kBytesDefault = size_t{64} * 1024;
  static constexpr size_t kLargeBytes = size_t{256} * 1024;

  [[nodiscard]] std::byte* data() const { return memory_.data(); }
  [[nodiscard]] size_t bytes() const { return memory_.size(); }
  [[nodiscard]] std::span<std::byte> memory() const { return memory_; }
  /// For sending from it, over endpoints of its device.
  [[nodiscard]] uint32_t local_key() const { return local_key_; }

 protected:
  Slab(std::span<std::byte> memory, uint32_t local_key) : memory_(memory), local_key_(local_key) {}
  ~Slab() override = default;

 private:
  std::span<std::byte> memory_;
  uint32_t local_key_;
};
using SlabRef = Ref<Slab>;

/// Memory of somebody else that is registered for sending; see Fabric::Register.
class Registration : public Counted {
 public:
  [[nodiscard]] std::span<const std::byte> memory() const { return memory_; }

 protected:
  explicit Registration(std::span<const std::byte> memory) : memory_(memory) {}
  ~Registration() override = default;

 private:
  std::span<const std::byte> memory_;
};
using RegistrationRef = Ref<Registration>;

}  // namespace rdma_net::fabric
