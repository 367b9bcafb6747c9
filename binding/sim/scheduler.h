#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <vector>

namespace rdma_net::sim {

/// Something that may happen next, as often as it is ready.
class Task {
 public:
  Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  Task(Task&&) = delete;
  Task& operator=(Task&&) = delete;

  /// May destroy the task.
  virtual void Run() = 0;

 protected:
  ~Task() = default;

 private:
  friend class Scheduler;
  static constexpr uint32_t kNotReady = UINT32_MAX;
  uint32_t place_ = kNotReady;
};

/// Chooses what happens next, by a seeded generator: a run depends on nothing but its seed. The
/// cost of a step does not grow with the number of tasks.
class Scheduler {
 public:
  explicit Scheduler(uint64_t seed) : generator_(seed) {}

  void SetReady(Task* task, bool ready);
  /// An event that happens once, after any number of others.
  void Later(std::function<void()> event) { events_.push_back(std::move(event)); }

  /// Runs one of what is ready; false when nothing is.
  bool Step();

  /// A number from 0 to `below` - 1.
  uint32_t Random(uint32_t below) { return static_cast<uint32_t>(generator_() % below); }
  /// True in `chance` of 2^20 cases.
  bool Chance(uint32_t chance) { return chance > 0 && (generator_() & 0xfffff) < chance; }

  [[nodiscard]] uint64_t now_ms() const { return now_ms_; }

 private:
  std::mt19937_64 generator_;
  std::vector<Task*> ready_;
  std::vector<std::function<void()>> events_;
  uint64_t now_ms_ = 1;
};

}  // namespace rdma_net::sim
