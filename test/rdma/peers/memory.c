#include <stddef.h>
#include <unistd.h>

#include "peer.h"

/// Memory that is not there or not allowed, and connections that end without a word.

/// The device of the other side refuses, and only the writer hears of it.
static void HangUpWhenRefused(struct Peer* peer) {
  if (!UntilSent(peer) && !peer->gone) HangUp(peer);
}

static void WriteOutside(struct Peer* peer) {
  struct Buffer outside = peer->remote.first_buffer;
  outside.address += 1ULL << 30;
  SendMessage(peer, kData, 100, 100, outside);
  HangUpWhenRefused(peer);
}

static void WriteWithOtherKey(struct Peer* peer) {
  struct Buffer buffer = peer->remote.first_buffer;
  buffer.key ^= 0xffffff00;
  SendMessage(peer, kData, 100, 100, buffer);
  HangUpWhenRefused(peer);
}

static void SpoilBufferKey(uint8_t* data, uint8_t* bytes) {
  (void)bytes;
  data[33] ^= 0xff;
}

static void SpoilEntriesKey(uint8_t* data, uint8_t* bytes) {
  (void)bytes;
  data[17] ^= 0xff;
}

static void PrepareBufferKey(struct Options* options) {
  options->spoil = SpoilBufferKey;
}
static void PrepareEntriesKey(struct Options* options) {
  options->spoil = SpoilEntriesKey;
}

/// Says something, so that the other side has something to echo.
static void AskForEcho(struct Peer* peer) {
  SendData(peer, 100);
}

/// Fills what it was given, so that the other side has a buffer to publish.
static void AskForBuffer(struct Peer* peer) {
  while (Room(peer) > 0) {
    SendData(peer, Room(peer) < kSourceBytes ? Room(peer) : kSourceBytes);
    if (!UntilSent(peer)) return;
  }
}

static void StopAtOnce(struct Peer* peer) {
  struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_ERR};
  if (ibv_modify_qp(peer->id->qp, &attributes, IBV_QP_STATE) != 0) Fail("ibv_modify_qp");
  HangUp(peer);
}

static void ExitAtOnce(struct Peer* peer) {
  (void)peer;
  _exit(0);
}

const struct Scenario memory_scenarios[] = {
    {"write-outside", NULL, WriteOutside},
    {"write-with-other-key", NULL, WriteWithOtherKey},
    {"buffer-with-other-key", PrepareBufferKey, AskForEcho},
    {"entries-with-other-key", PrepareEntriesKey, AskForBuffer},
    {"stop-at-once", NULL, StopAtOnce},
    {"exit-at-once", NULL, ExitAtOnce},
    {0},
};
