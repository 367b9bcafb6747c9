#include "verbs/queue_group.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace rdma_net::verbs {

using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;

std::unique_ptr<QueueGroup> QueueGroup::Create(const Library* library, ibv_pd* pd,
                                               ibv_comp_channel* channel, const QueueSizes& sizes,
                                               uint32_t connections, Budget* budget,
                                               Failure* failure) {
  std::unique_ptr<QueueGroup> group(
      new QueueGroup(library, budget, connections, sizes.lendable(connections)));
  const uint32_t receives = sizes.receives(connections);
  const auto create = [&](uint32_t completions) {
    return library->create_cq(pd->context, static_cast<int>(completions), group.get(), channel, 0);
  };
  errno = 0;
  group->receive_cq_ = create(receives);
  if (group->receive_cq_ != nullptr) group->send_cq_ = create(sizes.sent(connections));
  if (group->send_cq_ != nullptr) {
    ibv_srq_init_attr attributes{};
    attributes.attr.max_wr = receives;
    attributes.attr.max_sge = 1;
    group->srq_ = library->create_srq(pd, &attributes);
  }
  if (group->srq_ == nullptr) {
    *failure = {.status = Status::kDeviceResources, .kind = DetailKind::kErrno, .detail = errno};
    return nullptr;
  }
  group->owed_ = receives;
  if (const int error = group->Replenish(); error != 0) {
    *failure = {.status = Status::kDeviceResources, .kind = DetailKind::kErrno, .detail = error};
    return nullptr;
  }
  return group;
}

QueueGroup::~QueueGroup() {
  if (srq_ != nullptr) library_->destroy_srq(srq_);
  if (send_cq_ != nullptr) library_->destroy_cq(send_cq_);
  if (receive_cq_ != nullptr) library_->destroy_cq(receive_cq_);
}

void QueueGroup::TakePlace() {
  used_++;
  budget_->TakeQueuePair();
}

void QueueGroup::GivePlace() {
  used_--;
  budget_->GiveQueuePair();
}

uint32_t QueueGroup::TakeReceives(uint32_t count) {
  const uint32_t taken = std::min(count, lendable_);
  lendable_ -= taken;
  return taken;
}

int QueueGroup::Replenish() {
  constexpr uint32_t kBatch = 32;
  std::array<ibv_recv_wr, kBatch> requests{};
  while (owed_ > 0) {
    const uint32_t count = std::min(owed_, kBatch);
    for (uint32_t i = 0; i < count; i++) {
      requests[i].wr_id = kReceiveToken;
      requests[i].next = i + 1 < count ? &requests[i + 1] : nullptr;
    }
    ibv_recv_wr* bad = nullptr;
    if (const int error = ibv_post_srq_recv(srq_, requests.data(), &bad); error != 0) return error;
    owed_ -= count;
  }
  return 0;
}

void QueueGroup::WatchSends() {
  watch_sends_ |= std::exchange(posted_, false);
}

bool QueueGroup::Arm() {
  bool armed = false;
  if (!receive_armed_) armed |= receive_armed_ = ibv_req_notify_cq(receive_cq_, 0) == 0;
  if (!send_armed_ && (awaiting_ > 0 || watch_sends_)) {
    armed |= send_armed_ = ibv_req_notify_cq(send_cq_, 0) == 0;
    watch_sends_ = false;
  }
  return armed;
}

void QueueGroup::OnChannelEvent(const ibv_cq* queue) {
  (queue == send_cq_ ? send_armed_ : receive_armed_) = false;
  // One completion uses the arming up, and what else is under way wants to be watched too.
  posted_ |= queue == send_cq_;
}

}  // namespace rdma_net::verbs
