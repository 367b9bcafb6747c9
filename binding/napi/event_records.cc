#include "napi/event_records.h"

namespace rdma_net::napi {

EventRecords::EventRecords(Napi::Env env) {
  Napi::Int32Array array = Napi::Int32Array::New(env, kWords * kRecords);
  // The store of an array buffer does not move, and the reference keeps it.
  words_ = array.Data();
  array_ = Napi::Persistent(array);
}

void EventRecords::Add(EventKind kind, uint32_t id, int32_t a, int32_t b, int32_t c) {
  int32_t* record = words_ + kWords * count_++;
  record[0] = static_cast<int32_t>(kind);
  record[1] = static_cast<int32_t>(id);
  record[2] = a;
  record[3] = b;
  record[4] = c;
  record[5] = 0;
}

void EventRecords::AddFailure(EventKind kind, uint32_t id, const fabric::Failure& failure) {
  Add(kind, id, static_cast<int32_t>(failure.status), failure.detail,
      static_cast<int32_t>(failure.kind));
}

}  // namespace rdma_net::napi
