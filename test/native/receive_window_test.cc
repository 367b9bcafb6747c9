#include <array>
#include <numeric>
#include <vector>

#include "stream/receive_window.h"
#include "tap.h"

namespace {

using namespace rdma_net;
using stream::ReceiveBuffer;
using stream::ReceiveWindow;
using stream::View;
using stream::wire::Violation;
using Access = ReceiveBuffer::Access;

class TestSlab final : public fabric::Slab {
 public:
  TestSlab(std::span<std::byte> memory, int* returned) : Slab(memory, 7), returned_(returned) {}
  ~TestSlab() override = default;
  void OnUnreferenced() override {
    ++*returned_;
    delete this;
  }

 private:
  int* returned_;
};

/// A window with buffers of 32 bytes, filled with their own positions in the stream.
struct Fixture {
  explicit Fixture(uint32_t credits = 8, uint32_t entries = 2) : window(credits, entries) {
    for (size_t i = 0; i < bytes.size(); i++) bytes[i] = static_cast<std::byte>(i);
  }
  std::span<std::byte> Memory(size_t number) { return std::span(bytes).subspan(number * 32, 32); }
  uint32_t Own(size_t number) { return window.Publish({.memory = Memory(number), .slab = {}}); }
  uint32_t Slab(size_t number) {
    return window.Publish({.memory = Memory(number),
                           .slab = fabric::SlabRef(new TestSlab(Memory(number), &returned))});
  }
  Violation Data(uint32_t value, bool ends = false) {
    return window.OnData(value, value, ends, &filled);
  }

  int returned = 0;
  std::vector<std::byte> bytes = std::vector<std::byte>(128);
  ReceiveWindow window;
  ReceiveBuffer* filled = nullptr;
};

TEST("receive window: bytes come out in the order they were written, across buffers") {
  Fixture f;
  CHECK(f.Own(0) == 0);
  CHECK(f.Own(1) == 1);
  CHECK(f.Data(20) == Violation::kNone && f.filled == nullptr);
  CHECK(f.Data(12) == Violation::kNone && f.filled != nullptr);
  CHECK(f.Data(32) == Violation::kNone);
  std::array<std::byte, 50> first{};
  std::array<std::byte, 50> second{};
  CHECK(f.window.readable_bytes() == 64);
  CHECK(f.window.Read(first) == 50);
  CHECK(f.window.Read(second) == 14);
  CHECK(first[49] == std::byte{49} && second[0] == std::byte{50} && second[13] == std::byte{63});
  CHECK(f.window.readable_bytes() == 0);
}

TEST("receive window: a buffer can be used again only when all of it was read") {
  Fixture f;
  f.Own(0);
  CHECK(!f.window.TakeEmpty());
  CHECK(f.Data(32) == Violation::kNone);
  std::array<std::byte, 31> most{};
  f.window.Read(most);
  CHECK(!f.window.TakeEmpty());
  std::array<std::byte, 1> last{};
  f.window.Read(last);
  const auto empty = f.window.TakeEmpty();
  CHECK(empty && empty->memory.data() == f.Memory(0).data());
  CHECK(f.window.held_bytes() == 0);
}

TEST("receive window: a peer with one slot is told of a buffer when it has left the one before") {
  Fixture f(8, 1);
  CHECK(f.Own(0) == 0);
  CHECK(!f.window.has_slot());
  CHECK(f.Data(31) == Violation::kNone);
  CHECK(!f.window.has_slot());
  CHECK(f.Data(1) == Violation::kNone);
  CHECK(f.window.has_slot());
  CHECK(f.Own(1) == 0);
}

TEST("receive window: data beyond the buffer, without a buffer, or of another length is refused") {
  Fixture f;
  f.Own(0);
  CHECK(f.Data(33) == Violation::kDataTooLong);
  CHECK(f.window.OnData(16, 15, false, &f.filled) == Violation::kDataLengthMismatch);
  CHECK(f.Data(16) == Violation::kNone);
  CHECK(f.Data(17) == Violation::kDataTooLong);
  CHECK(f.Data(16) == Violation::kNone);
  CHECK(f.Data(1) == Violation::kDataWithoutBuffer);
}

TEST("receive window: more messages than were granted are refused; half of them make a grant due") {
  Fixture f(4);
  f.Own(0);
  CHECK(!f.window.credits_due());
  CHECK(f.Data(1) == Violation::kNone);
  CHECK(!f.window.credits_due());
  CHECK(f.Data(1) == Violation::kNone);
  CHECK(f.window.credits_due());
  CHECK(f.Data(0) == Violation::kNone);
  CHECK(f.Data(1) == Violation::kNone);
  CHECK(f.Data(1) == Violation::kCreditsExceeded);
  CHECK(f.window.Grant() == 8);
  CHECK(f.Data(1) == Violation::kNone);
  f.window.AddCredits(10);
  CHECK(f.window.Grant() == 5 + 14);
}

TEST("receive window: a view is given only after the peer's access has ended") {
  Fixture f;
  f.Slab(0);
  f.Slab(1);
  CHECK(f.Data(32) == Violation::kNone);
  f.filled->for_view = true;
  CHECK(f.Data(8) == Violation::kNone);
  CHECK(f.window.readable_bytes() == 0 && f.window.waits());
  CHECK(!f.window.TakeView());
  std::array<std::byte, 64> target{};
  CHECK(f.window.Read(target) == 0);
  ReceiveBuffer* next = f.window.NextToRevoke();
  CHECK(next != nullptr);
  next->access = Access::kRevoking;
  CHECK(f.window.NextToRevoke() == nullptr);
  CHECK(!f.window.TakeView() && !f.window.TakeEmpty());
  f.window.OnRevoked();
  CHECK(f.window.readable_bytes() == 40);
  std::optional<View> view = f.window.TakeView();
  CHECK(view && view->bytes.data() == f.Memory(0).data() && view->bytes.size() == 32);
  CHECK(f.window.readable_bytes() == 8);
  CHECK(!f.window.TakeView());
  CHECK(f.window.TakeEmpty().has_value());
  CHECK(f.returned == 0);
  view.reset();
  CHECK(f.returned == 1);
}

TEST("receive window: what was copied from the front of a slab is not in its view") {
  Fixture f;
  f.Slab(0);
  CHECK(f.Data(10) == Violation::kNone);
  std::array<std::byte, 10> copied{};
  CHECK(f.window.Read(copied) == 10);
  CHECK(f.Data(22) == Violation::kNone);
  f.filled->for_view = true;
  f.window.NextToRevoke()->access = Access::kRevoking;
  f.window.OnRevoked();
  const std::optional<View> view = f.window.TakeView();
  CHECK(view && view->bytes.size() == 22 && view->bytes[0] == std::byte{10});
}

TEST("receive window: a copy ends where a view begins") {
  Fixture f;
  f.Own(0);
  f.Slab(1);
  CHECK(f.Data(32) == Violation::kNone);
  CHECK(f.Data(32) == Violation::kNone);
  f.filled->for_view = true;
  f.window.NextToRevoke()->access = Access::kRevoking;
  f.window.OnRevoked();
  std::array<std::byte, 64> target{};
  CHECK(f.window.Read(target, 16) == 32);
  CHECK(f.window.TakeView().has_value());
}

TEST("receive window: a buffer that its peer has ended is full, with what is in it") {
  Fixture f;
  f.Slab(0);
  f.Own(1);
  CHECK(f.Data(10, true) == Violation::kNone && f.filled != nullptr);
  CHECK(f.Data(32) == Violation::kNone);
  CHECK(f.window.readable_bytes() == 42);
  std::array<std::byte, 64> target{};
  CHECK(f.window.Read(target) == 42);
  CHECK(target[9] == std::byte{9} && target[10] == std::byte{32});
  CHECK(f.window.TakeEmpty()->memory.size() == 32);
}

TEST("receive window: when no revocation will complete any more, what waited is copied") {
  Fixture f;
  f.Slab(0);
  CHECK(f.Data(32) == Violation::kNone);
  f.filled->for_view = true;
  f.window.NextToRevoke()->access = Access::kRevoking;
  f.window.CopyTheRest();
  std::array<std::byte, 64> target{};
  CHECK(!f.window.TakeView());
  CHECK(f.window.Read(target) == 32);
}

}  // namespace
