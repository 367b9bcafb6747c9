#pragma once

#include <memory>
#include <span>
#include <string>

#include "fabric/fabric.h"
#include "program.h"
#include "stream/connection.h"

namespace simulation {

/// What two programs have to connect over.
struct Network {
  fabric::Fabric* client;
  fabric::Fabric* server;
  TakeSlab take_slab;
};

/// Two programs with one connection between them.
class Pair final : public fabric::ListenerEvents {
 public:
  Pair(const Network& network, uint64_t number, const Habits& client, const Habits& server);
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  Pair(Pair&&) = delete;
  Pair& operator=(Pair&&) = delete;
  ~Pair() = default;

  Program client;
  Program server;

  /// @param network that the connection is made over: the same, or something in front of it
  void Connect(const Network& network, const fabric::Address& address,
               const stream::Options& options);
  /// One side is gone from one moment to the next, before its fabric.
  void Crash(bool client_side);
  void ReleaseListener() { listener_->Release(); }
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
  std::unique_ptr<fabric::Listener> listener_;
};

}  // namespace simulation
