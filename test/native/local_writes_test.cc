#include <array>
#include <cstddef>
#include <memory>

#include "one_link.h"
#include "stream/connection.h"
#include "tap.h"

/// Writes whose bytes stay where they are until there is room in the queue of the link.
namespace {

using namespace rdma_net;
using simulation::OneLink;
using stream::Connection;

constexpr size_t kConnections = 100;
/// What the queue of a link takes before a write has to wait.
constexpr size_t kWrites = 3584;
constexpr uint32_t kBudget = 10'000;

TEST("local: a write that had to wait is told of, although the next one is sent at once") {
  // Nobody reads.
  OneLink connections(kConnections);
  for (int turn = 0; turn < 20; turn++) {
    connections.TurnClient(kBudget);
    connections.TurnServer(kBudget);
  }
  const std::array<std::byte, 10> few{};
  const auto bytes = std::make_shared<std::array<std::byte, 1000>>();
  size_t taken = 0;
  for (size_t n = 1; n < kWrites; n++) {
    connections.client(1 + n % (kConnections - 1))->Write(few, false, &taken);
  }
  // The last one is of the connection that is going to wait: nobody waits before it.
  Connection* connection = connections.client(0);
  connection->Write(few, false, &taken);
  CHECK(connection->WriteHeld(*bytes, bytes, &taken) == fabric::Status::kOk);
  CHECK(taken == bytes->size());
  CHECK(!connection->TakeSentAtOnce());
  CHECK(connection->TakeSentCount() == 0);
  // There is room in memory that both have, before the client has looked at anything.
  connections.TurnServer(kBudget);
  CHECK(connection->WriteHeld(*bytes, bytes, &taken) == fabric::Status::kOk);
  CHECK(!connection->TakeSentAtOnce());
  CHECK(connection->TakeSentCount() == 2);
  // Without one before it, a write needs no word.
  CHECK(connection->WriteHeld(*bytes, bytes, &taken) == fabric::Status::kOk);
  CHECK(connection->TakeSentAtOnce());
  CHECK(connection->TakeSentCount() == 0);
}

}  // namespace
