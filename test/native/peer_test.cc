#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "sim/sim_fabric.h"
#include "stream/connection.h"
#include "tap.h"

/// A connection of ours against a peer that posts what it likes: each rule of the wire that a peer
/// can break ends that connection with the violation named, and harms nothing else.
namespace {

using namespace rdma_net;
using fabric::DetailKind;
using fabric::Status;
using stream::Connection;
using stream::wire::ConnectData;
using stream::wire::Control;
using stream::wire::EncodeImmediate;
using stream::wire::Operation;
using stream::wire::RemoteBuffer;
using stream::wire::Violation;

/// Two buffers of 4096 bytes.
constexpr size_t kOwnBytes = size_t{2} * 4096 + stream::Receiver::kHeadBytes;

/// Plays the active side by hand.
class Peer final : public fabric::EndpointEvents {
 public:
  std::unique_ptr<fabric::Endpoint> endpoint;
  fabric::Region memory;
  fabric::Region scratch;
  ConnectData theirs;
  bool accepted = false;
  bool rejected = false;
  bool disconnected = false;
  std::vector<uint32_t> messages;
  std::function<void(ConnectData*)> forge = [](ConnectData*) {};

  void OnRouted() override {
    endpoint->Allocate(4096, fabric::Access::kRemoteWrite, &memory);
    endpoint->Allocate(8192, fabric::Access::kSend, &scratch);
    ConnectData data = {
        .credits = 8,
        .sgl_address = memory.address(),
        .sgl_remote_key = memory.remote_key,
        .sgl_entries = 2,
        .first_buffer = {
            .address = memory.address() + 64, .remote_key = memory.remote_key, .bytes = 1024}};
    forge(&data);
    std::array<std::byte, 56> bytes;
    endpoint->Connect(std::span(bytes).first(EncodeConnectData(data, bytes)));
  }
  void OnResponse(std::span<const std::byte> data) override {
    accepted = DecodeConnectData(data, &theirs) == Violation::kNone;
    endpoint->Establish();
  }
  void OnEstablished() override {}
  void OnConnectFailed(fabric::Failure) override { rejected = true; }
  void OnMessage(uint32_t immediate, uint32_t) override { messages.push_back(immediate); }
  void OnStray() override {}
  void OnSent(uint64_t) override {}
  void OnRoom() override {}
  void OnBroken(fabric::Failure) override {}
  void OnDisconnected() override { disconnected = true; }
  void OnReleased() override { endpoint.reset(); }

  void Say(uint32_t immediate) {
    fabric::WriteRequest request;
    request.immediate = immediate;
    endpoint->Post(request);
    endpoint->Ring();
  }
  void Say(Operation operation, uint32_t value) { Say(EncodeImmediate(operation, value)); }
  /// A data message of `value` bytes by its word, and `bytes` in truth.
  void Data(uint32_t value, uint32_t bytes, uint32_t at = 0) {
    Write(value, bytes, theirs.first_buffer.address + at, theirs.first_buffer.remote_key,
          Operation::kData);
  }
  void Write(uint32_t value, uint32_t bytes, uint64_t address, uint32_t key, Operation operation) {
    fabric::WriteRequest request;
    request.segments[0] = {scratch.data, bytes, scratch.local_key};
    request.remote_address = address;
    request.remote_key = key;
    request.immediate = EncodeImmediate(operation, value);
    endpoint->Post(request);
    endpoint->Ring();
  }
};

class World final : public stream::ConnectionObserver, public fabric::ListenerEvents {
 public:
  explicit World(std::function<void(ConnectData*)> forge = nullptr) {
    if (forge) peer.forge = std::move(forge);
    fabric::Failure failure;
    listener_ = fabric_.Listen({.host = "10.0.0.2", .port = 2, .ipv6 = false}, {}, this, &failure);
    peer.endpoint = fabric_.Connect({.remote = {.host = "10.0.0.2", .port = 2, .ipv6 = false},
                                     .local_host = {},
                                     .local_port = 0},
                                    &peer, &failure);
    Run();
  }
  ~World() {
    if (connection) connection->Reset();
    if (peer.endpoint) peer.endpoint->Release();
    Run();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  World(World&&) = delete;
  World& operator=(World&&) = delete;

  Peer peer;
  std::unique_ptr<Connection> connection;
  uint32_t news = 0;
  uint64_t clock_ms = 0;

  void Run() {
    for (int round = 0; round < 2; round++) {
      while (fabric_.Step()) {
      }
      fabric_.ReportSent();
    }
    if (connection) news |= connection->TakeNews();
  }

  void Vanish() { static_cast<sim::SimEndpoint*>(peer.endpoint.get())->Vanish(); }

  /// Whether the connection ended with this violation, and the peer was cut off.
  [[nodiscard]] bool EndedWith(Violation violation) {
    Run();
    return (news & stream::kNewsFailed) != 0 && peer.disconnected &&
           connection->failure().status == Status::kProtocolViolation &&
           connection->failure().kind == DetailKind::kViolation &&
           connection->failure().detail == static_cast<int32_t>(violation);
  }

  void OnNews(Connection*) override {}
  [[nodiscard]] uint64_t now_ms() const override { return clock_ms; }
  void OnListening() override {}
  void OnListenFailed(fabric::Failure) override {}
  void OnListenerReleased() override {}
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    stream::Options options;
    options.receive.own_bytes = kOwnBytes;
    options.send.ring_bytes = 4096;
    connection = std::make_unique<Connection>(1, options, this);
    accept_failure = connection->Accept(std::move(endpoint), data);
  }
  fabric::Failure accept_failure;

 private:
  sim::SimFabric fabric_{{.seed = 7, .slabs_at_first = 0, .slabs_max = 0}};
  std::unique_ptr<fabric::Listener> listener_;
};

TEST("peer: an honest one gets its bytes through, and our half of the connection data is right") {
  World world;
  CHECK(world.peer.accepted && (world.news & stream::kNewsAccepted) != 0);
  CHECK(world.peer.theirs.first_buffer.bytes == 4096);
  CHECK(world.peer.theirs.has_extension);
  world.peer.Data(100, 100);
  world.Run();
  CHECK(world.connection->readable_bytes() == 100);
  CHECK((world.news & stream::kNewsFailed) == 0);
}

TEST("peer: more bytes than the buffer has left") {
  World world;
  world.peer.Data(4000, 4000);
  world.peer.Data(97, 97, 3999);
  CHECK(world.EndedWith(Violation::kDataTooLong));
  CHECK(world.connection->readable_bytes() == 4000);
}

TEST("peer: a length that is not that of the write") {
  World world;
  world.peer.Data(50, 40);
  CHECK(world.EndedWith(Violation::kDataLengthMismatch));
}

TEST("peer: data without a buffer to put it in") {
  World world;
  world.peer.Data(4096, 4096);
  world.Run();
  world.peer.Data(4096, 4096);
  world.Run();
  world.peer.Data(1, 1);
  CHECK(world.EndedWith(Violation::kDataWithoutBuffer));
}

TEST("peer: data after it has shut down") {
  World world;
  world.peer.Say(Operation::kControl, static_cast<uint32_t>(Control::kShutdown));
  world.peer.Data(1, 1);
  CHECK(world.EndedWith(Violation::kDataAfterShutdown));
  CHECK((world.news & stream::kNewsEnd) != 0);
}

TEST("peer: a second shutdown") {
  World world;
  for (int i = 0; i < 2; i++) {
    world.peer.Say(Operation::kControl, static_cast<uint32_t>(Control::kShutdown));
  }
  CHECK(world.EndedWith(Violation::kDataAfterShutdown));
}

TEST("peer: credits that go back, or more than its receive queue has") {
  {
    World world;
    world.peer.Say(Operation::kBufferUpdate, 7);
    CHECK(world.EndedWith(Violation::kCreditsBackwards));
  }
  World world;
  world.peer.Say(Operation::kBufferUpdate, 0x8000);
  CHECK(world.EndedWith(Violation::kCreditsTooMany));
}

TEST("peer: a receive buffer whose address wraps around, and one more than there are slots") {
  World world;
  const RemoteBuffer wrong = {.address = ~0ULL - 5, .remote_key = 1, .bytes = 100};
  EncodeBufferEntry(wrong, false, std::span<std::byte, 16>(world.peer.scratch.data, 16));
  world.peer.Write(8, 16, world.peer.theirs.sgl_address + 16, world.peer.theirs.sgl_remote_key,
                   Operation::kBufferUpdate);
  CHECK(world.EndedWith(Violation::kBufferAddress));

  World other;
  const RemoteBuffer good = {.address = other.peer.memory.address(), .remote_key = 1, .bytes = 100};
  EncodeBufferEntry(good, false, std::span<std::byte, 16>(other.peer.scratch.data, 16));
  for (uint64_t i = 1; i <= stream::SendWindow::kSlots; i++) {
    const uint64_t slot = i % stream::SendWindow::kSlots;
    other.peer.Write(8, 16, other.peer.theirs.sgl_address + slot * 16,
                     other.peer.theirs.sgl_remote_key, Operation::kBufferUpdate);
    other.Run();
  }
  CHECK(other.EndedWith(Violation::kTooManyBuffers));
}

TEST("peer: operations and control messages that do not exist") {
  for (const uint32_t operation : {1U, 2U, 3U, 5U}) {
    World world;
    world.peer.Say(operation << 29);
    CHECK(world.EndedWith(Violation::kUnknownOperation));
  }
  World world;
  world.peer.Say(Operation::kControl, 3);
  CHECK(world.EndedWith(Violation::kUnknownControl));
}

TEST("peer: iomap updates and keepalives are ignored") {
  World world;
  world.peer.Say(Operation::kIomap, 5);
  world.peer.Say(Operation::kControl, static_cast<uint32_t>(Control::kKeepalive));
  world.peer.Data(3, 3);
  world.Run();
  CHECK(world.connection->readable_bytes() == 3 && (world.news & stream::kNewsFailed) == 0);
}

TEST("peer: more control messages than anything gave it reason for") {
  World world;
  for (int i = 0; i < 10'000 && (world.news & stream::kNewsFailed) == 0; i++) {
    world.peer.Say(Operation::kControl, static_cast<uint32_t>(Control::kKeepalive));
    world.Run();
  }
  CHECK(world.EndedWith(Violation::kControlFlood));
}

TEST("peer: a keepalive is answered by the device, and the program hears of none") {
  World world;
  world.Run();
  const size_t messages = world.peer.messages.size();
  const uint64_t requests = world.connection->counters().work_requests;
  // More of them than the peer has receives, were they messages.
  for (uint64_t sent = 1; sent <= 100; sent++) {
    world.clock_ms += stream::kKeepaliveAnswerMsMax;
    world.connection->CheckKeepalive();
    world.connection->SendKeepalive();
    world.Run();
    CHECK(world.connection->counters().work_requests == requests + sent);
  }
  CHECK(world.peer.messages.size() == messages && (world.news & stream::kNewsFailed) == 0);
}

TEST("peer: a keepalive that stays unanswered ends the connection after a while, not before") {
  World world;
  world.peer.Data(5, 5);
  world.Run();
  world.Vanish();
  world.clock_ms = 3000;
  world.connection->CheckKeepalive();
  world.connection->SendKeepalive();
  world.clock_ms += stream::kKeepaliveAnswerMsMax - 1;
  // The one that is under way is enough.
  world.connection->SendKeepalive();
  world.connection->CheckKeepalive();
  world.Run();
  CHECK((world.news & stream::kNewsFailed) == 0);
  world.clock_ms++;
  world.connection->CheckKeepalive();
  world.Run();
  CHECK((world.news & stream::kNewsFailed) != 0);
  CHECK(world.connection->failure().status == Status::kTimedOut);
  CHECK(world.connection->readable_bytes() == 5);
}

TEST("peer: no keepalive is missed that was not sent, for data is under way") {
  World world;
  world.Run();
  world.Vanish();
  const std::array<std::byte, 3> data{};
  size_t taken = 0;
  CHECK(world.connection->Write(data, false, &taken) == Status::kOk && taken == data.size());
  world.connection->SendKeepalive();
  world.clock_ms += 2 * stream::kKeepaliveAnswerMsMax;
  world.connection->CheckKeepalive();
  world.Run();
  CHECK((world.news & stream::kNewsFailed) == 0);
}

TEST("peer: connection data of another version is refused before anybody hears of it") {
  World world([](ConnectData* data) { data->credits = 0; });
  CHECK(world.peer.rejected && !world.peer.accepted);
  CHECK(world.accept_failure.status == Status::kIncompatiblePeer);
  CHECK((world.news & stream::kNewsAccepted) == 0);
}

TEST("peer: a disconnect message is a clean end, and a disconnect without one is a reset") {
  {
    World world;
    world.peer.Data(5, 5);
    world.peer.Say(Operation::kControl, static_cast<uint32_t>(Control::kDisconnect));
    world.Run();
    world.peer.endpoint->Release();
    world.Run();
    CHECK((world.news & stream::kNewsEnd) != 0 && (world.news & stream::kNewsFailed) == 0);
    CHECK(world.connection->readable_bytes() == 5);
  }
  World world;
  world.peer.Data(5, 5);
  world.Run();
  world.peer.endpoint->Release();
  world.Run();
  CHECK((world.news & stream::kNewsFailed) != 0);
  CHECK(world.connection->failure().status == Status::kConnectionReset);
  CHECK(world.connection->readable_bytes() == 5);
}

TEST("peer: after its disconnect one write gets lost, as over TCP, and the next one fails") {
  World world;
  world.peer.Say(Operation::kControl, static_cast<uint32_t>(Control::kDisconnect));
  world.Run();
  const std::array<std::byte, 10> bytes{};
  size_t taken = 0;
  CHECK(world.connection->Write(bytes, false, &taken) == Status::kOk && taken == 10);
  CHECK(world.connection->Write(bytes, false, &taken) == Status::kBrokenPipe);
}

TEST("peer: bytes held back for more are sent by the next write, also by an empty one") {
  World world;
  const std::array<std::byte, 10> bytes{};
  size_t taken = 0;
  const auto data_messages = [&world] {
    world.Run();
    return std::count_if(world.peer.messages.begin(), world.peer.messages.end(),
                         [](uint32_t immediate) { return immediate >> 29 == 0; });
  };
  CHECK(world.connection->Write(bytes, true, &taken) == Status::kOk && taken == 10);
  CHECK(data_messages() == 0);
  CHECK(world.connection->Write(bytes, false, &taken) == Status::kOk);
  CHECK(data_messages() == 1 && world.peer.messages.back() == 20);
  CHECK(world.connection->Write(bytes, true, &taken) == Status::kOk);
  CHECK(world.connection->Write({}, false, &taken) == Status::kOk && taken == 0);
  CHECK(data_messages() == 2);
  CHECK(world.connection->Write(bytes, true, &taken) == Status::kOk);
  CHECK(world.connection->Shutdown() == Status::kOk);
  CHECK(data_messages() == 3);
}

TEST("peer: a big-endian one gets its buffer updates in its own byte order") {
  World world([](ConnectData* data) { data->big_endian = true; });
  world.Run();
  const auto* slot = reinterpret_cast<const uint8_t*>(world.peer.memory.data) + 16;
  // 4096 bytes, as a big-endian number.
  CHECK(slot[12] == 0 && slot[13] == 0 && slot[14] == 0x10 && slot[15] == 0);
}

}  // namespace
