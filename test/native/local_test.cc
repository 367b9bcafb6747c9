#include <cstdint>
#include <string>

#include "local_host.h"
#include "local_simulation.h"
#include "seeds.h"
#include "tap.h"

/// The stream engine over shared memory; see LocalSimulation for what is asked of it.
namespace {

using simulation::LocalSimulation;
using simulation::LocalTrouble;

constexpr uint64_t kDivisor = 10;

std::string RunOne(uint64_t seed, const LocalTrouble& trouble) {
  const size_t files = simulation::OpenFiles();
  std::string wrong;
  {
    LocalSimulation run(seed, trouble);
    wrong = run.Run();
  }
  if (wrong.empty() && simulation::OpenFiles() != files) return "a descriptor is left open";
  return wrong;
}

TEST("local: all bytes arrive in both directions, and everything comes to its end") {
  seeds::Run(t, kDivisor, [](uint64_t seed) { return RunOne(seed, {}); });
}

TEST("local: with programs that lose patience, what arrives is a prefix, and nothing is left") {
  seeds::Run(t, kDivisor, [](uint64_t seed) { return RunOne(seed, {.impatience = true}); });
}

TEST("local: when one process dies, the other's connections end, and what arrived is a prefix") {
  seeds::Run(t, kDivisor, [](uint64_t seed) {
    return RunOne(seed, {.impatience = seed % 4 == 0, .crash = true});
  });
}

}  // namespace
