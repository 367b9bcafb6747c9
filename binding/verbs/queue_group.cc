#include "verbs/queue_group.h"

#include <algorithm>
#include <array>
#include <cerrno>

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
  const uint32_t completions = sizes.completions(connections);
  errno = 0;
  group->cq_ =
      library->create_cq(pd->context, static_cast<int>(completions), group.get(), channel, 0);
  if (group->cq_ != nullptr) {
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
  if (cq_ != nullptr) library_->destroy_cq(cq_);
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

bool QueueGroup::Arm() {
  if (armed_) return false;
  armed_ = ibv_req_notify_cq(cq_, 0) == 0;
  return armed_;
}

}  // namespace rdma_net::verbs
