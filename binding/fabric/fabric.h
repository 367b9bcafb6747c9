#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fabric/memory.h"
#include "fabric/status.h"

/// The interface between the stream engine and whatever moves its bytes: verbs, shared memory of
/// the same host, or the simulation. The engine calls down, events come up, and everything of one
/// Fabric happens on one thread.
///
///     stream::Connection  --Connect, Post, Allocate-->  fabric::Endpoint
///     stream::Connection  <--EndpointEvents-----------  fabric::Endpoint
///     loop::Pump          --fd, Poll, Arm------------>  fabric::Fabric
namespace rdma_net::fabric {

/// Bytes of connection data ("private data") that a request can carry (port space TCP of the RDMA
/// CM: 92 of the IB CM REQ less the 36 of the CMA header) and a response.
inline constexpr size_t kRequestDataBytesMax = 56;
inline constexpr size_t kResponseDataBytesMax = 196;

/// Who may touch a region besides this process's CPU.
enum class Access { kSend, kRemoteWrite };

/// A view of registered memory. The endpoint that allocated it stays the owner; the view is dead
/// after Free, and in any case once the endpoint has reported OnReleased.
struct Region {
  std::byte* data = nullptr;
  size_t bytes = 0;
  uint32_t local_key = 0;
  uint32_t remote_key = 0;

  [[nodiscard]] uint64_t address() const { return reinterpret_cast<uint64_t>(data); }
  [[nodiscard]] bool empty() const { return bytes == 0; }
};

/// One piece of local memory in a request; local_key is ignored for inline requests.
struct Segment {
  const std::byte* data = nullptr;
  uint32_t bytes = 0;
  uint32_t local_key = 0;
};

/// An RDMA write with immediate, which is a message. Zero bytes in all is a message without data.
struct WriteRequest {
  /// Comes back in OnSent, in the order of posting.
  uint64_t token = 0;
  /// Those of 0 bytes are skipped.
  std::array<Segment, 2> segments;
  /// Address and key of the peer's memory; ignored when there are no bytes.
  uint64_t remote_address = 0;
  uint32_t remote_key = 0;
  /// In host order.
  uint32_t immediate = 0;
  /// Without: nobody hears of it at the peer, whose device answers by itself, even if the program
  /// does not take its messages.
  bool message = true;
  /// The bytes are taken before Ring returns; at most inline_bytes_max() of them.
  bool place_inline = false;
};

/// Where a connection ends, as net shows it.
struct Address {
  std::string host;
  uint16_t port = 0;
  bool ipv6 = false;
};

/// What is known about the hardware side of a connection.
struct EndpointInfo {
  std::string device;
  uint32_t device_port = 0;
  std::string local_gid;
  std::string remote_gid;
  uint32_t queue_pair_number = 0;
  uint32_t remote_queue_pair_number = 0;
  uint32_t mtu_bytes = 0;
};

/// How far the active side of a handshake got, and when: microseconds of a clock that never goes
/// back. 0 for what has not been reached, and where a fabric has no such steps.
struct HandshakeTimes {
  /// Everything is open, and the address is being resolved.
  uint64_t begun_us = 0;
  uint64_t address_us = 0;
  uint64_t route_us = 0;
  /// The device has a queue pair: what follows is the request.
  uint64_t device_us = 0;
  uint64_t answer_us = 0;
};

/// What happens to an endpoint; implemented by stream::Connection. None is called from inside a
/// call of Endpoint, all come from Fabric::Poll.
class EndpointEvents {
 public:
  /// Active side: a device was found and made ready, memory can be allocated; Connect comes next.
  virtual void OnRouted() = 0;
  /// Active side: the peer accepted, with its connection data; Establish or Release comes next.
  virtual void OnResponse(std::span<const std::byte> data) = 0;
  /// Passive side: the active side completed the handshake.
  virtual void OnEstablished() = 0;
  /// The handshake failed, or was refused.
  virtual void OnConnectFailed(Failure failure) = 0;
  /// A message arrived: `bytes` were written to our memory before.
  virtual void OnMessage(uint32_t immediate, uint32_t bytes) = 0;
  /// Something arrived that is no message: not a write with immediate.
  virtual void OnStray() = 0;
  /// A posted request is complete; its memory is no longer needed.
  virtual void OnSent(uint64_t token) = 0;
  /// There is room again, after Endpoint::TakeRoom has said no.
  virtual void OnRoom() = 0;
  /// A request failed, or the device did: nothing can be sent or received any more.
  virtual void OnBroken(Failure failure) = 0;
  /// The peer disconnected. All its messages have been delivered before.
  virtual void OnDisconnected() = 0;
  /// After Release: no event follows, no memory is touched any more.
  virtual void OnReleased() = 0;

 protected:
  ~EndpointEvents() = default;
};

/// One end of a connection: a queue pair, what manages it, and its memory.
class Endpoint {
 public:
  virtual ~Endpoint() = default;

  /// Who hears of this endpoint; set once, by whoever takes it over.
  virtual void Attach(EndpointEvents* events) = 0;

  /// Active side, after OnRouted: sends the request. OnResponse or OnConnectFailed follows.
  virtual Failure Connect(std::span<const std::byte> data) = 0;
  /// Active side, after OnResponse: completes the handshake; data may flow on return.
  virtual Failure Establish() = 0;
  /// Passive side: answers the request; OnEstablished or OnConnectFailed follows.
  virtual Failure Accept(std::span<const std::byte> data) = 0;

  /// A request, as Expose and Revoke make them too; it may wait for Ring.
  virtual Failure Post(const WriteRequest& request) = 0;
  /// Whether Post gives the bytes to the peer before it returns: then nothing is ever under way,
  /// memory needs no key to be sent from, and OnSent never comes. The same for all of its life.
  [[nodiscard]] virtual bool posts_at_once() const { return false; }
  /// Whether one more request can be posted; if not, OnRoom follows. Only where posts_at_once():
  /// others can take send_requests_max().
  [[nodiscard]] virtual bool TakeRoom() { return true; }
  /// Sends on their way what was posted, all of it at once where the device can.
  virtual Failure Ring() = 0;
  /// Asks that fd() becomes readable once the requests posted so far are complete; without it their
  /// completions are reported by whichever Poll comes next, and wake nobody. (That one has failed
  /// is still found out, some time later.) It holds until the next OnSent.
  virtual void AwaitSent() = 0;

  /// Zeroed, page-aligned memory of this endpoint alone. Its cost is that of a registration: not
  /// for the data path, but for Access::kSend, which comes from a pool.
  virtual Failure Allocate(size_t bytes, Access access, Region* region) = 0;
  /// Gives a region back before the end of the endpoint; no request may be using it.
  virtual void Free(const Region& region) = 0;

  /// Whether the peer's access to a slab can be ended: without it no slab may be exposed, and
  /// Expose fails.
  [[nodiscard]] virtual bool can_revoke() const = 0;
  /// Whether TakeSlab would give one now; if not, the pool tries to grow.
  [[nodiscard]] virtual bool has_slab(SlabSize size) const = 0;
  /// A slab of the pool of this endpoint's device. Empty when none is free: the pool then grows
  /// beside, as far as its limit allows, and it may be asked again later.
  virtual SlabRef TakeSlab(SlabSize size) = 0;
  /// Lets the peer, and nobody else, write to the slab under the key that is returned. Holds for
  /// requests posted from now on: announce the key by one of those. The slab must not be exposed
  /// already, and must be kept until it was revoked or OnReleased has come.
  virtual Failure Expose(Slab* slab, uint32_t* remote_key) = 0;
  /// Ends the peer's access to an exposed slab. OnSent(token) says, in its turn, when nothing of
  /// the peer's can reach the memory any more. After OnReleased nothing is exposed either.
  virtual Failure Revoke(Slab* slab, uint64_t token) = 0;

  /// The slab of this endpoint's device that holds all of these bytes, wherever they came from
  /// (they may be sent from it in place); empty if there is none.
  [[nodiscard]] virtual SlabRef FindSlab(std::span<const std::byte> bytes) const = 0;
  /// The key for sending from a registration over this endpoint; nothing while it is not ready, or
  /// when it has failed.
  [[nodiscard]] virtual std::optional<uint32_t> LocalKey(
      const Registration& registration) const = 0;

  /// Lends up to `count` receive requests beyond receive_requests(), of those that all connections
  /// share; returns how many. They go back with the end of the endpoint.
  virtual uint32_t TakeCredits(uint32_t count) = 0;

  /// Ends the traffic at once, in both directions, and lets the peer see a disconnect. The memory
  /// stays. No event but OnReleased follows.
  virtual void Abort() = 0;

  /// Ends everything, from any state. The peer sees a disconnect, without another word if none
  /// was sent. OnReleased follows, and then the endpoint may be destroyed, not earlier.
  virtual void Release() = 0;

  /// Requests that may be posted and not yet reported by OnSent. Revoke counts as one; Expose does
  /// too, until OnSent has come for the request posted next.
  [[nodiscard]] virtual uint32_t send_requests_max() const = 0;
  /// Messages the peer may send without a word from us (credits), not counting kControlMessages.
  [[nodiscard]] virtual uint32_t receive_requests() const = 0;
  [[nodiscard]] virtual uint32_t inline_bytes_max() const = 0;

  [[nodiscard]] virtual Address local_address() const = 0;
  [[nodiscard]] virtual Address remote_address() const = 0;
  [[nodiscard]] virtual EndpointInfo info() const = 0;
  /// In any state, also after Release.
  [[nodiscard]] virtual HandshakeTimes handshake() const { return {}; }
};

/// Whether a listener has its address and port to itself.
enum class Sharing : uint8_t {
  kAlone = 0,
  /// Others of that kind may listen there too, in other processes, and connections go to one after
  /// the other of them.
  kMember = 1,
  /// Gets none of these connections, but may be who sends them to the members.
  kDispatcher = 2,
};

struct ListenOptions {
  /// Requests that may wait, 1 to 65535.
  int backlog = 1;
  /// Of a listener on ::, that it does not stand for addresses of IPv4.
  bool ipv6_only = false;
  /// A fabric that cannot share takes every listener for one that is alone.
  Sharing sharing = Sharing::kAlone;
};

/// What happens to a listener.
class ListenerEvents {
 public:
  virtual void OnListening() = 0;
  virtual void OnListenFailed(Failure failure) = 0;
  /// A connection request with its data; Attach, then Allocate and Accept, or Release (which
  /// rejects it).
  virtual void OnRequest(std::unique_ptr<Endpoint> endpoint, std::span<const std::byte> data) = 0;
  /// After Release.
  virtual void OnListenerReleased() = 0;

 protected:
  ~ListenerEvents() = default;
};

class Listener {
 public:
  virtual ~Listener() = default;
  /// Stops listening; OnListenerReleased follows, and then it may be destroyed.
  virtual void Release() = 0;
};

/// Where to connect to, all numeric. An empty local host and a local port of 0 mean any.
struct Target {
  Address remote;
  std::string local_host;
  uint16_t local_port = 0;
};

struct FabricStats {
  /// Registered memory of every kind.
  uint64_t pinned_bytes = 0;
  /// Of these, slabs: all of the pools, and those in use.
  uint64_t slab_bytes = 0;
  uint64_t slab_bytes_used = 0;
  /// Registrations of memory that is not the fabric's, made so far, and those there are now.
  uint64_t registrations_made = 0;
  uint32_t registrations = 0;
  uint64_t completions = 0;
  uint32_t queue_pairs = 0;
};

class Fabric {
 public:
  virtual ~Fabric() = default;

  /// Readable when Poll may find something, once armed. Valid for the life of the fabric.
  [[nodiscard]] virtual int fd() const = 0;
  /// Delivers up to about `budget` events; true if it stopped for the budget.
  virtual bool Poll(uint32_t budget) = 0;
  /// Asks for fd() to become readable. True when something was not armed before: what came in
  /// between is not announced, so PollArmed must look for it.
  virtual bool Arm() = 0;
  /// As Poll, for what Arm may have missed, and nothing else.
  virtual bool PollArmed(uint32_t budget) = 0;

  /// Starts finding a way; OnRouted or OnConnectFailed follows. Null with `failure` set when that
  /// is known at once (an address that is not numeric, say).
  virtual std::unique_ptr<Endpoint> Connect(const Target& target, EndpointEvents* events,
                                            Failure* failure) = 0;
  virtual std::unique_ptr<Listener> Listen(const Address& address, const ListenOptions& options,
                                           ListenerEvents* events, Failure* failure) = 0;

  /// The names under which somebody on this host would listen at an address; none where it is not
  /// of this host, and where the fabric leads to others.
  [[nodiscard]] virtual std::vector<std::string> NamesAt(const Address&) { return {}; }
  /// Whether somebody may listen under one of these names: if not, Connect would refuse.
  [[nodiscard]] virtual bool MayListen(const std::vector<std::string>&) { return true; }

  /// Registers memory of the caller for sending, on every device that is open; the endpoints say
  /// with LocalKey whether it is ready. Never blocks. `released` is called from Poll once nothing
  /// is registered any more, which is some time after the last reference is gone; until then, and
  /// that includes the end of the fabric, the memory must not be freed or given to others.
  virtual RegistrationRef Register(std::span<const std::byte> memory,
                                   std::function<void()> released) = 0;

  /// What Endpoint::posts_at_once says of all of its endpoints.
  [[nodiscard]] virtual bool posts_at_once() const { return false; }

  /// Lets go of what has not been needed for some seconds. True while there is something left to
  /// look after, and then it should be called again in a second or so.
  virtual bool Tidy() = 0;

  /// Milliseconds of a clock that never goes back; the simulation has its own.
  [[nodiscard]] virtual uint64_t now_ms() const = 0;

  /// Whether what is opened only once has been opened, so that connecting takes no longer than the
  /// network does.
  [[nodiscard]] virtual bool open() const = 0;
  /// Text of why libraries or devices could not be opened; empty if they could.
  [[nodiscard]] virtual std::string open_error() const = 0;
  [[nodiscard]] virtual FabricStats stats() const = 0;

  /// Begins the end, after every endpoint and listener was released; closed() says when it came.
  virtual void Close() = 0;
  [[nodiscard]] virtual bool closed() const = 0;
};

}  // namespace rdma_net::fabric
