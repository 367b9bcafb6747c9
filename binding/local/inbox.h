#pragma once

#include <cstdint>
#include <span>

#include "local/arena.h"
#include "local/message_queue.h"
#include "local/shared_memory.h"
#include "system/file_descriptor.h"

namespace rdma_net::local {

/// Where the parts of an inbox are.
///
///     | control, one page | cells | arena: the receive memory of all connections of a link |
struct InboxLayout {
  static constexpr size_t kControlBytes = 4096;
  static constexpr uint32_t kCells = 4096;
  static constexpr size_t kCellsBytes = kCells * sizeof(Cell);
  static constexpr size_t kArenaOffset = kControlBytes + kCellsBytes;
  /// Of addresses; memory only where it was touched.
  static constexpr size_t kBytes = size_t{256} * 1024 * 1024;

  explicit InboxLayout(std::span<std::byte> memory)
      : control(reinterpret_cast<QueueControl*>(memory.data())),
        cells(reinterpret_cast<Cell*>(memory.data() + kControlBytes), kCells),
        arena(memory.subspan(kArenaOffset)) {}

  QueueControl* control;
  std::span<Cell> cells;
  std::span<std::byte> arena;
};

/// Our side of what a peer writes to: its messages to us, the receive memory of our connections
/// with it, and the doorbell that it rings when we sleep.
class Inbox {
 public:
  /// Not valid, with errno set, when the system has no room for it.
  Inbox();

  [[nodiscard]] bool valid() const { return doorbell_.valid() && memory_.valid(); }
  [[nodiscard]] QueueConsumer& queue() { return queue_; }
  [[nodiscard]] Arena& arena() { return arena_; }
  [[nodiscard]] const Arena& arena() const { return arena_; }
  /// Readable when the peer has rung, and for ever after: watch it for edges.
  [[nodiscard]] int doorbell() const { return doorbell_.get(); }
  [[nodiscard]] int file() const { return memory_.file(); }
  /// After the peer has got it.
  void CloseFile() { memory_.CloseFile(); }
  [[nodiscard]] std::span<std::byte> memory() const { return memory_.memory(); }

 private:
  SharedMemory memory_;
  system::FileDescriptor doorbell_;
  QueueConsumer queue_;
  Arena arena_;
};

/// The inbox of a peer, as we write to it.
class PeerInbox {
 public:
  PeerInbox() = default;
  /// @param address where the peer has its memory: the addresses that it publishes are of there
  PeerInbox(SharedMemory memory, system::FileDescriptor doorbell, uint64_t address);

  /// Whether what a peer has sent is a doorbell, and not a pipe or a file; it is then made not to
  /// block.
  static bool IsDoorbell(int file);

  [[nodiscard]] QueueProducer& queue() { return queue_; }
  /// Our view of memory of the peer's arena; empty when the peer has no such memory.
  [[nodiscard]] std::span<std::byte> Translate(uint64_t address, size_t bytes) const;
  /// Wakes the peer.
  void Ring() const;

 private:
  SharedMemory memory_;
  system::FileDescriptor doorbell_;
  uint64_t address_ = 0;
  QueueProducer queue_;
};

}  // namespace rdma_net::local
