#include "local/local_socket.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

namespace rdma_net::local {

using system::FileDescriptor;

namespace {

constexpr size_t kDescriptors = 2;
constexpr size_t kControlBytes = CMSG_SPACE(kDescriptors * sizeof(int));

/// A name in the abstract namespace begins with a zero, and has no end but the length.
socklen_t FillName(const std::string& name, sockaddr_un* address) {
  *address = {};
  address->sun_family = AF_UNIX;
  const size_t bytes = std::min(name.size(), sizeof(address->sun_path) - 1);
  std::memcpy(&address->sun_path[1], name.data(), bytes);
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + bytes);
}

FileDescriptor OpenSocket() {
  return FileDescriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

FileDescriptor OpenDatagramSocket() {
  return FileDescriptor(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

/// Takes whatever descriptors came with a message, so that none stays open that nobody knows.
std::vector<FileDescriptor> TakeDescriptors(msghdr* message) {
  std::vector<FileDescriptor> taken;
  for (cmsghdr* part = CMSG_FIRSTHDR(message); part != nullptr; part = CMSG_NXTHDR(message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int file = -1;
      std::memcpy(&file, CMSG_DATA(part) + i * sizeof(int), sizeof(file));
      taken.emplace_back(file);
    }
  }
  return taken;
}

}  // namespace

FileDescriptor ListenOn(const std::string& name, int backlog) {
  FileDescriptor opened = OpenSocket();
  sockaddr_un address{};
  const socklen_t length = FillName(name, &address);
  if (!opened.valid() || bind(opened.get(), reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      listen(opened.get(), backlog) != 0) {
    return {};
  }
  return opened;
}

FileDescriptor ConnectTo(const std::string& name) {
  FileDescriptor opened = OpenSocket();
  sockaddr_un address{};
  const socklen_t length = FillName(name, &address);
  if (!opened.valid() ||
      connect(opened.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    return {};
  }
  return opened;
}

// Names of datagram sockets are apart from those of others (net/unix/af_unix.c,
// unix_abstract_hash).
FileDescriptor MarkName(const std::string& name) {
  FileDescriptor opened = OpenDatagramSocket();
  sockaddr_un address{};
  const socklen_t length = FillName(name, &address);
  if (!opened.valid() || bind(opened.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    return {};
  }
  // What somebody sends here would only use memory.
  shutdown(opened.get(), SHUT_RD);
  return opened;
}

bool Marks::Has(const std::string& name) {
  if (!asker_.valid()) asker_ = OpenDatagramSocket();
  sockaddr_un address{};
  const socklen_t length = FillName(name, &address);
  if (connect(asker_.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    // What cannot be told so is found out by a connection.
    return errno != ECONNREFUSED;
  }
  // Connected, it would keep the other socket in memory.
  const sockaddr nobody = {.sa_family = AF_UNSPEC, .sa_data = {}};
  if (connect(asker_.get(), &nobody, sizeof(nobody)) != 0) asker_ = FileDescriptor();
  return true;
}

FileDescriptor AcceptFrom(int listener) {
  return FileDescriptor(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
}

uid_t PeerUser(int socket) {
  ucred credentials{};
  socklen_t bytes = sizeof(credentials);
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) != 0) {
    return static_cast<uid_t>(-1);
  }
  return credentials.uid;
}

bool SendGreeting(int socket, const Greeting& greeting, int memory, int doorbell) {
  Greeting copy = greeting;
  iovec part = {.iov_base = &copy, .iov_len = sizeof(copy)};
  alignas(cmsghdr) std::array<std::byte, kControlBytes> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(kDescriptors * sizeof(int));
  const std::array<int, kDescriptors> files = {memory, doorbell};
  std::memcpy(CMSG_DATA(rights), files.data(), sizeof(files));
  return sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(sizeof(copy));
}

Received ReceiveGreeting(int socket, Greeting* greeting, FileDescriptor* memory,
                         FileDescriptor* doorbell) {
  iovec part = {.iov_base = greeting, .iov_len = sizeof(*greeting)};
  alignas(cmsghdr) std::array<std::byte, kControlBytes> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  if (bytes < 0) return errno == EAGAIN || errno == EINTR ? Received::kNothing : Received::kEnd;
  std::vector<FileDescriptor> files = TakeDescriptors(&message);
  const bool whole = bytes == static_cast<ssize_t>(sizeof(*greeting)) &&
                     (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
  if (!whole || greeting->magic != Greeting::kMagic || greeting->version != Greeting::kVersion ||
      files.size() != kDescriptors) {
    return Received::kEnd;
  }
  *memory = std::move(files[0]);
  *doorbell = std::move(files[1]);
  return Received::kGreeting;
}

}  // namespace rdma_net::local
