#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "fabric/fabric.h"
#include "local/local_fabric.h"

namespace simulation {

using namespace rdma_net;

/// A fabric of programs of one host, and the loop that looks at it as loop::Pump does: it sleeps
/// when there is nothing, and then looks at nothing but the descriptor.
class LocalHost {
 public:
  explicit LocalHost(const local::LocalFabric::Options& options = {});

  [[nodiscard]] local::LocalFabric* fabric() const { return fabric_.get(); }
  /// One turn of the loop; false when it slept.
  bool Turn(uint32_t budget);
  /// It is gone from one moment to the next, as with its process.
  void Crash() { fabric_.reset(); }
  [[nodiscard]] bool crashed() const { return fabric_ == nullptr; }

 private:
  std::unique_ptr<local::LocalFabric> fabric_;
  bool awake_ = true;
};

/// An address of this host with a port that no other test has now: here ports are parts of names,
/// and nobody listens to them by TCP.
fabric::Address NextAddress(const std::string& host = "127.0.0.1");

/// Descriptors of this process.
size_t OpenFiles();

}  // namespace simulation
