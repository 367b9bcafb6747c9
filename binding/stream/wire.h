#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "fabric/fabric.h"

/// The rsockets v1 wire format (rdma-core librdmacm/rsocket.c, struct rs_conn_data, struct rs_sge
/// and the immediate operations above it): the only place where bytes and numbers of the peer are
/// decoded, and where they are checked before anybody calculates with them.
///
///     connection data, 40 bytes, big-endian; our extension follows, C rsockets ignores it
///      0       1       2         4               7           8
///     +-------+-------+---------+---------------+-----------+
///     |version| flags | credits | reserved      |iomap size |
///     +-------+-------+---------+---------------+-----------+
///     | target SGL: address u64, remote key u32, entries u32|  8..23
///     +-----------------------------------------------------+
///     | first receive buffer: address, remote key, bytes    | 24..39
///     +-----------------------------------------------------+
///     | "RNET" | extension version | features | reserved    | 40..55
///     +-----------------------------------------------------+
///
///     immediate:  31..29 operation   28..0 value
///
/// Between two of ours that both have kFeatureBufferEnd, the highest bit of the value of a data
/// message (kBufferEndBit) means: this was the last for its buffer, though it is not full. What a
/// large write ends with can so be handed over in place at once.
namespace rdma_net::stream::wire {

inline constexpr size_t kConnectDataBytes = 40;
inline constexpr size_t kExtensionBytes = 16;
inline constexpr size_t kBufferEntryBytes = 16;
inline constexpr uint32_t kValueMax = (1U << 29) - 1;
inline constexpr uint16_t kFeatureBufferEnd = 1U << 0;
inline constexpr uint32_t kBufferEndBit = 1U << 28;

/// What the peer did wrong; the numbers are shown to users as the detail of a failure.
enum class Violation : int32_t {
  kNone = 0,
  kConnectDataShort = 1,
  kVersion = 2,
  kNoCredits = 3,
  kSglEntries = 4,
  kSglAddress = 5,
  kBufferLength = 6,
  kBufferAddress = 7,
  kUnknownOperation = 8,
  kUnknownControl = 9,
  kDataTooLong = 10,
  kDataLengthMismatch = 11,
  kDataWithoutBuffer = 12,
  kDataAfterShutdown = 13,
  kCreditsExceeded = 14,
  kCreditsBackwards = 15,
  kCreditsTooMany = 16,
  kTooManyBuffers = 17,
  kNotAMessage = 18,
  kControlFlood = 19,
  kUpdateLength = 20,
};

/// A violation as the failure of a connection.
constexpr fabric::Failure FailureOf(Violation violation, fabric::Status status) {
  return {.status = status,
          .kind = fabric::DetailKind::kViolation,
          .detail = static_cast<int32_t>(violation)};
}

enum class Operation : uint32_t {
  kData = 0,
  kBufferUpdate = 4,
  kIomap = 6,
  kControl = 7,
};

enum class Control : uint32_t { kDisconnect = 0, kKeepalive = 1, kShutdown = 2 };

/// Memory of the peer that we may write.
struct RemoteBuffer {
  uint64_t address = 0;
  uint32_t remote_key = 0;
  uint32_t bytes = 0;
};

/// What one side tells the other when connecting.
struct ConnectData {
  bool big_endian = std::endian::native == std::endian::big;
  uint16_t credits = 0;
  /// Where the peer writes its later receive-buffer updates: entries of kBufferEntryBytes.
  uint64_t sgl_address = 0;
  uint32_t sgl_remote_key = 0;
  uint32_t sgl_entries = 0;
  RemoteBuffer first_buffer;
  /// Both ends are ours; what only we can do is negotiated with `features`.
  bool has_extension = false;
  uint16_t features = 0;
};

struct Message {
  Operation operation;
  uint32_t value;
};

/// Writes connection data with the extension; returns the bytes written.
size_t EncodeConnectData(const ConnectData& data,
                         std::span<std::byte, kConnectDataBytes + kExtensionBytes> out);

/// Reads and checks the connection data of a peer; on a violation `data` is not to be used.
Violation DecodeConnectData(std::span<const std::byte> bytes, ConnectData* data);

constexpr uint32_t EncodeImmediate(Operation operation, uint32_t value) {
  return (static_cast<uint32_t>(operation) << 29) | (value & kValueMax);
}

/// Splits an immediate; nothing for the operations that are reserved.
std::optional<Message> DecodeImmediate(uint32_t immediate);

/// Writes a receive-buffer entry in the byte order of the host that will read it.
void EncodeBufferEntry(const RemoteBuffer& buffer, bool reader_is_big_endian,
                       std::span<std::byte, kBufferEntryBytes> out);

/// Reads an entry that the peer wrote into our memory, in our byte order.
RemoteBuffer DecodeBufferEntry(std::span<const std::byte, kBufferEntryBytes> bytes);

/// Whether a buffer may be written to: some bytes, and no wrap-around of the address.
Violation CheckBuffer(const RemoteBuffer& buffer);

}  // namespace rdma_net::stream::wire
