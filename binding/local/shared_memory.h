#pragma once

#include <cstddef>
#include <span>

#include "system/file_descriptor.h"

namespace rdma_net::local {

/// Memory that two processes have: a memfd whose size is sealed, so that nobody can take pages away
/// from under the other (memfd_create(2), "file sealing"). Pages cost nothing until they are
/// touched.
class SharedMemory {
 public:
  SharedMemory() = default;
  SharedMemory(SharedMemory&& other) noexcept;
  SharedMemory& operator=(SharedMemory&& other) noexcept;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory();

  /// New memory, all zero, of a multiple of the page size. Not valid, with errno set, on failure.
  static SharedMemory Create(size_t bytes);
  /// Maps what a peer has sent. Not valid, with errno set, when it is not exactly `bytes` of sealed
  /// memory.
  static SharedMemory Adopt(system::FileDescriptor file, size_t bytes);

  [[nodiscard]] bool valid() const { return memory_.data() != nullptr; }
  [[nodiscard]] std::span<std::byte> memory() const { return memory_; }
  /// -1 once it was closed, or where it was adopted.
  [[nodiscard]] int file() const { return file_.get(); }
  /// The mapping stays.
  void CloseFile() { file_ = {}; }

 private:
  SharedMemory(std::span<std::byte> memory, system::FileDescriptor file)
      : memory_(memory), file_(std::move(file)) {}

  std::span<std::byte> memory_;
  system::FileDescriptor file_;
};

/// Gives the whole pages of a part back to the system; they are zero when next touched. Any
/// process's part of the same memory is meant.
void GivePagesBack(std::span<std::byte> part);

}  // namespace rdma_net::local
