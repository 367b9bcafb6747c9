#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "fabric/fabric.h"
#include "loop/pump.h"
#include "napi/event_records.h"
#include "napi/keepalives.h"
#include "napi/registrations.h"
#include "stream/connection.h"

namespace rdma_net::napi {

/// The connections and listeners of one Node environment: `interface Transport` of lib/native.ts,
/// by small integer ids, and the events that go up to JavaScript.
///
/// It lives until the environment ends, and for as long after the last JavaScript has run as the
/// fabric needs to let go of everything (napi_add_async_cleanup_hook).
class Transport final : public stream::ConnectionObserver {
 public:
  /// @return null with a JavaScript exception pending when the loop cannot be joined
  static Transport* Create(Napi::Env env, std::unique_ptr<fabric::Fabric> fabric,
                           const stream::Options& options, const loop::Pump::Options& pump,
                           Napi::Function on_events);
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  Transport(Transport&&) = delete;
  Transport& operator=(Transport&&) = delete;
  ~Transport();

  [[nodiscard]] Napi::Value events() const { return records_.Value(); }

  /// An id, or a negated status.
  int32_t Connect(const fabric::Target& target);
  int32_t Listen(const fabric::Address& address, const fabric::ListenOptions& options);
  fabric::Status Establish(uint32_t id);
  void Close(uint32_t id);
  /// Has a listener take no more requests. False when nothing is under way, and it was closed; else
  /// its connections still come, and it is closed when there are no more to come.
  bool Retire(uint32_t id);
  void Reset(uint32_t id);
  void SetRef(bool ref);
  /// Calls JavaScript back in the next turn as CallBare does.
  void RunSoon();
  /// Closes everything and waits, for so long at most, until what was taken has been sent: blocks.
  void Farewell(uint64_t timeout_ms);

  /// Bytes taken, a negated status, or NOT_IN_PLACE or KEPT of lib/native.ts.
  /// @param owner keeps `source` alive, if it can be had: bytes that are not registered are then
  ///   taken all the same, and copied as there is room
  int32_t WriteInPlace(uint32_t id, std::span<const std::byte> source, uint32_t registration,
                       const std::function<std::shared_ptr<void>()>& owner);
  /// An id, or 0.
  uint32_t Register(Napi::ArrayBuffer buffer);
  void Unregister(uint32_t registration) { registrations_.Remove(registration); }
  void SetKeepAlive(uint32_t id, uint64_t interval_ms);

  /// Of the fabric; see there.
  [[nodiscard]] std::vector<std::string> NamesAt(const fabric::Address& address) {
    return fabric_->NamesAt(address);
  }
  [[nodiscard]] bool MayListen(const std::vector<std::string>& names) {
    return fabric_->MayListen(names);
  }

  /// Null unless it is an open connection's id.
  [[nodiscard]] stream::Connection* connection(uint32_t id) const;
  /// The same, also while it waits to be released.
  [[nodiscard]] stream::Connection* known_connection(uint32_t id) const;
  /// Whether what is sent is copied in any case.
  [[nodiscard]] bool copies_writes() const { return fabric_->posts_at_once(); }
  [[nodiscard]] bool open() const { return fabric_->open(); }
  [[nodiscard]] std::string open_error() const { return fabric_->open_error(); }

  struct Totals {
    uint32_t connections = 0;
    uint32_t listeners = 0;
    uint64_t wake_ups = 0;
    fabric::FabricStats fabric;
    stream::Counters counters;
  };
  [[nodiscard]] Totals totals() const;

  void OnNews(stream::Connection* connection) override;
  [[nodiscard]] uint64_t now_ms() const override { return fabric_->now_ms(); }

 private:
  class ListenerSlot;
  struct Slot {
    std::unique_ptr<stream::Connection> connection;
    std::unique_ptr<ListenerSlot> listener;
    /// JavaScript has closed it: it only waits to be released.
    bool closed = false;
    /// JavaScript knows it, and waits to hear when it is released.
    bool tell_closed = false;
    /// Of a listener that waits for what is under way; whether it listens no more.
    bool retiring = false;
    bool retired = false;
    /// Of an accepted connection.
    uint32_t accepted_by = 0;
    uint64_t accepted_by_serial = 0;
  };
  struct ListenerNews {
    EventKind kind;
    uint32_t id;
    fabric::Failure failure;
  };

  /// A connection that JavaScript has closed and that still has something to send.
  struct Lingering {
    uint32_t id;
    uint64_t since_ms;
  };

  Transport(Napi::Env env, uv_loop_t* loop, std::unique_ptr<fabric::Fabric> fabric,
            const stream::Options& options, const loop::Pump::Options& pump,
            Napi::Function on_events);

  /// Memory that may be sent from in place: of a registration, or of a slab.
  [[nodiscard]] std::optional<stream::Source> FindSource(const stream::Connection& connection,
                                                         std::span<const std::byte> source,
                                                         uint32_t registration) const;
  uint32_t TakeId();
  void FreeId(uint32_t id);
  void OnRequest(uint32_t listener_id, std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data);
  void OnListenerNews(const ListenerNews& news);

  /// After a round of the pump: hands all news to JavaScript.
  void Deliver();
  void ReportOpened();
  void Report(stream::Connection* connection);
  /// Whether the listener has connections of which JavaScript has not heard yet.
  [[nodiscard]] bool HasUnderWay(uint32_t listener_id) const;
  void FinishRetired(uint32_t listener_id, uint64_t serial);
  void ReportClosed(uint32_t id);
  void ReportListener(const ListenerNews& news);
  void Send();
  void CallBack(double count);
  /// Calls JavaScript from outside of every callback scope: what C++ of Node then calls back has
  /// its ticks and microtasks run at once, as when it reads from libuv's TCP.
  void CallBare();
  void ReportException();
  /// Sees to what needs a clock, and to that the clock runs while anything does.
  void Watch();
  void WatchLingering();

  /// Breaks off what still reads memory of the program.
  void ResetBorrowers();
  void BeginEnd();
  void CutEnd();
  void ContinueEnd();

  Napi::Env env_;
  stream::Options options_;
  Napi::FunctionReference on_events_;
  std::optional<Napi::AsyncContext> async_context_;
  EventRecords records_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_ids_;
  /// Free once the batch that tells of their end has been sent.
  std::vector<uint32_t> freed_ids_;
  std::vector<stream::Connection*> news_;
  std::vector<ListenerNews> listener_news_;
  std::vector<Lingering> lingering_;
  Keepalives keepalives_;
  stream::Counters closed_counters_;
  uint64_t listeners_made_ = 0;
  bool ref_ = false;
  bool opened_ = false;
  /// RunSoon was asked.
  bool bare_wanted_ = false;
  /// News are handed on already.
  bool delivering_ = false;
  bool ending_ = false;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  // The pump goes before the fabric whose descriptor it watches.
  std::unique_ptr<fabric::Fabric> fabric_;
  Registrations registrations_;
  loop::Pump pump_;
};

}  // namespace rdma_net::napi
