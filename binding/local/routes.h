#pragma once

#include <sys/socket.h>

#include "system/file_descriptor.h"

/// Which addresses are of this host, in this network namespace, as the kernel routes them.
namespace rdma_net::local {

bool IsAny(const sockaddr_storage& address);

/// Where a connection to a loopback address comes from (the route of 127.0.0.0/8 names 127.0.0.1).
sockaddr_storage LoopbackOf(int family);

/// Asks the kernel for routes. Keeps a descriptor for each family that was asked about: a client
/// asks at each connection, and most of these go to other hosts.
class Routes {
 public:
  /// Whether an address is one of this host.
  bool IsOwn(const sockaddr_storage& address);

  /// Where a connection to an address of this host comes from; false for other addresses. Three
  /// system calls, and none for loopback addresses.
  bool FindSource(const sockaddr_storage& address, sockaddr_storage* source);

 private:
  bool Route(const sockaddr_storage& remote, sockaddr_storage* local);

  system::FileDescriptor ipv4_;
  system::FileDescriptor ipv6_;
};

}  // namespace rdma_net::local
