#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "planted_fabric.h"
#include "simulation.h"
#include "tap.h"

/// The simulation finds mistakes: each is planted between the engine and the fabric, and must be
/// found within a bounded number of seeds, while without it the same seeds are clean.
namespace {

using simulation::Bug;
using simulation::PlantedFabric;
using simulation::Simulation;

constexpr uint64_t kSeeds = 500;

std::string RunOne(uint64_t seed, Bug bug, bool hostile) {
  Simulation simulation(seed, {.hostile = hostile}, [=](rdma_net::sim::SimFabric* fabric) {
    return std::make_unique<PlantedFabric>(fabric, seed, bug, hostile);
  });
  return simulation.Run();
}

/// Whether one of the seeds finds the bug, with a text that contains `part`.
bool Finds(Bug bug, bool hostile, const char* part) {
  for (uint64_t seed = 1; seed <= kSeeds; seed++) {
    const std::string wrong = RunOne(seed, bug, hostile);
    if (wrong.empty() || wrong.find(part) == std::string::npos) continue;
    std::printf("# found by SEED=%llu: %s\n", static_cast<unsigned long long>(seed), wrong.c_str());
    return true;
  }
  return false;
}

TEST("planted bug: a lost credit is found, because a connection does not come to its end") {
  CHECK(Finds(Bug::kLostCredit, false, "did not come to its end"));
}

TEST("planted bug: a slab that is given out twice is found, because it is exposed twice") {
  CHECK(Finds(Bug::kDoubleRelease, false, "exposed twice"));
}

TEST("planted bug: a revocation that is reported early is found, because a view changes") {
  CHECK(Finds(Bug::kEarlyRevoke, true, "view"));
}

TEST("planted bug: a wake-up that nobody asked for is found, because what waits for it hangs") {
  CHECK(Finds(Bug::kLostAwait, false, "did not come to its end"));
}

TEST("planted bug: without one the same seeds are clean, also with peers that write anywhere") {
  for (const bool hostile : {false, true}) CHECK(!Finds(Bug::kNone, hostile, ""));
}

}  // namespace
