#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "fabric/fabric.h"

namespace rdma_net::sim {

class SimEndpoint;
class SimListener;

struct SimOptions {
  uint64_t seed = 1;
  uint32_t send_requests = 16;
  uint32_t receive_requests = 8;
  /// Beyond the credits, for control messages.
  uint32_t control_receives = 8;
  uint32_t inline_bytes = 64;
  /// Chance of a posted request to fail with a completion error, in 1 / 2^20.
  uint32_t completion_errors = 0;
  /// Chance of a request to be refused for want of memory, in 1 / 2^20.
  uint32_t allocation_errors = 0;
};

/// A fabric without hardware for tests: connections between endpoints of one process, every step
/// of every message and handshake a separate event, and the next event chosen by a seeded
/// generator. A run depends on nothing but its seed. Order holds where RC queue pairs promise it,
/// and nowhere else: messages of one direction, and completions of one queue.
///
///     Post -> wire --deliver--> peer's memory, peer's arrived queue --report--> OnMessage
///               (waits while the peer has no receive)      own sent queue --report--> OnSent
class SimFabric final : public fabric::Fabric {
 public:
  explicit SimFabric(const SimOptions& options);
  SimFabric(const SimFabric&) = delete;
  SimFabric& operator=(const SimFabric&) = delete;
  SimFabric(SimFabric&&) = delete;
  SimFabric& operator=(SimFabric&&) = delete;
  ~SimFabric() override;

  /// Runs one random event; false when there is none.
  bool Step();

  [[nodiscard]] int fd() const override { return -1; }
  bool Poll(uint32_t budget) override;
  bool Arm() override { return false; }
  std::unique_ptr<fabric::Endpoint> Connect(const fabric::Target& target,
                                            fabric::EndpointEvents* events,
                                            fabric::Failure* failure) override;
  std::unique_ptr<fabric::Listener> Listen(const fabric::Address& address, int backlog,
                                           fabric::ListenerEvents* events,
                                           fabric::Failure* failure) override;
  [[nodiscard]] bool open() const override { return true; }
  [[nodiscard]] std::string open_error() const override { return {}; }
  [[nodiscard]] fabric::FabricStats stats() const override;
  void Close() override {}
  [[nodiscard]] bool closed() const override { return live_endpoints_ == 0; }

  /// Failures that the simulation itself found: memory used after its end, or a queue overrun.
  [[nodiscard]] const std::vector<std::string>& errors() const { return errors_; }
  [[nodiscard]] size_t registered_regions() const { return memory_.size(); }

 private:
  friend class SimEndpoint;
  friend class SimListener;

  struct Memory {
    std::unique_ptr<std::byte[]> data;
    size_t bytes;
    bool remote;
    SimEndpoint* owner;
  };

  uint32_t Random(uint32_t below);
  bool Chance(uint32_t per_million);
  void Schedule(std::function<void()> event) { events_.push_back(std::move(event)); }
  void Error(std::string what) { errors_.push_back(std::move(what)); }
  /// Memory under a key, if the range is inside of it and its owner lives; null otherwise.
  std::byte* Resolve(uint32_t key, uint64_t address, uint64_t bytes, bool remote);

  SimOptions options_;
  std::mt19937_64 generator_;
  std::vector<std::function<void()>> events_;
  std::vector<SimEndpoint*> active_;
  std::unordered_map<uint16_t, SimListener*> listeners_;
  std::unordered_map<uint32_t, Memory> memory_;
  uint32_t next_key_ = 1;
  uint32_t live_endpoints_ = 0;
  uint64_t completions_ = 0;
  std::vector<std::string> errors_;
};

/// One end in the simulation. Public for tests that play a hostile peer: what it posts is sent
/// as it is.
class SimEndpoint final : public fabric::Endpoint {
 public:
  SimEndpoint(SimFabric* fabric, fabric::EndpointEvents* events);
  SimEndpoint(const SimEndpoint&) = delete;
  SimEndpoint& operator=(const SimEndpoint&) = delete;
  SimEndpoint(SimEndpoint&&) = delete;
  SimEndpoint& operator=(SimEndpoint&&) = delete;
  ~SimEndpoint() override;

  void Attach(fabric::EndpointEvents* events) override { events_ = events; }
  fabric::Failure Connect(std::span<const std::byte> data) override;
  fabric::Failure Establish() override;
  fabric::Failure Accept(std::span<const std::byte> data) override;
  fabric::Failure Post(const fabric::WriteRequest& request) override;
  fabric::Failure Allocate(size_t bytes, fabric::Access access, fabric::Region* region) override;
  void Free(const fabric::Region& region) override;
  void Abort() override;
  void Release() override;

  [[nodiscard]] uint32_t send_requests_max() const override;
  [[nodiscard]] uint32_t receive_requests() const override;
  [[nodiscard]] uint32_t inline_bytes_max() const override;
  [[nodiscard]] fabric::Address local_address() const override { return {"10.0.0.1", 1, false}; }
  [[nodiscard]] fabric::Address remote_address() const override { return {"10.0.0.2", 2, false}; }
  [[nodiscard]] fabric::EndpointInfo info() const override { return {}; }

 private:
  friend class SimFabric;

  struct Posted {
    fabric::WriteRequest request;
    /// The bytes, of inline requests only: others are read when they are delivered.
    std::vector<std::byte> inline_data;
  };
  struct Arrived {
    uint32_t immediate;
    uint32_t bytes;
  };

  [[nodiscard]] uint32_t Runnable() const;
  void Run(uint32_t choice);
  void Deliver();
  void ReportMessage();
  void ReportSent();
  void Break(fabric::Failure failure);
  /// The peer learns of the end, after what was delivered to it.
  void TellPeer();
  void Later(std::function<void()> event);

  SimFabric* fabric_;
  fabric::EndpointEvents* events_;
  SimEndpoint* peer_ = nullptr;
  uint16_t target_port_ = 0;
  bool open_ = false;
  /// The queue pair is in error: what is posted gets flushed.
  bool broken_ = false;
  bool quiet_ = false;
  bool released_ = false;
  bool disconnect_pending_ = false;
  uint32_t in_use_ = 0;
  uint32_t receives_;
  std::deque<Posted> wire_;
  std::deque<Arrived> arrived_;
  std::deque<uint64_t> sent_;
  /// Expires with the endpoint, for events that are scheduled.
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
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
