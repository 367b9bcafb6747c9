#include "local/rendezvous.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "system/address.h"
#include "system/file_descriptor.h"

namespace rdma_net::local {

namespace {

std::string NameFor(uint16_t port, const std::string& address) {
  return "rdma-net/2/" + std::to_string(port) + "/" + address;
}

const sockaddr* Base(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

sockaddr_in* Ipv4(sockaddr_storage* address) {
  return reinterpret_cast<sockaddr_in*>(address);
}

sockaddr_in6* Ipv6(sockaddr_storage* address) {
  return reinterpret_cast<sockaddr_in6*>(address);
}

bool IsAny(sockaddr_storage* address) {
  if (address->ss_family == AF_INET) return Ipv4(address)->sin_addr.s_addr == INADDR_ANY;
  return IN6_IS_ADDR_UNSPECIFIED(&Ipv6(address)->sin6_addr) != 0;
}

bool IsLoopback(sockaddr_storage* address) {
  if (address->ss_family == AF_INET) {
    return (ntohl(Ipv4(address)->sin_addr.s_addr) >> 24U) == 127;
  }
  return IN6_IS_ADDR_LOOPBACK(&Ipv6(address)->sin6_addr) != 0;
}

bool SameHost(sockaddr_storage* one, sockaddr_storage* other) {
  if (one->ss_family != other->ss_family) return false;
  if (one->ss_family == AF_INET) {
    return Ipv4(one)->sin_addr.s_addr == Ipv4(other)->sin_addr.s_addr;
  }
  return IN6_ARE_ADDR_EQUAL(&Ipv6(one)->sin6_addr, &Ipv6(other)->sin6_addr) != 0;
}

/// Where a connection to a loopback address comes from (the route of 127.0.0.0/8 names 127.0.0.1).
sockaddr_storage LoopbackOf(int family) {
  sockaddr_storage address{};
  address.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    Ipv4(&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    Ipv6(&address)->sin6_addr = in6addr_loopback;
  }
  return address;
}

/// Has the kernel choose a source address, which it does for a datagram socket without sending
/// anything. What it would route to this very host gets its own address as the source, and what is
/// connected to "any" goes to the loopback address.
bool Route(sockaddr_storage* remote, sockaddr_storage* local) {
  const int family = remote->ss_family;
  const system::FileDescriptor opened(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  if (!opened.valid()) return false;
  const uint16_t port = Ipv4(remote)->sin_port;
  // Port 0 cannot be connected to.
  if (port == 0) Ipv4(remote)->sin_port = htons(9);
  const bool connected = connect(opened.get(), Base(*remote), length) == 0;
  Ipv4(remote)->sin_port = port;
  if (!connected) return false;
  socklen_t bytes = sizeof(*local);
  if (getsockname(opened.get(), reinterpret_cast<sockaddr*>(local), &bytes) != 0) return false;
  Ipv4(local)->sin_port = 0;
  return true;
}

/// Whether an address is of this host, and where a connection to it comes from.
bool FindSource(sockaddr_storage* address, sockaddr_storage* source) {
  if (IsLoopback(address)) {
    *source = LoopbackOf(address->ss_family);
    return true;
  }
  return Route(address, source) && SameHost(address, source);
}

}  // namespace

bool IsOwnAddress(const sockaddr_storage& address) {
  sockaddr_storage copy = address;
  sockaddr_storage source{};
  return FindSource(&copy, &source);
}

std::vector<std::string> NamesOfListener(const fabric::Address& address, bool ipv6_only) {
  sockaddr_storage parsed{};
  if (!system::ParseAddress(address.host, address.port, &parsed)) return {};
  if (!IsAny(&parsed)) return {NameFor(address.port, system::FormatAddress(Base(parsed)).host)};
  if (parsed.ss_family == AF_INET) return {NameFor(address.port, "any4")};
  std::vector<std::string> names = {NameFor(address.port, "any6")};
  if (!ipv6_only) names.push_back(NameFor(address.port, "any4"));
  return names;
}

std::string RollName(const std::string& shared) {
  return shared + "/roll";
}

std::string SeatName(const std::string& shared, uint32_t seat) {
  return shared + "/" + std::to_string(seat);
}

std::optional<LocalTarget> FindLocalTarget(const fabric::Target& target) {
  LocalTarget found;
  const uint16_t port = target.remote.port;
  if (!system::ParseAddress(target.remote.host, port, &found.remote)) return std::nullopt;
  if (IsAny(&found.remote)) {
    // As the kernel does for a connection to "any" (net/ipv4/route.c, net/ipv6/tcp_ipv6.c).
    found.remote = LoopbackOf(found.remote.ss_family);
    Ipv4(&found.remote)->sin_port = htons(port);
  }
  const bool bound = !target.local_host.empty();
  if (bound && !system::ParseAddress(target.local_host, 0, &found.local)) return std::nullopt;
  sockaddr_storage source{};
  if (!FindSource(&found.remote, &source)) return std::nullopt;
  // An address to bind to that is not of this host, or of the other family, is for TCP to refuse.
  if (bound && !IsAny(&found.local)) {
    const bool same_family = found.local.ss_family == found.remote.ss_family;
    if (!same_family || !IsOwnAddress(found.local)) return std::nullopt;
  } else {
    found.local = source;
  }
  Ipv4(&found.local)->sin_port = htons(target.local_port);
  found.names = {NameFor(port, system::FormatAddress(Base(found.remote)).host),
                 NameFor(port, found.remote.ss_family == AF_INET ? "any4" : "any6")};
  return found;
}

}  // namespace rdma_net::local
