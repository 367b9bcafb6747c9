#pragma once

#include <cstdint>

namespace rdma_net::stream {

/// Bytes are of the stream, without protocol; see Counters in lib/native.ts.
struct Counters {
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received_copied = 0;
  uint64_t bytes_received_in_place = 0;
  uint64_t bytes_sent_copied = 0;
  uint64_t bytes_sent_in_place = 0;
  uint64_t messages_received = 0;
  uint64_t messages_sent = 0;
  uint64_t work_requests = 0;
  uint64_t credit_stalls = 0;

  void Add(const Counters& other) {
    bytes_received += other.bytes_received;
    bytes_sent += other.bytes_sent;
    bytes_received_copied += other.bytes_received_copied;
    bytes_received_in_place += other.bytes_received_in_place;
    bytes_sent_copied += other.bytes_sent_copied;
    bytes_sent_in_place += other.bytes_sent_in_place;
    messages_received += other.messages_received;
    messages_sent += other.messages_sent;
    work_requests += other.work_requests;
    credit_stalls += other.credit_stalls;
  }
};

}  // namespace rdma_net::stream
