#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "fabric/fabric.h"

namespace rdma_net::stream {

/// Bytes that were taken from the program and not yet by the peer's device, in registered memory.
///
///        completed_          posted_           written_     (positions in the byte stream)
///     ------|-------------------|-----------------|-------->
///           | in the device     | waiting         | free up to completed_ + bytes
///
/// `completed_` is what the peer's device has acknowledged: the position that a connection would
/// have to be continued from.
class SendRing {
 public:
  [[nodiscard]] bool has_memory() const { return !memory_.empty(); }
  /// Takes memory over, when none is there.
  void SetMemory(const fabric::Region& memory) { memory_ = memory; }
  /// Gives the memory back, when idle.
  fabric::Region TakeMemory();

  [[nodiscard]] uint64_t waiting_bytes() const { return written_ - posted_; }
  [[nodiscard]] uint64_t in_flight_bytes() const { return posted_ - completed_; }
  [[nodiscard]] bool idle() const { return written_ == completed_; }
  [[nodiscard]] uint64_t free_bytes() const { return memory_.bytes - (written_ - completed_); }
  [[nodiscard]] uint64_t written_bytes() const { return written_; }
  [[nodiscard]] uint64_t completed_bytes() const { return completed_; }

  /// Copies in as much as there is room for; returns bytes.
  size_t Write(std::span<const std::byte> source);
  /// The next `bytes` (at most waiting_bytes()) to post: one segment, or two around the end.
  std::array<fabric::Segment, 2> Post(uint32_t bytes);
  /// The oldest `bytes` posted are complete.
  void Complete(uint32_t bytes);
  /// Forgets what waits: it will never be posted.
  void DropWaiting() { written_ = posted_; }

 private:
  fabric::Region memory_;
  uint64_t written_ = 0;
  uint64_t posted_ = 0;
  uint64_t completed_ = 0;
  /// Position in the stream that lies at the start of memory_.
  uint64_t base_ = 0;
};

}  // namespace rdma_net::stream
