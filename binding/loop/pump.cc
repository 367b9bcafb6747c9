#include "loop/pump.h"

#include <utility>

namespace rdma_net::loop {

namespace {

template <typename Handle>
uv_handle_t* AsHandle(Handle* handle) {
  return reinterpret_cast<uv_handle_t*>(handle);
}

}  // namespace

Pump::Pump(uv_loop_t* loop, fabric::Fabric* fabric, std::function<void()> delivered)
    : loop_(loop), fabric_(fabric), delivered_(std::move(delivered)) {}

int Pump::Start() {
  if (const int error = uv_poll_init(loop_, &poll_, fabric_->fd()); error != 0) return error;
  uv_idle_init(loop_, &idle_);
  uv_timer_init(loop_, &timer_);
  open_handles_ = 3;
  poll_.data = idle_.data = timer_.data = this;
  uv_unref(AsHandle(&timer_));
  SetRef(false);
  fabric_->Arm();
  return uv_poll_start(&poll_, UV_READABLE, [](uv_poll_t* handle, int, int) {
    // An error of the descriptor is found again, with its reason, by whoever reads it.
    auto* pump = static_cast<Pump*>(handle->data);
    pump->wake_ups_++;
    pump->Round();
  });
}

void Pump::Round() {
  bool more = fabric_->Poll(kBudget);
  uv_idle_stop(&idle_);
  // Before arming: what the program's answers bring about is then found without a wake-up.
  delivered_();
  if (closed_ != nullptr) return;
  const bool armed = !more && fabric_->Arm();
  if (armed) more = fabric_->PollArmed(kBudget);
  if (more) RunSoon();
  if (armed) delivered_();
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
  uv_close(AsHandle(&timer_), on_closed);
}

void Pump::OnHandleClosed() {
  if (--open_handles_ > 0) return;
  // The call may destroy the pump, and with it the function.
  const std::function<void()> closed = std::move(closed_);
  closed();
}

}  // namespace rdma_net::loop
