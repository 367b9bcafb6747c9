#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "fabric/fabric.h"
#include "system/clock.h"
#include "system/event_set.h"
#include "system/file_descriptor.h"
#include "verbs/budget.h"
#include "verbs/device_table.h"
#include "verbs/endpoint.h"
#include "verbs/library.h"
#include "verbs/listener.h"
#include "verbs/registration.h"
#include "verbs/worker.h"

namespace rdma_net::verbs {

/// The fabric over librdmacm and libibverbs.
///
///     librdmacm event channel  --+
///     completion channels      --+
///     events of devices        --+--> epoll set = fd() --> Poll on the loop thread
///     the worker's eventfd     --+
///     a timer for sends        --+
///
/// Libraries and devices are opened on the worker when they are first needed.
class VerbsFabric final : public fabric::Fabric {
 public:
  struct Options {
    DeviceOptions devices;
    /// Registered memory of every kind; RLIMIT_MEMLOCK may set a lower limit.
    uint64_t pinned_bytes_max = uint64_t{256} << 20;
    /// Beyond them new connections fail with kQueuePairLimit.
    uint32_t queue_pairs_max = UINT32_MAX;
  };

  /// Null with `failure` set when there are no descriptors to be had.
  static std::unique_ptr<VerbsFabric> Create(const Options& options, fabric::Failure* failure);
  VerbsFabric(const VerbsFabric&) = delete;
  VerbsFabric& operator=(const VerbsFabric&) = delete;
  VerbsFabric(VerbsFabric&&) = delete;
  VerbsFabric& operator=(VerbsFabric&&) = delete;
  /// Only once closed().
  ~VerbsFabric() override;

  /// Whether a device and the connection manager could be there, without opening anything
  /// (/sys/class/infiniband, /dev/infiniband/rdma_cm).
  static fabric::Status Probe();

  [[nodiscard]] int fd() const override { return events_.fd(); }
  bool Poll(uint32_t budget) override;
  bool Arm() override;
  bool PollArmed(uint32_t budget) override;
  std::unique_ptr<fabric::Endpoint> Connect(const fabric::Target& target,
                                            fabric::EndpointEvents* events,
                                            fabric::Failure* failure) override;
  std::unique_ptr<fabric::Listener> Listen(const fabric::Address& address,
                                           const fabric::ListenOptions& options,
                                           fabric::ListenerEvents* events,
                                           fabric::Failure* failure) override;
  fabric::RegistrationRef Register(std::span<const std::byte> memory,
                                   std::function<void()> released) override;
  [[nodiscard]] uint64_t now_ms() const override { return system::NowMs(); }
  [[nodiscard]] bool open() const override { return open_ == Open::kYes; }
  [[nodiscard]] std::string open_error() const override { return open_error_; }
  [[nodiscard]] fabric::FabricStats stats() const override;
  bool Tidy() override;
  void Close() override;
  [[nodiscard]] bool closed() const override { return closed_; }

  // For endpoints and listeners.
  [[nodiscard]] const Library& library() const { return *library_; }
  [[nodiscard]] rdma_event_channel* channel() const { return channel_; }
  [[nodiscard]] Worker* worker() { return &worker_; }
  [[nodiscard]] bool closing() const { return closing_; }
  void AddEndpoint(rdma_cm_id* id, Endpoint* endpoint) { endpoints_[id] = endpoint; }
  void RemoveEndpoint(rdma_cm_id* id) { endpoints_.erase(id); }
  /// Whether what failed is to be tried again, by `again`: who has the address may be an id of ours
  /// that is being destroyed.
  bool AwaitAddress(const fabric::Failure& failure, Worker::Finish again);
  /// An endpoint that was released waits for the peer's answer to its disconnect, for a while.
  void AwaitAnswer(std::weak_ptr<Endpoint*> endpoint) {
    awaiting_.push_back({.endpoint = std::move(endpoint), .since_ms = system::NowMs()});
  }
  void AddListener(rdma_cm_id* id, Listener* listener) { listeners_[id] = listener; }
  void RemoveListener(rdma_cm_id* id) { listeners_.erase(id); }

  [[nodiscard]] DeviceTable* devices() { return &devices_; }

 private:
  explicit VerbsFabric(const Options& options);
  struct Opening;
  enum class Open : uint8_t { kNo, kOpening, kYes };
  using Opened = std::function<void(fabric::Failure)>;

  void WhenOpen(Opened opened);
  void OnOpened(const Opening& opening);

  bool Look(uint32_t budget);
  void StartTimer();
  void OnTimer();
  bool PollConnectionManager(uint32_t budget);
  void Dispatch(const CmEvent& event);
  void OnRequest(const CmEvent& event);
  void Refuse(rdma_cm_id* id);
  void LoseDevice(ibv_context* context);
  void FinishClose();
  void CloseChannel();

  system::EventSet events_;
  /// Looks after sends that nobody waits for.
  system::FileDescriptor timer_;
  bool timer_runs_ = false;
  /// Polls that have found something without a look at events_.
  uint32_t polls_without_look_ = 0;
  Budget budget_;
  const Library* library_ = nullptr;
  rdma_event_channel* channel_ = nullptr;
  Open open_ = Open::kNo;
  std::vector<Opened> waiting_for_open_;
  std::string open_error_;
  bool closing_ = false;
  bool ending_ = false;
  bool closed_ = false;
  uint64_t completions_ = 0;
  std::unordered_map<rdma_cm_id*, Endpoint*> endpoints_;
  struct Awaiting {
    std::weak_ptr<Endpoint*> endpoint;
    uint64_t since_ms;
  };
  /// In the order of their release.
  std::deque<Awaiting> awaiting_;
  std::unordered_map<rdma_cm_id*, Listener*> listeners_;
  // Joined before what its jobs use is gone; those below it only give it jobs.
  Worker worker_;
  Registrar registrar_;
  DeviceTable devices_;
};

}  // namespace rdma_net::verbs
