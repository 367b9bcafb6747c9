#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fabric/fabric.h"
#include "verbs/library.h"
#include "verbs/slab_chunk.h"

namespace rdma_net::verbs {

class Device;
class QueueGroup;

/// How often a request that nobody answers is repeated. The highest number that can be said, 7, is
/// taken by rxe as for ever (rxe_completer of its rxe_comp.c), and a host that vanished would never
/// be missed.
inline constexpr uint8_t kRetries = 6;

/// A queue pair, and the slabs that its peer may write to.
class QueuePair {
 public:
  static std::unique_ptr<QueuePair> Create(const Library* library, Device* device,
                                           QueueGroup* group, fabric::Failure* failure);
  QueuePair(const QueuePair&) = delete;
  QueuePair& operator=(const QueuePair&) = delete;
  QueuePair(QueuePair&&) = delete;
  QueuePair& operator=(QueuePair&&) = delete;
  /// The three steps of the end must have been taken.
  ~QueuePair() = default;

  [[nodiscard]] uint32_t number() const { return queue_pair_->qp_num; }
  [[nodiscard]] uint32_t inline_bytes() const { return inline_bytes_; }
  /// 0 until it is ready.
  [[nodiscard]] uint32_t mtu_bytes() const { return mtu_bytes_; }

  /// To be called when the connection manager knows the peer: not before does it know the access
  /// rights and the path.
  fabric::Failure MakeReady(rdma_cm_id* id);
  /// Ends the traffic in both directions.
  void Stop();

  // Requests wait in the chain of the device until somebody rings.
  fabric::Failure Post(const fabric::WriteRequest& request);
  fabric::Failure Expose(fabric::Slab* slab, uint32_t* remote_key);
  fabric::Failure Revoke(fabric::Slab* slab, uint64_t token);
  fabric::Failure Ring();
  /// The first revocation that was not complete is.
  void OnRevoked();

  // The end. Drivers keep a bound window and its queue pair together (a window of rxe holds a
  // reference to the queue pair, whose destruction would wait for it), so windows that are still
  // bound are given up first, and new ones made for their slabs.
  /// 1. On the loop thread.
  void BeginDestroy();
  /// 2. On the worker.
  void Destroy();
  /// 3. On the loop thread: nothing is exposed any more.
  void FinishDestroy();

 private:
  QueuePair(const Library* library, Device* device, QueueGroup* group)
      : library_(library), device_(device), group_(group) {}
  fabric::Failure Modify(rdma_cm_id* id, ibv_qp_state state);
  void Add(const ibv_send_wr& request, std::span<const ibv_sge> segments = {});
  /// Null when the slab is not one that this queue pair could expose.
  [[nodiscard]] PooledSlab* Own(fabric::Slab* slab) const;
  [[nodiscard]] bool IsExposed(const fabric::Slab* slab) const;

  const Library* library_;
  Device* device_;
  QueueGroup* group_;
  ibv_qp* queue_pair_ = nullptr;
  uint32_t inline_bytes_ = 0;
  uint32_t mtu_bytes_ = 0;
  /// With a window that is bound, or may be.
  std::vector<fabric::SlabRef> exposed_;
  /// Those of them whose revocation is posted, in this order.
  std::vector<fabric::Slab*> revoking_;
  /// Between the steps of the end: the windows of `exposed_`, old ones, then new ones.
  std::vector<ibv_mw*> windows_;
};

}  // namespace rdma_net::verbs
