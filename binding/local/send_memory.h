#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace rdma_net::local {

/// Memory that bytes are gathered in before they are written to a peer.
class SendMemory {
 public:
  /// Zero, and untouched where the system gives memory by the page.
  explicit SendMemory(size_t bytes)
      : memory_(static_cast<std::byte*>(std::calloc(bytes, 1)), &std::free), bytes_(bytes) {}

  [[nodiscard]] std::byte* data() const { return memory_.get(); }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  std::unique_ptr<std::byte, decltype(&std::free)> memory_;
  size_t bytes_;
};

/// Send memory for whoever has something to gather; some of it is kept for the next.
class SendPool {
 public:
  SendMemory Take(size_t bytes) {
    if (free_.empty() || free_.back().bytes() != bytes) return SendMemory(bytes);
    SendMemory memory = std::move(free_.back());
    free_.pop_back();
    return memory;
  }
  void Give(SendMemory memory) {
    if (free_.size() < kBlocksMax) free_.push_back(std::move(memory));
  }

 private:
  static constexpr size_t kBlocksMax = 16;

  std::vector<SendMemory> free_;
};

}  // namespace rdma_net::local
