#include "stream/connection.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <utility>

namespace rdma_net::stream {

using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;
using wire::Control;
using wire::Operation;
using wire::Violation;

namespace {

/// Control messages are outside of the credits; C rsockets has room for this many
/// (RS_QP_CTRL_SIZE), and so every peer leaves room for as many of ours.
constexpr uint32_t kControlInFlightMax = 4;
/// As C rsockets (RS_MAX_TRANSFER): longer messages would make the peer's reader wait.
constexpr uint32_t kMessageBytesMax = 64 * 1024;

constexpr uint64_t kTokenControl = 1ULL << 63;
constexpr uint64_t kTokenEnd = 1ULL << 62;

Failure ViolationFailure(Status status, Violation violation) {
  return {
      .status = status, .kind = DetailKind::kViolation, .detail = static_cast<int32_t>(violation)};
}

}  // namespace

void Counters::Add(const Counters& other) {
  bytes_received += other.bytes_received;
  bytes_sent += other.bytes_sent;
  bytes_received_copied += other.bytes_received_copied;
  bytes_sent_copied += other.bytes_sent_copied;
  messages_received += other.messages_received;
  messages_sent += other.messages_sent;
  work_requests += other.work_requests;
  credit_stalls += other.credit_stalls;
}

Connection::Connection(uint32_t id, const Options& options, ConnectionObserver* observer)
    : id_(id), options_(options), observer_(observer) {}

bool Connection::Step(Event event) {
  const State next = Next(state_, event);
  assert(next != State::kIllegal);
  if (next == State::kIllegal) return false;
  state_ = next;
  return true;
}

void Connection::Tell(uint32_t news) {
  const bool first = news_ == 0;
  news_ |= news;
  if (first) observer_->OnNews(this);
}

uint32_t Connection::TakeNews() {
  return std::exchange(news_, 0);
}

// The handshake.

void Connection::Start(std::unique_ptr<fabric::Endpoint> endpoint) {
  endpoint_ = std::move(endpoint);
}

Failure Connection::Accept(std::unique_ptr<fabric::Endpoint> endpoint,
                           std::span<const std::byte> request_data) {
  endpoint_ = std::move(endpoint);
  endpoint_->Attach(this);
  state_ = State::kAccepting;
  Failure failure = SavePeer(request_data);
  if (failure.ok()) failure = Prepare();
  if (failure.ok()) {
    std::array<std::byte, wire::kConnectDataBytes + wire::kExtensionBytes> data{};
    const size_t bytes = EncodeLocalData(data);
    failure = endpoint_->Accept(std::span(data).first(bytes));
  }
  if (!failure.ok()) {
    silent_ = true;
    FailHandshake(failure);
  }
  return failure;
}

Failure Connection::Prepare() {
  Failure failure =
      endpoint_->Allocate(SendWindow::kSlotsBytes + kControlInFlightMax * wire::kBufferEntryBytes,
                          fabric::Access::kRemoteWrite, &slots_);
  if (failure.ok()) {
    failure =
        endpoint_->Allocate(options_.receive_bytes, fabric::Access::kRemoteWrite, &receive_memory_);
  }
  return failure;
}

Failure Connection::SavePeer(std::span<const std::byte> data) {
  if (Violation wrong = wire::DecodeConnectData(data, &peer_); wrong != Violation::kNone) {
    return ViolationFailure(Status::kIncompatiblePeer, wrong);
  }
  return {};
}

size_t Connection::EncodeLocalData(
    std::span<std::byte, wire::kConnectDataBytes + wire::kExtensionBytes> out) const {
  const wire::ConnectData data = {
      .credits = static_cast<uint16_t>(endpoint_->receive_requests()),
      .sgl_address = slots_.address(),
      .sgl_remote_key = slots_.remote_key,
      .sgl_entries = SendWindow::kSlots,
      .first_buffer = ReceiveWindow::First(receive_memory_),
      .has_extension = true,
      .features = 0,
  };
  return wire::EncodeConnectData(data, out);
}

void Connection::OnRouted() {
  if (!Step(Event::kRouted)) return;
  Failure failure = Prepare();
  if (failure.ok()) {
    std::array<std::byte, wire::kConnectDataBytes + wire::kExtensionBytes> data{};
    const size_t bytes = EncodeLocalData(data);
    failure = endpoint_->Connect(std::span(data).first(bytes));
  }
  if (!failure.ok()) FailHandshake(failure);
}

void Connection::OnResponse(std::span<const std::byte> data) {
  if (Failure failure = SavePeer(data); !failure.ok()) {
    FailHandshake(failure);
    return;
  }
  if (Step(Event::kResponse)) Tell(kNewsResponse);
}

Failure Connection::Establish() {
  if (state_ != State::kAnswered) return {.status = Status::kNotConnected};
  if (Failure failure = endpoint_->Establish(); !failure.ok()) return failure;
  Step(Event::kEstablish);
  OpenWindows();
  Pump();
  return {};
}

void Connection::OnEstablished() {
  // A first message may have been faster than the CM, and said the same.
  if (state_ != State::kAccepting) return;
  Step(Event::kEstablished);
  OpenWindows();
  Tell(kNewsAccepted);
  Pump();
}

void Connection::OpenWindows() {
  receive_.emplace(receive_memory_, endpoint_->receive_requests(), peer_.sgl_entries);
  send_.emplace(peer_);
}

void Connection::OnConnectFailed(Failure failure) {
  FailHandshake(failure);
}

void Connection::FailHandshake(Failure failure) {
  if (state_ > State::kAccepting) return;
  const bool active = state_ != State::kAccepting;
  failure_ = failure;
  BeginRelease(Event::kHandshakeFailed);
  // On the passive side nobody has heard of the connection yet, and nobody will.
  silent_ = true;
  if (active) Tell(kNewsConnectFailed);
}

// The end.

void Connection::BeginRelease(Event event) {
  if (!Step(event)) return;
  endpoint_->Release();
}

void Connection::OnReleased() {
  Step(Event::kReleased);
  receive_.reset();
  send_.reset();
  endpoint_.reset();
  Tell(kNewsClosed);
}

void Connection::Break(Failure failure) {
  if (state_ == State::kClosing) {
    BeginRelease(Event::kBroken);
    return;
  }
  if (state_ != State::kOpen) return;
  failure_ = failure;
  Step(Event::kBroken);
  endpoint_->Abort();
  Tell(kNewsFailed);
}

void Connection::Violate(Violation violation) {
  Break(ViolationFailure(Status::kProtocolViolation, violation));
}

void Connection::OnBroken(Failure failure) {
  if (state_ <= State::kAccepting) {
    FailHandshake(failure);
    return;
  }
  // What still fails after the peer said goodbye were words to nobody.
  if (peer_end_ == Peer::kDisconnected) {
    OnPeerGone();
    return;
  }
  Break(failure);
}

void Connection::OnDisconnected() {
  if (state_ <= State::kAccepting) {
    FailHandshake({.status = Status::kConnectionReset});
    return;
  }
  const bool both_ended = peer_end_ == Peer::kShutdown && shut_ >= Shut::kPosted;
  if (peer_end_ != Peer::kDisconnected && !both_ended) {
    Break({.status = Status::kConnectionReset});
    return;
  }
  OnPeerGone();
}

/// The peer has closed in good order: there is nobody to send to any more.
void Connection::OnPeerGone() {
  peer_end_ = Peer::kDisconnected;
  ring_.DropWaiting();
  if (state_ == State::kClosing) {
    BeginRelease(Event::kDrained);
    return;
  }
  if (state_ != State::kOpen) return;
  if (writer_waits_) {
    writer_waits_ = false;
    Tell(kNewsWritable);
  }
  if (shut_ == Shut::kWanted || shut_ == Shut::kPosted) {
    shut_ = Shut::kDone;
    Tell(kNewsShutdownDone);
  }
}

void Connection::Close() {
  if (state_ >= State::kClosing && state_ != State::kBroken) return;
  const bool open = state_ == State::kOpen;
  if (!open) {
    BeginRelease(Event::kClose);
    return;
  }
  Step(Event::kClose);
  corked_ = false;
  receive_->Discard();
  Pump();
}

void Connection::Reset() {
  if (state_ < State::kReleasing) BeginRelease(Event::kReset);
}

// Receiving.

uint64_t Connection::readable_bytes() const {
  return receive_ ? receive_->readable_bytes() : 0;
}

size_t Connection::Read(std::span<std::byte> target) {
  if (!receive_ || state_ >= State::kReleasing) return 0;
  const size_t bytes = receive_->Read(target);
  counters_.bytes_received_copied += bytes;
  Pump();
  return bytes;
}

void Connection::OnMessage(uint32_t immediate, uint32_t bytes) {
  if (state_ == State::kAccepting) OnEstablished();
  if (state_ != State::kOpen && state_ != State::kClosing) return;
  const std::optional<wire::Message> message = wire::DecodeImmediate(immediate);
  if (!message) return Violate(Violation::kUnknownOperation);

  switch (message->operation) {
    case Operation::kData: {
      if (peer_end_ != Peer::kSending) return Violate(Violation::kDataAfterShutdown);
      const Violation wrong = receive_->OnData(message->value, bytes);
      if (wrong != Violation::kNone) return Violate(wrong);
      counters_.messages_received++;
      counters_.bytes_received += message->value;
      // Once closed, nobody reads; but a peer that is closing too must get rid of its bytes.
      if (state_ == State::kClosing) receive_->Discard();
      if (state_ == State::kOpen) Tell(kNewsReadable);
      break;
    }
    case Operation::kBufferUpdate: {
      const Violation wrong =
          send_->OnUpdate(message->value, {slots_.data, SendWindow::kSlotsBytes});
      if (wrong != Violation::kNone) return Violate(wrong);
      break;
    }
    case Operation::kIomap:
      // The peer mapped memory for rdma-write-at-offset, which we never asked for.
      break;
    case Operation::kControl:
      return OnControl(message->value);
  }
  Pump();
}

void Connection::OnStray() {
  Violate(Violation::kNotAMessage);
}

void Connection::OnControl(uint32_t value) {
  switch (static_cast<Control>(value)) {
    case Control::kKeepalive:
      return;
    case Control::kShutdown:
      if (peer_end_ != Peer::kSending) return Violate(Violation::kDataAfterShutdown);
      peer_end_ = Peer::kShutdown;
      Tell(kNewsEnd);
      return Pump();
    case Control::kDisconnect:
      if (peer_end_ == Peer::kSending) Tell(kNewsEnd);
      return OnPeerGone();
  }
  Violate(Violation::kUnknownControl);
}

// Sending.

Status Connection::Write(std::span<const std::byte> source, bool more, size_t* taken) {
  *taken = 0;
  if (state_ == State::kBroken) return failure_.status;
  if (state_ != State::kOpen) return Status::kNotConnected;
  if (shut_ != Shut::kOpen) return Status::kBrokenPipe;
  if (peer_end_ == Peer::kDisconnected) {
    // As TCP: what is written before the peer's reset came back is lost without a word.
    if (std::exchange(lost_write_, true)) return Status::kBrokenPipe;
    *taken = source.size();
    return Status::kOk;
  }
  if (!ring_.has_memory() && !source.empty()) {
    fabric::Region memory;
    Failure failure = endpoint_->Allocate(options_.send_bytes, fabric::Access::kSend, &memory);
    if (!failure.ok()) return failure.status;
    ring_.SetMemory(memory);
  }
  *taken = ring_.Write(source);
  counters_.bytes_sent_copied += *taken;
  writer_waits_ = *taken < source.size();
  // When it is full, what is held back for more must go, or there would never be room.
  corked_ = more && !writer_waits_;
  Pump();
  return Status::kOk;
}

Status Connection::Shutdown() {
  if (state_ == State::kBroken) return failure_.status;
  if (state_ != State::kOpen) return Status::kNotConnected;
  if (shut_ != Shut::kOpen) return Status::kOk;
  corked_ = false;
  if (peer_end_ == Peer::kDisconnected) {
    shut_ = Shut::kDone;
    Tell(kNewsShutdownDone);
    return Status::kOk;
  }
  shut_ = Shut::kWanted;
  Pump();
  return Status::kOk;
}

bool Connection::control_available() const {
  return control_in_flight_ < kControlInFlightMax;
}

void Connection::Pump() {
  if (state_ != State::kOpen && state_ != State::kClosing) return;
  if (peer_end_ == Peer::kDisconnected) return FinishClosing();
  if (!PostUpdates() || !PostData() || !PostEnd()) return;
  if (state_ == State::kClosing) FinishClosing();
}

bool Connection::PostUpdates() {
  if (peer_end_ != Peer::kSending) return true;
  while (control_available() && (receive_->can_publish() || receive_->credits_due())) {
    fabric::WriteRequest request;
    if (receive_->can_publish()) {
      uint32_t slot = 0;
      std::byte* entry = slots_.data + SendWindow::kSlotsBytes +
                         (entries_posted_++ % kControlInFlightMax) * wire::kBufferEntryBytes;
      wire::EncodeBufferEntry(
          receive_->Publish(&slot), peer_.big_endian,
          std::span<std::byte, wire::kBufferEntryBytes>(entry, wire::kBufferEntryBytes));
      request.segments[0] = {
          .data = entry, .bytes = wire::kBufferEntryBytes, .local_key = slots_.local_key};
      request.remote_address = peer_.sgl_address + uint64_t{slot} * wire::kBufferEntryBytes;
      request.remote_key = peer_.sgl_remote_key;
      request.place_inline = wire::kBufferEntryBytes <= endpoint_->inline_bytes_max();
    }
    request.token = kTokenControl;
    request.immediate = wire::EncodeImmediate(Operation::kBufferUpdate, receive_->Grant());
    if (!Post(request)) return false;
    control_in_flight_++;
  }
  return true;
}

bool Connection::PostData() {
  const uint32_t data_requests_max = endpoint_->send_requests_max() - kControlInFlightMax;
  while (ring_.waiting_bytes() > 0 && data_in_flight_ < data_requests_max) {
    if (corked_ && ring_.waiting_bytes() < kMessageBytesMax) return true;
    const uint32_t room = send_->room_bytes();
    if (room == 0) {
      NoteStall();
      return true;
    }
    const auto bytes =
        static_cast<uint32_t>(std::min<uint64_t>({ring_.waiting_bytes(), room, kMessageBytesMax}));
    const wire::RemoteBuffer target = send_->Take(bytes);
    fabric::WriteRequest request;
    request.token = bytes;
    request.segments = ring_.Post(bytes);
    request.remote_address = target.address;
    request.remote_key = target.remote_key;
    request.immediate = wire::EncodeImmediate(Operation::kData, bytes);
    request.place_inline = bytes <= endpoint_->inline_bytes_max();
    if (!Post(request)) return false;
    data_in_flight_++;
    stalled_ = false;
    counters_.messages_sent++;
    counters_.bytes_sent += bytes;
  }
  return true;
}

void Connection::NoteStall() {
  if (!std::exchange(stalled_, true)) counters_.credit_stalls++;
}

/// The last word, once all data is posted: shutdown; or disconnect, when we leave or nothing more
/// can come from either side (rshutdown of rsocket.c).
bool Connection::PostEnd() {
  const bool closing = state_ == State::kClosing;
  const bool ended = shut_ >= Shut::kPosted && peer_end_ == Peer::kShutdown;
  if (closing && shut_ == Shut::kOpen) shut_ = Shut::kWanted;
  if (shut_ != Shut::kWanted && (!closing || ended)) return true;
  if (goodbye_ || ring_.waiting_bytes() > 0 || !control_available()) return true;
  goodbye_ = closing || peer_end_ == Peer::kShutdown;
  fabric::WriteRequest request;
  request.token = kTokenControl | kTokenEnd;
  request.immediate = wire::EncodeImmediate(
      Operation::kControl,
      static_cast<uint32_t>(goodbye_ ? Control::kDisconnect : Control::kShutdown));
  if (!Post(request)) return false;
  control_in_flight_++;
  shut_ = Shut::kPosted;
  return true;
}

/// Closing: everything was sent and taken by the peer's device, so the endpoint can go.
void Connection::FinishClosing() {
  if (state_ != State::kClosing) return;
  const bool gone = peer_end_ == Peer::kDisconnected;
  if (gone || (shut_ == Shut::kDone && data_in_flight_ == 0 && control_in_flight_ == 0)) {
    BeginRelease(Event::kDrained);
  }
}

bool Connection::Post(const fabric::WriteRequest& request) {
  counters_.work_requests++;
  const Failure failure = endpoint_->Post(request);
  if (failure.ok()) return true;
  Break(failure);
  return false;
}

void Connection::OnSent(uint64_t token) {
  if ((token & kTokenControl) != 0) {
    control_in_flight_--;
    if ((token & kTokenEnd) != 0 && shut_ == Shut::kPosted) {
      shut_ = Shut::kDone;
      if (state_ == State::kOpen) Tell(kNewsShutdownDone);
    }
  } else {
    data_in_flight_--;
    ring_.Complete(static_cast<uint32_t>(token));
  }
  if (state_ != State::kOpen && state_ != State::kClosing) return;
  Pump();
  if (state_ != State::kOpen) return;
  if (writer_waits_ && ring_.free_bytes() >= options_.send_bytes / 4) {
    writer_waits_ = false;
    Tell(kNewsWritable);
  }
  if (ring_.idle() && ring_.has_memory() && !writer_waits_) endpoint_->Free(ring_.TakeMemory());
}

}  // namespace rdma_net::stream
