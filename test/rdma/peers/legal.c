#include <stddef.h>

#include "peer.h"

/// Peers that are within the rules, and unlike C rsockets. Each sends a stream, checks that it
/// comes back, and closes.

enum {
  kStreamBytes = 300000,
  kMessageBytesMax = 16384,
};

static uint32_t Least(uint32_t a, uint32_t b) {
  return a < b ? a : b;
}

/// Sends and reads until `end` bytes have come back; true then.
static bool EchoUntil(struct Peer* peer, uint64_t* sent, uint64_t end) {
  while (peer->bytes_received < end) {
    if (peer->failed || peer->gone) return false;
    // A message must be complete before its source memory is used again.
    if (peer->posted == 0 && *sent < end && Room(peer) > 0) {
      const uint32_t bytes = Least(Least(Room(peer), kMessageBytesMax), (uint32_t)(end - *sent));
      for (uint32_t i = 0; i < bytes; i++) peer->memory->source[i] = PatternAt(*sent + i);
      *sent += bytes;
      SendData(peer, bytes);
    } else if (!Step(peer)) {
      return false;
    }
  }
  return true;
}

static void Finish(struct Peer* peer) {
  Say("{\"event\":\"echoed\",\"bytes\":%lu,\"wrong\":%lu}", (unsigned long)peer->bytes_received,
      (unsigned long)peer->bytes_wrong);
  SendWord(peer, kControl, kShutdown);
  while (!peer->remote_ended && Step(peer)) {
  }
  if (peer->gone) return;
  SendWord(peer, kControl, kDisconnect);
  if (UntilSent(peer)) HangUp(peer);
}

static void Echo(struct Peer* peer) {
  uint64_t sent = 0;
  OpenReceiving(peer);
  if (EchoUntil(peer, &sent, kStreamBytes)) Finish(peer);
}

/// With a word between every two parts of the stream that means nothing.
static void EchoWith(struct Peer* peer, uint32_t operation, uint32_t value, bool is_data) {
  enum { kParts = 10 };
  uint64_t sent = 0;
  OpenReceiving(peer);
  for (uint32_t part = 1; part <= kParts; part++) {
    if (!EchoUntil(peer, &sent, (uint64_t)kStreamBytes / kParts * part)) return;
    while (is_data && peer->sent == peer->limit && Step(peer)) {
    }
    if (is_data) peer->sent++;
    SendWord(peer, operation, value);
  }
  Finish(peer);
}

static void EchoWithKeepalives(struct Peer* peer) {
  EchoWith(peer, kControl, kKeepalive, false);
}
static void EchoWithIomaps(struct Peer* peer) {
  EchoWith(peer, kIomap, 3, false);
}
static void EchoWithEmptyData(struct Peer* peer) {
  EchoWith(peer, kData, 0, true);
}

static void BigEndian(struct Options* options) {
  options->big_endian = true;
}
static void OneEntry(struct Options* options) {
  options->entries = 1;
}
static void EightEntries(struct Options* options) {
  options->entries = 8;
}
static void NoIomap(struct Options* options) {
  options->no_iomap = true;
}

const struct Scenario legal_scenarios[] = {
    {"plain", NULL, Echo},
    {"big-endian", BigEndian, Echo},
    {"one-entry", OneEntry, Echo},
    {"eight-entries", EightEntries, Echo},
    {"no-iomap-flag", NoIomap, Echo},
    {"keepalives", NULL, EchoWithKeepalives},
    {"iomap-updates", NULL, EchoWithIomaps},
    {"empty-data", NULL, EchoWithEmptyData},
    {0},
};
