#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "input.h"
#include "stream/wire.h"

/// The wire decoder under arbitrary bytes: what it lets through can be calculated with, and says
/// the same when it is encoded again.
namespace {

using namespace rdma_net::stream::wire;
using fuzz::Input;
using fuzz::Require;

bool Wraps(uint64_t address, uint64_t bytes) {
  return address + bytes < address;
}

void TryConnectData(Input& input) {
  const auto bytes = input.Bytes(256);
  ConnectData data;
  if (DecodeConnectData(bytes, &data) != Violation::kNone) return;
  Require(bytes.size() >= kConnectDataBytes, "connection data that is short is refused");
  Require(data.credits > 0 && data.sgl_entries > 0, "there are credits and entries");
  Require(!Wraps(data.sgl_address, uint64_t{data.sgl_entries} * kBufferEntryBytes),
          "the entries do not wrap around");
  Require(CheckBuffer(data.first_buffer) == Violation::kNone, "the first buffer is checked");

  std::array<std::byte, kConnectDataBytes + kExtensionBytes> again{};
  const size_t length = EncodeConnectData(data, again);
  ConnectData same;
  Require(DecodeConnectData(std::span(again).first(length), &same) == Violation::kNone,
          "what was decoded can be encoded");
  Require(same.credits == data.credits && same.sgl_address == data.sgl_address &&
              same.sgl_remote_key == data.sgl_remote_key && same.sgl_entries == data.sgl_entries &&
              same.big_endian == data.big_endian &&
              same.first_buffer.address == data.first_buffer.address &&
              same.first_buffer.remote_key == data.first_buffer.remote_key &&
              same.first_buffer.bytes == data.first_buffer.bytes &&
              same.has_extension == data.has_extension && same.features == data.features,
          "connection data says the same when it is encoded again");
}

void TryImmediate(Input& input) {
  const auto immediate = input.Number<uint32_t>();
  const std::optional<Message> message = DecodeImmediate(immediate);
  if (!message) return;
  Require(EncodeImmediate(message->operation, message->value) == immediate,
          "an immediate says the same when it is encoded again");
}

void TryBufferEntry(Input& input) {
  std::array<std::byte, kBufferEntryBytes> entry{};
  const auto bytes = input.Bytes(entry.size());
  std::memcpy(entry.data(), bytes.data(), bytes.size());
  const RemoteBuffer buffer = DecodeBufferEntry(entry);
  if (CheckBuffer(buffer) == Violation::kNone) {
    Require(buffer.bytes > 0 && !Wraps(buffer.address, buffer.bytes), "a buffer can be written to");
  }
  std::array<std::byte, kBufferEntryBytes> again{};
  EncodeBufferEntry(buffer, std::endian::native == std::endian::big, again);
  Require(again == entry, "an entry says the same when it is encoded again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Input input({reinterpret_cast<const std::byte*>(data), size});
  switch (input.Byte() % 3) {
    case 0:
      TryConnectData(input);
      break;
    case 1:
      TryImmediate(input);
      break;
    default:
      TryBufferEntry(input);
  }
  return 0;
}
