#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "sim/sim_fabric.h"
#include "stream/connection.h"
#include "tap.h"

/// Two programs over the stream engine on the simulated fabric. Each writes a stream that it can
/// compute, reads in pieces of any size with pauses, and ends it in one of the legal ways; what
/// arrives must be a prefix of what was sent, and all of it when nothing failed.
///
///   SEED=N native-tests simulation    replays one seed
namespace {

using namespace rdma_net;
using stream::Connection;

std::byte StreamByte(uint64_t position, bool active) {
  return static_cast<std::byte>((position * 31 + position / 251 + (active ? 7 : 0)) & 0xff);
}

class Program {
 public:
  Program(bool active, uint64_t bytes_to_send) : active_(active), to_send_(bytes_to_send) {}

  std::unique_ptr<Connection> connection;
  bool open = false;
  bool released = false;
  bool failed = false;
  bool corrupt = false;
  bool ended = false;
  uint64_t received = 0;
  uint64_t sent = 0;

  void OnNews() {
    const uint32_t news = connection->TakeNews();
    if ((news & stream::kNewsResponse) != 0) open = connection->Establish().ok();
    if ((news & stream::kNewsAccepted) != 0) open = true;
    if ((news & stream::kNewsEnd) != 0) peer_ended_ = true;
    if ((news & stream::kNewsFailed) != 0) failed = true;
    if ((news & stream::kNewsConnectFailed) != 0) failed = true;
    if ((news & stream::kNewsClosed) != 0) released = true;
  }

  /// One random act of the program; `finish` makes it read and write without pauses.
  void Act(std::mt19937_64& random, bool finish) {
    if (released) return;
    if (failed) return connection->Close();
    if (!open) return;
    if (finish || random() % 4 != 0) Read(random);
    if (peer_ended_ && connection->readable_bytes() == 0) ended = true;
    if (finish || random() % 4 != 0) Write(random);
    if (sent == to_send_ && !shut_) shut_ = connection->Shutdown() == fabric::Status::kOk;
    if (shut_ && ended) connection->Close();
  }

  void Read(std::mt19937_64& random) {
    std::vector<std::byte> target(1 + random() % 3000);
    const size_t bytes = connection->Read(target);
    for (size_t i = 0; i < bytes; i++) corrupt |= target[i] != StreamByte(received++, !active_);
  }

  void Write(std::mt19937_64& random) {
    if (sent == to_send_) return;
    std::vector<std::byte> source(std::min<uint64_t>(1 + random() % 5000, to_send_ - sent));
    for (size_t i = 0; i < source.size(); i++) source[i] = StreamByte(sent + i, active_);
    size_t taken = 0;
    const bool more = sent + source.size() < to_send_ && random() % 3 == 0;
    // As a socket: an error while writing is the end of it.
    failed |= connection->Write(source, more, &taken) != fabric::Status::kOk;
    sent += taken;
  }

 private:
  bool active_;
  uint64_t to_send_;
  bool peer_ended_ = false;
  bool shut_ = false;
};

class Simulation final : public stream::ConnectionObserver, public fabric::ListenerEvents {
 public:
  Simulation(uint64_t seed, sim::SimOptions options, bool faults)
      : random_(seed),
        options_(options),
        faults_(faults),
        fabric_(options),
        client_(true, random_() % 60'000),
        server_(false, random_() % 60'000) {
    engine_.receive_bytes = 2 * (64 + random_() % 4000);
    engine_.send_bytes = 64 + random_() % 8000;
    fabric::Failure failure;
    listener_ = fabric_.Listen({.host = "10.0.0.2", .port = 2, .ipv6 = false}, 1, this, &failure);
    client_.connection = std::make_unique<Connection>(0, engine_, this);
    client_.connection->Start(
        fabric_.Connect({.remote = {.host = "10.0.0.2", .port = 2, .ipv6 = false},
                         .local_host = {},
                         .local_port = 0},
                        client_.connection.get(), &failure));
  }

  /// Returns what went wrong, or nothing.
  std::string Run() {
    constexpr int kSafetySteps = 3000;
    constexpr int kLivenessSteps = 2'000'000;
    for (int step = 0; step < kSafetySteps; step++) Round(false);
    for (int step = 0; step < kLivenessSteps && !Done(); step++) Round(true);
    return Verdict();
  }

  void OnNews(Connection* connection) override { news_.push_back(connection); }
  void OnListening() override {}
  void OnListenFailed(fabric::Failure) override {}
  void OnListenerReleased() override {}
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    server_.connection = std::make_unique<Connection>(1, engine_, this);
    server_.connection->Accept(std::move(endpoint), data);
  }

 private:
  void Round(bool finish) {
    const bool moved = fabric_.Step();
    for (Connection* connection : std::exchange(news_, {})) {
      (connection == client_.connection.get() ? client_ : server_).OnNews();
    }
    if (!finish && faults_ && random_() % 2000 == 0) Disturb();
    if (finish && moved && random_() % 8 != 0) return;
    client_.Act(random_, finish);
    if (server_.connection != nullptr) server_.Act(random_, finish);
  }

  /// Somebody loses patience.
  void Disturb() {
    Program& program = random_() % 2 == 0 ? client_ : server_;
    if (program.connection == nullptr || program.released) return;
    disturbed_ = true;
    if (random_() % 2 == 0) {
      program.connection->Reset();
    } else {
      program.connection->Close();
    }
  }

  [[nodiscard]] bool Done() const {
    return client_.released && (server_.connection == nullptr || server_.released);
  }

  [[nodiscard]] std::string Verdict() const {
    for (const std::string& error : fabric_.errors()) return error;
    if (client_.corrupt || server_.corrupt) return "bytes arrived that were not sent";
    if (client_.received > server_.sent || server_.received > client_.sent) {
      return "more bytes arrived than were sent";
    }
    if (!Done()) return "a connection did not come to its end: " + Describe();
    if (fabric_.registered_regions() != 0) return "memory was left registered";
    if (faults_ || disturbed_) return {};
    if (client_.failed || server_.failed) return "a connection failed without a fault";
    if (client_.received != server_.sent || server_.received != client_.sent) {
      return "bytes are missing";
    }
    return {};
  }

  [[nodiscard]] std::string Describe() const {
    std::string text;
    for (const Program* program : {&client_, &server_}) {
      if (program->connection == nullptr) continue;
      text += " [state " + std::to_string(static_cast<int>(program->connection->state())) +
              ", sent " + std::to_string(program->sent) + ", received " +
              std::to_string(program->received) + (program->failed ? ", failed" : "") +
              (program->ended ? ", ended" : "") + "]";
    }
    return text;
  }

  std::mt19937_64 random_;
  sim::SimOptions options_;
  bool faults_;
  bool disturbed_ = false;
  stream::Options engine_;
  sim::SimFabric fabric_;
  std::unique_ptr<fabric::Listener> listener_;
  std::vector<Connection*> news_;
  Program client_;
  Program server_;
};

uint64_t FirstSeed() {
  const char* seed = std::getenv("SEED");
  return seed == nullptr ? 1 : std::strtoull(seed, nullptr, 10);
}

int Seeds(int by_default) {
  return std::getenv("SEED") == nullptr ? by_default : 1;
}

void RunSeeds(tap::Test& t, int count, bool faults) {
  const uint64_t first = FirstSeed();
  for (uint64_t seed = first; seed < first + static_cast<uint64_t>(Seeds(count)); seed++) {
    std::mt19937_64 random(seed);
    sim::SimOptions options = {.seed = seed,
                               .send_requests = 5 + static_cast<uint32_t>(random() % 12),
                               .receive_requests = 2 + static_cast<uint32_t>(random() % 10),
                               .control_receives = 4 + static_cast<uint32_t>(random() % 4),
                               .inline_bytes = static_cast<uint32_t>(random() % 3) * 16};
    if (faults) {
      options.completion_errors = random() % 2 == 0 ? 0 : 2000;
      options.allocation_errors = random() % 8 == 0 ? 300'000 : 0;
    }
    Simulation simulation(seed, options, faults);
    const std::string wrong = simulation.Run();
    if (wrong.empty()) continue;
    const std::string text = "SEED=" + std::to_string(seed) + ": " + wrong;
    t.Check(false, text.c_str(), __FILE__, __LINE__);
    return;
  }
}

TEST("simulation: all bytes arrive in both directions, with readers that pause and small queues") {
  RunSeeds(t, 500, false);
}

TEST("simulation: with failing requests and sudden ends, what arrives is a prefix, nothing leaks") {
  RunSeeds(t, 500, true);
}

}  // namespace
