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
using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;

namespace {

constexpr int kResolveTimeoutMs = 5000;
/// 0.64 ms in the encoding of IBTA 9.7.5.2.8: how long a peer waits when it finds no receive.
constexpr uint8_t kReceiverNotReadyTimer = 12;

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
  fabric_->ReservePlace(id_->verbs, [weak = std::weak_ptr<Endpoint*>(self_)](
                                        Failure failure, Device* device, QueueGroup* group) {
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
  const QueueSizes& sizes = device->options().queues;
  ibv_qp_init_attr attributes{};
  attributes.send_cq = group->completion_queue();
  attributes.recv_cq = group->completion_queue();
  attributes.srq = group->shared_receive_queue();
  attributes.qp_type = IBV_QPT_RC;
  attributes.sq_sig_all = 1;
  attributes.cap.max_send_wr = sizes.send_requests;
  attributes.cap.max_send_sge = 2;
  attributes.cap.max_inline_data = sizes.inline_bytes;
  queue_pair_ = fabric_->library().create_qp(device->pd(), &attributes);
  if (queue_pair_ == nullptr && errno == EINVAL) {
    // Some devices have no inline data at all.
    attributes.cap.max_inline_data = 0;
    queue_pair_ = fabric_->library().create_qp(device->pd(), &attributes);
  }
  if (queue_pair_ == nullptr) {
    return {.status = Status::kDeviceResources, .kind = DetailKind::kErrno, .detail = errno};
  }
  inline_bytes_ = attributes.cap.max_inline_data;
  device->AddQueuePair(queue_pair_->qp_num, this);
  return {};
}

Failure Endpoint::Connect(std::span<const std::byte> data) {
  rdma_conn_param parameters{};
  parameters.private_data = data.data();
  parameters.private_data_len =
      static_cast<uint8_t>(std::min(data.size(), fabric::kRequestDataBytesMax));
  parameters.flow_control = 1;
  parameters.retry_count = 7;
  parameters.rnr_retry_count = 7;
  parameters.srq = 1;
  parameters.qp_num = queue_pair_->qp_num;
  if (fabric_->library().connect(id_, &parameters) != 0) return FailureOfErrno(errno);
  return {};
}

Failure Endpoint::Establish() {
  if (Failure failure = ModifyToReady(); !failure.ok()) return failure;
  if (fabric_->library().establish(id_) != 0) return FailureOfErrno(errno);
  phase_ = Phase::kConnected;
  return {};
}

Failure Endpoint::Accept(std::span<const std::byte> data) {
  if (Failure failure = ModifyToReady(); !failure.ok()) return failure;
  rdma_conn_param parameters{};
  parameters.private_data = data.data();
  parameters.private_data_len =
      static_cast<uint8_t>(std::min(data.size(), fabric::kResponseDataBytesMax));
  parameters.flow_control = 1;
  parameters.rnr_retry_count = 7;
  parameters.srq = 1;
  parameters.qp_num = queue_pair_->qp_num;
  if (fabric_->library().accept(id_, &parameters) != 0) return FailureOfErrno(errno);
  return {};
}

Failure Endpoint::ModifyToReady() {
  // Only now does the connection manager know the access rights and the path.
  Failure failure = Modify(IBV_QPS_INIT);
  if (failure.ok()) failure = Modify(IBV_QPS_RTR);
  if (failure.ok()) failure = Modify(IBV_QPS_RTS);
  return failure;
}

Failure Endpoint::Modify(ibv_qp_state state) {
  ibv_qp_attr attributes{};
  int mask = 0;
  attributes.qp_state = state;
  if (fabric_->library().init_qp_attr(id_, &attributes, &mask) != 0) return FailureOfErrno(errno);
  if (state == IBV_QPS_RTR) {
    attributes.min_rnr_timer = kReceiverNotReadyTimer;
    mtu_bytes_ = 128U << static_cast<uint32_t>(attributes.path_mtu);
  }
  if (const int error = fabric_->library().modify_qp(queue_pair_, &attributes, mask); error != 0) {
    return FailureOfErrno(error);
  }
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
      if (phase_ >= Phase::kConnected) return OnCmGone(event);
      Fail(FailureOfCmEvent(event.type, event.status));
      break;
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
      OnCmGone(event);
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
void Endpoint::OnCmGone(const CmEvent& event) {
  peer_disconnected_ = true;
  if (released_) return Destroy();
  if (!quiet_) events_->OnBroken(FailureOfCmEvent(event.type, event.status));
}

void Endpoint::OnMessage(uint32_t immediate, uint32_t bytes) {
  if (!quiet_) events_->OnMessage(immediate, bytes);
}

void Endpoint::OnSent(uint64_t token) {
  if (!quiet_) events_->OnSent(token);
}

void Endpoint::OnCompletionError(ibv_wc_status status) {
  // The first error says what was wrong; the rest are flushed behind it.
  if (quiet_ || std::exchange(stopped_, true)) return;
  events_->OnBroken(FailureOfCompletion(status));
}

void Endpoint::OnStray() {
  if (!quiet_) events_->OnStray();
}

// Data and memory.

Failure Endpoint::Post(const fabric::WriteRequest& request) {
  std::array<ibv_sge, 2> segments{};
  int count = 0;
  for (const fabric::Segment& segment : request.segments) {
    if (segment.bytes == 0) continue;
    segments[static_cast<size_t>(count++)] = {.addr = reinterpret_cast<uint64_t>(segment.data),
                                              .length = segment.bytes,
                                              .lkey = segment.local_key};
  }
  ibv_send_wr work{};
  work.wr_id = request.token;
  work.sg_list = segments.data();
  work.num_sge = count;
  work.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
  work.send_flags = request.place_inline && count > 0 ? static_cast<unsigned>(IBV_SEND_INLINE) : 0U;
  work.imm_data = htonl(request.immediate);
  work.wr.rdma.remote_addr = request.remote_address;
  work.wr.rdma.rkey = request.remote_key;
  ibv_send_wr* bad = nullptr;
  if (const int error = ibv_post_send(queue_pair_, &work, &bad); error != 0) {
    return {.status = Status::kLocalError, .kind = DetailKind::kErrno, .detail = error};
  }
  return {};
}

Failure Endpoint::Allocate(size_t bytes, Access access, fabric::Region* region) {
  Failure failure;
  const bool pooled = access == Access::kSend && bytes == device_->options().send_bytes;
  std::unique_ptr<MemoryBlock> block =
      pooled ? device_->TakeSendMemory(&failure)
             : MemoryBlock::Create(&fabric_->library(), device_->pd(), bytes, access,
                                   device_->pinned_bytes(), &failure);
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

// The end.

void Endpoint::StopTraffic() {
  if (queue_pair_ == nullptr) return;
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_ERR;
  fabric_->library().modify_qp(queue_pair_, &attributes, IBV_QP_STATE);
}

void Endpoint::Abort() {
  if (std::exchange(quiet_, true)) return;
  StopTraffic();
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
  if (queue_pair_ != nullptr) device_->RemoveQueuePair(queue_pair_->qp_num);
  if (id_ != nullptr) fabric_->RemoveEndpoint(id_);
  const auto finish = [this] {
    for (auto& block : send_memory_) device_->GiveSendMemory(std::move(block));
    if (group_ != nullptr) group_->GivePlace();
    if (device_ != nullptr) device_->ShrinkWhenIdle(fabric_->worker());
    events_->OnReleased();
  };
  if (id_ == nullptr) return fabric_->worker()->Defer(finish);
  fabric_->worker()->Defer([this, finish] {
    // Some providers drop what a queue pair has left in the completion queue: receives that are not
    // counted here would be missing from the shared queue for ever.
    if (device_ != nullptr) device_->DrainCompletions();
    fabric_->worker()->Run([this, finish]() -> Worker::Finish {
      // Memory goes after the queue pair that may still be writing to it.
      const Library& library = fabric_->library();
      if (queue_pair_ != nullptr) library.destroy_qp(queue_pair_);
      receive_memory_.clear();
      library.destroy_id(id_);
      return finish;
    });
  });
}

// What it is.

uint32_t Endpoint::send_requests_max() const {
  return device_->options().queues.send_requests;
}

uint32_t Endpoint::receive_requests() const {
  return device_->options().queues.credits;
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
  info.queue_pair_number = queue_pair_ == nullptr ? 0 : queue_pair_->qp_num;
  info.remote_queue_pair_number = remote_queue_pair_number_;
  info.mtu_bytes = mtu_bytes_;
  return info;
}

}  // namespace rdma_net::verbs
