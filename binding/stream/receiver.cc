#include "stream/receiver.h"

#include <algorithm>
#include <utility>

namespace rdma_net::stream {

using fabric::Access;
using fabric::Failure;
using fabric::SlabRef;
using fabric::SlabSize;
using fabric::Status;
using wire::Violation;

namespace {

constexpr size_t kOwnBuffers = 2;
/// A slab that was filled by more messages than this is wasted on its peer.
constexpr uint32_t kMessagesOfSlabMax = 32;
/// So many slabs that are filled to the end one after the other make a peer worth large ones.
constexpr uint32_t kWholeSlabsMin = 2;
/// A large slab that is filled to less than its half was wasted, and so is a window of few of them.
constexpr uint32_t kLargeSlabParts = 2;
constexpr size_t kLargeSlabsMin = 3;
/// A small buffer that so few messages fill is too small.
constexpr uint32_t kMessagesOfStream = 2;
/// What a connection grows by at first where slabs cannot be had, and in how many buffers.
constexpr size_t kFirstGrownBytes = size_t{128} * 1024;
constexpr size_t kFirstGrownBuffers = 2;
/// Updates for nothing but credits, after which a peer is worth more of them.
constexpr uint32_t kCreditUpdatesOfBusy = 2;

}  // namespace

Failure Receiver::Prepare(fabric::Endpoint* endpoint) {
  endpoint_ = endpoint;
  if (options_.own_bytes < kHeadBytes + kOwnBuffers) return {.status = Status::kInvalidArgument};
  Failure failure = endpoint->Allocate(options_.own_bytes, Access::kRemoteWrite, &region_);
  if (!failure.ok()) return failure;
  const size_t bytes = (region_.bytes - kHeadBytes) / kOwnBuffers;
  for (size_t i = 0; i < kOwnBuffers; i++) {
    own_.push_back({.memory = {region_.data + kHeadBytes + i * bytes, bytes},
                    .remote_key = region_.remote_key});
  }
  return {};
}

void Receiver::Describe(wire::ConnectData* data) const {
  data->credits = static_cast<uint16_t>(endpoint_->receive_requests());
  data->sgl_address = region_.address();
  data->sgl_remote_key = region_.remote_key;
  data->sgl_entries = SendWindow::kSlots;
  data->first_buffer = {.address = reinterpret_cast<uint64_t>(own_[0].memory.data()),
                        .remote_key = own_[0].remote_key,
                        .bytes = static_cast<uint32_t>(own_[0].memory.size())};
}

void Receiver::Open(const wire::ConnectData& peer) {
  peer_slots_address_ = peer.sgl_address;
  peer_slots_key_ = peer.sgl_remote_key;
  peer_big_endian_ = peer.big_endian;
  peer_ends_buffers_ = (peer.features & wire::kFeatureBufferEnd) != 0;
  window_.emplace(endpoint_->receive_requests(), peer.sgl_entries);
  window_->Publish(*NextOwn());
}

std::span<std::byte> Receiver::slots() const {
  return {region_.data, SendWindow::kSlotsBytes};
}

fabric::Region Receiver::last_resort() const {
  return {.data = region_.data + SendWindow::kSlotsBytes + kEntriesBytes,
          .bytes = kLastResortBytes,
          .local_key = region_.local_key};
}

Violation Receiver::OnData(uint32_t value, uint32_t written) {
  ReceiveBuffer* filled = nullptr;
  const bool ends = peer_ends_buffers_ && (value & wire::kBufferEndBit) != 0;
  const uint32_t bytes = ends ? value & ~wire::kBufferEndBit : value;
  const Violation wrong = window_->OnData(bytes, written, ends, &filled);
  if (wrong != Violation::kNone) return wrong;
  counters_->messages_received++;
  counters_->bytes_received += bytes;
  if (filled != nullptr) OnFilled(filled);
  return Violation::kNone;
}

void Receiver::OnFilled(ReceiveBuffer* buffer) {
  const bool starved = window_->unfilled() == 0;
  if (!streaming_) {
    if (starved || buffer->messages <= kMessagesOfStream) Grow();
  } else if (starved && !endpoint_->can_revoke()) {
    GrowOwn();
  } else if (buffer->slab && !starved && buffer->messages > kMessagesOfSlabMax) {
    streaming_ = false;
  }
  ChooseSize(*buffer);
  // Without another slab to take its place, the peer would have to wait.
  buffer->for_view = in_place_ && buffer->slab && endpoint_->has_slab(slab_size_) &&
                     buffer->unread() >= options_.view_bytes_min;
}

/// By how the last slab was filled.
void Receiver::ChooseSize(const ReceiveBuffer& buffer) {
  if (!buffer.slab) return;
  const bool whole = buffer.filled == buffer.memory.size();
  filled_whole_ = whole ? filled_whole_ + 1 : 0;
  if (buffer.filled < buffer.memory.size() / kLargeSlabParts) slab_size_ = SlabSize::kSmall;
  const bool has_window = options_.window_bytes >= kLargeSlabsMin * fabric::Slab::kLargeBytes;
  if (has_window && filled_whole_ >= kWholeSlabsMin) slab_size_ = SlabSize::kLarge;
}

void Receiver::Grow() {
  streaming_ = true;
  BorrowCredits(options_.credits_of_stream);
  // Slabs are for devices that can take them back. On others a connection has more of its own.
  if (!endpoint_->can_revoke()) GrowOwn();
}

// In two steps: a peer whose messages come one at a time does with little memory, which is soon had
// and stays in the processor's cache. More is for one that has filled all of it.
void Receiver::GrowOwn() {
  const size_t wanted = std::min(options_.window_bytes, options_.grown_bytes_max);
  if (grown_bytes_ >= wanted) return;
  const size_t more =
      grown_bytes_ == 0 ? std::min(wanted, kFirstGrownBytes) : wanted - grown_bytes_;
  const size_t count = grown_bytes_ == 0 ? kFirstGrownBuffers : options_.grown_buffers;
  const size_t bytes = more / count;
  fabric::Region region;
  if (!endpoint_->Allocate(count * bytes, Access::kRemoteWrite, &region).ok()) return;
  grown_bytes_ += more;
  for (size_t i = 0; i < count; i++) {
    own_.push_back({.memory = {region.data + i * bytes, bytes}, .remote_key = region.remote_key});
  }
}

size_t Receiver::Read(std::span<std::byte> target) {
  if (!window_) return 0;
  const size_t bytes = window_->Read(target, in_place_ ? options_.view_bytes_min : UINT32_MAX);
  counters_->bytes_received_copied += bytes;
  Recycle();
  return bytes;
}

std::optional<View> Receiver::ReadInPlace() {
  if (!window_) return std::nullopt;
  std::optional<View> view = window_->TakeView();
  if (view) counters_->bytes_received_in_place += view->bytes.size();
  Recycle();
  return view;
}

void Receiver::Discard() {
  window_->Discard();
  Recycle();
}

void Receiver::Recycle() {
  while (std::optional<ReceiveBuffer> empty = window_->TakeEmpty()) {
    if (empty->access == ReceiveBuffer::Access::kOurs) continue;
    if (empty->slab) {
      spare_.push_back(std::move(*empty));
      continue;
    }
    for (Own& own : own_) {
      if (own.memory.data() == empty->memory.data()) own.published = false;
    }
  }
}

void Receiver::CopyTheRest() {
  in_place_ = false;
  if (window_) window_->CopyTheRest();
}

void Receiver::Clear() {
  window_.reset();
  spare_.clear();
  releasing_.clear();
  own_.clear();
}

bool Receiver::Pump(bool publish) {
  if (!PumpRevocations()) return false;
  while (publish && outbox_->has_control_room()) {
    bool failed = false;
    std::optional<ReceiveBuffer> buffer = NextBuffer(&failed);
    if (failed) return false;
    if (!buffer && !window_->credits_due()) break;
    fabric::WriteRequest request;
    if (buffer) {
      Publish(&request, std::move(*buffer));
    } else {
      if (++credit_updates_ >= kCreditUpdatesOfBusy) BorrowCredits(options_.credits_max);
    }
    request.immediate = wire::EncodeImmediate(wire::Operation::kBufferUpdate, window_->Grant());
    if (!outbox_->PostControl(&request, Outbox::Kind::kControl)) return false;
  }
  return true;
}

bool Receiver::PumpRevocations() {
  while (outbox_->has_revoke_room()) {
    if (ReceiveBuffer* buffer = window_->NextToRevoke(); buffer != nullptr) {
      buffer->access = ReceiveBuffer::Access::kRevoking;
      if (!outbox_->Revoke(buffer->slab.get(), Outbox::Kind::kRevoke)) return false;
    } else if (!streaming_ && !spare_.empty()) {
      SlabRef slab = std::move(spare_.back().slab);
      spare_.pop_back();
      releasing_.push_back(slab);
      if (!outbox_->Revoke(slab.get(), Outbox::Kind::kRelease)) return false;
    } else {
      return true;
    }
  }
  return true;
}

void Receiver::Publish(fabric::WriteRequest* request, ReceiveBuffer buffer) {
  const size_t offset =
      SendWindow::kSlotsBytes + (updates_posted_++ % Outbox::kControlMax) * wire::kBufferEntryBytes;
  std::byte* entry = region_.data + offset;
  const auto bytes = static_cast<uint32_t>(wire::kBufferEntryBytes);
  wire::EncodeBufferEntry(
      buffer.published(), peer_big_endian_,
      std::span<std::byte, wire::kBufferEntryBytes>(entry, wire::kBufferEntryBytes));
  const uint32_t slot = window_->Publish(std::move(buffer));
  request->segments[0] = {.data = entry, .bytes = bytes, .local_key = region_.local_key};
  request->remote_address = peer_slots_address_ + uint64_t{slot} * wire::kBufferEntryBytes;
  request->remote_key = peer_slots_key_;
  request->place_inline = bytes <= endpoint_->inline_bytes_max();
}

std::optional<ReceiveBuffer> Receiver::NextBuffer(bool* failed) {
  if (!window_->has_slot()) return std::nullopt;
  const bool starved = window_->unfilled() == 0;
  if (streaming_) {
    std::optional<ReceiveBuffer> slab = NextSlab(failed);
    if (slab || *failed) return slab;
    // Small buffers between large ones would only make more of what must be copied: they are for
    // when there is no slab at all.
    if (endpoint_->can_revoke() && window_->held_bytes() > 0) return std::nullopt;
  }
  std::optional<ReceiveBuffer> own = NextOwn();
  if (!own && starved && !spare_.empty()) {
    own = std::move(spare_.back());
    spare_.pop_back();
  }
  return own;
}

std::optional<ReceiveBuffer> Receiver::NextSlab(bool* failed) {
  if (!spare_.empty()) {
    ReceiveBuffer buffer = std::move(spare_.back());
    spare_.pop_back();
    return buffer;
  }
  if (!endpoint_->can_revoke()) return std::nullopt;
  const size_t held = window_->held_bytes();
  const size_t wanted = slab_size_ == SlabSize::kLarge ? fabric::Slab::kLargeBytes : slab_bytes_;
  if (held > 0 && held + wanted > options_.window_bytes) return std::nullopt;
  SlabRef slab = endpoint_->TakeSlab(slab_size_);
  if (!slab) return std::nullopt;
  slab_bytes_ = slab->bytes();
  ReceiveBuffer buffer = {.memory = slab->memory(), .slab = slab};
  *failed = !outbox_->Expose(slab.get(), &buffer.remote_key);
  // A failure ends the endpoint; whether it was exposed is unknown.
  if (*failed) releasing_.push_back(slab);
  return buffer;
}

std::optional<ReceiveBuffer> Receiver::NextOwn() {
  Own* best = nullptr;
  for (Own& own : own_) {
    if (own.published) continue;
    const bool larger = best != nullptr && own.memory.size() > best->memory.size();
    if (best == nullptr || (streaming_ && larger)) best = &own;
  }
  if (best == nullptr) return std::nullopt;
  best->published = true;
  return ReceiveBuffer{.memory = best->memory, .remote_key = best->remote_key, .slab = {}};
}

void Receiver::BorrowCredits(uint32_t wanted) {
  if (window_->credits() >= wanted) return;
  window_->AddCredits(endpoint_->TakeCredits(wanted - window_->credits()));
}

}  // namespace rdma_net::stream
