#include <algorithm>
#include <utility>

#include "verbs/endpoint.h"
#include "verbs/verbs_fabric.h"

// What an endpoint sends, and the memory that it has.

namespace rdma_net::verbs {

using fabric::Access;
using fabric::Failure;

Failure Endpoint::Post(const fabric::WriteRequest& request) {
  TakeChain();
  return queue_pair_->Post(request);
}

void Endpoint::TakeChain() {
  const ibv_qp* owner = device_->chain()->owner();
  if (owner != nullptr && owner->qp_num != queue_pair_->number()) {
    device_->RingFor(owner->qp_num);
  }
}

Failure Endpoint::Ring() {
  if (!device_->delivering()) return queue_pair_->Ring();
  if (!std::exchange(rings_later_, true)) device_->RingLater(queue_pair_->number());
  return {};
}

void Endpoint::RingAhead() {
  if (ring_failure_.ok()) ring_failure_ = queue_pair_->Ring();
}

void Endpoint::RingNow() {
  rings_later_ = false;
  RingAhead();
  if (!quiet_ && !ring_failure_.ok()) events_->OnBroken(ring_failure_);
}

void Endpoint::AwaitSent() {
  if (!std::exchange(awaits_sent_, true)) group_->BeginAwaiting();
}

void Endpoint::EndAwaiting() {
  if (std::exchange(awaits_sent_, false)) group_->EndAwaiting();
}

Failure Endpoint::Allocate(size_t bytes, Access access, fabric::Region* region) {
  Failure failure;
  const bool pooled = access == Access::kSend && bytes == device_->options().send_bytes;
  std::unique_ptr<MemoryBlock> block =
      pooled ? device_->TakeSendMemory(&failure)
             : MemoryBlock::Create(&fabric_->library(), device_->pd(), bytes, access,
                                   device_->budget(), &failure);
  if (block == nullptr) return failure;
  *region = block->region();
  (pooled ? send_memory_ : receive_memory_).push_back(std::move(block));
  return {};
}

void Endpoint::Free(const fabric::Region& region) {
  const auto is_it = [&region](const auto& block) { return block->region().data == region.data; };
  const auto found = std::find_if(send_memory_.begin(), send_memory_.end(), is_it);
  if (found == send_memory_.end()) {
    std::erase_if(receive_memory_, is_it);
    return;
  }
  device_->GiveSendMemory(std::move(*found));
  send_memory_.erase(found);
}

bool Endpoint::can_revoke() const {
  return device_ != nullptr && device_->slabs().can_revoke();
}

bool Endpoint::has_slab(fabric::SlabSize size) const {
  return device_ != nullptr && device_->slabs().HasSlab(size);
}

fabric::SlabRef Endpoint::TakeSlab(fabric::SlabSize size) {
  return device_ == nullptr ? fabric::SlabRef() : device_->slabs().Take(size);
}

Failure Endpoint::Expose(fabric::Slab* slab, uint32_t* remote_key) {
  TakeChain();
  return queue_pair_->Expose(slab, remote_key);
}

Failure Endpoint::Revoke(fabric::Slab* slab, uint64_t token) {
  TakeChain();
  return queue_pair_->Revoke(slab, token);
}

fabric::SlabRef Endpoint::FindSlab(std::span<const std::byte> bytes) const {
  return device_ == nullptr ? fabric::SlabRef() : device_->slabs().Find(bytes);
}

std::optional<uint32_t> Endpoint::LocalKey(const fabric::Registration& registration) const {
  if (device_ == nullptr) return std::nullopt;
  // There are no others on a verbs fabric.
  return static_cast<const OwnedRegistration&>(registration).LocalKey(device_->id());
}

uint32_t Endpoint::TakeCredits(uint32_t count) {
  const uint32_t taken = group_ == nullptr ? 0 : group_->TakeReceives(count);
  credits_taken_ += taken;
  return taken;
}

}  // namespace rdma_net::verbs
