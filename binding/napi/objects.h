#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "napi/transport.h"

/// What is told to JavaScript about connections: the shapes are those of lib/native.ts.
namespace rdma_net::napi {

/// `interface Endpoint`, or undefined for an address that is not known.
Napi::Value EndpointObject(Napi::Env env, const fabric::Address& address);
/// What `inspect` writes where; lib/native.ts describes each.
enum class InfoNumber : uint8_t {
  kDevicePort = 0,
  kQueuePairNumber = 1,
  kRemoteQueuePairNumber = 2,
  kMtuBytes = 3,
  kPeerHasExtension = 4,
  kPeerEndsBuffers = 5,
  kBytesReceived = 6,
  kBytesSent = 7,
  kBytesReceivedCopied = 8,
  kBytesReceivedInPlace = 9,
  kBytesSentCopied = 10,
  kBytesSentInPlace = 11,
  kMessagesReceived = 12,
  kMessagesSent = 13,
  kWorkRequests = 14,
  kCreditStalls = 15,
};

/// `inspect` of a connection that has an endpoint.
/// @param numbers one for each InfoNumber
Napi::Value InspectionOf(Napi::Env env, const stream::Connection& connection,
                         Napi::Float64Array numbers);
/// `interface Handshake`.
Napi::Object HandshakeObject(Napi::Env env, const fabric::HandshakeTimes& times);
/// `interface TransportStats`.
Napi::Object StatsObject(Napi::Env env, const Transport::Totals& totals);

/// `Place`: names that somebody would listen under, or undefined when there are none.
Napi::Value PlaceObject(Napi::Env env, std::vector<std::string> names);
/// What PlaceObject has made of them.
const std::vector<std::string>& NamesOfPlace(const Napi::Value& place);

}  // namespace rdma_net::napi
