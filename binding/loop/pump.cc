#include "loop/pump.h"

#include <utility>

namespace rdma_net::loop {

namespace {

template <typename Handle>
uv_handle_t* AsHandle(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

}  // namespace

Pump::Pump(uv_loop_t* loop, fabric::Fabric* fabric, const Options& options,
           std::function<void()> delivered)
    : loop_(loop), fabric_(fabric), options_(options), delivered_(std::move(delivered)) {}

int Pump::Start() {
  if (const int error = uv_poll_init(loop_, &poll_, fabric_->fd()); error != 0) return error;
  uv_idle_init(loop_, &idle_);
  uv_prepare_init(loop_, &prepare_);
  uv_timer_init(loop_, &timer_);
  open_handles_ = 4;
  poll_.data = idle_.data = prepare_.data = timer_.data = this;
  uv_unref(AsHandle(&prepare_));
  uv_unref(AsHandle(&timer_));
  SetRef(false);
  uv_prepare_start(&prepare_,
                   [](uv_prepare_t* handle) { static_cast<Pump*>(handle->data)->BeforeSleep(); });
  return uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* handle, int, int) {
    // An error of the descriptor is found again, with its reason, by whoever reads it.
    auto* pump = static_cast<Pump*>(handle->data);
    pump->wake_ups_++;
    pump->Round();
  });
}

void Pump::Round() {
  uv_idle_stop(&idle_);
  if (fabric_->Poll(kBudget)) RunSoon();
  delivered_();
}

void Pump::BeforeSleep() {
  if (closed_ != nullptr) return;
  if (options_.spin_us > 0 && uv_backend_timeout(loop_) != 0) Spin();
  // What the program answers may be armed for only then.
  for (int round = 0; round < kArmRoundsMax; round++) {
    if (!fabric_->Arm()) return;
    if (fabric_->PollArmed(kBudget)) RunSoon();
    delivered_();
    if (closed_ != nullptr) return;
  }
  RunSoon();
}

/// Sleeping and waking up take microseconds, which is longer than an answer may be under way.
void Pump::Spin() {
  const uint64_t until_ns = uv_hrtime() + uint64_t{1000} * options_.spin_us;
  const uint64_t before = fabric_->stats().completions;
  do {
    if (fabric_->PollArmed(kBudget)) RunSoon();
    if (fabric_->stats().completions == before) continue;
    delivered_();
    return;
  } while (uv_hrtime() < until_ns);
}

void Pump::RunSoon() {
  if (closed_ != nullptr || uv_is_active(AsHandle(&idle_)) != 0) return;
  uv_idle_start(&idle_, [](uv_idle_t* handle) { static_cast<Pump*>(handle->data)->Round(); });
}

void Pump::SetRef(bool ref) {
  if (ref) {
    uv_ref(AsHandle(&poll_));
    uv_ref(AsHandle(&idle_));
  } else {
    uv_unref(AsHandle(&poll_));
    uv_unref(AsHandle(&idle_));
  }
}

void Pump::StartTicks(uint64_t interval_ms, std::function<void()> tick) {
  if (closed_ != nullptr) return;
  tick_ = std::move(tick);
  uv_timer_start(
      &timer_, [](uv_timer_t* handle) { static_cast<Pump*>(handle->data)->tick_(); }, interval_ms,
      interval_ms);
}

void Pump::StopTicks() {
  uv_timer_stop(&timer_);
  tick_ = nullptr;
}

void Pump::Close(std::function<void()> closed) {
  if (closed_ != nullptr) return;
  closed_ = std::move(closed);
  const auto on_closed = [](uv_handle_t* handle) {
    static_cast<Pump*>(handle->data)->OnHandleClosed();
  };
  uv_close(AsHandle(&poll_), on_closed);
  uv_close(AsHandle(&idle_), on_closed);
  uv_close(AsHandle(&prepare_), on_closed);
  uv_close(AsHandle(&timer_), on_closed);
}

void Pump::OnHandleClosed() {
  if (--open_handles_ > 0) return;
  // The call may destroy the pump, and with it the function.
  const std::function<void()> closed = std::move(closed_);
  closed();
}

}  // namespace rdma_net::loop
