#include "local/local_fabric.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "local/endpoint.h"
#include "local/local_socket.h"
#include "local/rendezvous.h"
#include "system/user_namespace.h"

namespace rdma_net::local {

using fabric::Failure;
using fabric::Status;
using system::FileDescriptor;

namespace {

/// The usual net.ipv4.ip_local_port_range.
constexpr uint16_t kFirstPort = 32768;
constexpr uint16_t kLastPort = 60999;

FileDescriptor OpenSpare() {
  return FileDescriptor(eventfd(0, EFD_CLOEXEC));
}

Failure FailureOfConnect(int error) {
  const fabric::DetailKind kind = fabric::DetailKind::kErrno;
  switch (error) {
    case ECONNREFUSED:
      return {.status = Status::kConnectionRefused, .kind = kind, .detail = error};
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
      return {.status = Status::kOutOfMemory, .kind = kind, .detail = error};
    default:
      return {.status = Status::kConnectionRejected, .kind = kind, .detail = error};
  }
}

}  // namespace

std::unique_ptr<LocalFabric> LocalFabric::Create(const Options& options, Failure* failure) {
  errno = 0;
  std::unique_ptr<LocalFabric> fabric(new LocalFabric(options));
  const bool complete = fabric->events_.valid() && fabric->bell_.valid() &&
                        fabric->spare_.valid() &&
                        fabric->events_.Watch(fabric->bell_.get(), nullptr, true);
  if (complete) return fabric;
  *failure = {.status = Status::kLocalError, .kind = fabric::DetailKind::kErrno, .detail = errno};
  return nullptr;
}

LocalFabric::LocalFabric(const Options& options)
    : options_(options),
      bell_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      spare_(OpenSpare()),
      // Not the same for every program, so that few of them meet.
      next_port_(static_cast<uint16_t>(kFirstPort + (static_cast<uint32_t>(getpid()) * 7919U) %
                                                        (kLastPort - kFirstPort))) {}

LocalFabric::~LocalFabric() = default;

bool LocalFabric::Trusts(uid_t user) const {
  return user != static_cast<uid_t>(-1) && user == geteuid() && !system::MayBeAnybody(user);
}

// Connecting.

std::unique_ptr<fabric::Endpoint> LocalFabric::Connect(const fabric::Target& target,
                                                       fabric::EndpointEvents* events,
                                                       Failure* failure) {
  std::optional<LocalTarget> found = FindLocalTarget(target, &routes_);
  if (!found || closing_) {
    *failure = {.status = Status::kNoRoute};
    return nullptr;
  }
  if (!has_room_for_connection()) {
    *failure = {.status = Status::kQueuePairLimit};
    return nullptr;
  }
  Link* link = FindLink(found->names, failure);
  if (link == nullptr) return nullptr;
  const ConnectionRequest request = {.remote = found->remote, .local = found->local, .data = {}};
  const bool asked_for_ipv6 = target.remote.host.find(':') != std::string::npos;
  return std::make_unique<Endpoint>(this, link, std::move(found->names), events, request,
                                    asked_for_ipv6);
}

std::vector<std::string> LocalFabric::NamesAt(const fabric::Address& address) {
  std::optional<LocalTarget> found =
      FindLocalTarget({.remote = address, .local_host = {}, .local_port = 0}, &routes_);
  return found ? std::move(found->names) : std::vector<std::string>{};
}

bool LocalFabric::MayListen(const std::vector<std::string>& names) {
  return std::any_of(names.begin(), names.end(), [this](const std::string& name) {
    return KnownLink(name) != nullptr || marks_.Has(name);
  });
}

Link* LocalFabric::FindSeat(const Link* shared, uint32_t seat) {
  const auto way = std::find_if(ways_.begin(), ways_.end(),
                                [shared](const Way& each) { return each.link == shared; });
  if (way == ways_.end() || way->name.empty()) return nullptr;
  const std::string name = SeatName(way->name, seat);
  Failure failure;
  Link* known = KnownLink(name);
  return known != nullptr ? known : OpenLink(name, &failure);
}

Link* LocalFabric::KnownLink(const std::string& name) const {
  const auto known = std::find_if(ways_.begin(), ways_.end(),
                                  [&name](const Way& way) { return way.name == name; });
  return known == ways_.end() ? nullptr : known->link;
}

Link* LocalFabric::FindLink(const std::vector<std::string>& names, Failure* failure) {
  *failure = {.status = Status::kConnectionRefused};
  for (const std::string& name : names) {
    if (Link* known = KnownLink(name); known != nullptr) return known;
    if (!marks_.Has(name)) continue;
    Link* opened = OpenLink(name, failure);
    if (opened != nullptr || failure->status != Status::kConnectionRefused) return opened;
  }
  return nullptr;
}

Link* LocalFabric::OpenLink(const std::string& name, Failure* failure) {
  FileDescriptor socket = ConnectTo(name);
  if (!socket.valid()) {
    *failure = FailureOfConnect(errno);
    return nullptr;
  }
  // Somebody else may have taken the name of a port that is not theirs.
  if (!Trusts(PeerUser(socket.get()))) {
    *failure = {.status = Status::kConnectionRejected};
    return nullptr;
  }
  auto link = std::make_unique<Link>(this, std::move(socket), nullptr, nullptr);
  errno = 0;
  if (*failure = link->Open(); !failure->ok()) return nullptr;
  links_.push_back(std::move(link));
  ways_.push_back({.name = name, .link = links_.back().get()});
  return ways_.back().link;
}

std::unique_ptr<fabric::Listener> LocalFabric::Listen(const fabric::Address& address,
                                                      const fabric::ListenOptions& options,
                                                      fabric::ListenerEvents* events,
                                                      Failure* failure) {
  const std::vector<std::string> names = NamesOfListener(address, options.ipv6_only);
  if (names.empty()) {
    *failure = {.status = Status::kInvalidArgument};
    return nullptr;
  }
  const bool ipv6 = address.host.find(':') != std::string::npos;
  auto listener = std::make_unique<Listener>(this, events, ipv6);
  listeners_.insert(listener.get());
  if (*failure = listener->Open(names, options); !failure->ok()) return nullptr;
  return listener;
}

void LocalFabric::DeferFor(Listener* listener, std::function<void()> call) {
  // Another one may have its address by then.
  Defer([this, listener, weak = listener->life(), call = std::move(call)] {
    if (!weak.expired() && listeners_.contains(listener)) call();
  });
}

FileDescriptor LocalFabric::Accept(int socket) {
  FileDescriptor accepted = AcceptFrom(socket);
  if (accepted.valid() || (errno != EMFILE && errno != ENFILE)) return accepted;
  spare_ = FileDescriptor();
  while (AcceptFrom(socket).valid()) {
  }
  spare_ = OpenSpare();
  return {};
}

void LocalFabric::AddLink(FileDescriptor socket, Listener* listener, Group* group) {
  auto link = std::make_unique<Link>(this, std::move(socket), listener, group);
  if (!link->Open().ok()) return;
  links_.push_back(std::move(link));
}

void LocalFabric::ForgetListener(const Listener* listener) {
  listeners_.erase(listener);
  for (const auto& link : links_) link->ForgetListener(listener);
}

uint16_t LocalFabric::TakePort() {
  for (uint32_t tries = 0; tries <= kLastPort - kFirstPort; tries++) {
    const uint16_t port = next_port_;
    next_port_ = port == kLastPort ? kFirstPort : static_cast<uint16_t>(port + 1);
    if (ports_.insert(port).second) return port;
  }
  return 0;
}

bool LocalFabric::HasMemory(size_t bytes, bool grows) const {
  const uint64_t all = options_.memory_bytes_max;
  uint64_t used = 0;
  for (const auto& link : links_) used += link->used_bytes();
  return grows ? MayGrow(bytes, all - used, all) : bytes <= all - used;
}

fabric::RegistrationRef LocalFabric::Register(std::span<const std::byte>,
                                              std::function<void()> released) {
  // Nothing has to be registered where the processor copies.
  Defer(std::move(released));
  return {};
}

// Events.

bool LocalFabric::Poll(uint32_t budget) {
  for (const auto& link : links_) link->WakeUp();
  events_.Look([](void* owner) {
    if (owner != nullptr) static_cast<Watched*>(owner)->OnReadable();
  });
  RunDeferred();
  const bool more = PollArmed(budget);
  BuryDead();
  return more;
}

bool LocalFabric::PollArmed(uint32_t budget) {
  uint32_t handled = 0;
  first_link_++;
  // By index: a message may lead to a new link.
  const size_t count = links_.size();
  for (size_t i = 0; i < count && handled < budget; i++) {
    handled += links_[(first_link_ + i) % count]->Poll(budget - handled);
  }
  messages_ += handled;
  return handled >= budget;
}

bool LocalFabric::Arm() {
  bool armed = false;
  for (const auto& link : links_) armed |= link->Sleep();
  return armed;
}

void LocalFabric::Defer(std::function<void()> call) {
  if (deferred_.empty()) eventfd_write(bell_.get(), 1);
  deferred_.push_back(std::move(call));
}

void LocalFabric::RunDeferred() {
  for (const auto& call : std::exchange(deferred_, {})) call();
}

void LocalFabric::Forget(const Link* link) {
  for (Way& way : ways_) {
    if (way.link == link) way.name.clear();
  }
}

void LocalFabric::Bury(Link* link) {
  std::erase_if(ways_, [link](const Way& way) { return way.link == link; });
  dead_links_++;
  Defer([] {});
}

void LocalFabric::BuryDead() {
  if (dead_links_ > 0) {
    dead_links_ -=
        std::erase_if(links_, [](const auto& link) { return link->dead() && link->idle(); });
  }
  if (closing_ && connections_ == 0 && deferred_.empty() && listeners_.empty()) {
    ways_.clear();
    links_.clear();
    closed_ = true;
  }
}

// What is left.

bool LocalFabric::Tidy() {
  const uint64_t now = now_ms();
  bool watching = false;
  for (const auto& link : links_) watching |= link->Tidy(now);
  return watching;
}

fabric::FabricStats LocalFabric::stats() const {
  fabric::FabricStats stats = {.completions = messages_, .queue_pairs = connections_};
  for (const auto& link : links_) stats.pinned_bytes += link->used_bytes();
  return stats;
}

void LocalFabric::Close() {
  closing_ = true;
  Defer([] {});
}

}  // namespace rdma_net::local
