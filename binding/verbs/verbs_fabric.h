#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "fabric/fabric.h"
#include "verbs/device.h"
#include "verbs/endpoint.h"
#include "verbs/file_descriptor.h"
#include "verbs/library.h"
#include "verbs/listener.h"
#include "verbs/worker.h"

namespace rdma_net::verbs {

/// The fabric over librdmacm and libibverbs.
///
///     librdmacm event channel  --+
///     completion channels      --+--> epoll set = fd() --> Poll on the loop thread
///     the worker's eventfd     --+
///
/// Libraries and devices are opened on the worker when they are first needed.
class VerbsFabric final : public fabric::Fabric {
 public:
  explicit VerbsFabric(const DeviceOptions& options);
  VerbsFabric(const VerbsFabric&) = delete;
  VerbsFabric& operator=(const VerbsFabric&) = delete;
  VerbsFabric(VerbsFabric&&) = delete;
  VerbsFabric& operator=(VerbsFabric&&) = delete;
  /// Only once closed().
  ~VerbsFabric() override;

  /// Whether a device and the connection manager could be there, without opening anything
  /// (/sys/class/infiniband, /dev/infiniband/rdma_cm).
  static fabric::Status Probe();

  [[nodiscard]] int fd() const override { return epoll_.get(); }
  bool Poll(uint32_t budget) override;
  bool Arm() override;
  std::unique_ptr<fabric::Endpoint> Connect(const fabric::Target& target,
                                            fabric::EndpointEvents* events,
                                            fabric::Failure* failure) override;
  std::unique_ptr<fabric::Listener> Listen(const fabric::Address& address, int backlog,
                                           fabric::ListenerEvents* events,
                                           fabric::Failure* failure) override;
  [[nodiscard]] bool open() const override { return open_ == Open::kYes; }
  [[nodiscard]] std::string open_error() const override { return open_error_; }
  [[nodiscard]] fabric::FabricStats stats() const override;
  void Close() override;
  [[nodiscard]] bool closed() const override { return closed_; }

  // For endpoints and listeners.
  [[nodiscard]] const Library& library() const { return *library_; }
  [[nodiscard]] rdma_event_channel* channel() const { return channel_; }
  [[nodiscard]] Worker* worker() { return &worker_; }
  [[nodiscard]] bool closing() const { return closing_; }
  void AddEndpoint(rdma_cm_id* id, Endpoint* endpoint) { endpoints_[id] = endpoint; }
  void RemoveEndpoint(rdma_cm_id* id) { endpoints_.erase(id); }
  void AddListener(rdma_cm_id* id, Listener* listener) { listeners_[id] = listener; }
  void RemoveListener(rdma_cm_id* id) { listeners_.erase(id); }

  using PlaceFound = std::function<void(fabric::Failure, Device*, QueueGroup*)>;
  /// Opens the device if need be, and finds a place for one queue pair on it.
  void ReservePlace(ibv_context* context, PlaceFound found);
  /// Opens the devices that a listener's connections may come over (`context`, or all when null),
  /// and tells whether at least one can be used.
  void PrepareDevices(ibv_context* context, const std::function<void(fabric::Failure)>& prepared);

 private:
  struct DeviceSlot {
    std::unique_ptr<Device> device;
    std::vector<PlaceFound> waiting;
  };
  struct Opening;
  enum class Open : uint8_t { kNo, kOpening, kYes };
  using Opened = std::function<void(fabric::Failure)>;

  void WhenOpen(Opened opened);
  void OnOpened(const Opening& opening);
  void OnDeviceOpened(ibv_context* context, std::unique_ptr<Device> device,
                      fabric::Failure failure);
  void Watch(int fd, void* what);
  void Unwatch(int fd);

  bool PollConnectionManager(uint32_t budget);
  void Dispatch(const CmEvent& event);
  void OnRequest(const CmEvent& event);
  void Refuse(rdma_cm_id* id);
  uint32_t PollCompletions(uint32_t budget);
  void FinishClose();

  DeviceOptions options_;
  FileDescriptor epoll_;
  const Library* library_ = nullptr;
  rdma_event_channel* channel_ = nullptr;
  ibv_context** contexts_ = nullptr;
  Open open_ = Open::kNo;
  std::vector<Opened> waiting_for_open_;
  std::string open_error_;
  bool closing_ = false;
  bool closed_ = false;
  uint64_t completions_ = 0;
  std::atomic<uint64_t> pinned_bytes_ = 0;
  std::unordered_map<rdma_cm_id*, Endpoint*> endpoints_;
  std::unordered_map<rdma_cm_id*, Listener*> listeners_;
  std::unordered_map<ibv_context*, DeviceSlot> devices_;
  // Last: joined before what its jobs use is gone.
  Worker worker_;
};

}  // namespace rdma_net::verbs
