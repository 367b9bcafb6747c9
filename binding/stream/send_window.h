#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "stream/wire.h"

namespace rdma_net::stream {

/// The peer's side of the flow control: the buffers it published, in the order we must fill them,
/// and the messages it lets us send. All numbers come from the peer and are checked here.
class SendWindow {
 public:
  /// Slots in our memory where the peer announces buffers. C rsockets has 2 of its own
  /// (RS_SGL_SIZE of rsocket.c) and takes what we say as it comes.
  static constexpr uint32_t kSlots = 8;
  static constexpr size_t kSlotsBytes = kSlots * wire::kBufferEntryBytes;

  /// @param peer checked connection data
  explicit SendWindow(const wire::ConnectData& peer);

  /// Bytes that may be sent in one message now; 0 without credits or without a buffer.
  [[nodiscard]] uint32_t room_bytes() const;

  /// Takes `bytes` (at most room_bytes(), at least 1) of the current buffer for one message, and
  /// says where they go.
  wire::RemoteBuffer Take(uint32_t bytes);

  /// Leaves what remains of the current buffer unused, if something was put in it.
  void EndBuffer();

  /// A credit update, by which `written` bytes of `slots` (kSlotsBytes of our memory that the peer
  /// writes) were written: a buffer, or nothing. A slot taken is zeroed.
  wire::Violation OnUpdate(uint32_t value, uint32_t written, std::span<std::byte> slots);

 private:
  wire::Violation OnCredits(uint16_t limit);
  void DropBuffer();

  /// A ring: the current one is at first_.
  std::array<wire::RemoteBuffer, kSlots> buffers_;
  uint32_t first_ = 0;
  uint32_t buffers_count_ = 1;
  /// The last Take left something of its buffer.
  bool begun_ = false;
  uint32_t next_slot_ = 1;

  /// Both count messages and wrap at 2^16, as on the wire.
  uint16_t sent_ = 0;
  uint16_t limit_;
};

}  // namespace rdma_net::stream
