#pragma once

#include <napi.h>

#include <cstdint>

#include "fabric/status.h"

namespace rdma_net::napi {

/// Kinds of records; lib/native.ts describes each.
enum class EventKind : int32_t {
  kResponse = 1,
  kConnectFailed = 2,
  kAccepted = 3,
  kReadable = 4,
  kWritable = 5,
  kEnd = 6,
  kShutdownDone = 7,
  kFailed = 8,
  kClosed = 9,
  kListening = 10,
  kListenFailed = 11,
  kOpened = 12,
  kSent = 13,
};

/// The Int32Array that carries a batch of events to JavaScript: records of kWords words, written
/// here and read there, so that a batch costs one call and no object.
class EventRecords {
 public:
  static constexpr size_t kWords = 6;
  static constexpr size_t kRecords = 1024;

  explicit EventRecords(Napi::Env env);

  [[nodiscard]] Napi::Value Value() const { return array_.Value(); }
  [[nodiscard]] bool full() const { return count_ == kRecords; }
  [[nodiscard]] size_t count() const { return count_; }
  void Clear() { count_ = 0; }

  void Add(EventKind kind, uint32_t id, int32_t a = 0, int32_t b = 0, int32_t c = 0);
  void AddFailure(EventKind kind, uint32_t id, const fabric::Failure& failure);

 private:
  Napi::Reference<Napi::Int32Array> array_;
  int32_t* words_;
  size_t count_ = 0;
};

}  // namespace rdma_net::napi
