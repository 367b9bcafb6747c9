#include "stream/wire.h"

#include <array>
#include <cstring>
#include <vector>

#include "tap.h"

namespace {

using namespace rdma_net::stream::wire;

constexpr size_t kAll = kConnectDataBytes + kExtensionBytes;

ConnectData Valid() {
  return {.big_endian = false,
          .credits = 384,
          .sgl_address = 0x1122334455667788,
          .sgl_remote_key = 0x99aabbcc,
          .sgl_entries = 2,
          .first_buffer = {.address = 0x0102030405060708, .remote_key = 7, .bytes = 65536},
          .has_extension = true,
          .features = 5};
}

std::vector<std::byte> Encoded(const ConnectData& data) {
  std::array<std::byte, kAll> bytes;
  const size_t length = EncodeConnectData(data, bytes);
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length)};
}

Violation Decoded(const std::vector<std::byte>& bytes) {
  ConnectData data;
  return DecodeConnectData(bytes, &data);
}

TEST("wire: connection data has the layout of struct rs_conn_data, big-endian") {
  const std::vector<std::byte> bytes = Encoded(Valid());
  const std::array<uint8_t, 40> expected = {
      1,    2,    1,    0x80, 0,    0,    0,    0,     // version, flags (iomap), credits 384
      0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88,  // target SGL address
      0x99, 0xaa, 0xbb, 0xcc, 0,    0,    0,    2,     // its key, two entries
      1,    2,    3,    4,    5,    6,    7,    8,     // first buffer
      0,    0,    0,    7,    0,    1,    0,    0};    // its key, 65536 bytes
  CHECK(bytes.size() == kAll);
  CHECK(std::memcmp(bytes.data(), expected.data(), expected.size()) == 0);
}

TEST("wire: what is encoded is decoded, with and without the extension") {
  for (const bool extension : {true, false}) {
    ConnectData data = Valid();
    data.has_extension = extension;
    ConnectData back;
    CHECK(DecodeConnectData(Encoded(data), &back) == Violation::kNone);
    CHECK(back.credits == 384);
    CHECK(back.sgl_address == data.sgl_address);
    CHECK(back.sgl_remote_key == data.sgl_remote_key);
    CHECK(back.sgl_entries == 2);
    CHECK(back.first_buffer.address == data.first_buffer.address);
    CHECK(back.first_buffer.bytes == 65536);
    CHECK(back.has_extension == extension);
    CHECK(back.features == (extension ? 5 : 0));
  }
}

TEST("wire: padding behind the 40 bytes, as the connection manager adds it, is no extension") {
  ConnectData data = Valid();
  data.has_extension = false;
  std::vector<std::byte> bytes = Encoded(data);
  bytes.resize(56);
  ConnectData back;
  CHECK(DecodeConnectData(bytes, &back) == Violation::kNone);
  CHECK(!back.has_extension);
}

TEST("wire: connection data that is short or of another version is refused") {
  std::vector<std::byte> bytes = Encoded(Valid());
  bytes.resize(39);
  CHECK(Decoded(bytes) == Violation::kConnectDataShort);
  CHECK(Decoded({}) == Violation::kConnectDataShort);
  bytes = Encoded(Valid());
  bytes[0] = std::byte{2};
  CHECK(Decoded(bytes) == Violation::kVersion);
}

TEST("wire: connection data with impossible numbers is refused") {
  ConnectData data = Valid();
  data.credits = 0;
  CHECK(Decoded(Encoded(data)) == Violation::kNoCredits);
  data = Valid();
  data.sgl_entries = 0;
  CHECK(Decoded(Encoded(data)) == Violation::kSglEntries);
  data.sgl_entries = 65537;
  CHECK(Decoded(Encoded(data)) == Violation::kSglEntries);
  data = Valid();
  data.sgl_address = ~0ULL - 30;
  CHECK(Decoded(Encoded(data)) == Violation::kSglAddress);
  data = Valid();
  data.first_buffer.bytes = 0;
  CHECK(Decoded(Encoded(data)) == Violation::kBufferLength);
  data = Valid();
  data.first_buffer.address = ~0ULL - 65534;
  CHECK(Decoded(Encoded(data)) == Violation::kBufferAddress);
}

TEST("wire: an immediate carries its operation in the upper three bits") {
  CHECK(EncodeImmediate(Operation::kData, 65536) == 65536);
  CHECK(EncodeImmediate(Operation::kBufferUpdate, 0xffff) == 0x8000ffff);
  CHECK(EncodeImmediate(Operation::kControl, 2) == 0xe0000002);
  const auto message = DecodeImmediate(0xe0000002);
  CHECK(message && message->operation == Operation::kControl && message->value == 2);
  const auto data = DecodeImmediate(0x1fffffff);
  CHECK(data && data->operation == Operation::kData && data->value == kValueMax);
}

TEST("wire: the reserved operations 1, 2, 3 and 5 are no messages") {
  for (const uint32_t operation : {1U, 2U, 3U, 5U}) CHECK(!DecodeImmediate(operation << 29));
}

TEST("wire: a buffer entry is written in the byte order of its reader") {
  std::array<std::byte, kBufferEntryBytes> little;
  std::array<std::byte, kBufferEntryBytes> big;
  const RemoteBuffer buffer = {.address = 0x0102030405060708, .remote_key = 9, .bytes = 10};
  EncodeBufferEntry(buffer, false, little);
  EncodeBufferEntry(buffer, true, big);
  CHECK(little[0] == std::byte{8} && big[0] == std::byte{1});
  CHECK(little[12] == std::byte{10} && big[15] == std::byte{10});
  const RemoteBuffer back = DecodeBufferEntry(little);
  CHECK(back.address == buffer.address && back.remote_key == 9 && back.bytes == 10);
}

}  // namespace
