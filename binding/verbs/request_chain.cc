#include "verbs/request_chain.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace rdma_net::verbs {

void RequestChain::Add(ibv_qp* owner, const ibv_send_wr& request,
                       std::span<const ibv_sge> segments) {
  assert(owner_ == nullptr || owner_ == owner);
  assert(segments.size() <= 2);
  owner_ = owner;
  Request& added = requests_.emplace_back();
  added.work = request;
  added.work.num_sge = static_cast<int>(segments.size());
  std::copy(segments.begin(), segments.end(), added.segments.begin());
}

int RequestChain::Post() {
  if (owner_ == nullptr) return 0;
  // Not before: the requests move as their number grows.
  for (size_t i = 0; i < requests_.size(); i++) {
    requests_[i].work.sg_list = requests_[i].segments.data();
    requests_[i].work.next = i + 1 < requests_.size() ? &requests_[i + 1].work : nullptr;
  }
  ibv_send_wr* bad = nullptr;
  const int error = ibv_post_send(owner_, &requests_.front().work, &bad);
  // Providers look at the old key of a window when its binding is posted.
  for (const Request& request : requests_) {
    if (request.work.opcode != IBV_WR_BIND_MW) continue;
    request.work.bind_mw.mw->rkey = request.work.bind_mw.rkey;
  }
  Clear();
  return error;
}

void RequestChain::Clear() {
  owner_ = nullptr;
  requests_.clear();
}

}  // namespace rdma_net::verbs
