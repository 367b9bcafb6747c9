#include "verbs/listener.h"

#include <cassert>
#include <cerrno>

#include "system/address.h"
#include "verbs/failures.h"
#include "verbs/verbs_fabric.h"

namespace rdma_net::verbs {

using fabric::Failure;

void Listener::Start(const fabric::Address& address, int backlog) {
  if (released_) return;
  const Failure failure = Listen(address, backlog);
  const bool awaited =
      fabric_->AwaitAddress(failure, [this, alive = std::weak_ptr(alive_), address, backlog] {
        if (!alive.expired() && !released_) Settle(Listen(address, backlog));
      });
  if (!awaited) Settle(failure);
}

Failure Listener::Listen(const fabric::Address& address, int backlog) {
  sockaddr_storage local{};
  system::ParseAddress(address.host, address.port, &local);
  const Library& library = fabric_->library();
  if (id_ == nullptr) {
    if (library.create_id(fabric_->channel(), &id_, nullptr, RDMA_PS_TCP) != 0) {
      id_ = nullptr;
      return FailureOfErrno(errno);
    }
    fabric_->AddListener(id_, this);
  }
  if (!bound_ && library.bind_addr(id_, reinterpret_cast<sockaddr*>(&local)) != 0) {
    return FailureOfErrno(errno);
  }
  bound_ = true;
  return library.listen(id_, backlog) == 0 ? Failure{} : FailureOfErrno(errno);
}

void Listener::Settle(Failure failure) {
  if (!failure.ok()) return Fail(failure);
  assert(id_ != nullptr);
  // A listener that could accept nothing is none, and the reason should be known now.
  fabric_->devices()->Prepare(id_->verbs, [this, alive = std::weak_ptr(alive_)](Failure outcome) {
    if (alive.expired() || released_) return;
    if (!outcome.ok()) return Fail(outcome);
    events_->OnListening();
  });
}

void Listener::Fail(Failure failure) {
  if (!released_) events_->OnListenFailed(failure);
}

void Listener::Release() {
  if (released_) return;
  released_ = true;
  if (id_ != nullptr) fabric_->RemoveListener(id_);
  const auto finish = [this] { events_->OnListenerReleased(); };
  if (id_ == nullptr) return fabric_->worker()->Defer(finish);
  fabric_->worker()->Run([this, finish]() -> Worker::Finish {
    fabric_->library().destroy_id(id_);
    return finish;
  });
}

}  // namespace rdma_net::verbs
