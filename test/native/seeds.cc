#include "seeds.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

// The sanitizers end the process by SIGABRT, as assertions do, so that the seed is printed.
extern "C" const char* __asan_default_options() {
  return "abort_on_error=1";
}
extern "C" const char* __ubsan_default_options() {
  return "abort_on_error=1:print_stacktrace=1";
}

namespace seeds {

namespace {

uint64_t current = 0;

void OnAbort(int) {
  char line[64];
  const int bytes = std::snprintf(line, sizeof(line), "# the process ends in SEED=%llu\n",
                                  static_cast<unsigned long long>(current));
  std::signal(SIGABRT, SIG_DFL);
  if (current != 0 && write(STDERR_FILENO, line, static_cast<size_t>(bytes)) < 0) return;
}

uint64_t Environment(const char* name, uint64_t by_default) {
  const char* text = std::getenv(name);
  return text == nullptr ? by_default : std::strtoull(text, nullptr, 10);
}

}  // namespace

bool replays() {
  return std::getenv("SEED") != nullptr;
}

uint64_t Count() {
  return replays() ? 1 : Environment("SEEDS", kByDefault);
}

void Run(tap::Test& t, uint64_t divisor, const std::function<std::string(uint64_t)>& body,
         uint64_t count_min) {
  std::signal(SIGABRT, OnAbort);
  const uint64_t first = Environment("SEED", 1);
  const uint64_t count = replays() ? 1 : std::max(Count() / divisor, count_min);
  for (uint64_t seed = first; seed < first + count; seed++) {
    current = seed;
    const std::string wrong = body(seed);
    if (wrong.empty()) continue;
    const std::string text = "SEED=" + std::to_string(seed) + ": " + wrong;
    t.Check(false, text.c_str(), __FILE__, __LINE__);
    break;
  }
  current = 0;
}

}  // namespace seeds
