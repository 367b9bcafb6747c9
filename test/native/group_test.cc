#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "local/local_socket.h"
#include "local/messages.h"
#include "local/rendezvous.h"
#include "local_host.h"
#include "raw_peer.h"
#include "stream/connection.h"
#include "tap.h"

/// Listeners that share a name, and clients that are sent from one to the other.
namespace {

using namespace rdma_net;
using fabric::Sharing;
using fabric::Status;
using simulation::LocalHost;
using simulation::NextAddress;
using simulation::RawPeer;
using stream::Connection;

/// A process with a listener that accepts whoever comes, and with clients that establish.
class Process final : public stream::ConnectionObserver, public fabric::ListenerEvents {
 public:
  /// @return whether it could be tried
  bool Listen(const fabric::Address& address, Sharing sharing) {
    fabric::Failure failure;
    listener_ =
        host_.fabric()->Listen(address, {.backlog = 64, .sharing = sharing}, this, &failure);
    status_ = failure.status;
    return listener_ != nullptr;
  }
  void Connect(const fabric::Address& address) {
    fabric::Failure failure;
    clients_.push_back(std::make_unique<Connection>(0, stream::Options{}, this));
    auto endpoint = host_.fabric()->Connect({.remote = address, .local_host = {}, .local_port = 0},
                                            clients_.back().get(), &failure);
    if (endpoint != nullptr) {
      clients_.back()->Start(std::move(endpoint));
    } else {
      refused_++;
    }
  }
  void Release() { listener_->Release(); }
  /// Its sockets are closed from one moment to the next.
  void Crash() {
    listener_.reset();
    clients_.clear();
    servers_.clear();
    host_.Crash();
  }
  void Turn() { host_.Turn(1000); }

  [[nodiscard]] uint32_t accepted() const { return accepted_; }
  [[nodiscard]] uint32_t connected() const { return connected_; }
  [[nodiscard]] uint32_t refused() const { return refused_; }
  [[nodiscard]] bool listening() const { return listening_; }
  [[nodiscard]] Status status() const { return status_; }

  void OnNews(Connection* connection) override {
    const uint32_t news = connection->TakeNews();
    if ((news & stream::kNewsResponse) != 0 && connection->Establish().ok()) connected_++;
    if ((news & stream::kNewsConnectFailed) != 0) refused_++;
    if ((news & stream::kNewsAccepted) != 0) accepted_++;
  }
  [[nodiscard]] uint64_t now_ms() const override { return host_.fabric()->now_ms(); }
  void OnListening() override { listening_ = true; }
  void OnListenFailed(fabric::Failure failure) override {
    listening_ = false;
    status_ = failure.status;
  }
  void OnListenerReleased() override {}
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    servers_.push_back(std::make_unique<Connection>(0, stream::Options{}, this));
    servers_.back()->Accept(std::move(endpoint), data);
  }

 private:
  // After everything that refers to it has gone.
  LocalHost host_;
  std::unique_ptr<fabric::Listener> listener_;
  std::vector<std::unique_ptr<Connection>> clients_;
  std::vector<std::unique_ptr<Connection>> servers_;
  uint32_t accepted_ = 0;
  uint32_t connected_ = 0;
  uint32_t refused_ = 0;
  bool listening_ = false;
  Status status_ = Status::kOk;
};

/// Four processes that share a name, and a client.
struct Stand {
  static constexpr size_t kMembers = 4;

  explicit Stand(Sharing first = Sharing::kMember) {
    for (Process& member : members) {
      const bool is_first = &member == members.data();
      member.Listen(address, is_first ? first : Sharing::kMember);
    }
    Run();
  }

  void Run(uint32_t turns = 50) {
    for (uint32_t turn = 0; turn < turns; turn++) {
      for (Process& member : members) member.Turn();
      client.Turn();
    }
  }
  void Connect(uint32_t count) {
    for (uint32_t n = 0; n < count; n++) client.Connect(address);
    Run();
  }
  [[nodiscard]] std::vector<uint32_t> accepted() const {
    std::vector<uint32_t> counts;
    for (const Process& member : members) counts.push_back(member.accepted());
    return counts;
  }

  const fabric::Address address = NextAddress();
  std::array<Process, kMembers> members;
  Process client;
};

using Counts = std::vector<uint32_t>;

TEST("group: connections go to one member after the other, whoever is asked") {
  Stand stand;
  for (const Process& member : stand.members) CHECK(member.listening());
  stand.Connect(40);
  CHECK(stand.accepted() == (Counts{10, 10, 10, 10}));
  CHECK(stand.client.connected() == 40);
  Process other;
  for (uint32_t n = 0; n < 4; n++) other.Connect(stand.address);
  for (uint32_t turn = 0; turn < 50; turn++) {
    other.Turn();
    stand.Run(1);
  }
  CHECK(stand.accepted() == (Counts{11, 11, 11, 11}));
}

TEST("group: who only dispatches gets none, and refuses when it is left alone") {
  Stand stand(Sharing::kDispatcher);
  stand.Connect(30);
  CHECK(stand.accepted() == (Counts{0, 10, 10, 10}));
  for (size_t n = 1; n < Stand::kMembers; n++) stand.members[n].Release();
  stand.Run();
  stand.Connect(3);
  CHECK(stand.client.connected() == 30 && stand.client.refused() == 3);
}

TEST("group: when the dispatcher dies, one of the others takes its place, and nobody is refused") {
  Stand stand;
  stand.Connect(4);
  stand.members[0].Crash();
  stand.Run();
  stand.Connect(30);
  CHECK(stand.accepted() == (Counts{1, 11, 11, 11}));
  CHECK(stand.client.connected() == 34 && stand.client.refused() == 0);
}

TEST("group: who asks while the dispatcher or a member goes is sent to another") {
  for (const size_t leaver : {size_t{0}, size_t{2}}) {
    Stand stand;
    // The links are open, and the questions are in the queue.
    stand.Connect(8);
    for (uint32_t n = 0; n < 12; n++) stand.client.Connect(stand.address);
    stand.client.Turn();
    stand.members[leaver].Release();
    stand.Run(100);
    CHECK(stand.client.connected() + stand.client.refused() == 20);
    stand.Connect(12);
    CHECK(stand.members[leaver].accepted() == 2);
    CHECK(stand.client.connected() >= 20);
  }
}

TEST("group: one that comes later gets its share, in the seat of one that has gone") {
  Stand stand;
  stand.members[1].Release();
  stand.members[3].Release();
  stand.Run();
  stand.Connect(20);
  CHECK(stand.accepted() == (Counts{10, 0, 10, 0}));
  Process late;
  CHECK(late.Listen(stand.address, Sharing::kMember));
  for (uint32_t turn = 0; turn < 50; turn++) {
    late.Turn();
    stand.Run(1);
  }
  for (uint32_t n = 0; n < 30; n++) stand.client.Connect(stand.address);
  for (uint32_t turn = 0; turn < 50; turn++) {
    late.Turn();
    stand.Run(1);
  }
  CHECK(late.accepted() == 10);
}

TEST("group: a name that is held by one alone is not shared, and the other way round") {
  const fabric::Address address = NextAddress();
  Process alone;
  Process member;
  CHECK(alone.Listen(address, Sharing::kAlone));
  CHECK(!member.Listen(address, Sharing::kMember));
  CHECK(member.status() == Status::kAddressInUse);
  const fabric::Address other = NextAddress();
  CHECK(member.Listen(other, Sharing::kMember));
  CHECK(!alone.Listen(other, Sharing::kAlone));
  CHECK(alone.status() == Status::kAddressInUse);
}

TEST("group: whoever joins and says something wrong is sent away, and the others go on") {
  Stand stand;
  const std::string roll = local::RollName(local::NamesOfListener(stand.address, false).front());
  for (const size_t bytes : {size_t{1}, size_t{3}, size_t{5}, size_t{4096}}) {
    const RawPeer peer(roll);
    peer.Send(std::vector<std::byte>(bytes, std::byte{1}), {});
    stand.Run(5);
    CHECK(peer.ended());
  }
  const RawPeer far(roll);
  const uint32_t seat = 1U << 20;
  far.Send(std::as_bytes(std::span(&seat, 1)), {});
  const RawPeer silent(roll);
  stand.Run(5);
  CHECK(far.ended() && !silent.ended());
  stand.Connect(8);
  CHECK(stand.accepted() == (Counts{2, 2, 2, 2}));
}

TEST("group: a seat where nobody is costs the client another question, and no connection") {
  Stand stand;
  const std::string roll = local::RollName(local::NamesOfListener(stand.address, false).front());
  const RawPeer liar(roll);
  const uint32_t seat = 999;
  liar.Send(std::as_bytes(std::span(&seat, 1)), {});
  stand.Connect(20);
  CHECK(stand.client.connected() == 20 && stand.client.refused() == 0);
}

TEST("group: a client does not ask for ever") {
  const fabric::Address address = NextAddress();
  Process client;
  const std::string name = local::NamesOfListener(address, false).front();
  const system::FileDescriptor server = local::ListenOn(name, 8);
  const system::FileDescriptor mark = local::MarkName(name);
  client.Connect(address);
  client.Turn();
  RawPeer peer(local::AcceptFrom(server.get()));
  CHECK(peer.TakeGreeting());
  local::Greeting greeting = peer.greeting();
  greeting.ask_first = 1;
  peer.Send(greeting, {peer.inbox().file(), peer.inbox().doorbell()});
  uint32_t asked = 0;
  for (uint32_t turn = 0; turn < 100; turn++) {
    client.Turn();
    const local::MessageHeader header = peer.Take();
    if (header.kind != local::MessageKind::kAsk) continue;
    asked++;
    peer.Put(local::MessageKind::kGo, header.value, 7);
  }
  CHECK(asked == 8 && client.refused() == 1);
}

}  // namespace
