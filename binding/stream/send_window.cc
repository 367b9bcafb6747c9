#include "stream/send_window.h"

#include <atomic>
#include <cassert>
#include <cstring>
#include <utility>

namespace rdma_net::stream {

using wire::RemoteBuffer;
using wire::Violation;

namespace {

/// More than a queue pair can have receives, and the most that the 16 bits of the wire can tell
/// from a step backwards.
constexpr uint16_t kCreditsMax = 0x7fff;

}  // namespace

SendWindow::SendWindow(const wire::ConnectData& peer)
    : buffers_{peer.first_buffer}, limit_(peer.credits) {}

uint32_t SendWindow::room_bytes() const {
  return sent_ == limit_ || buffers_count_ == 0 ? 0 : buffers_[first_].bytes;
}

RemoteBuffer SendWindow::Take(uint32_t bytes) {
  assert(bytes > 0 && bytes <= room_bytes());
  RemoteBuffer& current = buffers_[first_];
  const RemoteBuffer taken = {
      .address = current.address, .remote_key = current.remote_key, .bytes = bytes};
  sent_++;
  current.address += bytes;
  current.bytes -= bytes;
  begun_ = current.bytes > 0;
  if (!begun_) DropBuffer();
  return taken;
}

void SendWindow::EndBuffer() {
  if (std::exchange(begun_, false)) DropBuffer();
}

void SendWindow::DropBuffer() {
  first_ = (first_ + 1) % kSlots;
  buffers_count_--;
}

Violation SendWindow::OnUpdate(uint32_t value, uint32_t written, std::span<std::byte> slots) {
  // Only the low 16 bits count: C rsockets lets what is above them overflow.
  if (Violation wrong = OnCredits(static_cast<uint16_t>(value)); wrong != Violation::kNone) {
    return wrong;
  }
  if (written == 0) return Violation::kNone;
  if (written != wire::kBufferEntryBytes) return Violation::kUpdateLength;
  // The device wrote the slot before it reported the message.
  std::atomic_thread_fence(std::memory_order_acquire);
  const auto slot =
      slots.subspan(next_slot_ * wire::kBufferEntryBytes).first<wire::kBufferEntryBytes>();
  const RemoteBuffer buffer = wire::DecodeBufferEntry(slot);
  if (Violation wrong = wire::CheckBuffer(buffer); wrong != Violation::kNone) return wrong;
  if (buffers_count_ == kSlots) return Violation::kTooManyBuffers;
  buffers_[(first_ + buffers_count_++) % kSlots] = buffer;
  std::memset(slot.data(), 0, slot.size());
  next_slot_ = (next_slot_ + 1) % kSlots;
  return Violation::kNone;
}

Violation SendWindow::OnCredits(uint16_t limit) {
  const auto step = static_cast<int16_t>(static_cast<uint16_t>(limit - limit_));
  if (step < 0) return Violation::kCreditsBackwards;
  if (static_cast<uint16_t>(limit - sent_) > kCreditsMax) return Violation::kCreditsTooMany;
  limit_ = limit;
  return Violation::kNone;
}

}  // namespace rdma_net::stream
