#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "fabric/fabric.h"

namespace rdma_net::system {

/// Reads a numeric address; IPv4-mapped IPv6 becomes IPv4, `%scope` may be a name or a number.
/// @return false when it is not one
bool ParseAddress(const std::string& host, uint16_t port, sockaddr_storage* out);

/// The scope of an IPv6 address of this host that has none but on its link, looked up where the
/// address does not say it itself; else 0.
uint32_t ScopeOf(const sockaddr* own);

/// @param scope that of a link-local address that does not say it itself
fabric::Address FormatAddress(const sockaddr* address, uint32_t scope = 0);

}  // namespace rdma_net::system
