#include "stream/outbox.h"

#include <utility>

namespace rdma_net::stream {

namespace {

constexpr uint32_t kKindShift = 32;

uint64_t Token(Outbox::Kind kind, uint32_t bytes) {
  return (static_cast<uint64_t>(kind) << kKindShift) | bytes;
}

}  // namespace

bool Outbox::Note(const fabric::Failure& failure) {
  counters_->work_requests++;
  rings_ = true;
  if (failure.ok()) return true;
  failure_ = failure;
  return false;
}

bool Outbox::PostData(fabric::WriteRequest* request, uint32_t bytes) {
  request->token = Token(Kind::kData, bytes);
  request->place_inline = bytes <= endpoint_->inline_bytes_max();
  if (!posts_at_once_) data_in_flight_++;
  return Note(endpoint_->Post(*request));
}

bool Outbox::PostControl(fabric::WriteRequest* request, Kind kind) {
  request->token = Token(kind, 0);
  if (!posts_at_once_) control_in_flight_++;
  return Note(endpoint_->Post(*request));
}

bool Outbox::Expose(fabric::Slab* slab, uint32_t* remote_key) {
  return Note(endpoint_->Expose(slab, remote_key));
}

bool Outbox::Revoke(fabric::Slab* slab, Kind kind) {
  revokes_in_flight_++;
  return Note(endpoint_->Revoke(slab, Token(kind, 0)));
}

bool Outbox::Ring() {
  if (!std::exchange(rings_, false)) return true;
  if (const fabric::Failure failure = endpoint_->Ring(); !failure.ok()) failure_ = failure;
  return !failed();
}

void Outbox::AwaitSent() {
  if (!idle() || has_revokes()) endpoint_->AwaitSent();
}

Outbox::Sent Outbox::OnSent(uint64_t token) {
  const Sent sent = {.kind = static_cast<Kind>(token >> kKindShift),
                     .bytes = static_cast<uint32_t>(token)};
  switch (sent.kind) {
    case Kind::kData:
      data_in_flight_--;
      break;
    case Kind::kControl:
    case Kind::kEnd:
    case Kind::kKeepalive:
      control_in_flight_--;
      break;
    case Kind::kRevoke:
    case Kind::kRelease:
      revokes_in_flight_--;
      break;
  }
  return sent;
}

}  // namespace rdma_net::stream
