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

std::array<fabric::Segment, 2> SendRing::Post(uint32_t bytes) {
  assert(bytes <= waiting_bytes());
  const auto at = static_cast<size_t>((posted_ - base_) % memory_.bytes);
  const auto first = static_cast<uint32_t>(std::min<size_t>(bytes, memory_.bytes - at));
  posted_ += bytes;
  return {fabric::Segment{memory_.data + at, first, memory_.local_key},
          fabric::Segment{memory_.data, bytes - first, memory_.local_key}};
}

void SendRing::Complete(uint32_t bytes) {
  assert(bytes <= in_flight_bytes());
  completed_ += bytes;
}

}  // namespace rdma_net::stream
