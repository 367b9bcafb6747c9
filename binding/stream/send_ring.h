#pragma once

#include <cstdint>
#include <span>

#include "fabric/fabric.h"

namespace rdma_net::stream {

/// Registered memory that the bytes of small writes are gathered in, used in a circle.
///
///        completed_          posted_           written_     (counts of bytes, never reset)
///     ------|-------------------|-----------------|-------->
///           | in the device     | waiting         | free up to completed_ + bytes
class SendRing {
 public:
  [[nodiscard]] bool has_memory() const { return !memory_.empty(); }
  /// Takes memory over, when none is there.
  void SetMemory(const fabric::Region& memory) { memory_ = memory; }
  /// Gives the memory back, when idle.
  fabric::Region TakeMemory();

  [[nodiscard]] size_t bytes() const { return memory_.bytes; }
  [[nodiscard]] bool idle() const { return written_ == completed_; }
  [[nodiscard]] uint64_t free_bytes() const { return memory_.bytes - (written_ - completed_); }

  /// Copies in as much as there is room for; returns bytes.
  size_t Write(std::span<const std::byte> source);
  /// The next bytes to post, at most `bytes_max` of those that wait and no further than the end of
  /// the memory.
  fabric::Segment Post(uint32_t bytes_max);
  /// The oldest `bytes` posted are complete.
  void Complete(uint32_t bytes);
  /// Forgets what waits: it will never be posted.
  void DropWaiting() { written_ = posted_; }

 private:
  fabric::Region memory_;
  uint64_t written_ = 0;
  uint64_t posted_ = 0;
  uint64_t completed_ = 0;
  /// The count that lies at the start of memory_.
  uint64_t base_ = 0;
};

}  // namespace rdma_net::stream
