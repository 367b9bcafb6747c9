#pragma once

#include <sys/eventfd.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "local/inbox.h"
#include "local/local_socket.h"
#include "local/messages.h"
#include "local/shared_memory.h"
#include "system/file_descriptor.h"

namespace simulation {

using namespace rdma_net;

/// A peer of the fabric of one host that follows no rules but those that a test lets it follow.
class RawPeer {
 public:
  explicit RawPeer(const std::string& name);
  explicit RawPeer(system::FileDescriptor socket) : socket_(std::move(socket)) {}

  /// Sends any bytes with any descriptors.
  void Send(std::span<const std::byte> bytes, std::vector<int> files) const;
  void Send(const local::Greeting& greeting, std::vector<int> files) const;
  /// A greeting as it should be.
  [[nodiscard]] local::Greeting greeting() const;
  /// Says it, with the descriptors that belong to it.
  void Greet() const { Send(greeting(), {inbox_.file(), inbox_.doorbell()}); }
  /// Takes the other side's greeting; from then on there is a queue to put something in.
  bool TakeGreeting();

  void Put(const local::MessageHeader& header, std::span<const std::byte> payload = {});
  /// With as many cells as it takes.
  void Put(local::MessageKind kind, uint32_t to, uint32_t value,
           std::span<const std::byte> payload = {});
  /// The next message that came; its kind is 0 when there is none.
  local::MessageHeader Take();
  void Ring() const { eventfd_write(their_doorbell_.get(), 1); }
  /// The words that both sides share in the other's memory.
  [[nodiscard]] local::QueueControl* control() const {
    return local::InboxLayout(theirs_.memory()).control;
  }

  /// The words in its own memory.
  [[nodiscard]] local::QueueControl* control_of_own() const {
    return local::InboxLayout(inbox_.memory()).control;
  }
  [[nodiscard]] int socket() const { return socket_.get(); }
  [[nodiscard]] const local::Inbox& inbox() const { return inbox_; }
  [[nodiscard]] int their_file() const { return their_file_.get(); }
  /// Whether the other side has ended the link.
  [[nodiscard]] bool ended() const;
  void End() { socket_ = {}; }

 private:
  system::FileDescriptor socket_;
  local::Inbox inbox_;
  local::SharedMemory theirs_;
  system::FileDescriptor their_file_;
  system::FileDescriptor their_doorbell_;
  local::QueueProducer queue_;
};

}  // namespace simulation
