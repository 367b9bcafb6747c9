#include "planted_fabric.h"

#include <algorithm>
#include <utility>

#include "stream/wire.h"

namespace simulation {

using fabric::Failure;
using stream::wire::EncodeImmediate;
using stream::wire::Operation;

/// Puts a PlantedEndpoint around those of incoming requests.
class PlantedFabric::RequestWrapper final : public fabric::ListenerEvents {
 public:
  RequestWrapper(PlantedFabric* owner, fabric::ListenerEvents* events)
      : owner_(owner), events_(events) {}

  void OnListening() override { events_->OnListening(); }
  void OnListenFailed(Failure failure) override { events_->OnListenFailed(failure); }
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    auto planted = std::make_unique<PlantedEndpoint>(owner_, nullptr);
    endpoint->Attach(planted.get());
    planted->SetInner(std::move(endpoint));
    events_->OnRequest(std::move(planted), data);
  }
  void OnListenerReleased() override { events_->OnListenerReleased(); }

 private:
  PlantedFabric* owner_;
  fabric::ListenerEvents* events_;
};

PlantedFabric::PlantedFabric(sim::SimFabric* inner, uint64_t seed, Bug bug, bool hostile)
    : inner_(inner), random_(seed), bug_(bug), hostile_(hostile) {}

PlantedFabric::~PlantedFabric() = default;

bool PlantedFabric::Poll(uint32_t budget) {
  if (!endpoints_.empty()) endpoints_[random_() % endpoints_.size()]->Misbehave();
  return inner_->Poll(budget);
}

std::unique_ptr<fabric::Endpoint> PlantedFabric::Connect(const fabric::Target& target,
                                                         fabric::EndpointEvents* events,
                                                         Failure* failure) {
  auto planted = std::make_unique<PlantedEndpoint>(this, events);
  auto inner = inner_->Connect(target, planted.get(), failure);
  if (inner == nullptr) return nullptr;
  planted->SetInner(std::move(inner));
  return planted;
}

std::unique_ptr<fabric::Listener> PlantedFabric::Listen(const fabric::Address& address,
                                                        const fabric::ListenOptions& options,
                                                        fabric::ListenerEvents* events,
                                                        Failure* failure) {
  wrappers_.push_back(std::make_unique<RequestWrapper>(this, events));
  return inner_->Listen(address, options, wrappers_.back().get(), failure);
}

PlantedEndpoint::PlantedEndpoint(PlantedFabric* owner, fabric::EndpointEvents* events)
    : owner_(owner), events_(events) {
  owner_->endpoints_.push_back(this);
}

PlantedEndpoint::~PlantedEndpoint() {
  std::erase(owner_->endpoints_, this);
}

Failure PlantedEndpoint::Post(const fabric::WriteRequest& request) {
  const auto message = stream::wire::DecodeImmediate(request.immediate);
  if (message->operation == Operation::kData) {
    const uint32_t bytes = request.segments[0].bytes + request.segments[1].bytes;
    written_.push_back({request.remote_address, request.remote_key, bytes});
  }
  if (message->operation != Operation::kBufferUpdate || owner_->bug_ != Bug::kLostCredit) {
    return inner_->Post(request);
  }
  // What was granted once cannot be taken back: at worst the peer gets nothing new.
  const uint16_t before = limit_.value_or(static_cast<uint16_t>(receive_requests()));
  const auto granted = static_cast<uint16_t>(message->value - credits_lost_ - 1);
  const bool goes_back = static_cast<int16_t>(static_cast<uint16_t>(granted - before)) < 0;
  if (!goes_back) credits_lost_++;
  limit_ = goes_back ? before : granted;
  fabric::WriteRequest changed = request;
  changed.immediate = EncodeImmediate(Operation::kBufferUpdate, *limit_);
  return inner_->Post(changed);
}

fabric::SlabRef PlantedEndpoint::TakeSlab(fabric::SlabSize size) {
  if (again_ && owner_->OneIn(2)) return std::exchange(again_, {});
  fabric::SlabRef slab = inner_->TakeSlab(size);
  if (owner_->bug_ == Bug::kDoubleRelease) again_ = slab;
  return slab;
}

Failure PlantedEndpoint::Revoke(fabric::Slab* slab, uint64_t token) {
  if (owner_->bug_ == Bug::kEarlyRevoke) early_.push_back(token);
  return inner_->Revoke(slab, token);
}

void PlantedEndpoint::AwaitSent() {
  if (owner_->bug_ != Bug::kLostAwait) inner_->AwaitSent();
}

void PlantedEndpoint::OnSent(uint64_t token) {
  if (const auto found = std::find(reported_.begin(), reported_.end(), token);
      found != reported_.end()) {
    reported_.erase(found);
    // What the engine has asked for is still to come.
    inner_->AwaitSent();
    return;
  }
  // Tokens need not differ.
  if (const auto found = std::find(early_.begin(), early_.end(), token); found != early_.end()) {
    early_.erase(found);
  }
  events_->OnSent(token);
}

void PlantedEndpoint::Misbehave() {
  if (!early_.empty()) {
    const uint64_t token = early_.front();
    early_.erase(early_.begin());
    reported_.push_back(token);
    return events_->OnSent(token);
  }
  if (!owner_->hostile_ || written_.empty() || !owner_->OneIn(16)) return;
  const Written& target = written_[owner_->random_() % written_.size()];
  static_cast<sim::SimEndpoint*>(inner_.get())->Scribble(target.address, target.key, target.bytes);
}

void PlantedEndpoint::Abort() {
  early_.clear();
  again_ = {};
  inner_->Abort();
}

void PlantedEndpoint::Release() {
  early_.clear();
  again_ = {};
  written_.clear();
  inner_->Release();
}

}  // namespace simulation
