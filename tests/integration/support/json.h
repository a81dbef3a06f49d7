#pragma once

#include <boost/json.hpp>
#include <filesystem>
#include <string>
#include <string_view>

namespace neptune::testing {

/// JSON with NaN, Infinity and -Infinity as bare words. Doubles are the nearest to their text, -0.0 stays; a number
/// with neither '.' nor exponent is an integer. Throws std::runtime_error with the offset of what it cannot read.
boost::json::value parse_json(std::string_view text);
boost::json::value read_json(const std::filesystem::path& file);

/// Where two values differ first, as "runs/x/attrs/lr: 0.1 != 0.2"; empty when they are the same. Doubles are compared
/// by their bits but for NaN, an integer and a double are never the same, and the order of keys does not matter.
std::string first_difference(const boost::json::value& expected, const boost::json::value& actual);

}  // namespace neptune::testing
