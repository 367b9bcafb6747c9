#include <cstdint>
#include <string>

#include "crowd.h"
#include "seeds.h"
#include "sim/sim_fabric.h"
#include "tap.h"

/// Many connections at once, in one simulated process that talks to itself.
namespace {

using simulation::Crowd;

constexpr uint32_t kConnections = 10'000;

/// Runs until nothing happens any more.
void Run(Crowd* crowd, rdma_net::sim::SimFabric* fabric) {
  for (bool busy = true; busy;) {
    busy = fabric->Poll(1);
    busy |= crowd->Hear();
  }
}

TEST("crowd: 10,000 connections are open at once, all echo, and nothing is left of them") {
  seeds::Run(t, seeds::Count(), [&](uint64_t seed) -> std::string {
    rdma_net::sim::SimFabric fabric(
        {.seed = seed, .shared_receives = 1000, .slab_bytes = 4096, .slabs_max = 100});
    const rdma_net::fabric::Address address = {.host = "10.0.0.2", .port = 2, .ipv6 = false};
    Crowd crowd(&fabric, &fabric, address, kConnections, 1);
    Run(&crowd, &fabric);
    if (crowd.open() != kConnections) return "not all connections opened";
    if (crowd.echoed() != kConnections) return "not all connections echoed";
    fabric.ReportSent();
    Run(&crowd, &fabric);
    const uint64_t pinned = fabric.stats().pinned_bytes / (2 * kConnections);
    if (pinned > uint64_t{16} * 1024) return "an idle connection pins " + std::to_string(pinned);
    crowd.CloseClients();
    Run(&crowd, &fabric);
    if (crowd.failed() != 0) return "connections failed";
    if (crowd.closed() != 2 * kConnections || !fabric.closed()) return "not all closed";
    if (fabric.memory().regions() != 0) return "memory was left registered";
    for (const std::string& error : fabric.errors()) return error;
    return {};
  });
}

}  // namespace
