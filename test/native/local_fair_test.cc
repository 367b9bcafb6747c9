#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "one_link.h"
#include "stream/connection.h"
#include "tap.h"

/// Connections of one link that all have more to send than its queue can hold.
namespace {

using namespace rdma_net;
using simulation::OneLink;
using stream::Connection;

constexpr size_t kConnections = 150;

stream::Options SmallMessages() {
  stream::Options options;
  options.send.ring_bytes = 2048;
  options.send.large_message_bytes_max = 16;
  return options;
}

/// Clients that write as much as they can, in messages of a few bytes, and a server that reads all
/// of it.
class Flood final : public OneLink {
 public:
  Flood() : OneLink(kConnections, SmallMessages()), received_(kConnections) {}

  void Turn() {
    TurnClient(1000);
    TurnServer(200);
  }

  /// What the server has read since the last call: of whom it has least, and of whom most.
  std::pair<size_t, size_t> TakeSpread() {
    const auto [least, most] = std::minmax_element(received_.begin(), received_.end());
    const std::pair<size_t, size_t> spread = {*least, *most};
    std::fill(received_.begin(), received_.end(), size_t{0});
    return spread;
  }

 private:
  void Hear(Connection* connection, uint32_t news) override {
    if ((news & (stream::kNewsResponse | stream::kNewsWritable)) != 0) Fill(connection);
    if ((news & stream::kNewsReadable) != 0) Read(connection);
  }

  static void Fill(Connection* connection) {
    const std::array<std::byte, 1024> bytes{};
    size_t taken = bytes.size();
    while (taken == bytes.size()) connection->Write(bytes, false, &taken);
  }

  void Read(Connection* connection) {
    std::array<std::byte, 4096> bytes;
    for (size_t count = 1; count > 0;) {
      count = connection->Read(bytes);
      received_[connection->id() - kConnections] += count;
    }
  }

  std::vector<size_t> received_;
};

TEST("local: connections that want more than their link can carry get equal parts of it") {
  Flood flood;
  for (int turn = 0; turn < 300; turn++) flood.Turn();
  // The first ones had begun before the others were there.
  flood.TakeSpread();
  for (int turn = 0; turn < 1500; turn++) flood.Turn();
  const auto [least, most] = flood.TakeSpread();
  CHECK(least > 0);
  CHECK(most < 2 * least);
}

}  // namespace
