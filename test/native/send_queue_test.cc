#include <memory>
#include <numeric>
#include <vector>

#include "stream/send_queue.h"
#include "tap.h"

namespace {

using namespace rdma_net;
using stream::SendQueue;
using stream::SendRing;

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
    const fabric::Segment part = ring.Post(5);
    CHECK(part.bytes > 0 && part.bytes <= 5 && part.local_key == 1);
    sent.insert(sent.end(), part.data, part.data + part.bytes);
    ring.Complete(part.bytes);
  }
  CHECK(sent == source);
  CHECK(ring.idle());
  CHECK(ring.TakeMemory().data == memory.data());
  CHECK(!ring.has_memory() && ring.Write(source) == 0);
}

struct Queue {
  Queue() {
    std::iota(reinterpret_cast<unsigned char*>(source.data()),
              reinterpret_cast<unsigned char*>(source.data() + source.size()), 0);
    queue.ring().SetMemory(
        {.data = memory.data(), .bytes = memory.size(), .local_key = 1, .remote_key = 0});
  }
  std::span<const std::byte> Next(size_t bytes) {
    at += bytes;
    return std::span(source).subspan(at - bytes, bytes);
  }
  void InPlace(size_t bytes) { queue.WriteInPlace(Next(bytes), {.memory = {}, .local_key = 2}); }
  SendQueue::Message Post(uint32_t bytes_max) {
    const SendQueue::Message message = queue.Post(bytes_max);
    for (const fabric::Segment& part : message.segments) {
      sent.insert(sent.end(), part.data, part.data + part.bytes);
    }
    return message;
  }

  std::vector<std::byte> source = std::vector<std::byte>(200);
  std::vector<std::byte> memory = std::vector<std::byte>(16);
  std::vector<std::byte> sent;
  size_t at = 0;
  SendQueue queue;
};

TEST("send queue: copied bytes and bytes in place go in the order they were written") {
  Queue q;
  CHECK(q.queue.Write(q.Next(6)) == 6);
  q.InPlace(40);
  CHECK(q.queue.Write(q.Next(10)) == 10);
  q.InPlace(5);
  uint64_t posted = 0;
  while (q.queue.waiting_bytes() > 0) {
    const SendQueue::Message message = q.Post(9);
    CHECK(message.bytes > 0 && message.bytes <= 9);
    posted += message.bytes;
    q.queue.Complete(message.bytes);
  }
  CHECK(posted == 61 && q.queue.idle());
  CHECK(std::equal(q.sent.begin(), q.sent.end(), q.source.begin()) && q.sent.size() == 61);
}

TEST("send queue: a small write and what follows in place share one message") {
  Queue q;
  q.queue.Write(q.Next(6));
  q.InPlace(40);
  const SendQueue::Message message = q.Post(64);
  CHECK(message.bytes == 46);
  CHECK(message.segments[0].local_key == 1 && message.segments[0].bytes == 6);
  CHECK(message.segments[1].local_key == 2 && message.segments[1].bytes == 40);
}

TEST("send queue: a write in place has ended when its last byte is complete, not before") {
  Queue q;
  q.InPlace(10);
  q.InPlace(10);
  q.Post(15);
  CHECK(q.queue.TakeEnded() == 0);
  q.Post(15);
  q.queue.Complete(9);
  CHECK(q.queue.TakeEnded() == 0);
  q.queue.Complete(1);
  CHECK(q.queue.TakeEnded() == 1);
  q.queue.Complete(10);
  CHECK(q.queue.TakeEnded() == 1 && q.queue.idle());
}

TEST("send queue: what is held is copied as there is room, and its owner is let go of then") {
  Queue q;
  auto owner = std::make_shared<int>(1);
  const std::weak_ptr<int> alive = owner;
  q.InPlace(10);
  q.queue.Hold(q.Next(40), std::move(owner));
  while (q.queue.waiting_bytes() + q.queue.held_bytes() > 0) {
    q.queue.Fill();
    CHECK(alive.expired() == (q.queue.held_bytes() == 0));
    q.queue.Complete(q.Post(8).bytes);
  }
  CHECK(q.sent.size() == 50 && std::equal(q.sent.begin(), q.sent.end(), q.source.begin()));
  CHECK(q.queue.TakeEnded() == 2);
}

TEST("send queue: the end of a held write is told in its turn, and before it is sent") {
  Queue q;
  q.InPlace(10);
  q.queue.Hold(q.Next(10), std::make_shared<int>(1));
  q.queue.Fill();
  CHECK(q.queue.TakeEnded() == 0);
  q.queue.Complete(q.Post(10).bytes);
  CHECK(q.queue.TakeEnded() == 2);
  q.queue.Hold(q.Next(5), std::make_shared<int>(1));
  q.queue.Fill();
  CHECK(q.queue.TakeEnded() == 1);
}

TEST("send queue: what is dropped, or goes to nobody, ends once") {
  Queue q;
  q.InPlace(10);
  q.InPlace(10);
  q.InPlace(10);
  q.Post(12);
  CHECK(q.queue.DropWaiting() == 2);
  CHECK(q.queue.waiting_bytes() == 0);
  CHECK(q.queue.TakeEnded() == 0);
  q.queue.EndAll();
  CHECK(q.queue.TakeEnded() == 3);
  q.queue.Complete(12);
  CHECK(q.queue.TakeEnded() == 0 && q.queue.idle());
  q.queue.Write(q.Next(4));
  CHECK(q.Post(64).bytes == 4);
}

}  // namespace
