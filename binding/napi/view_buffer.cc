#include "napi/view_buffer.h"

#include <cstring>
#include <memory>
#include <utility>

namespace rdma_net::napi {

Napi::Value ViewBuffer(Napi::Env env, stream::View view) {
  auto slab = std::make_unique<fabric::SlabRef>(std::move(view.slab));
  const auto release = [](napi_env, void*, void* hint) {
    const std::unique_ptr<fabric::SlabRef> last(static_cast<fabric::SlabRef*>(hint));
  };
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, view.bytes.data(), view.bytes.size(), release, slab.get(), &buffer);
  if (status == napi_ok) {
    // From now on it is the finalizer's.
    static_cast<void>(slab.release());
    return {env, buffer};
  }
  void* data = nullptr;
  // Neither can be had while the environment is being torn down, and then nobody will miss it.
  if (napi_create_arraybuffer(env, view.bytes.size(), &data, &buffer) != napi_ok) {
    return env.Undefined();
  }
  std::memcpy(data, view.bytes.data(), view.bytes.size());
  return {env, buffer};
}

}  // namespace rdma_net::napi
