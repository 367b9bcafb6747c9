#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <unordered_set>
#include <vector>

#include "fabric/memory.h"
#include "verbs/budget.h"
#include "verbs/library.h"
#include "verbs/worker.h"

namespace rdma_net::verbs {

/// A device as far as registering on it goes.
struct RegistrationTarget {
  /// Never used again for another device, unlike its address.
  uint64_t device_id = 0;
  ibv_pd* pd = nullptr;
  /// The device pages memory in when it needs it, so that registering pins nothing.
  bool on_demand = false;
};

class Registrar;

/// Memory of somebody else, registered on the devices that were open when it was asked for.
///
///     kPending --> kReady --> kEnding --> kEnded    ready on at least one device, or
///         |                                         ended without ever having been ready;
///         +--------------------> kEnding            kEnded when `released` was called
class OwnedRegistration final : public fabric::Registration {
 public:
  OwnedRegistration(Registrar* registrar, std::span<const std::byte> memory,
                    std::function<void()> released)
      : Registration(memory), registrar_(registrar), released_(std::move(released)) {}

  [[nodiscard]] std::optional<uint32_t> LocalKey(uint64_t device_id) const;

 private:
  friend class Registrar;
  enum class State : uint8_t { kPending, kReady, kEnding, kEnded };
  struct Made {
    uint64_t device_id = 0;
    uint64_t charged_bytes = 0;
    ibv_mr* region = nullptr;
  };
  struct Key {
    uint64_t device_id = 0;
    uint32_t local_key = 0;
  };

  void OnUnreferenced() override;
  void OnEnded();

  Registrar* registrar_;
  std::function<void()> released_;
  State state_ = State::kPending;
  bool referenced_ = true;
  /// Only for the worker, whose jobs share it.
  std::shared_ptr<std::vector<Made>> made_ = std::make_shared<std::vector<Made>>();
  /// The same for the loop thread.
  std::vector<Key> keys_;
};

/// Makes and ends the registrations of a fabric, on the worker, in the order asked for.
class Registrar {
 public:
  Registrar(Worker* worker, Budget* budget) : worker_(worker), budget_(budget) {}
  Registrar(const Registrar&) = delete;
  Registrar& operator=(const Registrar&) = delete;
  Registrar(Registrar&&) = delete;
  Registrar& operator=(Registrar&&) = delete;
  ~Registrar() = default;

  fabric::RegistrationRef Register(const Library* library, std::span<const std::byte> memory,
                                   std::function<void()> released,
                                   const std::vector<RegistrationTarget>& targets);
  /// Nothing is registered on a device any more once the jobs given so far are done.
  void ForgetDevice(uint64_t device_id);
  /// Ends all registrations, whoever refers to them, and makes no more; `released` of each comes
  /// with RunFinished.
  void Close();

  [[nodiscard]] uint64_t made() const { return made_; }
  [[nodiscard]] uint32_t count() const { return ready_; }

 private:
  friend class OwnedRegistration;
  void OnMade(OwnedRegistration* registration, std::vector<OwnedRegistration::Key> keys);
  void End(OwnedRegistration* registration);
  void OnEnded(OwnedRegistration* registration);

  const Library* library_ = nullptr;
  Worker* worker_;
  Budget* budget_;
  bool closed_ = false;
  uint64_t made_ = 0;
  uint32_t ready_ = 0;
  /// Those that have not ended.
  std::unordered_set<OwnedRegistration*> registrations_;
};

}  // namespace rdma_net::verbs
