#include "system/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>

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

uint32_t ScopeOf(const sockaddr* own) {
  const auto* ipv6 = reinterpret_cast<const sockaddr_in6*>(own);
  if (own->sa_family != AF_INET6 || !IN6_IS_ADDR_LINKLOCAL(&ipv6->sin6_addr)) return 0;
  if (ipv6->sin6_scope_id != 0) return ipv6->sin6_scope_id;
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return 0;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(first, &freeifaddrs);
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    if (each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET6) continue;
    const auto* found = reinterpret_cast<const sockaddr_in6*>(each->ifa_addr);
    if (IN6_ARE_ADDR_EQUAL(&found->sin6_addr, &ipv6->sin6_addr)) return found->sin6_scope_id;
  }
  return 0;
}

fabric::Address FormatAddress(const sockaddr* address, uint32_t scope) {
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
    if (ipv6->sin6_scope_id != 0) scope = ipv6->sin6_scope_id;
    if (IN6_IS_ADDR_LINKLOCAL(&ipv6->sin6_addr) && if_indextoname(scope, name.data()) != nullptr) {
      result.host += std::string("%") + name.data();
    }
  }
  return result;
}

}  // namespace rdma_net::system
