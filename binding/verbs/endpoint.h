#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fabric/fabric.h"
#include "verbs/device.h"
#include "verbs/library.h"
#include "verbs/memory_block.h"
#include "verbs/queue_pair.h"

namespace rdma_net::verbs {

class VerbsFabric;

/// What an event of the connection manager said, copied before it was acknowledged.
struct CmEvent {
  rdma_cm_event_type type = RDMA_CM_EVENT_ADDR_ERROR;
  int status = 0;
  rdma_cm_id* id = nullptr;
  rdma_cm_id* listen_id = nullptr;
  uint32_t remote_queue_pair_number = 0;
  std::vector<std::byte> data;
};

/// A connection-manager id, its queue pair and its memory.
///
/// The queue pair is not made by rdma_create_qp: only so does the active side see the response
/// before the handshake is completed (RDMA_CM_EVENT_CONNECT_RESPONSE, rdma_establish), and can
/// still vanish without the peer's program having seen it.
class Endpoint final : public fabric::Endpoint {
 public:
  /// Active side: Start comes next.
  Endpoint(VerbsFabric* fabric, fabric::EndpointEvents* events);
  /// Passive side: takes over the id of a request, with a place in a group reserved for it.
  Endpoint(VerbsFabric* fabric, rdma_cm_id* id, uint32_t remote_queue_pair_number);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  Endpoint(Endpoint&&) = delete;
  Endpoint& operator=(Endpoint&&) = delete;
  ~Endpoint() override;

  /// Active side, libraries open: begins to resolve the address. A failure is reported as an event.
  void Start(const fabric::Target& target);
  /// Reports that the connection cannot be made.
  void Fail(fabric::Failure failure);
  /// Makes the queue pair on a device.
  fabric::Failure CreateQueuePair(Device* device, QueueGroup* group);

  /// Expires with the endpoint.
  [[nodiscard]] std::weak_ptr<void> alive() const { return self_; }

  void OnCmEvent(const CmEvent& event);
  void OnMessage(uint32_t immediate, uint32_t bytes);
  void OnSent(uint64_t token);
  void OnRevoked() { queue_pair_->OnRevoked(); }
  void OnCompletionError(ibv_wc_status status);
  void OnStray();
  // What Ring has put off until all completions of a poll are delivered.
  /// A failure is reported as an event.
  void RingNow();
  /// Others need the chain before that; a failure waits for RingNow.
  void RingAhead();
  /// The device is no more.
  void OnDeviceLost();
  [[nodiscard]] bool is_on(const ibv_context* context) const;

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
  /// As Release, without waiting for the peer's answer to the disconnect.
  void ReleaseNow();

  [[nodiscard]] uint32_t send_requests_max() const override;
  [[nodiscard]] uint32_t receive_requests() const override;
  [[nodiscard]] uint32_t inline_bytes_max() const override;
  [[nodiscard]] fabric::Address local_address() const override;
  [[nodiscard]] fabric::Address remote_address() const override;
  [[nodiscard]] fabric::EndpointInfo info() const override;
  [[nodiscard]] fabric::HandshakeTimes handshake() const override { return handshake_; }

 private:
  fabric::Address Show(const sockaddr* address) const;
  /// How far the connection manager has come.
  enum class Phase : uint8_t { kNew, kHandshake, kConnected, kDisconnecting, kDestroying };

  fabric::Failure Resolve(const fabric::Target& target);
  void OnAddressResolved();
  void OnRouteResolved();
  void OnPlace(fabric::Failure failure, Device* device, QueueGroup* group);
  void OnCmDisconnected();
  void OnGone(fabric::Failure failure);
  void EndAwaiting();
  /// The requests of another queue pair, if there are any, must go first.
  void TakeChain();
  void Destroy();
  void FinishDestroy();
  /// Nothing of the id may be read: there is none yet, or the worker is destroying it.
  [[nodiscard]] bool gone() const { return id_ == nullptr || phase_ == Phase::kDestroying; }

  VerbsFabric* fabric_;
  fabric::EndpointEvents* events_;
  rdma_cm_id* id_ = nullptr;
  Device* device_ = nullptr;
  QueueGroup* group_ = nullptr;
  std::unique_ptr<QueuePair> queue_pair_;
  uint32_t remote_queue_pair_number_ = 0;
  fabric::HandshakeTimes handshake_;
  /// Receives of the group that are lent to this endpoint.
  uint32_t credits_taken_ = 0;
  Phase phase_ = Phase::kNew;
  bool awaits_sent_ = false;
  /// RingNow is going to be called.
  bool rings_later_ = false;
  /// Of RingAhead.
  fabric::Failure ring_failure_;
  bool quiet_ = false;
  bool stopped_ = false;
  bool released_ = false;
  bool peer_disconnected_ = false;
  /// Expires with the endpoint: what waits for a place on the worker looks here first.
  std::shared_ptr<Endpoint*> self_ = std::make_shared<Endpoint*>(this);
  std::vector<std::unique_ptr<MemoryBlock>> receive_memory_;
  std::vector<std::unique_ptr<MemoryBlock>> send_memory_;
};

}  // namespace rdma_net::verbs
