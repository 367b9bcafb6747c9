#pragma once

#include <algorithm>
#include <cstdint>

namespace rdma_net::stream {

/// How many control messages a peer may send. They are outside of the credits and each costs a
/// receive that connections share, so a peer that means harm could send nothing else. An honest
/// one has a reason for each: a message of ours that it received, or time that went by.
class ControlAllowance {
 public:
  /// A control message came; false when it was one too many.
  /// @param messages_sent data messages to the peer so far: it may answer each with a buffer, and
  ///   with credits
  /// @param now_ms tells the milliseconds of a clock, which costs something
  template <typename Clock>
  bool Take(const Clock& now_ms, uint64_t messages_sent) {
    left_ = std::min(left_ + 2 * (messages_sent - messages_seen_), kLeftMax);
    messages_seen_ = messages_sent;
    if (left_ == 0) Refill(now_ms());
    if (left_ == 0) return false;
    left_--;
    return true;
  }

 private:
  static constexpr uint64_t kBurst = 256;
  static constexpr uint64_t kPerSecond = 64;
  static constexpr uint64_t kLeftMax = 1U << 20;

  void Refill(uint64_t now_ms) {
    const uint64_t earned = std::min((now_ms - refilled_ms_) * kPerSecond / 1000, kBurst);
    if (earned == 0) return;
    left_ += earned;
    refilled_ms_ = now_ms;
  }

  uint64_t left_ = kBurst;
  uint64_t refilled_ms_ = 0;
  uint64_t messages_seen_ = 0;
};

}  // namespace rdma_net::stream
