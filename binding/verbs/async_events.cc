#include "verbs/async_events.h"

#include <fcntl.h>

namespace rdma_net::verbs {

bool AsyncEvents::Open(ibv_context* context) {
  context_ = context;
  return fcntl(fd(), F_SETFL, fcntl(fd(), F_GETFL) | O_NONBLOCK) == 0;
}

bool AsyncEvents::Read() {
  bool fatal = false;
  ibv_async_event event{};
  while (library_->get_async_event(context_, &event) == 0) {
    // What is said of single queues shows in their completions too.
    fatal |= event.event_type == IBV_EVENT_DEVICE_FATAL;
    // At once: destroying a queue pair waits for every event of it to be acknowledged.
    library_->ack_async_event(&event);
  }
  return fatal;
}

}  // namespace rdma_net::verbs
