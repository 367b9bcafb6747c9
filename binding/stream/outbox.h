#pragma once

#include <cstdint>

#include "fabric/fabric.h"
#include "stream/counters.h"

namespace rdma_net::stream {

/// The send queue of an endpoint, and who may put how much into it. Data, control messages and
/// revocations each have a share, so that none can keep the others out:
///
///     | data ...                       | 4 x (expose + update) | 4 x revoke |
class Outbox {
 public:
  /// Control messages are outside of the credits; C rsockets has room for this many
  /// (RS_QP_CTRL_SIZE), and so every peer leaves room for as many of ours.
  static constexpr uint32_t kControlMax = 4;
  static constexpr uint32_t kRevokesMax = 4;
  /// What an endpoint must have at least: one data message beside the rest.
  static constexpr uint32_t kRequestsMin = 2 * kControlMax + kRevokesMax + 1;

  enum class Kind : uint8_t {
    kData,
    /// An update, or another word of control.
    kControl,
    /// The last word.
    kEnd,
    kKeepalive,
    /// The end of the peer's access to a buffer that is going to be handed over...
    kRevoke,
    /// ... and to one that goes back to the pool.
    kRelease,
  };
  struct Sent {
    Kind kind;
    /// Of data.
    uint32_t bytes;
  };

  explicit Outbox(Counters* counters) : counters_(counters) {}

  void Attach(fabric::Endpoint* endpoint) {
    endpoint_ = endpoint;
    posts_at_once_ = endpoint->posts_at_once();
  }
  /// Nothing that is posted is ever under way: its end is the end of posting it.
  [[nodiscard]] bool posts_at_once() const { return posts_at_once_; }

  [[nodiscard]] bool has_data_room() const {
    if (posts_at_once_) return endpoint_->TakeRoom();
    return data_in_flight_ + 2 * kControlMax + kRevokesMax < endpoint_->send_requests_max();
  }
  [[nodiscard]] bool has_control_room() const {
    if (posts_at_once_) return endpoint_->TakeRoom();
    return control_in_flight_ < kControlMax;
  }
  [[nodiscard]] bool has_revoke_room() const { return revokes_in_flight_ < kRevokesMax; }
  [[nodiscard]] bool has_revokes() const { return revokes_in_flight_ > 0; }
  /// Nothing is under way that the peer should still get.
  [[nodiscard]] bool idle() const { return data_in_flight_ == 0 && control_in_flight_ == 0; }

  // Each returns false when it failed, and then the endpoint is of no use any more: see failure().
  bool PostData(fabric::WriteRequest* request, uint32_t bytes);
  bool PostControl(fabric::WriteRequest* request, Kind kind);
  /// To be followed by the control message that announces the key.
  bool Expose(fabric::Slab* slab, uint32_t* remote_key);
  bool Revoke(fabric::Slab* slab, Kind kind);
  /// Sends all of these on their way; to be called after them.
  bool Ring();
  /// Sees to that OnSent comes without another event, if there is something for it to come for.
  void AwaitSent();

  /// What the token of a completed request stands for.
  Sent OnSent(uint64_t token);

  [[nodiscard]] const fabric::Failure& failure() const { return failure_; }
  [[nodiscard]] bool failed() const { return !failure_.ok(); }

 private:
  bool Note(const fabric::Failure& failure);

  fabric::Endpoint* endpoint_ = nullptr;
  Counters* counters_;
  bool posts_at_once_ = false;
  uint32_t data_in_flight_ = 0;
  uint32_t control_in_flight_ = 0;
  uint32_t revokes_in_flight_ = 0;
  bool rings_ = false;
  fabric::Failure failure_;
};

}  // namespace rdma_net::stream
