#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "local_host.h"
#include "stream/connection.h"

namespace simulation {

using stream::Connection;

/// Connections of a client to a server, all over one link. They are established when there is news
/// of that; what else is done is up to who derives.
class OneLink : public stream::ConnectionObserver, public fabric::ListenerEvents {
 public:
  explicit OneLink(size_t connections, const stream::Options& options = {}) : options_(options) {
    const fabric::Address address = NextAddress();
    fabric::Failure failure;
    listener_ = server_.fabric()->Listen(address, {}, this, &failure);
    const fabric::Target target = {.remote = address, .local_host = {}, .local_port = 0};
    for (size_t i = 0; i < connections; i++) {
      clients_.push_back(Make());
      Connection* connection = clients_.back().get();
      connection->Start(client_.fabric()->Connect(target, connection, &failure));
    }
  }

  /// @param budget how much of what has come is looked at
  void TurnClient(uint32_t budget) { Turn(&client_, budget); }
  void TurnServer(uint32_t budget) { Turn(&server_, budget); }
  /// In the order in which they were made, and with their index for an id.
  [[nodiscard]] Connection* client(size_t index) { return clients_[index].get(); }

  void OnNews(Connection* connection) override { news_.push_back(connection); }
  [[nodiscard]] uint64_t now_ms() const override { return client_.fabric()->now_ms(); }
  void OnListening() override {}
  void OnListenFailed(fabric::Failure) override {}
  void OnListenerReleased() override {}
  /// The ids of the server's are behind those of the clients.
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    servers_.push_back(Make());
    servers_.back()->Accept(std::move(endpoint), data);
  }

 protected:
  /// After a connection has been established, if that was among its news.
  virtual void Hear(Connection* /*connection*/, uint32_t /*news*/) {}

 private:
  std::unique_ptr<Connection> Make() {
    return std::make_unique<Connection>(next_id_++, options_, this);
  }

  void Turn(LocalHost* host, uint32_t budget) {
    host->Turn(budget);
    for (Connection* connection : std::exchange(news_, {})) {
      const uint32_t news = connection->TakeNews();
      if ((news & stream::kNewsResponse) != 0) connection->Establish();
      Hear(connection, news);
    }
  }

  const stream::Options options_;
  LocalHost client_;
  LocalHost server_;
  uint32_t next_id_ = 0;
  std::unique_ptr<fabric::Listener> listener_;
  std::vector<std::unique_ptr<Connection>> clients_;
  std::vector<std::unique_ptr<Connection>> servers_;
  std::vector<Connection*> news_;
};

}  // namespace simulation
