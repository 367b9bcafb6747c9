#include "pair.h"

#include <utility>

namespace simulation {

using stream::Connection;

Pair::Pair(const Network& network, uint64_t number, const Habits& client_habits,
           const Habits& server_habits)
    : client(network.client, network.take_slab, true, number, client_habits),
      server(network.server, network.take_slab, false, number, server_habits) {
  client.peer = &server;
  server.peer = &client;
}

void Pair::Connect(const Network& network, const fabric::Address& address,
                   const stream::Options& options) {
  options_ = options;
  fabric::Failure failure;
  listener_ = network.server->Listen(address, {}, this, &failure);
  auto connection = std::make_unique<Connection>(0, options_, &client);
  auto endpoint = network.client->Connect({.remote = address, .local_host = {}, .local_port = 0},
                                          connection.get(), &failure);
  if (endpoint == nullptr) return;
  client.connection = std::move(connection);
  client.connection->Start(std::move(endpoint));
}

void Pair::OnRequest(std::unique_ptr<fabric::Endpoint> endpoint, std::span<const std::byte> data) {
  server.connection = std::make_unique<Connection>(1, options_, &server);
  server.connection->Accept(std::move(endpoint), data);
}

void Pair::Crash(bool client_side) {
  (client_side ? client : server).connection.reset();
  if (!client_side) listener_.reset();
}

void Pair::Act(Random& random, bool finish) {
  for (Program* program : {&client, &server}) {
    if (program->connection == nullptr) continue;
    program->Listen();
    program->Act(random, finish);
  }
}

bool Pair::done() const {
  return (client.connection == nullptr || client.released()) &&
         (server.connection == nullptr || server.released());
}

std::string Pair::Safety() const {
  for (const Program* program : {&client, &server}) {
    const Program& peer = program == &client ? server : client;
    if (program->corrupt()) return "bytes arrived that were not sent, or a view changed";
    if (program->ViewsChanged()) return "the bytes of a view changed";
    if (program->received() > peer.sent()) return "more bytes arrived than were sent";
  }
  return {};
}

std::string Pair::Completeness() const {
  if (client.disturbed() || server.disturbed()) return {};
  for (const Program* program : {&client, &server}) {
    const Program& peer = program == &client ? server : client;
    const bool peer_leaves = peer.habits().ending == Ending::kCloseFirst;
    if (program->failed()) return "a connection failed without a fault" + Describe();
    if (program->write_failed() && !peer_leaves) return "a write failed without a fault";
    const bool leaves = program->habits().ending == Ending::kCloseFirst;
    if (!leaves && program->received() != peer.sent()) return "bytes are missing" + Describe();
  }
  return {};
}

std::string Pair::Describe() const {
  std::string text;
  for (const Program* program : {&client, &server}) {
    const Connection* connection = program->connection.get();
    if (connection == nullptr) continue;
    const fabric::Failure& failure = connection->failure();
    text += " [state " + std::to_string(static_cast<int>(connection->state())) + ", sent " +
            std::to_string(program->sent()) + " of " +
            std::to_string(program->habits().bytes_to_send) + ", received " +
            std::to_string(program->received()) + ", readable " +
            std::to_string(connection->readable_bytes()) + ", ending " +
            std::to_string(static_cast<int>(program->habits().ending)) + ", status " +
            std::to_string(static_cast<int>(failure.status)) + "/" +
            std::to_string(failure.detail) + (program->write_failed() ? ", write failed" : "") +
            (program->ended() ? ", ended" : "") + "]";
  }
  return text;
}

}  // namespace simulation
