#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "stream/receive_window.h"
#include "stream/send_ring.h"
#include "stream/send_window.h"
#include "tap.h"

namespace {

using namespace rdma_net;
using stream::ReceiveWindow;
using stream::SendRing;
using stream::SendWindow;
using stream::wire::Violation;

struct Buffers {
  std::vector<std::byte> bytes = std::vector<std::byte>(64);
  fabric::Region region = {
      .data = bytes.data(), .bytes = bytes.size(), .local_key = 1, .remote_key = 2};
};

TEST("receive window: bytes come out in the order they were written, across both buffers") {
  Buffers buffers;
  ReceiveWindow window(buffers.region, 8, 2);
  uint32_t slot = 9;
  window.Publish(&slot);
  CHECK(slot == 1);
  for (size_t i = 0; i < 64; i++) buffers.bytes[i] = static_cast<std::byte>(i);
  CHECK(window.OnData(20, 20) == Violation::kNone);
  CHECK(window.OnData(12, 12) == Violation::kNone);
  CHECK(window.OnData(32, 32) == Violation::kNone);
  std::array<std::byte, 50> first;
  std::array<std::byte, 50> second;
  CHECK(window.Read(first) == 50);
  CHECK(window.Read(second) == 14);
  CHECK(first[49] == std::byte{49} && second[0] == std::byte{50} && second[13] == std::byte{63});
  CHECK(window.readable_bytes() == 0);
}

TEST("receive window: a buffer is published again only when all of it was read") {
  Buffers buffers;
  ReceiveWindow window(buffers.region, 8, 2);
  uint32_t slot = 9;
  CHECK(window.can_publish());
  window.Publish(&slot);
  CHECK(!window.can_publish());
  CHECK(window.OnData(32, 32) == Violation::kNone);
  CHECK(!window.can_publish());
  std::array<std::byte, 31> most;
  window.Read(most);
  CHECK(!window.can_publish());
  std::array<std::byte, 1> last;
  window.Read(last);
  CHECK(window.can_publish());
  const auto again = window.Publish(&slot);
  CHECK(slot == 0 && again.address == buffers.region.address());
}

TEST("receive window: a peer with one slot is told of a buffer when it has left the one before") {
  Buffers buffers;
  ReceiveWindow window(buffers.region, 8, 1);
  CHECK(!window.can_publish());
  CHECK(window.OnData(31, 31) == Violation::kNone);
  CHECK(!window.can_publish());
  CHECK(window.OnData(1, 1) == Violation::kNone);
  CHECK(window.can_publish());
  uint32_t slot = 9;
  window.Publish(&slot);
  CHECK(slot == 0);
}

TEST("receive window: data beyond the buffer, without a buffer, or of another length is refused") {
  {
    Buffers buffers;
    ReceiveWindow window(buffers.region, 8, 2);
    CHECK(window.OnData(33, 33) == Violation::kDataTooLong);
    CHECK(window.OnData(16, 16) == Violation::kNone);
    CHECK(window.OnData(17, 17) == Violation::kDataTooLong);
    CHECK(window.OnData(16, 15) == Violation::kDataLengthMismatch);
  }
  Buffers buffers;
  ReceiveWindow window(buffers.region, 8, 2);
  CHECK(window.OnData(32, 32) == Violation::kNone);
  CHECK(window.OnData(1, 1) == Violation::kDataWithoutBuffer);
}

TEST("receive window: more messages than were granted are refused; half of them make a grant due") {
  Buffers buffers;
  ReceiveWindow window(buffers.region, 4, 2);
  CHECK(!window.credits_due());
  CHECK(window.OnData(1, 1) == Violation::kNone);
  CHECK(!window.credits_due());
  CHECK(window.OnData(1, 1) == Violation::kNone);
  CHECK(window.credits_due());
  CHECK(window.OnData(0, 0) == Violation::kNone);
  CHECK(window.OnData(1, 1) == Violation::kNone);
  CHECK(window.OnData(1, 1) == Violation::kCreditsExceeded);
  CHECK(window.Grant() == 8);
  CHECK(window.OnData(1, 1) == Violation::kNone);
}

stream::wire::ConnectData Peer(uint16_t credits) {
  return {.big_endian = false,
          .credits = credits,
          .sgl_address = 1,
          .sgl_remote_key = 1,
          .sgl_entries = 2,
          .first_buffer = {.address = 1000, .remote_key = 3, .bytes = 10}};
}

struct Slots {
  std::array<std::byte, SendWindow::kSlotsBytes> bytes{};
  void Put(size_t slot, const stream::wire::RemoteBuffer& buffer) {
    stream::wire::EncodeBufferEntry(
        buffer, std::endian::native == std::endian::big,
        std::span(bytes).subspan(slot * 16).first<stream::wire::kBufferEntryBytes>());
  }
};

TEST("send window: a buffer is filled completely before the next is used") {
  SendWindow window(Peer(8));
  Slots slots;
  slots.Put(1, {.address = 2000, .remote_key = 4, .bytes = 5});
  CHECK(window.OnUpdate(8, slots.bytes) == Violation::kNone);
  CHECK(window.room_bytes() == 10);
  CHECK(window.Take(6).address == 1000);
  CHECK(window.room_bytes() == 4);
  CHECK(window.Take(4).address == 1006);
  CHECK(window.room_bytes() == 5);
  const auto next = window.Take(5);
  CHECK(next.address == 2000 && next.remote_key == 4);
  CHECK(window.room_bytes() == 0);
}

TEST("send window: without credits there is no room, and an update brings it back") {
  SendWindow window(Peer(2));
  Slots slots;
  window.Take(1);
  window.Take(1);
  CHECK(window.room_bytes() == 0);
  CHECK(window.OnUpdate(3, slots.bytes) == Violation::kNone);
  CHECK(window.room_bytes() == 8);
  window.Take(1);
  CHECK(window.room_bytes() == 0);
}

TEST("send window: counts wrap at 2^16, and bits above them do not matter") {
  SendWindow window(Peer(1));
  Slots slots;
  for (uint32_t sent = 1; sent < 200'000; sent++) {
    if (window.room_bytes() == 0) {
      // The buffer was used up: a new one in the next slot.
      slots.Put(1, {.address = 1, .remote_key = 1, .bytes = 1U << 20});
      CHECK(window.OnUpdate(sent & 0xffff, slots.bytes) == Violation::kNone);
    }
    window.Take(1);
    if (window.OnUpdate(sent + 1, slots.bytes) != Violation::kNone) {
      CHECK(!"an honest update was refused");
      return;
    }
  }
  CHECK(window.room_bytes() > 0);
}

TEST("send window: credits that go back, or beyond the peer's queue, are refused") {
  Slots slots;
  SendWindow window(Peer(4));
  window.Take(1);
  CHECK(window.OnUpdate(5, slots.bytes) == Violation::kNone);
  CHECK(window.OnUpdate(4, slots.bytes) == Violation::kCreditsBackwards);
  SendWindow other(Peer(4));
  CHECK(other.OnUpdate(5, slots.bytes) == Violation::kCreditsTooMany);
}

TEST("send window: a buffer that wraps around, or a third one, is refused") {
  Slots slots;
  SendWindow window(Peer(4));
  slots.Put(1, {.address = ~0ULL, .remote_key = 1, .bytes = 2});
  CHECK(window.OnUpdate(4, slots.bytes) == Violation::kBufferAddress);
  SendWindow other(Peer(4));
  slots.Put(1, {.address = 5, .remote_key = 1, .bytes = 2});
  slots.Put(0, {.address = 6, .remote_key = 1, .bytes = 2});
  CHECK(other.OnUpdate(4, slots.bytes) == Violation::kTooManyBuffers);
}

TEST("send ring: bytes wrap around the end of the memory and keep their order") {
  std::vector<std::byte> memory(8);
  SendRing ring;
  CHECK(!ring.has_memory());
  ring.SetMemory({.data = memory.data(), .bytes = 8, .local_key = 1, .remote_key = 0});
  std::vector<std::byte> sent;
  std::vector<std::byte> source(100);
  for (size_t i = 0; i < source.size(); i++) source[i] = static_cast<std::byte>(i);
  size_t written = 0;
  while (sent.size() < source.size()) {
    written += ring.Write(std::span(source).subspan(written));
    CHECK(ring.free_bytes() == 0 || written == source.size());
    const auto bytes = static_cast<uint32_t>(std::min<uint64_t>(ring.waiting_bytes(), 5));
    for (const fabric::Segment& part : ring.Post(bytes)) {
      sent.insert(sent.end(), part.data, part.data + part.bytes);
    }
    ring.Complete(bytes);
  }
  CHECK(sent == source);
  CHECK(ring.idle());
  CHECK(ring.TakeMemory().data == memory.data());
  CHECK(!ring.has_memory() && ring.Write(source) == 0);
}

}  // namespace
