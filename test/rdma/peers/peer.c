#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  /// Beyond the credits, for control messages.
  kReceiveRequests = kCredits + 64,
  kPatienceMs = 5000,
};

void Say(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
  fflush(stdout);
}

void Fail(const char* what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(2);
}

// What each side says of itself.

static uint8_t EncodeConnectData(const struct Peer* peer, uint8_t* data) {
  uint8_t bytes = kConnectDataBytes;
  memset(data, 0, kRequestDataBytesMax);
  data[0] = 1;
  data[1] = (uint8_t)((peer->options.big_endian ? 1 : 0) | (peer->options.no_iomap ? 0 : 2));
  data[3] = kCredits;
  const struct Buffer entries = {(uintptr_t)peer->memory->entries, peer->registration->rkey,
                                 peer->options.entries};
  StoreEntry(data + 8, entries, true);
  StoreEntry(data + 24, ReceiveBuffer(peer, 0), true);
  if (peer->options.spoil != NULL) peer->options.spoil(data, &bytes);
  return bytes;
}

static void SaveRemote(struct Peer* peer, const struct rdma_conn_param* parameters) {
  if (parameters->private_data == NULL || parameters->private_data_len < kConnectDataBytes) {
    errno = EPROTO;
    Fail("private data of the other side");
  }
  const uint8_t* data = parameters->private_data;
  peer->remote.big_endian = (data[1] & 1) != 0;
  peer->remote.credits = (uint16_t)(data[2] << 8 | data[3]);
  peer->remote.entries = LoadEntry(data + 8, true);
  peer->remote.first_buffer = LoadEntry(data + 24, true);
  peer->buffers[0] = peer->remote.first_buffer;
  peer->buffers_count = 1;
  peer->limit = peer->remote.credits;
  peer->next_entry = peer->options.entries > 1 ? 1 : 0;
  peer->next_remote_entry = peer->remote.entries.bytes > 1 ? 1 : 0;
  peer->credits_left = kCredits;
}

// Set-up.

static void PostReceive(struct Peer* peer) {
  struct ibv_recv_wr request = {.wr_id = kTokenReceive};
  struct ibv_recv_wr* bad;
  errno = ibv_post_recv(peer->id->qp, &request, &bad);
  if (errno != 0 && !peer->gone && !peer->failed) Fail("ibv_post_recv");
}

static void CreateQueuePair(struct Peer* peer) {
  struct ibv_pd* domain = ibv_alloc_pd(peer->id->verbs);
  if (domain == NULL) Fail("ibv_alloc_pd");
  peer->completions = ibv_create_comp_channel(peer->id->verbs);
  if (peer->completions == NULL) Fail("ibv_create_comp_channel");
  const int completions = kSendRequests + kReceiveRequests;
  peer->queue = ibv_create_cq(peer->id->verbs, completions, NULL, peer->completions, 0);
  if (peer->queue == NULL) Fail("ibv_create_cq");
  struct ibv_qp_init_attr attributes = {
      .send_cq = peer->queue,
      .recv_cq = peer->queue,
      .qp_type = IBV_QPT_RC,
      .sq_sig_all = 1,
      .cap = {.max_send_wr = kSendRequests,
              .max_recv_wr = kReceiveRequests,
              .max_send_sge = 1,
              .max_recv_sge = 1},
  };
  if (rdma_create_qp(peer->id, domain, &attributes) != 0) Fail("rdma_create_qp");
  peer->memory = calloc(1, sizeof *peer->memory);
  if (peer->memory == NULL) Fail("calloc");
  peer->registration = ibv_reg_mr(domain, peer->memory, sizeof *peer->memory,
                                  IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE);
  if (peer->registration == NULL) Fail("ibv_reg_mr");
  for (int i = 0; i < kReceiveRequests && !peer->options.no_receives; i++) PostReceive(peer);
}

static struct rdma_conn_param ConnectParameters(const struct Peer* peer, uint8_t* data) {
  return (struct rdma_conn_param){
      .private_data_len = EncodeConnectData(peer, data),
      .private_data = data,
      .flow_control = 1,
      .retry_count = 7,
      .rnr_retry_count = 7,
  };
}

/// The next event of the connection manager, which must be this one.
static struct rdma_cm_event* Expect(struct Peer* peer, enum rdma_cm_event_type type) {
  struct rdma_cm_event* event;
  if (rdma_get_cm_event(peer->events, &event) != 0) Fail("rdma_get_cm_event");
  if (event->event == type) return event;
  errno = EPROTO;
  Fail(rdma_event_str(event->event));
}

static void Prepare(struct Peer* peer, const char* address, const char* port,
                    struct sockaddr_in* target) {
  peer->events = rdma_create_event_channel();
  if (peer->events == NULL) Fail("rdma_create_event_channel");
  if (rdma_create_id(peer->events, &peer->id, NULL, RDMA_PS_TCP) != 0) Fail("rdma_create_id");
  target->sin_family = AF_INET;
  target->sin_port = htons((uint16_t)atoi(port));
  if (inet_pton(AF_INET, address, &target->sin_addr) != 1) Fail("inet_pton");
}

static void DoNotBlock(int descriptor) {
  const int flags = fcntl(descriptor, F_GETFL);
  if (fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0) Fail("fcntl");
}

static bool UntilConnected(struct Peer* peer) {
  DoNotBlock(peer->events->fd);
  DoNotBlock(peer->completions->fd);
  while (!peer->connected && Step(peer)) {
  }
  return peer->connected;
}

bool Connect(struct Peer* peer, const char* address, const char* port) {
  struct sockaddr_in target = {0};
  Prepare(peer, address, port, &target);
  if (rdma_resolve_addr(peer->id, NULL, (struct sockaddr*)&target, kPatienceMs) != 0) {
    Fail("rdma_resolve_addr");
  }
  rdma_ack_cm_event(Expect(peer, RDMA_CM_EVENT_ADDR_RESOLVED));
  if (rdma_resolve_route(peer->id, kPatienceMs) != 0) Fail("rdma_resolve_route");
  rdma_ack_cm_event(Expect(peer, RDMA_CM_EVENT_ROUTE_RESOLVED));
  CreateQueuePair(peer);
  uint8_t data[kRequestDataBytesMax];
  struct rdma_conn_param parameters = ConnectParameters(peer, data);
  if (rdma_connect(peer->id, &parameters) != 0) Fail("rdma_connect");
  return UntilConnected(peer);
}

bool Accept(struct Peer* peer, const char* address, const char* port) {
  struct sockaddr_in target = {0};
  Prepare(peer, address, port, &target);
  if (rdma_bind_addr(peer->id, (struct sockaddr*)&target) != 0) Fail("rdma_bind_addr");
  if (rdma_listen(peer->id, 1) != 0) Fail("rdma_listen");
  Say("{\"event\":\"listening\",\"port\":%d}", ntohs(rdma_get_src_port(peer->id)));
  struct rdma_cm_event* event = Expect(peer, RDMA_CM_EVENT_CONNECT_REQUEST);
  peer->id = event->id;
  peer->accepts = true;
  CreateQueuePair(peer);
  SaveRemote(peer, &event->param.conn);
  rdma_ack_cm_event(event);
  uint8_t data[kRequestDataBytesMax];
  struct rdma_conn_param parameters = ConnectParameters(peer, data);
  if (rdma_accept(peer->id, &parameters) != 0) Fail("rdma_accept");
  return UntilConnected(peer);
}

void HangUp(struct Peer* peer) {
  if (rdma_disconnect(peer->id) != 0) Fail("rdma_disconnect");
}

// Events.

static void TakeEntries(struct Peer* peer) {
  for (;;) {
    uint8_t* entry = peer->memory->entries[peer->next_entry];
    const struct Buffer buffer = LoadEntry(entry, peer->options.big_endian);
    if (buffer.bytes == 0) return;
    if (peer->buffers_count == kEntriesMax) {
      errno = ENOBUFS;
      Fail("buffers of the other side");
    }
    peer->buffers[peer->buffers_count++] = buffer;
    memset(entry, 0, kEntryBytes);
    peer->next_entry = (peer->next_entry + 1) % peer->options.entries;
  }
}

static void OnData(struct Peer* peer, uint32_t bytes) {
  const uint8_t* data = peer->memory->receive[peer->current_buffer] + peer->fill_offset;
  for (uint32_t i = 0; i < bytes; i++) {
    peer->bytes_wrong += data[i] != PatternAt(peer->bytes_received++);
  }
  peer->fill_offset += bytes;
  peer->credits_left--;
  if (peer->fill_offset == kReceiveBufferBytes) {
    Publish(peer, ReceiveBuffer(peer, peer->current_buffer));
    peer->current_buffer = (peer->current_buffer + 1) % kReceiveBuffers;
    peer->fill_offset = 0;
  } else if (peer->credits_left <= kCredits / 2) {
    peer->credits_left = kCredits;
    SendWord(peer, kUpdate, peer->messages_received + kCredits);
  }
}

static void OnMessage(struct Peer* peer, uint32_t immediate) {
  const uint32_t value = immediate & 0x1fffffff;
  switch (immediate >> 29) {
    case kData:
      peer->messages_received++;
      OnData(peer, value);
      break;
    case kUpdate:
      peer->limit = (uint16_t)value;
      TakeEntries(peer);
      break;
    case kControl:
      if (value != kKeepalive) peer->remote_ended = true;
      break;
    default:
      break;
  }
}

static void OnCompletion(struct Peer* peer, const struct ibv_wc* completion) {
  if (completion->wr_id == kTokenSend) peer->posted--;
  if (completion->status != IBV_WC_SUCCESS) {
    // The first says what was wrong; the rest are flushed behind it.
    if (!peer->failed) {
      const char* status = ibv_wc_status_str(completion->status);
      Say("{\"event\":\"completion\",\"status\":\"%s\"}", status);
    }
    peer->failed = true;
    return;
  }
  if (completion->wr_id != kTokenReceive) return;
  PostReceive(peer);
  if (completion->opcode == IBV_WC_RECV_RDMA_WITH_IMM) OnMessage(peer, ntohl(completion->imm_data));
}

static void OnManagerEvent(struct Peer* peer, const struct rdma_cm_event* event) {
  switch (event->event) {
    case RDMA_CM_EVENT_ESTABLISHED:
      // The side that accepts has read it in the request.
      if (!peer->accepts) SaveRemote(peer, &event->param.conn);
      peer->connected = true;
      Say("{\"event\":\"established\",\"credits\":%u,\"bufferBytes\":%u}", peer->remote.credits,
          peer->remote.first_buffer.bytes);
      break;
    case RDMA_CM_EVENT_DISCONNECTED:
      Say("{\"event\":\"disconnected\"}");
      rdma_disconnect(peer->id);
      peer->gone = true;
      break;
    case RDMA_CM_EVENT_REJECTED:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_CONNECT_ERROR:
      Say("{\"event\":\"refused\",\"how\":\"%s\",\"status\":%d}", rdma_event_str(event->event),
          event->status);
      peer->gone = true;
      break;
    default:
      break;
  }
}

static bool PollQueue(struct Peer* peer) {
  struct ibv_wc completions[16];
  const int count = ibv_poll_cq(peer->queue, 16, completions);
  if (count < 0) Fail("ibv_poll_cq");
  for (int i = 0; i < count; i++) OnCompletion(peer, &completions[i]);
  return count > 0;
}

static bool PollManager(struct Peer* peer) {
  struct rdma_cm_event* event;
  if (rdma_get_cm_event(peer->events, &event) != 0) return false;
  // What arrived before the connection went is not lost.
  while (peer->connected && PollQueue(peer)) {
  }
  OnManagerEvent(peer, event);
  rdma_ack_cm_event(event);
  return true;
}

static void Sleep(struct Peer* peer) {
  struct pollfd ready[] = {
      {.fd = peer->events->fd, .events = POLLIN},
      {.fd = peer->completions->fd, .events = POLLIN},
      {.fd = STDIN_FILENO, .events = POLLIN},
  };
  if (poll(ready, 3, -1) < 0) Fail("poll");
  // Nobody tells us anything: it is the end of the input.
  if (ready[2].revents != 0) exit(0);
  struct ibv_cq* queue;
  void* context;
  if (ready[1].revents != 0 && ibv_get_cq_event(peer->completions, &queue, &context) == 0) {
    ibv_ack_cq_events(queue, 1);
  }
}

bool Step(struct Peer* peer) {
  while (!peer->gone) {
    // Messages may be faster than the event that says to whom they came.
    if ((peer->connected && PollQueue(peer)) || PollManager(peer)) break;
    if (ibv_req_notify_cq(peer->queue, 0) != 0) Fail("ibv_req_notify_cq");
    if (peer->connected && PollQueue(peer)) break;
    Sleep(peer);
  }
  return !peer->gone;
}

void UntilGone(struct Peer* peer) {
  while (Step(peer)) {
  }
}

bool UntilSent(struct Peer* peer) {
  while (peer->posted > 0 && Step(peer)) {
  }
  return !peer->failed && !peer->gone;
}

bool ReadLine(void) {
  char byte = 0;
  while (byte != '\n') {
    if (read(STDIN_FILENO, &byte, 1) != 1) return false;
  }
  return true;
}
