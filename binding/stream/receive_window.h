#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fabric/fabric.h"
#include "stream/wire.h"

namespace rdma_net::stream {

/// Received bytes where they lie, for as long as the reference is kept: the peer can no longer
/// reach them.
struct View {
  fabric::SlabRef slab;
  std::span<std::byte> bytes;
};

/// Memory that the peer fills once, and what became of it.
struct ReceiveBuffer {
  /// Who can write to it: the peer; still the peer, though it has been told off; nobody but us.
  enum class Access : uint8_t { kPeer, kRevoking, kOurs };

  std::span<std::byte> memory;
  uint32_t remote_key = 0;
  /// Empty where the memory is the connection's own.
  fabric::SlabRef slab;
  /// It is to be handed over in place, and so must be revoked first.
  bool for_view = false;
  Access access = Access::kPeer;
  /// The peer is done with it, full or not.
  bool ended = false;
  uint32_t filled = 0;
  uint32_t taken = 0;
  uint32_t messages = 0;

  [[nodiscard]] bool full() const { return ended || filled == memory.size(); }
  [[nodiscard]] uint32_t unread() const { return filled - taken; }
  /// Whether there are bytes that have to wait for the end of the peer's access.
  [[nodiscard]] bool waits() const { return for_view && access != Access::kOurs && unread() > 0; }
  [[nodiscard]] wire::RemoteBuffer published() const;
};

/// Our side of the flow control: the buffers that the peer fills one after the other, and the
/// message credits it has. Nothing of the peer's is believed here but what was checked.
///
///     buffers_   | full, unread ... | being filled | published ... |
///                 front: read here   buffers_[full_]
///
/// Bytes are read from the front, by copying or as a view. A buffer that waits for its revocation
/// holds back what comes behind it.
class ReceiveWindow {
 public:
  /// @param credits messages the peer may send without a word from us, 2..65535
  /// @param peer_entries slots that the peer has for receive-buffer updates, at least 1
  ReceiveWindow(uint32_t credits, uint32_t peer_entries);

  /// Whether the peer has a free slot to be told of a buffer. A slot is free again when the buffer
  /// it named was filled: before that the peer may still be reading it.
  [[nodiscard]] bool has_slot() const { return unfilled() < slots_; }
  /// Buffers that the peer may still write to.
  [[nodiscard]] uint32_t unfilled() const { return static_cast<uint32_t>(buffers_.size()) - full_; }
  /// Memory of all buffers here.
  [[nodiscard]] uint64_t held_bytes() const { return held_bytes_; }
  /// Gives the peer one more buffer; returns the slot to announce it in. The first, in slot 0, is
  /// the one that the connection data announced.
  uint32_t Publish(ReceiveBuffer buffer);

  /// A data message: `value` bytes by its own word, `written` by the device's; `ends` when it was
  /// the last for its buffer. `filled` becomes the buffer if it is full now, else null.
  wire::Violation OnData(uint32_t value, uint32_t written, bool ends, ReceiveBuffer** filled);

  /// The next buffer that is full, for a view, and not revoked yet; null if none. The pointer holds
  /// until the next call that is not const.
  [[nodiscard]] ReceiveBuffer* NextToRevoke();
  /// The oldest revocation is complete.
  void OnRevoked();
  /// No revocation will complete any more: what waits for one is to be copied.
  void CopyTheRest();

  /// Bytes that Read or TakeView can take now.
  [[nodiscard]] uint64_t readable_bytes() const;
  /// Whether there are bytes that none of these can take yet.
  [[nodiscard]] bool waits() const;
  /// Copies out; returns bytes, 0 when nothing is there.
  /// @param view_bytes_min stops in front of a buffer that could give a view of so many bytes,
  /// after
  ///   it has copied what is before it
  size_t Read(std::span<std::byte> target, uint32_t view_bytes_min = UINT32_MAX);
  /// The unread bytes of the front buffer, if it may be handed over.
  std::optional<View> TakeView();
  /// Frees everything unread.
  void Discard();
  /// A buffer whose bytes are all taken, to be used again.
  std::optional<ReceiveBuffer> TakeEmpty();

  /// Whether the peer should hear of new credits even without a buffer.
  [[nodiscard]] bool credits_due() const;
  [[nodiscard]] uint32_t credits() const { return credits_; }
  /// From now on so many more.
  void AddCredits(uint32_t count) { credits_ += count; }
  /// The value of the update that is about to be sent; counts as granted from now on.
  uint32_t Grant();

 private:
  uint32_t credits_;
  uint32_t slots_;
  uint32_t next_slot_ = 0;

  std::vector<ReceiveBuffer> buffers_;
  uint32_t full_ = 0;
  uint64_t held_bytes_ = 0;

  uint64_t messages_received_ = 0;
  uint64_t messages_granted_;
};

}  // namespace rdma_net::stream
