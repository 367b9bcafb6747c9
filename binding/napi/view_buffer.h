#pragma once

#include <napi.h>

#include "stream/receive_window.h"

namespace rdma_net::napi {

/// An ArrayBuffer over received bytes, which keeps their slab until it is collected. V8 counts its
/// bytes as external memory, as those of any ArrayBuffer, so that collection keeps up.
/// @return a copy where Node does not allow external memory (napi_no_external_buffers_allowed)
Napi::Value ViewBuffer(Napi::Env env, stream::View view);

}  // namespace rdma_net::napi
