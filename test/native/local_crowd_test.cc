#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <memory>
#include <string>

#include "crowd.h"
#include "hostile_stand.h"
#include "local/local_socket.h"
#include "local/rendezvous.h"
#include "local_host.h"
#include "raw_peer.h"
#include "tap.h"

/// Many connections over one link, listeners that come and go, limits, and whom a fabric trusts.
namespace {

using namespace rdma_net;
using fabric::Status;
using simulation::Crowd;
using simulation::LocalHost;
using simulation::NextAddress;

constexpr uint32_t kTurns = 2000;
constexpr uid_t kNobody = 65534;

/// Some turns of both; the server's are fewer, so that it is behind.
void Run(Crowd* crowd, LocalHost* client, LocalHost* server, uint32_t turns = kTurns) {
  for (uint32_t turn = 0; turn < turns; turn++) {
    client->Turn(1000);
    if (turn % 20 == 0) server->Turn(1000);
    crowd->Hear();
  }
}

bool Empty(const LocalHost& host) {
  const fabric::FabricStats stats = host.fabric()->stats();
  return stats.pinned_bytes == 0 && stats.queue_pairs == 0;
}

TEST("local: 1,000 connections fill the queue of their link, all echo, and nothing is left") {
  const size_t files = simulation::OpenFiles();
  {
    LocalHost client;
    LocalHost server;
    Crowd crowd(client.fabric(), server.fabric(), NextAddress(), 1000, 25);
    Run(&crowd, &client, &server);
    CHECK(crowd.open() == 1000);
    CHECK(crowd.echoed() == 1000);
    CHECK(simulation::OpenFiles() < files + 20);
    crowd.CloseClients();
    Run(&crowd, &client, &server);
    CHECK(crowd.failed() == 0);
    CHECK(crowd.closed() == 2000);
    CHECK(Empty(client) && Empty(server));
  }
  CHECK(simulation::OpenFiles() == files);
}

TEST("local: a fabric connects to itself") {
  LocalHost host;
  Crowd crowd(host.fabric(), host.fabric(), NextAddress(), 10, 1);
  Run(&crowd, &host, &host, 100);
  CHECK(crowd.echoed() == 10);
  crowd.CloseClients();
  Run(&crowd, &host, &host, 100);
  CHECK(crowd.closed() == 20 && Empty(host));
}

TEST("local: beyond the limit of connections of the listening side, the others are told of it") {
  LocalHost client;
  LocalHost server({.connections_max = 3});
  Crowd crowd(client.fabric(), server.fabric(), NextAddress(), 10, 1);
  Run(&crowd, &client, &server, 200);
  CHECK(crowd.echoed() == 3 && crowd.failed() == 7);
  CHECK(crowd.failure() == Status::kPeerLimit);
  crowd.CloseClients();
  Run(&crowd, &client, &server, 200);
  CHECK(Empty(client) && Empty(server));
}

TEST("local: a fabric closed with an idle link has nothing left to tidy up") {
  LocalHost host;
  Crowd crowd(host.fabric(), host.fabric(), NextAddress(), 1, 1);
  Run(&crowd, &host, &host, 100);
  crowd.CloseClients();
  crowd.ReleaseListener();
  Run(&crowd, &host, &host, 100);
  // The link is kept for the next connection.
  CHECK(host.fabric()->Tidy());
  host.fabric()->Close();
  Run(&crowd, &host, &host, 100);
  CHECK(!host.fabric()->Tidy());
}

TEST("local: requests that are under way when the listener goes are refused") {
  LocalHost client;
  LocalHost server;
  Crowd crowd(client.fabric(), server.fabric(), NextAddress(), 10, 1);
  // The link opens, and the requests are in the queue.
  for (int turn = 0; turn < 3; turn++) {
    client.Turn(1000);
    if (turn < 1) server.Turn(1000);
    crowd.Hear();
  }
  crowd.ReleaseListener();
  Run(&crowd, &client, &server, 200);
  CHECK(crowd.echoed() == 0 && crowd.failed() == 10);
  CHECK(Empty(client) && Empty(server));
}

TEST("local: who listens again is found, also by those that had a connection before") {
  LocalHost client;
  LocalHost server;
  const fabric::Address address = NextAddress();
  Crowd before(client.fabric(), server.fabric(), address, 1, 1);
  Run(&before, &client, &server, 100);
  CHECK(before.echoed() == 1);
  before.ReleaseListener();
  Run(&before, &client, &server, 100);
  // The link is still there; that it leads to nobody is found out by the first.
  Crowd first(client.fabric(), server.fabric(), address, 1, 1);
  Run(&first, &client, &server, 100);
  first.ReleaseListener();
  Run(&first, &client, &server, 100);
  Crowd second(client.fabric(), server.fabric(), address, 1, 1);
  Run(&second, &client, &server, 100);
  CHECK(second.echoed() == 1);
}

TEST("local: nobody is connected to where nobody listens") {
  LocalHost client;
  fabric::Failure failure;
  const fabric::Target target = {.remote = NextAddress(), .local_host = {}, .local_port = 0};
  CHECK(client.fabric()->Connect(target, nullptr, &failure) == nullptr);
  CHECK(failure.status == Status::kConnectionRefused);
}

TEST("local: a listener on :: stands for IPv4, unless it is for IPv6 only") {
  for (const bool ipv6_only : {false, true}) {
    LocalHost host;
    const fabric::Address address = NextAddress("::");
    Crowd nobody(host.fabric(), host.fabric(), NextAddress(), 0, 1);
    fabric::Failure failure;
    const auto listener =
        host.fabric()->Listen(address, {.backlog = 1, .ipv6_only = ipv6_only}, &nobody, &failure);
    CHECK(listener != nullptr);
    const auto names = local::FindLocalTarget(
        {.remote = {.host = "127.0.0.1", .port = address.port, .ipv6 = false},
         .local_host = {},
         .local_port = 0},
        host.fabric()->routes());
    CHECK(local::ConnectTo(names->names.back()).valid() == !ipv6_only);
    CHECK(host.fabric()->Listen(address, {}, &nobody, &failure) == nullptr);
    CHECK(failure.status == Status::kAddressInUse);
  }
}

/// Leaves this process no descriptor that is free.
class NoDescriptors {
 public:
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    const system::FileDescriptor next(dup(STDERR_FILENO));
    const rlimit none = {.rlim_cur = static_cast<rlim_t>(next.get()), .rlim_max = before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;
  NoDescriptors(NoDescriptors&&) = delete;
  NoDescriptors& operator=(NoDescriptors&&) = delete;
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST("local: without a descriptor for who comes, he is turned away, and nobody keeps looking") {
  simulation::HostileStand stand(1);
  stand.Run(5);
  const simulation::RawPeer early(stand.name());
  const simulation::RawPeer other(stand.name());
  {
    const NoDescriptors none;
    stand.Run(5);
    CHECK(early.ended() && other.ended());
  }
  simulation::RawPeer late(stand.name());
  late.Greet();
  stand.Run(5);
  CHECK(late.TakeGreeting());
  late.End();
  CHECK(stand.Finish().empty());
}

TEST("local: a link that waits for the last word of its peer is looked after") {
  LocalHost client;
  LocalHost server;
  Crowd crowd(client.fabric(), server.fabric(), NextAddress(), 1, 1);
  Run(&crowd, &client, &server, 100);
  CHECK(crowd.echoed() == 1);
  crowd.CloseClients();
  for (int turn = 0; turn < 10; turn++) {
    client.Turn(1000);
    crowd.Hear();
  }
  CHECK(crowd.closed() == 1 && client.fabric()->stats().queue_pairs == 0);
  CHECK(client.fabric()->stats().pinned_bytes > 0);
  CHECK(client.fabric()->Tidy());
}

TEST("local: a peer of another user is not let in") {
  if (geteuid() != 0) return;
  simulation::HostileStand stand(1);
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(kNobody) != 0) _exit(1);
    simulation::RawPeer peer(stand.name());
    peer.Greet();
    pollfd entry = {.fd = peer.socket(), .events = POLLIN, .revents = 0};
    _exit(poll(&entry, 1, -1) == 1 && peer.ended() ? 0 : 1);
  }
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) stand.Run(1);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(stand.Finish().empty());
}

/// Whether whoever has the names of an address is asked for a connection.
bool Trusted(const fabric::Address& address) {
  LocalHost client;
  fabric::Failure failure;
  const fabric::Target target = {.remote = address, .local_host = {}, .local_port = 0};
  return client.fabric()->Connect(target, nullptr, &failure) != nullptr ||
         failure.status != Status::kConnectionRejected;
}

TEST("local: a name that another user has taken is not used") {
  if (geteuid() != 0) return;
  const fabric::Address address = NextAddress();
  const std::string name = local::NamesOfListener(address, false).front();
  int ready[2];
  CHECK(pipe(ready) == 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(kNobody) != 0) _exit(1);
    const auto squatted = local::ListenOn(name, 10);
    const auto mark = local::MarkName(name);
    close(ready[0]);
    if (write(ready[1], "1", 1) != 1) _exit(1);
    pause();
  }
  close(ready[1]);
  char byte = 0;
  CHECK(read(ready[0], &byte, 1) == 1);
  close(ready[0]);
  CHECK(!Trusted(address));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
}

TEST("local: nor is one that root has taken") {
  if (geteuid() != 0) return;
  const fabric::Address address = NextAddress();
  const std::string name = local::NamesOfListener(address, false).front();
  const auto taken = local::ListenOn(name, 10);
  const auto mark = local::MarkName(name);
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(kNobody) != 0) _exit(2);
    _exit(Trusted(address) ? 1 : 0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

}  // namespace
