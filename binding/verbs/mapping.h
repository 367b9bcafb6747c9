#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace rdma_net::verbs {

/// Zeroed pages of memory, unmapped on destruction, on whichever thread.
class Mapping {
 public:
  /// @return null with errno set when there is no memory
  static std::unique_ptr<Mapping> Create(size_t bytes);
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  Mapping(Mapping&&) = delete;
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping();

  /// Whole pages: may be more than was asked for.
  [[nodiscard]] std::span<std::byte> memory() const { return memory_; }

  static size_t PageBytes();
  static size_t WholePages(size_t bytes);

 private:
  explicit Mapping(std::span<std::byte> memory) : memory_(memory) {}

  std::span<std::byte> memory_;
};

}  // namespace rdma_net::verbs
