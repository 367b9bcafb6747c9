#include <ifaddrs.h>
#include <net/if.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "local/local_socket.h"
#include "local/rendezvous.h"
#include "local/routes.h"
#include "system/address.h"
#include "tap.h"

/// Under which names a listener is found on its host, and by whom.
namespace {

using namespace rdma_net;
using Names = std::vector<std::string>;

Names OfListener(const std::string& host, bool ipv6_only = false) {
  return local::NamesOfListener({.host = host, .port = 80, .ipv6 = false}, ipv6_only);
}

/// One for all, as in a program: what was asked before must make no difference.
local::Routes* TheRoutes() {
  static local::Routes routes;
  return &routes;
}

Names OfTarget(const std::string& host, const std::string& local_host = "") {
  const fabric::Target target = {.remote = {.host = host, .port = 80, .ipv6 = false},
                                 .local_host = local_host,
                                 .local_port = 0};
  const auto found = local::FindLocalTarget(target, TheRoutes());
  return found ? found->names : Names();
}

fabric::Address Show(const sockaddr_storage& address) {
  return system::FormatAddress(reinterpret_cast<const sockaddr*>(&address));
}

TEST("rendezvous: a listener has the name of its address, or one for each kind of any address") {
  CHECK(OfListener("127.0.0.1") == Names{"rdma-net/2/80/127.0.0.1"});
  CHECK(OfListener("::1") == Names{"rdma-net/2/80/::1"});
  CHECK(OfListener("0:0:0:0:0:0:0:1") == Names{"rdma-net/2/80/::1"});
  CHECK(OfListener("::ffff:127.0.0.1") == Names{"rdma-net/2/80/127.0.0.1"});
  CHECK(OfListener("0.0.0.0") == Names{"rdma-net/2/80/any4"});
  CHECK(OfListener("::") == (Names{"rdma-net/2/80/any6", "rdma-net/2/80/any4"}));
  CHECK(OfListener("::", true) == Names{"rdma-net/2/80/any6"});
  CHECK(OfListener("localhost").empty());
  CHECK(OfListener("").empty());
}

TEST("rendezvous: a target is looked for by its own address first, and then by any of its kind") {
  const Names ipv4 = {"rdma-net/2/80/127.0.0.1", "rdma-net/2/80/any4"};
  CHECK(OfTarget("127.0.0.1") == ipv4);
  CHECK(OfTarget("::ffff:127.0.0.1") == ipv4);
  CHECK(OfTarget("127.1.2.3") == (Names{"rdma-net/2/80/127.1.2.3", "rdma-net/2/80/any4"}));
  CHECK(OfTarget("::1") == (Names{"rdma-net/2/80/::1", "rdma-net/2/80/any6"}));
}

TEST("rendezvous: who connects to any address means the loopback address") {
  CHECK(OfTarget("0.0.0.0") == OfTarget("127.0.0.1"));
  CHECK(OfTarget("::") == OfTarget("::1"));
}

TEST("rendezvous: addresses of other hosts, of groups, and names are not looked for") {
  for (const char* host : {"8.8.8.8", "192.0.2.1", "255.255.255.255", "224.0.0.1", "2001:db8::1",
                           "ff02::1", "localhost", ""}) {
    CHECK(OfTarget(host).empty());
  }
}

TEST("rendezvous: an address to connect from must be of this host, and of the same kind") {
  CHECK(!OfTarget("127.0.0.1", "127.0.0.2").empty());
  CHECK(!OfTarget("127.0.0.1", "0.0.0.0").empty());
  CHECK(OfTarget("127.0.0.1", "192.0.2.1").empty());
  CHECK(OfTarget("127.0.0.1", "::1").empty());
  CHECK(OfTarget("127.0.0.1", "nobody").empty());
}

TEST("rendezvous: the addresses of a connection are those that TCP would have") {
  const auto plain = local::FindLocalTarget(
      {.remote = {.host = "0.0.0.0", .port = 80, .ipv6 = false}, .local_host = {}, .local_port = 0},
      TheRoutes());
  CHECK(plain && Show(plain->remote).host == "127.0.0.1" && Show(plain->remote).port == 80);
  CHECK(plain && Show(plain->local).host == "127.0.0.1" && Show(plain->local).port == 0);
  const auto bound =
      local::FindLocalTarget({.remote = {.host = "127.0.0.9", .port = 80, .ipv6 = false},
                              .local_host = "127.0.0.2",
                              .local_port = 1234},
                             TheRoutes());
  CHECK(bound && Show(bound->remote).host == "127.0.0.9");
  CHECK(bound && Show(bound->local).host == "127.0.0.2" && Show(bound->local).port == 1234);
}

TEST("rendezvous: every address of this host is its own, whatever was asked before") {
  ifaddrs* first = nullptr;
  CHECK(getifaddrs(&first) == 0);
  size_t count = 0;
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    const bool up = (each->ifa_flags & IFF_UP) != 0 && each->ifa_addr != nullptr;
    if (!up || (each->ifa_addr->sa_family != AF_INET && each->ifa_addr->sa_family != AF_INET6)) {
      continue;
    }
    const bool ipv6 = each->ifa_addr->sa_family == AF_INET6;
    sockaddr_storage own{};
    std::memcpy(&own, each->ifa_addr, ipv6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
    CHECK(OfTarget(ipv6 ? "2001:db8::1" : "192.0.2.1").empty());
    CHECK(TheRoutes()->IsOwn(own));
    count++;
  }
  freeifaddrs(first);
  CHECK(count > 0);
}

TEST("rendezvous: a name is marked as long as somebody says so, and no other name is") {
  const std::string name = "rdma-net/test/" + std::to_string(getpid());
  local::Marks marks;
  for (int round = 0; round < 2; round++) {
    CHECK(!marks.Has(name));
    const system::FileDescriptor mark = local::MarkName(name);
    CHECK(mark.valid());
    CHECK(marks.Has(name) && marks.Has(name));
    CHECK(!marks.Has(name + "/another"));
    CHECK(!local::MarkName(name).valid() && errno == EADDRINUSE);
  }
  CHECK(!marks.Has(name));
}

}  // namespace
