#include <array>
#include <utility>

#include "stream/connection.h"

namespace rdma_net::stream {

using fabric::Failure;
using fabric::Status;
using wire::Violation;

void Connection::Start(std::unique_ptr<fabric::Endpoint> endpoint) {
  endpoint_ = std::move(endpoint);
}

Failure Connection::Accept(std::unique_ptr<fabric::Endpoint> endpoint,
                           std::span<const std::byte> request_data) {
  endpoint_ = std::move(endpoint);
  endpoint_->Attach(this);
  state_ = State::kAccepting;
  Failure failure = SavePeer(request_data);
  if (failure.ok()) failure = receiver_.Prepare(endpoint_.get());
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

Failure Connection::SavePeer(std::span<const std::byte> data) {
  if (Violation wrong = wire::DecodeConnectData(data, &peer_); wrong != Violation::kNone) {
    return wire::FailureOf(wrong, Status::kIncompatiblePeer);
  }
  return {};
}

size_t Connection::EncodeLocalData(
    std::span<std::byte, wire::kConnectDataBytes + wire::kExtensionBytes> out) const {
  wire::ConnectData data;
  receiver_.Describe(&data);
  data.has_extension = true;
  // What is copied may as well come in pieces.
  data.features = endpoint_->can_revoke() ? wire::kFeatureBufferEnd : 0;
  return wire::EncodeConnectData(data, out);
}

void Connection::OnRouted() {
  if (!Step(Event::kRouted)) return;
  Failure failure = receiver_.Prepare(endpoint_.get());
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
  outbox_.Attach(endpoint_.get());
  sender_.Attach(endpoint_.get(), receiver_.last_resort());
  receiver_.Open(peer_);
  sender_.Open(peer_);
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

}  // namespace rdma_net::stream
