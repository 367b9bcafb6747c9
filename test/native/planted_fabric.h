#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fabric/fabric.h"
#include "sim/sim_fabric.h"

namespace simulation {

using namespace rdma_net;

/// Mistakes that an engine or a fabric could make, and that the simulation must find.
enum class Bug : uint8_t {
  kNone,
  /// One of the credits that each update grants gets lost.
  kLostCredit,
  /// A slab that is in use is given out once more.
  kDoubleRelease,
  /// A revocation is reported as complete before it is.
  kEarlyRevoke,
  /// Nobody is woken when what was posted is complete.
  kLostAwait,
};

class PlantedEndpoint;

/// Stands between the engine and the simulated fabric, makes one mistake, and hands everything
/// else on. With `hostile` each end also writes again to where it has written before, as a peer
/// may that holds a key: without a mistake that changes nothing that was handed out.
class PlantedFabric final : public fabric::Fabric {
 public:
  PlantedFabric(sim::SimFabric* inner, uint64_t seed, Bug bug, bool hostile);
  PlantedFabric(const PlantedFabric&) = delete;
  PlantedFabric& operator=(const PlantedFabric&) = delete;
  PlantedFabric(PlantedFabric&&) = delete;
  PlantedFabric& operator=(PlantedFabric&&) = delete;
  ~PlantedFabric() override;

  [[nodiscard]] int fd() const override { return inner_->fd(); }
  bool Poll(uint32_t budget) override;
  bool Arm() override { return inner_->Arm(); }
  bool PollArmed(uint32_t budget) override { return inner_->PollArmed(budget); }
  bool Tidy() override { return inner_->Tidy(); }
  std::unique_ptr<fabric::Endpoint> Connect(const fabric::Target& target,
                                            fabric::EndpointEvents* events,
                                            fabric::Failure* failure) override;
  std::unique_ptr<fabric::Listener> Listen(const fabric::Address& address,
                                           const fabric::ListenOptions& options,
                                           fabric::ListenerEvents* events,
                                           fabric::Failure* failure) override;
  fabric::RegistrationRef Register(std::span<const std::byte> memory,
                                   std::function<void()> released) override {
    return inner_->Register(memory, std::move(released));
  }
  [[nodiscard]] uint64_t now_ms() const override { return inner_->now_ms(); }
  [[nodiscard]] bool open() const override { return inner_->open(); }
  [[nodiscard]] std::string open_error() const override { return inner_->open_error(); }
  [[nodiscard]] fabric::FabricStats stats() const override { return inner_->stats(); }
  void Close() override { inner_->Close(); }
  [[nodiscard]] bool closed() const override { return inner_->closed(); }

 private:
  friend class PlantedEndpoint;
  class RequestWrapper;

  bool OneIn(uint32_t count) { return random_() % count == 0; }

  sim::SimFabric* inner_;
  std::mt19937_64 random_;
  Bug bug_;
  bool hostile_;
  std::vector<std::unique_ptr<RequestWrapper>> wrappers_;
  std::vector<PlantedEndpoint*> endpoints_;
};

/// One end of a connection; see PlantedFabric.
class PlantedEndpoint final : public fabric::Endpoint, public fabric::EndpointEvents {
 public:
  PlantedEndpoint(PlantedFabric* owner, fabric::EndpointEvents* events);
  PlantedEndpoint(const PlantedEndpoint&) = delete;
  PlantedEndpoint& operator=(const PlantedEndpoint&) = delete;
  PlantedEndpoint(PlantedEndpoint&&) = delete;
  PlantedEndpoint& operator=(PlantedEndpoint&&) = delete;
  ~PlantedEndpoint() override;

  void SetInner(std::unique_ptr<fabric::Endpoint> inner) { inner_ = std::move(inner); }
  /// Something that the peer does not expect, if it is time for that.
  void Misbehave();

  void Attach(fabric::EndpointEvents* events) override { events_ = events; }
  fabric::Failure Connect(std::span<const std::byte> data) override {
    return inner_->Connect(data);
  }
  fabric::Failure Establish() override { return inner_->Establish(); }
  fabric::Failure Accept(std::span<const std::byte> data) override { return inner_->Accept(data); }
  fabric::Failure Post(const fabric::WriteRequest& request) override;
  fabric::Failure Ring() override { return inner_->Ring(); }
  void AwaitSent() override;
  fabric::Failure Allocate(size_t bytes, fabric::Access access, fabric::Region* region) override {
    return inner_->Allocate(bytes, access, region);
  }
  void Free(const fabric::Region& region) override { inner_->Free(region); }
  [[nodiscard]] bool can_revoke() const override { return inner_->can_revoke(); }
  [[nodiscard]] bool has_slab(fabric::SlabSize size) const override {
    return inner_->has_slab(size);
  }
  fabric::SlabRef TakeSlab(fabric::SlabSize size) override;
  fabric::Failure Expose(fabric::Slab* slab, uint32_t* remote_key) override {
    return inner_->Expose(slab, remote_key);
  }
  fabric::Failure Revoke(fabric::Slab* slab, uint64_t token) override;
  [[nodiscard]] fabric::SlabRef FindSlab(std::span<const std::byte> bytes) const override {
    return inner_->FindSlab(bytes);
  }
  [[nodiscard]] std::optional<uint32_t> LocalKey(
      const fabric::Registration& registration) const override {
    return inner_->LocalKey(registration);
  }
  uint32_t TakeCredits(uint32_t count) override { return inner_->TakeCredits(count); }
  void Abort() override;
  void Release() override;
  [[nodiscard]] uint32_t send_requests_max() const override { return inner_->send_requests_max(); }
  [[nodiscard]] uint32_t receive_requests() const override { return inner_->receive_requests(); }
  [[nodiscard]] uint32_t inline_bytes_max() const override { return inner_->inline_bytes_max(); }
  [[nodiscard]] fabric::Address local_address() const override { return inner_->local_address(); }
  [[nodiscard]] fabric::Address remote_address() const override { return inner_->remote_address(); }
  [[nodiscard]] fabric::EndpointInfo info() const override { return inner_->info(); }

  void OnRouted() override { events_->OnRouted(); }
  void OnResponse(std::span<const std::byte> data) override { events_->OnResponse(data); }
  void OnEstablished() override { events_->OnEstablished(); }
  void OnConnectFailed(fabric::Failure failure) override { events_->OnConnectFailed(failure); }
  void OnMessage(uint32_t immediate, uint32_t bytes) override {
    events_->OnMessage(immediate, bytes);
  }
  void OnStray() override { events_->OnStray(); }
  void OnSent(uint64_t token) override;
  void OnRoom() override { events_->OnRoom(); }
  void OnBroken(fabric::Failure failure) override { events_->OnBroken(failure); }
  void OnDisconnected() override { events_->OnDisconnected(); }
  /// Destroys this endpoint.
  void OnReleased() override { events_->OnReleased(); }

 private:
  struct Written {
    uint64_t address;
    uint32_t key;
    uint32_t bytes;
  };

  PlantedFabric* owner_;
  fabric::EndpointEvents* events_;
  std::unique_ptr<fabric::Endpoint> inner_;
  /// Revocations to report too early, and those whose true report nobody may hear.
  std::vector<uint64_t> early_;
  std::vector<uint64_t> reported_;
  fabric::SlabRef again_;
  std::optional<uint16_t> limit_;
  uint16_t credits_lost_ = 0;
  std::vector<Written> written_;
};

}  // namespace simulation
