#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "local/message_queue.h"

/// What two sides of a link say to each other in their queues. A message is a header cell, and as
/// many cells of payload as its kind and its length need:
///
///     | kind, cells (16 bits each) | to | value | length |  payload ...
///
/// `to` is the number that the receiver of the message gave to its end of a connection.
namespace rdma_net::local {

enum class MessageKind : uint16_t {
  /// Payload: ConnectionRequest. `value` is the number of the sender's end.
  kConnect = 1,
  /// `value` is the number of the sender's end; payload: the port of the active side (16 bits),
  /// then its connection data.
  kAccept = 2,
  /// `value` is a fabric::Status.
  kReject = 3,
  kEstablished = 4,
  /// `value` is the immediate, `length` the bytes that were written before.
  kData = 5,
  /// The sender will say nothing more to this end, and not write to its memory. Each side says so
  /// once; then the number and the memory are free again.
  kEnd = 6,
  /// Who is to have a connection? `value` is the number of the sender's end. The answer is kGo, or
  /// kReject when there is nobody.
  kAsk = 7,
  /// `value` is a seat, or kHere.
  kGo = 8,
};

/// In the place of a seat: whoever was asked.
inline constexpr uint32_t kHere = UINT32_MAX;

struct MessageHeader {
  MessageKind kind{};
  uint32_t cells = 0;
  uint32_t to = 0;
  uint32_t value = 0;
  uint32_t length = 0;
};

Cell EncodeHeader(const MessageHeader& header);
MessageHeader DecodeHeader(const Cell& cell);

inline constexpr size_t kPayloadBytesMax = 256;

/// A whole message with its payload.
std::vector<Cell> EncodeMessage(MessageKind kind, uint32_t to, uint32_t value,
                                std::span<const std::byte> payload);

/// Who wants to connect, and to what.
struct ConnectionRequest {
  sockaddr_storage remote{};
  /// Of the side that connects; port 0 when any will do.
  sockaddr_storage local{};
  std::vector<std::byte> data;
};

std::vector<std::byte> EncodeRequest(const ConnectionRequest& request);
/// False when it is malformed.
bool DecodeRequest(std::span<const std::byte> payload, ConnectionRequest* request);

}  // namespace rdma_net::local
