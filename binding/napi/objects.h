#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "napi/transport.h"

/// What is told to JavaScript about connections: the shapes are those of lib/native.ts.
namespace rdma_net::napi {

/// `interface Endpoint`, or undefined for an address that is not known.
Napi::Value EndpointObject(Napi::Env env, const fabric::Address& address);
/// `interface ConnectionInfo`, of a connection that has an endpoint.
Napi::Object ConnectionInfoObject(Napi::Env env, const stream::Connection& connection);
/// `interface Handshake`.
Napi::Object HandshakeObject(Napi::Env env, const fabric::HandshakeTimes& times);
/// `interface TransportStats`.
Napi::Object StatsObject(Napi::Env env, const Transport::Totals& totals);

/// `Place`: names that somebody would listen under, or undefined when there are none.
Napi::Value PlaceObject(Napi::Env env, std::vector<std::string> names);
/// What PlaceObject has made of them.
const std::vector<std::string>& NamesOfPlace(const Napi::Value& place);

}  // namespace rdma_net::napi
