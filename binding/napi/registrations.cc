#include "napi/registrations.h"

#include <memory>
#include <utility>

#include "napi/backing_store.h"

namespace rdma_net::napi {

uint32_t Registrations::Add(Napi::ArrayBuffer buffer) {
  if (buffer.ByteLength() == 0) return 0;
  std::shared_ptr<void> store = HoldBackingStore(buffer);
  if (store == nullptr) return 0;
  const std::span memory(static_cast<const std::byte*>(buffer.Data()), buffer.ByteLength());
  fabric::RegistrationRef registration = fabric_->Register(memory, [store] {});
  if (!registration) return 0;
  registrations_.emplace(++last_id_, std::move(registration));
  return last_id_;
}

fabric::RegistrationRef Registrations::Find(uint32_t id, std::span<const std::byte> bytes) const {
  const auto found = registrations_.find(id);
  if (found == registrations_.end() || bytes.empty()) return {};
  const std::span<const std::byte> memory = found->second->memory();
  const bool inside =
      bytes.data() >= memory.data() && bytes.data() + bytes.size() <= memory.data() + memory.size();
  return inside ? found->second : fabric::RegistrationRef();
}

}  // namespace rdma_net::napi
