#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "fabric/fabric.h"

namespace rdma_net::system {

/// Reads a numeric address; IPv4-mapped IPv6 becomes IPv4, `%scope` may be a name or a number.
/// @return false when it is not one
bool ParseAddress(const std::string& host, uint16_t port, sockaddr_storage* out);

fabric::Address FormatAddress(const sockaddr* address);

}  // namespace rdma_net::system
