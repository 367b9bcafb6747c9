#include "verbs/memory_block.h"

#include <cerrno>

#include "verbs/failures.h"

namespace rdma_net::verbs {

using fabric::Access;
using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;

std::unique_ptr<MemoryBlock> MemoryBlock::Create(const Library* library, ibv_pd* pd, size_t bytes,
                                                 Access access, Budget* budget, Failure* failure) {
  std::unique_ptr<MemoryBlock> block(new MemoryBlock(library, budget));
  const size_t whole = Mapping::WholePages(bytes);
  *failure = budget->Pin(whole);
  if (!failure->ok()) return nullptr;
  block->charged_bytes_ = whole;
  block->mapping_ = Mapping::Create(bytes);
  if (block->mapping_ == nullptr) {
    *failure = {.status = Status::kOutOfMemory, .kind = DetailKind::kErrno, .detail = errno};
    return nullptr;
  }
  std::byte* data = block->mapping_->memory().data();
  const int flags =
      access == Access::kRemoteWrite ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0;
  errno = 0;
  block->registration_ = library->reg_mr(pd, data, bytes, flags);
  if (block->registration_ == nullptr) {
    *failure = FailureOfRegistration(errno);
    return nullptr;
  }
  block->region_ = {.data = data,
                    .bytes = bytes,
                    .local_key = block->registration_->lkey,
                    .remote_key = block->registration_->rkey};
  return block;
}

MemoryBlock::~MemoryBlock() {
  if (registration_ != nullptr) library_->dereg_mr(registration_);
  budget_->Unpin(charged_bytes_);
}

}  // namespace rdma_net::verbs
