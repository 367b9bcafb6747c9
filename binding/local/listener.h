#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "fabric/fabric.h"
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

  /// Takes the names; all or none.
  fabric::Failure Open(const std::vector<std::string>& names, int backlog);
  void Release() override;
  void OnReadable() override;

  /// Somebody wants to connect. Status::kOk when the owner has it, or what to refuse it with.
  fabric::Status OnRequest(Link* link, uint32_t peer_number, const ConnectionRequest& request);

 private:
  void Close();

  LocalFabric* fabric_;
  /// Null once released.
  fabric::ListenerEvents* events_;
  /// Whether addresses are shown as those of IPv6.
  bool ipv6_;
  std::vector<system::FileDescriptor> sockets_;
};

}  // namespace rdma_net::local
