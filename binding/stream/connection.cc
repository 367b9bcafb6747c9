#include "stream/connection.h"

#include <cassert>
#include <utility>

namespace rdma_net::stream {

using fabric::Failure;
using fabric::Status;
using wire::Control;
using wire::Operation;
using wire::Violation;

Connection::Connection(uint32_t id, const Options& options, ConnectionObserver* observer)
    : receiver_(options.receive, &outbox_, &counters_),
      sender_(options.send, &outbox_, &counters_),
      id_(id),
      observer_(observer) {}

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

// Receiving.

size_t Connection::Read(std::span<std::byte> target) {
  if (state_ >= State::kReleasing) return 0;
  const size_t bytes = receiver_.Read(target);
  Pump();
  return bytes;
}

std::optional<View> Connection::ReadInPlace() {
  if (state_ >= State::kReleasing) return std::nullopt;
  std::optional<View> view = receiver_.ReadInPlace();
  if (view) Pump();
  return view;
}

void Connection::OnMessage(uint32_t immediate, uint32_t bytes) {
  if (state_ == State::kAccepting) OnEstablished();
  if (state_ != State::kOpen && state_ != State::kClosing) return;
  const std::optional<wire::Message> message = wire::DecodeImmediate(immediate);
  if (!message) return Violate(Violation::kUnknownOperation);
  if (message->operation != Operation::kData &&
      !allowance_.Take([this] { return observer_->now_ms(); }, counters_.messages_sent)) {
    return Violate(Violation::kControlFlood);
  }

  switch (message->operation) {
    case Operation::kData: {
      if (peer_end_ != Peer::kSending) return Violate(Violation::kDataAfterShutdown);
      const Violation wrong = receiver_.OnData(message->value, bytes);
      if (wrong != Violation::kNone) return Violate(wrong);
      // Once closed, nobody reads; but a peer that is closing too must get rid of its bytes.
      if (state_ == State::kClosing) receiver_.Discard();
      if (state_ == State::kOpen && receiver_.readable_bytes() > 0) Tell(kNewsReadable);
      break;
    }
    case Operation::kBufferUpdate: {
      const Violation wrong = sender_.OnUpdate(message->value, bytes, receiver_.slots());
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
      TellEnd();
      return Pump();
    case Control::kDisconnect:
      return OnPeerGone();
  }
  Violate(Violation::kUnknownControl);
}

// Sending.

Status Connection::CheckWritable(size_t bytes, size_t* taken) {
  *taken = 0;
  if (state_ == State::kBroken) return failure_.status;
  if (state_ != State::kOpen) return Status::kNotConnected;
  if (shut_ != Shut::kOpen) return Status::kBrokenPipe;
  if (peer_end_ != Peer::kDisconnected) return Status::kOk;
  // As TCP: what is written before the peer's reset came back is lost without a word.
  if (std::exchange(lost_write_, true)) return Status::kBrokenPipe;
  *taken = bytes;
  return Status::kOk;
}

Status Connection::Write(std::span<const std::byte> source, bool more, size_t* taken) {
  const Status status = CheckWritable(source.size(), taken);
  if (status != Status::kOk || peer_end_ == Peer::kDisconnected) return status;
  *taken = sender_.Write(source, more);
  Pump();
  return status;
}

template <typename Take>
Status Connection::WriteKept(size_t bytes, size_t* taken, const Take& take) {
  const Status status = CheckWritable(bytes, taken);
  if (status != Status::kOk) return status;
  if (peer_end_ == Peer::kDisconnected) {
    lost_in_place_++;
    Tell(kNewsSent);
    return status;
  }
  *taken = take();
  Pump();
  // Held bytes may all have been copied by now.
  if (sender_.ended() > 0) Tell(kNewsSent);
  return status;
}

Status Connection::WriteInPlace(std::span<const std::byte> source, Source memory, size_t* taken) {
  return WriteKept(source.size(), taken,
                   [&] { return sender_.WriteInPlace(source, std::move(memory)); });
}

Status Connection::WriteHeld(std::span<const std::byte> source, std::shared_ptr<void> owner,
                             size_t* taken) {
  return WriteKept(source.size(), taken,
                   [&] { return sender_.WriteHeld(source, std::move(owner)); });
}

bool Connection::TakeSentAtOnce() {
  if (!sender_.idle() || !outbox_.posts_at_once()) return false;
  // One before it, which had to wait and has gone along with it, is still to be told of.
  if (sender_.ended() != 1 || lost_in_place_ > 0) return false;
  sender_.TakeEnded();
  return true;
}

void Connection::Flush() {
  sender_.Flush();
  Pump();
}

void Connection::SendKeepalive() {
  if (state_ != State::kOpen || peer_end_ == Peer::kDisconnected) return;
  if (outbox_.posts_at_once() || !outbox_.idle()) return;
  fabric::WriteRequest request;
  request.immediate =
      wire::EncodeImmediate(Operation::kControl, static_cast<uint32_t>(Control::kKeepalive));
  // As C rsockets: a message would take a receive of a program that may have been stopped.
  request.message = false;
  keepalive_sent_ms_ = observer_->now_ms();
  if (!outbox_.PostControl(&request, Outbox::Kind::kKeepalive) || !outbox_.Ring()) {
    return Break(outbox_.failure());
  }
  outbox_.AwaitSent();
}

void Connection::CheckKeepalive() {
  if (!keepalive_sent_ms_ || peer_end_ == Peer::kDisconnected) return;
  if (observer_->now_ms() - *keepalive_sent_ms_ < kKeepaliveAnswerMsMax) return;
  Break({.status = Status::kTimedOut});
}

uint32_t Connection::TakeSentCount() {
  return sender_.TakeEnded() + std::exchange(lost_in_place_, 0);
}

uint32_t Connection::TakeLostCount() {
  return std::exchange(lost_count_, 0);
}

void Connection::Pump() {
  if (state_ != State::kOpen && state_ != State::kClosing) return;
  if (peer_end_ == Peer::kDisconnected) return FinishClosing();
  if (!receiver_.Pump(peer_end_ == Peer::kSending) || !sender_.Pump() || !PostEnd() ||
      !outbox_.Ring()) {
    return Break(outbox_.failure());
  }
  TellProgress();
  if (state_ == State::kClosing) FinishClosing();
  if (!outbox_.posts_at_once() && AwaitsSent()) outbox_.AwaitSent();
}

/// Whether something goes on only when more of what was posted is complete.
bool Connection::AwaitsSent() const {
  if (state_ != State::kOpen && state_ != State::kClosing) return false;
  const bool ends = state_ == State::kClosing || shut_ == Shut::kWanted || shut_ == Shut::kPosted;
  return ends || outbox_.has_revokes() || !outbox_.has_control_room() || sender_.awaits_sent();
}

/// What became of the writes, now that more of them has been posted or completed.
void Connection::TellProgress() {
  if (outbox_.posts_at_once()) sender_.Tidy();
  if (state_ != State::kOpen) return;
  if (sender_.TakeRoom()) Tell(kNewsWritable);
  if (sender_.ended() > 0) Tell(kNewsSent);
}

void Connection::OnRoom() {
  Pump();
}

void Connection::OnRevoked() {
  receiver_.OnRevoked();
  if (state_ == State::kClosing) receiver_.Discard();
  if (state_ != State::kOpen) return;
  if (receiver_.readable_bytes() > 0) Tell(kNewsReadable);
  TellEnd();
}

void Connection::OnSent(uint64_t token) {
  const Outbox::Sent sent = outbox_.OnSent(token);
  switch (sent.kind) {
    case Outbox::Kind::kData:
      sender_.OnSent(sent.bytes);
      break;
    case Outbox::Kind::kControl:
      break;
    case Outbox::Kind::kKeepalive:
      keepalive_sent_ms_.reset();
      break;
    case Outbox::Kind::kEnd:
      OnEndSent();
      break;
    case Outbox::Kind::kRevoke:
      OnRevoked();
      break;
    case Outbox::Kind::kRelease:
      receiver_.OnReleased();
      break;
  }
  Pump();
}

}  // namespace rdma_net::stream
