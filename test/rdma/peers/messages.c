#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "peer.h"

/// What a peer says: entries, words and data.

uint8_t PatternAt(uint64_t position) {
  return (uint8_t)(position * 31 + (position >> 8) * 7);
}

void StoreEntry(uint8_t* at, struct Buffer buffer, bool big_endian) {
  const uint64_t address = big_endian ? htobe64(buffer.address) : htole64(buffer.address);
  const uint32_t key = big_endian ? htobe32(buffer.key) : htole32(buffer.key);
  const uint32_t bytes = big_endian ? htobe32(buffer.bytes) : htole32(buffer.bytes);
  memcpy(at, &address, sizeof address);
  memcpy(at + 8, &key, sizeof key);
  memcpy(at + 12, &bytes, sizeof bytes);
}

struct Buffer LoadEntry(const uint8_t* at, bool big_endian) {
  struct Buffer raw;
  memcpy(&raw.address, at, sizeof raw.address);
  memcpy(&raw.key, at + 8, sizeof raw.key);
  memcpy(&raw.bytes, at + 12, sizeof raw.bytes);
  if (big_endian) {
    return (struct Buffer){be64toh(raw.address), be32toh(raw.key), be32toh(raw.bytes)};
  }
  return (struct Buffer){le64toh(raw.address), le32toh(raw.key), le32toh(raw.bytes)};
}

struct Buffer ReceiveBuffer(const struct Peer* peer, uint32_t index) {
  return (struct Buffer){(uintptr_t)peer->memory->receive[index], peer->registration->rkey,
                         kReceiveBufferBytes};
}

void Post(struct Peer* peer, enum ibv_wr_opcode opcode, uint32_t immediate, const void* source,
          uint32_t bytes, uint64_t address, uint32_t key) {
  while (peer->posted >= kSendRequests && Step(peer)) {
  }
  if (peer->gone || peer->failed) return;
  struct ibv_sge segment = {
      .addr = (uintptr_t)source, .length = bytes, .lkey = peer->registration->lkey};
  struct ibv_send_wr request = {
      .wr_id = kTokenSend,
      .opcode = opcode,
      .imm_data = htonl(immediate),
      .sg_list = &segment,
      .num_sge = bytes > 0 ? 1 : 0,
      .wr.rdma = {.remote_addr = address, .rkey = key},
  };
  struct ibv_send_wr* bad;
  errno = ibv_post_send(peer->id->qp, &request, &bad);
  if (errno != 0) Fail("ibv_post_send");
  peer->posted++;
}

void SendMessage(struct Peer* peer, uint32_t operation, uint32_t value, uint32_t bytes,
                 struct Buffer target) {
  Post(peer, IBV_WR_RDMA_WRITE_WITH_IMM, operation << 29 | value, peer->memory->source, bytes,
       target.address, target.key);
}

void SendWord(struct Peer* peer, uint32_t operation, uint32_t value) {
  SendMessage(peer, operation, value, 0, (struct Buffer){0});
}

void Publish(struct Peer* peer, struct Buffer buffer) {
  uint8_t* entry = peer->memory->outgoing[peer->entries_written++ % kOutgoingEntries];
  StoreEntry(entry, buffer, peer->remote.big_endian);
  const struct Buffer* entries = &peer->remote.entries;
  const uint64_t target = entries->address + (uint64_t)peer->next_remote_entry * kEntryBytes;
  peer->next_remote_entry = (peer->next_remote_entry + 1) % entries->bytes;
  peer->credits_left = kCredits;
  const uint32_t credits = (peer->messages_received + kCredits) & 0xffff;
  Post(peer, IBV_WR_RDMA_WRITE_WITH_IMM, (uint32_t)kUpdate << 29 | credits, entry, kEntryBytes,
       target, entries->key);
}

void OpenReceiving(struct Peer* peer) {
  Publish(peer, ReceiveBuffer(peer, 1));
}

uint32_t Room(const struct Peer* peer) {
  return peer->sent == peer->limit || peer->buffers_count == 0 ? 0 : peer->buffers[0].bytes;
}

struct Buffer TakeRoom(struct Peer* peer, uint32_t bytes) {
  struct Buffer* current = &peer->buffers[0];
  const struct Buffer taken = *current;
  peer->sent++;
  current->address += bytes;
  current->bytes -= bytes;
  if (current->bytes == 0) {
    peer->buffers_count--;
    memmove(peer->buffers, peer->buffers + 1, peer->buffers_count * sizeof *current);
  }
  return taken;
}

void SendData(struct Peer* peer, uint32_t bytes) {
  SendMessage(peer, kData, bytes, bytes, TakeRoom(peer, bytes));
}
