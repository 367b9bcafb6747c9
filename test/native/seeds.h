#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tap.h"

/// Random tests: every run depends on one number, which is printed when the run fails, also when a
/// sanitizer or an assertion ends the process.
///
///     SEED=7 native-tests simulation       replays one seed of every test
///     SEEDS=100000 native-tests            more of them (10,000 by default)
namespace seeds {

inline constexpr uint64_t kByDefault = 10'000;

/// Whether SEED of the environment names the one to run.
bool replays();

/// SEEDS of the environment, or the default; 1 for a replay.
uint64_t Count();

/// Runs `body` with each seed; it returns what went wrong, or nothing. Stops at the first failure.
/// @param divisor tests that take long run one seed of so many
/// @param count_min tests that count something over all seeds run so many, also when fewer are
///   asked for, but not more than one in a replay
void Run(tap::Test& t, uint64_t divisor, const std::function<std::string(uint64_t)>& body,
         uint64_t count_min = 1);

}  // namespace seeds
