#include "verbs/worker.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cassert>
#include <utility>

namespace rdma_net::verbs {

Worker::Worker() : finished_fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  if (started_) pthread_join(thread_, nullptr);
}

int Worker::Start() {
  if (started_) return 0;
  // Not std::thread, which throws where there can be no more threads.
  const auto run = [](void* worker) -> void* {
    static_cast<Worker*>(worker)->Loop();
    return nullptr;
  };
  const int error = pthread_create(&thread_, nullptr, run, this);
  started_ = error == 0;
  return error;
}

void Worker::Run(Job job) {
  assert(started_);
  pending_++;
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
}

void Worker::Defer(Finish finish) {
  pending_++;
  const std::lock_guard lock(mutex_);
  AddFinished(std::move(finish));
}

void Worker::RunFinished() {
  uint64_t count = 0;
  // Only a hint: an empty read means that nothing has been added since.
  if (read(finished_fd_.get(), &count, sizeof(count)) < 0) return;
  std::deque<Finish> finished;
  {
    const std::lock_guard lock(mutex_);
    finished.swap(finished_);
  }
  for (Finish& finish : finished) {
    pending_--;
    if (finish) finish();
  }
}

void Worker::Loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || !jobs_.empty(); });
    if (stop_) return;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    Finish finish = job();
    job = nullptr;
    lock.lock();
    AddFinished(std::move(finish));
  }
}

void Worker::AddFinished(Finish finish) {
  finished_.push_back(std::move(finish));
  const uint64_t one = 1;
  // An eventfd only refuses at 2^64 - 1, and then it is readable anyway.
  [[maybe_unused]] const ssize_t written = write(finished_fd_.get(), &one, sizeof(one));
}

}  // namespace rdma_net::verbs
