#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>

namespace rdma_net::local {

/// Whether a connection that has memory may get so much more of what is `free` of `all`: some is
/// left for those that are to come, which cannot do without, and the less is left the less one
/// gets.
[[nodiscard]] constexpr bool MayGrow(uint64_t bytes, uint64_t free, uint64_t all) {
  constexpr uint64_t kKeptPart = 8;
  constexpr uint64_t kGrownPart = 64;
  const uint64_t kept = all / kKeptPart;
  return free > kept && bytes <= (free - kept) / kGrownPart;
}

/// Hands out parts of one memory, each a multiple of a page of 4 KiB and page-aligned, zeroed. The
/// first that fits, so that what is used stays at the beginning.
class Arena {
 public:
  Arena() = default;
  explicit Arena(std::span<std::byte> memory);

  /// Empty when there is no room.
  /// @param grows that it is for a connection that has some already
  std::span<std::byte> Allocate(size_t bytes, bool grows);
  /// A part that Allocate gave, whole.
  void Free(std::span<std::byte> part);
  [[nodiscard]] size_t used_bytes() const { return used_bytes_; }
  /// Whether there are pages that are free and were used.
  [[nodiscard]] bool has_used_gaps() const { return has_used_gaps_; }
  /// Gives these back.
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
  bool has_used_gaps_ = false;
};

}  // namespace rdma_net::local
