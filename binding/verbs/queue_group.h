#pragma once

#include <cstdint>
#include <memory>

#include "fabric/status.h"
#include "verbs/library.h"

namespace rdma_net::verbs {

/// Queue sizes of one connection.
struct QueueSizes {
  /// Requests in the send queue, control messages included.
  uint32_t send_requests = 64;
  /// Messages a peer may send without a word from us.
  uint32_t credits = 128;
  /// Receive requests kept beyond the credits, for the peer's control messages.
  uint32_t control_receives = 8;
  uint32_t inline_bytes = 64;

  [[nodiscard]] uint32_t receives() const { return credits + control_receives; }
};

/// A completion queue and a shared receive queue, large enough for a fixed number of queue pairs
/// whatever these do: neither can overflow. A device has as many groups as its connections need;
/// resizing queues instead is not something that every provider can do.
///
/// The receives carry no memory: all data comes by RDMA write, and a receive is only the place
/// where the immediate is reported.
class QueueGroup {
 public:
  /// May take milliseconds: for the worker.
  static std::unique_ptr<QueueGroup> Create(const Library* library, ibv_pd* pd,
                                            ibv_comp_channel* channel, const QueueSizes& sizes,
                                            uint32_t connections, fabric::Failure* failure);
  QueueGroup(const QueueGroup&) = delete;
  QueueGroup& operator=(const QueueGroup&) = delete;
  QueueGroup(QueueGroup&&) = delete;
  QueueGroup& operator=(QueueGroup&&) = delete;
  ~QueueGroup();

  [[nodiscard]] ibv_cq* completion_queue() const { return cq_; }
  [[nodiscard]] ibv_srq* shared_receive_queue() const { return srq_; }

  [[nodiscard]] bool has_place() const { return used_ < connections_; }
  void TakePlace() { used_++; }
  void GivePlace() { used_--; }

  /// Counts a receive that was used up.
  void OnReceive() { owed_++; }
  /// Puts the receives back that were used up. Returns 0 or an errno.
  int Replenish();

  /// Asks for an event on the channel; false when one was already asked for.
  bool Arm();
  void OnChannelEvent() { armed_ = false; }

 private:
  QueueGroup(const Library* library, uint32_t connections)
      : library_(library), connections_(connections) {}

  const Library* library_;
  uint32_t connections_;
  uint32_t used_ = 0;
  uint32_t owed_ = 0;
  bool armed_ = false;
  ibv_cq* cq_ = nullptr;
  ibv_srq* srq_ = nullptr;
};

/// wr_id of every receive; send tokens of the engine never have all bits set.
inline constexpr uint64_t kReceiveToken = ~0ULL;

}  // namespace rdma_net::verbs
