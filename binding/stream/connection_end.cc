#include "stream/connection.h"

namespace rdma_net::stream {

using fabric::Failure;
using fabric::Status;
using wire::Control;
using wire::Operation;
using wire::Violation;

// Our direction.

Status Connection::Shutdown() {
  if (state_ == State::kBroken) return failure_.status;
  if (state_ != State::kOpen) return Status::kNotConnected;
  if (shut_ != Shut::kOpen) return Status::kOk;
  sender_.Flush();
  if (peer_end_ == Peer::kDisconnected) {
    shut_ = Shut::kDone;
    Tell(kNewsShutdownDone);
    return Status::kOk;
  }
  shut_ = Shut::kWanted;
  Pump();
  return Status::kOk;
}

/// The last word, once all data is posted: shutdown; or disconnect, when we leave or nothing more
/// can come from either side (rshutdown of rsocket.c).
bool Connection::PostEnd() {
  const bool closing = state_ == State::kClosing;
  const bool ended = shut_ >= Shut::kPosted && peer_end_ == Peer::kShutdown;
  if (closing && shut_ == Shut::kOpen) shut_ = Shut::kWanted;
  if (shut_ != Shut::kWanted && (!closing || ended)) return true;
  if (goodbye_ || sender_.waiting_bytes() > 0 || !outbox_.has_control_room()) return true;
  goodbye_ = closing || peer_end_ == Peer::kShutdown;
  fabric::WriteRequest request;
  request.immediate = wire::EncodeImmediate(
      Operation::kControl,
      static_cast<uint32_t>(goodbye_ ? Control::kDisconnect : Control::kShutdown));
  shut_ = Shut::kPosted;
  if (!outbox_.PostControl(&request, Outbox::Kind::kEnd)) return false;
  if (outbox_.posts_at_once()) OnEndSent();
  return true;
}

void Connection::OnEndSent() {
  if (shut_ != Shut::kPosted) return;
  shut_ = Shut::kDone;
  if (state_ == State::kOpen) Tell(kNewsShutdownDone);
}

// The peer's direction.

/// The end comes after the bytes, and some of these may still wait for their revocation.
void Connection::TellEnd() {
  if (end_told_ || peer_end_ == Peer::kSending || receiver_.waits()) return;
  end_told_ = true;
  if (state_ == State::kOpen) Tell(kNewsEnd);
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
  // A write of which a part had to wait is not the one that may be lost without a word.
  lost_write_ = lost_write_ || sender_.writer_waits();
  lost_count_ += sender_.OnPeerGone();
  receiver_.CopyTheRest();
  if (state_ == State::kClosing) {
    BeginRelease(Event::kDrained);
    return;
  }
  if (state_ != State::kOpen) return;
  Tell(kNewsReadable | kNewsWritable | kNewsSent);
  TellEnd();
  if (shut_ == Shut::kWanted || shut_ == Shut::kPosted) {
    shut_ = Shut::kDone;
    Tell(kNewsShutdownDone);
  }
}

// Failures.

void Connection::Break(Failure failure) {
  if (state_ == State::kClosing) {
    BeginRelease(Event::kBroken);
    return;
  }
  if (state_ != State::kOpen) return;
  failure_ = failure;
  Step(Event::kBroken);
  endpoint_->Abort();
  receiver_.CopyTheRest();
  if (receiver_.readable_bytes() > 0) Tell(kNewsReadable);
  Tell(kNewsFailed);
}

void Connection::Violate(Violation violation) {
  Break(wire::FailureOf(violation, Status::kProtocolViolation));
}

void Connection::OnBroken(Failure failure) {
  if (state_ <= State::kAccepting) {
    FailHandshake(failure);
    return;
  }
  // What still fails after the peer said goodbye were words to nobody.
  if (peer_end_ == Peer::kDisconnected ||
      (peer_end_ == Peer::kShutdown && shut_ >= Shut::kPosted)) {
    OnPeerGone();
    return;
  }
  Break(failure);
}

// Closing.

void Connection::Close() {
  if (state_ >= State::kClosing && state_ != State::kBroken) return;
  const bool open = state_ == State::kOpen;
  if (!open) {
    BeginRelease(Event::kClose);
    return;
  }
  Step(Event::kClose);
  sender_.Flush();
  receiver_.SetInPlace(false);
  receiver_.Discard();
  Pump();
}

void Connection::Reset() {
  if (state_ < State::kReleasing) BeginRelease(Event::kReset);
}

/// Closing: everything was sent and taken by the peer's device, so the endpoint can go.
void Connection::FinishClosing() {
  if (state_ != State::kClosing) return;
  const bool gone = peer_end_ == Peer::kDisconnected;
  if (gone || (shut_ == Shut::kDone && outbox_.idle())) {
    BeginRelease(Event::kDrained);
  }
}

void Connection::BeginRelease(Event event) {
  if (!Step(event)) return;
  endpoint_->Release();
}

void Connection::OnReleased() {
  Step(Event::kReleased);
  receiver_.Clear();
  sender_.Clear();
  endpoint_.reset();
  Tell(kNewsClosed);
}

}  // namespace rdma_net::stream
