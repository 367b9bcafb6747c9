#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "system/file_descriptor.h"

/// Unix-domain sockets with names in the abstract namespace, which belongs to a network namespace
/// and forgets a name with its socket (unix(7)).
namespace rdma_net::local {

/// What two sides tell each other first, with the descriptors of an inbox and its doorbell.
struct Greeting {
  static constexpr std::array<char, 8> kMagic = {'r', 'd', 'm', 'a', '-', 'n', 'e', 't'};
  static constexpr uint32_t kVersion = 2;

  std::array<char, 8> magic = kMagic;
  uint32_t version = kVersion;
  /// Cells of the queue.
  uint32_t cells = 0;
  uint64_t memory_bytes = 0;
  /// Where the sender of this has the memory.
  uint64_t address = 0;
  /// Of who listens: 1 when each connection is to ask first who will have it (Group).
  uint64_t ask_first = 0;
};

/// A socket that listens; not valid with errno set. EADDRINUSE when the name is taken.
system::FileDescriptor ListenOn(const std::string& name, int backlog);
/// A socket that is connected; not valid with errno set. ECONNREFUSED when nobody has that name,
/// EAGAIN when too many wait already. Never waits.
system::FileDescriptor ConnectTo(const std::string& name);

/// Says that somebody listens under a name, for as long as it is open. Not valid with errno set;
/// EADDRINUSE when somebody else says so.
system::FileDescriptor MarkName(const std::string& name);

/// Looks for marks. A client asks at each connection, and nearly always there is none: connecting a
/// datagram socket tells so at a fraction of what a socket for the connection would cost.
class Marks {
 public:
  /// False when nobody listens under that name. Never waits.
  bool Has(const std::string& name);

 private:
  system::FileDescriptor asker_;
};

/// Not valid, with errno set, when nobody waits.
system::FileDescriptor AcceptFrom(int listener);

/// Who is on the other side: who listened, or who connected. -1 when that is not known.
uid_t PeerUser(int socket);

/// Sends a greeting; false with errno set.
bool SendGreeting(int socket, const Greeting& greeting, int memory, int doorbell);

enum class Received { kNothing, kGreeting, kEnd };
/// Receives a greeting. kEnd means that the peer is gone, or said something else; kNothing that it
/// has said nothing yet, or something after its greeting.
Received ReceiveGreeting(int socket, Greeting* greeting, system::FileDescriptor* memory,
                         system::FileDescriptor* doorbell);

}  // namespace rdma_net::local
