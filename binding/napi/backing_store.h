#pragma once

#include <napi.h>

#include <memory>

namespace rdma_net::napi {

/// Keeps the memory of an ArrayBuffer alive, whatever becomes of the ArrayBuffer: collected,
/// detached or transferred. Node-API has no word for this; V8 has
/// (v8::ArrayBuffer::GetBackingStore), and its symbol is looked up at run time, so that a Node
/// without it only copies more.
///
/// @return null when it cannot be had, or would not be the memory that Node-API shows
std::shared_ptr<void> HoldBackingStore(Napi::ArrayBuffer buffer);

}  // namespace rdma_net::napi
