#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "local_host.h"
#include "pair.h"
#include "program.h"
#include "raw_peer.h"
#include "stream/connection.h"

namespace simulation {

/// A program that a hostile peer meets: it takes every connection and echoes what comes, and has a
/// connection with an honest one all the time.
class HostileStand final : public fabric::ListenerEvents, public stream::ConnectionObserver {
 public:
  explicit HostileStand(uint64_t seed);
  HostileStand(const HostileStand&) = delete;
  HostileStand& operator=(const HostileStand&) = delete;
  HostileStand(HostileStand&&) = delete;
  HostileStand& operator=(HostileStand&&) = delete;
  ~HostileStand() = default;

  /// The name that a peer finds it by.
  [[nodiscard]] std::string name() const;
  [[nodiscard]] const fabric::Address& address() const { return address_; }
  [[nodiscard]] size_t connections() const { return connections_.size(); }
  /// A request for a connection, as an honest peer sends it.
  /// @param buffers two pages of its memory, which it announces
  [[nodiscard]] std::vector<std::byte> Request(uint64_t buffers,
                                               const std::string& from = "127.0.0.1") const;
  /// Lets the program and the honest one run.
  void Run(uint32_t rounds);
  /// The honest connection must come to its end, and nothing be left. What went wrong, or nothing.
  std::string Finish();

  void OnListening() override {}
  void OnListenFailed(fabric::Failure) override {}
  void OnListenerReleased() override {}
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override;
  void OnNews(stream::Connection*) override {}
  [[nodiscard]] uint64_t now_ms() const override { return server_.fabric()->now_ms(); }

 private:
  void Serve();
  [[nodiscard]] bool finished() const;

  Random random_;
  fabric::Address address_;
  LocalHost client_;
  LocalHost server_;
  std::unique_ptr<fabric::Listener> listener_;
  std::vector<std::unique_ptr<stream::Connection>> connections_;
  Pair honest_;
};

}  // namespace simulation
