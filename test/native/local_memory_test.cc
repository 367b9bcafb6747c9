#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "crowd.h"
#include "fabric/fabric.h"
#include "local_host.h"
#include "stream/connection.h"
#include "tap.h"

/// The limits of shared memory: who gets none for a new connection is told so, and those that have
/// a connection go on with what they have.
namespace {

using namespace rdma_net;
using fabric::Status;
using simulation::Crowd;
using simulation::LocalHost;
using simulation::NextAddress;
using stream::Connection;

constexpr uint32_t kTurns = 200;
constexpr uint32_t kTurnsMax = 20'000;

/// Streams from many clients to one server, all over one link. They stay open when all has arrived.
class Streams final : public stream::ConnectionObserver, public fabric::ListenerEvents {
 public:
  Streams(const LocalHost& client, const LocalHost& server, const fabric::Address& address,
          size_t count, const stream::Options& options, size_t bytes)
      : options_(options), bytes_(bytes), fabric_(client.fabric()) {
    fabric::Failure failure;
    listener_ = server.fabric()->Listen(address, {}, this, &failure);
    Connect(client, address, count);
  }

  void Connect(const LocalHost& client, const fabric::Address& address, size_t count) {
    for (size_t n = 0; n < count; n++) {
      Connection* connection = Add(true);
      fabric::Failure failure;
      auto endpoint = client.fabric()->Connect(
          {.remote = address, .local_host = {}, .local_port = 0}, connection, &failure);
      if (endpoint != nullptr) connection->Start(std::move(endpoint));
      clients_++;
    }
  }

  void Hear() {
    for (Connection* connection : std::exchange(news_, {})) {
      const uint32_t news = connection->TakeNews();
      Member& member = members_[connection->id()];
      if ((news & (stream::kNewsFailed | stream::kNewsConnectFailed)) != 0) right_ = false;
      if ((news & stream::kNewsClosed) != 0) closed_++;
      if ((news & stream::kNewsResponse) != 0) connection->Establish();
      const bool writes = (news & (stream::kNewsResponse | stream::kNewsWritable)) != 0;
      if (member.active && writes) Write(&member);
      if ((news & stream::kNewsReadable) != 0) Read(&member);
    }
  }

  void Reset() {
    for (Member& member : members_) member.connection->Reset();
  }

  [[nodiscard]] bool arrived() const { return received_ == clients_ * bytes_; }
  [[nodiscard]] bool right() const { return right_; }
  [[nodiscard]] bool closed() const { return closed_ == members_.size(); }

  void OnNews(Connection* connection) override { news_.push_back(connection); }
  [[nodiscard]] uint64_t now_ms() const override { return fabric_->now_ms(); }
  void OnListening() override {}
  void OnListenFailed(fabric::Failure) override {}
  void OnListenerReleased() override {}
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    Add(false)->Accept(std::move(endpoint), data);
  }

 private:
  struct Member {
    std::unique_ptr<Connection> connection;
    /// Bytes written or read.
    size_t position;
    bool active;
  };

  Connection* Add(bool active) {
    const auto id = static_cast<uint32_t>(members_.size());
    members_.push_back({std::make_unique<Connection>(id, options_, this), 0, active});
    return members_.back().connection.get();
  }

  static std::byte At(size_t position) { return static_cast<std::byte>(position % 251); }

  void Write(Member* member) {
    for (size_t taken = 1; taken > 0 && member->position < bytes_;) {
      std::vector<std::byte> part(std::min<size_t>(bytes_ - member->position, 64 << 10));
      for (size_t i = 0; i < part.size(); i++) part[i] = At(member->position + i);
      if (member->connection->Write(part, false, &taken) != Status::kOk) right_ = false;
      member->position += taken;
    }
  }

  void Read(Member* member) {
    std::vector<std::byte> part(64 << 10);
    for (size_t count = 1; count > 0;) {
      count = member->connection->Read(part);
      for (size_t i = 0; i < count; i++) right_ &= part[i] == At(member->position + i);
      member->position += count;
      received_ += count;
    }
  }

  stream::Options options_;
  size_t clients_ = 0;
  size_t bytes_;
  fabric::Fabric* fabric_;
  std::unique_ptr<fabric::Listener> listener_;
  std::vector<Member> members_;
  std::vector<Connection*> news_;
  size_t received_ = 0;
  size_t closed_ = 0;
  bool right_ = true;
};

/// The server is behind, so that what it has for the clients fills up.
template <typename Crowded, typename Done>
void Run(Crowded* crowd, LocalHost* client, LocalHost* server, uint32_t turns, const Done& done) {
  for (uint32_t turn = 0; turn < turns && !done(); turn++) {
    client->Turn(1000);
    if (turn % 4 == 0) server->Turn(1000);
    crowd->Hear();
  }
}

bool Empty(const LocalHost& host) {
  const fabric::FabricStats stats = host.fabric()->stats();
  return stats.pinned_bytes == 0 && stats.queue_pairs == 0;
}

constexpr auto kNever = [] { return false; };

/// So many streams want more memory than there is: all their bytes arrive, and as many again can
/// connect.
void CheckScarcity(tap::Test& t, const local::LocalFabric::Options& limits, size_t streams,
                   const stream::Options& options, size_t bytes) {
  LocalHost client;
  LocalHost server(limits);
  const fabric::Address address = NextAddress();
  Streams crowd(client, server, address, streams, options, bytes);
  Run(&crowd, &client, &server, kTurnsMax, [&crowd] { return crowd.arrived(); });
  CHECK(crowd.arrived() && crowd.right());
  // Those of before have given nothing back.
  const uint64_t held = server.fabric()->stats().pinned_bytes;
  crowd.Connect(client, address, streams);
  Run(&crowd, &client, &server, kTurnsMax, [&crowd] { return crowd.arrived(); });
  CHECK(crowd.arrived() && crowd.right());
  CHECK(server.fabric()->stats().pinned_bytes > held);
  crowd.Reset();
  Run(&crowd, &client, &server, kTurns, [&crowd] { return crowd.closed(); });
  CHECK(crowd.closed() && Empty(client) && Empty(server));
}

TEST("local: streams that grow leave memory of the limit to those that connect later") {
  stream::Options options;
  CheckScarcity(t, {.memory_bytes_max = 16 << 20}, 140, options, 50'000);
}

TEST("local: streams that grow leave memory of their link to those that connect later") {
  stream::Options options;
  options.receive.window_bytes = 8 << 20;
  options.receive.grown_bytes_max = 8 << 20;
  CheckScarcity(t, {}, 140, options, 300'000);
}

TEST("local: beyond the limit of memory of the listening side, the others are told of it") {
  LocalHost client;
  LocalHost server({.memory_bytes_max = 100'000});
  Crowd crowd(client.fabric(), server.fabric(), NextAddress(), 100, 1);
  Run(&crowd, &client, &server, kTurns, kNever);
  CHECK(crowd.echoed() > 0 && crowd.failed() > 0 && crowd.echoed() + crowd.failed() == 100);
  CHECK(crowd.failure() == Status::kPeerLimit);
  CHECK(server.fabric()->stats().pinned_bytes <= 100'000);
  crowd.CloseClients();
  Run(&crowd, &client, &server, kTurns, kNever);
  CHECK(Empty(client) && Empty(server));
}

TEST("local: beyond the limit of memory of the connecting side, its other connections fail") {
  LocalHost client({.memory_bytes_max = 100'000});
  LocalHost server;
  Crowd crowd(client.fabric(), server.fabric(), NextAddress(), 100, 1);
  Run(&crowd, &client, &server, kTurns, kNever);
  CHECK(crowd.echoed() > 0 && crowd.failed() > 0 && crowd.echoed() + crowd.failed() == 100);
  CHECK(crowd.failure() == Status::kPinnedLimit);
  CHECK(client.fabric()->stats().pinned_bytes <= 100'000);
  crowd.CloseClients();
  Run(&crowd, &client, &server, kTurns, kNever);
  CHECK(Empty(client) && Empty(server));
}

}  // namespace
