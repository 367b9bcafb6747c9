#include "verbs/verbs_fabric.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "verbs/address.h"
#include "verbs/failures.h"

namespace rdma_net::verbs {

using fabric::Failure;
using fabric::Status;

/// What the worker found when it opened everything.
struct VerbsFabric::Opening {
  Failure failure;
  std::string text;
  const Library* library = nullptr;
  rdma_event_channel* channel = nullptr;
  ibv_context** contexts = nullptr;
};

namespace {

constexpr const char* kConnectionManagerPath = "/dev/infiniband/rdma_cm";

}  // namespace

Status VerbsFabric::Probe() {
  DIR* directory = opendir("/sys/class/infiniband");
  if (directory == nullptr) return Status::kNoDevice;
  bool found = false;
  while (const dirent* entry = readdir(directory)) found |= entry->d_name[0] != '.';
  closedir(directory);
  if (!found) return Status::kNoDevice;
  if (access(kConnectionManagerPath, R_OK | W_OK) == 0) return Status::kOk;
  return errno == EACCES || errno == EPERM ? Status::kPermissionDenied : Status::kNoDevice;
}

VerbsFabric::VerbsFabric(const DeviceOptions& options)
    : options_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  Watch(worker_.fd(), &worker_);
}

VerbsFabric::~VerbsFabric() = default;

void VerbsFabric::Watch(int fd, void* what) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = what;
  epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void VerbsFabric::Unwatch(int fd) {
  epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

// Opening.

void VerbsFabric::WhenOpen(Opened opened) {
  if (open_ == Open::kYes) {
    worker_.Defer([opened = std::move(opened)] { opened({}); });
    return;
  }
  waiting_for_open_.push_back(std::move(opened));
  if (std::exchange(open_, Open::kOpening) == Open::kOpening) return;
  worker_.Run([this]() -> Worker::Finish {
    Opening opening;
    Status status = Status::kOk;
    opening.library = Library::Open(&status, &opening.text);
    if (opening.library == nullptr) {
      opening.failure = {.status = status};
      return [this, opening] { OnOpened(opening); };
    }
    errno = 0;
    opening.channel = opening.library->create_event_channel();
    // Opens every device, which would otherwise happen on the loop thread when an address resolves.
    if (opening.channel != nullptr) opening.contexts = opening.library->get_devices(nullptr);
    if (opening.contexts == nullptr) {
      opening.failure = FailureOfErrno(errno);
      if (opening.failure.status != Status::kPermissionDenied) {
        opening.failure.status = Status::kNoDevice;
      }
      opening.text = std::string("librdmacm: ") + std::strerror(errno);
      if (opening.channel != nullptr) opening.library->destroy_event_channel(opening.channel);
    }
    return [this, opening] { OnOpened(opening); };
  });
}

void VerbsFabric::OnOpened(const Opening& opening) {
  open_error_ = opening.text;
  library_ = opening.library;
  if (opening.failure.ok()) {
    open_ = Open::kYes;
    channel_ = opening.channel;
    contexts_ = opening.contexts;
    fcntl(channel_->fd, F_SETFL, fcntl(channel_->fd, F_GETFL) | O_NONBLOCK);
    Watch(channel_->fd, channel_);
  } else {
    // What is missing may come later: the next connection looks again.
    open_ = Open::kNo;
  }
  for (Opened& opened : std::exchange(waiting_for_open_, {})) opened(opening.failure);
}

void VerbsFabric::ReservePlace(ibv_context* context, PlaceFound found) {
  DeviceSlot& slot = devices_[context];
  if (slot.device != nullptr) {
    Device* device = slot.device.get();
    device->Reserve(&worker_,
                    [device, found = std::move(found)](Failure failure, QueueGroup* group) {
                      found(failure, device, group);
                    });
    return;
  }
  slot.waiting.push_back(std::move(found));
  if (slot.waiting.size() > 1) return;
  worker_.Run([this, context]() -> Worker::Finish {
    Failure failure;
    // Shared only because a std::function must be copyable.
    auto device = std::make_shared<std::unique_ptr<Device>>(
        Device::Open(library_, context, options_, &pinned_bytes_, &failure));
    return
        [this, context, device, failure] { OnDeviceOpened(context, std::move(*device), failure); };
  });
}

void VerbsFabric::OnDeviceOpened(ibv_context* context, std::unique_ptr<Device> device,
                                 Failure failure) {
  DeviceSlot& slot = devices_[context];
  std::vector<PlaceFound> waiting = std::exchange(slot.waiting, {});
  if (device == nullptr) {
    for (PlaceFound& found : waiting) found(failure, nullptr, nullptr);
    return;
  }
  slot.device = std::move(device);
  Watch(slot.device->channel_fd(), slot.device.get());
  for (PlaceFound& found : waiting) ReservePlace(context, std::move(found));
}

void VerbsFabric::PrepareDevices(ibv_context* context,
                                 const std::function<void(Failure)>& prepared) {
  std::vector<ibv_context*> contexts;
  if (context != nullptr) contexts.push_back(context);
  for (ibv_context** all = contexts_; context == nullptr && *all != nullptr; all++) {
    contexts.push_back(*all);
  }
  struct Progress {
    size_t pending = 0;
    bool usable = false;
    Failure failure = {.status = Status::kNoDevice};
  };
  auto progress = std::make_shared<Progress>();
  progress->pending = contexts.size();
  if (contexts.empty()) return prepared(progress->failure);
  for (ibv_context* each : contexts) {
    ReservePlace(each, [progress, prepared](Failure failure, Device*, QueueGroup* group) {
      // Only a trial: the place is for a connection.
      if (group != nullptr) group->GivePlace();
      progress->usable |= failure.ok();
      if (!failure.ok()) progress->failure = failure;
      if (--progress->pending == 0) prepared(progress->usable ? Failure{} : progress->failure);
    });
  }
}

std::unique_ptr<fabric::Endpoint> VerbsFabric::Connect(const fabric::Target& target,
                                                       fabric::EndpointEvents* events,
                                                       Failure* failure) {
  sockaddr_storage parsed{};
  if (!ParseAddress(target.remote.host, target.remote.port, &parsed) ||
      (!target.local_host.empty() &&
       !ParseAddress(target.local_host, target.local_port, &parsed))) {
    *failure = {.status = Status::kInvalidArgument};
    return nullptr;
  }
  auto endpoint = std::make_unique<Endpoint>(this, events);
  WhenOpen([endpoint = endpoint.get(), target, alive = endpoint->alive()](Failure opened) {
    if (alive.expired()) return;
    if (opened.ok()) return endpoint->Start(target);
    endpoint->Fail(opened);
  });
  return endpoint;
}

std::unique_ptr<fabric::Listener> VerbsFabric::Listen(const fabric::Address& address, int backlog,
                                                      fabric::ListenerEvents* events,
                                                      Failure* failure) {
  sockaddr_storage parsed{};
  if (!ParseAddress(address.host, address.port, &parsed)) {
    *failure = {.status = Status::kInvalidArgument};
    return nullptr;
  }
  auto listener = std::make_unique<Listener>(this, events);
  WhenOpen(
      [listener = listener.get(), address, backlog, alive = listener->alive()](Failure opened) {
        if (alive.expired()) return;
        if (opened.ok()) return listener->Start(address, backlog);
        listener->Fail(opened);
      });
  return listener;
}

// Events.

bool VerbsFabric::Poll(uint32_t budget) {
  std::array<epoll_event, 16> ready{};
  const int count = epoll_wait(epoll_.get(), ready.data(), ready.size(), 0);
  bool more = false;
  for (int i = 0; i < count; i++) {
    void* what = ready[static_cast<size_t>(i)].data.ptr;
    if (what == &worker_) {
      worker_.RunFinished();
    } else if (what == channel_) {
      more |= PollConnectionManager(budget);
    } else {
      static_cast<Device*>(what)->OnChannelReadable();
    }
  }
  more |= PollCompletions(budget) >= budget;
  if (closing_) FinishClose();
  return more;
}

uint32_t VerbsFabric::PollCompletions(uint32_t budget) {
  uint32_t delivered = 0;
  for (auto& [context, slot] : devices_) {
    if (slot.device != nullptr) delivered += slot.device->PollCompletions(budget);
  }
  completions_ += delivered;
  return delivered;
}

bool VerbsFabric::Arm() {
  bool armed = false;
  for (auto& [context, slot] : devices_) {
    if (slot.device != nullptr) armed |= slot.device->Arm();
  }
  return armed;
}

bool VerbsFabric::PollConnectionManager(uint32_t budget) {
  for (uint32_t n = 0; n < budget; n++) {
    rdma_cm_event* raw = nullptr;
    if (library_->get_cm_event(channel_, &raw) != 0) return false;
    CmEvent event = {.type = raw->event,
                     .status = raw->status,
                     .id = raw->id,
                     .listen_id = raw->listen_id,
                     .remote_queue_pair_number = raw->param.conn.qp_num,
                     .data = {}};
    if (raw->param.conn.private_data != nullptr) {
      const auto* data = static_cast<const std::byte*>(raw->param.conn.private_data);
      event.data.assign(data, data + raw->param.conn.private_data_len);
    }
    // At once: destroying an id waits for every event of it to be acknowledged.
    library_->ack_cm_event(raw);
    Dispatch(event);
  }
  return true;
}

void VerbsFabric::Dispatch(const CmEvent& event) {
  if (event.type == RDMA_CM_EVENT_CONNECT_REQUEST) return OnRequest(event);
  const auto listener = listeners_.find(event.id);
  if (listener != listeners_.end() && event.type == RDMA_CM_EVENT_DEVICE_REMOVAL) {
    return listener->second->Fail(FailureOfCmEvent(event.type, event.status));
  }
  const auto found = endpoints_.find(event.id);
  if (found == endpoints_.end()) return;
  // A disconnect overtakes data that has arrived before it, so that is delivered first.
  if (event.type == RDMA_CM_EVENT_DISCONNECTED) {
    for (auto& [context, slot] : devices_) {
      if (slot.device != nullptr) slot.device->DrainCompletions();
    }
    if (!endpoints_.contains(event.id)) return;
  }
  found->second->OnCmEvent(event);
}

void VerbsFabric::OnRequest(const CmEvent& event) {
  const auto found = listeners_.find(event.listen_id);
  if (found == listeners_.end() || closing_) return Refuse(event.id);
  // Not by its id later: another listener may have got the same by then.
  Listener* listener = found->second;
  ReservePlace(event.id->verbs, [this, event, listener, alive = listener->alive()](
                                    Failure failure, Device* device, QueueGroup* group) {
    const bool wanted = !alive.expired() && listener->events() != nullptr;
    if (!failure.ok() || !wanted) {
      if (group != nullptr) group->GivePlace();
      return Refuse(event.id);
    }
    auto endpoint = std::make_unique<Endpoint>(this, event.id, event.remote_queue_pair_number);
    if (!endpoint->CreateQueuePair(device, group).ok()) {
      RemoveEndpoint(event.id);
      group->GivePlace();
      return Refuse(event.id);
    }
    listener->events()->OnRequest(std::move(endpoint), event.data);
  });
}

void VerbsFabric::Refuse(rdma_cm_id* id) {
  // Destroying an unanswered request rejects it.
  worker_.Run([this, id]() -> Worker::Finish {
    library_->destroy_id(id);
    return nullptr;
  });
}

fabric::FabricStats VerbsFabric::stats() const {
  fabric::FabricStats stats = {.pinned_bytes = pinned_bytes_, .completions = completions_};
  for (const auto& [context, slot] : devices_) {
    if (slot.device != nullptr) stats.queue_pairs += slot.device->queue_pairs();
  }
  return stats;
}

// The end.

void VerbsFabric::Close() {
  closing_ = true;
  // Nobody waits for a peer's answer any more.
  for (auto& [id, endpoint] : std::unordered_map(endpoints_)) endpoint->ReleaseNow();
  worker_.Defer(nullptr);
}

void VerbsFabric::FinishClose() {
  if (!closing_ || closed_ || !worker_.idle() || !endpoints_.empty() || !listeners_.empty()) return;
  if (devices_.empty() && channel_ == nullptr) {
    closed_ = true;
    return;
  }
  for (const auto& [context, slot] : devices_) {
    if (slot.device != nullptr) Unwatch(slot.device->channel_fd());
  }
  if (channel_ != nullptr) Unwatch(channel_->fd);
  // Shared only because a std::function must be copyable.
  auto devices = std::make_shared<std::unordered_map<ibv_context*, DeviceSlot>>();
  devices->swap(devices_);
  worker_.Run([library = library_, devices, channel = std::exchange(channel_, nullptr),
               contexts = std::exchange(contexts_, nullptr)]() -> Worker::Finish {
    devices->clear();
    if (contexts != nullptr) library->free_devices(contexts);
    if (channel != nullptr) library->destroy_event_channel(channel);
    return nullptr;
  });
}

}  // namespace rdma_net::verbs
