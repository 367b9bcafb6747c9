#include "local/rendezvous.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstring>

#include "system/address.h"

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

}  // namespace

std::vector<std::string> NamesOfListener(const fabric::Address& address, bool ipv6_only) {
  sockaddr_storage parsed{};
  if (!system::ParseAddress(address.host, address.port, &parsed)) return {};
  if (!IsAny(parsed)) return {NameFor(address.port, system::FormatAddress(Base(parsed)).host)};
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

std::optional<LocalTarget> FindLocalTarget(const fabric::Target& target, Routes* routes) {
  LocalTarget found;
  const uint16_t port = target.remote.port;
  if (!system::ParseAddress(target.remote.host, port, &found.remote)) return std::nullopt;
  if (IsAny(found.remote)) {
    // As the kernel does for a connection to "any" (net/ipv4/route.c, net/ipv6/tcp_ipv6.c).
    found.remote = LoopbackOf(found.remote.ss_family);
    Ipv4(&found.remote)->sin_port = htons(port);
  }
  const bool bound = !target.local_host.empty();
  if (bound && !system::ParseAddress(target.local_host, 0, &found.local)) return std::nullopt;
  sockaddr_storage source{};
  if (!routes->FindSource(found.remote, &source)) return std::nullopt;
  // An address to bind to that is not of this host, or of the other family, is for TCP to refuse.
  if (bound && !IsAny(found.local)) {
    const bool same_family = found.local.ss_family == found.remote.ss_family;
    if (!same_family || !routes->IsOwn(found.local)) return std::nullopt;
  } else {
    found.local = source;
  }
  Ipv4(&found.local)->sin_port = htons(target.local_port);
  found.names = {NameFor(port, system::FormatAddress(Base(found.remote)).host),
                 NameFor(port, found.remote.ss_family == AF_INET ? "any4" : "any6")};
  return found;
}

}  // namespace rdma_net::local
