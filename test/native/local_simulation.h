#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "local_host.h"
#include "pair.h"
#include "program.h"
#include "stream/connection.h"

namespace simulation {

/// What may go wrong in a run over the fabric of one host.
struct LocalTrouble {
  /// Programs lose patience.
  bool impatience = false;
  /// One of the two processes is killed.
  bool crash = false;
};

/// Pairs of programs over the stream engine on two fabrics of this host, which are polled, and
/// sleep, in any order. As with Simulation, a safety phase comes first, and then everything must
/// come to its end, with nothing left.
class LocalSimulation {
 public:
  LocalSimulation(uint64_t seed, const LocalTrouble& trouble);
  LocalSimulation(const LocalSimulation&) = delete;
  LocalSimulation& operator=(const LocalSimulation&) = delete;
  LocalSimulation(LocalSimulation&&) = delete;
  LocalSimulation& operator=(LocalSimulation&&) = delete;
  ~LocalSimulation() = default;

  /// Returns what went wrong, or nothing.
  std::string Run();

 private:
  [[nodiscard]] stream::Options EngineOptions();
  [[nodiscard]] Habits RandomHabits(bool last);
  void Round(bool finish);
  void Crash(bool client_side);
  [[nodiscard]] bool done() const;
  [[nodiscard]] std::string Safety() const;
  /// Memory and connections are given back, and both fabrics end.
  std::string CheckLeaks();

  Random random_;
  LocalTrouble trouble_;
  LocalHost client_;
  LocalHost server_;
  std::vector<std::unique_ptr<Pair>> pairs_;
};

}  // namespace simulation
