#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fabric/fabric.h"
#include "local/group.h"
#include "local/messages.h"
#include "local/watched.h"
#include "system/file_descriptor.h"

namespace rdma_net::local {

class Link;
class LocalFabric;

/// The names that a listener has among the programs of this host. Closing its sockets frees them.
class Listener final : public fabric::Listener, public Watched {
 public:
  Listener(LocalFabric* fabric, fabric::ListenerEvents* events, bool ipv6)
      : fabric_(fabric), events_(events), ipv6_(ipv6) {}
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  Listener(Listener&&) = delete;
  Listener& operator=(Listener&&) = delete;
  ~Listener() override;

  /// Takes the names, or a part in them; all or none.
  fabric::Failure Open(const std::vector<std::string>& names, const fabric::ListenOptions& options);
  void Release() override;
  void OnReadable() override;

  /// Expires with the listener.
  [[nodiscard]] std::weak_ptr<void> life() const { return life_; }

  /// Somebody wants to connect. Status::kOk when the owner has it, or what to refuse it with.
  fabric::Status OnRequest(Link* link, uint32_t peer_number, const ConnectionRequest& request);

  // Of its groups; both call back from the next Poll.

  void OnGroupJoined();
  void OnGroupLost(fabric::Failure failure);

 private:
  fabric::Failure OpenAlone(const std::string& name, int backlog);
  void Close();
  void TellIfListening();

  LocalFabric* fabric_;
  /// Null once released.
  fabric::ListenerEvents* events_;
  /// Whether addresses are shown as those of IPv6.
  bool ipv6_;
  bool takes_connections_ = true;
  bool told_ = false;
  std::vector<system::FileDescriptor> sockets_;
  /// One for each socket.
  std::vector<system::FileDescriptor> marks_;
  std::vector<std::unique_ptr<Group>> groups_;
  std::shared_ptr<void> life_ = std::make_shared<char>();
};

/// Takes links from all that wait at a listening socket, and that may.
/// @param group whose name the socket has, if it is shared
void AcceptLinks(LocalFabric* fabric, int socket, Listener* listener, Group* group);

/// Why a name cannot be had.
fabric::Failure FailureOfListen(int error);

}  // namespace rdma_net::local
