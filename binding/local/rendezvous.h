#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>
#include <vector>

#include "fabric/fabric.h"
#include "local/routes.h"

/// Where programs of one host and one network namespace find each other. A listener has a name in
/// the abstract namespace of Unix-domain sockets for each kind of address that it stands for:
///
///     rdma-net/2/PORT/ADDRESS     one address, in the notation of RFC 5952
///     rdma-net/2/PORT/any4        every IPv4 address of the host
///     rdma-net/2/PORT/any6        every IPv6 address of the host
///
/// Each of these is taken twice: by the socket that listens, and by a mark (MarkName) that tells at
/// little cost that somebody does. `2` is the version of the greeting. The address that is asked
/// for itself comes first, as in the kernel's look-up of a listening TCP socket.
///
/// Listeners that share such a name (Group) have two kinds of names more:
///
///     rdma-net/2/PORT/ADDRESS/roll      where they find each other
///     rdma-net/2/PORT/ADDRESS/NUMBER    the seat of one of them, from 0
namespace rdma_net::local {

/// The names of a listener; none when the address is not numeric.
std::vector<std::string> NamesOfListener(const fabric::Address& address, bool ipv6_only);

std::string RollName(const std::string& shared);
std::string SeatName(const std::string& shared, uint32_t seat);

/// A target on this host.
struct LocalTarget {
  sockaddr_storage remote{};
  /// What TCP would connect from; port 0 when it was not asked for.
  sockaddr_storage local{};
  /// In the order in which they are to be tried.
  std::vector<std::string> names;
};

/// Looks up whether TCP would reach the target without leaving this host and its network namespace;
/// nothing when it would not, or when the address is not numeric.
std::optional<LocalTarget> FindLocalTarget(const fabric::Target& target, Routes* routes);

}  // namespace rdma_net::local
