#include "local/listener.h"

#include <cerrno>
#include <memory>
#include <utility>

#include "local/endpoint.h"
#include "local/link.h"
#include "local/local_fabric.h"
#include "local/local_socket.h"
#include "local/rendezvous.h"
#include "local/routes.h"

namespace rdma_net::local {

using fabric::Failure;
using fabric::Status;
using system::FileDescriptor;

namespace {

/// Of those that wait, in one turn.
constexpr int kAcceptsMax = 16;

}  // namespace

Failure FailureOfListen(int error) {
  const Status status = error == EADDRINUSE ? Status::kAddressInUse : Status::kLocalError;
  return {.status = status, .kind = fabric::DetailKind::kErrno, .detail = error};
}

void AcceptLinks(LocalFabric* fabric, int socket, Listener* listener, Group* group) {
  for (int n = 0; n < kAcceptsMax; n++) {
    FileDescriptor accepted = fabric->Accept(socket);
    if (!accepted.valid()) return;
    // Whoever may not has the socket closed in its face, and goes to TCP.
    if (fabric->Trusts(PeerUser(accepted.get()))) {
      fabric->AddLink(std::move(accepted), listener, group);
    }
  }
}

Listener::~Listener() {
  Close();
}

Failure Listener::Open(const std::vector<std::string>& names,
                       const fabric::ListenOptions& options) {
  takes_connections_ = options.sharing != fabric::Sharing::kDispatcher;
  for (const std::string& name : names) {
    Failure failure;
    if (options.sharing == fabric::Sharing::kAlone) {
      failure = OpenAlone(name, options.backlog);
    } else {
      groups_.push_back(
          std::make_unique<Group>(fabric_, this, name, options.backlog, takes_connections_));
      failure = groups_.back()->Open();
    }
    if (failure.ok()) continue;
    Close();
    return failure;
  }
  OnGroupJoined();
  return {};
}

Failure Listener::OpenAlone(const std::string& name, int backlog) {
  errno = 0;
  FileDescriptor socket = ListenOn(name, backlog);
  if (!socket.valid() || !fabric_->events()->Watch(socket.get(), static_cast<Watched*>(this))) {
    return FailureOfListen(errno);
  }
  sockets_.push_back(std::move(socket));
  // Last: who finds the mark finds the socket, too.
  marks_.push_back(MarkName(name));
  if (!marks_.back().valid()) return FailureOfListen(errno);
  return {};
}

void Listener::OnGroupJoined() {
  fabric_->DeferFor(this, [this] { TellIfListening(); });
}

void Listener::TellIfListening() {
  for (const auto& group : groups_) {
    if (!group->joined()) return;
  }
  if (!std::exchange(told_, true)) events_->OnListening();
}

void Listener::OnGroupLost(Failure failure) {
  fabric_->DeferFor(this, [this, failure] { events_->OnListenFailed(failure); });
}

void Listener::Close() {
  for (const FileDescriptor& socket : sockets_) fabric_->events()->Unwatch(socket.get());
  sockets_.clear();
  marks_.clear();
  for (const auto& group : groups_) group->Close();
  fabric_->ForgetListener(this);
}

void Listener::Release() {
  Close();
  fabric_->Defer([events = std::exchange(events_, nullptr)] { events->OnListenerReleased(); });
}

void Listener::OnReadable() {
  for (const FileDescriptor& socket : sockets_) {
    AcceptLinks(fabric_, socket.get(), this, nullptr);
  }
}

Status Listener::OnRequest(Link* link, uint32_t peer_number, const ConnectionRequest& request) {
  if (events_ == nullptr || !takes_connections_) return Status::kConnectionRefused;
  // Programs go by the address of who connects.
  Routes* routes = fabric_->routes();
  if (!routes->IsOwn(request.local) || !routes->IsOwn(request.remote)) {
    return Status::kConnectionRejected;
  }
  if (!fabric_->has_room_for_connection()) return Status::kPeerLimit;
  auto endpoint = std::make_unique<Endpoint>(fabric_, link, peer_number, request, ipv6_);
  events_->OnRequest(std::move(endpoint), request.data);
  return Status::kOk;
}

}  // namespace rdma_net::local
