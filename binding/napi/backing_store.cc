#include "napi/backing_store.h"

#include <dlfcn.h>

namespace rdma_net::napi {

namespace {

// std::shared_ptr<v8::BackingStore> v8::ArrayBuffer::GetBackingStore(), with `this` as the first
// argument that is not hidden (Itanium C++ ABI 3.1.3). What is pointed to does not change the
// layout of a shared_ptr.
using GetBackingStore = std::shared_ptr<void> (*)(void* array_buffer);
// void* v8::BackingStore::Data() const
using Data = void* (*)(const void* backing_store);

}  // namespace

std::shared_ptr<void> HoldBackingStore(Napi::ArrayBuffer buffer) {
  static const auto get_backing_store = reinterpret_cast<GetBackingStore>(
      dlsym(RTLD_DEFAULT, "_ZN2v811ArrayBuffer15GetBackingStoreEv"));
  static const auto data =
      reinterpret_cast<Data>(dlsym(RTLD_DEFAULT, "_ZNK2v812BackingStore4DataEv"));
  if (get_backing_store == nullptr || data == nullptr) return nullptr;
  // A napi_value is a v8::Local, and that is the address of a handle, which is the `this` of the
  // methods of v8::ArrayBuffer (js_native_api_v8.h of Node).
  std::shared_ptr<void> store = get_backing_store(static_cast<napi_value>(buffer));
  if (store == nullptr || data(store.get()) != buffer.Data()) return nullptr;
  return store;
}

}  // namespace rdma_net::napi
