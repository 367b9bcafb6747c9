#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>

namespace fuzz {

/// What the fuzzer chose, read piece by piece; zeros behind its end.
class Input {
 public:
  explicit Input(std::span<const std::byte> bytes) : left_(bytes) {}

  [[nodiscard]] bool empty() const { return left_.empty(); }
  uint8_t Byte() { return Number<uint8_t>(); }

  template <typename T>
  T Number() {
    T number = 0;
    const std::span<const std::byte> bytes = Bytes(sizeof(T));
    std::memcpy(&number, bytes.data(), bytes.size());
    return number;
  }

  /// Up to `count` bytes.
  std::span<const std::byte> Bytes(size_t count) {
    const std::span<const std::byte> bytes = left_.first(std::min(count, left_.size()));
    left_ = left_.subspan(bytes.size());
    return bytes;
  }

 private:
  std::span<const std::byte> left_;
};

/// Ends the process when something is not as it must be, so that the fuzzer keeps the input.
inline void Require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "not as it must be: %s\n", what);
  std::abort();
}

}  // namespace fuzz
