#include "sim/sim_endpoint.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sim/sim_fabric.h"

namespace rdma_net::sim {

using fabric::Access;
using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;

namespace {

constexpr uint32_t kHalf = 1U << 19;

/// Of the memory that a request is sent from.
uint64_t Checksum(const fabric::WriteRequest& request) {
  uint64_t sum = 0;
  if (request.place_inline) return sum;
  for (const fabric::Segment& segment : request.segments) {
    const std::byte* at = segment.data;
    size_t left = segment.bytes;
    for (uint64_t word = 0; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
      std::memcpy(&word, at, sizeof(word));
      sum = (sum ^ word) * 0x9e3779b97f4a7c15;
    }
    for (; left > 0; left--) sum = (sum ^ static_cast<uint64_t>(*at++)) * 0x9e3779b97f4a7c15;
  }
  return sum;
}

}  // namespace

SimEndpoint::SimEndpoint(SimFabric* fabric, fabric::EndpointEvents* events)
    : fabric_(fabric),
      number_(fabric->endpoints_made_++),
      events_(events),
      receives_(int64_t{fabric->options_.receive_requests} + fabric->options_.control_receives) {
  fabric_->endpoints_[number_] = this;
}

SimEndpoint::~SimEndpoint() {
  for (Lane* lane : {&wire_lane_, &arrived_lane_, &sent_lane_, &life_lane_, &stall_lane_}) {
    fabric_->scheduler_.SetReady(lane, false);
  }
  fabric_->endpoints_.erase(number_);
}

void SimEndpoint::Update() {
  Scheduler& scheduler = fabric_->scheduler_;
  const Kind next = wire_.empty() ? Kind::kMessage : wire_.front().kind;
  const bool received = peer_ == nullptr || peer_->broken_ ||
                        (peer_->open_ && (peer_->receives_ > 0 || next == Kind::kSilent));
  const bool moves = next == Kind::kRevoke || (received && !vanished_);
  scheduler.SetReady(&wire_lane_, open_ && !stalled_ && !wire_.empty() && moves);
  scheduler.SetReady(&stall_lane_, stalled_ && !wire_.empty());
  scheduler.SetReady(&arrived_lane_, !arrived_.empty());
  // A failure is behind all that came before it, in either direction.
  const bool failed = !sent_.empty() && sent_.back().kind == Kind::kFailure;
  scheduler.SetReady(&sent_lane_, !sent_.empty() && (awaits_sent_ || failed) &&
                                      (sent_.front().kind != Kind::kFailure || arrived_.empty()));
  const bool last = !pending_.empty() && (pending_.front().event == LifeEvent::kDisconnected);
  scheduler.SetReady(&life_lane_, !pending_.empty() && (!last || arrived_.empty()));
}

void SimEndpoint::UpdateBoth() {
  Update();
  if (peer_ != nullptr) peer_->Update();
}

// What the engine posts.

Failure SimEndpoint::Post(const fabric::WriteRequest& request) {
  if (released_) fabric_->Error("something was posted after the release");
  if (fabric_->scheduler_.Chance(fabric_->options_.post_errors)) {
    return {.status = Status::kLocalError, .kind = DetailKind::kErrno, .detail = 12};
  }
  if (broken_ || quiet_) return {};
  Posted posted;
  if (!request.message) posted.kind = Kind::kSilent;
  posted.request = request;
  posted.places = 1 + std::exchange(exposures_posted_, 0);
  if (++in_use_ > fabric_->options_.send_requests) fabric_->Error("the send queue overran");
  for (const fabric::Segment& segment : request.segments) {
    posted.bytes += segment.bytes;
  }
  if (request.place_inline && posted.bytes > fabric_->options_.inline_bytes) {
    fabric_->Error("too many bytes for an inline request");
  }
  posted.checksum = Checksum(request);
  posted_.push_back(std::move(posted));
  return {};
}

Failure SimEndpoint::Ring() {
  if (released_) fabric_->Error("somebody rang after the release");
  std::vector<Posted> posted = std::exchange(posted_, {});
  if (broken_ || quiet_) return {};
  if (fabric_->scheduler_.Chance(fabric_->options_.post_errors)) {
    return {.status = Status::kLocalError, .kind = DetailKind::kErrno, .detail = 12};
  }
  for (Posted& each : posted) {
    for (const fabric::Segment& segment : each.request.segments) {
      if (!each.request.place_inline || segment.bytes == 0) continue;
      each.inline_data.insert(each.inline_data.end(), segment.data, segment.data + segment.bytes);
    }
    wire_.push_back(std::move(each));
  }
  Update();
  return {};
}

void SimEndpoint::AwaitSent() {
  awaits_sent_ = true;
  Update();
}

void SimEndpoint::Scribble(uint64_t remote_address, uint32_t remote_key, uint32_t bytes) {
  if (broken_ || quiet_) return;
  Posted posted;
  posted.kind = Kind::kScribble;
  posted.places = 0;
  posted.bytes = bytes;
  posted.request.remote_address = remote_address;
  posted.request.remote_key = remote_key;
  wire_.push_back(std::move(posted));
  Update();
}

void SimEndpoint::Vanish() {
  vanished_ = true;
  if (peer_ != nullptr) peer_->vanished_ = true;
  UpdateBoth();
}

Failure SimEndpoint::Expose(fabric::Slab* slab, uint32_t* remote_key) {
  if (!can_revoke()) return {.status = Status::kInvalidArgument};
  if (++in_use_ > fabric_->options_.send_requests) fabric_->Error("the send queue overran");
  exposures_posted_++;
  *remote_key = fabric_->memory_.Expose(slab, this);
  if (*remote_key == 0) return {.status = Status::kInvalidArgument};
  exposed_.push_back(*remote_key);
  return {};
}

Failure SimEndpoint::Revoke(fabric::Slab* slab, uint64_t token) {
  const uint32_t key = static_cast<SimSlab*>(slab)->exposed_key();
  if (std::find(exposed_.begin(), exposed_.end(), key) == exposed_.end()) {
    fabric_->Error("a slab was revoked that this endpoint has not exposed");
    return {.status = Status::kInvalidArgument};
  }
  if (broken_ || quiet_) return {};
  if (++in_use_ > fabric_->options_.send_requests) fabric_->Error("the send queue overran");
  Posted posted;
  posted.kind = Kind::kRevoke;
  posted.places = 1 + std::exchange(exposures_posted_, 0);
  posted.request.token = token;
  posted.revoked_key = key;
  posted_.push_back(std::move(posted));
  return {};
}

// What the devices do.

void SimEndpoint::RunWire() {
  Posted& front = wire_.front();
  const SimOptions& options = fabric_->options_;
  Scheduler& scheduler = fabric_->scheduler_;
  if (front.kind != Kind::kRevoke && scheduler.Chance(options.stalls)) {
    stalled_ = true;
    return Update();
  }
  if (front.kind == Kind::kRevoke) {
    fabric_->memory_.Conceal(front.revoked_key);
    std::erase(exposed_, front.revoked_key);
  } else {
    if (peer_ == nullptr || peer_->broken_) return Break({.status = Status::kRetriesExceeded});
    const bool fails = scheduler.Chance(options.completion_errors);
    const uint32_t bytes = fails ? scheduler.Random(front.bytes + 1) : front.bytes;
    const Failure failure = Place(front, bytes);
    if (!failure.ok()) return Break(failure);
    if (fails && scheduler.Chance(kHalf)) {
      return Break({.status = Status::kLocalError, .kind = DetailKind::kCompletionStatus});
    }
    if (!fails && scheduler.Chance(options.early_bytes)) return;
    if (fails) Place(front, front.bytes);
    if (front.kind == Kind::kMessage) {
      peer_->receives_--;
      peer_->arrived_.push_back({.immediate = front.request.immediate, .bytes = front.bytes});
    }
    // The peer has it all, but its answer got lost.
    if (fails) return Break({.status = Status::kRetriesExceeded});
  }
  if (front.kind != Kind::kScribble) sent_.push_back(std::move(front));
  wire_.pop_front();
  UpdateBoth();
}

void SimEndpoint::RunStall() {
  // So that it takes a while.
  if (fabric_->scheduler_.Chance(kHalf / 4)) stalled_ = false;
  Update();
}

Failure SimEndpoint::Place(Posted& posted, uint32_t bytes) {
  if (posted.bytes == 0 || posted.placed) return {};
  const fabric::WriteRequest& request = posted.request;
  std::byte* target =
      fabric_->memory_.Remote(request.remote_key, request.remote_address, posted.bytes, peer_);
  if (target == nullptr) {
    // The device of the peer may give up, too.
    if (fabric_->scheduler_.Chance(kHalf)) peer_->Break({.status = Status::kRemoteAccess});
    return {.status = Status::kRemoteAccess, .kind = DetailKind::kCompletionStatus};
  }
  posted.placed = bytes == posted.bytes;
  if (posted.kind == Kind::kScribble) {
    for (uint32_t n = 0; n < bytes; n++) target[n] ^= std::byte{0x5a};
    return {};
  }
  if (request.place_inline) {
    std::memcpy(target, posted.inline_data.data(), bytes);
    return {};
  }
  for (const fabric::Segment& segment : request.segments) {
    if (segment.bytes == 0 || fabric_->memory_.Readable(segment)) continue;
    fabric_->Error("a request reads memory that is not registered");
    return {.status = Status::kLocalError};
  }
  if (Checksum(request) != posted.checksum) {
    fabric_->Error("the memory of a request changed before it was complete");
  }
  for (const fabric::Segment& segment : request.segments) {
    const uint32_t part = std::min(bytes, segment.bytes);
    if (part == 0) continue;
    std::memcpy(target, segment.data, part);
    target += part;
    bytes -= part;
  }
  return {};
}

void SimEndpoint::Break(Failure failure) {
  if (std::exchange(broken_, true)) return;
  wire_.clear();
  Posted last;
  last.kind = Kind::kFailure;
  last.failure = failure;
  sent_.push_back(std::move(last));
  UpdateBoth();
}

// What the engine hears.

void SimEndpoint::RunArrived() {
  // Completions come in batches, as a poll finds them.
  for (uint32_t n = fabric_->Batch(arrived_.size()); n > 0 && !arrived_.empty(); n--) {
    const Arrived arrived = arrived_.front();
    arrived_.pop_front();
    receives_++;
    fabric_->completions_++;
    heard_ = true;
    events_->OnMessage(arrived.immediate, arrived.bytes);
  }
  if (fabric_->scheduler_.Chance(kHalf)) ReportAlong();
  UpdateBoth();
}

void SimEndpoint::ReportAlong() {
  for (size_t n = sent_.size(); n > 0 && !sent_.empty(); n--) {
    if (sent_.front().kind == Kind::kFailure) return;
    const Posted posted = std::move(sent_.front());
    sent_.pop_front();
    ReportSent(posted);
  }
}

void SimEndpoint::RunSent() {
  for (uint32_t n = fabric_->Batch(sent_.size()); n > 0 && !sent_.empty(); n--) {
    if (sent_.front().kind == Kind::kFailure && !arrived_.empty()) break;
    const Posted posted = std::move(sent_.front());
    sent_.pop_front();
    ReportSent(posted);
  }
  Update();
}

void SimEndpoint::ReportSent(const Posted& posted) {
  if (posted.kind == Kind::kFailure) return events_->OnBroken(posted.failure);
  in_use_ -= posted.places;
  awaits_sent_ = false;
  fabric_->completions_++;
  events_->OnSent(posted.request.token);
}

// Memory.

Failure SimEndpoint::Allocate(size_t bytes, Access access, fabric::Region* region) {
  if (released_) fabric_->Error("memory was allocated after the release");
  if (fabric_->removed_) return {.status = Status::kDeviceRemoved};
  if (fabric_->scheduler_.Chance(fabric_->options_.allocation_errors)) {
    return {.status = Status::kMemoryLockLimit};
  }
  if (!fabric_->memory_.Allocate(bytes, access == Access::kRemoteWrite, this, region)) {
    return {.status = Status::kPinnedLimit};
  }
  regions_.push_back(region->local_key);
  return {};
}

void SimEndpoint::Free(const fabric::Region& region) {
  fabric_->memory_.Free(region.local_key);
  std::erase(regions_, region.local_key);
}

bool SimEndpoint::can_revoke() const {
  return fabric_->options_.can_revoke;
}

bool SimEndpoint::has_slab(fabric::SlabSize) const {
  return fabric_->memory_.HasSlab();
}

fabric::SlabRef SimEndpoint::TakeSlab(fabric::SlabSize) {
  return fabric_->memory_.TakeSlab();
}

fabric::SlabRef SimEndpoint::FindSlab(std::span<const std::byte> bytes) const {
  return fabric_->memory_.FindSlab(bytes);
}

std::optional<uint32_t> SimEndpoint::LocalKey(const fabric::Registration& registration) const {
  return fabric_->memory_.LocalKey(registration);
}

uint32_t SimEndpoint::TakeCredits(uint32_t count) {
  const uint32_t taken = std::min(count, fabric_->shared_receives_);
  fabric_->shared_receives_ -= taken;
  borrowed_ += taken;
  receives_ += taken;
  UpdateBoth();
  return taken;
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
