#pragma once

#include <cstddef>
#include <map>
#include <span>

namespace rdma_net::local {

/// Hands out parts of one memory, each a multiple of a page of 4 KiB and page-aligned, zeroed. The
/// first that fits, so that what is used stays at the beginning.
class Arena {
 public:
  Arena() = default;
  explicit Arena(std::span<std::byte> memory);

  /// Empty when there is no room.
  std::span<std::byte> Allocate(size_t bytes);
  /// A part that Allocate gave, whole.
  void Free(std::span<std::byte> part);
  [[nodiscard]] size_t used_bytes() const { return used_bytes_; }
  /// Gives the pages back that are free and were used.
  void GiveBack();

 private:
  struct Gap {
    size_t bytes;
    /// Whether it may have been written to.
    bool used;
  };

  std::span<std::byte> memory_;
  /// By offset.
  std::map<size_t, Gap> gaps_;
  size_t used_bytes_ = 0;
};

}  // namespace rdma_net::local
