#pragma once

#include <chrono>
#include <string>

namespace neptune {

using Instant = std::chrono::steady_clock::time_point;   ///< for every decision: never jumps
using WallTime = std::chrono::system_clock::time_point;  ///< for people only: shown and stored, never compared
using Duration = std::chrono::steady_clock::duration;

/// Where the daemon gets the time from; tests put a clock of their own in its place.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Instant now() const = 0;
  virtual WallTime wall() const = 0;
};

class SystemClock final : public Clock {
 public:
  Instant now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall() const override { return std::chrono::system_clock::now(); }
};

/// RFC 3339, UTC, milliseconds: "2026-01-02T03:04:05.678Z". The form of every time in the API and the CLI.
std::string format_time(WallTime time);

/// Milliseconds since the Unix epoch, the form times have in SQLite.
std::int64_t to_unix_ms(WallTime time);
WallTime from_unix_ms(std::int64_t ms);

}  // namespace neptune
