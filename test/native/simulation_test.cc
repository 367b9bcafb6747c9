#include <cstdint>
#include <string>

#include "seeds.h"
#include "simulation.h"
#include "tap.h"

/// The stream engine on the simulated fabric; see Simulation for what is asked of it, and seeds.h
/// for how to replay a seed.
namespace {

using simulation::Simulation;
using simulation::Trouble;

/// With so many seeds the share of what is read in place is the same for all.
constexpr uint64_t kSeedsOfShare = 100;

std::string RunOne(uint64_t seed, const Trouble& trouble) {
  Simulation simulation(seed, trouble);
  return simulation.Run();
}

TEST("simulation: all bytes arrive in both directions, and everything comes to its end") {
  seeds::Run(t, 1, [](uint64_t seed) { return RunOne(seed, {}); });
}

TEST("simulation: with failing requests and sudden ends, what arrives is a prefix, nothing leaks") {
  seeds::Run(t, 1, [](uint64_t seed) { return RunOne(seed, {.faults = true}); });
}

TEST("simulation: when the device is taken away, all connections fail and nothing leaks") {
  seeds::Run(t, 10, [](uint64_t seed) {
    return RunOne(seed, {.faults = seed % 2 == 0, .removal = true});
  });
}

TEST("simulation: a good part of what arrives is read in place") {
  uint64_t received = 0;
  uint64_t in_place = 0;
  const auto count = [&](uint64_t seed) {
    Simulation simulation(seed, {});
    std::string wrong = simulation.Run();
    received += simulation.received();
    in_place += simulation.received_in_place();
    return wrong;
  };
  // One seed, or a few, may do without.
  seeds::Run(t, 100, count, kSeedsOfShare);
  CHECK(seeds::replays() || in_place > received / 20);
}

}  // namespace
