#include "verbs/mapping.h"

#include <sys/mman.h>
#include <unistd.h>

namespace rdma_net::verbs {

size_t Mapping::PageBytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

size_t Mapping::WholePages(size_t bytes) {
  return (bytes + PageBytes() - 1) / PageBytes() * PageBytes();
}

std::unique_ptr<Mapping> Mapping::Create(size_t bytes) {
  const size_t whole = WholePages(bytes);
  void* data = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return nullptr;
  return std::unique_ptr<Mapping>(new Mapping({static_cast<std::byte*>(data), whole}));
}

Mapping::~Mapping() {
  munmap(memory_.data(), memory_.size());
}

}  // namespace rdma_net::verbs
