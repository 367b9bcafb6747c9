#include "sim/sim_fabric.h"

#include <algorithm>
#include <utility>

namespace rdma_net::sim {

using fabric::Failure;
using fabric::Status;

namespace {

constexpr uint32_t kHalf = 1U << 19;
constexpr size_t kBatchMax = 8;

}  // namespace

SimFabric::SimFabric(const SimOptions& options)
    : options_(options),
      scheduler_(options.seed),
      memory_(options, &scheduler_, &errors_),
      shared_receives_(options.shared_receives) {}

bool SimFabric::Poll(uint32_t budget) {
  for (uint32_t n = 0; n < budget; n++) {
    if (!Step()) return false;
  }
  return true;
}

uint32_t SimFabric::Batch(size_t waiting) {
  if (waiting <= 1 || scheduler_.Chance(kHalf)) return 1;
  return 1 + scheduler_.Random(static_cast<uint32_t>(std::min(waiting, kBatchMax)));
}

std::vector<std::byte> SimFabric::Padded(std::span<const std::byte> data, size_t bytes_max) {
  std::vector<std::byte> padded(data.begin(), data.end());
  if (data.size() < bytes_max && scheduler_.Chance(kHalf)) padded.resize(bytes_max);
  return padded;
}

void SimFabric::ReportSent() {
  for (const auto& [number, endpoint] : std::map(endpoints_)) {
    if (endpoints_.contains(number)) endpoint->ReportAlong();
  }
}

void SimFabric::EndFaults() {
  options_.completion_errors = 0;
  options_.post_errors = 0;
  options_.allocation_errors = 0;
  options_.handshake_errors = 0;
  options_.stalls = 0;
  memory_.EndFaults();
}

void SimFabric::RemoveDevice() {
  if (std::exchange(removed_, true)) return;
  memory_.Remove();
  for (const auto& [number, endpoint] : endpoints_) endpoint->LoseDevice();
}

std::unique_ptr<fabric::Endpoint> SimFabric::Connect(const fabric::Target& target,
                                                     fabric::EndpointEvents* events,
                                                     Failure* failure) {
  *failure = {};
  if (removed_ || endpoints_.size() >= options_.queue_pairs_max) {
    failure->status = removed_ ? Status::kNoDevice : Status::kQueuePairLimit;
    return nullptr;
  }
  auto endpoint = std::make_unique<SimEndpoint>(this, events);
  endpoint->target_port_ = target.remote.port;
  endpoint->Happen(SimEndpoint::LifeEvent::kRouted);
  return endpoint;
}

std::unique_ptr<fabric::Listener> SimFabric::Listen(const fabric::Address& address,
                                                    const fabric::ListenOptions&,
                                                    fabric::ListenerEvents* events,
                                                    Failure* failure) {
  *failure = {};
  auto listener = std::make_unique<SimListener>(this, address.port, events);
  listeners_[address.port] = listener.get();
  scheduler_.Later([events] { events->OnListening(); });
  return listener;
}

fabric::RegistrationRef SimFabric::Register(std::span<const std::byte> memory,
                                            std::function<void()> released) {
  return memory_.Register(memory, std::move(released));
}

void SimListener::Release() {
  fabric_->listeners_.erase(port_);
  fabric_->scheduler_.Later([events = events_] { events->OnListenerReleased(); });
}

fabric::FabricStats SimFabric::stats() const {
  const SimPool& pool = memory_.pool();
  return {.pinned_bytes = memory_.pinned_bytes(),
          .slab_bytes = pool.bytes(),
          .slab_bytes_used = pool.bytes_used(),
          .registrations_made = memory_.registrations_made(),
          .registrations = static_cast<uint32_t>(memory_.registrations()),
          .completions = completions_,
          .queue_pairs = static_cast<uint32_t>(endpoints_.size())};
}

}  // namespace rdma_net::sim
