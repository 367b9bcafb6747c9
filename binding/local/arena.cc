#include "local/arena.h"

#include <cstring>
#include <iterator>
#include <utility>

#include "local/shared_memory.h"

namespace rdma_net::local {

namespace {

constexpr size_t kPageBytes = 4096;

size_t WholePages(size_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

Arena::Arena(std::span<std::byte> memory) : memory_(memory) {
  gaps_[0] = {.bytes = memory.size(), .used = false};
}

std::span<std::byte> Arena::Allocate(size_t bytes, bool grows) {
  const size_t needed = WholePages(bytes);
  if (grows && !MayGrow(needed, memory_.size() - used_bytes_, memory_.size())) return {};
  for (auto it = gaps_.begin(); it != gaps_.end(); ++it) {
    const auto [offset, gap] = *it;
    if (gap.bytes < needed) continue;
    gaps_.erase(it);
    if (gap.bytes > needed) gaps_[offset + needed] = {gap.bytes - needed, gap.used};
    used_bytes_ += needed;
    const std::span<std::byte> part = memory_.subspan(offset, needed);
    if (gap.used) std::memset(part.data(), 0, part.size());
    return part.first(bytes);
  }
  return {};
}

void Arena::Free(std::span<std::byte> part) {
  const auto offset = static_cast<size_t>(part.data() - memory_.data());
  const size_t bytes = WholePages(part.size());
  used_bytes_ -= bytes;
  has_used_gaps_ = true;
  auto here = gaps_.emplace(offset, Gap{.bytes = bytes, .used = true}).first;
  const auto next = std::next(here);
  // Gaps that were never touched stay apart: clearing them would touch them.
  if (next != gaps_.end() && next->second.used && next->first == offset + bytes) {
    here->second.bytes += next->second.bytes;
    gaps_.erase(next);
  }
  if (here == gaps_.begin()) return;
  const auto previous = std::prev(here);
  if (previous->second.used && previous->first + previous->second.bytes == offset) {
    previous->second.bytes += here->second.bytes;
    gaps_.erase(here);
  }
}

void Arena::GiveBack() {
  if (!std::exchange(has_used_gaps_, false)) return;
  for (auto it = gaps_.begin(); it != gaps_.end();) {
    if (it->second.used) GivePagesBack(memory_.subspan(it->first, it->second.bytes));
    it->second.used = false;
    const auto next = std::next(it);
    if (next != gaps_.end() && next->first == it->first + it->second.bytes) {
      if (next->second.used) GivePagesBack(memory_.subspan(next->first, next->second.bytes));
      it->second.bytes += next->second.bytes;
      gaps_.erase(next);
    } else {
      it = next;
    }
  }
}

}  // namespace rdma_net::local
