#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "fabric/fabric.h"
#include "stream/counters.h"
#include "stream/outbox.h"
#include "stream/receive_window.h"
#include "stream/send_window.h"
#include "stream/wire.h"

namespace rdma_net::stream {

struct ReceiveOptions {
  /// Memory of the connection's own: Receiver::kHeadBytes, and two small buffers.
  size_t own_bytes = size_t{8} * 1024;
  /// All buffers of a peer that streams, at least a slab.
  size_t window_bytes = size_t{1024} * 1024;
  /// Where slabs cannot be had: how much of that in the end, and in how many buffers comes what is
  /// more than 128 KiB, at most SendWindow::kSlots.
  size_t grown_bytes_max = size_t{128} * 1024;
  size_t grown_buffers = 2;
  /// Fewer bytes are copied rather than handed over: a view keeps all of its slab.
  uint32_t view_bytes_min = 16 * 1024;
  /// Credits that a peer gets, if they can be lent, when it streams, and when it uses them up.
  uint32_t credits_of_stream = 32;
  uint32_t credits_max = 128;
};

/// The receiving direction: memory for the peer to write to, what it is told of that, and the
/// bytes until the program takes them.
///
///     own memory (small, copied)  --+            +-- copied out: published again under its key
///     slab of the pool, exposed   --+-> published +-- revoked, then handed over as a view
///
/// A connection begins with its own memory. A peer that fills it faster than we hand it out gets
/// slabs, until its messages become small again; and large ones while it fills these. What was
/// published stays published until it is full: the protocol has no way to take it back.
class Receiver {
 public:
  /// What the own memory begins with: the slots for the peer's updates, the entries that we send
  /// it, and memory to send from when there is no other.
  static constexpr size_t kEntriesBytes = size_t{Outbox::kControlMax} * wire::kBufferEntryBytes;
  static constexpr size_t kLastResortBytes = 1856;
  static constexpr size_t kHeadBytes = SendWindow::kSlotsBytes + kEntriesBytes + kLastResortBytes;

  Receiver(const ReceiveOptions& options, Outbox* outbox, Counters* counters)
      : options_(options), outbox_(outbox), counters_(counters) {}

  /// Allocates the own memory.
  fabric::Failure Prepare(fabric::Endpoint* endpoint);
  /// What the peer is told of it.
  void Describe(wire::ConnectData* data) const;
  /// The peer is known; the flow begins.
  void Open(const wire::ConnectData& peer);
  [[nodiscard]] bool open() const { return window_.has_value(); }

  /// The peer's memory for its updates: SendWindow::kSlotsBytes that it writes.
  [[nodiscard]] std::span<std::byte> slots() const;
  /// Memory that can be sent from, and always is there.
  [[nodiscard]] fabric::Region last_resort() const;

  /// @param value of the immediate, without the operation
  /// @param written bytes, by the device's word
  wire::Violation OnData(uint32_t value, uint32_t written);
  void OnRevoked() { window_->OnRevoked(); }
  void OnReleased() { releasing_.erase(releasing_.begin()); }
  /// Revocations that are not complete will not be any more.
  void CopyTheRest();
  /// Whether bytes have arrived that cannot be read yet.
  [[nodiscard]] bool waits() const { return window_ && window_->waits(); }

  [[nodiscard]] uint64_t readable_bytes() const { return window_ ? window_->readable_bytes() : 0; }
  size_t Read(std::span<std::byte> target);
  std::optional<View> ReadInPlace();
  void SetInPlace(bool wanted) { in_place_ = wanted; }
  void Discard();

  /// Posts the updates and revocations that are due, `publish` none of the former once the peer
  /// sends no more; false when that failed.
  bool Pump(bool publish);

  /// Forgets all memory: after the endpoint was released.
  void Clear();

 private:
  /// Memory that only this connection ever has.
  struct Own {
    std::span<std::byte> memory;
    uint32_t remote_key = 0;
    bool published = false;
  };

  void OnFilled(ReceiveBuffer* buffer);
  void ChooseSize(const ReceiveBuffer& buffer);
  void Grow();
  void GrowOwn();
  void Recycle();
  bool PumpRevocations();
  void Publish(fabric::WriteRequest* request, ReceiveBuffer buffer);
  /// The next buffer to publish; nothing when there is none. Sets `failed`.
  std::optional<ReceiveBuffer> NextBuffer(bool* failed);
  std::optional<ReceiveBuffer> NextSlab(bool* failed);
  std::optional<ReceiveBuffer> NextOwn();
  void BorrowCredits(uint32_t wanted);

  ReceiveOptions options_;
  Outbox* outbox_;
  Counters* counters_;
  fabric::Endpoint* endpoint_ = nullptr;
  fabric::Region region_;
  std::vector<Own> own_;
  /// Exposed slabs that were copied out, to be published again.
  std::vector<ReceiveBuffer> spare_;
  /// Slabs that are being revoked to go back to the pool, in order.
  std::vector<fabric::SlabRef> releasing_;
  std::optional<ReceiveWindow> window_;

  uint64_t peer_slots_address_ = 0;
  uint32_t peer_slots_key_ = 0;
  bool peer_big_endian_ = false;
  bool peer_ends_buffers_ = false;
  uint32_t updates_posted_ = 0;
  uint32_t credit_updates_ = 0;
  /// Size of the slabs here, once known.
  size_t slab_bytes_ = 0;
  /// What the own memory has grown by.
  size_t grown_bytes_ = 0;
  bool streaming_ = false;
  fabric::SlabSize slab_size_ = fabric::SlabSize::kSmall;
  /// Slabs that were filled to the end, one after the other.
  uint32_t filled_whole_ = 0;
  bool in_place_ = true;
};

}  // namespace rdma_net::stream
