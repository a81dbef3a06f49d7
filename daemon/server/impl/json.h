#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Careful reading of JSON that others wrote: what is absent or of another type is just not there.
namespace neptune::server {

/// None when `text` is not one JSON object.
std::optional<boost::json::object> parse_object(std::string_view text);

/// The member's text; empty when it is absent or no string.
std::string string_member(const boost::json::object& object, std::string_view name);
/// A whole number; also one written as a float without a fraction.
std::optional<std::int64_t> integer_member(const boost::json::object& object, std::string_view name);
const boost::json::object* object_member(const boost::json::object& object, std::string_view name);

}  // namespace neptune::server
