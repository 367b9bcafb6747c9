#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fabric/fabric.h"
#include "sim/scheduler.h"

namespace rdma_net::sim {

class SimFabric;

/// One end in the simulation: four lanes, each of which keeps its order, while any of them may be
/// the next to move.
///
///     Post, Revoke --Ring--> wire --peer's memory--> peer's arrived --> OnMessage
///                             |  (waits while the peer has no receive)
///                             +------------------> sent --> OnSent, OnBroken
///                                                   |  (waits for AwaitSent, or another event)
///     handshake and end ------------------------------> life --> OnRouted .. OnReleased
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
  fabric::Failure Ring() override;
  void AwaitSent() override;
  fabric::Failure Allocate(size_t bytes, fabric::Access access, fabric::Region* region) override;
  void Free(const fabric::Region& region) override;
  [[nodiscard]] bool can_revoke() const override;
  [[nodiscard]] bool has_slab(fabric::SlabSize size) const override;
  fabric::SlabRef TakeSlab(fabric::SlabSize size) override;
  fabric::Failure Expose(fabric::Slab* slab, uint32_t* remote_key) override;
  fabric::Failure Revoke(fabric::Slab* slab, uint64_t token) override;
  [[nodiscard]] fabric::SlabRef FindSlab(std::span<const std::byte> bytes) const override;
  [[nodiscard]] std::optional<uint32_t> LocalKey(
      const fabric::Registration& registration) const override;
  uint32_t TakeCredits(uint32_t count) override;
  void Abort() override;
  void Release() override;

  [[nodiscard]] uint32_t send_requests_max() const override;
  [[nodiscard]] uint32_t receive_requests() const override;
  [[nodiscard]] uint32_t inline_bytes_max() const override;
  [[nodiscard]] fabric::Address local_address() const override { return {"10.0.0.1", 1, false}; }
  [[nodiscard]] fabric::Address remote_address() const override { return {"10.0.0.2", 2, false}; }
  [[nodiscard]] fabric::EndpointInfo info() const override { return {}; }

  /// For tests that play a hostile peer: writes noise over the peer's memory, without a message.
  void Scribble(uint64_t remote_address, uint32_t remote_key, uint32_t bytes);
  /// For tests: from now on the network loses everything in both directions, and nothing notices.
  void Vanish();

 private:
  friend class SimFabric;

  struct Lane final : Task {
    Lane(SimEndpoint* owner, void (SimEndpoint::*move)()) : endpoint(owner), run(move) {}
    void Run() override { (endpoint->*run)(); }
    SimEndpoint* endpoint;
    void (SimEndpoint::*run)();
  };

  enum class Kind : uint8_t { kMessage, kSilent, kScribble, kRevoke, kFailure };
  struct Posted {
    Kind kind = Kind::kMessage;
    fabric::WriteRequest request;
    uint32_t bytes = 0;
    /// Of the send queue: one, and the exposures posted before.
    uint32_t places = 1;
    /// The bytes have been written.
    bool placed = false;
    /// The bytes, of inline requests only: others are read when they are delivered.
    std::vector<std::byte> inline_data;
    /// Of the bytes when they were posted.
    uint64_t checksum = 0;
    /// The slab's key, of Revoke.
    uint32_t revoked_key = 0;
    fabric::Failure failure;
  };
  struct Arrived {
    uint32_t immediate;
    uint32_t bytes;
  };
  /// How far the handshake has come, as this end was told.
  enum class Life : uint8_t { kRouting, kConnecting, kAnswered, kRequested, kAccepting, kOpen };
  enum class LifeEvent : uint8_t {
    kRouted,
    kRequest,
    kResponse,
    kEstablished,
    kConnectFailed,
    kBroken,
    kDisconnected,
    kReleased,
  };
  struct Pending {
    LifeEvent event;
    fabric::Failure failure;
    std::vector<std::byte> data;
  };

  /// Says anew which lanes can move; after every change.
  void Update();
  void UpdateBoth();

  void RunWire();
  void RunArrived();
  void RunSent();
  void RunLife();
  void RunStall();

  /// Writes the bytes of the message; a failure when one of the two devices would find one.
  fabric::Failure Place(Posted& posted, uint32_t bytes);
  void ReportSent(const Posted& posted);
  /// As a poll for something else does: what is complete by then is reported, too.
  void ReportAlong();
  void ReachListener(const std::vector<std::byte>& data);
  void Happen(LifeEvent event, fabric::Failure failure = {}, std::vector<std::byte> data = {});
  void Handle(const Pending& pending);
  /// The queue pair fails: nothing more goes either way.
  void Break(fabric::Failure failure);
  void FailHandshake(fabric::Status status);
  /// The peer learns of the end, after what was delivered to it.
  void TellPeer();
  void LoseDevice();
  void FinishRelease();

  SimFabric* fabric_;
  uint64_t number_;
  fabric::EndpointEvents* events_;
  SimEndpoint* peer_ = nullptr;
  uint16_t target_port_ = 0;
  Life life_ = Life::kRouting;
  /// Messages may leave, and come in.
  bool open_ = false;
  bool broken_ = false;
  bool quiet_ = false;
  bool released_ = false;
  bool stalled_ = false;
  bool vanished_ = false;
  /// A message was reported.
  bool heard_ = false;
  /// Somebody asked to be woken by what is sent.
  bool awaits_sent_ = false;
  uint32_t in_use_ = 0;
  uint32_t exposures_posted_ = 0;
  uint32_t borrowed_ = 0;
  int64_t receives_;
  /// Not rung for yet.
  std::vector<Posted> posted_;
  std::deque<Posted> wire_;
  std::deque<Arrived> arrived_;
  std::deque<Posted> sent_;
  std::deque<Pending> pending_;
  /// Keys of regions, and of slabs that are exposed.
  std::vector<uint32_t> regions_;
  std::vector<uint32_t> exposed_;
  Lane wire_lane_{this, &SimEndpoint::RunWire};
  Lane arrived_lane_{this, &SimEndpoint::RunArrived};
  Lane sent_lane_{this, &SimEndpoint::RunSent};
  Lane life_lane_{this, &SimEndpoint::RunLife};
  Lane stall_lane_{this, &SimEndpoint::RunStall};
};

}  // namespace rdma_net::sim
