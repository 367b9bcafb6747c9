#include "system/address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace rdma_net::system {

namespace {

uint32_t ParseScope(const std::string& scope) {
  if (const uint32_t index = if_nametoindex(scope.c_str()); index != 0) return index;
  return static_cast<uint32_t>(std::strtoul(scope.c_str(), nullptr, 10));
}

}  // namespace

bool ParseAddress(const std::string& host, uint16_t port, sockaddr_storage* out) {
  *out = {};
  auto* ipv4 = reinterpret_cast<sockaddr_in*>(out);
  if (inet_pton(AF_INET, host.c_str(), &ipv4->sin_addr) == 1) {
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(port);
    return true;
  }
  const size_t percent = host.find('%');
  in6_addr address{};
  if (inet_pton(AF_INET6, host.substr(0, percent).c_str(), &address) != 1) return false;
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    ipv4->sin_family = AF_INET;
    ipv4->sin_port = htons(port);
    std::memcpy(&ipv4->sin_addr, &address.s6_addr[12], sizeof(ipv4->sin_addr));
    return true;
  }
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(out);
  ipv6->sin6_family = AF_INET6;
  ipv6->sin6_port = htons(port);
  ipv6->sin6_addr = address;
  if (percent != std::string::npos) ipv6->sin6_scope_id = ParseScope(host.substr(percent + 1));
  return true;
}

fabric::Address FormatAddress(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  fabric::Address result;
  if (address->sa_family == AF_INET) {
    const auto* ipv4 = reinterpret_cast<const sockaddr_in*>(address);
    inet_ntop(AF_INET, &ipv4->sin_addr, text.data(), text.size());
    result.port = ntohs(ipv4->sin_port);
    result.host = text.data();
  } else if (address->sa_family == AF_INET6) {
    const auto* ipv6 = reinterpret_cast<const sockaddr_in6*>(address);
    inet_ntop(AF_INET6, &ipv6->sin6_addr, text.data(), text.size());
    result.port = ntohs(ipv6->sin6_port);
    result.host = text.data();
    result.ipv6 = true;
    std::array<char, IF_NAMESIZE> name{};
    if (IN6_IS_ADDR_LINKLOCAL(&ipv6->sin6_addr) &&
        if_indextoname(ipv6->sin6_scope_id, name.data()) != nullptr) {
      result.host += std::string("%") + name.data();
    }
  }
  return result;
}

}  // namespace rdma_net::system
