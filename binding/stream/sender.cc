#include "stream/sender.h"

#include <algorithm>
#include <utility>

namespace rdma_net::stream {

using wire::Violation;

namespace {

/// Where posting takes the bytes, so many are worth a message of their own: gathering them with
/// others would copy them once more.
constexpr size_t kAtOnceBytesMin = size_t{8} * 1024;

}  // namespace

void Sender::Open(const wire::ConnectData& peer) {
  window_.emplace(peer);
  message_bytes_max_ =
      peer.has_extension ? options_.large_message_bytes_max : options_.message_bytes_max;
  peer_takes_buffer_ends_ = (peer.features & wire::kFeatureBufferEnd) != 0;
}

/// Whether the peer should not wait for this buffer to be filled: there is nothing to fill it with.
bool Sender::EndsBuffer(uint32_t message_bytes, uint32_t room) const {
  return peer_takes_buffer_ends_ && message_bytes < room && waiting_bytes() == 0 &&
         message_bytes >= options_.buffer_end_bytes_min;
}

void Sender::TakeMemory() {
  if (queue_.ring().has_memory()) return;
  fabric::Region memory;
  const bool granted =
      endpoint_->Allocate(options_.ring_bytes, fabric::Access::kSend, &memory).ok();
  // At the limit of what may be pinned a connection becomes slower, and goes on.
  queue_.ring().SetMemory(granted ? memory : last_resort_);
}

void Sender::GiveMemory() {
  SendRing& ring = queue_.ring();
  if (!ring.idle() || !ring.has_memory() || writer_waits_ || queue_.held_bytes() > 0) return;
  const fabric::Region memory = ring.TakeMemory();
  if (memory.data != last_resort_.data) endpoint_->Free(memory);
}

size_t Sender::Write(std::span<const std::byte> source, bool more) {
  size_t taken = 0;
  if (!source.empty() && queue_.held_bytes() == 0) {
    if (outbox_->posts_at_once() && (!more || source.size() >= kAtOnceBytesMin)) {
      taken = WriteAtOnce(source);
    }
    if (taken < source.size()) {
      TakeMemory();
      const size_t copied = queue_.Write(source.subspan(taken));
      counters_->bytes_sent_copied += copied;
      taken += copied;
    }
  }
  writer_waits_ = taken < source.size();
  // When it is full, what is held back for more must go, or there would never be room.
  corked_ = more && !writer_waits_;
  return taken;
}

/// Posts from where the bytes are what the peer has room for.
size_t Sender::WriteAtOnce(std::span<const std::byte> source) {
  corked_ = false;
  if (!Pump() || queue_.waiting_bytes() > 0) return 0;
  queue_.Lend(source);
  // If it fails the bytes count as posted, and the next Pump tells that they were not.
  Pump();
  const size_t taken = source.size() - queue_.TakeBack();
  counters_->bytes_sent_in_place += taken;
  return taken;
}

size_t Sender::WriteInPlace(std::span<const std::byte> source, Source memory) {
  corked_ = false;
  writer_waits_ = !queue_.has_room_in_place() || queue_.held_bytes() > 0;
  if (writer_waits_) return 0;
  queue_.WriteInPlace(source, std::move(memory));
  counters_->bytes_sent_in_place += source.size();
  return source.size();
}

size_t Sender::WriteHeld(std::span<const std::byte> source, std::shared_ptr<void> owner) {
  corked_ = false;
  writer_waits_ = queue_.held_bytes() > 0;
  if (writer_waits_) return 0;
  if (outbox_->posts_at_once()) return WriteInPlace(source, {.memory = std::move(owner)});
  TakeMemory();
  queue_.Hold(source, std::move(owner));
  return source.size();
}

Violation Sender::OnUpdate(uint32_t value, uint32_t written, std::span<std::byte> slots) {
  return window_->OnUpdate(value, written, slots);
}

bool Sender::Pump() {
  if (outbox_->failed()) return false;
  for (;;) {
    counters_->bytes_sent_copied += queue_.Fill();
    if (queue_.waiting_bytes() == 0 || !outbox_->has_data_room()) return true;
    if (corked_ && queue_.waiting_bytes() < options_.message_bytes_max) return true;
    const uint32_t room = window_->room_bytes();
    if (room == 0) {
      if (!std::exchange(stalled_, true)) counters_->credit_stalls++;
      return true;
    }
    const SendQueue::Message message = queue_.Post(std::min(room, message_bytes_max_));
    const wire::RemoteBuffer target = window_->Take(message.bytes);
    fabric::WriteRequest request;
    request.segments = message.segments;
    request.remote_address = target.address;
    request.remote_key = target.remote_key;
    const bool ends = EndsBuffer(message.bytes, room);
    if (ends) window_->EndBuffer();
    request.immediate = wire::EncodeImmediate(wire::Operation::kData,
                                              message.bytes | (ends ? wire::kBufferEndBit : 0));
    if (!outbox_->PostData(&request, message.bytes)) return false;
    if (outbox_->posts_at_once()) queue_.Complete(message.bytes);
    stalled_ = false;
    counters_->messages_sent++;
    counters_->bytes_sent += message.bytes;
  }
}

void Sender::OnSent(uint32_t bytes) {
  queue_.Complete(bytes);
  GiveMemory();
}

bool Sender::can_copy(size_t bytes) const {
  const SendRing& ring = queue_.ring();
  return queue_.held_bytes() == 0 &&
         bytes <= (ring.has_memory() ? ring.free_bytes() : options_.ring_bytes);
}

bool Sender::TakeRoom() {
  const SendRing& ring = queue_.ring();
  const bool ring_has_room = !ring.has_memory() || ring.free_bytes() >= ring.bytes() / 4;
  if (!writer_waits_ || !ring_has_room) return false;
  if (!queue_.has_room_in_place() || queue_.held_bytes() > 0) return false;
  writer_waits_ = false;
  return true;
}

bool Sender::awaits_sent() const {
  return writer_waits_ || queue_.held_bytes() > 0 || queue_.has_in_place() ||
         (queue_.waiting_bytes() > 0 && !outbox_->has_data_room());
}

uint32_t Sender::OnPeerGone() {
  corked_ = false;
  const uint32_t lost = queue_.DropWaiting();
  queue_.EndAll();
  return lost;
}

}  // namespace rdma_net::stream
