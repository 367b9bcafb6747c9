#include "stream/send_window.h"

#include <atomic>
#include <cassert>
#include <cstring>

namespace rdma_net::stream {

using wire::RemoteBuffer;
using wire::Violation;

SendWindow::SendWindow(const wire::ConnectData& peer)
    : buffers_{peer.first_buffer}, limit_(peer.credits), credits_max_(peer.credits) {}

uint32_t SendWindow::room_bytes() const {
  return sent_ == limit_ || buffers_count_ == 0 ? 0 : buffers_[0].bytes;
}

RemoteBuffer SendWindow::Take(uint32_t bytes) {
  assert(bytes > 0 && bytes <= room_bytes());
  RemoteBuffer& current = buffers_[0];
  const RemoteBuffer taken = {
      .address = current.address, .remote_key = current.remote_key, .bytes = bytes};
  sent_++;
  current.address += bytes;
  current.bytes -= bytes;
  if (current.bytes == 0) {
    buffers_[0] = buffers_[1];
    buffers_count_--;
  }
  return taken;
}

Violation SendWindow::OnUpdate(uint32_t value, std::span<std::byte> slots) {
  // Only the low 16 bits count: C rsockets lets what is above them overflow.
  if (Violation wrong = OnCredits(static_cast<uint16_t>(value)); wrong != Violation::kNone) {
    return wrong;
  }
  // The device wrote the slots before it reported the message.
  std::atomic_thread_fence(std::memory_order_acquire);
  for (;;) {
    const auto slot =
        slots.subspan(next_slot_ * wire::kBufferEntryBytes).first<wire::kBufferEntryBytes>();
    const RemoteBuffer buffer = wire::DecodeBufferEntry(slot);
    if (buffer.bytes == 0) return Violation::kNone;
    if (Violation wrong = wire::CheckBuffer(buffer); wrong != Violation::kNone) return wrong;
    if (buffers_count_ == kSlots) return Violation::kTooManyBuffers;
    buffers_[buffers_count_++] = buffer;
    std::memset(slot.data(), 0, slot.size());
    next_slot_ = (next_slot_ + 1) % kSlots;
  }
}

Violation SendWindow::OnCredits(uint16_t limit) {
  const auto step = static_cast<int16_t>(static_cast<uint16_t>(limit - limit_));
  if (step < 0) return Violation::kCreditsBackwards;
  if (static_cast<uint16_t>(limit - sent_) > credits_max_) return Violation::kCreditsTooMany;
  limit_ = limit;
  return Violation::kNone;
}

}  // namespace rdma_net::stream
