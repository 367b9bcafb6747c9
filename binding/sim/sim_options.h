#pragma once

#include <cstddef>
#include <cstdint>

namespace rdma_net::sim {

/// What a simulated fabric is like. Chances are in 1 / 2^20 of each time that it could happen.
struct SimOptions {
  uint64_t seed = 1;

  uint32_t send_requests = 16;
  uint32_t receive_requests = 8;
  /// Beyond the credits, for control messages.
  uint32_t control_receives = 8;
  /// Receives that endpoints may borrow with TakeCredits, all together.
  uint32_t shared_receives = 16;
  uint32_t inline_bytes = 64;

  bool can_revoke = true;
  size_t slab_bytes = 1024;
  /// Slabs four times as large; who asked for which size makes no difference.
  uint32_t large_slabs = 0;
  uint32_t slabs_at_first = 4;
  uint32_t slabs_max = 16;
  /// Of regions, slabs and registrations.
  uint64_t pinned_bytes_max = UINT64_MAX;
  uint32_t queue_pairs_max = UINT32_MAX;

  /// A posted request fails with a completion error: before it had an effect, in the middle of
  /// writing, or after the peer got all of it.
  uint32_t completion_errors = 0;
  /// A request is refused by the call that posts it.
  uint32_t post_errors = 0;
  /// A region is refused for want of memory, or a registration fails.
  uint32_t allocation_errors = 0;
  /// A step of a handshake fails or gets lost, at either end.
  uint32_t handshake_errors = 0;
  /// A connection pauses for a while in one direction, as when receives run out (RNR).
  uint32_t stalls = 100'000;
  /// The bytes of a message are seen before the message is.
  uint32_t early_bytes = 100'000;
  /// At the end of an endpoint, what is still exposed gets overwritten: its peer could have.
  bool hostile_end = false;
};

}  // namespace rdma_net::sim
