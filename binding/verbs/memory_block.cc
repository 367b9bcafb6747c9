#include "verbs/memory_block.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

namespace rdma_net::verbs {

using fabric::Access;
using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;

namespace {

/// Registering fails with ENOMEM both for want of memory and for RLIMIT_MEMLOCK
/// (ib_umem_get of the kernel); only the limit tells the two apart.
Failure RegistrationFailure(int error) {
  Failure failure = {
      .status = Status::kDeviceResources, .kind = DetailKind::kErrno, .detail = error};
  rlimit limit{};
  const bool limited = getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  if ((error == ENOMEM || error == EPERM) && limited) failure.status = Status::kMemoryLockLimit;
  return failure;
}

}  // namespace

std::unique_ptr<MemoryBlock> MemoryBlock::Create(const Library* library, ibv_pd* pd, size_t bytes,
                                                 Access access, std::atomic<uint64_t>* pinned_bytes,
                                                 Failure* failure) {
  std::unique_ptr<MemoryBlock> block(new MemoryBlock(library, pinned_bytes));
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t mapped = (bytes + page - 1) / page * page;
  void* mapping = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) {
    *failure = {.status = Status::kOutOfMemory, .kind = DetailKind::kErrno, .detail = errno};
    return nullptr;
  }
  block->mapping_ = mapping;
  block->mapped_bytes_ = mapped;
  const int flags =
      access == Access::kRemoteWrite ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0;
  errno = 0;
  block->registration_ = library->reg_mr(pd, mapping, bytes, flags);
  if (block->registration_ == nullptr) {
    *failure = RegistrationFailure(errno);
    return nullptr;
  }
  pinned_bytes->fetch_add(mapped, std::memory_order_relaxed);
  block->region_ = {.data = static_cast<std::byte*>(mapping),
                    .bytes = bytes,
                    .local_key = block->registration_->lkey,
                    .remote_key = block->registration_->rkey};
  return block;
}

MemoryBlock::~MemoryBlock() {
  if (registration_ != nullptr) {
    library_->dereg_mr(registration_);
    pinned_bytes_->fetch_sub(mapped_bytes_, std::memory_order_relaxed);
  }
  if (mapping_ != nullptr) munmap(mapping_, mapped_bytes_);
}

}  // namespace rdma_net::verbs
