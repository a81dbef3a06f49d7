#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace neptune::api {

/// Reads the times of the local API: RFC 3339 in UTC, with or without a fraction. Nothing when it is not one.
std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view text);

}  // namespace neptune::api
