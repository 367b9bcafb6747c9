#include "stream/send_ring.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

namespace rdma_net::stream {

fabric::Region SendRing::TakeMemory() {
  assert(idle());
  base_ = written_;
  return std::exchange(memory_, {});
}

size_t SendRing::Write(std::span<const std::byte> source) {
  if (memory_.empty()) return 0;
  const auto bytes = static_cast<size_t>(std::min<uint64_t>(source.size(), free_bytes()));
  size_t copied = 0;
  while (copied < bytes) {
    const auto at = static_cast<size_t>((written_ - base_) % memory_.bytes);
    const size_t part = std::min(bytes - copied, memory_.bytes - at);
    std::memcpy(memory_.data + at, &source[copied], part);
    copied += part;
    written_ += part;
  }
  return bytes;
}

fabric::Segment SendRing::Post(uint32_t bytes_max) {
  const auto at = static_cast<size_t>((posted_ - base_) % memory_.bytes);
  const auto bytes = static_cast<uint32_t>(
      std::min<uint64_t>({bytes_max, written_ - posted_, memory_.bytes - at}));
  posted_ += bytes;
  return {.data = memory_.data + at, .bytes = bytes, .local_key = memory_.local_key};
}

void SendRing::Complete(uint32_t bytes) {
  assert(bytes <= posted_ - completed_);
  completed_ += bytes;
}

}  // namespace rdma_net::stream
