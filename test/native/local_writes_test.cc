#include <array>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "local_host.h"
#include "stream/connection.h"
#include "tap.h"

/// Writes whose bytes stay where they are until there is room in the queue of the link.
namespace {

using namespace rdma_net;
using simulation::LocalHost;
using simulation::NextAddress;
using stream::Connection;

constexpr size_t kConnections = 100;
/// What the queue of a link takes before a write has to wait.
constexpr size_t kWrites = 3584;

/// Connections of a client to a server over one link. Nobody reads.
class Connections final : public stream::ConnectionObserver, public fabric::ListenerEvents {
 public:
  Connections() {
    const fabric::Address address = NextAddress();
    fabric::Failure failure;
    listener_ = server_.fabric()->Listen(address, {}, this, &failure);
    const fabric::Target target = {.remote = address, .local_host = {}, .local_port = 0};
    for (size_t i = 0; i < kConnections; i++) {
      auto connection = Make();
      connection->Start(client_.fabric()->Connect(target, connection.get(), &failure));
      clients_.push_back(std::move(connection));
    }
    for (int turn = 0; turn < 20; turn++) {
      TurnClient();
      TurnServer();
    }
  }

  void TurnClient() { Turn(&client_); }
  void TurnServer() { Turn(&server_); }
  [[nodiscard]] Connection* client(size_t index) { return clients_[index].get(); }

  void OnNews(Connection* connection) override { news_.push_back(connection); }
  [[nodiscard]] uint64_t now_ms() const override { return client_.fabric()->now_ms(); }
  void OnListening() override {}
  void OnListenFailed(fabric::Failure) override {}
  void OnListenerReleased() override {}
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    servers_.push_back(Make());
    servers_.back()->Accept(std::move(endpoint), data);
  }

 private:
  std::unique_ptr<Connection> Make() {
    return std::make_unique<Connection>(next_id_++, stream::Options{}, this);
  }

  void Turn(LocalHost* host) {
    host->Turn(10'000);
    for (Connection* connection : std::exchange(news_, {})) {
      if ((connection->TakeNews() & stream::kNewsResponse) != 0) connection->Establish();
    }
  }

  LocalHost client_;
  LocalHost server_;
  uint32_t next_id_ = 0;
  std::unique_ptr<fabric::Listener> listener_;
  std::vector<std::unique_ptr<Connection>> clients_;
  std::vector<std::unique_ptr<Connection>> servers_;
  std::vector<Connection*> news_;
};

TEST("local: a write that had to wait is told of, although the next one is sent at once") {
  Connections connections;
  const std::array<std::byte, 10> few{};
  const auto bytes = std::make_shared<std::array<std::byte, 1000>>();
  size_t taken = 0;
  for (size_t n = 1; n < kWrites; n++) {
    connections.client(1 + n % (kConnections - 1))->Write(few, false, &taken);
  }
  // The last one is of the connection that is going to wait: nobody waits before it.
  Connection* connection = connections.client(0);
  connection->Write(few, false, &taken);
  CHECK(connection->WriteHeld(*bytes, bytes, &taken) == fabric::Status::kOk);
  CHECK(taken == bytes->size());
  CHECK(!connection->TakeSentAtOnce());
  CHECK(connection->TakeSentCount() == 0);
  // There is room in memory that both have, before the client has looked at anything.
  connections.TurnServer();
  CHECK(connection->WriteHeld(*bytes, bytes, &taken) == fabric::Status::kOk);
  CHECK(!connection->TakeSentAtOnce());
  CHECK(connection->TakeSentCount() == 2);
  // Without one before it, a write needs no word.
  CHECK(connection->WriteHeld(*bytes, bytes, &taken) == fabric::Status::kOk);
  CHECK(connection->TakeSentAtOnce());
  CHECK(connection->TakeSentCount() == 0);
}

}  // namespace
