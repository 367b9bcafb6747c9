#pragma once

#include <cstdint>
#include <span>

#include "fabric/fabric.h"
#include "stream/wire.h"

namespace rdma_net::stream {

/// Our side of the flow control: two receive buffers that the peer fills in turn, and the message
/// credits it has. Nothing of the peer's is believed here but what was checked.
///
///        consumed_        filled_              published_      (counts of buffers, never reset)
///     ------|----------------|---------------------|-------->
///           | bytes to read  | peer is writing     | free, or to be published next
///
///     0 <= published_ - consumed_ <= 2;   buffer number n is buffers_[n % 2]
class ReceiveWindow {
 public:
  static constexpr uint32_t kBuffers = 2;

  /// @param memory kBuffers equal parts that the peer may write
  /// @param credits messages it may send without a word from us, 2..65535
  /// @param peer_entries slots that the peer has for receive-buffer updates, at least 1
  ReceiveWindow(const fabric::Region& memory, uint32_t credits, uint32_t peer_entries);

  /// The buffer that the connection data announces, in slot 0 of the peer.
  [[nodiscard]] static wire::RemoteBuffer First(const fabric::Region& memory);

  /// A data message: `value` bytes by its own word, `written` by the device's.
  wire::Violation OnData(uint32_t value, uint32_t written);

  [[nodiscard]] uint64_t readable_bytes() const { return readable_bytes_; }
  /// Copies out and frees what was copied; returns bytes, 0 when nothing is there.
  size_t Read(std::span<std::byte> target);

  /// Frees everything unread.
  void Discard();

  /// Whether a buffer is free and the peer has a free slot to be told of it.
  [[nodiscard]] bool can_publish() const;
  /// Whether the peer should hear of new credits even without a buffer.
  [[nodiscard]] bool credits_due() const;

  /// Takes the next buffer to publish, and the peer's slot it goes to.
  wire::RemoteBuffer Publish(uint32_t* slot);
  /// The value of the update that is about to be sent; counts as granted from now on.
  uint32_t Grant();

 private:
  [[nodiscard]] std::byte* buffer(uint64_t number) const;

  fabric::Region memory_;
  uint32_t buffer_bytes_;
  uint32_t credits_;
  uint32_t slots_;
  uint32_t next_slot_;

  uint64_t published_ = 1;
  uint64_t filled_ = 0;
  uint64_t consumed_ = 0;
  uint32_t fill_offset_ = 0;
  uint32_t read_offset_ = 0;
  uint64_t readable_bytes_ = 0;

  uint64_t messages_received_ = 0;
  uint64_t messages_granted_;
};

}  // namespace rdma_net::stream
