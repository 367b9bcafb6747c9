#include <array>
#include <cstring>

#include "stream/send_window.h"
#include "tap.h"

namespace {

using namespace rdma_net;
using stream::SendWindow;
using stream::wire::Violation;

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
  CHECK(window.OnUpdate(8, 16, slots.bytes) == Violation::kNone);
  CHECK(window.room_bytes() == 10);
  CHECK(window.Take(6).address == 1000);
  CHECK(window.room_bytes() == 4);
  CHECK(window.Take(4).address == 1006);
  CHECK(window.room_bytes() == 5);
  const auto next = window.Take(5);
  CHECK(next.address == 2000 && next.remote_key == 4);
  CHECK(window.room_bytes() == 0);
}

TEST("send window: the rest of a buffer that was ended is not used, and no other buffer ends") {
  SendWindow window(Peer(8));
  Slots slots;
  slots.Put(1, {.address = 2000, .remote_key = 4, .bytes = 5});
  CHECK(window.OnUpdate(8, 16, slots.bytes) == Violation::kNone);
  window.EndBuffer();
  CHECK(window.Take(6).address == 1000);
  window.EndBuffer();
  CHECK(window.room_bytes() == 5);
  CHECK(window.Take(5).address == 2000);
  window.EndBuffer();
  CHECK(window.room_bytes() == 0);
}

TEST("send window: without credits there is no room, and an update brings it back") {
  SendWindow window(Peer(2));
  Slots slots;
  window.Take(1);
  window.Take(1);
  CHECK(window.room_bytes() == 0);
  CHECK(window.OnUpdate(3, 0, slots.bytes) == Violation::kNone);
  CHECK(window.room_bytes() == 8);
  window.Take(1);
  CHECK(window.room_bytes() == 0);
}

TEST("send window: counts wrap at 2^16, and bits above them do not matter") {
  SendWindow window(Peer(1));
  Slots slots;
  slots.Put(1, {.address = 1, .remote_key = 1, .bytes = 1U << 20});
  CHECK(window.OnUpdate(1, 16, slots.bytes) == Violation::kNone);
  for (uint32_t sent = 1; sent < 200'000; sent++) {
    window.Take(1);
    if (window.OnUpdate(sent + 1, 0, slots.bytes) != Violation::kNone) {
      CHECK(!"an honest update was refused");
      return;
    }
  }
  CHECK(window.room_bytes() > 0);
}

TEST("send window: credits that go back, or too far ahead to tell, are refused") {
  Slots slots;
  SendWindow window(Peer(4));
  window.Take(1);
  CHECK(window.OnUpdate(5, 0, slots.bytes) == Violation::kNone);
  CHECK(window.OnUpdate(4, 0, slots.bytes) == Violation::kCreditsBackwards);
  SendWindow other(Peer(4));
  CHECK(other.OnUpdate(0x7fff, 0, slots.bytes) == Violation::kNone);
  CHECK(other.OnUpdate(0x8000, 0, slots.bytes) == Violation::kCreditsTooMany);
}

TEST("send window: a buffer that wraps around, an empty one, or one too many is refused") {
  Slots slots;
  SendWindow window(Peer(4));
  slots.Put(1, {.address = ~0ULL, .remote_key = 1, .bytes = 2});
  CHECK(window.OnUpdate(4, 16, slots.bytes) == Violation::kBufferAddress);
  SendWindow empty(Peer(4));
  slots.Put(1, {.address = 5, .remote_key = 1, .bytes = 0});
  CHECK(empty.OnUpdate(4, 16, slots.bytes) == Violation::kBufferLength);
  SendWindow full(Peer(4));
  for (size_t i = 1; i <= SendWindow::kSlots; i++) {
    slots.Put(i % SendWindow::kSlots, {.address = 5, .remote_key = 1, .bytes = 2});
    const Violation wrong = full.OnUpdate(4, 16, slots.bytes);
    CHECK(wrong == (i < SendWindow::kSlots ? Violation::kNone : Violation::kTooManyBuffers));
  }
}

TEST("send window: an update that wrote neither a buffer nor nothing is refused") {
  Slots slots;
  slots.Put(1, {.address = 5, .remote_key = 1, .bytes = 2});
  SendWindow window(Peer(4));
  CHECK(window.OnUpdate(4, 15, slots.bytes) == Violation::kUpdateLength);
  SendWindow other(Peer(4));
  CHECK(other.OnUpdate(4, 32, slots.bytes) == Violation::kUpdateLength);
}

TEST("send window: a slot that was written ahead of its message waits for that") {
  Slots slots;
  SendWindow window(Peer(4));
  window.Take(10);
  slots.Put(1, {.address = 5, .remote_key = 1, .bytes = 2});
  CHECK(window.OnUpdate(4, 0, slots.bytes) == Violation::kNone);
  CHECK(window.room_bytes() == 0);
  CHECK(window.OnUpdate(4, 16, slots.bytes) == Violation::kNone);
  CHECK(window.room_bytes() == 2);
}

}  // namespace
