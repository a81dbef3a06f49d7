#pragma once

#include <cmath>
#include <optional>

#include "support/clock.h"

namespace neptune::engine {

/// Bytes a second over about the last minute.
class Rate {
 public:
  void add(double bytes, Instant now) {
    fade(now);
    sum_ += bytes;
    if (!first_) first_ = now;
  }

  /// None when nothing came lately.
  std::optional<double> per_second(Instant now) const {
    if (!first_) return std::nullopt;
    const double age = seconds(now - last_);
    const double sum = sum_ * std::exp(-age / window);
    const double span = std::min(window, std::max(1.0, seconds(now - *first_)));
    if (sum < 1.0) return std::nullopt;
    return sum / span;
  }

 private:
  static constexpr double window = 60.0;
  static double seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }
  void fade(Instant now) {
    if (first_) sum_ *= std::exp(-seconds(now - last_) / window);
    last_ = now;
  }

  double sum_ = 0;
  Instant last_{};
  std::optional<Instant> first_;
};

}  // namespace neptune::engine
