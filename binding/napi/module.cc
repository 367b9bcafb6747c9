#include <napi.h>

#include <cstring>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "napi/backing_store.h"
#include "napi/objects.h"
#include "napi/transport.h"
#include "napi/view_buffer.h"

#if RDMA_NET_HAS_VERBS
#include "verbs/verbs_fabric.h"
#endif

/// `interface Binding` of lib/native.ts: thin functions that unpack arguments for napi::Transport.
namespace rdma_net::napi {

namespace {

using fabric::Status;
using stream::Connection;

constexpr double kReceiveBytesMin = 64 << 10;
constexpr double kSendBytesMin = 4 << 10;
constexpr double kBufferBytesMax = 64 << 20;
constexpr double kPinnedBytesMin = 1 << 20;

Transport* Self(const Napi::CallbackInfo& info) {
  return static_cast<Transport*>(info.Data());
}

uint32_t Id(const Napi::CallbackInfo& info) {
  return info[0].As<Napi::Number>().Uint32Value();
}

Napi::Value StatusValue(const Napi::CallbackInfo& info, Status status) {
  return Napi::Number::New(info.Env(), static_cast<double>(status));
}

/// The bytes that (array, offset, length) at `first` mean, never more than the array has.
std::span<std::byte> Bytes(const Napi::CallbackInfo& info, size_t first) {
  auto array = info[first].As<Napi::Uint8Array>();
  const size_t offset = info[first + 1].As<Napi::Number>().Uint32Value();
  const size_t length = info[first + 2].As<Napi::Number>().Uint32Value();
  const std::span<std::byte> all(reinterpret_cast<std::byte*>(array.Data()), array.ByteLength());
  const auto rest = all.subspan(std::min(offset, all.size()));
  return rest.first(std::min(length, rest.size()));
}

Napi::Value Connect(const Napi::CallbackInfo& info) {
  fabric::Target target;
  target.remote = {.host = info[0].As<Napi::String>(),
                   .port = static_cast<uint16_t>(info[1].As<Napi::Number>().Uint32Value())};
  if (info[2].IsString()) target.local_host = info[2].As<Napi::String>();
  if (info[3].IsNumber()) {
    target.local_port = static_cast<uint16_t>(info[3].As<Napi::Number>().Uint32Value());
  }
  return Napi::Number::New(info.Env(), Self(info)->Connect(target));
}

Napi::Value Listen(const Napi::CallbackInfo& info) {
  const fabric::Address address = {
      .host = info[0].As<Napi::String>(),
      .port = static_cast<uint16_t>(info[1].As<Napi::Number>().Uint32Value())};
  const int backlog = info[2].As<Napi::Number>().Int32Value();
  return Napi::Number::New(info.Env(), Self(info)->Listen(address, backlog));
}

Napi::Value Establish(const Napi::CallbackInfo& info) {
  return StatusValue(info, Self(info)->Establish(Id(info)));
}

Napi::Value Read(const Napi::CallbackInfo& info) {
  Connection* connection = Self(info)->connection(Id(info));
  const size_t bytes = connection == nullptr ? 0 : connection->Read(Bytes(info, 1));
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

Napi::Value Write(const Napi::CallbackInfo& info) {
  Connection* connection = Self(info)->connection(Id(info));
  size_t taken = 0;
  Status status = Status::kNotConnected;
  if (connection != nullptr) {
    status = connection->Write(Bytes(info, 1), info[4].As<Napi::Boolean>(), &taken);
  }
  const double result =
      status == Status::kOk ? static_cast<double>(taken) : -static_cast<double>(status);
  return Napi::Number::New(info.Env(), result);
}

Napi::Value ReadInPlace(const Napi::CallbackInfo& info) {
  Connection* connection = Self(info)->connection(Id(info));
  if (connection == nullptr) return info.Env().Undefined();
  std::optional<stream::View> view = connection->ReadInPlace();
  return view ? ViewBuffer(info.Env(), std::move(*view)) : info.Env().Undefined();
}

void SetReadInPlace(const Napi::CallbackInfo& info) {
  Connection* connection = Self(info)->connection(Id(info));
  if (connection != nullptr) connection->SetReadInPlace(info[1].As<Napi::Boolean>());
}

Napi::Value WriteInPlace(const Napi::CallbackInfo& info) {
  const uint32_t registration = info[4].As<Napi::Number>().Uint32Value();
  const auto owner = [&info]() -> std::shared_ptr<void> {
    const Napi::Value buffer = info[1].As<Napi::Uint8Array>().ArrayBuffer();
    // A shared one can be written to by others, and cannot be detached.
    return buffer.IsArrayBuffer() ? HoldBackingStore(buffer.As<Napi::ArrayBuffer>()) : nullptr;
  };
  const int32_t result = Self(info)->WriteInPlace(Id(info), Bytes(info, 1), registration, owner);
  return Napi::Number::New(info.Env(), result);
}

void Flush(const Napi::CallbackInfo& info) {
  Connection* connection = Self(info)->connection(Id(info));
  if (connection != nullptr) connection->Flush();
}

Napi::Value Register(const Napi::CallbackInfo& info) {
  const uint32_t id = Self(info)->Register(info[0].As<Napi::ArrayBuffer>());
  return Napi::Number::New(info.Env(), id);
}

void Unregister(const Napi::CallbackInfo& info) {
  Self(info)->Unregister(info[0].As<Napi::Number>().Uint32Value());
}

void SetKeepAlive(const Napi::CallbackInfo& info) {
  Self(info)->SetKeepAlive(Id(info), info[1].As<Napi::Number>().Uint32Value());
}

Napi::Value Shutdown(const Napi::CallbackInfo& info) {
  Connection* connection = Self(info)->connection(Id(info));
  return StatusValue(info, connection == nullptr ? Status::kNotConnected : connection->Shutdown());
}

void Close(const Napi::CallbackInfo& info) {
  Self(info)->Close(Id(info));
}

void Reset(const Napi::CallbackInfo& info) {
  Self(info)->Reset(Id(info));
}

void SetRef(const Napi::CallbackInfo& info) {
  Self(info)->SetRef(info[0].As<Napi::Boolean>());
}

void Farewell(const Napi::CallbackInfo& info) {
  Self(info)->Farewell(info[0].As<Napi::Number>().Uint32Value());
}

const fabric::Endpoint* FindEndpoint(const Napi::CallbackInfo& info) {
  const Connection* connection = Self(info)->connection(Id(info));
  return connection == nullptr ? nullptr : connection->endpoint();
}

Napi::Value LocalEndpoint(const Napi::CallbackInfo& info) {
  const fabric::Endpoint* endpoint = FindEndpoint(info);
  if (endpoint == nullptr) return info.Env().Undefined();
  return EndpointObject(info.Env(), endpoint->local_address());
}

Napi::Value RemoteEndpoint(const Napi::CallbackInfo& info) {
  const fabric::Endpoint* endpoint = FindEndpoint(info);
  if (endpoint == nullptr) return info.Env().Undefined();
  return EndpointObject(info.Env(), endpoint->remote_address());
}

Napi::Value Info(const Napi::CallbackInfo& info) {
  const Connection* connection = Self(info)->connection(Id(info));
  if (connection == nullptr || connection->endpoint() == nullptr) return info.Env().Undefined();
  return ConnectionInfoObject(info.Env(), *connection);
}

Napi::Value Stats(const Napi::CallbackInfo& info) {
  return StatsObject(info.Env(), Self(info)->totals());
}

Napi::Value IsOpen(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), Self(info)->open());
}

Napi::Value OpenError(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), Self(info)->open_error());
}

Napi::Object TransportObject(Napi::Env env, Transport* transport) {
  Napi::Object object = Napi::Object::New(env);
  const auto add = [&]<auto kFunction>(const char* name) {
    object[name] = Napi::Function::New<kFunction>(env, name, transport);
  };
  add.operator()<Connect>("connect");
  add.operator()<Listen>("listen");
  add.operator()<Establish>("establish");
  add.operator()<Read>("read");
  add.operator()<Write>("write");
  add.operator()<ReadInPlace>("readInPlace");
  add.operator()<SetReadInPlace>("setReadInPlace");
  add.operator()<WriteInPlace>("writeInPlace");
  add.operator()<Flush>("flush");
  add.operator()<Register>("register");
  add.operator()<Unregister>("unregister");
  add.operator()<SetKeepAlive>("setKeepAlive");
  add.operator()<Shutdown>("shutdown");
  add.operator()<Close>("close");
  add.operator()<Reset>("reset");
  add.operator()<SetRef>("setRef");
  add.operator()<Farewell>("farewell");
  add.operator()<LocalEndpoint>("localEndpoint");
  add.operator()<RemoteEndpoint>("remoteEndpoint");
  add.operator()<Info>("info");
  add.operator()<Stats>("stats");
  add.operator()<IsOpen>("isOpen");
  add.operator()<OpenError>("openError");
  object["events"] = transport->events();
  return object;
}

/// A whole number that an option may be, with its limits.
struct Range {
  const char* name;
  double min;
  double max;
};

/// Reads an optional number; false with a RangeError pending when it is out of range.
bool ReadNumber(const Napi::Object& options, const Range& range, size_t* number) {
  const Napi::Value value = options.Get(range.name);
  if (value.IsUndefined()) return true;
  const double given = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  if (given >= range.min && given <= range.max) {
    *number = static_cast<size_t>(given);
    return true;
  }
  const auto text = [](double limit) { return std::to_string(static_cast<uint64_t>(limit)); };
  Napi::RangeError::New(options.Env(), std::string(range.name) + " must be a number from " +
                                           text(range.min) + " to " + text(range.max))
      .ThrowAsJavaScriptException();
  return false;
}

#if RDMA_NET_HAS_VERBS
/// Reads `interface TransportOptions`; false with a RangeError pending.
bool ReadOptions(const Napi::Value& value, stream::Options* stream,
                 verbs::VerbsFabric::Options* verbs, loop::Pump::Options* pump) {
  if (value.IsObject()) {
    const auto given = value.As<Napi::Object>();
    constexpr double kCountMax = std::numeric_limits<int32_t>::max();
    constexpr double kMost = double{1ULL << 50};
    size_t queue_pairs = verbs->queue_pairs_max;
    size_t pinned_bytes = verbs->pinned_bytes_max;
    size_t spin_us = pump->spin_us;
    if (!ReadNumber(given, {"receiveBufferBytes", kReceiveBytesMin, kBufferBytesMax},
                    &stream->receive.window_bytes) ||
        !ReadNumber(given, {"sendBufferBytes", kSendBytesMin, kBufferBytesMax},
                    &stream->send.ring_bytes) ||
        !ReadNumber(given, {"pinnedBytesMax", kPinnedBytesMin, kMost}, &pinned_bytes) ||
        !ReadNumber(given, {"queuePairsMax", 1, kCountMax}, &queue_pairs) ||
        !ReadNumber(given, {"spinMicroseconds", 0, loop::Pump::kSpinMax}, &spin_us)) {
      return false;
    }
    pump->spin_us = static_cast<uint32_t>(spin_us);
    verbs->queue_pairs_max = static_cast<uint32_t>(queue_pairs);
    verbs->pinned_bytes_max = pinned_bytes;
  }
  verbs->devices.send_bytes = stream->send.ring_bytes;
  verbs->devices.receive_bytes = stream->receive.own_bytes;
  return true;
}
#endif

Napi::Value CreateTransport(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
#if RDMA_NET_HAS_VERBS
  stream::Options stream;
  verbs::VerbsFabric::Options verbs;
  loop::Pump::Options pump;
  if (!ReadOptions(info[1], &stream, &verbs, &pump)) return env.Undefined();
  fabric::Failure failure;
  std::unique_ptr<fabric::Fabric> fabric = verbs::VerbsFabric::Create(verbs, &failure);
  if (fabric == nullptr) {
    Napi::Error::New(env, std::string("descriptors for RDMA: ") + std::strerror(failure.detail))
        .ThrowAsJavaScriptException();
    return env.Undefined();
  }
  Transport* transport =
      Transport::Create(env, std::move(fabric), stream, pump, info[0].As<Napi::Function>());
  if (transport == nullptr) return env.Undefined();
  return TransportObject(env, transport);
#else
  Napi::Error::New(env, "rdma-net was built without the headers of rdma-core")
      .ThrowAsJavaScriptException();
  return env.Undefined();
#endif
}

Napi::Value Probe(const Napi::CallbackInfo& info) {
#if RDMA_NET_HAS_VERBS
  return StatusValue(info, verbs::VerbsFabric::Probe());
#else
  return StatusValue(info, Status::kNotBuilt);
#endif
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports["hasVerbs"] = Napi::Boolean::New(env, RDMA_NET_HAS_VERBS != 0);
  exports["probe"] = Napi::Function::New<Probe>(env, "probe");
  exports["createTransport"] = Napi::Function::New<CreateTransport>(env, "createTransport");
  return exports;
}

}  // namespace

}  // namespace rdma_net::napi

static Napi::Object InitModule(Napi::Env env, Napi::Object exports) {
  return rdma_net::napi::Init(env, exports);
}

NODE_API_MODULE(rdma_net, InitModule)
