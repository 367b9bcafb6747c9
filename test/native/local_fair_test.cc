#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "local_host.h"
#include "stream/connection.h"
#include "tap.h"

/// Connections of one link that all have more to send than its queue can hold.
namespace {

using namespace rdma_net;
using simulation::LocalHost;
using simulation::NextAddress;
using stream::Connection;

constexpr size_t kConnections = 150;

/// So many clients that write as much as they can, in messages of a few bytes, and a server that
/// reads all of it.
class Flood final : public stream::ConnectionObserver, public fabric::ListenerEvents {
 public:
  Flood() {
    options_.send.ring_bytes = 2048;
    options_.send.large_message_bytes_max = 16;
    const fabric::Address address = NextAddress();
    fabric::Failure failure;
    listener_ = server_.fabric()->Listen(address, {}, this, &failure);
    const fabric::Target target = {.remote = address, .local_host = {}, .local_port = 0};
    for (size_t i = 0; i < kConnections; i++) {
      clients_.push_back(std::make_unique<Connection>(next_id_++, options_, this));
      clients_[i]->Start(client_.fabric()->Connect(target, clients_[i].get(), &failure));
    }
  }

  void Turn() {
    client_.Turn(1000);
    Hear();
    server_.Turn(200);
    Hear();
  }

  /// What the server has read since the last call: of whom it has least, and of whom most.
  std::pair<size_t, size_t> TakeSpread() {
    if (received_.empty()) return {};
    const auto [least, most] = std::minmax_element(received_.begin(), received_.end());
    const std::pair<size_t, size_t> spread = {*least, *most};
    std::fill(received_.begin(), received_.end(), size_t{0});
    return spread;
  }

  void OnNews(Connection* connection) override { news_.push_back(connection); }
  [[nodiscard]] uint64_t now_ms() const override { return client_.fabric()->now_ms(); }
  void OnListening() override {}
  void OnListenFailed(fabric::Failure) override {}
  void OnListenerReleased() override {}
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    servers_.push_back(std::make_unique<Connection>(next_id_++, options_, this));
    received_.push_back(0);
    servers_.back()->Accept(std::move(endpoint), data);
  }

 private:
  void Hear() {
    for (Connection* connection : std::exchange(news_, {})) {
      const uint32_t news = connection->TakeNews();
      if ((news & stream::kNewsResponse) != 0) connection->Establish();
      if ((news & (stream::kNewsResponse | stream::kNewsWritable)) != 0) Fill(connection);
      if ((news & stream::kNewsReadable) != 0) Read(connection);
    }
  }

  static void Fill(Connection* connection) {
    const std::array<std::byte, 1024> bytes{};
    size_t taken = bytes.size();
    while (taken == bytes.size()) connection->Write(bytes, false, &taken);
  }

  void Read(Connection* connection) {
    std::array<std::byte, 4096> bytes;
    for (size_t count = 1; count > 0;) {
      count = connection->Read(bytes);
      received_[connection->id() - kConnections] += count;
    }
  }

  stream::Options options_;
  LocalHost client_;
  LocalHost server_;
  uint32_t next_id_ = 0;
  std::unique_ptr<fabric::Listener> listener_;
  std::vector<std::unique_ptr<Connection>> clients_;
  std::vector<std::unique_ptr<Connection>> servers_;
  std::vector<size_t> received_;
  std::vector<Connection*> news_;
};

TEST("local: connections that want more than their link can carry get equal parts of it") {
  Flood flood;
  for (int turn = 0; turn < 300; turn++) flood.Turn();
  // The first ones had begun before the others were there.
  flood.TakeSpread();
  for (int turn = 0; turn < 1500; turn++) flood.Turn();
  const auto [least, most] = flood.TakeSpread();
  CHECK(least > 0);
  CHECK(most < 2 * least);
}

}  // namespace
