#include "raw_peer.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace simulation {

using namespace local;

RawPeer::RawPeer(const std::string& name) : socket_(ConnectTo(name)) {}

void RawPeer::Send(std::span<const std::byte> bytes, std::vector<int> files) const {
  iovec part = {.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<std::byte, 256> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!files.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(files.size() * sizeof(int));
    cmsghdr* rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(files.size() * sizeof(int));
    std::memcpy(CMSG_DATA(rights), files.data(), files.size() * sizeof(int));
  }
  sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
}

void RawPeer::Send(const Greeting& greeting, std::vector<int> files) const {
  Send(std::as_bytes(std::span(&greeting, 1)), std::move(files));
}

Greeting RawPeer::greeting() const {
  return {.cells = InboxLayout::kCells,
          .memory_bytes = InboxLayout::kBytes,
          .address = reinterpret_cast<uint64_t>(inbox_.memory().data())};
}

bool RawPeer::TakeGreeting() {
  Greeting greeting;
  system::FileDescriptor memory;
  if (ReceiveGreeting(socket_.get(), &greeting, &memory, &their_doorbell_) != Received::kGreeting) {
    return false;
  }
  their_file_ = system::FileDescriptor(fcntl(memory.get(), F_DUPFD_CLOEXEC, 0));
  theirs_ = SharedMemory::Adopt(std::move(memory), InboxLayout::kBytes);
  if (!theirs_.valid()) return false;
  const InboxLayout layout(theirs_.memory());
  queue_ = QueueProducer(layout.control, layout.cells);
  return true;
}

void RawPeer::Put(const MessageHeader& header, std::span<const std::byte> payload) {
  std::vector<Cell> cells(1 + (payload.size() + sizeof(Cell) - 1) / sizeof(Cell));
  cells[0] = EncodeHeader(header);
  if (!payload.empty()) std::memcpy(&cells[1], payload.data(), payload.size());
  queue_.Put(cells);
  Ring();
}

void RawPeer::Put(MessageKind kind, uint32_t to, uint32_t value,
                  std::span<const std::byte> payload) {
  queue_.Put(EncodeMessage(kind, to, value, payload));
  Ring();
}

MessageHeader RawPeer::Take() {
  QueueConsumer& queue = inbox_.queue();
  if (queue.available() == 0) return {};
  const MessageHeader header = DecodeHeader(queue.Look(0));
  queue.Take(header.cells);
  queue.Publish();
  return header;
}

bool RawPeer::ended() const {
  std::byte byte;
  const ssize_t bytes = recv(socket_.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK);
  return bytes == 0 || (bytes < 0 && errno != EAGAIN);
}

}  // namespace simulation
