#include "napi/keepalives.h"

namespace rdma_net::napi {

using stream::Connection;

void Keepalives::Set(const Connection& connection, uint64_t interval_ms, uint64_t now_ms) {
  if (interval_ms == 0) {
    watched_.erase(connection.id());
    return;
  }
  watched_[connection.id()] = {.interval_ms = interval_ms,
                               .quiet_since_ms = now_ms,
                               .work_requests = connection.counters().work_requests};
}

void Keepalives::Tick(uint64_t now_ms, const std::function<Connection*(uint32_t)>& find) {
  for (auto entry = watched_.begin(); entry != watched_.end();) {
    Connection* connection = find(entry->first);
    if (connection == nullptr) {
      entry = watched_.erase(entry);
      continue;
    }
    Watched& watched = entry->second;
    connection->CheckKeepalive();
    if (now_ms - watched.quiet_since_ms >= watched.interval_ms) connection->SendKeepalive();
    const uint64_t work_requests = connection->counters().work_requests;
    if (work_requests != watched.work_requests) watched.quiet_since_ms = now_ms;
    watched.work_requests = work_requests;
    ++entry;
  }
}

}  // namespace rdma_net::napi
