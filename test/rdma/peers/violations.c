#include <stddef.h>

#include "peer.h"

/// Messages that break a rule, on a connection that is otherwise in order. Each leaves it to the
/// other side to end the connection.

static struct Buffer FirstBuffer(const struct Peer* peer) {
  return peer->remote.first_buffer;
}

static void Operation1(struct Peer* peer) {
  SendWord(peer, 1, 0);
}
static void Operation2(struct Peer* peer) {
  SendWord(peer, 2, 0);
}
static void Operation3(struct Peer* peer) {
  SendWord(peer, 3, 0);
}
static void Operation5(struct Peer* peer) {
  SendWord(peer, 5, 0);
}
static void UnknownControl(struct Peer* peer) {
  SendWord(peer, kControl, 3);
}

/// Messages that would fit if there were no others, all written to the beginning of the buffer:
/// where they are written is allowed, and their sum is not.
static void DataTooLong(struct Peer* peer) {
  const struct Buffer buffer = FirstBuffer(peer);
  uint32_t bytes = buffer.bytes / 2 + 1;
  if (bytes > kSourceBytes - 1) bytes = kSourceBytes - 1;
  for (uint32_t sum = 0; sum <= buffer.bytes; sum += bytes) {
    SendMessage(peer, kData, bytes, bytes, buffer);
  }
}

static void ValueAboveLength(struct Peer* peer) {
  SendMessage(peer, kData, 200, 100, FirstBuffer(peer));
}

static void ValueBelowLength(struct Peer* peer) {
  SendMessage(peer, kData, 0, 100, FirstBuffer(peer));
}

/// Fills every buffer that it is given. Without one it writes an entry's worth into the memory for
/// entries, which it may write too, and calls that data. Where a new buffer was on its way at that
/// moment, the bytes counted as its first ones.
static void DataWithoutBuffer(struct Peer* peer) {
  const struct Buffer elsewhere = {peer->remote.entries.address, peer->remote.entries.key, 0};
  uint32_t early = 0;
  while (UntilSent(peer)) {
    uint32_t room = Room(peer);
    if (peer->sent == peer->limit) {
      // More is granted; running out of credits would be another offence.
      Step(peer);
    } else if (room > early) {
      peer->buffers[0].address += early;
      peer->buffers[0].bytes -= early;
      room -= early;
      early = 0;
      SendData(peer, room < kSourceBytes ? room : kSourceBytes);
    } else {
      early += kEntryBytes;
      peer->sent++;
      SendMessage(peer, kData, kEntryBytes, kEntryBytes, elsewhere);
    }
  }
}

static void DataAfterShutdown(struct Peer* peer) {
  SendWord(peer, kControl, kShutdown);
  SendMessage(peer, kData, 1, 1, FirstBuffer(peer));
}

static void ShutdownTwice(struct Peer* peer) {
  SendWord(peer, kControl, kShutdown);
  SendWord(peer, kControl, kShutdown);
}

static void NoReceives(struct Options* options) {
  options->no_receives = true;
}

/// Without a place to receive, the other side's credits never come: whatever it grants, it must
/// stop some time, and then each message is one too many.
static void CreditsExceeded(struct Peer* peer) {
  enum { kMessagesMax = 20000 };
  for (int i = 0; i < kMessagesMax && !peer->gone && !peer->failed; i++) SendWord(peer, kData, 0);
}

static void CreditsBackwards(struct Peer* peer) {
  SendWord(peer, kUpdate, kCredits - 1);
}
static void CreditsTooMany(struct Peer* peer) {
  // More than any receive queue has.
  SendWord(peer, kUpdate, kCredits + 0x7fff);
}

static void TooManyBuffers(struct Peer* peer) {
  // One is in the private data, and the other side has so many entries.
  for (uint32_t i = 0; i < peer->remote.entries.bytes; i++) Publish(peer, ReceiveBuffer(peer, 1));
}

static void PublishedBufferWraps(struct Peer* peer) {
  Publish(peer, (struct Buffer){UINT64_MAX - 10, peer->registration->rkey, 100});
}

static void Send(struct Peer* peer) {
  Post(peer, IBV_WR_SEND, 0, NULL, 0, 0, 0);
}

static void SendWithBytes(struct Peer* peer) {
  Post(peer, IBV_WR_SEND, 0, peer->memory->source, 100, 0, 0);
}

/// Far more messages than anybody needs, each of them allowed.
static void Flood(struct Peer* peer, uint32_t operation, uint32_t value) {
  enum { kMessages = 5000 };
  for (int i = 0; i < kMessages && !peer->gone && !peer->failed; i++) {
    SendWord(peer, operation, value);
  }
  if (!UntilSent(peer)) return;
  Say("{\"event\":\"flooded\"}");
  HangUp(peer);
}

static void KeepaliveFlood(struct Peer* peer) {
  Flood(peer, kControl, kKeepalive);
}
static void CreditsFlood(struct Peer* peer) {
  Flood(peer, kUpdate, kCredits);
}
static void IomapFlood(struct Peer* peer) {
  Flood(peer, kIomap, 0);
}

const struct Scenario violation_scenarios[] = {
    {"operation-1", NULL, Operation1},
    {"operation-2", NULL, Operation2},
    {"operation-3", NULL, Operation3},
    {"operation-5", NULL, Operation5},
    {"unknown-control", NULL, UnknownControl},
    {"data-too-long", NULL, DataTooLong},
    {"value-above-length", NULL, ValueAboveLength},
    {"value-below-length", NULL, ValueBelowLength},
    {"data-without-buffer", NULL, DataWithoutBuffer},
    {"data-after-shutdown", NULL, DataAfterShutdown},
    {"shutdown-twice", NULL, ShutdownTwice},
    {"credits-exceeded", NoReceives, CreditsExceeded},
    {"credits-backwards", NULL, CreditsBackwards},
    {"credits-too-many", NULL, CreditsTooMany},
    {"too-many-buffers", NULL, TooManyBuffers},
    {"published-buffer-wraps", NULL, PublishedBufferWraps},
    {"send", NULL, Send},
    {"send-with-bytes", NULL, SendWithBytes},
    {"keepalive-flood", NULL, KeepaliveFlood},
    {"credits-flood", NULL, CreditsFlood},
    {"iomap-flood", NULL, IomapFlood},
    {0},
};
