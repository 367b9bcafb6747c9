#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "fabric/fabric.h"
#include "local/inbox.h"
#include "local/local_socket.h"
#include "local/messages.h"
#include "local/watched.h"
#include "system/file_descriptor.h"

namespace rdma_net::local {

class Endpoint;
class Group;
class Listener;
class LocalFabric;

/// What two environments share that have connections with one another by way of one listener: an
/// inbox each, and a socket that tells when the other is gone. Its connections share the queues, as
/// those of a device share its completion queue, so that a wake-up serves all that have something.
///
///     connect the socket --> greetings cross --> open --> the socket ends --> dead
///                                                           or the peer breaks a rule
class Link final : public Watched {
 public:
  /// @param listener that accepted it, or null on the side that connected
  /// @param group whose name it was that the other side connected to, if the listener shares it
  Link(LocalFabric* fabric, system::FileDescriptor socket, Listener* listener, Group* group);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  Link(Link&&) = delete;
  Link& operator=(Link&&) = delete;
  ~Link();

  /// Begins the greeting. A failure means that the system has no room for it.
  fabric::Failure Open();
  [[nodiscard]] bool open() const { return state_ == State::kOpen; }
  [[nodiscard]] bool dead() const { return state_ == State::kDead; }
  [[nodiscard]] bool active() const { return active_; }
  /// Whether the other side has to be asked who will have a connection.
  [[nodiscard]] bool asks_first() const { return asks_first_; }
  /// Nobody uses it.
  [[nodiscard]] bool idle() const { return ends_in_use_ == 0; }
  void OnReadable() override;
  /// The listener is no more: from now on requests are refused.
  void ForgetListener(const Listener* listener);

  /// Handles up to `budget` messages; returns how many.
  uint32_t Poll(uint32_t budget);
  /// Asks to be rung for the next message; false when that was asked for already.
  bool Sleep();
  void WakeUp();
  void Kill(fabric::Failure failure);

  // Ends of connections.

  /// A number for the end of a connection, which tells the endpoint what arrives for it.
  uint32_t AddEnd(Endpoint* endpoint);
  /// The endpoint has gone, or will say nothing any more; the peer hears of it. The number and the
  /// memory stay until the peer has said the same.
  void CloseEnd(uint32_t number);
  /// Nobody is to hear of it any more.
  void ForgetEndpoint(uint32_t number);
  /// Which number the peer gave to the other end.
  void SetPeer(uint32_t number, uint32_t peer_number);
  /// The peer will never refer to this end.
  void DropEnd(uint32_t number);

  [[nodiscard]] bool has_memory(uint32_t number) const { return !ends_[number].memory.empty(); }
  /// Memory for the peer to write to; empty when there is none.
  std::span<std::byte> Allocate(uint32_t number, size_t bytes);
  void Free(uint32_t number, const std::byte* data);
  [[nodiscard]] size_t used_bytes() const { return inbox_.arena().used_bytes(); }
  /// Looks after a link that nobody uses: an active one ends after some seconds, for the next
  /// connection opens another, and one that stays gives back the pages that were used. True while
  /// there is something left to do.
  bool Tidy(uint64_t now_ms);

  // Sending.

  /// A message that is not data; there is always room.
  void Say(MessageKind kind, uint32_t to, uint32_t value, std::span<const std::byte> payload);
  /// The same to the other end of a connection whose number is known.
  void SayToPeer(uint32_t number, MessageKind kind, uint32_t value,
                 std::span<const std::byte> payload);
  /// Whether an end can send a data message now; if not, its endpoint will hear of it. Who asks
  /// while others wait comes after them.
  [[nodiscard]] bool TakeRoom(uint32_t number);
  /// Writes to the memory of the peer's end and announces it; the peer may have to be rung.
  fabric::Failure Write(uint32_t number, const fabric::WriteRequest& request);
  /// Wakes the peer if it sleeps, and was sent anything since the last call.
  void Ring();

 private:
  enum class State : uint8_t { kGreeting, kOpen, kDead };

  /// The end of a connection here.
  struct End {
    Endpoint* endpoint = nullptr;
    bool in_use = false;
    bool has_peer = false;
    bool said_end = false;
    bool heard_end = false;
    bool wants_room = false;
    uint32_t peer_number = 0;
    std::vector<std::span<std::byte>> memory;
  };

  void Greet();
  void OnGreeting(const Greeting& greeting, system::FileDescriptor memory,
                  system::FileDescriptor doorbell);
  /// False when the peer broke a rule.
  bool Handle(const MessageHeader& header, std::span<const std::byte> payload);
  bool OnConnect(const MessageHeader& header, std::span<const std::byte> payload);
  bool OnAsk(const MessageHeader& header);
  bool OnEnd(End* end);
  [[nodiscard]] End* Find(uint32_t number);
  void FreeIfDone(uint32_t number);
  void FreeEnd(uint32_t number);
  void FlushBacklog();
  void OfferRoom();
  [[nodiscard]] bool has_room();
  /// If there is none, the peer rings when there is.
  [[nodiscard]] bool HasOrAwaitsRoom();

  LocalFabric* fabric_;
  system::FileDescriptor socket_;
  Listener* listener_;
  /// Null also when the listener is no more.
  Group* group_;
  bool shared_;
  bool active_;
  bool asks_first_ = false;
  State state_ = State::kGreeting;
  Inbox inbox_;
  PeerInbox peer_;
  /// What did not fit into the peer's queue, in order; data waits behind it.
  std::deque<std::vector<Cell>> backlog_;
  /// Ends that wait for room, in the order in which they asked, and the one whose turn it is. As
  /// long as there are any, the peer has been asked to ring.
  std::deque<uint32_t> waiting_;
  std::optional<uint32_t> served_;
  bool sleeping_ = false;
  bool unrung_ = false;
  std::vector<End> ends_;
  std::vector<uint32_t> free_ends_;
  uint32_t ends_in_use_ = 0;
  /// Ends whose endpoint is there.
  uint32_t endpoints_ = 0;
  /// As Tidy has found it; 0 while somebody uses it.
  uint64_t idle_since_ms_ = 0;
};

}  // namespace rdma_net::local
