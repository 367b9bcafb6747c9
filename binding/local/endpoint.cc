#include "local/endpoint.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "local/link.h"
#include "local/local_fabric.h"
#include "system/address.h"

namespace rdma_net::local {

using fabric::Access;
using fabric::Failure;
using fabric::Region;
using fabric::Status;

namespace {

/// What a peer may send without a word from us; lent without a limit, since a queue that is full
/// makes its producer wait.
constexpr uint32_t kReceiveRequests = 64;
/// Of no meaning where nothing is ever under way, but for being enough.
constexpr uint32_t kSendRequests = 64;
constexpr size_t kPortBytes = sizeof(uint16_t);
/// Members of a group come and go, but not that fast.
constexpr uint32_t kAsksMax = 8;

sockaddr_in* Ipv4(sockaddr_storage* address) {
  return reinterpret_cast<sockaddr_in*>(address);
}

fabric::Address Show(const sockaddr_storage& address, bool as_ipv6) {
  fabric::Address shown = system::FormatAddress(reinterpret_cast<const sockaddr*>(&address));
  if (as_ipv6 && !shown.ipv6) {
    shown.host.insert(0, "::ffff:");
    shown.ipv6 = true;
  }
  return shown;
}

}  // namespace

Endpoint::Endpoint(LocalFabric* fabric, Link* link, std::vector<std::string> names,
                   fabric::EndpointEvents* events, const ConnectionRequest& request,
                   bool shown_as_ipv6)
    : fabric_(fabric),
      link_(link),
      events_(events),
      number_(link->AddEnd(this)),
      phase_(Phase::kWaiting),
      names_(std::move(names)),
      shown_as_ipv6_(shown_as_ipv6),
      local_(request.local),
      remote_(request.remote) {
  fabric_->AddConnection();
  if (link->open()) OnLinkOpen();
}

Endpoint::Endpoint(LocalFabric* fabric, Link* link, uint32_t peer_number,
                   const ConnectionRequest& request, bool shown_as_ipv6)
    : fabric_(fabric),
      link_(link),
      events_(nullptr),
      number_(link->AddEnd(this)),
      peer_number_(peer_number),
      phase_(Phase::kRequested),
      shown_as_ipv6_(shown_as_ipv6),
      local_(request.remote),
      remote_(request.local) {
  fabric_->AddConnection();
  if (Ipv4(&remote_)->sin_port != 0) return;
  given_port_ = fabric_->TakePort();
  Ipv4(&remote_)->sin_port = htons(given_port_);
}

Endpoint::~Endpoint() = default;

// The handshake.

void Endpoint::OnLinkOpen() {
  if (phase_ != Phase::kWaiting || quiet_) return;
  if (link_->asks_first()) return Ask();
  Route();
}

void Endpoint::Route() {
  fabric_->Defer([weak = std::weak_ptr(self_)] {
    const std::shared_ptr<Endpoint*> self = weak.lock();
    if (self != nullptr && !(*self)->quiet_) (*self)->events_->OnRouted();
  });
}

void Endpoint::Ask() {
  if (++asked_ > kAsksMax) {
    phase_ = Phase::kWaiting;
    return Fail({.status = Status::kConnectionRejected});
  }
  phase_ = Phase::kAsking;
  link_->Say(MessageKind::kAsk, 0, number_, {});
}

bool Endpoint::OnGo(uint32_t seat) {
  if (phase_ != Phase::kAsking) return false;
  phase_ = Phase::kWaiting;
  if (quiet_) {
    link_->DropEnd(number_);
  } else if (seat == kHere) {
    Route();
  } else if (Link* link = fabric_->FindSeat(link_, seat); link != nullptr) {
    MoveTo(link);
  } else {
    // It has just gone, and whoever was asked is about to notice.
    Ask();
  }
  return true;
}

void Endpoint::MoveTo(Link* link) {
  link_->DropEnd(number_);
  link_->ForgetEndpoint(number_);
  link_ = link;
  number_ = link->AddEnd(this);
  if (link->open()) OnLinkOpen();
}

void Endpoint::StartOver() {
  phase_ = Phase::kWaiting;
  if (std::exchange(starting_over_, true)) return;
  // Not at once: this may be the end of the link that is being handled.
  fabric_->Defer([weak = std::weak_ptr(self_)] {
    const std::shared_ptr<Endpoint*> self = weak.lock();
    if (self != nullptr && !(*self)->quiet_) (*self)->FindOther();
  });
}

void Endpoint::FindOther() {
  starting_over_ = false;
  Failure failure;
  Link* link = fabric_->FindLink(names_, &failure);
  if (link == nullptr) return Fail(failure);
  MoveTo(link);
}

Failure Endpoint::Connect(std::span<const std::byte> data) {
  if (link_ == nullptr || !link_->open()) return {.status = Status::kConnectionRejected};
  const ConnectionRequest request = {
      .remote = remote_, .local = local_, .data = {data.begin(), data.end()}};
  phase_ = Phase::kConnecting;
  link_->Say(MessageKind::kConnect, 0, number_, EncodeRequest(request));
  return {};
}

bool Endpoint::OnAccept(std::span<const std::byte> payload) {
  if (phase_ != Phase::kConnecting || payload.size() < kPortBytes) return false;
  std::memcpy(&Ipv4(&local_)->sin_port, payload.data(), kPortBytes);
  phase_ = Phase::kAnswered;
  if (!quiet_) events_->OnResponse(payload.subspan(kPortBytes));
  return true;
}

void Endpoint::OnReject(Status status) {
  const auto code = static_cast<int32_t>(status);
  const bool known = code >= static_cast<int32_t>(Status::kConnectionRefused) &&
                     code <= static_cast<int32_t>(Status::kPeerLimit);
  if (phase_ == Phase::kAsking && status == Status::kConnectionRefused && asked_ < kAsksMax) {
    return StartOver();
  }
  phase_ = Phase::kEnded;
  Fail({.status = known ? status : Status::kConnectionRejected});
}

Failure Endpoint::Establish() {
  if (phase_ != Phase::kAnswered) return {.status = Status::kNotConnected};
  phase_ = Phase::kOpen;
  link_->SayToPeer(number_, MessageKind::kEstablished, 0, {});
  return {};
}

Failure Endpoint::Accept(std::span<const std::byte> data) {
  if (phase_ != Phase::kRequested) return {.status = Status::kNotConnected};
  std::vector<std::byte> payload(kPortBytes + data.size());
  std::memcpy(payload.data(), &Ipv4(&remote_)->sin_port, kPortBytes);
  std::copy(data.begin(), data.end(), payload.begin() + kPortBytes);
  phase_ = Phase::kAccepting;
  link_->SetPeer(number_, peer_number_);
  link_->SayToPeer(number_, MessageKind::kAccept, number_, payload);
  return {};
}

bool Endpoint::OnEstablished() {
  if (phase_ == Phase::kEnded) return true;
  if (phase_ != Phase::kAccepting) return false;
  phase_ = Phase::kOpen;
  if (!quiet_) events_->OnEstablished();
  return true;
}

void Endpoint::Fail(Failure failure) {
  if (!quiet_) events_->OnConnectFailed(failure);
}

// Traffic.

Failure Endpoint::Post(const fabric::WriteRequest& request) {
  if (link_ == nullptr) return {.status = Status::kConnectionReset};
  return link_->Write(number_, request);
}

Failure Endpoint::Ring() {
  if (link_ != nullptr) link_->Ring();
  return {};
}

bool Endpoint::posts_at_once() const {
  return fabric_->posts_at_once();
}

bool Endpoint::TakeRoom() {
  return link_ != nullptr && link_->TakeRoom(number_);
}

void Endpoint::OnData(uint32_t immediate, uint32_t bytes) {
  if (!quiet_) events_->OnMessage(immediate, bytes);
}

void Endpoint::OnRoom() {
  if (!quiet_ && phase_ == Phase::kOpen) events_->OnRoom();
}

void Endpoint::OnPeerEnded() {
  phase_ = Phase::kEnded;
  if (!quiet_) events_->OnDisconnected();
}

void Endpoint::OnLinkLost(Failure failure) {
  const bool undecided = phase_ == Phase::kAsking || (phase_ == Phase::kWaiting && asked_ > 0);
  if (undecided && !quiet_ && asked_ < kAsksMax) return StartOver();
  const Phase before = std::exchange(phase_, Phase::kEnded);
  if (quiet_ || before == Phase::kEnded) return;
  if (before == Phase::kOpen) {
    if (failure.status == Status::kConnectionReset) return events_->OnDisconnected();
    return events_->OnBroken(failure);
  }
  if (before == Phase::kRequested || before == Phase::kAccepting) return events_->OnDisconnected();
  events_->OnConnectFailed(failure);
}

// Memory.

Failure Endpoint::Allocate(size_t bytes, Access access, Region* region) {
  if (access == Access::kSend) {
    SendMemory memory = fabric_->send_pool()->Take(bytes);
    if (memory.data() == nullptr) return {.status = Status::kOutOfMemory};
    *region = {.data = memory.data(), .bytes = bytes};
    send_memory_.push_back(std::move(memory));
    return {};
  }
  if (link_ == nullptr) return {.status = Status::kConnectionReset};
  const bool fits = fabric_->HasMemory(bytes, link_->has_memory(number_));
  const std::span<std::byte> memory =
      fits ? link_->Allocate(number_, bytes) : std::span<std::byte>();
  if (memory.empty()) {
    // If it is a request that has to be rejected for it, the peer is told so.
    rejection_ = Status::kPeerLimit;
    return {.status = Status::kPinnedLimit};
  }
  *region = {.data = memory.data(), .bytes = memory.size()};
  return {};
}

void Endpoint::Free(const Region& region) {
  const auto found =
      std::find_if(send_memory_.begin(), send_memory_.end(),
                   [&region](const SendMemory& memory) { return memory.data() == region.data; });
  if (found != send_memory_.end()) {
    fabric_->send_pool()->Give(std::move(*found));
    send_memory_.erase(found);
  } else if (link_ != nullptr) {
    link_->Free(number_, region.data);
  }
}

Failure Endpoint::Expose(fabric::Slab*, uint32_t*) {
  return {.status = Status::kInvalidArgument};
}

Failure Endpoint::Revoke(fabric::Slab*, uint64_t) {
  return {.status = Status::kInvalidArgument};
}

uint32_t Endpoint::TakeCredits(uint32_t count) {
  return count;
}

// The end.

void Endpoint::Abort() {
  if (std::exchange(quiet_, true) || link_ == nullptr) return;
  if (phase_ == Phase::kRequested) {
    link_->Say(MessageKind::kReject, peer_number_, static_cast<uint32_t>(rejection_), {});
    link_->DropEnd(number_);
  } else if (phase_ == Phase::kWaiting) {
    link_->DropEnd(number_);
  } else {
    link_->CloseEnd(number_);
  }
}

void Endpoint::Release() {
  if (std::exchange(released_, true)) return;
  Abort();
  // From here on nothing but the link's own book-keeping refers to the memory.
  std::exchange(link_, nullptr)->ForgetEndpoint(number_);
  for (SendMemory& memory : send_memory_) fabric_->send_pool()->Give(std::move(memory));
  send_memory_.clear();
  fabric_->RemoveConnection();
  if (given_port_ != 0) fabric_->GivePort(given_port_);
  fabric_->Defer([this] { events_->OnReleased(); });
}

// What it is.

uint32_t Endpoint::send_requests_max() const {
  return kSendRequests;
}

uint32_t Endpoint::receive_requests() const {
  return kReceiveRequests;
}

fabric::Address Endpoint::local_address() const {
  return Show(local_, shown_as_ipv6_);
}

fabric::Address Endpoint::remote_address() const {
  return Show(remote_, shown_as_ipv6_);
}

fabric::EndpointInfo Endpoint::info() const {
  fabric::EndpointInfo info;
  info.device = "shm";
  return info;
}

}  // namespace rdma_net::local
