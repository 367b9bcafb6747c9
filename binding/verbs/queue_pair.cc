#include "verbs/queue_pair.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "verbs/device.h"
#include "verbs/failures.h"
#include "verbs/request_chain.h"

namespace rdma_net::verbs {

using fabric::DetailKind;
using fabric::Failure;
using fabric::Slab;
using fabric::SlabRef;
using fabric::Status;

namespace {

/// 0.64 ms in the encoding of IBTA 9.7.5.2.8: how long a peer waits when it finds no receive.
constexpr uint8_t kReceiverNotReadyTimer = 12;
/// 1 s in the encoding of IBTA 11.2.5.2, for a path that does not say how long an answer takes;
/// 0 would be for ever.
constexpr uint8_t kAnswerTimer = 18;

}  // namespace

std::unique_ptr<QueuePair> QueuePair::Create(const Library* library, Device* device,
                                             QueueGroup* group, Failure* failure) {
  std::unique_ptr<QueuePair> made(new QueuePair(library, device, group));
  const QueueSizes& sizes = device->options().queues;
  ibv_qp_init_attr attributes{};
  attributes.send_cq = group->send_queue();
  attributes.recv_cq = group->receive_queue();
  attributes.srq = group->shared_receive_queue();
  attributes.qp_type = IBV_QPT_RC;
  attributes.cap.max_send_wr = sizes.send_requests();
  attributes.cap.max_send_sge = 2;
  attributes.cap.max_inline_data = sizes.inline_bytes;
  made->queue_pair_ = library->create_qp(device->pd(), &attributes);
  if (made->queue_pair_ == nullptr && errno == EINVAL) {
    // Some devices have no inline data at all.
    attributes.cap.max_inline_data = 0;
    made->queue_pair_ = library->create_qp(device->pd(), &attributes);
  }
  if (made->queue_pair_ == nullptr) {
    *failure = {.status = Status::kDeviceResources, .kind = DetailKind::kErrno, .detail = errno};
    return nullptr;
  }
  made->inline_bytes_ = attributes.cap.max_inline_data;
  return made;
}

Failure QueuePair::MakeReady(rdma_cm_id* id) {
  Failure failure = Modify(id, IBV_QPS_INIT);
  if (failure.ok()) failure = Modify(id, IBV_QPS_RTR);
  if (failure.ok()) failure = Modify(id, IBV_QPS_RTS);
  return failure;
}

Failure QueuePair::Modify(rdma_cm_id* id, ibv_qp_state state) {
  ibv_qp_attr attributes{};
  int mask = 0;
  attributes.qp_state = state;
  if (library_->init_qp_attr(id, &attributes, &mask) != 0) return FailureOfErrno(errno);
  const bool has_access = (static_cast<unsigned>(mask) & IBV_QP_ACCESS_FLAGS) != 0;
  if (has_access && device_->slabs().can_revoke()) {
    attributes.qp_access_flags |= static_cast<unsigned>(IBV_ACCESS_MW_BIND);
  }
  if (state == IBV_QPS_RTR) {
    attributes.min_rnr_timer = kReceiverNotReadyTimer;
    mtu_bytes_ = 128U << static_cast<uint32_t>(attributes.path_mtu);
  }
  if (state == IBV_QPS_RTS) {
    if (attributes.timeout == 0) attributes.timeout = kAnswerTimer;
    // Other programs ask for more.
    attributes.retry_cnt = std::min(attributes.retry_cnt, kRetries);
  }
  if (const int error = library_->modify_qp(queue_pair_, &attributes, mask); error != 0) {
    return FailureOfErrno(error);
  }
  return {};
}

void QueuePair::Stop() {
  if (device_->chain()->owner() == queue_pair_) device_->chain()->Clear();
  ibv_qp_attr attributes{};
  attributes.qp_state = IBV_QPS_ERR;
  library_->modify_qp(queue_pair_, &attributes, IBV_QP_STATE);
}

// Requests.

void QueuePair::Add(const ibv_send_wr& request, std::span<const ibv_sge> segments) {
  device_->chain()->Add(queue_pair_, request, segments);
}

Failure QueuePair::Ring() {
  if (device_->chain()->owner() != queue_pair_) return {};
  group_->OnPosted();
  if (const int error = device_->chain()->Post(); error != 0) {
    return {.status = Status::kLocalError, .kind = DetailKind::kErrno, .detail = error};
  }
  return {};
}

Failure QueuePair::Post(const fabric::WriteRequest& request) {
  std::array<ibv_sge, 2> segments{};
  size_t count = 0;
  for (const fabric::Segment& segment : request.segments) {
    if (segment.bytes == 0) continue;
    segments[count++] = {.addr = reinterpret_cast<uint64_t>(segment.data),
                         .length = segment.bytes,
                         .lkey = segment.local_key};
  }
  ibv_send_wr work{};
  work.wr_id = request.token;
  work.opcode = request.message ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
  work.send_flags = IBV_SEND_SIGNALED;
  if (request.place_inline && count > 0) {
    work.send_flags |= static_cast<unsigned>(IBV_SEND_INLINE);
  }
  work.imm_data = htonl(request.immediate);
  work.wr.rdma.remote_addr = request.remote_address;
  work.wr.rdma.rkey = request.remote_key;
  Add(work, std::span(segments).first(count));
  return {};
}

PooledSlab* QueuePair::Own(Slab* slab) const {
  // There are no others on a verbs fabric.
  auto* pooled = static_cast<PooledSlab*>(slab);
  const bool ours = pooled->chunk() != nullptr && device_->slabs().Owns(pooled->chunk()->pool());
  return ours && pooled->window() != nullptr ? pooled : nullptr;
}

bool QueuePair::IsExposed(const Slab* slab) const {
  return std::any_of(exposed_.begin(), exposed_.end(),
                     [slab](const SlabRef& each) { return each.get() == slab; });
}

Failure QueuePair::Expose(Slab* slab, uint32_t* remote_key) {
  PooledSlab* own = Own(slab);
  if (own == nullptr || IsExposed(slab)) return {.status = Status::kInvalidArgument};
  ibv_mw* window = own->window();
  const uint32_t key = ibv_inc_rkey(window->rkey);
  ibv_send_wr work{};
  work.wr_id = kBindToken;
  work.opcode = IBV_WR_BIND_MW;
  // Not signaled: when the next request is complete, so is this one.
  work.bind_mw.mw = window;
  work.bind_mw.rkey = key;
  work.bind_mw.bind_info.mr = own->chunk()->registration()->region();
  work.bind_mw.bind_info.addr = reinterpret_cast<uint64_t>(slab->data());
  work.bind_mw.bind_info.length = slab->bytes();
  work.bind_mw.bind_info.mw_access_flags = IBV_ACCESS_REMOTE_WRITE;
  Add(work);
  exposed_.emplace_back(slab);
  *remote_key = key;
  return {};
}

Failure QueuePair::Revoke(Slab* slab, uint64_t token) {
  PooledSlab* own = Own(slab);
  const bool revoking = std::find(revoking_.begin(), revoking_.end(), slab) != revoking_.end();
  if (own == nullptr || !IsExposed(slab) || revoking) return {.status = Status::kInvalidArgument};
  ibv_send_wr work{};
  work.wr_id = token;
  work.opcode = IBV_WR_LOCAL_INV;
  work.send_flags = IBV_SEND_SIGNALED;
  work.invalidate_rkey = own->window()->rkey;
  Add(work);
  revoking_.push_back(slab);
  return {};
}

void QueuePair::OnRevoked() {
  if (revoking_.empty()) return;
  const Slab* slab = revoking_.front();
  revoking_.erase(revoking_.begin());
  const auto found = std::find_if(exposed_.begin(), exposed_.end(),
                                  [slab](const SlabRef& each) { return each.get() == slab; });
  std::swap(*found, exposed_.back());
  exposed_.pop_back();
}

// The end.

void QueuePair::BeginDestroy() {
  for (const SlabRef& slab : exposed_) {
    auto* pooled = static_cast<PooledSlab*>(slab.get());
    windows_.push_back(pooled->window());
    pooled->set_window(nullptr);
  }
}

void QueuePair::Destroy() {
  ibv_pd* pd = device_->pd();
  for (ibv_mw* window : windows_) ibv_dealloc_mw(window);
  library_->destroy_qp(std::exchange(queue_pair_, nullptr));
  for (ibv_mw*& window : windows_) window = ibv_alloc_mw(pd, IBV_MW_TYPE_2);
}

void QueuePair::FinishDestroy() {
  for (size_t i = 0; i < exposed_.size(); i++) {
    static_cast<PooledSlab*>(exposed_[i].get())->set_window(windows_[i]);
  }
  windows_.clear();
  revoking_.clear();
  exposed_.clear();
}

}  // namespace rdma_net::verbs
