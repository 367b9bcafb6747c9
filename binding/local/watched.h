#pragma once

namespace rdma_net::local {

/// Something with a descriptor that the fabric looks at.
class Watched {
 public:
  virtual void OnReadable() = 0;

 protected:
  ~Watched() = default;
};

}  // namespace rdma_net::local
