#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "fabric/fabric.h"
#include "stream/connection.h"

namespace simulation {

using namespace rdma_net;
using stream::Connection;

/// What each client of a crowd sends.
constexpr uint32_t kEchoBytes = 100;

/// Clients that send a few bytes each and wait for them to come back, and the server that sends
/// back whatever it gets. Nobody is looked at who has no news.
class Crowd final : public stream::ConnectionObserver, public fabric::ListenerEvents {
 public:
  /// @param writes that each client makes, of a few bytes each
  Crowd(fabric::Fabric* client, fabric::Fabric* server, const fabric::Address& address,
        uint32_t connections, uint32_t writes)
      : fabric_(client), clients_(connections), writes_(writes) {
    fabric::Failure failure;
    listener_ = server->Listen(address, {}, this, &failure);
    for (uint32_t id = 0; id < clients_; id++) {
      Member member = {.connection = std::make_unique<Connection>(id, kOptions, this)};
      auto endpoint = client->Connect({.remote = address, .local_host = {}, .local_port = 0},
                                      member.connection.get(), &failure);
      if (endpoint != nullptr) member.connection->Start(std::move(endpoint));
      members_.push_back(std::move(member));
    }
  }

  /// Takes all news; false when there were none.
  bool Hear() {
    const std::vector<Connection*> heard = std::exchange(news_, {});
    for (Connection* connection : heard) Hear(connection);
    return !heard.empty();
  }

  void CloseClients() {
    for (uint32_t id = 0; id < clients_; id++) members_[id].connection->Close();
  }
  void ReleaseListener() { listener_->Release(); }

  [[nodiscard]] uint32_t open() const { return open_; }
  [[nodiscard]] uint32_t echoed() const { return echoed_; }
  [[nodiscard]] uint32_t closed() const { return closed_; }
  [[nodiscard]] uint32_t failed() const { return failed_; }
  /// Of the last that failed.
  [[nodiscard]] fabric::Status failure() const { return failure_; }

  void OnNews(Connection* connection) override { news_.push_back(connection); }
  [[nodiscard]] uint64_t now_ms() const override { return fabric_->now_ms(); }
  void OnListening() override {}
  void OnListenFailed(fabric::Failure) override {}
  void OnListenerReleased() override {}
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    const auto id = static_cast<uint32_t>(members_.size());
    members_.push_back({.connection = std::make_unique<Connection>(id, kOptions, this)});
    members_.back().connection->Accept(std::move(endpoint), data);
  }

 private:
  struct Member {
    std::unique_ptr<Connection> connection;
    uint32_t received = 0;
  };

  void Hear(Connection* connection) {
    Member& member = members_[connection->id()];
    const bool client = connection->id() < clients_;
    const uint32_t news = connection->TakeNews();
    if ((news & (stream::kNewsFailed | stream::kNewsConnectFailed)) != 0) {
      failed_++;
      failure_ = connection->failure().status;
    }
    if ((news & stream::kNewsClosed) != 0) closed_++;
    if ((news & stream::kNewsResponse) != 0 && connection->Establish().ok()) {
      open_++;
      const std::vector<std::byte> bytes(kEchoBytes / writes_);
      size_t taken = 0;
      for (uint32_t n = 0; n < writes_; n++) connection->Write(bytes, false, &taken);
    }
    if ((news & stream::kNewsReadable) != 0) Receive(&member, client);
    if ((news & stream::kNewsEnd) != 0) connection->Close();
  }

  void Receive(Member* member, bool client) {
    std::array<std::byte, kEchoBytes> bytes;
    const size_t count = member->connection->Read(bytes);
    member->received += static_cast<uint32_t>(count);
    size_t taken = 0;
    if (client && member->received == kEchoBytes) echoed_++;
    if (!client) member->connection->Write(std::span(bytes).first(count), false, &taken);
  }

  const stream::Options kOptions;

  fabric::Fabric* fabric_;
  uint32_t clients_;
  uint32_t writes_;
  std::unique_ptr<fabric::Listener> listener_;
  std::vector<Member> members_;
  std::vector<Connection*> news_;
  uint32_t open_ = 0;
  uint32_t echoed_ = 0;
  uint32_t closed_ = 0;
  uint32_t failed_ = 0;
  fabric::Status failure_ = fabric::Status::kOk;
};

}  // namespace simulation
