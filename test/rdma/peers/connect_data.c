#include <string.h>

#include "peer.h"

/// Connection data that must be refused: nothing is played, since there is no connection.

enum {
  kVersionAt = 0,
  kCreditsAt = 2,
  kEntriesAddressAt = 8,
  kEntriesCountAt = 20,
  kBufferAddressAt = 24,
  kBufferBytesAt = 36,
};

static void CutShort(uint8_t* data, uint8_t* bytes) {
  (void)data;
  *bytes = 20;
}

static void OtherVersion(uint8_t* data, uint8_t* bytes) {
  (void)bytes;
  data[kVersionAt] = 2;
}

static void NoCredits(uint8_t* data, uint8_t* bytes) {
  (void)bytes;
  memset(data + kCreditsAt, 0, 2);
}

static void NoEntries(uint8_t* data, uint8_t* bytes) {
  (void)bytes;
  memset(data + kEntriesCountAt, 0, 4);
}

static void TooManyEntries(uint8_t* data, uint8_t* bytes) {
  (void)bytes;
  memset(data + kEntriesCountAt, 0xff, 4);
}

/// The last 16 bytes of the address space have room for one entry and not for two.
static void EntriesWrap(uint8_t* data, uint8_t* bytes) {
  (void)bytes;
  memset(data + kEntriesAddressAt, 0xff, 8);
  data[kEntriesAddressAt + 7] = 0xf0;
}

static void EmptyBuffer(uint8_t* data, uint8_t* bytes) {
  (void)bytes;
  memset(data + kBufferBytesAt, 0, 4);
}

static void BufferWraps(uint8_t* data, uint8_t* bytes) {
  (void)bytes;
  memset(data + kBufferAddressAt, 0xff, 8);
}

/// Always the same garbage, from a generator of Marsaglia's (xorshift).
static void Fill(uint8_t* data, uint32_t state) {
  for (int i = 0; i < kRequestDataBytesMax; i++) {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    data[i] = (uint8_t)state;
  }
}

static void Garbage(uint8_t* data, uint8_t* bytes) {
  *bytes = kRequestDataBytesMax;
  Fill(data, 0x2545f491);
}

static void GarbageOfVersion1(uint8_t* data, uint8_t* bytes) {
  *bytes = kRequestDataBytesMax;
  Fill(data, 0x9e3779b9);
  data[kVersionAt] = 1;
}

static void PrepareCutShort(struct Options* options) {
  options->spoil = CutShort;
}
static void PrepareOtherVersion(struct Options* options) {
  options->spoil = OtherVersion;
}
static void PrepareNoCredits(struct Options* options) {
  options->spoil = NoCredits;
}
static void PrepareNoEntries(struct Options* options) {
  options->spoil = NoEntries;
}
static void PrepareTooManyEntries(struct Options* options) {
  options->spoil = TooManyEntries;
}
static void PrepareEntriesWrap(struct Options* options) {
  options->spoil = EntriesWrap;
}
static void PrepareEmptyBuffer(struct Options* options) {
  options->spoil = EmptyBuffer;
}
static void PrepareBufferWraps(struct Options* options) {
  options->spoil = BufferWraps;
}
static void PrepareGarbage(struct Options* options) {
  options->spoil = Garbage;
}
static void PrepareGarbageOfVersion1(struct Options* options) {
  options->spoil = GarbageOfVersion1;
}

const struct Scenario connect_data_scenarios[] = {
    {"connect-data-cut-short", PrepareCutShort, UntilGone},
    {"connect-data-version", PrepareOtherVersion, UntilGone},
    {"connect-data-no-credits", PrepareNoCredits, UntilGone},
    {"connect-data-no-entries", PrepareNoEntries, UntilGone},
    {"connect-data-too-many-entries", PrepareTooManyEntries, UntilGone},
    {"connect-data-entries-wrap", PrepareEntriesWrap, UntilGone},
    {"connect-data-empty-buffer", PrepareEmptyBuffer, UntilGone},
    {"connect-data-buffer-wraps", PrepareBufferWraps, UntilGone},
    {"connect-data-garbage", PrepareGarbage, UntilGone},
    {"connect-data-garbage-of-version-1", PrepareGarbageOfVersion1, UntilGone},
    {0},
};
