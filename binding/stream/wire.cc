#include "stream/wire.h"

#include <array>
#include <cstring>

namespace rdma_net::stream::wire {

namespace {

constexpr uint8_t kVersion = 1;
constexpr uint8_t kFlagBigEndian = 1U << 0;
constexpr uint8_t kFlagIomap = 1U << 1;
constexpr std::array<char, 4> kExtensionMagic = {'R', 'N', 'E', 'T'};
constexpr uint8_t kExtensionVersion = 1;
constexpr uint32_t kSglEntriesMax = 1U << 16;
constexpr bool kHostIsBigEndian = std::endian::native == std::endian::big;

template <typename T>
T Swapped(T value) {
  auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(value);
  for (size_t i = 0; i < sizeof(T) / 2; i++) std::swap(bytes[i], bytes[sizeof(T) - 1 - i]);
  return std::bit_cast<T>(bytes);
}

template <typename T>
void Store(std::byte* at, T value, bool big_endian) {
  const T stored = big_endian == kHostIsBigEndian ? value : Swapped(value);
  std::memcpy(at, &stored, sizeof(T));
}

template <typename T>
T Load(const std::byte* at, bool big_endian) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return big_endian == kHostIsBigEndian ? value : Swapped(value);
}

void StoreBuffer(std::byte* at, const RemoteBuffer& buffer, bool big_endian) {
  Store(at, buffer.address, big_endian);
  Store(at + 8, buffer.remote_key, big_endian);
  Store(at + 12, buffer.bytes, big_endian);
}

RemoteBuffer LoadBuffer(const std::byte* at, bool big_endian) {
  return {.address = Load<uint64_t>(at, big_endian),
          .remote_key = Load<uint32_t>(at + 8, big_endian),
          .bytes = Load<uint32_t>(at + 12, big_endian)};
}

bool Wraps(uint64_t address, uint64_t bytes) {
  return address + bytes < address;
}

}  // namespace

size_t EncodeConnectData(const ConnectData& data,
                         std::span<std::byte, kConnectDataBytes + kExtensionBytes> out) {
  std::memset(out.data(), 0, out.size());
  uint8_t flags = kFlagIomap;
  if (data.big_endian) flags |= kFlagBigEndian;
  Store(&out[0], kVersion, true);
  Store(&out[1], flags, true);
  Store(&out[2], data.credits, true);
  StoreBuffer(
      &out[8],
      {.address = data.sgl_address, .remote_key = data.sgl_remote_key, .bytes = data.sgl_entries},
      true);
  StoreBuffer(&out[24], data.first_buffer, true);
  if (!data.has_extension) return kConnectDataBytes;
  std::memcpy(&out[40], kExtensionMagic.data(), kExtensionMagic.size());
  Store(&out[44], kExtensionVersion, true);
  Store(&out[46], data.features, true);
  return out.size();
}

Violation DecodeConnectData(std::span<const std::byte> bytes, ConnectData* data) {
  if (bytes.size() < kConnectDataBytes) return Violation::kConnectDataShort;
  if (Load<uint8_t>(&bytes[0], true) != kVersion) return Violation::kVersion;
  data->big_endian = (Load<uint8_t>(&bytes[1], true) & kFlagBigEndian) != 0;
  data->credits = Load<uint16_t>(&bytes[2], true);
  if (data->credits == 0) return Violation::kNoCredits;

  const RemoteBuffer sgl = LoadBuffer(&bytes[8], true);
  if (sgl.bytes == 0 || sgl.bytes > kSglEntriesMax) return Violation::kSglEntries;
  if (Wraps(sgl.address, uint64_t{sgl.bytes} * kBufferEntryBytes)) return Violation::kSglAddress;
  data->sgl_address = sgl.address;
  data->sgl_remote_key = sgl.remote_key;
  data->sgl_entries = sgl.bytes;

  data->first_buffer = LoadBuffer(&bytes[24], true);
  if (Violation wrong = CheckBuffer(data->first_buffer); wrong != Violation::kNone) return wrong;

  data->has_extension =
      bytes.size() >= kConnectDataBytes + kExtensionBytes &&
      std::memcmp(&bytes[40], kExtensionMagic.data(), kExtensionMagic.size()) == 0 &&
      Load<uint8_t>(&bytes[44], true) >= kExtensionVersion;
  data->features = data->has_extension ? Load<uint16_t>(&bytes[46], true) : uint16_t{0};
  return Violation::kNone;
}

std::optional<Message> DecodeImmediate(uint32_t immediate) {
  const auto operation = static_cast<Operation>(immediate >> 29);
  switch (operation) {
    case Operation::kData:
    case Operation::kBufferUpdate:
    case Operation::kIomap:
    case Operation::kControl:
      return Message{.operation = operation, .value = immediate & kValueMax};
  }
  return std::nullopt;
}

void EncodeBufferEntry(const RemoteBuffer& buffer, bool reader_is_big_endian,
                       std::span<std::byte, kBufferEntryBytes> out) {
  StoreBuffer(out.data(), buffer, reader_is_big_endian);
}

RemoteBuffer DecodeBufferEntry(std::span<const std::byte, kBufferEntryBytes> bytes) {
  return LoadBuffer(bytes.data(), kHostIsBigEndian);
}

Violation CheckBuffer(const RemoteBuffer& buffer) {
  if (buffer.bytes == 0) return Violation::kBufferLength;
  if (Wraps(buffer.address, buffer.bytes)) return Violation::kBufferAddress;
  return Violation::kNone;
}

}  // namespace rdma_net::stream::wire
