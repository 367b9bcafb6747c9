#include "local/messages.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace rdma_net::local {

namespace {

constexpr uint32_t kKindBits = 16;

/// An address in a message.
struct PlainAddress {
  uint16_t family;
  /// In network order.
  uint16_t port;
  uint32_t scope;
  std::array<std::byte, 16> host;
};
constexpr size_t kAddressesBytes = 2 * sizeof(PlainAddress);

PlainAddress Plain(const sockaddr_storage& address) {
  PlainAddress plain{};
  plain.family = address.ss_family;
  if (address.ss_family == AF_INET) {
    const auto* ipv4 = reinterpret_cast<const sockaddr_in*>(&address);
    plain.port = ipv4->sin_port;
    std::memcpy(plain.host.data(), &ipv4->sin_addr, sizeof(ipv4->sin_addr));
  } else {
    const auto* ipv6 = reinterpret_cast<const sockaddr_in6*>(&address);
    plain.port = ipv6->sin6_port;
    plain.scope = ipv6->sin6_scope_id;
    std::memcpy(plain.host.data(), &ipv6->sin6_addr, sizeof(ipv6->sin6_addr));
  }
  return plain;
}

bool FromPlain(const PlainAddress& plain, sockaddr_storage* address) {
  *address = {};
  address->ss_family = plain.family;
  if (plain.family == AF_INET) {
    auto* ipv4 = reinterpret_cast<sockaddr_in*>(address);
    ipv4->sin_port = plain.port;
    std::memcpy(&ipv4->sin_addr, plain.host.data(), sizeof(ipv4->sin_addr));
    return true;
  }
  auto* ipv6 = reinterpret_cast<sockaddr_in6*>(address);
  ipv6->sin6_port = plain.port;
  ipv6->sin6_scope_id = plain.scope;
  std::memcpy(&ipv6->sin6_addr, plain.host.data(), sizeof(ipv6->sin6_addr));
  return plain.family == AF_INET6;
}

}  // namespace

Cell EncodeHeader(const MessageHeader& header) {
  const uint32_t first = static_cast<uint32_t>(header.kind) | (header.cells << kKindBits);
  return {.words = {first, header.to, header.value, header.length}};
}

MessageHeader DecodeHeader(const Cell& cell) {
  return {.kind = static_cast<MessageKind>(cell.words[0] & 0xffffU),
          .cells = cell.words[0] >> kKindBits,
          .to = cell.words[1],
          .value = cell.words[2],
          .length = cell.words[3]};
}

std::vector<Cell> EncodeMessage(MessageKind kind, uint32_t to, uint32_t value,
                                std::span<const std::byte> payload) {
  const size_t cells = 1 + (payload.size() + sizeof(Cell) - 1) / sizeof(Cell);
  std::vector<Cell> message(cells);
  message[0] = EncodeHeader({.kind = kind,
                             .cells = static_cast<uint32_t>(cells),
                             .to = to,
                             .value = value,
                             .length = static_cast<uint32_t>(payload.size())});
  if (!payload.empty()) std::memcpy(&message[1], payload.data(), payload.size());
  return message;
}

std::vector<std::byte> EncodeRequest(const ConnectionRequest& request) {
  std::vector<std::byte> payload(kAddressesBytes + request.data.size());
  const std::array<PlainAddress, 2> addresses = {Plain(request.remote), Plain(request.local)};
  std::memcpy(payload.data(), addresses.data(), kAddressesBytes);
  std::copy(request.data.begin(), request.data.end(), payload.begin() + kAddressesBytes);
  return payload;
}

bool DecodeRequest(std::span<const std::byte> payload, ConnectionRequest* request) {
  if (payload.size() < kAddressesBytes) return false;
  std::array<PlainAddress, 2> addresses{};
  std::memcpy(addresses.data(), payload.data(), kAddressesBytes);
  const auto data = payload.subspan(kAddressesBytes);
  request->data.assign(data.begin(), data.end());
  return FromPlain(addresses[0], &request->remote) && FromPlain(addresses[1], &request->local) &&
         addresses[0].family == addresses[1].family;
}

}  // namespace rdma_net::local
