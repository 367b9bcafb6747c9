#pragma once

#include <memory>

#include "fabric/fabric.h"
#include "verbs/library.h"

namespace rdma_net::verbs {

class VerbsFabric;

/// A listening connection-manager id.
class Listener final : public fabric::Listener {
 public:
  Listener(VerbsFabric* fabric, fabric::ListenerEvents* events)
      : fabric_(fabric), events_(events) {}
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  Listener(Listener&&) = delete;
  Listener& operator=(Listener&&) = delete;
  ~Listener() override = default;

  /// Libraries open: binds and listens; the outcome is reported as an event.
  void Start(const fabric::Address& address, int backlog);
  void Fail(fabric::Failure failure);
  void Release() override;
  [[nodiscard]] bool is_on(const ibv_context* context) const {
    return id_ != nullptr && !released_ && id_->verbs == context;
  }

  /// Expires with the listener.
  [[nodiscard]] std::weak_ptr<void> alive() const { return alive_; }

  /// Null once released: requests that still arrive are for nobody.
  [[nodiscard]] fabric::ListenerEvents* events() const { return released_ ? nullptr : events_; }

 private:
  fabric::Failure Listen(const fabric::Address& address, int backlog);
  /// What Listen came to.
  void Settle(fabric::Failure failure);

  VerbsFabric* fabric_;
  fabric::ListenerEvents* events_;
  rdma_cm_id* id_ = nullptr;
  bool bound_ = false;
  bool released_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace rdma_net::verbs
