#pragma once

#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "fabric/fabric.h"
#include "system/event_set.h"
#include "verbs/budget.h"
#include "verbs/device.h"
#include "verbs/library.h"
#include "verbs/registration.h"
#include "verbs/worker.h"

namespace rdma_net::verbs {

/// The devices of a fabric, by their context of librdmacm; opened on the worker when they are first
/// needed.
///
///     (none) --ReservePlace--> opening --> open --Lose--> lost --nobody uses it--> (none)
///        ^                       |  failed
///        +-----------------------+
class DeviceTable {
 public:
  DeviceTable(system::EventSet* events, Worker* worker, Budget* budget, Registrar* registrar,
              const DeviceOptions& options)
      : events_(events),
        worker_(worker),
        budget_(budget),
        registrar_(registrar),
        options_(options) {}
  DeviceTable(const DeviceTable&) = delete;
  DeviceTable& operator=(const DeviceTable&) = delete;
  DeviceTable(DeviceTable&&) = delete;
  DeviceTable& operator=(DeviceTable&&) = delete;
  /// After Close, or before Open.
  ~DeviceTable() = default;

  /// @param contexts of rdma_get_devices, which is given back at the end
  void Open(const Library* library, ibv_context** contexts);

  using PlaceFound = std::function<void(fabric::Failure, Device*, QueueGroup*)>;
  /// Opens the device if need be, and finds a place for one queue pair on it.
  void ReservePlace(ibv_context* context, PlaceFound found);
  /// Opens the devices that a listener's connections may come over (`context`, or all when null),
  /// and tells whether at least one can be used.
  void Prepare(ibv_context* context, const std::function<void(fabric::Failure)>& prepared);

  /// Reads what `owner`, as the event set gave it, has to say. The context of a device that is no
  /// more, or null: Lose comes next.
  ibv_context* OnReadable(const void* owner);
  /// Takes the events off the completion channels; false when there were none.
  bool ReadChannels();
  uint32_t PollCompletions(uint32_t budget);
  void DrainCompletions();
  bool Arm();
  /// As those of Device.
  [[nodiscard]] bool posted() const;
  void WatchSends();

  /// The device takes no more connections, and is closed when the last of it is released.
  void Lose(ibv_context* context);
  /// Closes lost devices that nobody uses any more.
  void CloseLost();

  [[nodiscard]] std::vector<RegistrationTarget> registration_targets() const;
  void AddStats(fabric::FabricStats* stats) const;
  /// As Fabric::Tidy.
  bool Tidy();

  /// Gives the worker everything to close.
  void Close();

 private:
  using Ready = std::function<void(fabric::Failure, Device*)>;
  struct Slot {
    std::unique_ptr<Device> device;
    std::vector<Ready> waiting;
    bool lost = false;
  };

  void WhenReady(ibv_context* context, Ready ready);
  void OnOpened(ibv_context* context, std::unique_ptr<Device> device, fabric::Failure failure);
  bool Watch(Device* device);
  /// What remains is destroyed on the worker.
  std::shared_ptr<Device> Detach(std::unique_ptr<Device> device);
  void PrepareThese(const std::vector<ibv_context*>& contexts,
                    const std::function<void(fabric::Failure)>& prepared);
  /// @param closed is destroyed first
  /// @param then is told when contexts_ is up to date
  void RefreshContexts(std::shared_ptr<Device> closed, std::function<void()> then);
  void OnContexts(ibv_context** contexts, const std::function<void()>& then);
  [[nodiscard]] std::vector<ibv_context*> AllContexts() const;

  system::EventSet* events_;
  Worker* worker_;
  Budget* budget_;
  Registrar* registrar_;
  DeviceOptions options_;
  const Library* library_ = nullptr;
  /// Null while the worker is looking which devices there are, and when there were none.
  ibv_context** contexts_ = nullptr;
  size_t lost_ = 0;
  std::unordered_map<ibv_context*, Slot> slots_;
};

}  // namespace rdma_net::verbs
