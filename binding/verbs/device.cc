#include "verbs/device.h"

#include <arpa/inet.h>
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

#include "verbs/endpoint.h"

namespace rdma_net::verbs {

using fabric::Access;
using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;

namespace {

constexpr uint32_t kFirstGroupConnections = 16;
constexpr uint32_t kGroupConnectionsMax = 256;
/// Blocks of send memory kept for the next connection that has something to send.
constexpr size_t kSendPoolBlocks = 16;
/// Completions that are taken from a queue at a time.
constexpr int kBatch = 32;

/// How many connections a group can have on a device; 0 if not even one. A device that has room for
/// little lends nothing beyond what belongs to a connection.
uint32_t GroupConnectionsMax(const ibv_device_attr& attributes, QueueSizes* sizes) {
  const auto completions = static_cast<uint32_t>(std::max(attributes.max_cqe, 0));
  const auto requests = static_cast<uint32_t>(std::max(attributes.max_srq_wr, 0));
  // Each receive has a completion.
  const uint32_t receives = std::min(completions, requests);
  if (receives < sizes->receives(kFirstGroupConnections)) sizes->lendable_per_group = 0;
  const uint32_t shared = sizes->lendable_per_group;
  if (receives < shared) return 0;
  return std::min({kGroupConnectionsMax, (receives - shared) / (sizes->receives(1) - shared),
                   completions / sizes->sent(1)});
}

/// Whether memory that is only sent from can be registered without being pinned. By way of the
/// table of the context: the function of verbs.h would have to be linked.
bool PagesOnDemand(ibv_context* context) {
  const verbs_context* extended = verbs_get_ctx_op(context, query_device_ex);
  if (extended == nullptr) return false;
  ibv_device_attr_ex attributes{};
  if (extended->query_device_ex(context, nullptr, &attributes, sizeof(attributes)) != 0) {
    return false;
  }
  const ibv_odp_caps& capabilities = attributes.odp_caps;
  const uint32_t wanted = IBV_ODP_SUPPORT_SEND | IBV_ODP_SUPPORT_WRITE;
  return (capabilities.general_caps & IBV_ODP_SUPPORT) != 0 &&
         (capabilities.per_transport_caps.rc_odp_caps & wanted) == wanted;
}

Failure ErrnoFailure(Status status) {
  const bool refused = errno == EACCES || errno == EPERM;
  return {.status = refused ? Status::kPermissionDenied : status,
          .kind = DetailKind::kErrno,
          .detail = errno};
}

}  // namespace

std::unique_ptr<Device> Device::Open(const Library* library, ibv_context* context,
                                     const DeviceOptions& options, Worker* worker, Budget* budget,
                                     Failure* failure) {
  static std::atomic<uint64_t> opened = 0;
  std::unique_ptr<Device> device(new Device(library, options, worker, budget));
  device->id_ = ++opened;
  device->name_ = library->get_device_name(context->device);
  *failure = device->OpenResources(context);
  if (!failure->ok()) return nullptr;
  return device;
}

Failure Device::OpenResources(ibv_context* context) {
  // An iWARP device has no write with immediate.
  if (context->device->transport_type != IBV_TRANSPORT_IB) {
    return {.status = Status::kDeviceUnsuitable};
  }
  ibv_device_attr attributes{};
  if (const int error = library_->query_device(context, &attributes); error != 0) {
    errno = error;
    return ErrnoFailure(Status::kDeviceResources);
  }
  QueueSizes& sizes = options_.queues;
  group_connections_max_ = GroupConnectionsMax(attributes, &sizes);
  if (group_connections_max_ == 0) return {.status = Status::kDeviceUnsuitable};
  next_group_connections_ = std::min(kFirstGroupConnections, group_connections_max_);
  on_demand_ = PagesOnDemand(context);

  errno = 0;
  pd_ = library_->alloc_pd(context);
  if (pd_ == nullptr) return ErrnoFailure(Status::kDeviceResources);
  slabs_.Open(pd_, attributes);
  Failure failure = OpenChannel(context);
  if (!failure.ok()) return failure;
  auto group = QueueGroup::Create(library_, pd_, channel_, sizes, next_group_connections_, budget_,
                                  &failure);
  if (group == nullptr) return failure;
  AddGroup(std::move(group));
  return TryMemory();
}

Failure Device::OpenChannel(ibv_context* context) {
  channel_ = library_->create_comp_channel(context);
  if (channel_ == nullptr) return ErrnoFailure(Status::kDeviceResources);
  if (fcntl(channel_->fd, F_SETFL, fcntl(channel_->fd, F_GETFL) | O_NONBLOCK) != 0 ||
      !async_events_.Open(context)) {
    return ErrnoFailure(Status::kDeviceResources);
  }
  return {};
}

/// What one connection needs must be had, or the device is of no use, and that should be known now
/// and not at the first request.
Failure Device::TryMemory() {
  Failure failure;
  auto receive = MemoryBlock::Create(library_, pd_, options_.receive_bytes, Access::kRemoteWrite,
                                     budget_, &failure);
  if (receive == nullptr) return failure;
  auto send = TakeSendMemory(&failure);
  if (send == nullptr) return failure;
  GiveSendMemory(std::move(send));
  return {};
}

Device::~Device() {
  groups_.clear();
  send_pool_.clear();
  detached_.clear();
  if (channel_ != nullptr) library_->destroy_comp_channel(channel_);
  if (pd_ != nullptr) library_->dealloc_pd(pd_);
}

void Device::AddQueuePair(uint32_t number, Endpoint* endpoint) {
  endpoints_[number] = endpoint;
  slabs_.SetIdle(false);
}

bool Device::used() const {
  return !waiting_.empty() || std::any_of(groups_.begin(), groups_.end(),
                                          [](const auto& group) { return group->used() > 0; });
}

QueueGroup* Device::FindPlace() {
  for (const auto& group : groups_) {
    if (group->has_place()) {
      group->TakePlace();
      return group.get();
    }
  }
  return nullptr;
}

void Device::Reserve(Reserved reserved) {
  if (!budget_->has_queue_pair()) {
    reserved({.status = Status::kQueuePairLimit}, nullptr);
    return;
  }
  if (QueueGroup* group = FindPlace(); group != nullptr) {
    reserved({}, group);
    return;
  }
  waiting_.push_back(std::move(reserved));
  if (std::exchange(making_group_, true)) return;
  worker_->Run([this, connections = next_group_connections_]() -> Worker::Finish {
    Failure failure;
    // Shared only because a std::function must be copyable.
    auto made = std::make_shared<std::unique_ptr<QueueGroup>>(QueueGroup::Create(
        library_, pd_, channel_, options_.queues, connections, budget_, &failure));
    return [this, made, failure] { OnGroup(std::move(*made), failure); };
  });
}

void Device::OnGroup(std::unique_ptr<QueueGroup> group, Failure failure) {
  making_group_ = false;
  if (group != nullptr) AddGroup(std::move(group));
  for (Reserved& reserved : std::exchange(waiting_, {})) {
    if (failure.ok()) {
      Reserve(std::move(reserved));
    } else {
      reserved(failure, nullptr);
    }
  }
}

void Device::AddGroup(std::unique_ptr<QueueGroup> group) {
  groups_.push_back(std::move(group));
  next_group_connections_ = std::min(next_group_connections_ * 2, group_connections_max_);
}

std::unique_ptr<MemoryBlock> Device::TakeSendMemory(Failure* failure) {
  if (!send_pool_.empty()) {
    std::unique_ptr<MemoryBlock> block = std::move(send_pool_.back());
    send_pool_.pop_back();
    return block;
  }
  return MemoryBlock::Create(library_, pd_, options_.send_bytes, Access::kSend, budget_, failure);
}

void Device::GiveSendMemory(std::unique_ptr<MemoryBlock> block) {
  if (send_pool_.size() < kSendPoolBlocks) send_pool_.push_back(std::move(block));
}

void Device::ShrinkWhenIdle() {
  if (!endpoints_.empty()) return;
  slabs_.SetIdle(true);
  if (send_pool_.empty()) return;
  // Shared only because a std::function must be copyable.
  auto pool = std::make_shared<std::vector<std::unique_ptr<MemoryBlock>>>();
  pool->swap(send_pool_);
  worker_->Run([pool]() -> Worker::Finish {
    pool->clear();
    return nullptr;
  });
}

bool Device::ReadChannel() {
  ibv_cq* queue = nullptr;
  void* context = nullptr;
  bool read = false;
  // No queue has more than one event for one arming, so that the last read need not fail.
  int armed = 0;
  for (const auto& group : groups_) armed += group->armed();
  while (armed-- > 0 && library_->get_cq_event(channel_, &queue, &context) == 0) {
    library_->ack_cq_events(queue, 1);
    static_cast<QueueGroup*>(context)->OnChannelEvent(queue);
    read = true;
  }
  return read;
}

uint32_t Device::PollCompletions(uint32_t budget) {
  uint32_t delivered = 0;
  delivering_ = true;
  // By index: a completion may lead to a new group.
  first_group_++;
  for (size_t i = 0; i < groups_.size() && delivered < budget; i++) {
    delivered += PollGroup(groups_[(first_group_ + i) % groups_.size()].get(), budget - delivered);
  }
  delivering_ = false;
  RingAll();
  return delivered;
}

uint32_t Device::PollGroup(QueueGroup* group, uint32_t budget) {
  // Only what ibv_poll_cq has written is read; clearing would touch 1.5 KB at every poll.
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
  std::array<ibv_wc, kBatch> sent;
  uint32_t delivered = 0;
  for (;;) {
    // Taken first and delivered last: what arrived before a send failed comes before the failure.
    const int count = ibv_poll_cq(group->send_queue(), kBatch, sent.data());
    const auto sends = static_cast<size_t>(std::max(count, 0));
    const auto completions = std::span(sent).first(sends);
    const bool fails = std::any_of(completions.begin(), completions.end(), [](const ibv_wc& each) {
      return each.status != IBV_WC_SUCCESS;
    });
    const uint32_t received = DeliverReceived(group, fails ? UINT32_MAX : budget - delivered);
    for (const ibv_wc& completion : completions) Deliver(completion, group);
    delivered += received + static_cast<uint32_t>(sends);
    if (sends < kBatch || delivered >= budget) return delivered;
  }
}

uint32_t Device::DeliverReceived(QueueGroup* group, uint32_t budget) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
  std::array<ibv_wc, kBatch> received;
  uint32_t delivered = 0;
  while (delivered < budget) {
    const int count = ibv_poll_cq(group->receive_queue(), kBatch, received.data());
    if (count <= 0) break;
    for (int n = 0; n < count; n++) Deliver(received[static_cast<size_t>(n)], group);
    delivered += static_cast<uint32_t>(count);
    // A receive that cannot be put back is one credit less for everybody: the next round tries
    // again.
    group->Replenish();
    if (count < kBatch) break;
  }
  return delivered;
}

void Device::RingFor(uint32_t queue_pair_number) {
  const auto found = endpoints_.find(queue_pair_number);
  if (found != endpoints_.end()) found->second->RingAhead();
  // Of one that is gone nothing is sent.
  chain_.Clear();
}

void Device::RingAll() {
  // By index: a failure is told, and who hears of it may do anything.
  for (size_t i = 0; i < to_ring_.size(); i++) {
    const auto found = endpoints_.find(to_ring_[i]);
    if (found != endpoints_.end()) found->second->RingNow();
  }
  to_ring_.clear();
}

void Device::DrainCompletions() {
  constexpr uint32_t kBudget = 1024;
  constexpr int kRoundsMax = 64;
  for (int round = 0; round < kRoundsMax && PollCompletions(kBudget) > 0; round++) {
  }
}

void Device::Deliver(const ibv_wc& completion, QueueGroup* group) {
  const bool receive = completion.wr_id == kReceiveToken;
  if (receive) group->OnReceive();
  const auto found = endpoints_.find(completion.qp_num);
  if (found == endpoints_.end()) return;
  Endpoint* endpoint = found->second;
  if (completion.status != IBV_WC_SUCCESS) {
    endpoint->OnCompletionError(completion.status);
  } else if (!receive) {
    if (completion.opcode == IBV_WC_LOCAL_INV) endpoint->OnRevoked();
    // Some providers report what is not signaled all the same.
    if (completion.wr_id != kBindToken) endpoint->OnSent(completion.wr_id);
  } else if (completion.opcode == IBV_WC_RECV_RDMA_WITH_IMM) {
    endpoint->OnMessage(ntohl(completion.imm_data), completion.byte_len);
  } else {
    endpoint->OnStray();
  }
}

bool Device::Arm() {
  bool armed = false;
  for (const auto& group : groups_) armed |= group->Arm();
  return armed;
}

bool Device::posted() const {
  return std::any_of(groups_.begin(), groups_.end(),
                     [](const auto& group) { return group->posted(); });
}

void Device::WatchSends() {
  for (const auto& group : groups_) group->WatchSends();
}

}  // namespace rdma_net::verbs
