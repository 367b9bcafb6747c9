#include "local/routes.h"

#include <arpa/inet.h>
#include <netinet/in.h>

namespace rdma_net::local {

namespace {

const sockaddr* Base(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

const sockaddr_in& Ipv4(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr_in&>(address);
}

const sockaddr_in6& Ipv6(const sockaddr_storage& address) {
  return reinterpret_cast<const sockaddr_in6&>(address);
}

/// The same place for both families.
void SetPort(sockaddr_storage* address, uint16_t port) {
  reinterpret_cast<sockaddr_in*>(address)->sin_port = htons(port);
}

bool IsLoopback(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return (ntohl(Ipv4(address).sin_addr.s_addr) >> 24U) == 127;
  return IN6_IS_ADDR_LOOPBACK(&Ipv6(address).sin6_addr) != 0;
}

bool SameHost(const sockaddr_storage& one, const sockaddr_storage& other) {
  if (one.ss_family != other.ss_family) return false;
  if (one.ss_family == AF_INET) {
    return Ipv4(one).sin_addr.s_addr == Ipv4(other).sin_addr.s_addr;
  }
  return IN6_ARE_ADDR_EQUAL(&Ipv6(one).sin6_addr, &Ipv6(other).sin6_addr) != 0;
}

}  // namespace

bool IsAny(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return Ipv4(address).sin_addr.s_addr == INADDR_ANY;
  return IN6_IS_ADDR_UNSPECIFIED(&Ipv6(address).sin6_addr) != 0;
}

sockaddr_storage LoopbackOf(int family) {
  sockaddr_storage address{};
  address.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    reinterpret_cast<sockaddr_in6&>(address).sin6_addr = in6addr_loopback;
  }
  return address;
}

bool Routes::IsOwn(const sockaddr_storage& address) {
  sockaddr_storage source{};
  return FindSource(address, &source);
}

bool Routes::FindSource(const sockaddr_storage& address, sockaddr_storage* source) {
  if (IsLoopback(address)) {
    *source = LoopbackOf(address.ss_family);
    return true;
  }
  return Route(address, source) && SameHost(address, *source);
}

/// Has the kernel choose a source address, which it does for a datagram socket without sending
/// anything. What it would route to this very host gets its own address as the source, and what is
/// connected to "any" goes to the loopback address.
bool Routes::Route(const sockaddr_storage& remote, sockaddr_storage* local) {
  const int family = remote.ss_family;
  system::FileDescriptor& kept = family == AF_INET ? ipv4_ : ipv6_;
  // Without this it would keep the source address of before (net/ipv4/udp.c, __udp_disconnect).
  const sockaddr nobody = {.sa_family = AF_UNSPEC, .sa_data = {}};
  if (!kept.valid() || connect(kept.get(), &nobody, sizeof(nobody)) != 0) {
    kept = system::FileDescriptor(socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!kept.valid()) return false;
  }
  const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  sockaddr_storage target = remote;
  // Port 0 cannot be connected to.
  if (Ipv4(target).sin_port == 0) SetPort(&target, 9);
  if (connect(kept.get(), Base(target), length) != 0) return false;
  socklen_t bytes = sizeof(*local);
  if (getsockname(kept.get(), reinterpret_cast<sockaddr*>(local), &bytes) != 0) return false;
  SetPort(local, 0);
  return true;
}

}  // namespace rdma_net::local
