#include "napi/transport.h"

#include <poll.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

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
/// Most records that one connection can add.
constexpr size_t kRecordsOfConnection = 9;

int32_t Negated(Status status) {
  return -static_cast<int32_t>(status);
}

}  // namespace

/// A listener's place in the table; hears of it for the transport.
class Transport::ListenerSlot final : public fabric::ListenerEvents {
 public:
  ListenerSlot(Transport* transport, uint32_t id, uint64_t serial)
      : transport_(transport), id_(id), serial_(serial) {}

  [[nodiscard]] uint64_t serial() const { return serial_; }

  std::unique_ptr<fabric::Listener> listener;

  void OnListening() override {
    transport_->OnListenerNews({.kind = EventKind::kListening, .id = id_, .failure = {}});
  }
  void OnListenFailed(Failure failure) override {
    transport_->OnListenerNews({.kind = EventKind::kListenFailed, .id = id_, .failure = failure});
  }
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    transport_->OnRequest(id_, std::move(endpoint), data);
  }
  void OnListenerReleased() override {
    transport_->OnListenerNews({.kind = EventKind::kClosed, .id = id_, .failure = {}});
  }

 private:
  Transport* transport_;
  uint32_t id_;
  uint64_t serial_;
};

Transport::Transport(Napi::Env env, uv_loop_t* loop, std::unique_ptr<fabric::Fabric> fabric,
                     const stream::Options& options, Napi::Function on_events)
    : env_(env),
      options_(options),
      on_events_(Napi::Persistent(on_events)),
      async_context_(std::in_place, env, "rdma-net"),
      records_(env),
      fabric_(std::move(fabric)),
      pump_(loop, fabric_.get(), [this] { Deliver(); }) {}

Transport::~Transport() = default;

Transport* Transport::Create(Napi::Env env, std::unique_ptr<fabric::Fabric> fabric,
                             const stream::Options& options, Napi::Function on_events) {
  uv_loop_t* loop = nullptr;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    Napi::Error::New(env, "the environment has no event loop").ThrowAsJavaScriptException();
    return nullptr;
  }
  std::unique_ptr<Transport> transport(
      new Transport(env, loop, std::move(fabric), options, on_events));
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
  if (id >= slots_.size() || slots_[id].closed) return nullptr;
  return slots_[id].connection.get();
}

int32_t Transport::Connect(const fabric::Target& target) {
  if (ending_) return Negated(Status::kCanceled);
  const uint32_t id = TakeId();
  auto connection = std::make_unique<Connection>(id, options_, this);
  Failure failure;
  auto endpoint = fabric_->Connect(target, connection.get(), &failure);
  if (endpoint == nullptr) {
    FreeId(id);
    return Negated(failure.status);
  }
  connection->Start(std::move(endpoint));
  slots_[id].connection = std::move(connection);
  slots_[id].tell_closed = true;
  return static_cast<int32_t>(id);
}

int32_t Transport::Listen(const fabric::Address& address, int backlog) {
  if (ending_) return Negated(Status::kCanceled);
  const uint32_t id = TakeId();
  auto slot = std::make_unique<ListenerSlot>(this, id, ++listeners_made_);
  Failure failure;
  slot->listener = fabric_->Listen(address, backlog, slot.get(), &failure);
  if (slot->listener == nullptr) {
    FreeId(id);
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
  if (slot.listener != nullptr) slot.listener->listener->Release();
  if (slot.connection == nullptr) return;
  slot.connection->Close();
  if (slot.connection->state() != stream::State::kClosing) return;
  lingering_.push_back({.id = id, .since_ms = uv_hrtime() / 1'000'000});
  WatchLingering();
}

void Transport::Reset(uint32_t id) {
  if (id >= slots_.size()) return;
  Slot& slot = slots_[id];
  if (slot.connection == nullptr) return Close(id);
  slot.closed = true;
  slot.connection->Reset();
}

void Transport::SetRef(bool ref) {
  ref_ = ref;
  WatchLingering();
}

void Transport::WatchLingering() {
  const uint64_t now_ms = uv_hrtime() / 1'000'000;
  std::erase_if(lingering_, [this, now_ms](const Lingering& lingering) {
    Connection* connection = slots_[lingering.id].connection.get();
    if (connection == nullptr || connection->state() != stream::State::kClosing) return true;
    if (now_ms - lingering.since_ms < kLingerMs) return false;
    connection->Reset();
    return true;
  });
  if (!ending_ && lingering_.empty() == pump_.ticking()) {
    if (pump_.ticking()) {
      pump_.StopTicks();
    } else {
      pump_.StartTicks(kTickMs, [this] { WatchLingering(); });
    }
  }
  pump_.SetRef(ref_ || !lingering_.empty());
}

// News from below.

void Transport::OnNews(Connection* connection) {
  if (news_.empty()) pump_.RunSoon();
  news_.push_back(connection);
}

void Transport::OnListenerNews(const ListenerNews& news) {
  if (listener_news_.empty()) pump_.RunSoon();
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

// News to JavaScript.

void Transport::Deliver() {
  // At the end of the environment nothing of JavaScript may be touched, not even a scope.
  std::optional<Napi::HandleScope> scope;
  if (!ending_) scope.emplace(env_);
  if (!opened_ && fabric_->open()) ReportOpened();
  // News that JavaScript's calls bring about are handed on too, but not for ever in one turn.
  constexpr int kRoundsMax = 4;
  for (int round = 0; round < kRoundsMax; round++) {
    if (news_.empty() && listener_news_.empty()) break;
    for (Connection* connection : std::exchange(news_, {})) {
      if (records_.count() + kRecordsOfConnection > EventRecords::kRecords) Send();
      Report(connection);
    }
    for (const ListenerNews& news : std::exchange(listener_news_, {})) {
      if (records_.full()) Send();
      ReportListener(news);
    }
    Send();
  }
  if (!news_.empty() || !listener_news_.empty()) pump_.RunSoon();
  WatchLingering();
  // Last: it may be the end of this.
  if (ending_) ContinueEnd();
}

/// Those that had to wait for the libraries hear that they wait no longer.
void Transport::ReportOpened() {
  opened_ = true;
  for (uint32_t id = 0; id < slots_.size(); id++) {
    if (connection(id) == nullptr) continue;
    if (records_.full()) Send();
    records_.Add(EventKind::kOpened, id);
  }
  Send();
}

void Transport::Report(Connection* connection) {
  const uint32_t id = connection->id();
  const uint32_t news = connection->TakeNews();
  Slot& slot = slots_[id];
  if (!slot.closed) {
    if ((news & stream::kNewsResponse) != 0) records_.Add(EventKind::kResponse, id);
    if ((news & stream::kNewsConnectFailed) != 0) {
      records_.AddFailure(EventKind::kConnectFailed, id, connection->failure());
      slot.closed = true;
      slot.tell_closed = false;
    }
    if ((news & stream::kNewsAccepted) != 0) {
      const Slot& listener = slots_[slot.accepted_by];
      // The id may be another listener's by now.
      const bool same =
          listener.listener != nullptr && listener.listener->serial() == slot.accepted_by_serial;
      if (!same || listener.closed || ending_) {
        // The listener has been closed while the handshake went on.
        slot.closed = true;
        connection->Reset();
      } else {
        slot.tell_closed = true;
        records_.Add(EventKind::kAccepted, id, static_cast<int32_t>(slot.accepted_by));
      }
    }
  }
  if (!slot.closed) {
    if ((news & stream::kNewsReadable) != 0) {
      const uint64_t bytes =
          std::min<uint64_t>(connection->readable_bytes(), std::numeric_limits<int32_t>::max());
      records_.Add(EventKind::kReadable, id, static_cast<int32_t>(bytes));
    }
    if ((news & stream::kNewsEnd) != 0) records_.Add(EventKind::kEnd, id);
    if ((news & stream::kNewsWritable) != 0) records_.Add(EventKind::kWritable, id);
    if ((news & stream::kNewsShutdownDone) != 0) records_.Add(EventKind::kShutdownDone, id);
    if ((news & stream::kNewsFailed) != 0) {
      records_.AddFailure(EventKind::kFailed, id, connection->failure());
    }
  }
  if ((news & stream::kNewsClosed) != 0) ReportClosed(id);
}

void Transport::ReportClosed(uint32_t id) {
  if (slots_[id].tell_closed) records_.Add(EventKind::kClosed, id);
  closed_counters_.Add(slots_[id].connection->counters());
  FreeId(id);
}

void Transport::ReportListener(const ListenerNews& news) {
  Slot& slot = slots_[news.id];
  switch (news.kind) {
    case EventKind::kClosed:
      if (slot.tell_closed) records_.Add(EventKind::kClosed, news.id);
      FreeId(news.id);
      break;
    case EventKind::kListenFailed:
      if (slot.closed) break;
      records_.AddFailure(EventKind::kListenFailed, news.id, news.failure);
      slot.tell_closed = false;
      Close(news.id);
      break;
    default:
      if (!slot.closed) records_.Add(news.kind, news.id);
      break;
  }
}

void Transport::Send() {
  const auto count = static_cast<double>(records_.count());
  records_.Clear();
  if (count > 0 && !ending_) CallBack(count);
  // Not before JavaScript has heard of their end.
  free_ids_.insert(free_ids_.end(), freed_ids_.begin(), freed_ids_.end());
  freed_ids_.clear();
}

void Transport::CallBack(double count) {
  napi_value argument = Napi::Number::New(env_, count);
  napi_value result = nullptr;
  // Not through the C++ wrapper: the loop still runs for a moment after an environment has stopped
  // to run JavaScript and before its cleanup hooks, and then this fails, and may.
  napi_make_callback(env_, *async_context_, env_.Global(), on_events_.Value(), 1, &argument,
                     &result);
  bool pending = false;
  napi_is_exception_pending(env_, &pending);
  if (!pending) return;
  // The program's listeners have their own guard in JavaScript; what comes here is ours, and must
  // be as loud as any uncaught exception.
  napi_value exception = nullptr;
  napi_get_and_clear_last_exception(env_, &exception);
  napi_fatal_exception(env_, exception);
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
  const uint64_t deadline_ms = uv_hrtime() / 1'000'000 + timeout_ms;
  const auto has_more_to_say = [](const Slot& slot) {
    return slot.connection != nullptr && slot.connection->state() == stream::State::kClosing;
  };
  while (std::any_of(slots_.begin(), slots_.end(), has_more_to_say)) {
    const uint64_t now_ms = uv_hrtime() / 1'000'000;
    if (now_ms >= deadline_ms) return;
    if (fabric_->Poll(kFarewellBudget) || fabric_->Arm()) continue;
    pollfd wait = {.fd = fabric_->fd(), .events = POLLIN, .revents = 0};
    poll(&wait, 1, static_cast<int>(deadline_ms - now_ms));
  }
}

// The end of the environment: no JavaScript may be called any more.

void Transport::BeginEnd() {
  ending_ = true;
  on_events_.Reset();
  async_context_.reset();
  lingering_.clear();
  pump_.StopTicks();
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
