#pragma once

#include <cstdint>
#include <memory>

#include "fabric/status.h"
#include "verbs/budget.h"
#include "verbs/library.h"

namespace rdma_net::verbs {

/// Queue sizes of one connection, and what all connections of a group share. Queues are pinned, and
/// providers round them up to powers of two: 31 requests and no more.
struct QueueSizes {
  /// Messages in the send queue, those of control included.
  uint32_t sends = 23;
  /// Slabs that may be exposed in front of messages of control, and those that may be revoked, at
  /// one time.
  uint32_t binds = 4;
  uint32_t revokes = 4;
  /// Messages a peer may send without a word from us, as long as it is quiet.
  uint32_t credits = 8;
  /// Receive requests kept beyond the credits, for the peer's control messages.
  uint32_t control_receives = 4;
  /// Receive requests that can be lent to the connections that want more credits: so many for each
  /// connection that a group has room for, and so many for the group.
  uint32_t lendable_per_connection = 8;
  uint32_t lendable_per_group = 256;
  uint32_t inline_bytes = 64;

  [[nodiscard]] uint32_t send_requests() const { return sends + binds + revokes; }
  /// Receives that are there for a connection.
  [[nodiscard]] uint32_t own_receives() const { return credits + control_receives; }
  [[nodiscard]] uint32_t lendable(uint32_t connections) const {
    return lendable_per_group + connections * lendable_per_connection;
  }
  [[nodiscard]] uint32_t receives(uint32_t connections) const {
    return connections * own_receives() + lendable(connections);
  }
  /// What can be in the completion queue of sends at the same time: requests that are not signaled
  /// are reported too when they fail.
  [[nodiscard]] uint32_t sent(uint32_t connections) const { return connections * send_requests(); }
};

/// Completion queues and a shared receive queue, large enough for a fixed number of queue pairs
/// whatever these do: none can overflow. A device has as many groups as its connections need;
/// resizing queues instead is not something that every provider can do.
///
/// Sends have a completion queue of their own: what arrives must wake somebody, what has been sent
/// only if somebody waits for it.
///
/// The receives carry no memory: all data comes by RDMA write, and a receive is only the place
/// where the immediate is reported.
class QueueGroup {
 public:
  /// May take milliseconds: for the worker.
  static std::unique_ptr<QueueGroup> Create(const Library* library, ibv_pd* pd,
                                            ibv_comp_channel* channel, const QueueSizes& sizes,
                                            uint32_t connections, Budget* budget,
                                            fabric::Failure* failure);
  QueueGroup(const QueueGroup&) = delete;
  QueueGroup& operator=(const QueueGroup&) = delete;
  QueueGroup(QueueGroup&&) = delete;
  QueueGroup& operator=(QueueGroup&&) = delete;
  ~QueueGroup();

  [[nodiscard]] ibv_cq* receive_queue() const { return receive_cq_; }
  [[nodiscard]] ibv_cq* send_queue() const { return send_cq_; }
  [[nodiscard]] ibv_srq* shared_receive_queue() const { return srq_; }

  [[nodiscard]] bool has_place() const { return used_ < connections_; }
  [[nodiscard]] uint32_t used() const { return used_; }
  void TakePlace();
  void GivePlace();

  /// Lends up to `count` receives, and says how many.
  uint32_t TakeReceives(uint32_t count);
  void GiveReceives(uint32_t count) { lendable_ += count; }

  /// Counts a receive that was used up.
  void OnReceive() { owed_++; }
  /// Puts the receives back that were used up. Returns 0 or an errno.
  int Replenish();

  /// Counts an endpoint that waits for what it has posted, until EndAwaiting.
  void BeginAwaiting() { awaiting_++; }
  void EndAwaiting() { awaiting_--; }
  /// Something was posted.
  void OnPosted() { posted_ = true; }
  /// Whether something was posted since WatchSends.
  [[nodiscard]] bool posted() const { return posted_; }
  /// The next completion of a send wakes somebody, though nobody may wait for it.
  void WatchSends();

  /// Asks for events on the channel; false when all that are wanted were already asked for.
  bool Arm();
  void OnChannelEvent(const ibv_cq* queue);
  /// Events that may be on the channel.
  [[nodiscard]] int armed() const { return receive_armed_ + send_armed_; }

 private:
  QueueGroup(const Library* library, Budget* budget, uint32_t connections, uint32_t lendable)
      : library_(library), budget_(budget), connections_(connections), lendable_(lendable) {}

  const Library* library_;
  Budget* budget_;
  uint32_t connections_;
  uint32_t used_ = 0;
  uint32_t lendable_;
  uint32_t owed_ = 0;
  uint32_t awaiting_ = 0;
  bool posted_ = false;
  bool watch_sends_ = false;
  bool receive_armed_ = false;
  bool send_armed_ = false;
  ibv_cq* receive_cq_ = nullptr;
  ibv_cq* send_cq_ = nullptr;
  ibv_srq* srq_ = nullptr;
};

/// wr_id of every receive, and of every binding of a window; send tokens of the engine never have
/// all bits but the last set.
inline constexpr uint64_t kReceiveToken = ~0ULL;
inline constexpr uint64_t kBindToken = kReceiveToken - 1;

}  // namespace rdma_net::verbs
