#pragma once

#include <napi.h>

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>

#include "fabric/fabric.h"

namespace rdma_net::napi {

/// ArrayBuffers of the program that are registered for sending, by the ids that JavaScript has for
/// them. Each keeps the memory it stands for until nothing is registered there any more: what V8
/// gives to somebody else can therefore never be sent from here.
class Registrations {
 public:
  explicit Registrations(fabric::Fabric* fabric) : fabric_(fabric) {}

  /// @return an id, or 0 when the memory cannot be kept
  uint32_t Add(Napi::ArrayBuffer buffer);
  void Remove(uint32_t id) { registrations_.erase(id); }
  void Clear() { registrations_.clear(); }

  /// The registration, if `bytes` lie in its memory; empty otherwise.
  [[nodiscard]] fabric::RegistrationRef Find(uint32_t id, std::span<const std::byte> bytes) const;

 private:
  fabric::Fabric* fabric_;
  std::unordered_map<uint32_t, fabric::RegistrationRef> registrations_;
  uint32_t last_id_ = 0;
};

}  // namespace rdma_net::napi
