#include "napi/options.h"

#include <limits>
#include <string>

namespace rdma_net::napi {

namespace {

constexpr double kReceiveBytesMin = 64 << 10;
constexpr double kSendBytesMin = 4 << 10;
constexpr double kPinnedBytesMin = 1 << 20;

/// A whole number that an option may be, with its limits.
struct Range {
  const char* name;
  double min;
  double max;
};

/// Reads an optional number; false with a RangeError pending when it is out of range.
bool ReadNumber(const Napi::Object& options, const Range& range, size_t* number) {
  const Napi::Value value = options.Get(range.name);
  if (value.IsUndefined()) return true;
  const double given = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0;
  if (given >= range.min && given <= range.max) {
    *number = static_cast<size_t>(given);
    return true;
  }
  const auto text = [](double limit) { return std::to_string(static_cast<uint64_t>(limit)); };
  Napi::RangeError::New(options.Env(), std::string(range.name) + " must be a number from " +
                                           text(range.min) + " to " + text(range.max))
      .ThrowAsJavaScriptException();
  return false;
}

/// Reads an optional number into an optional; false with a RangeError pending.
template <typename Number>
bool ReadGiven(const Napi::Object& options, const Range& range, std::optional<Number>* number) {
  if (options.Get(range.name).IsUndefined()) return true;
  size_t given = 0;
  if (!ReadNumber(options, range, &given)) return false;
  *number = static_cast<Number>(given);
  return true;
}

}  // namespace

bool ReadOptions(const Napi::Value& value, GivenOptions* options) {
  if (!value.IsObject()) return true;
  const auto given = value.As<Napi::Object>();
  constexpr double kCountMax = std::numeric_limits<int32_t>::max();
  constexpr double kMost = double{1ULL << 50};
  constexpr auto kBytesMax = static_cast<double>(kBufferBytesMax);
  size_t spin_us = 0;
  if (!ReadNumber(given, {"receiveBufferBytes", kReceiveBytesMin, kBytesMax},
                  &options->stream.receive.window_bytes) ||
      !ReadNumber(given, {"sendBufferBytes", kSendBytesMin, kBytesMax},
                  &options->stream.send.ring_bytes) ||
      !ReadGiven(given, {"pinnedBytesMax", kPinnedBytesMin, kMost}, &options->pinned_bytes_max) ||
      !ReadGiven(given, {"queuePairsMax", 1, kCountMax}, &options->connections_max) ||
      !ReadNumber(given, {"spinMicroseconds", 0, loop::Pump::kSpinMax}, &spin_us)) {
    return false;
  }
  options->pump.spin_us = static_cast<uint32_t>(spin_us);
  return true;
}

}  // namespace rdma_net::napi
