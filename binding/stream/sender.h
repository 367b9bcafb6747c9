#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "fabric/fabric.h"
#include "stream/counters.h"
#include "stream/outbox.h"
#include "stream/send_queue.h"
#include "stream/send_window.h"

namespace rdma_net::stream {

struct SendOptions {
  /// Send memory of a connection that has small writes to send.
  size_t ring_bytes = size_t{256} * 1024;
  /// As C rsockets (RS_MAX_TRANSFER): longer messages would make the peer's reader wait.
  uint32_t message_bytes_max = 64 * 1024;
  /// To a peer of ours, whose slabs may be larger.
  uint32_t large_message_bytes_max = 1024 * 1024;
  /// A message of so many bytes is worth the rest of its buffer: it can be handed over in place.
  uint32_t buffer_end_bytes_min = 16 * 1024;
};

/// The sending direction: what was taken from the program, cut into messages as the peer has room
/// for them.
class Sender {
 public:
  Sender(const SendOptions& options, Outbox* outbox, Counters* counters)
      : options_(options), outbox_(outbox), counters_(counters) {}

  /// @param last_resort memory to gather small writes in when the endpoint has none to give
  void Attach(fabric::Endpoint* endpoint, const fabric::Region& last_resort) {
    endpoint_ = endpoint;
    last_resort_ = last_resort;
  }
  /// The peer is known; the flow begins.
  void Open(const wire::ConnectData& peer);

  /// Copies bytes to be sent; returns how many. When these are not all, TakeRoom tells later.
  size_t Write(std::span<const std::byte> source, bool more);
  /// Takes bytes to be sent from where they are: all or, for now, none.
  size_t WriteInPlace(std::span<const std::byte> source, Source memory);
  /// Takes bytes to be copied by and by, with what keeps them alive: all or, for now, none.
  size_t WriteHeld(std::span<const std::byte> source, std::shared_ptr<void> owner);
  /// Sends what was held back for more.
  void Flush() { corked_ = false; }

  wire::Violation OnUpdate(uint32_t value, uint32_t written, std::span<std::byte> slots);
  void OnSent(uint32_t bytes);

  /// Posts what it may; false when that failed.
  bool Pump();

  [[nodiscard]] uint64_t waiting_bytes() const {
    return queue_.waiting_bytes() + queue_.held_bytes();
  }
  /// Whether so many bytes would be copied at once, and nothing had to be kept.
  [[nodiscard]] bool can_copy(size_t bytes) const;
  /// Whether a writer that was cut short should be asked again; true once.
  bool TakeRoom();
  /// Whether a writer was cut short, and has not been asked again.
  [[nodiscard]] bool writer_waits() const { return writer_waits_; }
  /// Whether somebody waits until more of what was posted is complete.
  [[nodiscard]] bool awaits_sent() const;
  /// Writes in place that came to an end.
  [[nodiscard]] uint32_t ended() const { return queue_.ended(); }
  /// Whether memory of the program is still to be read: by the device, or to be copied.
  [[nodiscard]] bool borrows() const { return queue_.has_in_place() || queue_.held_bytes() > 0; }
  /// Nothing that was taken is still needed.
  [[nodiscard]] bool idle() const { return queue_.idle() && queue_.held_bytes() == 0; }
  /// Gives send memory back that nothing is in.
  void Tidy() { GiveMemory(); }
  uint32_t TakeEnded() { return queue_.TakeEnded(); }

  /// Nobody is there any more to send to. Returns how many of the writes in place, and held ones,
  /// that end with it have lost bytes: the last ones.
  uint32_t OnPeerGone();
  /// Forgets all memory: after the endpoint was released.
  void Clear() { queue_ = {}; }

 private:
  size_t WriteAtOnce(std::span<const std::byte> source);
  [[nodiscard]] bool EndsBuffer(uint32_t message_bytes, uint32_t room) const;
  void TakeMemory();
  /// Gives the ring back when nothing is in it.
  void GiveMemory();

  SendOptions options_;
  uint32_t message_bytes_max_ = 0;
  Outbox* outbox_;
  Counters* counters_;
  fabric::Endpoint* endpoint_ = nullptr;
  fabric::Region last_resort_;
  SendQueue queue_;
  std::optional<SendWindow> window_;
  bool peer_takes_buffer_ends_ = false;
  bool corked_ = false;
  bool writer_waits_ = false;
  bool stalled_ = false;
};

}  // namespace rdma_net::stream
