#include "local_simulation.h"

#include <algorithm>

namespace simulation {

namespace {

constexpr uint64_t kPairsMax = 4;
constexpr uint32_t kSafetySteps = 1500;
constexpr uint32_t kLivenessSteps = 100'000;
constexpr uint32_t kEndSteps = 1000;

bool EndsFirst(Ending ending) {
  return ending == Ending::kShutdownFirst || ending == Ending::kCloseFirst;
}

}  // namespace

LocalSimulation::LocalSimulation(uint64_t seed, const LocalTrouble& trouble)
    : random_(seed), trouble_(trouble) {
  const stream::Options options = EngineOptions();
  const uint64_t count = 1 + random_() % kPairsMax;
  for (uint64_t number = 0; number < count; number++) {
    const Habits client = RandomHabits(true);
    const Habits server = RandomHabits(EndsFirst(client.ending));
    const Network network = {
        .client = client_.fabric(), .server = server_.fabric(), .take_slab = nullptr};
    pairs_.push_back(std::make_unique<Pair>(network, number, client, server));
    pairs_.back()->Connect(network, NextAddress(), options);
  }
}

stream::Options LocalSimulation::EngineOptions() {
  const auto below = [this](uint32_t limit) { return static_cast<uint32_t>(random_() % limit); };
  stream::Options options;
  options.receive.own_bytes = stream::Receiver::kHeadBytes + 100 + below(4000);
  options.receive.window_bytes = 1 + below(20'000);
  options.receive.credits_max = 4 + below(40);
  options.send.ring_bytes = 64 + below(6000);
  options.send.message_bytes_max = 1 + below(2) * below(200) + below(5000);
  return options;
}

Habits LocalSimulation::RandomHabits(bool last) {
  const auto below = [this](uint32_t limit) { return static_cast<uint32_t>(random_() % limit); };
  Habits habits;
  habits.bytes_to_send = below(4) == 0 ? 0 : below(20'000);
  habits.write_bytes_max = below(4) == 0 ? 1 + below(100) : 5000;
  habits.read_bytes_max = below(4) == 0 ? 1 + below(100) : 3000;
  habits.write_pause = 1 + below(4);
  habits.read_pause = 1 + below(4);
  habits.reads_late = below(8) == 0;
  habits.in_place_writes = below(4);
  habits.ending = static_cast<Ending>(below(4));
  // If both waited for the other to end, neither would.
  if (!last && !EndsFirst(habits.ending)) habits.ending = Ending::kShutdownFirst;
  return habits;
}

std::string LocalSimulation::Run() {
  // Some while everything happens, and some that comes in the handshake.
  const uint64_t crash_step = random_() % (random_() % 2 == 0 ? 20 : 400);
  for (uint32_t step = 0; step < kSafetySteps && !done(); step++) {
    if (trouble_.crash && step == crash_step) Crash(random_() % 2 == 0);
    Round(false);
    if (trouble_.impatience && random_() % 400 == 0) {
      Pair& pair = *pairs_[random_() % pairs_.size()];
      (random_() % 2 == 0 ? pair.client : pair.server).Disturb(random_);
    }
  }
  for (uint32_t step = 0; step < kLivenessSteps && !done(); step++) Round(true);
  if (std::string wrong = Safety(); !wrong.empty()) return wrong;
  for (const auto& pair : pairs_) {
    if (!pair->done()) return "a connection did not come to its end:" + pair->Describe();
    if (trouble_.impatience || trouble_.crash) continue;
    if (pair->server.connection == nullptr) return "a connection was not made" + pair->Describe();
    if (std::string wrong = pair->Completeness(); !wrong.empty()) return wrong;
  }
  return CheckLeaks();
}

void LocalSimulation::Round(bool finish) {
  if (random_() % 2 == 0) client_.Turn(static_cast<uint32_t>(1 + random_() % 8));
  if (random_() % 2 == 0) server_.Turn(static_cast<uint32_t>(1 + random_() % 8));
  for (const auto& pair : pairs_) {
    if (random_() % 2 == 0) pair->Act(random_, finish);
  }
}

void LocalSimulation::Crash(bool client_side) {
  LocalHost& host = client_side ? client_ : server_;
  if (host.crashed()) return;
  for (const auto& pair : pairs_) pair->Crash(client_side);
  host.Crash();
}

bool LocalSimulation::done() const {
  return std::all_of(pairs_.begin(), pairs_.end(), [](const auto& pair) { return pair->done(); });
}

std::string LocalSimulation::Safety() const {
  for (const auto& pair : pairs_) {
    if (std::string wrong = pair->Safety(); !wrong.empty()) return wrong;
  }
  return {};
}

std::string LocalSimulation::CheckLeaks() {
  const auto empty = [](const LocalHost& host) {
    if (host.crashed()) return true;
    const fabric::FabricStats stats = host.fabric()->stats();
    return stats.pinned_bytes == 0 && stats.queue_pairs == 0;
  };
  for (uint32_t step = 0; step < kEndSteps && !(empty(client_) && empty(server_)); step++) {
    client_.Turn(8);
    server_.Turn(8);
  }
  for (const LocalHost* host : {&client_, &server_}) {
    if (empty(*host)) continue;
    const fabric::FabricStats stats = host->fabric()->stats();
    return "left: bytes " + std::to_string(stats.pinned_bytes) + ", connections " +
           std::to_string(stats.queue_pairs);
  }
  if (!server_.crashed()) {
    for (const auto& pair : pairs_) pair->ReleaseListener();
  }
  for (const LocalHost* host : {&client_, &server_}) {
    if (!host->crashed()) host->fabric()->Close();
  }
  for (uint32_t step = 0; step < kEndSteps; step++) {
    client_.Turn(8);
    server_.Turn(8);
  }
  for (const LocalHost* host : {&client_, &server_}) {
    if (!host->crashed() && !host->fabric()->closed()) return "a fabric did not come to its end";
  }
  return {};
}

}  // namespace simulation
