#pragma once

#include <napi.h>

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

}  // namespace rdma_net::napi
