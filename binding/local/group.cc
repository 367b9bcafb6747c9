#include "local/group.h"

#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "local/listener.h"
#include "local/local_fabric.h"
#include "local/local_socket.h"
#include "local/messages.h"
#include "local/rendezvous.h"

namespace rdma_net::local {

using fabric::Failure;
using fabric::Status;
using system::FileDescriptor;

namespace {

constexpr uint32_t kSeatsMax = 1024;
/// What somebody who joins says in the place of the number of a seat.
constexpr uint32_t kNoSeat = UINT32_MAX;
/// A dispatcher that turns somebody away cannot be told from one that ends at that moment, but for
/// how often it happens.
constexpr uint32_t kTurnedAwayMax = 3;
/// Between taking a name and listening under it another process may have to wait for a processor.
constexpr uint64_t kPatienceMs = 2000;
/// What a dispatcher answers.
constexpr char kWelcome = 'w';

/// Whether a call was to say that there is nothing yet.
bool Nothing(ssize_t bytes) {
  return bytes < 0 && (errno == EAGAIN || errno == EINTR);
}

}  // namespace

Group::Group(LocalFabric* fabric, Listener* listener, std::string name, int backlog,
             bool takes_connections)
    : fabric_(fabric),
      listener_(listener),
      name_(std::move(name)),
      backlog_(backlog),
      takes_connections_(takes_connections) {}

// Joining.

Failure Group::Open() {
  if (takes_connections_) {
    if (Failure failure = TakeSeat(); !failure.ok()) return failure;
  }
  return Join();
}

Failure Group::TakeSeat() {
  for (seat_number_ = 0; seat_number_ < kSeatsMax; seat_number_++) {
    errno = 0;
    seat_ = ListenOn(SeatName(name_, seat_number_), backlog_);
    if (seat_.valid()) return Watch(seat_) ? Failure{} : FailureOfListen(errno);
    if (errno != EADDRINUSE) break;
  }
  return FailureOfListen(errno);
}

Failure Group::Join() {
  errno = 0;
  FileDescriptor roll = ListenOn(RollName(name_), backlog_);
  if (roll.valid()) return BecomeDispatcher(std::move(roll));
  return errno == EADDRINUSE ? JoinDispatcher() : FailureOfListen(errno);
}

Failure Group::BecomeDispatcher(FileDescriptor roll) {
  errno = 0;
  FileDescriptor shared = ListenOn(name_, backlog_);
  FileDescriptor mark = shared.valid() ? MarkName(name_) : FileDescriptor();
  // The names of a dispatcher that dies do not end all at once.
  if (!mark.valid() && errno == EADDRINUSE && turned_away_ > 0) return TryLater();
  if (!mark.valid() || !Watch(roll) || !Watch(shared)) return FailureOfListen(errno);
  roll_ = std::move(roll);
  shared_ = std::move(shared);
  mark_ = std::move(mark);
  joined_ = true;
  give_up_ms_ = 0;
  listener_->OnGroupJoined();
  return {};
}

Failure Group::JoinDispatcher() {
  dispatcher_ = ConnectTo(RollName(name_));
  if (!dispatcher_.valid()) return TryLater();
  // Somebody else may have taken a name that is not theirs.
  if (!fabric_->Trusts(PeerUser(dispatcher_.get()))) return {.status = Status::kAddressInUse};
  if (!Watch(dispatcher_)) return FailureOfListen(errno);
  const uint32_t seat = takes_connections_ ? seat_number_ : kNoSeat;
  // If it does not get there, the socket has ended.
  send(dispatcher_.get(), &seat, sizeof(seat), MSG_NOSIGNAL);
  return {};
}

Failure Group::TryLater() {
  const uint64_t now = fabric_->now_ms();
  if (give_up_ms_ == 0) give_up_ms_ = now + kPatienceMs;
  if (now >= give_up_ms_) return {.status = Status::kAddressInUse};
  fabric_->DeferFor(listener_, [this] { JoinAgain(); });
  return {};
}

void Group::JoinAgain() {
  if (closed_) return;
  if (Failure failure = Join(); !failure.ok()) listener_->OnGroupLost(failure);
}

void Group::HearDispatcher() {
  char answer = 0;
  const ssize_t bytes = recv(dispatcher_.get(), &answer, sizeof(answer), 0);
  if (Nothing(bytes)) return;
  if (bytes == sizeof(answer) && answer == kWelcome) {
    turned_away_ = 0;
    give_up_ms_ = 0;
    if (!std::exchange(joined_, true)) listener_->OnGroupJoined();
    return;
  }
  Drop(&dispatcher_);
  joined_ = false;
  if (++turned_away_ > kTurnedAwayMax) {
    listener_->OnGroupLost({.status = Status::kAddressInUse});
  } else {
    JoinAgain();
  }
}

// Dispatching.

std::optional<uint32_t> Group::Next() {
  std::vector<uint32_t> seats;
  if (takes_connections_) seats.push_back(kHere);
  for (const Member& member : members_) {
    if (member.seat) seats.push_back(*member.seat);
  }
  if (seats.empty()) return std::nullopt;
  return seats[turn_++ % seats.size()];
}

void Group::AcceptMembers() {
  for (;;) {
    FileDescriptor accepted = fabric_->Accept(roll_.get());
    if (!accepted.valid()) return;
    const bool welcome = fabric_->Trusts(PeerUser(accepted.get())) && members_.size() < kSeatsMax;
    if (welcome && Watch(accepted)) {
      members_.push_back({.socket = std::move(accepted), .heard = false, .seat = std::nullopt});
    }
  }
}

void Group::HearMembers() {
  std::erase_if(members_, [this](Member& member) {
    if (Hear(&member)) return false;
    Drop(&member.socket);
    return true;
  });
}

bool Group::Hear(Member* member) {
  uint32_t seat = 0;
  const ssize_t bytes = recv(member->socket.get(), &seat, sizeof(seat), MSG_TRUNC);
  if (Nothing(bytes)) return true;
  const bool valid = bytes == sizeof(seat) && (seat < kSeatsMax || seat == kNoSeat);
  if (!valid || std::exchange(member->heard, true)) return false;
  if (seat != kNoSeat) member->seat = seat;
  return send(member->socket.get(), &kWelcome, sizeof(kWelcome), MSG_NOSIGNAL) == 1;
}

// Both.

void Group::OnReadable() {
  if (seat_.valid()) AcceptLinks(fabric_, seat_.get(), listener_, nullptr);
  if (dispatcher_.valid()) HearDispatcher();
  // First who is there, and then who asks.
  if (roll_.valid()) AcceptMembers();
  HearMembers();
  if (shared_.valid()) AcceptLinks(fabric_, shared_.get(), listener_, this);
}

bool Group::Watch(const FileDescriptor& socket) {
  return fabric_->events()->Watch(socket.get(), static_cast<Watched*>(this));
}

void Group::Drop(FileDescriptor* socket) {
  if (!socket->valid()) return;
  fabric_->events()->Unwatch(socket->get());
  *socket = FileDescriptor();
}

void Group::Close() {
  closed_ = true;
  joined_ = false;
  for (Member& member : members_) Drop(&member.socket);
  members_.clear();
  // Nobody is to be sent to a seat that is no more, so that the seat goes last.
  mark_ = FileDescriptor();
  for (FileDescriptor* socket : {&shared_, &roll_, &dispatcher_, &seat_}) Drop(socket);
}

}  // namespace rdma_net::local
