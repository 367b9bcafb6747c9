#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

/// The smallest harness that speaks the Test Anything Protocol, which the JavaScript runner reads:
/// one test a function, one line a test.
namespace tap {

class Test {
 public:
  void Check(bool ok, const char* what, const char* file, int line) {
    if (ok) return;
    failures_.push_back(std::string(file) + ":" + std::to_string(line) + ": " + what);
  }
  [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }

 private:
  std::vector<std::string> failures_;
};

using Body = std::function<void(Test&)>;

inline std::vector<std::pair<std::string, Body>>& Registry() {
  static std::vector<std::pair<std::string, Body>> registry;
  return registry;
}

struct Register {
  Register(std::string name, Body body) {
    Registry().emplace_back(std::move(name), std::move(body));
  }
};

/// Runs every test whose name contains `filter`; returns the number that failed.
inline int RunAll(const std::string& filter) {
  int count = 0;
  int failed = 0;
  std::printf("TAP version 14\n");
  for (const auto& [name, body] : Registry()) {
    if (name.find(filter) == std::string::npos) continue;
    Test test;
    body(test);
    const bool ok = test.failures().empty();
    std::printf("%sok %d - %s\n", ok ? "" : "not ", ++count, name.c_str());
    for (const std::string& failure : test.failures()) std::printf("  # %s\n", failure.c_str());
    std::fflush(stdout);
    failed += ok ? 0 : 1;
  }
  std::printf("1..%d\n", count);
  return failed;
}

}  // namespace tap

#define TAP_JOIN_(a, b) a##b
#define TAP_JOIN(a, b) TAP_JOIN_(a, b)
#define TEST(name)                                                                                 \
  static void TAP_JOIN(TapBody, __LINE__)(tap::Test & t);                                          \
  static const tap::Register TAP_JOIN(tap_register_, __LINE__)(name, TAP_JOIN(TapBody, __LINE__)); \
  static void TAP_JOIN(TapBody, __LINE__)(tap::Test & t)
#define CHECK(condition) t.Check((condition), #condition, __FILE__, __LINE__)
