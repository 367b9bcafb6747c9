#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fabric/fabric.h"
#include "sim/scheduler.h"
#include "sim/sim_endpoint.h"
#include "sim/sim_memory.h"
#include "sim/sim_options.h"

namespace rdma_net::sim {

class SimListener;

/// A fabric without hardware for tests: connections between endpoints of one process, every step
/// of every message and handshake a separate event, and the next event chosen by a seeded
/// generator. A run depends on nothing but its seed. Order holds where RC queue pairs promise it,
/// and nowhere else.
class SimFabric final : public fabric::Fabric {
 public:
  explicit SimFabric(const SimOptions& options);
  SimFabric(const SimFabric&) = delete;
  SimFabric& operator=(const SimFabric&) = delete;
  SimFabric(SimFabric&&) = delete;
  SimFabric& operator=(SimFabric&&) = delete;
  ~SimFabric() override = default;

  /// Runs one random event; false when there is none.
  bool Step() { return scheduler_.Step(); }
  /// Time goes by: what has been sent is reported, though nobody waits for it.
  void ReportSent();
  /// No more faults from here on; what has failed stays so.
  void EndFaults();
  /// Takes the device away from under everything.
  void RemoveDevice();

  [[nodiscard]] int fd() const override { return -1; }
  bool Poll(uint32_t budget) override;
  bool Arm() override { return false; }
  std::unique_ptr<fabric::Endpoint> Connect(const fabric::Target& target,
                                            fabric::EndpointEvents* events,
                                            fabric::Failure* failure) override;
  std::unique_ptr<fabric::Listener> Listen(const fabric::Address& address,
                                           const fabric::ListenOptions& options,
                                           fabric::ListenerEvents* events,
                                           fabric::Failure* failure) override;
  fabric::RegistrationRef Register(std::span<const std::byte> memory,
                                   std::function<void()> released) override;
  bool PollArmed(uint32_t) override { return false; }
  bool Tidy() override { return false; }
  [[nodiscard]] uint64_t now_ms() const override { return scheduler_.now_ms(); }
  [[nodiscard]] bool open() const override { return true; }
  [[nodiscard]] std::string open_error() const override { return {}; }
  [[nodiscard]] fabric::FabricStats stats() const override;
  void Close() override {}
  [[nodiscard]] bool closed() const override {
    return endpoints_.empty() && memory_.registrations() == 0;
  }

  /// Failures that the simulation itself found: memory used after its end, or a queue overrun.
  /// As a program does that sends from the pool in place.
  fabric::SlabRef TakeSlab() { return memory_.TakeSlab(); }

  [[nodiscard]] const Findings& errors() const { return errors_; }
  [[nodiscard]] const SimMemory& memory() const { return memory_; }
  /// What is lent of the receives that all share.
  [[nodiscard]] uint32_t credits_lent() const {
    return options_.shared_receives - shared_receives_;
  }
  [[nodiscard]] const Scheduler& scheduler() const { return scheduler_; }

 private:
  friend class SimEndpoint;
  friend class SimListener;

  void Error(std::string what) { errors_.push_back(std::move(what)); }
  bool HandshakeFails() { return scheduler_.Chance(options_.handshake_errors); }
  /// How many of those that wait are reported together.
  uint32_t Batch(size_t waiting);
  /// Connection data as it arrives: some devices fill it up with zeros.
  std::vector<std::byte> Padded(std::span<const std::byte> data, size_t bytes_max);

  SimOptions options_;
  Scheduler scheduler_;
  Findings errors_;
  SimMemory memory_;
  /// In the order of their creation, for what concerns all of them.
  std::map<uint64_t, SimEndpoint*> endpoints_;
  std::unordered_map<uint16_t, SimListener*> listeners_;
  uint64_t endpoints_made_ = 0;
  uint32_t shared_receives_;
  uint64_t completions_ = 0;
  bool removed_ = false;
};

class SimListener final : public fabric::Listener {
 public:
  SimListener(SimFabric* fabric, uint16_t port, fabric::ListenerEvents* events)
      : fabric_(fabric), port_(port), events_(events) {}
  SimListener(const SimListener&) = delete;
  SimListener& operator=(const SimListener&) = delete;
  SimListener(SimListener&&) = delete;
  SimListener& operator=(SimListener&&) = delete;
  ~SimListener() override = default;

  void Release() override;
  [[nodiscard]] fabric::ListenerEvents* events() const { return events_; }

 private:
  SimFabric* fabric_;
  uint16_t port_;
  fabric::ListenerEvents* events_;
};

}  // namespace rdma_net::sim
