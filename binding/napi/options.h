#pragma once

#include <napi.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "loop/pump.h"
#include "stream/connection.h"

namespace rdma_net::napi {

/// Most bytes that a connection may have of either kind of memory.
inline constexpr size_t kBufferBytesMax = size_t{64} << 20;

/// `interface TransportOptions`, whatever the fabric; what is not there was not given.
struct GivenOptions {
  stream::Options stream;
  std::optional<uint64_t> pinned_bytes_max;
  std::optional<uint32_t> connections_max;
  loop::Pump::Options pump;
};

/// Reads them; false with a RangeError pending.
bool ReadOptions(const Napi::Value& value, GivenOptions* options);

}  // namespace rdma_net::napi
