#include <napi.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "local/local_fabric.h"
#include "napi/backing_store.h"
#include "napi/objects.h"
#include "napi/options.h"
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

/// Memory that is shared is cheap, and waking up the other side is not: a large window, in as many
/// buffers as updates can name, lets both sides go on for longer.
constexpr size_t kLocalBuffers = 8;

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
  const fabric::ListenOptions options = {
      .backlog = info[2].As<Napi::Number>().Int32Value(),
      .ipv6_only = info[3].IsBoolean() && info[3].As<Napi::Boolean>(),
      .sharing = info[4].IsNumber()
                     ? static_cast<fabric::Sharing>(info[4].As<Napi::Number>().Uint32Value())
                     : fabric::Sharing::kAlone};
  return Napi::Number::New(info.Env(), Self(info)->Listen(address, options));
}

Napi::Value PlaceOf(const Napi::CallbackInfo& info) {
  const auto port = static_cast<uint16_t>(info[1].As<Napi::Number>().Uint32Value());
  return PlaceObject(info.Env(),
                     Self(info)->NamesAt({.host = info[0].As<Napi::String>(), .port = port}));
}

Napi::Value MayListen(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), Self(info)->MayListen(NamesOfPlace(info[0])));
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
    if (!buffer.IsArrayBuffer()) return nullptr;
    // One that shrinks takes its pages away (V8 has these since Node 20).
    const Napi::Value resizable = buffer.As<Napi::Object>().Get("resizable");
    if (resizable.IsBoolean() && resizable.As<Napi::Boolean>()) return nullptr;
    return HoldBackingStore(buffer.As<Napi::ArrayBuffer>());
  };
  const int32_t result = Self(info)->WriteInPlace(Id(info), Bytes(info, 1), registration, owner);
  return Napi::Number::New(info.Env(), result);
}

void Free(const Napi::CallbackInfo& info) {
  if (info[0].IsArrayBuffer()) info[0].As<Napi::ArrayBuffer>().Detach();
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

Napi::Value Retire(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), Self(info)->Retire(Id(info)));
}

void Reset(const Napi::CallbackInfo& info) {
  Self(info)->Reset(Id(info));
}

void RunSoon(const Napi::CallbackInfo& info) {
  Self(info)->RunSoon();
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

Napi::Value Inspect(const Napi::CallbackInfo& info) {
  const Connection* connection = Self(info)->connection(Id(info));
  if (connection == nullptr || connection->endpoint() == nullptr) return info.Env().Undefined();
  return InspectionOf(info.Env(), *connection, info[1].As<Napi::Float64Array>());
}

Napi::Value Handshake(const Napi::CallbackInfo& info) {
  const Connection* connection = Self(info)->known_connection(Id(info));
  if (connection == nullptr || connection->endpoint() == nullptr) return info.Env().Undefined();
  return HandshakeObject(info.Env(), connection->endpoint()->handshake());
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
  add.operator()<PlaceOf>("placeOf");
  add.operator()<MayListen>("mayListen");
  add.operator()<Establish>("establish");
  add.operator()<Read>("read");
  add.operator()<Write>("write");
  add.operator()<ReadInPlace>("readInPlace");
  add.operator()<SetReadInPlace>("setReadInPlace");
  add.operator()<WriteInPlace>("writeInPlace");
  add.operator()<Flush>("flush");
  add.operator()<Free>("free");
  add.operator()<Register>("register");
  add.operator()<Unregister>("unregister");
  add.operator()<SetKeepAlive>("setKeepAlive");
  add.operator()<Shutdown>("shutdown");
  add.operator()<Close>("close");
  add.operator()<Retire>("retire");
  add.operator()<Reset>("reset");
  add.operator()<SetRef>("setRef");
  add.operator()<RunSoon>("runSoon");
  add.operator()<Farewell>("farewell");
  add.operator()<LocalEndpoint>("localEndpoint");
  add.operator()<RemoteEndpoint>("remoteEndpoint");
  add.operator()<Inspect>("inspect");
  add.operator()<Handshake>("handshake");
  add.operator()<Stats>("stats");
  add.operator()<IsOpen>("isOpen");
  add.operator()<OpenError>("openError");
  object["events"] = transport->events();
  object["copiesWrites"] = Napi::Boolean::New(env, transport->copies_writes());
  return object;
}

/// Null with an exception pending.
Napi::Value Refuse(Napi::Env env, const std::string& message) {
  Napi::Error::New(env, message).ThrowAsJavaScriptException();
  return env.Undefined();
}

#if RDMA_NET_HAS_VERBS
std::unique_ptr<fabric::Fabric> CreateVerbs(const GivenOptions& given, fabric::Failure* failure) {
  verbs::VerbsFabric::Options options;
  if (given.pinned_bytes_max) options.pinned_bytes_max = *given.pinned_bytes_max;
  if (given.connections_max) options.queue_pairs_max = *given.connections_max;
  options.devices.send_bytes = given.stream.send.ring_bytes;
  options.devices.receive_bytes = given.stream.receive.own_bytes;
  return verbs::VerbsFabric::Create(options, failure);
}
#else
std::unique_ptr<fabric::Fabric> CreateVerbs(const GivenOptions&, fabric::Failure* failure) {
  *failure = {.status = Status::kNotBuilt};
  return nullptr;
}
#endif

std::unique_ptr<fabric::Fabric> CreateLocal(const GivenOptions& given, fabric::Failure* failure) {
  local::LocalFabric::Options options;
  if (given.pinned_bytes_max) options.memory_bytes_max = *given.pinned_bytes_max;
  if (given.connections_max) options.connections_max = *given.connections_max;
  return local::LocalFabric::Create(options, failure);
}

bool IsLocal(const Napi::Value& name) {
  return name.IsString() && name.As<Napi::String>().Utf8Value() == "local";
}

Napi::Value CreateTransport(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const bool local = IsLocal(info[0]);
  GivenOptions options;
  if (local) {
    options.stream.receive.grown_buffers = kLocalBuffers;
    options.stream.receive.grown_bytes_max = kBufferBytesMax;
  }
  if (!ReadOptions(info[2], &options)) return env.Undefined();
  fabric::Failure failure;
  std::unique_ptr<fabric::Fabric> fabric =
      local ? CreateLocal(options, &failure) : CreateVerbs(options, &failure);
  if (fabric == nullptr) {
    if (failure.status == Status::kNotBuilt) return Refuse(env, "rdma-net was built without it");
    return Refuse(env, std::string("descriptors: ") + std::strerror(failure.detail));
  }
  Transport* transport = Transport::Create(env, std::move(fabric), options.stream, options.pump,
                                           info[1].As<Napi::Function>());
  if (transport == nullptr) return env.Undefined();
  return TransportObject(env, transport);
}

Status ProbeVerbs() {
#if RDMA_NET_HAS_VERBS
  return verbs::VerbsFabric::Probe();
#else
  return Status::kNotBuilt;
#endif
}

Napi::Value Probe(const Napi::CallbackInfo& info) {
  return StatusValue(info, IsLocal(info[0]) ? Status::kOk : ProbeVerbs());
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
