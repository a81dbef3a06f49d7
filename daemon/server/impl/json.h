#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Careful reading of JSON that others wrote: what is absent or of another type is just not there.
namespace neptune::server {

/// None when `text` is not one JSON object, or array.
std::optional<boost::json::object> parse_object(std::string_view text);
std::optional<boost::json::array> parse_array(std::string_view text);

/// The member's text; empty when it is absent or no string.
std::string string_member(const boost::json::object& object, std::string_view name);
/// A whole number; also one written as a float without a fraction.
std::optional<std::int64_t> integer_member(const boost::json::object& object, std::string_view name);
std::optional<double> number_member(const boost::json::object& object, std::string_view name);
bool true_member(const boost::json::object& object, std::string_view name);
const boost::json::object* object_member(const boost::json::object& object, std::string_view name);
/// The member's elements that are objects; none when it is absent or no array.
std::vector<const boost::json::object*> objects_member(const boost::json::object& object, std::string_view name);
std::vector<const boost::json::object*> objects_in(const boost::json::array& array);

}  // namespace neptune::server
