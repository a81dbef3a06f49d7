#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

#include "support/clock.h"

namespace neptune::core {

/// Where the core's jitter comes from: seeded, so that a history can be replayed.
using Random = std::mt19937_64;

struct BackoffLimits {
  Duration base;
  Duration max;
};

/// Exponential backoff with full jitter: uniform between a tenth of the step and the step, the step doubling with each
/// attempt (counted from 1) up to `max`.
inline Duration backoff(BackoffLimits limits, std::uint32_t attempt, Random& random) {
  const auto doublings = std::min(attempt > 0 ? attempt - 1 : 0, 30u);
  const auto step = std::min(limits.max, limits.base * (std::int64_t{1} << std::min(doublings, 20u)));
  return Duration(std::uniform_int_distribution<Duration::rep>(step.count() / 10, step.count())(random));
}

/// `interval`, up to a fifth shorter or longer.
inline Duration jittered(Duration interval, Random& random) {
  return Duration(
      std::uniform_int_distribution<Duration::rep>(interval.count() / 5 * 4, interval.count() / 5 * 6)(random));
}

}  // namespace neptune::core
