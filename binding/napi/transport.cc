#include "napi/transport.h"

#include <poll.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "napi/listener_slot.h"

namespace rdma_net::napi {

using fabric::Failure;
using fabric::Status;
using stream::Connection;

namespace {

/// How long a closed connection may go on sending what was taken from the program. A process that
/// would otherwise end stays alive for it: what TCP leaves to the kernel is ours to do.
constexpr uint64_t kLingerMs = 10'000;
constexpr uint64_t kTickMs = 1'000;
/// What connections get at the end of their environment to say goodbye.
constexpr uint64_t kFarewellMs = 300;
constexpr uint32_t kFarewellBudget = 256;
/// NOT_IN_PLACE of lib/native.ts.
constexpr int32_t kNotInPlace = -1000;
/// And KEPT.
constexpr int32_t kKept = -1001;
/// And SENT.
constexpr int32_t kSent = -1002;
constexpr size_t kInPlaceBytesMax = size_t{1} << 30;

int32_t Negated(Status status) {
  return -static_cast<int32_t>(status);
}

}  // namespace

Transport::Transport(Napi::Env env, uv_loop_t* loop, std::unique_ptr<fabric::Fabric> fabric,
                     const stream::Options& options, const loop::Pump::Options& pump,
                     Napi::Function on_events)
    : env_(env),
      options_(options),
      on_events_(Napi::Persistent(on_events)),
      async_context_(std::in_place, env, "rdma-net"),
      records_(env),
      fabric_(std::move(fabric)),
      registrations_(fabric_.get()),
      pump_(loop, fabric_.get(), pump, [this] { Deliver(); }) {}

Transport::~Transport() = default;

Transport* Transport::Create(Napi::Env env, std::unique_ptr<fabric::Fabric> fabric,
                             const stream::Options& options, const loop::Pump::Options& pump,
                             Napi::Function on_events) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    Napi::Error::New(env, "the environment has no event loop").ThrowAsJavaScriptException();
    return nullptr;
  }
  std::unique_ptr<Transport> transport(
      new Transport(env, loop, std::move(fabric), options, pump, on_events));
  if (const int error = transport->pump_.Start(); error != 0) {
    Napi::Error::New(env, uv_strerror(error)).ThrowAsJavaScriptException();
    return nullptr;
  }
  const auto hook = [](napi_async_cleanup_hook_handle, void* data) {
    static_cast<Transport*>(data)->BeginEnd();
  };
  napi_add_async_cleanup_hook(env, hook, transport.get(), &transport->hook_);
  return transport.release();
}

uint32_t Transport::TakeId() {
  if (free_ids_.empty()) {
    slots_.emplace_back();
    return static_cast<uint32_t>(slots_.size() - 1);
  }
  const uint32_t id = free_ids_.back();
  free_ids_.pop_back();
  return id;
}

void Transport::FreeId(uint32_t id) {
  slots_[id] = Slot{};
  freed_ids_.push_back(id);
}

Connection* Transport::connection(uint32_t id) const {
  Connection* found = known_connection(id);
  return found == nullptr || slots_[id].closed ? nullptr : found;
}

Connection* Transport::known_connection(uint32_t id) const {
  return id < slots_.size() ? slots_[id].connection.get() : nullptr;
}

int32_t Transport::Connect(const fabric::Target& target) {
  if (ending_) return Negated(Status::kCanceled);
  const uint32_t id = TakeId();
  auto connection = std::make_unique<Connection>(id, options_, this);
  Failure failure;
  auto endpoint = fabric_->Connect(target, connection.get(), &failure);
  if (endpoint == nullptr) {
    // At once: nobody has heard of it.
    free_ids_.push_back(id);
    return Negated(failure.status);
  }
  connection->Start(std::move(endpoint));
  slots_[id].connection = std::move(connection);
  slots_[id].tell_closed = true;
  return static_cast<int32_t>(id);
}

int32_t Transport::Listen(const fabric::Address& address, const fabric::ListenOptions& options) {
  if (ending_) return Negated(Status::kCanceled);
  const uint32_t id = TakeId();
  auto slot = std::make_unique<ListenerSlot>(this, id, ++listeners_made_);
  Failure failure;
  slot->listener = fabric_->Listen(address, options, slot.get(), &failure);
  if (slot->listener == nullptr) {
    free_ids_.push_back(id);
    return Negated(failure.status);
  }
  slots_[id].listener = std::move(slot);
  slots_[id].tell_closed = true;
  return static_cast<int32_t>(id);
}

Status Transport::Establish(uint32_t id) {
  Connection* found = connection(id);
  return found == nullptr ? Status::kNotConnected : found->Establish().status;
}

void Transport::Close(uint32_t id) {
  if (id >= slots_.size() || slots_[id].closed) return;
  Slot& slot = slots_[id];
  // An id that was released in this very batch is nobody's.
  if (slot.connection == nullptr && slot.listener == nullptr) return;
  slot.closed = true;
  if (slot.listener != nullptr && !slot.retiring) slot.listener->listener->Release();
  if (slot.connection == nullptr) return;
  slot.connection->Close();
  if (slot.connection->state() == stream::State::kClosing) {
    lingering_.push_back({.id = id, .since_ms = now_ms()});
  }
  Watch();
}

bool Transport::Retire(uint32_t id) {
  if (id >= slots_.size() || slots_[id].closed || slots_[id].listener == nullptr) return false;
  if (!HasUnderWay(id)) {
    Close(id);
    return false;
  }
  slots_[id].retiring = true;
  slots_[id].listener->listener->Release();
  return true;
}

bool Transport::HasUnderWay(uint32_t listener_id) const {
  const uint64_t serial = slots_[listener_id].listener->serial();
  return std::any_of(slots_.begin(), slots_.end(), [serial](const Slot& slot) {
    return slot.connection != nullptr && slot.accepted_by_serial == serial && !slot.tell_closed;
  });
}

void Transport::Reset(uint32_t id) {
  if (id >= slots_.size()) return;
  Slot& slot = slots_[id];
  if (slot.connection == nullptr) return Close(id);
  slot.closed = true;
  slot.connection->Reset();
  Watch();
}

int32_t Transport::WriteInPlace(uint32_t id, std::span<const std::byte> source,
                                uint32_t registration,
                                const std::function<std::shared_ptr<void>()>& owner) {
  Connection* found = connection(id);
  if (found == nullptr || found->endpoint() == nullptr) return Negated(Status::kNotConnected);
  // What is taken must fit the result.
  if (source.empty() || source.size() > kInPlaceBytesMax) return kNotInPlace;
  size_t taken = 0;
  Status status = Status::kOk;
  if (std::optional<stream::Source> memory = FindSource(*found, source, registration)) {
    status = found->WriteInPlace(source, std::move(*memory), &taken);
    return status == Status::kOk ? static_cast<int32_t>(taken) : Negated(status);
  }
  const bool at_once = found->endpoint()->posts_at_once();
  std::shared_ptr<void> kept = !at_once && found->can_copy(source.size()) ? nullptr : owner();
  if (kept == nullptr) return kNotInPlace;
  status = found->WriteHeld(source, std::move(kept), &taken);
  if (status != Status::kOk) return Negated(status);
  if (taken > 0 && found->TakeSentAtOnce()) return kSent;
  return taken > 0 ? kKept : 0;
}

std::optional<stream::Source> Transport::FindSource(const Connection& connection,
                                                    std::span<const std::byte> source,
                                                    uint32_t registration) const {
  const fabric::Endpoint& endpoint = *connection.endpoint();
  if (fabric::RegistrationRef known = registrations_.Find(registration, source)) {
    if (const std::optional<uint32_t> key = endpoint.LocalKey(*known)) {
      return stream::Source{.memory = std::move(known), .local_key = *key};
    }
  } else if (fabric::SlabRef slab = endpoint.FindSlab(source)) {
    const uint32_t key = slab->local_key();
    return stream::Source{.memory = std::move(slab), .local_key = key};
  }
  return std::nullopt;
}

uint32_t Transport::Register(Napi::ArrayBuffer buffer) {
  return ending_ ? 0 : registrations_.Add(buffer);
}

void Transport::SetKeepAlive(uint32_t id, uint64_t interval_ms) {
  const Connection* found = connection(id);
  if (found == nullptr || ending_) return;
  keepalives_.Set(*found, interval_ms, now_ms());
  Watch();
}

void Transport::RunSoon() {
  bare_wanted_ = true;
  pump_.RunSoon();
}

void Transport::SetRef(bool ref) {
  ref_ = ref;
  Watch();
}

void Transport::Watch() {
  WatchLingering();
  const bool needed = fabric_->Tidy() || !lingering_.empty() || !keepalives_.empty();
  if (!ending_ && needed != pump_.ticking()) {
    if (needed) {
      pump_.StartTicks(kTickMs, [this] {
        keepalives_.Tick(now_ms(), [this](uint32_t id) { return connection(id); });
        Watch();
      });
    } else {
      pump_.StopTicks();
    }
  }
  // The environment waits until its end is told, and its loop runs only while something holds it.
  pump_.SetRef(ending_ || ref_);
}

void Transport::WatchLingering() {
  if (lingering_.empty()) return;
  const uint64_t now = now_ms();
  std::erase_if(lingering_, [this, now](const Lingering& lingering) {
    Connection* connection = slots_[lingering.id].connection.get();
    if (connection == nullptr || connection->state() != stream::State::kClosing) return true;
    if (now - lingering.since_ms < kLingerMs) return false;
    connection->Reset();
    return true;
  });
}

// News from below.

void Transport::OnNews(Connection* connection) {
  if (news_.empty() && !delivering_) pump_.RunSoon();
  news_.push_back(connection);
}

void Transport::OnListenerNews(const ListenerNews& news) {
  if (listener_news_.empty() && !delivering_) pump_.RunSoon();
  listener_news_.push_back(news);
}

void Transport::OnRequest(uint32_t listener_id, std::unique_ptr<fabric::Endpoint> endpoint,
                          std::span<const std::byte> data) {
  const uint32_t id = TakeId();
  slots_[id].connection = std::make_unique<Connection>(id, options_, this);
  slots_[id].accepted_by = listener_id;
  slots_[id].accepted_by_serial = slots_[listener_id].listener->serial();
  // A refused one tells of its release, and nobody else hears of it.
  slots_[id].connection->Accept(std::move(endpoint), data);
}

Transport::Totals Transport::totals() const {
  Totals totals;
  totals.wake_ups = pump_.wake_ups();
  totals.fabric = fabric_->stats();
  totals.counters = closed_counters_;
  for (const Slot& slot : slots_) {
    if (slot.listener != nullptr) totals.listeners++;
    if (slot.connection == nullptr) continue;
    totals.connections++;
    totals.counters.Add(slot.connection->counters());
  }
  return totals;
}

void Transport::Farewell(uint64_t timeout_ms) {
  for (uint32_t id = 0; id < slots_.size(); id++) Close(id);
  const uint64_t deadline_ms = now_ms() + timeout_ms;
  const auto has_more_to_say = [](const Slot& slot) {
    return slot.connection != nullptr && slot.connection->state() == stream::State::kClosing;
  };
  while (std::any_of(slots_.begin(), slots_.end(), has_more_to_say)) {
    const uint64_t now = now_ms();
    if (now >= deadline_ms) return ResetBorrowers();
    if (fabric_->Poll(kFarewellBudget)) continue;
    // What came before it was armed is not announced, and Poll would disarm it.
    if (fabric_->Arm() && fabric_->PollArmed(kFarewellBudget)) continue;
    if (std::none_of(slots_.begin(), slots_.end(), has_more_to_say)) return;
    pollfd wait = {.fd = fabric_->fd(), .events = POLLIN, .revents = 0};
    poll(&wait, 1, static_cast<int>(deadline_ms - now));
  }
}

// The end of the environment: no JavaScript may be called any more.

/// Memory that addons gave to Buffers is freed before the hooks of an environment run, whoever
/// holds its BackingStore (node::Environment::RunCleanup).
void Transport::ResetBorrowers() {
  for (uint32_t id = 0; id < slots_.size(); id++) {
    const Connection* connection = slots_[id].connection.get();
    if (connection != nullptr && connection->borrows()) Reset(id);
  }
}

void Transport::BeginEnd() {
  ending_ = true;
  on_events_.Reset();
  async_context_.reset();
  lingering_.clear();
  registrations_.Clear();
  pump_.StopTicks();
  ResetBorrowers();
  for (uint32_t id = 0; id < slots_.size(); id++) Close(id);
  pump_.StartTicks(kFarewellMs, [this] { CutEnd(); });
  pump_.SetRef(true);
  pump_.RunSoon();
}

void Transport::CutEnd() {
  for (uint32_t id = 0; id < slots_.size(); id++) Reset(id);
  fabric_->Close();
}

void Transport::ContinueEnd() {
  pump_.SetRef(true);
  const auto in_use = [](const Slot& slot) {
    return slot.connection != nullptr || slot.listener != nullptr;
  };
  if (std::none_of(slots_.begin(), slots_.end(), in_use)) fabric_->Close();
  if (!fabric_->closed()) return;
  pump_.Close([this] {
    const napi_async_cleanup_hook_handle hook = hook_;
    delete this;
    napi_remove_async_cleanup_hook(hook);
  });
}

}  // namespace rdma_net::napi
