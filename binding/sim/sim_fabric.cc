#include "sim/sim_fabric.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace rdma_net::sim {

using fabric::Access;
using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;

SimFabric::SimFabric(const SimOptions& options) : options_(options), generator_(options.seed) {}

SimFabric::~SimFabric() = default;

uint32_t SimFabric::Random(uint32_t below) {
  return static_cast<uint32_t>(generator_() % below);
}

bool SimFabric::Chance(uint32_t per_million) {
  return per_million > 0 && (generator_() & 0xfffff) < per_million;
}

bool SimFabric::Step() {
  auto choices = static_cast<uint32_t>(events_.size());
  for (const SimEndpoint* endpoint : active_) choices += endpoint->Runnable();
  if (choices == 0) return false;
  uint32_t choice = Random(choices);
  if (choice < events_.size()) {
    const std::function<void()> event = std::move(events_[choice]);
    events_.erase(events_.begin() + choice);
    event();
    return true;
  }
  choice -= static_cast<uint32_t>(events_.size());
  for (SimEndpoint* endpoint : active_) {
    const uint32_t runnable = endpoint->Runnable();
    if (choice < runnable) {
      endpoint->Run(choice);
      return true;
    }
    choice -= runnable;
  }
  return true;
}

bool SimFabric::Poll(uint32_t budget) {
  for (uint32_t n = 0; n < budget; n++) {
    if (!Step()) return false;
  }
  return true;
}

std::unique_ptr<fabric::Endpoint> SimFabric::Connect(const fabric::Target& target,
                                                     fabric::EndpointEvents* events,
                                                     Failure* failure) {
  *failure = {};
  auto endpoint = std::make_unique<SimEndpoint>(this, events);
  endpoint->target_port_ = target.remote.port;
  endpoint->Later([endpoint = endpoint.get()] { endpoint->events_->OnRouted(); });
  return endpoint;
}

std::unique_ptr<fabric::Listener> SimFabric::Listen(const fabric::Address& address, int,
                                                    fabric::ListenerEvents* events,
                                                    Failure* failure) {
  *failure = {};
  auto listener = std::make_unique<SimListener>(this, address.port, events);
  listeners_[address.port] = listener.get();
  Schedule([events] { events->OnListening(); });
  return listener;
}

void SimListener::Release() {
  fabric_->listeners_.erase(port_);
  fabric_->Schedule([events = events_] { events->OnListenerReleased(); });
}

fabric::FabricStats SimFabric::stats() const {
  return {.pinned_bytes = 0, .completions = completions_, .queue_pairs = live_endpoints_};
}

std::byte* SimFabric::Resolve(uint32_t key, uint64_t address, uint64_t bytes, bool remote) {
  const auto found = memory_.find(key);
  if (found == memory_.end() || (remote && !found->second.remote)) return nullptr;
  const Memory& memory = found->second;
  const auto start = reinterpret_cast<uint64_t>(memory.data.get());
  if (address < start || bytes > memory.bytes || address - start > memory.bytes - bytes) {
    return nullptr;
  }
  return memory.data.get() + (address - start);
}

SimEndpoint::SimEndpoint(SimFabric* fabric, fabric::EndpointEvents* events)
    : fabric_(fabric),
      events_(events),
      receives_(fabric->options_.receive_requests + fabric->options_.control_receives) {
  fabric_->active_.push_back(this);
  fabric_->live_endpoints_++;
}

SimEndpoint::~SimEndpoint() {
  std::erase(fabric_->active_, this);
  fabric_->live_endpoints_--;
}

void SimEndpoint::Later(std::function<void()> event) {
  fabric_->Schedule([this, event = std::move(event), alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired() && !quiet_) event();
  });
}

Failure SimEndpoint::Connect(std::span<const std::byte> data) {
  Later([this, data = std::vector(data.begin(), data.end())] {
    const auto listener = fabric_->listeners_.find(target_port_);
    if (listener == fabric_->listeners_.end()) {
      events_->OnConnectFailed({.status = Status::kConnectionRefused});
      return;
    }
    auto passive = std::make_unique<SimEndpoint>(fabric_, nullptr);
    passive->peer_ = this;
    peer_ = passive.get();
    listener->second->events()->OnRequest(std::move(passive), data);
  });
  return {};
}

Failure SimEndpoint::Accept(std::span<const std::byte> data) {
  if (peer_ == nullptr) return {.status = Status::kConnectionReset};
  open_ = true;
  peer_->Later([peer = peer_, data = std::vector(data.begin(), data.end())] {
    peer->events_->OnResponse(data);
  });
  return {};
}

Failure SimEndpoint::Establish() {
  if (peer_ == nullptr) return {.status = Status::kConnectionReset};
  open_ = true;
  peer_->Later([peer = peer_] { peer->events_->OnEstablished(); });
  return {};
}

Failure SimEndpoint::Post(const fabric::WriteRequest& request) {
  if (broken_) return {};
  if (++in_use_ > fabric_->options_.send_requests) fabric_->Error("the send queue overran");
  Posted posted = {.request = request, .inline_data = {}};
  if (request.place_inline) {
    for (const fabric::Segment& segment : request.segments) {
      if (segment.bytes == 0) continue;
      posted.inline_data.insert(posted.inline_data.end(), segment.data,
                                segment.data + segment.bytes);
    }
    if (posted.inline_data.size() > fabric_->options_.inline_bytes) {
      fabric_->Error("too many bytes for an inline request");
    }
  }
  wire_.push_back(std::move(posted));
  return {};
}

Failure SimEndpoint::Allocate(size_t bytes, Access access, fabric::Region* region) {
  if (fabric_->Chance(fabric_->options_.allocation_errors)) {
    return {.status = Status::kMemoryLockLimit};
  }
  const uint32_t key = fabric_->next_key_++;
  auto data = std::make_unique<std::byte[]>(bytes);
  *region = {.data = data.get(), .bytes = bytes, .local_key = key, .remote_key = key};
  fabric_->memory_[key] = {.data = std::move(data),
                           .bytes = bytes,
                           .remote = access == Access::kRemoteWrite,
                           .owner = this};
  return {};
}

void SimEndpoint::Free(const fabric::Region& region) {
  fabric_->memory_.erase(region.local_key);
}

uint32_t SimEndpoint::Runnable() const {
  const bool deliverable = !wire_.empty() && open_ && peer_ != nullptr &&
                           (peer_->open_ || peer_->quiet_) &&
                           (peer_->receives_ > 0 || peer_->quiet_);
  return static_cast<uint32_t>(deliverable) + static_cast<uint32_t>(!arrived_.empty()) +
         static_cast<uint32_t>(!sent_.empty()) +
         static_cast<uint32_t>(disconnect_pending_ && arrived_.empty());
}

void SimEndpoint::Run(uint32_t choice) {
  if (disconnect_pending_ && arrived_.empty() && choice-- == 0) {
    disconnect_pending_ = false;
    if (!quiet_) events_->OnDisconnected();
    return;
  }
  if (!arrived_.empty() && choice-- == 0) return ReportMessage();
  if (!sent_.empty() && choice-- == 0) return ReportSent();
  Deliver();
}

void SimEndpoint::Deliver() {
  const Posted posted = std::move(wire_.front());
  wire_.pop_front();
  const fabric::WriteRequest& request = posted.request;
  if (peer_->quiet_) return Break({.status = Status::kRetriesExceeded});
  if (fabric_->Chance(fabric_->options_.completion_errors)) {
    return Break({.status = Status::kLocalError, .kind = DetailKind::kCompletionStatus});
  }
  uint32_t bytes = 0;
  for (const fabric::Segment& segment : request.segments) bytes += segment.bytes;
  if (bytes > 0) {
    std::byte* target = fabric_->Resolve(request.remote_key, request.remote_address, bytes, true);
    if (target == nullptr) return Break({.status = Status::kRemoteAccess});
    if (request.place_inline) {
      std::memcpy(target, posted.inline_data.data(), bytes);
    } else {
      for (const fabric::Segment& segment : request.segments) {
        if (segment.bytes == 0) continue;
        if (fabric_->Resolve(segment.local_key, reinterpret_cast<uint64_t>(segment.data),
                             segment.bytes, false) == nullptr) {
          fabric_->Error("a request reads memory that is not registered");
          return Break({.status = Status::kLocalError});
        }
        std::memcpy(target, segment.data, segment.bytes);
        target += segment.bytes;
      }
    }
  }
  peer_->receives_--;
  peer_->arrived_.push_back({.immediate = request.immediate, .bytes = bytes});
  sent_.push_back(request.token);
}

void SimEndpoint::ReportMessage() {
  const Arrived arrived = arrived_.front();
  arrived_.pop_front();
  receives_++;
  fabric_->completions_++;
  if (!quiet_) events_->OnMessage(arrived.immediate, arrived.bytes);
}

void SimEndpoint::ReportSent() {
  const uint64_t token = sent_.front();
  sent_.pop_front();
  in_use_--;
  fabric_->completions_++;
  if (!quiet_) events_->OnSent(token);
}

void SimEndpoint::Break(Failure failure) {
  broken_ = true;
  wire_.clear();
  Later([this, failure] { events_->OnBroken(failure); });
}

void SimEndpoint::TellPeer() {
  SimEndpoint* peer = std::exchange(peer_, nullptr);
  if (peer == nullptr) return;
  peer->peer_ = nullptr;
  // What this end still had on the wire is lost; what the peer had posted fails.
  if (peer->open_) {
    peer->disconnect_pending_ = true;
    peer->wire_.clear();
  } else {
    peer->Later(
        [peer] { peer->events_->OnConnectFailed({.status = Status::kConnectionRejected}); });
  }
}

void SimEndpoint::Abort() {
  if (std::exchange(quiet_, true)) return;
  wire_.clear();
  TellPeer();
}

void SimEndpoint::Release() {
  Abort();
  if (std::exchange(released_, true)) return fabric_->Error("an endpoint was released twice");
  fabric_->Schedule([this] {
    std::erase_if(fabric_->memory_,
                  [this](const auto& entry) { return entry.second.owner == this; });
    // Last: the owner destroys this endpoint.
    events_->OnReleased();
  });
}

uint32_t SimEndpoint::send_requests_max() const {
  return fabric_->options_.send_requests;
}

uint32_t SimEndpoint::receive_requests() const {
  return fabric_->options_.receive_requests;
}

uint32_t SimEndpoint::inline_bytes_max() const {
  return fabric_->options_.inline_bytes;
}

}  // namespace rdma_net::sim
