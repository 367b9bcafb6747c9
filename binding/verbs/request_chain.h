#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "verbs/library.h"

namespace rdma_net::verbs {

/// Requests of one queue pair that are going to be posted with one doorbell: a doorbell is what
/// costs most of a short request. One chain serves all queue pairs of a device, one after the
/// other.
class RequestChain {
 public:
  /// Whose requests these are; null when there are none.
  [[nodiscard]] const ibv_qp* owner() const { return owner_; }
  /// Puts one more at the end; there may be none of another queue pair.
  void Add(ibv_qp* owner, const ibv_send_wr& request, std::span<const ibv_sge> segments);
  /// Posts all. Returns 0 or an errno; nothing is left in either case.
  int Post();
  void Clear();

 private:
  struct Request {
    ibv_send_wr work;
    std::array<ibv_sge, 2> segments;
  };

  ibv_qp* owner_ = nullptr;
  std::vector<Request> requests_;
};

}  // namespace rdma_net::verbs
