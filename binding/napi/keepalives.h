#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>

#include "stream/connection.h"

namespace rdma_net::napi {

/// Connections that shall be asked for a sign of life when they have been quiet for a while, and
/// given up when none comes.
class Keepalives {
 public:
  /// @param interval_ms how long without a request of ours; 0 for never
  void Set(const stream::Connection& connection, uint64_t interval_ms, uint64_t now_ms);
  [[nodiscard]] bool empty() const { return watched_.empty(); }
  /// Looks after all of them; those that are gone (`find` returns null) are forgotten.
  void Tick(uint64_t now_ms, const std::function<stream::Connection*(uint32_t)>& find);

 private:
  struct Watched {
    uint64_t interval_ms;
    uint64_t quiet_since_ms;
    uint64_t work_requests;
  };
  std::unordered_map<uint32_t, Watched> watched_;
};

}  // namespace rdma_net::napi
