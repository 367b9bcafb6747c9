#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "seeds.h"
#include "sim/sim_fabric.h"
#include "stream/connection.h"
#include "tap.h"

/// Many connections at once, in one simulated process that talks to itself.
namespace {

using namespace rdma_net;
using fabric::Status;
using stream::Connection;

constexpr uint32_t kConnections = 10'000;
constexpr uint32_t kEchoBytes = 100;

/// Clients that send a few bytes each and wait for them to come back, and the server that sends
/// back whatever it gets. Nobody is looked at who has no news.
class Crowd final : public stream::ConnectionObserver, public fabric::ListenerEvents {
 public:
  explicit Crowd(uint64_t seed)
      : fabric_({.seed = seed, .shared_receives = 1000, .slab_bytes = 4096, .slabs_max = 100}) {
    fabric::Failure failure;
    listener_ = fabric_.Listen(kAddress, 1, this, &failure);
    for (uint32_t id = 0; id < kConnections; id++) {
      Member member = {.connection = std::make_unique<Connection>(id, kOptions, this)};
      auto endpoint = fabric_.Connect({.remote = kAddress, .local_host = {}, .local_port = 0},
                                      member.connection.get(), &failure);
      member.connection->Start(std::move(endpoint));
      members_.push_back(std::move(member));
    }
  }

  /// Runs until nothing happens any more.
  void Run() {
    while (fabric_.Poll(1) || !news_.empty()) {
      for (Connection* connection : std::exchange(news_, {})) Hear(connection);
    }
  }

  void CloseClients() {
    for (uint32_t id = 0; id < kConnections; id++) members_[id].connection->Close();
  }

  [[nodiscard]] uint32_t open() const { return open_; }
  [[nodiscard]] uint32_t echoed() const { return echoed_; }
  [[nodiscard]] uint32_t closed() const { return closed_; }
  [[nodiscard]] uint32_t failed() const { return failed_; }
  [[nodiscard]] sim::SimFabric& fabric() { return fabric_; }

  void OnNews(Connection* connection) override { news_.push_back(connection); }
  [[nodiscard]] uint64_t now_ms() const override { return fabric_.now_ms(); }
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
    const bool client = connection->id() < kConnections;
    const uint32_t news = connection->TakeNews();
    if ((news & (stream::kNewsFailed | stream::kNewsConnectFailed)) != 0) failed_++;
    if ((news & stream::kNewsClosed) != 0) closed_++;
    if ((news & stream::kNewsResponse) != 0 && connection->Establish().ok()) {
      open_++;
      const std::array<std::byte, kEchoBytes> bytes{};
      size_t taken = 0;
      connection->Write(bytes, false, &taken);
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

  const fabric::Address kAddress = {.host = "10.0.0.2", .port = 2, .ipv6 = false};
  const stream::Options kOptions;

  sim::SimFabric fabric_;
  std::unique_ptr<fabric::Listener> listener_;
  std::vector<Member> members_;
  std::vector<Connection*> news_;
  uint32_t open_ = 0;
  uint32_t echoed_ = 0;
  uint32_t closed_ = 0;
  uint32_t failed_ = 0;
};

TEST("crowd: 10,000 connections are open at once, all echo, and nothing is left of them") {
  seeds::Run(t, seeds::Count(), [&](uint64_t seed) -> std::string {
    Crowd crowd(seed);
    crowd.Run();
    if (crowd.open() != kConnections) return "not all connections opened";
    if (crowd.echoed() != kConnections) return "not all connections echoed";
    crowd.fabric().ReportSent();
    crowd.Run();
    const uint64_t pinned = crowd.fabric().stats().pinned_bytes / (2 * kConnections);
    if (pinned > uint64_t{16} * 1024) return "an idle connection pins " + std::to_string(pinned);
    crowd.CloseClients();
    crowd.Run();
    if (crowd.failed() != 0) return "connections failed";
    if (crowd.closed() != 2 * kConnections || !crowd.fabric().closed()) return "not all closed";
    if (crowd.fabric().memory().regions() != 0) return "memory was left registered";
    for (const std::string& error : crowd.fabric().errors()) return error;
    return {};
  });
}

}  // namespace
