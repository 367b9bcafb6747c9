#pragma once

#include <memory>
#include <utility>

#include "napi/transport.h"

namespace rdma_net::napi {

/// A listener's place in the table; hears of it for the transport.
class Transport::ListenerSlot final : public fabric::ListenerEvents {
 public:
  ListenerSlot(Transport* transport, uint32_t id, uint64_t serial)
      : transport_(transport), id_(id), serial_(serial) {}

  [[nodiscard]] uint64_t serial() const { return serial_; }

  std::unique_ptr<fabric::Listener> listener;

  void OnListening() override {
    transport_->OnListenerNews({.kind = EventKind::kListening, .id = id_, .failure = {}});
  }
  void OnListenFailed(fabric::Failure failure) override {
    transport_->OnListenerNews({.kind = EventKind::kListenFailed, .id = id_, .failure = failure});
  }
  void OnRequest(std::unique_ptr<fabric::Endpoint> endpoint,
                 std::span<const std::byte> data) override {
    transport_->OnRequest(id_, std::move(endpoint), data);
  }
  void OnListenerReleased() override {
    transport_->OnListenerNews({.kind = EventKind::kClosed, .id = id_, .failure = {}});
  }

 private:
  Transport* transport_;
  uint32_t id_;
  uint64_t serial_;
};

}  // namespace rdma_net::napi
