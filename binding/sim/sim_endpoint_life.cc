#include <algorithm>
#include <utility>

#include "sim/sim_endpoint.h"
#include "sim/sim_fabric.h"

/// The handshake of a simulated endpoint, and its end.
namespace rdma_net::sim {

using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;

namespace {

constexpr uint32_t kHalf = 1U << 19;

}  // namespace

void SimEndpoint::Happen(LifeEvent event, Failure failure, std::vector<std::byte> data) {
  if (quiet_ && event != LifeEvent::kReleased) return;
  pending_.push_back({.event = event, .failure = failure, .data = std::move(data)});
  Update();
}

void SimEndpoint::FailHandshake(Status status) {
  Happen(LifeEvent::kConnectFailed, {.status = status});
}

Failure SimEndpoint::Connect(std::span<const std::byte> data) {
  if (data.size() > fabric::kRequestDataBytesMax) fabric_->Error("too much connection data");
  if (fabric_->removed_) return {.status = Status::kDeviceRemoved};
  if (fabric_->HandshakeFails()) {
    return {.status = Status::kDeviceResources, .kind = DetailKind::kErrno, .detail = 12};
  }
  life_ = Life::kConnecting;
  Happen(LifeEvent::kRequest, {}, fabric_->Padded(data, fabric::kRequestDataBytesMax));
  return {};
}

void SimEndpoint::ReachListener(const std::vector<std::byte>& data) {
  if (fabric_->HandshakeFails()) return FailHandshake(Status::kHostUnreachable);
  const auto listener = fabric_->listeners_.find(target_port_);
  if (listener == fabric_->listeners_.end()) return FailHandshake(Status::kConnectionRefused);
  if (fabric_->endpoints_.size() >= fabric_->options_.queue_pairs_max) {
    return FailHandshake(Status::kConnectionRejected);
  }
  auto passive = std::make_unique<SimEndpoint>(fabric_, nullptr);
  passive->life_ = Life::kRequested;
  passive->peer_ = this;
  peer_ = passive.get();
  listener->second->events()->OnRequest(std::move(passive), data);
}

Failure SimEndpoint::Accept(std::span<const std::byte> data) {
  if (data.size() > fabric::kResponseDataBytesMax) fabric_->Error("too much connection data");
  if (life_ != Life::kRequested) fabric_->Error("accepted in a wrong state");
  if (fabric_->removed_) return {.status = Status::kDeviceRemoved};
  if (peer_ == nullptr || fabric_->HandshakeFails()) return {.status = Status::kConnectionReset};
  life_ = Life::kAccepting;
  open_ = true;
  if (fabric_->HandshakeFails()) {
    // The answer gets lost, and both have waited long enough.
    broken_ = true;
    SimEndpoint* peer = std::exchange(peer_, nullptr);
    peer->peer_ = nullptr;
    peer->FailHandshake(Status::kTimedOut);
    FailHandshake(Status::kTimedOut);
    return {};
  }
  peer_->Happen(LifeEvent::kResponse, {}, fabric_->Padded(data, fabric::kResponseDataBytesMax));
  return {};
}

Failure SimEndpoint::Establish() {
  if (life_ != Life::kAnswered) fabric_->Error("established in a wrong state");
  if (peer_ == nullptr || fabric_->HandshakeFails()) return {.status = Status::kConnectionReset};
  life_ = Life::kOpen;
  open_ = true;
  peer_->Happen(LifeEvent::kEstablished);
  UpdateBoth();
  return {};
}

void SimEndpoint::RunLife() {
  const Pending pending = std::move(pending_.front());
  pending_.pop_front();
  if (pending.event == LifeEvent::kReleased) return FinishRelease();
  Handle(pending);
  UpdateBoth();
}

void SimEndpoint::Handle(const Pending& pending) {
  switch (pending.event) {
    case LifeEvent::kRouted:
      if (fabric_->removed_) return FailHandshake(Status::kDeviceRemoved);
      if (fabric_->HandshakeFails()) return FailHandshake(Status::kNoRoute);
      return events_->OnRouted();
    case LifeEvent::kRequest:
      return ReachListener(pending.data);
    case LifeEvent::kResponse:
      life_ = Life::kAnswered;
      return events_->OnResponse(pending.data);
    case LifeEvent::kEstablished:
      // The active side's last word may be lost, if nothing else of it has come.
      if (!heard_ && arrived_.empty() && fabric_->HandshakeFails()) {
        broken_ = true;
        return FailHandshake(Status::kTimedOut);
      }
      life_ = Life::kOpen;
      return events_->OnEstablished();
    case LifeEvent::kConnectFailed:
      return events_->OnConnectFailed(pending.failure);
    case LifeEvent::kBroken:
      return events_->OnBroken(pending.failure);
    case LifeEvent::kDisconnected:
      return events_->OnDisconnected();
    case LifeEvent::kReleased:
      return;
  }
}

void SimEndpoint::TellPeer() {
  SimEndpoint* peer = std::exchange(peer_, nullptr);
  if (peer == nullptr) return;
  peer->peer_ = nullptr;
  if (peer->broken_ && peer->life_ != Life::kOpen) return peer->Update();
  if (peer->life_ == Life::kOpen || peer->heard_ || life_ == Life::kOpen) {
    // That it was established is then no news any more.
    if (fabric_->scheduler_.Chance(kHalf)) {
      std::erase_if(peer->pending_,
                    [](const Pending& next) { return next.event == LifeEvent::kEstablished; });
    }
    return peer->Happen(LifeEvent::kDisconnected);
  }
  if (peer->life_ == Life::kRequested) return;
  if (fabric_->scheduler_.Chance(kHalf)) peer->pending_.clear();
  peer->FailHandshake(Status::kConnectionRejected);
}

void SimEndpoint::LoseDevice() {
  if (quiet_) return;
  broken_ = true;
  peer_ = nullptr;
  wire_.clear();
  arrived_.clear();
  sent_.clear();
  pending_.clear();
  if (life_ == Life::kOpen || heard_) {
    Happen(LifeEvent::kBroken, {.status = Status::kDeviceRemoved});
  } else if (life_ != Life::kRequested) {
    FailHandshake(Status::kDeviceRemoved);
  }
  Update();
}

void SimEndpoint::Abort() {
  if (std::exchange(quiet_, true)) return;
  wire_.clear();
  arrived_.clear();
  sent_.clear();
  pending_.clear();
  TellPeer();
  Update();
}

void SimEndpoint::Release() {
  Abort();
  if (std::exchange(released_, true)) return fabric_->Error("an endpoint was released twice");
  Happen(LifeEvent::kReleased);
}

void SimEndpoint::FinishRelease() {
  for (const uint32_t key : exposed_) {
    if (fabric_->options_.hostile_end) fabric_->memory_.Scribble(key);
    fabric_->memory_.Conceal(key);
  }
  exposed_.clear();
  for (const uint32_t key : regions_) fabric_->memory_.Free(key);
  regions_.clear();
  fabric_->shared_receives_ += std::exchange(borrowed_, 0);
  // Last: the owner destroys this endpoint.
  events_->OnReleased();
}

}  // namespace rdma_net::sim
