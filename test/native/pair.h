#pragma once

#include <memory>
#include <span>
#include <string>

#include "fabric/fabric.h"
#include "program.h"
#include "stream/connection.h"

namespace simulation {

/// Two programs with one connection between them.
class Pair final : public fabric::ListenerEvents {
 public:
  Pair(sim::SimFabric* sim, uint64_t number, const Habits& client, const Habits& server);
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  Pair(Pair&&) = delete;
  Pair& operator=(Pair&&) = delete;
  ~Pair() = default;

  Program client;
  Program server;

  void Connect(fabric::Fabric* fabric, const stream::Options& options);
  void Act(Random& random, bool finish);

  [[nodiscard]] bool done() const;
  /// Something is wrong in any case; empty if not.
  [[nodiscard]] std::string Safety() const;
  /// Something is wrong if nothing failed and nobody lost patience; empty if not.
  [[nodiscard]] std::string Completeness() const;
  [[nodiscard]] std::string Describe() const;

  void OnListening() override {}
  void OnListenFailed(fabric::Failure) override {}
  void OnListenerReleased() override {}
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override;

 private:
  stream::Options options_;
  uint16_t port_;
  std::unique_ptr<fabric::Listener> listener_;
};

}  // namespace simulation
