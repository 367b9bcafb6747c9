#include "verbs/verbs_fabric.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "system/address.h"
#include "verbs/failures.h"

namespace rdma_net::verbs {

using fabric::DetailKind;
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

/// How long the peer may take to answer a disconnect. The connection manager repeats that for more
/// than a minute, in which a host that vanished would keep a process from ending.
constexpr uint64_t kAnswerMsMax = 5'000;
constexpr const char* kConnectionManagerPath = "/dev/infiniband/rdma_cm";
/// How long a send may be complete, or have failed, before that is found out, in nanoseconds, when
/// nobody waits for it.
constexpr int64_t kUnwatchedSendsNs = 100'000'000;
/// After so many the other descriptors are looked at, too.
constexpr uint32_t kPollsWithoutLookMax = 8;

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

std::unique_ptr<VerbsFabric> VerbsFabric::Create(const Options& options, Failure* failure) {
  errno = 0;
  std::unique_ptr<VerbsFabric> fabric(new VerbsFabric(options));
  const bool complete = fabric->events_.valid() && fabric->worker_.fd() >= 0 &&
                        fabric->timer_.valid() &&
                        fabric->events_.Watch(fabric->worker_.fd(), &fabric->worker_) &&
                        fabric->events_.Watch(fabric->timer_.get(), &fabric->timer_);
  if (complete) return fabric;
  *failure = {.status = Status::kLocalError, .kind = DetailKind::kErrno, .detail = errno};
  return nullptr;
}

VerbsFabric::VerbsFabric(const Options& options)
    : timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
      budget_(options.pinned_bytes_max, options.queue_pairs_max),
      registrar_(&worker_, &budget_),
      devices_(&events_, &worker_, &budget_, &registrar_, options.devices) {}

VerbsFabric::~VerbsFabric() = default;

// Opening.

void VerbsFabric::WhenOpen(Opened opened) {
  if (open_ == Open::kYes) {
    worker_.Defer([opened = std::move(opened)] { opened({}); });
    return;
  }
  if (const int error = worker_.Start(); error != 0) {
    const Failure failure = {
        .status = Status::kLocalError, .kind = DetailKind::kErrno, .detail = error};
    worker_.Defer([opened = std::move(opened), failure] { opened(failure); });
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
  Failure failure = opening.failure;
  if (failure.ok()) {
    channel_ = opening.channel;
    devices_.Open(library_, opening.contexts);
    fcntl(channel_->fd, F_SETFL, fcntl(channel_->fd, F_GETFL) | O_NONBLOCK);
    if (!events_.Watch(channel_->fd, channel_)) {
      failure = FailureOfErrno(errno);
      devices_.Close();
      CloseChannel();
    }
  }
  // What is missing may come later: the next connection looks again.
  open_ = failure.ok() ? Open::kYes : Open::kNo;
  for (Opened& opened : std::exchange(waiting_for_open_, {})) opened(failure);
}

std::unique_ptr<fabric::Endpoint> VerbsFabric::Connect(const fabric::Target& target,
                                                       fabric::EndpointEvents* events,
                                                       Failure* failure) {
  sockaddr_storage parsed{};
  if (!system::ParseAddress(target.remote.host, target.remote.port, &parsed) ||
      (!target.local_host.empty() &&
       !system::ParseAddress(target.local_host, target.local_port, &parsed))) {
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

std::unique_ptr<fabric::Listener> VerbsFabric::Listen(const fabric::Address& address,
                                                      const fabric::ListenOptions& options,
                                                      fabric::ListenerEvents* events,
                                                      Failure* failure) {
  sockaddr_storage parsed{};
  if (!system::ParseAddress(address.host, address.port, &parsed)) {
    *failure = {.status = Status::kInvalidArgument};
    return nullptr;
  }
  auto listener = std::make_unique<Listener>(this, events);
  WhenOpen([listener = listener.get(), address, backlog = options.backlog,
            alive = listener->alive()](Failure opened) {
    if (alive.expired()) return;
    if (opened.ok()) return listener->Start(address, backlog);
    listener->Fail(opened);
  });
  return listener;
}

// Events.

bool VerbsFabric::Poll(uint32_t budget) {
  // Most often it is a completion channel that is readable, and that is read in any case. The
  // others get their turn, however many completions there are.
  const bool found = devices_.ReadChannels();
  const bool looks = !found || ++polls_without_look_ == kPollsWithoutLookMax;
  bool more = looks && Look(budget);
  more |= PollArmed(budget);
  devices_.CloseLost();
  if (closing_) FinishClose();
  return more;
}

bool VerbsFabric::Look(uint32_t budget) {
  bool more = false;
  polls_without_look_ = 0;
  events_.Look([this, budget, &more](void* owner) {
    if (owner == &worker_) {
      worker_.RunFinished();
    } else if (owner == &timer_) {
      OnTimer();
    } else if (owner == channel_) {
      more |= PollConnectionManager(budget);
    } else if (ibv_context* lost = devices_.OnReadable(owner); lost != nullptr) {
      LoseDevice(lost);
    }
  });
  return more;
}

bool VerbsFabric::Arm() {
  const bool armed = devices_.Arm();
  if (!timer_runs_ && devices_.posted()) StartTimer();
  return armed;
}

void VerbsFabric::StartTimer() {
  itimerspec due{};
  due.it_value.tv_nsec = kUnwatchedSendsNs;
  timer_runs_ = timerfd_settime(timer_.get(), 0, &due, nullptr) == 0;
}

void VerbsFabric::OnTimer() {
  uint64_t expirations = 0;
  if (read(timer_.get(), &expirations, sizeof(expirations)) < 0) return;
  timer_runs_ = false;
  devices_.WatchSends();
}

// Of all descriptors only the completion channels have to be armed.
bool VerbsFabric::PollArmed(uint32_t budget) {
  const uint32_t delivered = devices_.PollCompletions(budget);
  completions_ += delivered;
  return delivered >= budget;
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
    devices_.Lose(event.id->verbs);
    return listener->second->Fail(FailureOfCmEvent(event.type, event.status));
  }
  const auto found = endpoints_.find(event.id);
  if (found == endpoints_.end()) return;
  if (event.type == RDMA_CM_EVENT_DEVICE_REMOVAL) {
    devices_.Lose(event.id->verbs);
    return found->second->OnDeviceLost();
  }
  // A disconnect overtakes data that has arrived before it, so that is delivered first.
  if (event.type == RDMA_CM_EVENT_DISCONNECTED) {
    devices_.DrainCompletions();
    if (!endpoints_.contains(event.id)) return;
  }
  found->second->OnCmEvent(event);
}

/// The device said so itself; of the ids on it not all may get to hear it.
void VerbsFabric::LoseDevice(ibv_context* context) {
  devices_.Lose(context);
  for (auto& [id, listener] : std::unordered_map(listeners_)) {
    if (listeners_.contains(id) && listener->is_on(context)) {
      listener->Fail({.status = Status::kDeviceRemoved});
    }
  }
  for (auto& [id, endpoint] : std::unordered_map(endpoints_)) {
    if (endpoints_.contains(id) && endpoint->is_on(context)) endpoint->OnDeviceLost();
  }
}

bool VerbsFabric::Tidy() {
  if (closing_) return false;
  const uint64_t now_ms = system::NowMs();
  while (!awaiting_.empty()) {
    const std::shared_ptr<Endpoint*> endpoint = awaiting_.front().endpoint.lock();
    if (endpoint != nullptr && now_ms - awaiting_.front().since_ms < kAnswerMsMax) break;
    awaiting_.pop_front();
    if (endpoint != nullptr) (*endpoint)->ReleaseNow();
  }
  return devices_.Tidy() || !awaiting_.empty();
}

void VerbsFabric::OnRequest(const CmEvent& event) {
  const auto found = listeners_.find(event.listen_id);
  if (found == listeners_.end() || closing_) return Refuse(event.id);
  // Not by its id later: another listener may have got the same by then.
  Listener* listener = found->second;
  devices_.ReservePlace(event.id->verbs, [this, event, listener, alive = listener->alive()](
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

bool VerbsFabric::AwaitAddress(const Failure& failure, Worker::Finish again) {
  if (failure.status != Status::kAddressInUse || worker_.idle()) return false;
  // Behind all jobs that there are.
  worker_.Run([again = std::move(again)] { return again; });
  return true;
}

void VerbsFabric::Refuse(rdma_cm_id* id) {
  // Destroying an unanswered request rejects it.
  worker_.Run([this, id]() -> Worker::Finish {
    library_->destroy_id(id);
    return nullptr;
  });
}

fabric::RegistrationRef VerbsFabric::Register(std::span<const std::byte> memory,
                                              std::function<void()> released) {
  return registrar_.Register(library_, memory, std::move(released),
                             devices_.registration_targets());
}

fabric::FabricStats VerbsFabric::stats() const {
  fabric::FabricStats stats = {.pinned_bytes = budget_.pinned_bytes(),
                               .registrations_made = registrar_.made(),
                               .registrations = registrar_.count(),
                               .completions = completions_};
  devices_.AddStats(&stats);
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
  if (closed_ || !worker_.idle() || !endpoints_.empty() || !listeners_.empty()) return;
  if (std::exchange(ending_, true)) {
    closed_ = true;
    return;
  }
  // In this order: registrations hang on devices, and those on the descriptors of librdmacm.
  registrar_.Close();
  devices_.Close();
  if (channel_ != nullptr) CloseChannel();
  // Something must come back from the worker to go on.
  worker_.Defer(nullptr);
}

void VerbsFabric::CloseChannel() {
  events_.Unwatch(channel_->fd);
  worker_.Run([library = library_, channel = std::exchange(channel_, nullptr)]() -> Worker::Finish {
    library->destroy_event_channel(channel);
    return nullptr;
  });
}

}  // namespace rdma_net::verbs
