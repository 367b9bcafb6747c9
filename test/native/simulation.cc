#include "simulation.h"

#include <algorithm>
#include <utility>

#include "stream/outbox.h"

namespace simulation {

namespace {

constexpr uint64_t kPairsMax = 3;
constexpr uint32_t kSafetySteps = 1500;
constexpr uint32_t kLivenessSteps = 300'000;
constexpr uint32_t kAlways = 1U << 20;

bool EndsFirst(Ending ending) {
  return ending == Ending::kShutdownFirst || ending == Ending::kCloseFirst;
}

}  // namespace

// Everything is small, so that every limit is hit.
sim::SimOptions Simulation::FabricOptions(uint64_t seed, const Trouble& trouble, Random& random) {
  const auto below = [&random](uint32_t limit) { return static_cast<uint32_t>(random() % limit); };
  sim::SimOptions options = {.seed = seed,
                             .send_requests = stream::Outbox::kRequestsMin + below(8),
                             .receive_requests = 2 + below(10),
                             .control_receives = 4 + below(4),
                             .shared_receives = below(20),
                             .inline_bytes = below(3) * 16,
                             .can_revoke = below(8) != 0,
                             .slab_bytes = 64 + below(4) * below(1000),
                             .large_slabs = (below(4) / 3) << 17U,
                             .slabs_at_first = below(4),
                             .slabs_max = below(4) == 0 ? 1000 : below(16)};
  options.stalls = below(3) * kAlways / 16;
  options.early_bytes = below(2) * kAlways / 8;
  if (trouble.faults) {
    options.completion_errors = below(2) * kAlways / 500;
    options.post_errors = below(4) == 0 ? kAlways / 500 : 0;
    options.allocation_errors = below(8) == 0 ? kAlways / 4 : 0;
    options.handshake_errors = below(4) == 0 ? kAlways / 8 : 0;
    if (below(8) == 0) options.pinned_bytes_max = below(20'000);
    if (below(8) == 0) options.queue_pairs_max = 1 + below(6);
  }
  options.hostile_end = trouble.hostile;
  return options;
}

stream::Options Simulation::EngineOptions() {
  const auto below = [this](uint32_t limit) { return static_cast<uint32_t>(random_() % limit); };
  stream::Options options;
  options.receive.own_bytes = stream::Receiver::kHeadBytes + 100 + below(4000);
  options.receive.window_bytes = 1 + below(20'000);
  options.receive.view_bytes_min = 1 + below(2) * below(500);
  options.receive.credits_max = 4 + below(40);
  options.send.ring_bytes = 64 + below(6000);
  options.send.large_message_bytes_max = 1 + below(2) * below(200) + below(5000);
  options.send.message_bytes_max = 1 + below(2) * below(200) + below(5000);
  return options;
}

Simulation::Simulation(uint64_t seed, const Trouble& trouble, const Wrap& wrap)
    : random_(seed),
      trouble_(trouble),
      sim_(FabricOptions(seed, trouble, random_)),
      wrapped_(wrap ? wrap(&sim_) : nullptr),
      fabric_(wrapped_ ? wrapped_.get() : &sim_) {
  const stream::Options options = EngineOptions();
  const uint64_t count = random_() % 2 == 0 ? 1 : 1 + random_() % kPairsMax;
  for (uint64_t number = 0; number < count; number++) {
    // If both waited for the other to end, neither would.
    const Habits client = RandomHabits(true);
    const Habits server = RandomHabits(EndsFirst(client.ending));
    const Network plain = {
        .client = &sim_, .server = &sim_, .take_slab = [this] { return sim_.TakeSlab(); }};
    pairs_.push_back(std::make_unique<Pair>(plain, number, client, server));
    if (trouble.hostile) pairs_.back()->client.ExpectAnything();
    if (trouble.hostile) pairs_.back()->server.ExpectAnything();
    const auto port = static_cast<uint16_t>(1 + number);
    pairs_.back()->Connect({.client = fabric_, .server = fabric_, .take_slab = nullptr},
                           {.host = "10.0.0.2", .port = port, .ipv6 = false}, options);
  }
}

Habits Simulation::RandomHabits(bool last) {
  const auto below = [this](uint32_t limit) { return static_cast<uint32_t>(random_() % limit); };
  Habits habits;
  habits.bytes_to_send = below(4) == 0 ? 0 : below(6) == 0 ? below(100) : below(20'000);
  habits.write_bytes_max = below(4) == 0 ? 1 + below(100) : 5000;
  habits.read_bytes_max = below(4) == 0 ? 1 + below(100) : 3000;
  habits.write_pause = below(4) == 0 ? 1 + below(50) : 1 + below(4);
  habits.read_pause = below(4) == 0 ? 1 + below(50) : 1 + below(4);
  habits.reads_late = below(8) == 0;
  habits.views_max = below(3) == 0 ? 0 : 1 + below(10);
  habits.in_place_writes = below(4);
  habits.ending = static_cast<Ending>(below(4));
  if (!last && !EndsFirst(habits.ending)) habits.ending = Ending::kShutdownFirst;
  return habits;
}

std::string Simulation::Run() {
  for (uint32_t step = 0; step < kSafetySteps && !done(); step++) {
    Round(false);
    if (trouble_.faults && random_() % 2000 == 0) {
      Pair& pair = *pairs_[random_() % pairs_.size()];
      (random_() % 2 == 0 ? pair.client : pair.server).Disturb(random_);
    }
    if (trouble_.removal && random_() % kSafetySteps == 0) sim_.RemoveDevice();
  }
  if (std::string wrong = Safety(); !wrong.empty()) return wrong;
  sim_.EndFaults();
  for (uint32_t step = 0; step < kLivenessSteps && !done(); step++) Round(true);
  if (std::string wrong = Safety(); !wrong.empty()) return wrong;
  for (const auto& pair : pairs_) {
    if (!pair->done()) return "a connection did not come to its end:" + pair->Describe();
    if (trouble_.faults || trouble_.removal || trouble_.hostile) continue;
    if (std::string wrong = pair->Completeness(); !wrong.empty()) return wrong;
  }
  return CheckLeaks();
}

void Simulation::Round(bool finish) {
  const bool moved = fabric_->Poll(1);
  // In the end most of the time is the fabric's, so that it does not take too many rounds.
  if (finish && moved && random_() % 4 != 0) return;
  for (const auto& pair : pairs_) pair->Act(random_, finish);
}

bool Simulation::done() const {
  return std::all_of(pairs_.begin(), pairs_.end(), [](const auto& pair) { return pair->done(); });
}

std::string Simulation::Safety() const {
  for (const std::string& error : sim_.errors()) return error;
  for (const auto& pair : pairs_) {
    if (std::string wrong = pair->Safety(); !wrong.empty()) return wrong;
  }
  return {};
}

std::string Simulation::CheckLeaks() {
  for (const auto& pair : pairs_) {
    pair->client.DropViews(random_, true);
    pair->server.DropViews(random_, true);
  }
  while (fabric_->Poll(1)) {
  }
  if (std::string wrong = Safety(); !wrong.empty()) return wrong;
  const sim::SimMemory& memory = sim_.memory();
  if (!sim_.closed()) return "an endpoint or a registration is left";
  if (memory.regions() != 0) return "memory was left registered";
  if (memory.pool().slabs_used() != 0) return "a slab did not come back";
  if (memory.exposures() != 0) return "a slab is still exposed";
  if (sim_.credits_lent() != 0) return "borrowed credits were not given back";
  return {};
}

uint64_t Simulation::received() const {
  uint64_t bytes = 0;
  for (const auto& pair : pairs_) bytes += pair->client.received() + pair->server.received();
  return bytes;
}

uint64_t Simulation::received_in_place() const {
  uint64_t bytes = 0;
  for (const auto& pair : pairs_) {
    bytes += pair->client.received_in_place() + pair->server.received_in_place();
  }
  return bytes;
}

}  // namespace simulation
