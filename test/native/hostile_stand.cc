#include "hostile_stand.h"

#include <array>
#include <utility>

#include "local/messages.h"
#include "local/rendezvous.h"
#include "stream/wire.h"
#include "system/address.h"

namespace simulation {

namespace {

constexpr uint32_t kRoundsMax = 20'000;
constexpr uint32_t kPageBytes = 4096;
constexpr uint64_t kHonestBytes = 3000;
const Habits kHabits = {.bytes_to_send = kHonestBytes,
                        .write_bytes_max = 500,
                        .read_bytes_max = 500,
                        .write_pause = 4,
                        .read_pause = 2,
                        .ending = Ending::kShutdownFirst};

}  // namespace

HostileStand::HostileStand(uint64_t seed)
    : random_(seed),
      address_(NextAddress()),
      honest_({.client = client_.fabric(), .server = server_.fabric(), .take_slab = nullptr}, seed,
              kHabits, kHabits) {
  fabric::Failure failure;
  listener_ = server_.fabric()->Listen(address_, {.backlog = 16}, this, &failure);
  honest_.Connect({.client = client_.fabric(), .server = server_.fabric(), .take_slab = nullptr},
                  NextAddress(), {});
}

std::string HostileStand::name() const {
  return local::NamesOfListener(address_, false).front();
}

std::vector<std::byte> HostileStand::Request(uint64_t buffers, const std::string& from) const {
  local::ConnectionRequest request;
  system::ParseAddress(address_.host, address_.port, &request.remote);
  system::ParseAddress(from, 0, &request.local);
  const stream::wire::ConnectData data = {
      .credits = 16,
      .sgl_address = buffers,
      .sgl_entries = 2,
      .first_buffer = {.address = buffers + kPageBytes, .bytes = kPageBytes}};
  std::array<std::byte, stream::wire::kConnectDataBytes + stream::wire::kExtensionBytes> bytes{};
  const size_t used = stream::wire::EncodeConnectData(data, bytes);
  request.data.assign(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(used));
  return local::EncodeRequest(request);
}

void HostileStand::Run(uint32_t rounds) {
  for (uint32_t round = 0; round < rounds; round++) {
    client_.Turn(8);
    server_.Turn(8);
    Serve();
    honest_.Act(random_, false);
  }
}

void HostileStand::OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                             std::span<const std::byte> data) {
  connections_.push_back(std::make_unique<stream::Connection>(1, stream::Options{}, this));
  connections_.back()->Accept(std::move(endpoint), data);
}

void HostileStand::Serve() {
  std::erase_if(connections_, [](const auto& connection) {
    const uint32_t news = connection->TakeNews();
    if ((news & stream::kNewsClosed) != 0) return true;
    std::array<std::byte, 100> bytes;
    size_t taken = 0;
    const size_t count = connection->Read(bytes);
    if (count > 0) connection->Write(std::span(bytes).first(count), false, &taken);
    if ((news & (stream::kNewsFailed | stream::kNewsEnd)) != 0) connection->Close();
    return false;
  });
}

bool HostileStand::finished() const {
  const fabric::FabricStats stats = server_.fabric()->stats();
  return honest_.done() && connections_.empty() && stats.queue_pairs == 0 &&
         stats.pinned_bytes == 0;
}

std::string HostileStand::Finish() {
  for (uint32_t round = 0; round < kRoundsMax && !finished(); round++) Run(1);
  if (!honest_.done()) return "the honest connection did not end" + honest_.Describe();
  if (std::string wrong = honest_.Safety(); !wrong.empty()) return wrong;
  if (std::string wrong = honest_.Completeness(); !wrong.empty()) return wrong;
  if (!connections_.empty()) return "a connection of the hostile peer is left";
  if (!finished()) return "memory is left";
  return {};
}

}  // namespace simulation
