#include <stddef.h>
#include <string.h>

#include "peer.h"

/// A buffer that was filled belongs to the other side's program: what if we go on writing there?

enum {
  kBefore = 0xaa,
  kBehind = 0xbb,
  /// When no larger buffers have come after so many bytes, none will.
  kPatienceBytes = 8 << 20,
  kAttempts = 500,
  kAttemptBytes = 4096,
};

static uint32_t Least(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

/// Sends up to so many bytes as they fit; 0 when the connection is over.
static uint32_t SendSome(struct Peer* peer, uint32_t bytes) {
  while (Room(peer) == 0) {
    if (!Step(peer) || peer->failed) return 0;
  }
  const uint32_t taken = Least(Least(Room(peer), bytes), kSourceBytes);
  SendData(peer, taken);
  return UntilSent(peer) ? taken : 0;
}

/// Fills the buffer that is next, whole, and says which it was.
static bool FillBuffer(struct Peer* peer, struct Buffer* filled) {
  while (Room(peer) == 0) {
    if (!Step(peer) || peer->failed) return false;
  }
  *filled = peer->buffers[0];
  for (uint32_t left = filled->bytes; left > 0;) {
    const uint32_t bytes = SendSome(peer, left);
    if (bytes == 0) return false;
    left -= bytes;
  }
  return true;
}

/// Streams until a larger buffer than the first has been filled.
static bool FillLargeBuffer(struct Peer* peer, struct Buffer* filled) {
  const uint32_t first_bytes = peer->remote.first_buffer.bytes;
  memset(peer->memory->source, kBefore, kSourceBytes);
  uint64_t sent = 0;
  do {
    if (!FillBuffer(peer, filled)) return false;
    sent += filled->bytes;
  } while (filled->bytes <= first_bytes && sent < kPatienceBytes);
  Say("{\"event\":\"filled\",\"bytes\":%lu,\"bufferBytes\":%u,\"firstBytes\":%u}",
      (unsigned long)sent, filled->bytes, first_bytes);
  return true;
}

/// Goes on when the buffer has been handed over, until the other side's device refuses.
static void WriteBehind(struct Peer* peer, bool with_messages) {
  struct Buffer filled;
  if (!FillLargeBuffer(peer, &filled) || !ReadLine()) return;
  memset(peer->memory->source, kBehind, kSourceBytes);
  const uint32_t bytes = Least(kAttemptBytes, filled.bytes);
  const uint64_t last = filled.address + filled.bytes - bytes;
  int accepted = 0;
  while (accepted < kAttempts && !peer->gone) {
    const struct Buffer target = {accepted % 2 == 0 ? filled.address : last, filled.key, 0};
    if (!with_messages) {
      Post(peer, IBV_WR_RDMA_WRITE, 0, peer->memory->source, bytes, target.address, target.key);
    } else if (Room(peer) > 0) {
      // As much as may be sent, and only where it goes is wrong.
      const uint32_t taken = Least(bytes, Room(peer));
      TakeRoom(peer, taken);
      SendMessage(peer, kData, taken, taken, target);
    } else {
      if (!Step(peer) || peer->failed) break;
      continue;
    }
    if (!UntilSent(peer)) break;
    accepted++;
  }
  Say("{\"event\":\"attempts\",\"accepted\":%d}", accepted);
  if (!peer->gone) HangUp(peer);
}

static void WritePlainly(struct Peer* peer) {
  WriteBehind(peer, false);
}
static void WriteMessages(struct Peer* peer) {
  WriteBehind(peer, true);
}

const struct Scenario behind_scenarios[] = {
    {"write-behind", NULL, WritePlainly},
    {"write-behind-with-messages", NULL, WriteMessages},
    {0},
};
