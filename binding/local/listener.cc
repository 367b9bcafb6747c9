#include "local/listener.h"

#include <cerrno>
#include <memory>
#include <utility>

#include "local/endpoint.h"
#include "local/link.h"
#include "local/local_fabric.h"
#include "local/local_socket.h"
#include "local/rendezvous.h"

namespace rdma_net::local {

using fabric::Failure;
using fabric::Status;
using system::FileDescriptor;

namespace {

/// Of those that wait, in one turn.
constexpr int kAcceptsMax = 16;

Failure FailureOfListen(int error) {
  const Status status = error == EADDRINUSE ? Status::kAddressInUse : Status::kLocalError;
  return {.status = status, .kind = fabric::DetailKind::kErrno, .detail = error};
}

}  // namespace

Listener::~Listener() {
  Close();
}

Failure Listener::Open(const std::vector<std::string>& names, int backlog) {
  for (const std::string& name : names) {
    errno = 0;
    FileDescriptor socket = ListenOn(name, backlog);
    if (!socket.valid() || !fabric_->events()->Watch(socket.get(), static_cast<Watched*>(this))) {
      const Failure failure = FailureOfListen(errno);
      Close();
      return failure;
    }
    sockets_.push_back(std::move(socket));
  }
  return {};
}

void Listener::Close() {
  for (const FileDescriptor& socket : sockets_) fabric_->events()->Unwatch(socket.get());
  sockets_.clear();
  fabric_->ForgetListener(this);
}

void Listener::Release() {
  Close();
  fabric_->Defer([events = std::exchange(events_, nullptr)] { events->OnListenerReleased(); });
}

void Listener::OnReadable() {
  for (const FileDescriptor& socket : sockets_) {
    for (int n = 0; n < kAcceptsMax; n++) {
      FileDescriptor accepted = AcceptFrom(socket.get());
      if (!accepted.valid()) break;
      // Whoever may not has the socket closed in its face, and goes to TCP.
      if (fabric_->Trusts(PeerUser(accepted.get()))) fabric_->AddLink(std::move(accepted), this);
    }
  }
}

Status Listener::OnRequest(Link* link, uint32_t peer_number, const ConnectionRequest& request) {
  if (events_ == nullptr) return Status::kConnectionRefused;
  // Programs go by the address of who connects.
  if (!IsOwnAddress(request.local) || !IsOwnAddress(request.remote)) {
    return Status::kConnectionRejected;
  }
  if (!fabric_->has_room_for_connection()) return Status::kConnectionRejected;
  auto endpoint = std::make_unique<Endpoint>(fabric_, link, peer_number, request, ipv6_);
  events_->OnRequest(std::move(endpoint), request.data);
  return Status::kOk;
}

}  // namespace rdma_net::local
