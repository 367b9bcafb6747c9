#pragma once

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>
#include <stdbool.h>
#include <stdint.h>

/// A peer that speaks rsockets v1 over verbs, and leaves it to its caller whether it keeps the
/// rules. One connection, one thread; what goes wrong in its own set-up ends the process. It says
/// what happens in lines of JSON, and ends when its standard input does.

enum {
  kConnectDataBytes = 40,
  kRequestDataBytesMax = 56,
  kEntryBytes = 16,
  kEntriesMax = 16,
  kOutgoingEntries = 64,
  kReceiveBuffers = 2,
  kReceiveBufferBytes = 8192,
  kSourceBytes = 1 << 20,
  kCredits = 64,
  kSendRequests = 128,
};

/// What the completion of a work request tells it by.
enum Token { kTokenReceive = 1, kTokenSend = 2 };

enum Operation { kData = 0, kUpdate = 4, kIomap = 6, kControl = 7 };
enum Control { kDisconnect = 0, kKeepalive = 1, kShutdown = 2 };

/// Memory that the other side may write.
struct Buffer {
  uint64_t address;
  uint32_t key;
  uint32_t bytes;
};

/// What the peer says of itself when connecting, and how it behaves.
struct Options {
  bool big_endian;
  bool no_iomap;
  bool no_receives;
  uint32_t entries;
  /// Changes the private data before it is sent.
  void (*spoil)(uint8_t* data, uint8_t* bytes);
};

/// What the other side said of itself.
struct Remote {
  bool big_endian;
  uint16_t credits;
  struct Buffer entries;
  struct Buffer first_buffer;
};

/// Registered for remote writes as a whole.
struct Memory {
  uint8_t entries[kEntriesMax][kEntryBytes];
  uint8_t outgoing[kOutgoingEntries][kEntryBytes];
  uint8_t receive[kReceiveBuffers][kReceiveBufferBytes];
  uint8_t source[kSourceBytes];
};

struct Peer {
  struct Options options;
  struct rdma_event_channel* events;
  struct rdma_cm_id* id;
  struct ibv_comp_channel* completions;
  struct ibv_cq* queue;
  struct ibv_mr* registration;
  struct Memory* memory;
  struct Remote remote;

  bool accepts;
  bool connected;
  /// Nothing will come from the other side any more.
  bool gone;
  /// A work request failed.
  bool failed;
  uint32_t posted;

  /// Sending: the buffers that the other side published and its credits.
  struct Buffer buffers[kEntriesMax];
  uint32_t buffers_count;
  uint32_t next_entry;
  uint16_t sent;
  uint16_t limit;

  /// Receiving.
  uint32_t messages_received;
  uint32_t credits_left;
  uint64_t bytes_received;
  uint64_t bytes_wrong;
  uint32_t fill_offset;
  uint32_t current_buffer;
  uint32_t next_remote_entry;
  uint32_t entries_written;
  bool remote_ended;
};

void Say(const char* format, ...) __attribute__((format(printf, 1, 2)));
/// Ends the process with what went wrong.
void Fail(const char* what) __attribute__((noreturn));

/// Connects; false when the other side would not have it, which has been said then.
bool Connect(struct Peer* peer, const char* address, const char* port);
/// Listens and accepts one connection; false as above.
bool Accept(struct Peer* peer, const char* address, const char* port);
/// Waits until something has happened, and handles it; false once the other side is gone.
bool Step(struct Peer* peer);
/// Until the other side is gone.
void UntilGone(struct Peer* peer);
/// Until every work request has been completed, well or not; false when one failed.
bool UntilSent(struct Peer* peer);
/// Takes the connection down, as the connection manager knows it.
void HangUp(struct Peer* peer);

/// An entry, as the private data and the memory for entries have it.
void StoreEntry(uint8_t* at, struct Buffer buffer, bool big_endian);
struct Buffer LoadEntry(const uint8_t* at, bool big_endian);
/// Posts a work request, when there is room for one.
void Post(struct Peer* peer, enum ibv_wr_opcode opcode, uint32_t immediate, const void* source,
          uint32_t bytes, uint64_t address, uint32_t key);
/// Posts a message: `bytes` of the source memory, written to `target`.
void SendMessage(struct Peer* peer, uint32_t operation, uint32_t value, uint32_t bytes,
                 struct Buffer target);
/// A message without bytes.
void SendWord(struct Peer* peer, uint32_t operation, uint32_t value);
/// Writes an entry where the other side looks for its next buffer, and tells the credits.
void Publish(struct Peer* peer, struct Buffer buffer);
/// One of our own receive buffers.
struct Buffer ReceiveBuffer(const struct Peer* peer, uint32_t index);
/// Publishes the second receive buffer: the first is in the private data.
void OpenReceiving(struct Peer* peer);
/// How many bytes the next data message may have.
uint32_t Room(const struct Peer* peer);
/// Uses so many bytes of the room, for one data message, and says where they begin.
struct Buffer TakeRoom(struct Peer* peer, uint32_t bytes);
/// Posts a data message of so many bytes (at most Room()) from the source memory.
void SendData(struct Peer* peer, uint32_t bytes);
/// The byte at a position of the stream that is sent, and is expected back.
uint8_t PatternAt(uint64_t position);

/// Waits for a line on the standard input, which says to go on; false at its end.
bool ReadLine(void);

struct Scenario {
  const char* name;
  void (*prepare)(struct Options* options);
  void (*play)(struct Peer* peer);
};

/// Each ends with an entry without a name.
extern const struct Scenario connect_data_scenarios[];
extern const struct Scenario violation_scenarios[];
extern const struct Scenario memory_scenarios[];
extern const struct Scenario behind_scenarios[];
extern const struct Scenario legal_scenarios[];
