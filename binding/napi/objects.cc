#include "napi/objects.h"

#include <memory>
#include <utility>

namespace rdma_net::napi {

namespace {

Napi::Object CountersObject(Napi::Env env, const stream::Counters& counters) {
  Napi::Object object = Napi::Object::New(env);
  object["bytesReceived"] = static_cast<double>(counters.bytes_received);
  object["bytesSent"] = static_cast<double>(counters.bytes_sent);
  object["bytesReceivedCopied"] = static_cast<double>(counters.bytes_received_copied);
  object["bytesReceivedInPlace"] = static_cast<double>(counters.bytes_received_in_place);
  object["bytesSentCopied"] = static_cast<double>(counters.bytes_sent_copied);
  object["bytesSentInPlace"] = static_cast<double>(counters.bytes_sent_in_place);
  object["messagesReceived"] = static_cast<double>(counters.messages_received);
  object["messagesSent"] = static_cast<double>(counters.messages_sent);
  object["workRequests"] = static_cast<double>(counters.work_requests);
  object["creditStalls"] = static_cast<double>(counters.credit_stalls);
  return object;
}

}  // namespace

Napi::Value EndpointObject(Napi::Env env, const fabric::Address& address) {
  if (address.host.empty()) return env.Undefined();
  Napi::Object object = Napi::Object::New(env);
  object["address"] = address.host;
  object["port"] = address.port;
  object["family"] = address.ipv6 ? "IPv6" : "IPv4";
  return object;
}

Napi::Value InspectionOf(Napi::Env env, const stream::Connection& connection,
                         Napi::Float64Array numbers) {
  const fabric::EndpointInfo hardware = connection.endpoint()->info();
  const stream::Counters& counters = connection.counters();
  double* const written = numbers.Data();
  const auto write = [written](InfoNumber place, auto number) {
    written[static_cast<size_t>(place)] = static_cast<double>(number);
  };
  write(InfoNumber::kDevicePort, hardware.device_port);
  write(InfoNumber::kQueuePairNumber, hardware.queue_pair_number);
  write(InfoNumber::kRemoteQueuePairNumber, hardware.remote_queue_pair_number);
  write(InfoNumber::kMtuBytes, hardware.mtu_bytes);
  write(InfoNumber::kPeerHasExtension, connection.peer_has_extension());
  write(InfoNumber::kPeerEndsBuffers, connection.peer_ends_buffers());
  write(InfoNumber::kBytesReceived, counters.bytes_received);
  write(InfoNumber::kBytesSent, counters.bytes_sent);
  write(InfoNumber::kBytesReceivedCopied, counters.bytes_received_copied);
  write(InfoNumber::kBytesReceivedInPlace, counters.bytes_received_in_place);
  write(InfoNumber::kBytesSentCopied, counters.bytes_sent_copied);
  write(InfoNumber::kBytesSentInPlace, counters.bytes_sent_in_place);
  write(InfoNumber::kMessagesReceived, counters.messages_received);
  write(InfoNumber::kMessagesSent, counters.messages_sent);
  write(InfoNumber::kWorkRequests, counters.work_requests);
  write(InfoNumber::kCreditStalls, counters.credit_stalls);
  // Shared memory has no port, and nothing of what a port has.
  if (hardware.device_port == 0) return Napi::String::New(env, hardware.device);
  return Napi::String::New(env,
                           hardware.device + ' ' + hardware.local_gid + ' ' + hardware.remote_gid);
}

Napi::Object HandshakeObject(Napi::Env env, const fabric::HandshakeTimes& times) {
  Napi::Object object = Napi::Object::New(env);
  const auto add = [&object](const char* name, uint64_t since_us, uint64_t until_us) {
    if (until_us != 0) object[name] = static_cast<double>(until_us - since_us);
  };
  add("addressMicroseconds", times.begun_us, times.address_us);
  add("routeMicroseconds", times.address_us, times.route_us);
  add("deviceMicroseconds", times.route_us, times.device_us);
  add("answerMicroseconds", times.device_us, times.answer_us);
  return object;
}

Napi::Object StatsObject(Napi::Env env, const Transport::Totals& totals) {
  const fabric::FabricStats& fabric = totals.fabric;
  Napi::Object object = Napi::Object::New(env);
  object["connections"] = totals.connections;
  object["listeners"] = totals.listeners;
  object["queuePairs"] = fabric.queue_pairs;
  object["pinnedBytes"] = static_cast<double>(fabric.pinned_bytes);
  object["slabBytes"] = static_cast<double>(fabric.slab_bytes);
  object["slabBytesUsed"] = static_cast<double>(fabric.slab_bytes_used);
  object["registrations"] = fabric.registrations;
  object["registrationsMade"] = static_cast<double>(fabric.registrations_made);
  object["wakeUps"] = static_cast<double>(totals.wake_ups);
  object["completions"] = static_cast<double>(fabric.completions);
  object["counters"] = CountersObject(env, totals.counters);
  return object;
}

Napi::Value PlaceObject(Napi::Env env, std::vector<std::string> names) {
  if (names.empty()) return env.Undefined();
  using Names = std::vector<std::string>;
  auto kept = std::make_unique<Names>(std::move(names));
  const auto release = [](Napi::Env, Names* data) { const std::unique_ptr<Names> last(data); };
  const Napi::Value place = Napi::External<Names>::New(env, kept.get(), release);
  // From now on it is the finalizer's.
  static_cast<void>(kept.release());
  return place;
}

const std::vector<std::string>& NamesOfPlace(const Napi::Value& place) {
  return *place.As<Napi::External<std::vector<std::string>>>().Data();
}

}  // namespace rdma_net::napi
