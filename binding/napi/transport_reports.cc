#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "napi/listener_slot.h"
#include "napi/transport.h"

// News of connections and listeners, on their way to JavaScript.

namespace rdma_net::napi {

using stream::Connection;

namespace {

/// Most records that one connection can add.
constexpr size_t kRecordsOfConnection = 10;

}  // namespace

void Transport::Deliver() {
  if (opened_ && !ending_ && news_.empty() && listener_news_.empty() && !bare_wanted_) return;
  // At the end of the environment nothing of JavaScript may be touched, not even a scope.
  std::optional<Napi::HandleScope> scope;
  if (!ending_) scope.emplace(env_);
  if (!opened_ && fabric_->open()) ReportOpened();
  // News that JavaScript's calls bring about are handed on too, but not for ever in one turn.
  constexpr int kRoundsMax = 4;
  delivering_ = true;
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
  if (std::exchange(bare_wanted_, false) && !ending_) CallBare();
  delivering_ = false;
  if (!news_.empty() || !listener_news_.empty()) pump_.RunSoon();
  Watch();
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
        FinishRetired(slot.accepted_by, slot.accepted_by_serial);
      }
    }
  }
  if (!slot.closed) {
    if ((news & stream::kNewsReadable) != 0) {
      const uint64_t bytes =
          std::min<uint64_t>(connection->readable_bytes(), std::numeric_limits<int32_t>::max());
      if (bytes > 0) records_.Add(EventKind::kReadable, id, static_cast<int32_t>(bytes));
    }
    if ((news & stream::kNewsEnd) != 0) records_.Add(EventKind::kEnd, id);
    if ((news & stream::kNewsWritable) != 0) records_.Add(EventKind::kWritable, id);
    if ((news & stream::kNewsSent) != 0) {
      const auto count = static_cast<int32_t>(connection->TakeSentCount());
      const auto lost = static_cast<int32_t>(connection->TakeLostCount());
      if (count > 0) records_.Add(EventKind::kSent, id, count, lost);
    }
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
  const uint32_t listener_id = slots_[id].accepted_by;
  const uint64_t serial = slots_[id].accepted_by_serial;
  FreeId(id);
  FinishRetired(listener_id, serial);
}

/// One connection less to come.
void Transport::FinishRetired(uint32_t listener_id, uint64_t serial) {
  const Slot& slot = slots_[listener_id];
  if (!slot.retired || slot.listener->serial() != serial || HasUnderWay(listener_id)) return;
  OnListenerNews({.kind = EventKind::kClosed, .id = listener_id, .failure = {}});
}

void Transport::ReportListener(const ListenerNews& news) {
  Slot& slot = slots_[news.id];
  switch (news.kind) {
    case EventKind::kClosed:
      if (slot.listener == nullptr) break;
      slot.retired = slot.retiring;
      if (slot.retiring && HasUnderWay(news.id)) break;
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
  ReportException();
  bool wants_more = false;
  if (result != nullptr) napi_get_value_bool(env_, result, &wants_more);
  if (wants_more) CallBare();
}

void Transport::CallBare() {
  napi_value argument = Napi::Number::New(env_, 0);
  napi_call_function(env_, env_.Global(), on_events_.Value(), 1, &argument, nullptr);
  ReportException();
}

void Transport::ReportException() {
  bool pending = false;
  napi_is_exception_pending(env_, &pending);
  if (!pending) return;
  // The program's listeners have their own guard in JavaScript; what comes here is ours, and must
  // be as loud as any uncaught exception.
  napi_value exception = nullptr;
  napi_get_and_clear_last_exception(env_, &exception);
  napi_fatal_exception(env_, exception);
}

}  // namespace rdma_net::napi
