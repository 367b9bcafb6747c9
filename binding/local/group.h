#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fabric/fabric.h"
#include "local/watched.h"
#include "system/file_descriptor.h"

namespace rdma_net::local {

class Listener;
class LocalFabric;

/// A listener's part in a name that it shares with listeners of other processes, such as the
/// workers of a cluster. Each member has a seat, at which clients connect to it. One of them, or
/// somebody who takes no connections, is the dispatcher: it has the shared name, is asked by
/// clients for every connection, and sends them to one seat after the other.
///
///     client ----- kAsk: who is next? ----> dispatcher    (shared name)
///            <---- kGo: seat 2 -----------
///            ----- kConnect -------------------------> member 2    (name of the seat)
///
///     dispatcher <--- a socket that ends with either of the two ---> member    (roll)
///
/// The dispatcher is whoever has the name of the roll. When it goes, the members see their sockets
/// end, and try to get that name: one does, and the others join it.
class Group final : public Watched {
 public:
  /// @param takes_connections whether it is a member
  Group(LocalFabric* fabric, Listener* listener, std::string name, int backlog,
        bool takes_connections);
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;
  Group(Group&&) = delete;
  Group& operator=(Group&&) = delete;
  ~Group() { Close(); }

  /// Takes a seat and begins to join.
  fabric::Failure Open();
  /// Whether clients can come.
  [[nodiscard]] bool joined() const { return joined_; }
  void Close();
  void OnReadable() override;

  /// Of the dispatcher: the seat that is to have the next connection; nothing when there is none.
  [[nodiscard]] std::optional<uint32_t> Next();

 private:
  /// Somebody who has joined; without a seat while it has said nothing, or if it takes nothing.
  struct Member {
    system::FileDescriptor socket;
    bool heard = false;
    std::optional<uint32_t> seat;
  };

  fabric::Failure TakeSeat();
  fabric::Failure Join();
  fabric::Failure JoinDispatcher();
  fabric::Failure BecomeDispatcher(system::FileDescriptor roll);
  fabric::Failure TryLater();
  void JoinAgain();
  bool Watch(const system::FileDescriptor& socket);
  void Drop(system::FileDescriptor* socket);
  void AcceptMembers();
  void HearMembers();
  bool Hear(Member* member);
  void HearDispatcher();

  LocalFabric* fabric_;
  Listener* listener_;
  std::string name_;
  int backlog_;
  bool takes_connections_;
  bool joined_ = false;
  bool closed_ = false;
  uint32_t seat_number_ = 0;
  system::FileDescriptor seat_;

  // Of the dispatcher.
  system::FileDescriptor roll_;
  system::FileDescriptor shared_;
  system::FileDescriptor mark_;
  std::vector<Member> members_;
  size_t turn_ = 0;

  // Of the others.
  system::FileDescriptor dispatcher_;
  /// How often in a row a dispatcher went without a word.
  uint32_t turned_away_ = 0;
  /// When to give up to find one; 0 while that is not looked for.
  uint64_t give_up_ms_ = 0;
};

}  // namespace rdma_net::local
