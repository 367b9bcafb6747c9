#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fabric/fabric.h"
#include "local/messages.h"
#include "local/send_memory.h"

namespace rdma_net::local {

class Link;
class LocalFabric;

/// One end of a connection over a link. What it posts is written to the peer's memory at once.
///
///     active:   kWaiting --> kConnecting --> kAnswered --> kOpen --> kEnded
///               |  ^
///               v  | another link, or the same one
///               kAsking
///     passive:               kRequested ---> kAccepting -> kOpen --> kEnded
class Endpoint final : public fabric::Endpoint {
 public:
  /// The active side.
  /// @param names by which the link was found
  Endpoint(LocalFabric* fabric, Link* link, std::vector<std::string> names,
           fabric::EndpointEvents* events, const ConnectionRequest& request, bool shown_as_ipv6);
  /// The passive side, by a request whose addresses are those to be shown.
  Endpoint(LocalFabric* fabric, Link* link, uint32_t peer_number, const ConnectionRequest& request,
           bool shown_as_ipv6);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;
  Endpoint(Endpoint&&) = delete;
  Endpoint& operator=(Endpoint&&) = delete;
  ~Endpoint() override;

  void Attach(fabric::EndpointEvents* events) override { events_ = events; }
  fabric::Failure Connect(std::span<const std::byte> data) override;
  fabric::Failure Establish() override;
  fabric::Failure Accept(std::span<const std::byte> data) override;
  fabric::Failure Post(const fabric::WriteRequest& request) override;
  [[nodiscard]] bool posts_at_once() const override;
  fabric::Failure Ring() override;
  void AwaitSent() override {}
  [[nodiscard]] bool TakeRoom() override;
  fabric::Failure Allocate(size_t bytes, fabric::Access access, fabric::Region* region) override;
  void Free(const fabric::Region& region) override;
  // Memory that is shared cannot be taken back from the peer: what arrives is copied.
  [[nodiscard]] bool can_revoke() const override { return false; }
  [[nodiscard]] bool has_slab(fabric::SlabSize) const override { return false; }
  fabric::SlabRef TakeSlab(fabric::SlabSize) override { return {}; }
  fabric::Failure Expose(fabric::Slab* slab, uint32_t* remote_key) override;
  fabric::Failure Revoke(fabric::Slab* slab, uint64_t token) override;
  [[nodiscard]] fabric::SlabRef FindSlab(std::span<const std::byte>) const override { return {}; }
  [[nodiscard]] std::optional<uint32_t> LocalKey(const fabric::Registration&) const override {
    return std::nullopt;
  }
  uint32_t TakeCredits(uint32_t count) override;
  void Abort() override;
  void Release() override;
  [[nodiscard]] uint32_t send_requests_max() const override;
  [[nodiscard]] uint32_t receive_requests() const override;
  [[nodiscard]] uint32_t inline_bytes_max() const override { return 0; }
  [[nodiscard]] fabric::Address local_address() const override;
  [[nodiscard]] fabric::Address remote_address() const override;
  [[nodiscard]] fabric::EndpointInfo info() const override;

  // What the link has for it; those that return a bool return false when the peer broke a rule.

  void OnLinkOpen();
  /// Who is to have the connection.
  bool OnGo(uint32_t seat);
  bool OnAccept(std::span<const std::byte> payload);
  void OnReject(fabric::Status status);
  bool OnEstablished();
  void OnData(uint32_t immediate, uint32_t bytes);
  void OnRoom();
  void OnPeerEnded();
  void OnLinkLost(fabric::Failure failure);

 private:
  enum class Phase : uint8_t {
    kWaiting,
    kAsking,
    kConnecting,
    kAnswered,
    kRequested,
    kAccepting,
    kOpen,
    kEnded
  };

  void Fail(fabric::Failure failure);
  /// Asks who is to have the connection; fails when that was asked too often.
  void Ask();
  void Route();
  void MoveTo(Link* link);
  /// Looks for whoever listens there by now, since the one that was asked is gone.
  void StartOver();
  void FindOther();
  /// Ends our side of it, as far as it has one.
  void End();

  LocalFabric* fabric_;
  /// Null once it is over.
  Link* link_;
  fabric::EndpointEvents* events_;
  uint32_t number_ = 0;
  uint32_t peer_number_ = 0;
  Phase phase_;
  /// What a request is rejected with.
  fabric::Status rejection_ = fabric::Status::kConnectionRejected;
  std::vector<std::string> names_;
  uint32_t asked_ = 0;
  bool starting_over_ = false;
  bool quiet_ = false;
  bool released_ = false;
  bool shown_as_ipv6_ = false;
  /// Port that we gave to the other side; 0 for none.
  uint16_t given_port_ = 0;
  sockaddr_storage local_{};
  sockaddr_storage remote_{};
  std::vector<SendMemory> send_memory_;
  /// Expires with the endpoint.
  std::shared_ptr<Endpoint*> self_ = std::make_shared<Endpoint*>(this);
};

}  // namespace rdma_net::local
