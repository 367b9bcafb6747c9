#pragma once

#include <pthread.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>

#include "system/file_descriptor.h"

namespace rdma_net::verbs {

/// The one thread that waits where the loop must not: opening libraries and devices, destroying
/// queue pairs and ids. Jobs run in the order given; what each returns runs on the loop thread, in
/// RunFinished, after fd() became readable.
class Worker {
 public:
  /// Run on the loop thread after its job.
  using Finish = std::function<void()>;
  using Job = std::function<Finish()>;

  Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  Worker(Worker&&) = delete;
  Worker& operator=(Worker&&) = delete;
  /// Waits for the job that runs; those that have not begun are dropped. Begin no end before
  /// idle().
  ~Worker();

  /// Makes the thread; before the first Run. 0, or an errno: then there can be no jobs.
  int Start();
  void Run(Job job);
  /// Runs `finish` on the loop thread as if a job had returned it.
  void Defer(Finish finish);
  /// Readable when something is finished.
  [[nodiscard]] int fd() const { return finished_fd_.get(); }
  void RunFinished();
  /// Whether every job is done and finished.
  [[nodiscard]] bool idle() const { return pending_ == 0; }

 private:
  void Loop();
  /// With the mutex held.
  void AddFinished(Finish finish);

  system::FileDescriptor finished_fd_;
  /// Jobs given and not yet finished; only used on the loop thread.
  size_t pending_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::deque<Finish> finished_;
  bool stop_ = false;
  bool started_ = false;
  pthread_t thread_{};
};

}  // namespace rdma_net::verbs
