#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "support/clock.h"

namespace neptune::server {

/// A Retry-After header: seconds, or a date in HTTP's preferred form. At most a day; a date in the past is no pause;
/// none when it is neither.
std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view value, WallTime now);

/// "Sun, 06 Nov 1994 08:49:37 GMT", and no other form.
std::optional<WallTime> parse_date(std::string_view text);

}  // namespace neptune::server
