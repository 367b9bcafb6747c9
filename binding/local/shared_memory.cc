#include "local/shared_memory.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace rdma_net::local {

namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

std::span<std::byte> Map(int file, size_t bytes) {
  void* address = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
  if (address == MAP_FAILED) return {};
  // A forked child that never executes another program must not keep the memory of a connection.
  madvise(address, bytes, MADV_DONTFORK);
  return {static_cast<std::byte*>(address), bytes};
}

}  // namespace

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : memory_(std::exchange(other.memory_, {})), file_(std::move(other.file_)) {}

SharedMemory& SharedMemory::operator=(SharedMemory&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(file_, other.file_);
  return *this;
}

SharedMemory::~SharedMemory() {
  if (valid()) munmap(memory_.data(), memory_.size());
}

SharedMemory SharedMemory::Create(size_t bytes) {
  system::FileDescriptor file(memfd_create("rdma-net", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid() || ftruncate(file.get(), static_cast<off_t>(bytes)) != 0 ||
      fcntl(file.get(), F_ADD_SEALS, kSeals) != 0) {
    return {};
  }
  const std::span<std::byte> memory = Map(file.get(), bytes);
  if (memory.empty()) return {};
  return {memory, std::move(file)};
}

SharedMemory SharedMemory::Adopt(system::FileDescriptor file, size_t bytes) {
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return {};
  const int seals = fcntl(file.get(), F_GET_SEALS);
  const bool sealed = seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
  // Huge pages can be sealed too, and a process that touches one that the host does not have dies.
  struct statfs system {};
  const bool plain = fstatfs(file.get(), &system) == 0 && system.f_type == TMPFS_MAGIC;
  if (!sealed || !plain || status.st_size < 0 || static_cast<uint64_t>(status.st_size) != bytes) {
    errno = EINVAL;
    return {};
  }
  const std::span<std::byte> memory = Map(file.get(), bytes);
  if (memory.empty()) return {};
  return {memory, {}};
}

void GivePagesBack(std::span<std::byte> part) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t before = (page - address % page) % page;
  if (part.size() < before + page) return;
  const size_t bytes = (part.size() - before) / page * page;
  madvise(part.data() + before, bytes, MADV_REMOVE);
}

}  // namespace rdma_net::local
