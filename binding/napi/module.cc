#include <napi.h>

#include <memory>
#include <string>
#include <utility>

#include "napi/transport.h"

#if RDMA_NET_HAS_VERBS
#include "verbs/verbs_fabric.h"
#endif

/// `interface Binding` of lib/native.ts: thin functions that unpack arguments for napi::Transport.
namespace rdma_net::napi {

namespace {

using fabric::Status;
using stream::Connection;

constexpr size_t kBufferBytesMin = 4096;
constexpr size_t kBufferBytesMax = size_t{64} << 20;

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

Napi::Value AddressObject(Napi::Env env, const fabric::Address& address) {
  if (address.host.empty()) return env.Undefined();
  Napi::Object object = Napi::Object::New(env);
  object["address"] = address.host;
  object["port"] = address.port;
  object["family"] = address.ipv6 ? "IPv6" : "IPv4";
  return object;
}

Napi::Value LocalEndpoint(const Napi::CallbackInfo& info) {
  const fabric::Endpoint* endpoint = FindEndpoint(info);
  if (endpoint == nullptr) return info.Env().Undefined();
  return AddressObject(info.Env(), endpoint->local_address());
}

Napi::Value RemoteEndpoint(const Napi::CallbackInfo& info) {
  const fabric::Endpoint* endpoint = FindEndpoint(info);
  if (endpoint == nullptr) return info.Env().Undefined();
  return AddressObject(info.Env(), endpoint->remote_address());
}

Napi::Object CountersObject(Napi::Env env, const stream::Counters& counters) {
  Napi::Object object = Napi::Object::New(env);
  object["bytesReceived"] = static_cast<double>(counters.bytes_received);
  object["bytesSent"] = static_cast<double>(counters.bytes_sent);
  object["bytesReceivedCopied"] = static_cast<double>(counters.bytes_received_copied);
  object["bytesSentCopied"] = static_cast<double>(counters.bytes_sent_copied);
  object["messagesReceived"] = static_cast<double>(counters.messages_received);
  object["messagesSent"] = static_cast<double>(counters.messages_sent);
  object["workRequests"] = static_cast<double>(counters.work_requests);
  object["creditStalls"] = static_cast<double>(counters.credit_stalls);
  return object;
}

Napi::Value Info(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Connection* connection = Self(info)->connection(Id(info));
  const fabric::Endpoint* endpoint = FindEndpoint(info);
  if (endpoint == nullptr) return env.Undefined();
  const fabric::EndpointInfo hardware = endpoint->info();
  Napi::Object object = Napi::Object::New(env);
  object["device"] = hardware.device;
  object["devicePort"] = hardware.device_port;
  object["localGid"] = hardware.local_gid;
  object["remoteGid"] = hardware.remote_gid;
  object["queuePairNumber"] = hardware.queue_pair_number;
  object["remoteQueuePairNumber"] = hardware.remote_queue_pair_number;
  object["mtu"] = hardware.mtu_bytes;
  object["peer"] = connection->peer_has_extension() ? "rdma-net" : "rsockets";
  object["features"] = Napi::Array::New(env);
  object["counters"] = CountersObject(env, connection->counters());
  return object;
}

Napi::Value Stats(const Napi::CallbackInfo& info) {
  const Transport::Totals totals = Self(info)->totals();
  Napi::Object object = Napi::Object::New(info.Env());
  object["connections"] = totals.connections;
  object["listeners"] = totals.listeners;
  object["queuePairs"] = totals.fabric.queue_pairs;
  object["pinnedBytes"] = static_cast<double>(totals.fabric.pinned_bytes);
  object["wakeUps"] = static_cast<double>(totals.wake_ups);
  object["completions"] = static_cast<double>(totals.fabric.completions);
  object["counters"] = CountersObject(info.Env(), totals.counters);
  return object;
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

/// Reads an optional size in bytes; false with a RangeError pending when it is out of range.
bool ReadSize(const Napi::Object& options, const char* name, size_t* bytes) {
  const Napi::Value value = options.Get(name);
  if (value.IsUndefined()) return true;
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  if (number >= kBufferBytesMin && number <= kBufferBytesMax) {
    // Two equal, aligned halves.
    *bytes = static_cast<size_t>(number) / 4096 * 4096;
    return true;
  }
  Napi::RangeError::New(options.Env(), std::string(name) + " must be a number of bytes from " +
                                           std::to_string(kBufferBytesMin) + " to " +
                                           std::to_string(kBufferBytesMax))
      .ThrowAsJavaScriptException();
  return false;
}

Napi::Value CreateTransport(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  stream::Options options;
  if (info[1].IsObject()) {
    const auto given = info[1].As<Napi::Object>();
    if (!ReadSize(given, "receiveBufferBytes", &options.receive_bytes)) return env.Undefined();
    if (!ReadSize(given, "sendBufferBytes", &options.send_bytes)) return env.Undefined();
  }
#if RDMA_NET_HAS_VERBS
  auto fabric = std::make_unique<verbs::VerbsFabric>(verbs::DeviceOptions{
      .queues = {}, .send_bytes = options.send_bytes, .receive_bytes = options.receive_bytes});
  Transport* transport =
      Transport::Create(env, std::move(fabric), options, info[0].As<Napi::Function>());
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
