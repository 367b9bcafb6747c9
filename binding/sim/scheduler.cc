#include "sim/scheduler.h"

#include <utility>

namespace rdma_net::sim {

void Scheduler::SetReady(Task* task, bool ready) {
  if (ready == (task->place_ != Task::kNotReady)) return;
  if (ready) {
    task->place_ = static_cast<uint32_t>(ready_.size());
    ready_.push_back(task);
    return;
  }
  Task* last = ready_.back();
  ready_[task->place_] = last;
  last->place_ = task->place_;
  ready_.pop_back();
  task->place_ = Task::kNotReady;
}

bool Scheduler::Step() {
  const auto choices = static_cast<uint32_t>(ready_.size() + events_.size());
  // Time passes also where nothing happens.
  if (Random(16) == 0) now_ms_ += Random(100);
  if (choices == 0) return false;
  const uint32_t choice = Random(choices);
  if (choice < ready_.size()) {
    ready_[choice]->Run();
    return true;
  }
  std::swap(events_[choice - ready_.size()], events_.back());
  const std::function<void()> event = std::move(events_.back());
  events_.pop_back();
  event();
  return true;
}

}  // namespace rdma_net::sim
