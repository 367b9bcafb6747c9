#include "stream/receive_window.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace rdma_net::stream {

using wire::RemoteBuffer;
using wire::Violation;
using Access = ReceiveBuffer::Access;

RemoteBuffer ReceiveBuffer::published() const {
  return {.address = reinterpret_cast<uint64_t>(memory.data()),
          .remote_key = remote_key,
          .bytes = static_cast<uint32_t>(memory.size())};
}

ReceiveWindow::ReceiveWindow(uint32_t credits, uint32_t peer_entries)
    : credits_(credits), slots_(peer_entries), messages_granted_(credits) {}

uint32_t ReceiveWindow::Publish(ReceiveBuffer buffer) {
  buffer.filled = 0;
  buffer.taken = 0;
  buffer.messages = 0;
  buffer.for_view = false;
  buffer.access = Access::kPeer;
  buffer.ended = false;
  held_bytes_ += buffer.memory.size();
  buffers_.push_back(std::move(buffer));
  return std::exchange(next_slot_, (next_slot_ + 1) % slots_);
}

Violation ReceiveWindow::OnData(uint32_t value, uint32_t written, bool ends,
                                ReceiveBuffer** filled) {
  *filled = nullptr;
  if (messages_received_ == messages_granted_) return Violation::kCreditsExceeded;
  if (value != written) return Violation::kDataLengthMismatch;
  messages_received_++;
  if (value == 0) return Violation::kNone;
  if (unfilled() == 0) return Violation::kDataWithoutBuffer;
  ReceiveBuffer& buffer = buffers_[full_];
  if (value > buffer.memory.size() - buffer.filled) return Violation::kDataTooLong;
  buffer.filled += value;
  buffer.messages++;
  buffer.ended = ends;
  if (buffer.full()) {
    full_++;
    *filled = &buffer;
  }
  return Violation::kNone;
}

ReceiveBuffer* ReceiveWindow::NextToRevoke() {
  for (uint32_t i = 0; i < full_; i++) {
    ReceiveBuffer& buffer = buffers_[i];
    if (buffer.for_view && buffer.access == Access::kPeer) return &buffer;
  }
  return nullptr;
}

void ReceiveWindow::OnRevoked() {
  for (ReceiveBuffer& buffer : buffers_) {
    if (buffer.access != Access::kRevoking) continue;
    buffer.access = Access::kOurs;
    return;
  }
}

void ReceiveWindow::CopyTheRest() {
  for (ReceiveBuffer& buffer : buffers_) {
    if (buffer.access == Access::kOurs) continue;
    buffer.for_view = false;
    buffer.access = Access::kPeer;
  }
}

uint64_t ReceiveWindow::readable_bytes() const {
  uint64_t bytes = 0;
  for (const ReceiveBuffer& buffer : buffers_) {
    if (buffer.waits()) break;
    bytes += buffer.unread();
    if (!buffer.full()) break;
  }
  return bytes;
}

bool ReceiveWindow::waits() const {
  return std::any_of(buffers_.begin(), buffers_.end(),
                     [](const ReceiveBuffer& buffer) { return buffer.waits(); });
}

size_t ReceiveWindow::Read(std::span<std::byte> target, uint32_t view_bytes_min) {
  size_t copied = 0;
  for (ReceiveBuffer& buffer : buffers_) {
    if (copied == target.size()) break;
    if (buffer.waits()) break;
    const bool has_view = buffer.access == Access::kOurs && buffer.unread() >= view_bytes_min;
    if (copied > 0 && has_view) break;
    const size_t bytes = std::min<size_t>(target.size() - copied, buffer.unread());
    if (bytes > 0) std::memcpy(&target[copied], &buffer.memory[buffer.taken], bytes);
    copied += bytes;
    buffer.taken += static_cast<uint32_t>(bytes);
    if (!buffer.full()) break;
  }
  return copied;
}

std::optional<View> ReceiveWindow::TakeView() {
  for (ReceiveBuffer& buffer : buffers_) {
    if (buffer.unread() == 0 && buffer.full()) continue;
    if (buffer.access != Access::kOurs) return std::nullopt;
    const std::span<std::byte> bytes = buffer.memory.subspan(buffer.taken, buffer.unread());
    buffer.taken = buffer.filled;
    return View{.slab = buffer.slab, .bytes = bytes};
  }
  return std::nullopt;
}

void ReceiveWindow::Discard() {
  for (ReceiveBuffer& buffer : buffers_) {
    buffer.taken = buffer.filled;
    if (buffer.access == Access::kPeer) buffer.for_view = false;
  }
}

std::optional<ReceiveBuffer> ReceiveWindow::TakeEmpty() {
  if (full_ == 0) return std::nullopt;
  ReceiveBuffer& front = buffers_.front();
  if (front.unread() > 0 || front.access == Access::kRevoking) return std::nullopt;
  ReceiveBuffer empty = std::move(front);
  buffers_.erase(buffers_.begin());
  full_--;
  held_bytes_ -= empty.memory.size();
  return empty;
}

bool ReceiveWindow::credits_due() const {
  return messages_granted_ - messages_received_ <= credits_ / 2;
}

uint32_t ReceiveWindow::Grant() {
  messages_granted_ = std::max(messages_granted_, messages_received_ + credits_);
  return static_cast<uint32_t>(messages_granted_ & 0xffff);
}

}  // namespace rdma_net::stream
