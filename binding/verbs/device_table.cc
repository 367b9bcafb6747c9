#include "verbs/device_table.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "verbs/failures.h"

namespace rdma_net::verbs {

using fabric::DetailKind;
using fabric::Failure;
using fabric::Status;

void DeviceTable::Open(const Library* library, ibv_context** contexts) {
  library_ = library;
  contexts_ = contexts;
}

// Opening.

void DeviceTable::ReservePlace(ibv_context* context, PlaceFound found) {
  WhenReady(context, [found = std::move(found)](Failure failure, Device* device) {
    if (!failure.ok()) return found(failure, nullptr, nullptr);
    device->Reserve(
        [device, found](Failure refused, QueueGroup* group) { found(refused, device, group); });
  });
}

void DeviceTable::Prepare(ibv_context* context, const std::function<void(Failure)>& prepared) {
  if (context != nullptr) return PrepareThese({context}, prepared);
  if (contexts_ != nullptr) return PrepareThese(AllContexts(), prepared);
  RefreshContexts(nullptr, [this, prepared] { PrepareThese(AllContexts(), prepared); });
}

std::vector<ibv_context*> DeviceTable::AllContexts() const {
  std::vector<ibv_context*> contexts;
  for (ibv_context** each = contexts_; each != nullptr && *each != nullptr; each++) {
    contexts.push_back(*each);
  }
  return contexts;
}

void DeviceTable::PrepareThese(const std::vector<ibv_context*>& contexts,
                               const std::function<void(Failure)>& prepared) {
  struct Progress {
    size_t pending = 0;
    bool usable = false;
    Failure failure = {.status = Status::kNoDevice};
  };
  auto progress = std::make_shared<Progress>();
  progress->pending = contexts.size();
  if (contexts.empty()) return prepared(progress->failure);
  for (ibv_context* each : contexts) {
    WhenReady(each, [progress, prepared](Failure failure, Device*) {
      progress->usable |= failure.ok();
      if (!failure.ok()) progress->failure = failure;
      if (--progress->pending == 0) prepared(progress->usable ? Failure{} : progress->failure);
    });
  }
}

void DeviceTable::WhenReady(ibv_context* context, Ready ready) {
  Slot& slot = slots_[context];
  if (slot.lost) return ready({.status = Status::kDeviceRemoved}, nullptr);
  if (slot.device != nullptr) return ready({}, slot.device.get());
  slot.waiting.push_back(std::move(ready));
  if (slot.waiting.size() > 1) return;
  worker_->Run([this, context]() -> Worker::Finish {
    Failure failure;
    // Shared only because a std::function must be copyable.
    auto device = std::make_shared<std::unique_ptr<Device>>(
        Device::Open(library_, context, options_, worker_, budget_, &failure));
    return [this, context, device, failure] { OnOpened(context, std::move(*device), failure); };
  });
}

void DeviceTable::OnOpened(ibv_context* context, std::unique_ptr<Device> device, Failure failure) {
  Slot& slot = slots_[context];
  std::vector<Ready> waiting = std::exchange(slot.waiting, {});
  if (device == nullptr || Watch(device.get())) {
    slot.device = std::move(device);
  } else {
    failure = {.status = Status::kDeviceResources, .kind = DetailKind::kErrno, .detail = errno};
    worker_->Run([closed = Detach(std::move(device))]() mutable -> Worker::Finish {
      closed.reset();
      return nullptr;
    });
  }
  if (slot.lost) failure = {.status = Status::kDeviceRemoved};
  Device* opened = slot.device.get();
  for (Ready& ready : waiting) ready(failure, failure.ok() ? opened : nullptr);
}

bool DeviceTable::Watch(Device* device) {
  return events_->Watch(device->channel_fd(), device) &&
         events_->Watch(device->async_events().fd(), &device->async_events());
}

// Events.

ibv_context* DeviceTable::OnReadable(const void* owner) {
  for (auto& [context, slot] : slots_) {
    Device* device = slot.device.get();
    if (device == nullptr) continue;
    if (owner == device) device->ReadChannel();
    if (owner == &device->async_events() && device->async_events().Read()) return context;
  }
  return nullptr;
}

bool DeviceTable::ReadChannels() {
  bool read = false;
  for (auto& [context, slot] : slots_) {
    if (slot.device != nullptr) read |= slot.device->ReadChannel();
  }
  return read;
}

uint32_t DeviceTable::PollCompletions(uint32_t budget) {
  uint32_t delivered = 0;
  for (auto& [context, slot] : slots_) {
    if (slot.device != nullptr) delivered += slot.device->PollCompletions(budget);
  }
  return delivered;
}

void DeviceTable::DrainCompletions() {
  for (auto& [context, slot] : slots_) {
    if (slot.device != nullptr) slot.device->DrainCompletions();
  }
}

bool DeviceTable::Arm() {
  bool armed = false;
  for (auto& [context, slot] : slots_) {
    if (slot.device != nullptr) armed |= slot.device->Arm();
  }
  return armed;
}

bool DeviceTable::posted() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const auto& entry) {
    return entry.second.device != nullptr && entry.second.device->posted();
  });
}

void DeviceTable::WatchSends() {
  for (const auto& [context, slot] : slots_) {
    if (slot.device != nullptr) slot.device->WatchSends();
  }
}

std::vector<RegistrationTarget> DeviceTable::registration_targets() const {
  std::vector<RegistrationTarget> targets;
  for (const auto& [context, slot] : slots_) {
    if (slot.device != nullptr && !slot.lost) {
      targets.push_back(slot.device->registration_target());
    }
  }
  return targets;
}

void DeviceTable::AddStats(fabric::FabricStats* stats) const {
  for (const auto& [context, slot] : slots_) {
    if (slot.device == nullptr) continue;
    stats->queue_pairs += slot.device->queue_pairs();
    stats->slab_bytes += slot.device->slabs().bytes();
    stats->slab_bytes_used += slot.device->slabs().used_bytes();
  }
}

bool DeviceTable::Tidy() {
  bool more = false;
  for (const auto& [context, slot] : slots_) {
    if (slot.device != nullptr) more |= slot.device->slabs().Tidy();
  }
  return more;
}

// The end.

std::shared_ptr<Device> DeviceTable::Detach(std::unique_ptr<Device> device) {
  // A descriptor that was never watched is no mistake here.
  events_->Unwatch(device->channel_fd());
  events_->Unwatch(device->async_events().fd());
  registrar_->ForgetDevice(device->id());
  device->Detach();
  return device;
}

void DeviceTable::Lose(ibv_context* context) {
  const auto found = slots_.find(context);
  if (found == slots_.end() || std::exchange(found->second.lost, true)) return;
  lost_++;
}

void DeviceTable::CloseLost() {
  // Jobs under way may still come back to the device.
  if (lost_ == 0 || !worker_->idle()) return;
  for (auto it = slots_.begin(); it != slots_.end();) {
    Slot& slot = it->second;
    const bool used = slot.device != nullptr && slot.device->used();
    if (!slot.lost || used) {
      ++it;
      continue;
    }
    std::shared_ptr<Device> closed;
    if (slot.device != nullptr) closed = Detach(std::move(slot.device));
    slots_.erase(it);
    lost_--;
    // The next one when the worker has come back.
    return RefreshContexts(std::move(closed), nullptr);
  }
}

/// librdmacm closes the context of a device that is gone only when it looks again which devices
/// there are, finds at least one, and nobody refers to the old list or to an id on the dead device
/// any more. Where that was the only device, the context stays open until there is another (its
/// sync_devices_list gives up on an empty list), and the kernel waits with the removal of a device
/// that cannot be taken from its users, like that of rxe.
void DeviceTable::RefreshContexts(std::shared_ptr<Device> closed, std::function<void()> then) {
  worker_->Run([this, closed = std::move(closed), then = std::move(then),
                old = std::exchange(contexts_, nullptr)]() mutable -> Worker::Finish {
    closed.reset();
    ibv_context** contexts = library_->get_devices(nullptr);
    if (old != nullptr) library_->free_devices(old);
    return [this, contexts, then] { OnContexts(contexts, then); };
  });
}

void DeviceTable::OnContexts(ibv_context** contexts, const std::function<void()>& then) {
  // Another look may have been under way.
  ibv_context** older = std::exchange(contexts_, contexts);
  if (older != nullptr) {
    worker_->Run([library = library_, older]() -> Worker::Finish {
      library->free_devices(older);
      return nullptr;
    });
  }
  if (then) then();
}

void DeviceTable::Close() {
  // Shared only because a std::function must be copyable.
  auto closed = std::make_shared<std::vector<std::shared_ptr<Device>>>();
  for (auto& [context, slot] : slots_) {
    if (slot.device != nullptr) closed->push_back(Detach(std::move(slot.device)));
  }
  slots_.clear();
  lost_ = 0;
  if (closed->empty() && contexts_ == nullptr) return;
  worker_->Run([library = library_, closed,
                contexts = std::exchange(contexts_, nullptr)]() -> Worker::Finish {
    closed->clear();
    if (contexts != nullptr) library->free_devices(contexts);
    return nullptr;
  });
}

}  // namespace rdma_net::verbs
