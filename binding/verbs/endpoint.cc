#include "verbs/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "verbs/address.h"
#include "verbs/failures.h"
#include "verbs/verbs_fabric.h"

namespace rdma_net::verbs {

using fabric::Access;
using fabric::Failure;
using fabric::Status;

namespace {

constexpr int kResolveTimeoutMs = 5000;
/// Both sides ask for all the patience that the fields can say.
rdma_conn_param ConnectionParameters(std::span<const std::byte> data, size_t bytes_max,
                                     const QueuePair& queue_pair) {
  rdma_conn_param parameters{};
  parameters.private_data = data.data();
  parameters.private_data_len = static_cast<uint8_t>(std::min(data.size(), bytes_max));
  parameters.flow_control = 1;
  parameters.retry_count = 7;
  parameters.rnr_retry_count = 7;
  parameters.srq = 1;
  parameters.qp_num = queue_pair.number();
  return parameters;
}

std::string FormatGid(const ibv_gid& gid) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, gid.raw, text.data(), text.size());
  return text.data();
}

}  // namespace

Endpoint::Endpoint(VerbsFabric* fabric, fabric::EndpointEvents* events)
    : fabric_(fabric), events_(events) {}

Endpoint::Endpoint(VerbsFabric* fabric, rdma_cm_id* id, uint32_t remote_queue_pair_number)
    : fabric_(fabric),
      events_(nullptr),
      id_(id),
      remote_queue_pair_number_(remote_queue_pair_number),
      phase_(Phase::kHandshake) {
  fabric_->AddEndpoint(id_, this);
}

Endpoint::~Endpoint() = default;

// Active side: address, route, device, request.

void Endpoint::Start(const fabric::Target& target) {
  // The owner may have released it while the libraries were being opened.
  if (released_) return;
  sockaddr_storage remote{};
  sockaddr_storage local{};
  const bool bound = !target.local_host.empty() || target.local_port != 0;
  ParseAddress(target.remote.host, target.remote.port, &remote);
  if (target.local_host.empty()) {
    local.ss_family = remote.ss_family;
    reinterpret_cast<sockaddr_in*>(&local)->sin_port = htons(target.local_port);
  } else {
    ParseAddress(target.local_host, target.local_port, &local);
  }
  const Library& library = fabric_->library();
  if (library.create_id(fabric_->channel(), &id_, nullptr, RDMA_PS_TCP) != 0) {
    return Fail(FailureOfErrno(errno));
  }
  fabric_->AddEndpoint(id_, this);
  phase_ = Phase::kHandshake;
  if (library.resolve_addr(id_, bound ? reinterpret_cast<sockaddr*>(&local) : nullptr,
                           reinterpret_cast<sockaddr*>(&remote), kResolveTimeoutMs) != 0) {
    Fail(FailureOfErrno(errno));
  }
}

void Endpoint::Fail(Failure failure) {
  if (!quiet_) events_->OnConnectFailed(failure);
}

void Endpoint::OnAddressResolved() {
  if (id_->verbs == nullptr) return Fail({.status = Status::kNoRoute});
  if (fabric_->library().resolve_route(id_, kResolveTimeoutMs) != 0) {
    Fail(FailureOfErrno(errno));
  }
}

void Endpoint::OnRouteResolved() {
  fabric_->devices()->ReservePlace(
      id_->verbs,
      [weak = std::weak_ptr<Endpoint*>(self_)](Failure failure, Device* device, QueueGroup* group) {
        const std::shared_ptr<Endpoint*> self = weak.lock();
        if (self != nullptr && !(*self)->quiet_) return (*self)->OnPlace(failure, device, group);
        if (group != nullptr) group->GivePlace();
      });
}

void Endpoint::OnPlace(Failure failure, Device* device, QueueGroup* group) {
  if (failure.ok()) failure = CreateQueuePair(device, group);
  if (!failure.ok()) return Fail(failure);
  events_->OnRouted();
}

Failure Endpoint::CreateQueuePair(Device* device, QueueGroup* group) {
  device_ = device;
  group_ = group;
  Failure failure;
  queue_pair_ = QueuePair::Create(&fabric_->library(), device, group, &failure);
  if (queue_pair_ != nullptr) device->AddQueuePair(queue_pair_->number(), this);
  return failure;
}

Failure Endpoint::Connect(std::span<const std::byte> data) {
  rdma_conn_param parameters =
      ConnectionParameters(data, fabric::kRequestDataBytesMax, *queue_pair_);
  if (fabric_->library().connect(id_, &parameters) != 0) return FailureOfErrno(errno);
  return {};
}

Failure Endpoint::Establish() {
  if (Failure failure = queue_pair_->MakeReady(id_); !failure.ok()) return failure;
  if (fabric_->library().establish(id_) != 0) return FailureOfErrno(errno);
  phase_ = Phase::kConnected;
  return {};
}

Failure Endpoint::Accept(std::span<const std::byte> data) {
  if (Failure failure = queue_pair_->MakeReady(id_); !failure.ok()) return failure;
  rdma_conn_param parameters =
      ConnectionParameters(data, fabric::kResponseDataBytesMax, *queue_pair_);
  if (fabric_->library().accept(id_, &parameters) != 0) return FailureOfErrno(errno);
  return {};
}

// Events.

void Endpoint::OnCmEvent(const CmEvent& event) {
  switch (event.type) {
    case RDMA_CM_EVENT_ADDR_RESOLVED:
      if (!quiet_) OnAddressResolved();
      break;
    case RDMA_CM_EVENT_ROUTE_RESOLVED:
      if (!quiet_) OnRouteResolved();
      break;
    case RDMA_CM_EVENT_CONNECT_RESPONSE:
      remote_queue_pair_number_ = event.remote_queue_pair_number;
      if (!quiet_) events_->OnResponse(event.data);
      break;
    case RDMA_CM_EVENT_ESTABLISHED:
      phase_ = std::max(phase_, Phase::kConnected);
      if (!quiet_) events_->OnEstablished();
      break;
    case RDMA_CM_EVENT_ADDR_ERROR:
    case RDMA_CM_EVENT_ROUTE_ERROR:
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_REJECTED:
      // A peer that dies before it has seen the last word of the handshake rejects what is a
      // connection here.
      if (phase_ >= Phase::kConnected) {
        return OnGone(FailureOfCmEvent(event.type, event.status));
      }
      Fail(FailureOfCmEvent(event.type, event.status));
      break;
    case RDMA_CM_EVENT_DISCONNECTED:
      OnCmDisconnected();
      break;
    default:
      break;
  }
}

void Endpoint::OnCmDisconnected() {
  peer_disconnected_ = true;
  if (released_) return Destroy();
  if (phase_ == Phase::kConnected) {
    // Answers the peer, which is waiting for it.
    fabric_->library().disconnect(id_);
    phase_ = Phase::kDisconnecting;
  }
  if (!quiet_) events_->OnDisconnected();
}

/// The connection is no more, and no RDMA_CM_EVENT_DISCONNECTED will say so.
void Endpoint::OnGone(Failure failure) {
  peer_disconnected_ = true;
  if (released_) return Destroy();
  if (!quiet_) events_->OnBroken(failure);
}

bool Endpoint::is_on(const ibv_context* context) const {
  return !gone() && id_->verbs == context;
}

void Endpoint::OnDeviceLost() {
  OnGone({.status = Status::kDeviceRemoved});
}

void Endpoint::OnMessage(uint32_t immediate, uint32_t bytes) {
  if (!quiet_) events_->OnMessage(immediate, bytes);
}

void Endpoint::OnSent(uint64_t token) {
  EndAwaiting();
  if (!quiet_) events_->OnSent(token);
}

void Endpoint::OnCompletionError(ibv_wc_status status) {
  EndAwaiting();
  // The first error says what was wrong; the rest are flushed behind it.
  if (quiet_ || std::exchange(stopped_, true)) return;
  events_->OnBroken(FailureOfCompletion(status));
}

void Endpoint::OnStray() {
  if (!quiet_) events_->OnStray();
}

// Data and memory.

Failure Endpoint::Post(const fabric::WriteRequest& request) {
  TakeChain();
  return queue_pair_->Post(request);
}

void Endpoint::TakeChain() {
  const ibv_qp* owner = device_->chain()->owner();
  if (owner != nullptr && owner->qp_num != queue_pair_->number()) {
    device_->RingFor(owner->qp_num);
  }
}

Failure Endpoint::Ring() {
  if (!device_->delivering()) return queue_pair_->Ring();
  if (!std::exchange(rings_later_, true)) device_->RingLater(queue_pair_->number());
  return {};
}

void Endpoint::RingAhead() {
  if (ring_failure_.ok()) ring_failure_ = queue_pair_->Ring();
}

void Endpoint::RingNow() {
  rings_later_ = false;
  RingAhead();
  if (!quiet_ && !ring_failure_.ok()) events_->OnBroken(ring_failure_);
}

void Endpoint::AwaitSent() {
  if (!std::exchange(awaits_sent_, true)) group_->BeginAwaiting();
}

void Endpoint::EndAwaiting() {
  if (std::exchange(awaits_sent_, false)) group_->EndAwaiting();
}

Failure Endpoint::Allocate(size_t bytes, Access access, fabric::Region* region) {
  Failure failure;
  const bool pooled = access == Access::kSend && bytes == device_->options().send_bytes;
  std::unique_ptr<MemoryBlock> block =
      pooled ? device_->TakeSendMemory(&failure)
             : MemoryBlock::Create(&fabric_->library(), device_->pd(), bytes, access,
                                   device_->budget(), &failure);
  if (block == nullptr) return failure;
  *region = block->region();
  (pooled ? send_memory_ : receive_memory_).push_back(std::move(block));
  return {};
}

void Endpoint::Free(const fabric::Region& region) {
  const auto is_it = [&region](const auto& block) { return block->region().data == region.data; };
  const auto found = std::find_if(send_memory_.begin(), send_memory_.end(), is_it);
  if (found == send_memory_.end()) {
    std::erase_if(receive_memory_, is_it);
    return;
  }
  device_->GiveSendMemory(std::move(*found));
  send_memory_.erase(found);
}

bool Endpoint::can_revoke() const {
  return device_ != nullptr && device_->slabs().can_revoke();
}

bool Endpoint::has_slab() const {
  return device_ != nullptr && device_->slabs().HasSlab();
}

fabric::SlabRef Endpoint::TakeSlab() {
  return device_ == nullptr ? fabric::SlabRef() : device_->slabs().Take();
}

Failure Endpoint::Expose(fabric::Slab* slab, uint32_t* remote_key) {
  TakeChain();
  return queue_pair_->Expose(slab, remote_key);
}

Failure Endpoint::Revoke(fabric::Slab* slab, uint64_t token) {
  TakeChain();
  return queue_pair_->Revoke(slab, token);
}

fabric::SlabRef Endpoint::FindSlab(std::span<const std::byte> bytes) const {
  return device_ == nullptr ? fabric::SlabRef() : device_->slabs().Find(bytes);
}

std::optional<uint32_t> Endpoint::LocalKey(const fabric::Registration& registration) const {
  if (device_ == nullptr) return std::nullopt;
  // There are no others on a verbs fabric.
  return static_cast<const OwnedRegistration&>(registration).LocalKey(device_->id());
}

uint32_t Endpoint::TakeCredits(uint32_t count) {
  const uint32_t taken = group_ == nullptr ? 0 : group_->TakeReceives(count);
  credits_taken_ += taken;
  return taken;
}

void Endpoint::GiveCredits(uint32_t count) {
  const uint32_t given = std::min(count, credits_taken_);
  if (given == 0) return;
  credits_taken_ -= given;
  group_->GiveReceives(given);
}

// The end.

void Endpoint::Abort() {
  if (std::exchange(quiet_, true)) return;
  if (queue_pair_ != nullptr) queue_pair_->Stop();
  if (phase_ != Phase::kConnected) return;
  fabric_->library().disconnect(id_);
  phase_ = Phase::kDisconnecting;
}

void Endpoint::Release() {
  Abort();
  released_ = true;
  const bool unanswered = phase_ == Phase::kDisconnecting && !peer_disconnected_;
  if (!unanswered || fabric_->closing()) Destroy();
}

void Endpoint::ReleaseNow() {
  if (released_) Destroy();
}

void Endpoint::Destroy() {
  if (phase_ == Phase::kDestroying) return;
  phase_ = Phase::kDestroying;
  if (queue_pair_ != nullptr) device_->RemoveQueuePair(queue_pair_->number());
  const auto finish = [this] { FinishDestroy(); };
  if (id_ == nullptr) return fabric_->worker()->Defer(finish);
  fabric_->RemoveEndpoint(id_);
  fabric_->worker()->Defer([this, finish] {
    // Some providers drop what a queue pair has left in the completion queue: receives that are not
    // counted here would be missing from the shared queue for ever.
    if (device_ != nullptr) device_->DrainCompletions();
    if (queue_pair_ != nullptr) queue_pair_->BeginDestroy();
    fabric_->worker()->Run([this, finish]() -> Worker::Finish {
      // Memory goes after the queue pair that may still be writing to it.
      if (queue_pair_ != nullptr) queue_pair_->Destroy();
      receive_memory_.clear();
      fabric_->library().destroy_id(id_);
      return finish;
    });
  });
}

void Endpoint::FinishDestroy() {
  for (auto& block : send_memory_) device_->GiveSendMemory(std::move(block));
  if (queue_pair_ != nullptr) queue_pair_->FinishDestroy();
  GiveCredits(credits_taken_);
  EndAwaiting();
  if (group_ != nullptr) group_->GivePlace();
  if (device_ != nullptr) device_->ShrinkWhenIdle();
  // Before the owner is told: the device may be gone when the endpoint is destroyed.
  queue_pair_.reset();
  device_ = nullptr;
  group_ = nullptr;
  events_->OnReleased();
}

// What it is.

uint32_t Endpoint::send_requests_max() const {
  return device_ == nullptr ? 0 : device_->options().queues.send_requests();
}

uint32_t Endpoint::receive_requests() const {
  return device_ == nullptr ? 0 : device_->options().queues.credits;
}

uint32_t Endpoint::inline_bytes_max() const {
  return queue_pair_ == nullptr ? 0 : queue_pair_->inline_bytes();
}

fabric::Address Endpoint::local_address() const {
  return gone() ? fabric::Address{} : FormatAddress(&id_->route.addr.src_addr);
}

fabric::Address Endpoint::remote_address() const {
  return gone() ? fabric::Address{} : FormatAddress(&id_->route.addr.dst_addr);
}

fabric::EndpointInfo Endpoint::info() const {
  fabric::EndpointInfo info;
  if (gone() || device_ == nullptr) return info;
  info.device = device_->name();
  info.device_port = id_->port_num;
  info.local_gid = FormatGid(id_->route.addr.addr.ibaddr.sgid);
  info.remote_gid = FormatGid(id_->route.addr.addr.ibaddr.dgid);
  info.queue_pair_number = queue_pair_ == nullptr ? 0 : queue_pair_->number();
  info.remote_queue_pair_number = remote_queue_pair_number_;
  info.mtu_bytes = queue_pair_ == nullptr ? 0 : queue_pair_->mtu_bytes();
  return info;
}

}  // namespace rdma_net::verbs
