#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "fabric/fabric.h"
#include "verbs/async_events.h"
#include "verbs/budget.h"
#include "verbs/library.h"
#include "verbs/memory_block.h"
#include "verbs/queue_group.h"
#include "verbs/registration.h"
#include "verbs/request_chain.h"
#include "verbs/slab_pools.h"
#include "verbs/worker.h"

namespace rdma_net::verbs {

class Endpoint;

struct DeviceOptions {
  QueueSizes queues;
  /// Size of a block of send memory.
  size_t send_bytes = 256 * 1024;
  /// Receive memory a connection will ask for: registered once for trial.
  size_t receive_bytes = 128 * 1024;
  SlabPools::Sizes slabs;
};

/// One RDMA device in one environment: protection domain, completion channel, queue groups, slabs
/// and send memory, shared by all connections over it.
class Device {
 public:
  using Reserved = std::function<void(fabric::Failure, QueueGroup*)>;

  /// For the worker: opens everything that the first connections need.
  static std::unique_ptr<Device> Open(const Library* library, ibv_context* context,
                                      const DeviceOptions& options, Worker* worker, Budget* budget,
                                      fabric::Failure* failure);
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  Device(Device&&) = delete;
  Device& operator=(Device&&) = delete;
  /// For the worker, after Detach; no endpoint may be left.
  ~Device();
  /// The last that the loop thread does with it, when no job of it is under way.
  void Detach() { detached_ = slabs_.Detach(); }

  /// Finds a place for one more queue pair, making a new group on the worker when all are full.
  void Reserve(Reserved reserved);
  void AddQueuePair(uint32_t number, Endpoint* endpoint);
  void RemoveQueuePair(uint32_t number) { endpoints_.erase(number); }
  /// Whether somebody has a place, or waits for one.
  [[nodiscard]] bool used() const;
  [[nodiscard]] uint32_t queue_pairs() const { return static_cast<uint32_t>(endpoints_.size()); }

  /// Send memory of options().send_bytes, from the pool.
  std::unique_ptr<MemoryBlock> TakeSendMemory(fabric::Failure* failure);
  void GiveSendMemory(std::unique_ptr<MemoryBlock> block);
  [[nodiscard]] SlabPools& slabs() { return slabs_; }
  [[nodiscard]] const SlabPools& slabs() const { return slabs_; }
  /// Unregisters the pools when no queue pair is left that could want them.
  void ShrinkWhenIdle();

  /// Takes the events off the channel, if there are any; then completions may be found.
  bool ReadChannel();
  /// Delivers up to `budget` completions; returns how many.
  uint32_t PollCompletions(uint32_t budget);
  /// Delivers what is there now, however much, within reason.
  void DrainCompletions();
  /// True when something was not armed before.
  bool Arm();
  /// Whether something was posted since WatchSends, which has its completion wake somebody: so it
  /// is found out, too, that what nobody waits for has failed.
  [[nodiscard]] bool posted() const;
  void WatchSends();

  // For endpoints and their queue pairs.
  [[nodiscard]] RequestChain* chain() { return &chain_; }
  /// Whether completions are being delivered: then all are rung for together at the end.
  [[nodiscard]] bool delivering() const { return delivering_; }
  /// The chain is needed by another queue pair than this one.
  void RingFor(uint32_t queue_pair_number);
  void RingLater(uint32_t queue_pair_number) { to_ring_.push_back(queue_pair_number); }

  [[nodiscard]] int channel_fd() const { return channel_->fd; }
  [[nodiscard]] AsyncEvents& async_events() { return async_events_; }
  [[nodiscard]] RegistrationTarget registration_target() const {
    return {.device_id = id_, .pd = pd_, .on_demand = on_demand_};
  }
  /// Unlike the address, never used again for another device.
  [[nodiscard]] uint64_t id() const { return id_; }
  [[nodiscard]] ibv_pd* pd() const { return pd_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const DeviceOptions& options() const { return options_; }
  [[nodiscard]] Budget* budget() const { return budget_; }

 private:
  Device(const Library* library, const DeviceOptions& options, Worker* worker, Budget* budget)
      : library_(library),
        options_(options),
        worker_(worker),
        budget_(budget),
        async_events_(library),
        slabs_(library, worker, budget, options.slabs) {}
  fabric::Failure OpenResources(ibv_context* context);
  fabric::Failure OpenChannel(ibv_context* context);
  fabric::Failure TryMemory();
  QueueGroup* FindPlace();
  void OnGroup(std::unique_ptr<QueueGroup> group, fabric::Failure failure);
  void AddGroup(std::unique_ptr<QueueGroup> group);
  uint32_t PollGroup(QueueGroup* group, uint32_t budget);
  uint32_t DeliverReceived(QueueGroup* group, uint32_t budget);
  void Deliver(const ibv_wc& completion, QueueGroup* group);
  void RingAll();

  const Library* library_;
  DeviceOptions options_;
  Worker* worker_;
  Budget* budget_;
  uint64_t id_ = 0;
  std::string name_;
  bool on_demand_ = false;
  uint32_t group_connections_max_ = 0;
  uint32_t next_group_connections_ = 0;
  bool making_group_ = false;
  /// The group that is polled first; another one each time, so that none starves.
  size_t first_group_ = 0;
  std::vector<Reserved> waiting_;
  std::unordered_map<uint32_t, Endpoint*> endpoints_;
  RequestChain chain_;
  bool delivering_ = false;
  /// By the numbers of queue pairs, which may be gone by then.
  std::vector<uint32_t> to_ring_;

  // Destroyed by ~Device, groups and memory before what they hang on.
  ibv_pd* pd_ = nullptr;
  ibv_comp_channel* channel_ = nullptr;
  std::vector<std::unique_ptr<QueueGroup>> groups_;
  std::vector<std::unique_ptr<MemoryBlock>> send_pool_;
  AsyncEvents async_events_;
  SlabPools slabs_;
  std::vector<std::unique_ptr<ChunkRegistration>> detached_;
};

}  // namespace rdma_net::verbs
