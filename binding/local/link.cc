#include "local/link.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "local/endpoint.h"
#include "local/group.h"
#include "local/listener.h"
#include "local/local_fabric.h"

namespace rdma_net::local {

using fabric::Failure;
using fabric::Status;
using system::FileDescriptor;

namespace {

/// Cells that are kept for what is not data, so that this hardly ever has to wait.
constexpr uint32_t kReservedCells = 512;
constexpr uint32_t kMessageCellsMax = 1 + kPayloadBytesMax / sizeof(Cell);
constexpr size_t kEndsMax = size_t{1} << 20;
/// Messages that wait for a peer that does not read: it would have to ask for a lot to get there.
constexpr size_t kBacklogMax = size_t{1} << 16;
/// How long a link without connections is kept for the next one, and its pages. To give these back
/// costs as much as a connection, and so does having them anew.
constexpr uint64_t kIdleMs = 5000;
constexpr uint64_t kIdlePagesMs = 1000;

constexpr Failure kGone = {.status = Status::kConnectionReset};
constexpr Failure kBrokeRule = {.status = Status::kProtocolViolation};

Failure NoRoom() {
  return {.status = Status::kDeviceResources, .kind = fabric::DetailKind::kErrno, .detail = errno};
}

}  // namespace

Link::Link(LocalFabric* fabric, FileDescriptor socket, Listener* listener, Group* group)
    : fabric_(fabric),
      socket_(std::move(socket)),
      listener_(listener),
      group_(group),
      shared_(group != nullptr),
      active_(listener == nullptr) {}

Link::~Link() = default;

// The life of a link.

Failure Link::Open() {
  if (!inbox_.valid() || !fabric_->events()->Watch(socket_.get(), static_cast<Watched*>(this)))
    return NoRoom();
  if (!fabric_->events()->Watch(inbox_.doorbell(), nullptr, true)) return NoRoom();
  if (active_) Greet();
  return {};
}

void Link::Greet() {
  const Greeting greeting = {.cells = InboxLayout::kCells,
                             .memory_bytes = InboxLayout::kBytes,
                             .address = reinterpret_cast<uint64_t>(inbox_.memory().data()),
                             .ask_first = shared_ ? 1U : 0U};
  // What cannot be sent is found out when nothing, or the end, comes back.
  SendGreeting(socket_.get(), greeting, inbox_.file(), inbox_.doorbell());
  inbox_.CloseFile();
}

void Link::OnReadable() {
  if (dead()) return;
  Greeting greeting;
  FileDescriptor memory;
  FileDescriptor doorbell;
  switch (ReceiveGreeting(socket_.get(), &greeting, &memory, &doorbell)) {
    case Received::kNothing:
      return;
    case Received::kGreeting:
      if (open()) return Kill(kBrokeRule);
      return OnGreeting(greeting, std::move(memory), std::move(doorbell));
    case Received::kEnd:
      break;
  }
  // What it has said before it went still counts: a queue of messages at most, for it may be gone
  // without having stopped to write them.
  Poll(InboxLayout::kCells);
  // Without a greeting: it is about to end, or the system has no room for it.
  if (!dead()) Kill(kGone);
}

void Link::OnGreeting(const Greeting& greeting, FileDescriptor memory, FileDescriptor doorbell) {
  const bool same =
      greeting.cells == InboxLayout::kCells && greeting.memory_bytes == InboxLayout::kBytes;
  if (!same) return Kill({.status = Status::kIncompatiblePeer});
  SharedMemory adopted = SharedMemory::Adopt(std::move(memory), InboxLayout::kBytes);
  if (!adopted.valid() || !PeerInbox::IsDoorbell(doorbell.get()))
    return Kill({.status = Status::kIncompatiblePeer});
  peer_ = PeerInbox(std::move(adopted), std::move(doorbell), greeting.address);
  if (!active_) Greet();
  asks_first_ = active_ && greeting.ask_first != 0;
  state_ = State::kOpen;
  for (uint32_t number = 0; number < ends_.size(); number++) {
    if (ends_[number].endpoint != nullptr) ends_[number].endpoint->OnLinkOpen();
  }
}

void Link::Kill(Failure failure) {
  if (dead()) return;
  state_ = State::kDead;
  fabric_->events()->Unwatch(socket_.get());
  fabric_->events()->Unwatch(inbox_.doorbell());
  // The other side sees the end of the socket.
  socket_ = {};
  for (uint32_t number = 0; number < ends_.size(); number++) {
    End& end = ends_[number];
    if (!end.in_use) continue;
    end.said_end = end.heard_end = true;
    if (end.endpoint != nullptr) {
      end.endpoint->OnLinkLost(failure);
    } else {
      FreeEnd(number);
    }
  }
  fabric_->Bury(this);
}

void Link::ForgetListener(const Listener* listener) {
  if (listener_ != listener) return;
  listener_ = nullptr;
  group_ = nullptr;
}

bool Link::Tidy(uint64_t now_ms) {
  if (dead()) return false;
  if (!idle()) {
    idle_since_ms_ = 0;
    // The peer's last word brings no news to anybody who would look again.
    return endpoints_ == 0;
  }
  if (idle_since_ms_ == 0) idle_since_ms_ = now_ms;
  const uint64_t idle_ms = now_ms - idle_since_ms_;
  if (active_ && idle_ms >= kIdleMs) {
    Kill(kGone);
    return false;
  }
  if (idle_ms >= kIdlePagesMs) inbox_.arena().GiveBack();
  return active_ || inbox_.arena().has_used_gaps();
}

// Ends of connections.

uint32_t Link::AddEnd(Endpoint* endpoint) {
  uint32_t number = 0;
  if (free_ends_.empty()) {
    number = static_cast<uint32_t>(ends_.size());
    ends_.emplace_back();
  } else {
    number = free_ends_.back();
    free_ends_.pop_back();
  }
  ends_[number] = {.endpoint = endpoint, .in_use = true, .memory = {}};
  ends_in_use_++;
  endpoints_++;
  return number;
}

void Link::CloseEnd(uint32_t number) {
  End& end = ends_[number];
  // Without a number of the peer's, its answer has to be waited for.
  if (!end.has_peer) return;
  if (!std::exchange(end.said_end, true)) Say(MessageKind::kEnd, end.peer_number, 0, {});
  FreeIfDone(number);
}

void Link::ForgetEndpoint(uint32_t number) {
  ends_[number].endpoint = nullptr;
  endpoints_--;
  FreeIfDone(number);
}

void Link::SetPeer(uint32_t number, uint32_t peer_number) {
  ends_[number].peer_number = peer_number;
  ends_[number].has_peer = true;
}

void Link::DropEnd(uint32_t number) {
  ends_[number].said_end = ends_[number].heard_end = true;
  FreeIfDone(number);
}

void Link::FreeIfDone(uint32_t number) {
  const End& end = ends_[number];
  if (end.said_end && end.heard_end && end.endpoint == nullptr) FreeEnd(number);
}

void Link::FreeEnd(uint32_t number) {
  for (const std::span<std::byte> part : ends_[number].memory) inbox_.arena().Free(part);
  if (ends_[number].wants_room) std::erase(waiting_, number);
  ends_[number] = {};
  free_ends_.push_back(number);
  ends_in_use_--;
}

std::span<std::byte> Link::Allocate(uint32_t number, size_t bytes) {
  const std::span<std::byte> part = inbox_.arena().Allocate(bytes, has_memory(number));
  if (!part.empty()) ends_[number].memory.push_back(part);
  return part;
}

void Link::Free(uint32_t number, const std::byte* data) {
  std::erase_if(ends_[number].memory, [this, data](std::span<std::byte> part) {
    if (part.data() != data) return false;
    inbox_.arena().Free(part);
    return true;
  });
}

Link::End* Link::Find(uint32_t number) {
  return number < ends_.size() && ends_[number].in_use ? &ends_[number] : nullptr;
}

// Receiving.

uint32_t Link::Poll(uint32_t budget) {
  if (!open()) return 0;
  QueueConsumer& queue = inbox_.queue();
  std::array<Cell, kMessageCellsMax> message{};
  uint32_t handled = 0;
  uint32_t available = queue.available();
  bool valid = available <= queue.capacity();
  while (valid && handled < budget && available > 0 && open()) {
    message[0] = queue.Look(0);
    const MessageHeader header = DecodeHeader(message[0]);
    valid = header.cells >= 1 && header.cells <= std::min(available, kMessageCellsMax);
    if (!valid) break;
    for (uint32_t i = 1; i < header.cells; i++) message[i] = queue.Look(i);
    queue.Take(header.cells);
    available -= header.cells;
    handled++;
    const std::span<const std::byte> payload =
        std::as_bytes(std::span(message).subspan(1, header.cells - 1));
    const size_t bytes = header.kind == MessageKind::kData ? 0 : header.length;
    valid = bytes <= payload.size() && Handle(header, payload.first(bytes));
  }
  if (!valid) Kill(kBrokeRule);
  if (!open()) return handled;
  if (handled > 0) {
    queue.Publish();
    if (queue.MustRing()) peer_.Ring();
  }
  FlushBacklog();
  OfferRoom();
  return handled;
}

bool Link::Handle(const MessageHeader& header, std::span<const std::byte> payload) {
  if (header.kind == MessageKind::kConnect) return OnConnect(header, payload);
  if (header.kind == MessageKind::kAsk) return OnAsk(header);
  End* end = Find(header.to);
  if (end == nullptr || end->heard_end) return false;
  Endpoint* endpoint = end->endpoint;
  switch (header.kind) {
    case MessageKind::kAccept:
      if (end->has_peer || !active_) return false;
      SetPeer(header.to, header.value);
      if (endpoint != nullptr) return endpoint->OnAccept(payload);
      // Nobody waits for it any more.
      CloseEnd(header.to);
      return true;
    case MessageKind::kReject:
      if (end->has_peer || !active_) return false;
      end->said_end = end->heard_end = true;
      // Somebody else may listen there by now, to whom this link does not lead.
      if (static_cast<Status>(header.value) == Status::kConnectionRefused) fabric_->Forget(this);
      if (endpoint != nullptr) {
        endpoint->OnReject(static_cast<Status>(header.value));
      } else {
        FreeEnd(header.to);
      }
      return true;
    case MessageKind::kEstablished:
      if (active_) return false;
      return endpoint == nullptr || endpoint->OnEstablished();
    case MessageKind::kData:
      if (!end->has_peer) return false;
      if (endpoint != nullptr) endpoint->OnData(header.value, header.length);
      return true;
    case MessageKind::kEnd:
      if (!end->has_peer) return false;
      end->heard_end = true;
      CloseEnd(header.to);
      if (endpoint != nullptr) endpoint->OnPeerEnded();
      return true;
    case MessageKind::kGo:
      if (end->has_peer || !active_) return false;
      if (endpoint != nullptr) return endpoint->OnGo(header.value);
      FreeEnd(header.to);
      return true;
    case MessageKind::kConnect:
    case MessageKind::kAsk:
      break;
  }
  return false;
}

bool Link::OnConnect(const MessageHeader& header, std::span<const std::byte> payload) {
  ConnectionRequest request;
  if (active_ || ends_in_use_ >= kEndsMax || backlog_.size() >= kBacklogMax) return false;
  if (!DecodeRequest(payload, &request)) return false;
  Status status = Status::kConnectionRefused;
  if (listener_ != nullptr) status = listener_->OnRequest(this, header.value, request);
  if (status != Status::kOk) {
    Say(MessageKind::kReject, header.value, static_cast<uint32_t>(status), {});
  }
  return true;
}

bool Link::OnAsk(const MessageHeader& header) {
  if (!shared_ || backlog_.size() >= kBacklogMax) return false;
  const std::optional<uint32_t> seat = group_ != nullptr ? group_->Next() : std::nullopt;
  if (seat) {
    Say(MessageKind::kGo, header.value, *seat, {});
  } else {
    const auto status = static_cast<uint32_t>(Status::kConnectionRefused);
    Say(MessageKind::kReject, header.value, status, {});
  }
  return true;
}

bool Link::Sleep() {
  if (sleeping_ || !open()) return false;
  sleeping_ = true;
  inbox_.queue().Sleep();
  return true;
}

void Link::WakeUp() {
  if (!std::exchange(sleeping_, false)) return;
  inbox_.queue().WakeUp();
}

// Sending.

void Link::Say(MessageKind kind, uint32_t to, uint32_t value, std::span<const std::byte> payload) {
  if (!open()) return;
  backlog_.push_back(EncodeMessage(kind, to, value, payload));
  FlushBacklog();
}

void Link::SayToPeer(uint32_t number, MessageKind kind, uint32_t value,
                     std::span<const std::byte> payload) {
  if (!ends_[number].said_end) Say(kind, ends_[number].peer_number, value, payload);
}

void Link::FlushBacklog() {
  while (!backlog_.empty()) {
    if (peer_.queue().room() < backlog_.front().size()) {
      peer_.queue().AskForRoom();
      if (peer_.queue().room() < backlog_.front().size()) break;
    }
    peer_.queue().Put(backlog_.front());
    backlog_.pop_front();
    unrung_ = true;
  }
  Ring();
}

bool Link::has_room() {
  return backlog_.empty() && peer_.queue().room() > kReservedCells;
}

bool Link::HasOrAwaitsRoom() {
  if (has_room()) return true;
  peer_.queue().AskForRoom();
  return has_room();
}

bool Link::TakeRoom(uint32_t number) {
  if (!open()) return false;
  End& end = ends_[number];
  const bool next = waiting_.empty() || waiting_.front() == number || served_ == number;
  if (next && HasOrAwaitsRoom()) {
    if (std::exchange(end.wants_room, false)) std::erase(waiting_, number);
    return true;
  }
  if (!std::exchange(end.wants_room, true)) waiting_.push_back(number);
  return false;
}

void Link::OfferRoom() {
  while (!waiting_.empty() && HasOrAwaitsRoom()) {
    served_ = waiting_.front();
    waiting_.pop_front();
    End& end = ends_[*served_];
    end.wants_room = false;
    if (end.endpoint != nullptr) end.endpoint->OnRoom();
  }
  served_.reset();
}

Failure Link::Write(uint32_t number, const fabric::WriteRequest& request) {
  const End& end = ends_[number];
  if (!open() || end.said_end || !end.has_peer) return kGone;
  uint32_t bytes = 0;
  for (const fabric::Segment& segment : request.segments) bytes += segment.bytes;
  if (bytes > 0) {
    std::span<std::byte> target = peer_.Translate(request.remote_address, bytes);
    if (target.empty()) return {.status = Status::kRemoteAccess};
    for (const fabric::Segment& segment : request.segments) {
      if (segment.bytes == 0) continue;
      std::memcpy(target.data(), segment.data, segment.bytes);
      target = target.subspan(segment.bytes);
    }
  }
  const Cell cell = EncodeHeader({.kind = MessageKind::kData,
                                  .cells = 1,
                                  .to = end.peer_number,
                                  .value = request.immediate,
                                  .length = bytes});
  if (!backlog_.empty() || peer_.queue().room() == 0) {
    // Whoever did not ask TakeRoom; nothing may be written over, or come before what waits.
    backlog_.push_back({cell});
    FlushBacklog();
    return {};
  }
  peer_.queue().Put(std::span(&cell, 1));
  unrung_ = true;
  return {};
}

void Link::Ring() {
  if (std::exchange(unrung_, false) && open() && peer_.queue().MustRing()) peer_.Ring();
}

}  // namespace rdma_net::local
