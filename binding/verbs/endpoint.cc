#include "verbs/endpoint.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "system/address.h"
#include "system/clock.h"
#include "verbs/failures.h"
#include "verbs/verbs_fabric.h"

namespace rdma_net::verbs {

using fabric::Failure;
using fabric::Status;

namespace {

constexpr int kResolveTimeoutMs = 5000;
/// Whoever finds no receive is to wait for as long as it takes: 7 stands for that.
rdma_conn_param ConnectionParameters(std::span<const std::byte> data, size_t bytes_max,
                                     const QueuePair& queue_pair) {
  rdma_conn_param parameters{};
  parameters.private_data = data.data();
  parameters.private_data_len = static_cast<uint8_t>(std::min(data.size(), bytes_max));
  parameters.flow_control = 1;
  parameters.retry_count = kRetries;
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
  if (fabric_->library().create_id(fabric_->channel(), &id_, nullptr, RDMA_PS_TCP) != 0) {
    id_ = nullptr;
    return Fail(FailureOfErrno(errno));
  }
  fabric_->AddEndpoint(id_, this);
  phase_ = Phase::kHandshake;
  handshake_.begun_us = system::NowUs();
  const Failure failure = Resolve(target);
  const bool awaited =
      fabric_->AwaitAddress(failure, [weak = std::weak_ptr<Endpoint*>(self_), target] {
        const std::shared_ptr<Endpoint*> self = weak.lock();
        if (self == nullptr || (*self)->gone()) return;
        if (Failure second = (*self)->Resolve(target); !second.ok()) (*self)->Fail(second);
      });
  if (!awaited && !failure.ok()) Fail(failure);
}

Failure Endpoint::Resolve(const fabric::Target& target) {
  sockaddr_storage remote{};
  sockaddr_storage local{};
  const bool bound = !target.local_host.empty() || target.local_port != 0;
  system::ParseAddress(target.remote.host, target.remote.port, &remote);
  if (target.local_host.empty()) {
    local.ss_family = remote.ss_family;
    reinterpret_cast<sockaddr_in*>(&local)->sin_port = htons(target.local_port);
  } else {
    system::ParseAddress(target.local_host, target.local_port, &local);
  }
  const int error =
      fabric_->library().resolve_addr(id_, bound ? reinterpret_cast<sockaddr*>(&local) : nullptr,
                                      reinterpret_cast<sockaddr*>(&remote), kResolveTimeoutMs);
  return error == 0 ? Failure{} : FailureOfErrno(errno);
}

void Endpoint::Fail(Failure failure) {
  if (!quiet_) events_->OnConnectFailed(failure);
}

void Endpoint::OnAddressResolved() {
  handshake_.address_us = system::NowUs();
  if (id_->verbs == nullptr) return Fail({.status = Status::kNoRoute});
  if (fabric_->library().resolve_route(id_, kResolveTimeoutMs) != 0) {
    Fail(FailureOfErrno(errno));
  }
}

void Endpoint::OnRouteResolved() {
  handshake_.route_us = system::NowUs();
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
  handshake_.device_us = system::NowUs();
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
      handshake_.answer_us = system::NowUs();
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
  if (!unanswered || fabric_->closing()) return Destroy();
  fabric_->AwaitAnswer(self_);
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
  if (credits_taken_ > 0) group_->GiveReceives(std::exchange(credits_taken_, 0));
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
  return gone() ? fabric::Address{} : Show(&id_->route.addr.src_addr);
}

fabric::Address Endpoint::remote_address() const {
  return gone() ? fabric::Address{} : Show(&id_->route.addr.dst_addr);
}

/// Of what was accepted librdmacm knows no scopes; both ends are on the link of ours.
fabric::Address Endpoint::Show(const sockaddr* address) const {
  return system::FormatAddress(address, system::ScopeOf(&id_->route.addr.src_addr));
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
