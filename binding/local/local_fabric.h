#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "fabric/fabric.h"
#include "local/link.h"
#include "local/listener.h"
#include "local/local_socket.h"
#include "local/routes.h"
#include "local/send_memory.h"
#include "system/clock.h"
#include "system/event_set.h"
#include "system/file_descriptor.h"

namespace rdma_net::local {

/// Connections between programs of one host, in one network namespace, through memory that they
/// share.
///
/// A program takes part in those of its own user, root like any other (SO_PEERCRED of unix(7),
/// checked on both sides). What arrives is copied out of the shared memory before the program sees
/// it, so that a peer cannot change it afterwards; everything else that a peer writes there is
/// looked at once, and checked.
class LocalFabric final : public fabric::Fabric {
 public:
  struct Options {
    /// Memory that peers write to, in bytes, of all links.
    uint64_t memory_bytes_max = std::numeric_limits<uint64_t>::max();
    uint32_t connections_max = std::numeric_limits<uint32_t>::max();
  };

  /// @return null with `failure` set when the descriptors of it cannot be had
  static std::unique_ptr<LocalFabric> Create(const Options& options, fabric::Failure* failure);
  LocalFabric(const LocalFabric&) = delete;
  LocalFabric& operator=(const LocalFabric&) = delete;
  LocalFabric(LocalFabric&&) = delete;
  LocalFabric& operator=(LocalFabric&&) = delete;
  ~LocalFabric() override;

  [[nodiscard]] int fd() const override { return events_.fd(); }
  bool Poll(uint32_t budget) override;
  bool Arm() override;
  bool PollArmed(uint32_t budget) override;
  /// Fails at once with kNoRoute when the target is not of this host, and with kConnectionRefused
  /// when nobody here listens there.
  std::unique_ptr<fabric::Endpoint> Connect(const fabric::Target& target,
                                            fabric::EndpointEvents* events,
                                            fabric::Failure* failure) override;
  std::unique_ptr<fabric::Listener> Listen(const fabric::Address& address,
                                           const fabric::ListenOptions& options,
                                           fabric::ListenerEvents* events,
                                           fabric::Failure* failure) override;
  [[nodiscard]] std::vector<std::string> NamesAt(const fabric::Address& address) override;
  [[nodiscard]] bool MayListen(const std::vector<std::string>& names) override;
  fabric::RegistrationRef Register(std::span<const std::byte> memory,
                                   std::function<void()> released) override;
  [[nodiscard]] bool posts_at_once() const override { return true; }
  bool Tidy() override;
  [[nodiscard]] uint64_t now_ms() const override { return system::NowMs(); }
  [[nodiscard]] bool open() const override { return true; }
  [[nodiscard]] std::string open_error() const override { return {}; }
  [[nodiscard]] fabric::FabricStats stats() const override;
  void Close() override;
  [[nodiscard]] bool closed() const override { return closed_; }

  // For links, endpoints and listeners.

  [[nodiscard]] system::EventSet* events() { return &events_; }
  /// Whether a user may be on the other side.
  [[nodiscard]] bool Trusts(uid_t user) const;
  /// Calls back from the next Poll.
  void Defer(std::function<void()> call);
  /// The same, unless the listener is closed before.
  void DeferFor(Listener* listener, std::function<void()> call);
  /// A link by a socket that a listener accepted.
  void AddLink(system::FileDescriptor socket, Listener* listener, Group* group);
  /// The link by the first of these names that somebody listens under; null with `failure` set.
  Link* FindLink(const std::vector<std::string>& names, fabric::Failure* failure);
  /// The link to a seat of the group whose name that link was found by; null when nobody is there.
  Link* FindSeat(const Link* shared, uint32_t seat);
  /// A link that leads to nobody is not taken for further connections.
  void Forget(const Link* link);
  /// A dead link goes once nobody can be inside of it.
  void Bury(Link* link);
  void ForgetListener(const Listener* listener);
  /// Takes the next connection that waits at a socket; invalid when there is none. When there is no
  /// descriptor left to take one, all that wait are closed: they would wait for ever, and have us
  /// look again and again.
  system::FileDescriptor Accept(int socket);
  [[nodiscard]] bool has_room_for_connection() const {
    return connections_ < options_.connections_max;
  }
  /// Whether a connection can have so many bytes.
  /// @param grows that has some already
  [[nodiscard]] bool HasMemory(size_t bytes, bool grows) const;
  [[nodiscard]] Routes* routes() { return &routes_; }
  [[nodiscard]] SendPool* send_pool() { return &send_pool_; }
  void AddConnection() { connections_++; }
  void RemoveConnection() { connections_--; }
  /// A port for the side of a connection that did not ask for a certain one: of those that TCP
  /// would take, and no other connection's here. 0 when there is none.
  uint16_t TakePort();
  void GivePort(uint16_t port) { ports_.erase(port); }

 private:
  /// A link that we opened, and how it was found.
  struct Way {
    /// Empty once it was forgotten.
    std::string name;
    Link* link;
  };

  explicit LocalFabric(const Options& options);
  [[nodiscard]] Link* KnownLink(const std::string& name) const;
  Link* OpenLink(const std::string& name, fabric::Failure* failure);
  void RunDeferred();
  void BuryDead();

  Options options_;
  system::EventSet events_;
  /// Rung to be polled.
  system::FileDescriptor bell_;
  /// Given up for a moment when no other descriptor is left.
  system::FileDescriptor spare_;
  std::vector<std::unique_ptr<Link>> links_;
  std::vector<Way> ways_;
  std::unordered_set<const Listener*> listeners_;
  Marks marks_;
  Routes routes_;
  SendPool send_pool_;
  std::vector<std::function<void()>> deferred_;
  std::unordered_set<uint16_t> ports_;
  uint16_t next_port_;
  size_t first_link_ = 0;
  size_t dead_links_ = 0;
  uint32_t connections_ = 0;
  uint64_t messages_ = 0;
  bool closing_ = false;
  bool closed_ = false;
};

}  // namespace rdma_net::local
