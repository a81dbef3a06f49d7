#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Times and steps, exactly as they were written.
namespace neptune::changes {

/// A time on the wire: seconds since 1970, and nanoseconds of that second (never negative).
struct Moment {
  std::int64_t seconds = 0;
  std::int32_t nanos = 0;

  static Moment from_ms(std::int64_t ms);
  std::int64_t ms() const;  ///< rounded down
  bool operator==(const Moment&) const = default;
};

/// RFC 3339 with "Z" or an offset, up to nine decimals. None when it is not one.
std::optional<Moment> parse_rfc3339(std::string_view text);

/// A step: `whole` and millionths.
struct Step {
  std::uint64_t whole = 0;
  std::uint32_t micro = 0;

  /// Decimal, without superfluous zeros: "12", "0.5".
  std::string text() const;
  double number() const;  ///< the nearest double
  auto operator<=>(const Step&) const = default;
};

enum class StepFault : std::uint8_t { none, not_a_number, negative, too_large, too_many_decimals };

/// Reads a JSON number's digits as a step.
StepFault parse_step(std::string_view digits, Step& step);

}  // namespace neptune::changes
