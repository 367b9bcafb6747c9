#pragma once

#include <uv.h>

#include <functional>

#include "fabric/fabric.h"

namespace rdma_net::loop {

/// Joins a fabric to a libuv loop. That the fabric's descriptor is readable means no more than
/// "look": a wake-up drains with a budget, and hands on what was found. Before the loop sleeps it
/// arms, and looks once more for what came in between. What is over the budget goes to the next
/// turn of the loop, so that nothing else on it starves.
///
///     readable ---------> Poll(budget) --> delivered()
///     loop would sleep -> (spin) -> Arm --> PollArmed --> delivered()
///
/// Whatever the program posts in a turn, in whichever callback, is armed for before the loop
/// sleeps.
class Pump {
 public:
  struct Options {
    /// How long to go on polling before the loop sleeps, in microseconds; at most kSpinMax.
    uint32_t spin_us = 0;
  };
  static constexpr uint32_t kSpinMax = 1000;

  /// @param delivered called after each round, to hand on what the events left behind
  Pump(uv_loop_t* loop, fabric::Fabric* fabric, const Options& options,
       std::function<void()> delivered);
  Pump(const Pump&) = delete;
  Pump& operator=(const Pump&) = delete;
  Pump(Pump&&) = delete;
  Pump& operator=(Pump&&) = delete;
  /// Only after Close has called back, or where it was never started.
  ~Pump() = default;

  /// @return 0 or a negative libuv error
  int Start();
  /// Runs a round in the next turn, though the descriptor may not be readable.
  void RunSoon();
  /// Whether the pump keeps the loop alive; it does not at first.
  void SetRef(bool ref);
  /// Calls `tick` every `interval_ms` until StopTicks.
  void StartTicks(uint64_t interval_ms, std::function<void()> tick);
  void StopTicks();
  [[nodiscard]] bool ticking() const { return tick_ != nullptr; }
  /// Stops and closes; `closed` is called from the loop, and then the pump may be destroyed.
  void Close(std::function<void()> closed);

  [[nodiscard]] uint64_t wake_ups() const { return wake_ups_; }

 private:
  static constexpr uint32_t kBudget = 256;
  static constexpr int kArmRoundsMax = 4;

  void Round();
  void BeforeSleep();
  void Spin();
  void OnHandleClosed();

  uv_loop_t* loop_;
  fabric::Fabric* fabric_;
  Options options_;
  std::function<void()> delivered_;
  std::function<void()> tick_;
  std::function<void()> closed_;
  uint64_t wake_ups_ = 0;
  int open_handles_ = 0;
  uv_poll_t poll_{};
  uv_idle_t idle_{};
  uv_prepare_t prepare_{};
  uv_timer_t timer_{};
};

}  // namespace rdma_net::loop
