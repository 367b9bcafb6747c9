// An addon whose Buffers lie in memory of its own. It goes away for good when they are collected,
// or with their environment.

#define NAPI_VERSION 8
#include <node_api.h>
#include <string.h>
#include <sys/mman.h>

static void Finalize(napi_env env, void* data, void* hint) {
  (void)env;
  munmap(data, (size_t)hint);
}

/// (bytes) => Buffer
static napi_value Make(napi_env env, napi_callback_info info) {
  napi_value argument;
  size_t count = 1;
  uint32_t bytes = 0;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_uint32(env, argument, &bytes);
  void* memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memset(memory, 7, bytes);
  napi_value buffer = NULL;
  napi_create_external_buffer(env, bytes, memory, Finalize, (void*)(size_t)bytes, &buffer);
  return buffer;
}

NAPI_MODULE_INIT() {
  napi_value function = NULL;
  napi_create_function(env, "make", NAPI_AUTO_LENGTH, Make, NULL, &function);
  return function;
}
