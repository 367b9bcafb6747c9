#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "pair.h"
#include "program.h"
#include "sim/sim_fabric.h"
#include "stream/connection.h"

namespace simulation {

/// What may go wrong in a run.
struct Trouble {
  /// Requests, handshakes and allocations fail, and programs lose patience.
  bool faults = false;
  /// The device is taken away.
  bool removal = false;
  /// Bytes that arrive may be any: peers write where they should not.
  bool hostile = false;
};

/// Puts something between the engine and the simulated fabric.
using Wrap = std::function<std::unique_ptr<fabric::Fabric>(sim::SimFabric*)>;

/// Pairs of programs over the stream engine on one simulated fabric. Each writes a stream that it
/// can compute, reads in pieces of any size with pauses, and ends it in one of the legal ways. In
/// the safety phase anything may happen, and what arrives must be a prefix of what was sent. Then
/// the faults stop, and everything must come to its end in a bounded number of steps, with all
/// bytes where nothing failed, and nothing left.
class Simulation {
 public:
  Simulation(uint64_t seed, const Trouble& trouble, const Wrap& wrap = nullptr);
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;
  Simulation(Simulation&&) = delete;
  Simulation& operator=(Simulation&&) = delete;
  ~Simulation() = default;

  /// Returns what went wrong, or nothing.
  std::string Run();

  [[nodiscard]] uint64_t received() const;
  [[nodiscard]] uint64_t received_in_place() const;

 private:
  [[nodiscard]] static sim::SimOptions FabricOptions(uint64_t seed, const Trouble& trouble,
                                                     Random& random);
  [[nodiscard]] stream::Options EngineOptions();
  [[nodiscard]] Habits RandomHabits(bool last);
  void Round(bool finish);
  [[nodiscard]] bool done() const;
  /// Everybody lets go of what they have, and nothing may be left.
  std::string CheckLeaks();
  [[nodiscard]] std::string Safety() const;

  Random random_;
  Trouble trouble_;
  sim::SimFabric sim_;
  std::unique_ptr<fabric::Fabric> wrapped_;
  fabric::Fabric* fabric_;
  std::vector<std::unique_ptr<Pair>> pairs_;
};

}  // namespace simulation
