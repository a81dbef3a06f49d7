#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstdint>

namespace neptune {

/// A token bucket that everybody who sends takes from, so that together they stay below a rate.
///
/// Operation: `take` returns when the bytes may leave, callers in the order they came. Up to a quarter of a second's
/// bytes may leave at once after a pause. A piece larger than that is not refused: the next one waits for it.
/// Cancellation ends a wait by an exception; what it was to wait for stays taken.
/// Concurrency: one executor, one thread.
class Bandwidth {
 public:
  /// 0: no limit.
  explicit Bandwidth(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}

  /// Counts from the next `take` on.
  void set_rate(std::uint64_t bytes_per_second) { rate_ = bytes_per_second; }
  std::uint64_t rate() const { return rate_; }

  boost::asio::awaitable<void> take(std::uint64_t bytes);

 private:
  std::uint64_t rate_;
  std::chrono::steady_clock::time_point spent_until_{};  // when all that was taken so far has been earned
};

}  // namespace neptune
