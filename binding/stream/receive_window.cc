#include "stream/receive_window.h"

#include <algorithm>
#include <cstring>

namespace rdma_net::stream {

using wire::RemoteBuffer;
using wire::Violation;

namespace {

uint32_t BufferBytes(const fabric::Region& memory) {
  return static_cast<uint32_t>(memory.bytes / ReceiveWindow::kBuffers);
}

}  // namespace

ReceiveWindow::ReceiveWindow(const fabric::Region& memory, uint32_t credits, uint32_t peer_entries)
    : memory_(memory),
      buffer_bytes_(BufferBytes(memory)),
      credits_(credits),
      slots_(peer_entries),
      next_slot_(peer_entries > 1 ? 1 : 0),
      messages_granted_(credits) {}

RemoteBuffer ReceiveWindow::First(const fabric::Region& memory) {
  return {
      .address = memory.address(), .remote_key = memory.remote_key, .bytes = BufferBytes(memory)};
}

std::byte* ReceiveWindow::buffer(uint64_t number) const {
  return memory_.data + (number % kBuffers) * buffer_bytes_;
}

Violation ReceiveWindow::OnData(uint32_t value, uint32_t written) {
  if (messages_received_ == messages_granted_) return Violation::kCreditsExceeded;
  if (value != written) return Violation::kDataLengthMismatch;
  messages_received_++;
  if (value == 0) return Violation::kNone;
  if (filled_ == published_) return Violation::kDataWithoutBuffer;
  if (value > buffer_bytes_ - fill_offset_) return Violation::kDataTooLong;
  fill_offset_ += value;
  readable_bytes_ += value;
  if (fill_offset_ == buffer_bytes_) {
    filled_++;
    fill_offset_ = 0;
  }
  return Violation::kNone;
}

size_t ReceiveWindow::Read(std::span<std::byte> target) {
  size_t copied = 0;
  while (copied < target.size() && readable_bytes_ > 0) {
    const uint32_t end = consumed_ < filled_ ? buffer_bytes_ : fill_offset_;
    const size_t bytes = std::min<size_t>(target.size() - copied, end - read_offset_);
    std::memcpy(&target[copied], buffer(consumed_) + read_offset_, bytes);
    copied += bytes;
    readable_bytes_ -= bytes;
    read_offset_ += static_cast<uint32_t>(bytes);
    if (read_offset_ == buffer_bytes_) {
      consumed_++;
      read_offset_ = 0;
    }
  }
  return copied;
}

void ReceiveWindow::Discard() {
  consumed_ = filled_;
  read_offset_ = fill_offset_;
  readable_bytes_ = 0;
}

bool ReceiveWindow::can_publish() const {
  // A slot of the peer is free again when the buffer it named has been filled: before that the
  // peer may still be reading it.
  return published_ - consumed_ < kBuffers && published_ - filled_ < slots_;
}

bool ReceiveWindow::credits_due() const {
  return messages_granted_ - messages_received_ <= credits_ / 2;
}

RemoteBuffer ReceiveWindow::Publish(uint32_t* slot) {
  *slot = next_slot_;
  next_slot_ = (next_slot_ + 1) % slots_;
  const std::byte* data = buffer(published_++);
  return {.address = reinterpret_cast<uint64_t>(data),
          .remote_key = memory_.remote_key,
          .bytes = buffer_bytes_};
}

uint32_t ReceiveWindow::Grant() {
  messages_granted_ = messages_received_ + credits_;
  return static_cast<uint32_t>(messages_granted_ & 0xffff);
}

}  // namespace rdma_net::stream
