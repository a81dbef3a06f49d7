#include "engine/impl/part.h"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace neptune::engine {

std::string part_of(const std::vector<std::string>& values) {
  return boost::json::serialize(boost::json::array(values.begin(), values.end()));
}

std::optional<std::vector<std::string>> values_in(std::string_view part) {
  if (!part.starts_with('[')) return std::nullopt;
  boost::system::error_code error;
  const auto read = boost::json::parse(part, error);
  if (error || !read.is_array()) return std::nullopt;
  std::vector<std::string> values;
  for (const auto& value : read.get_array())
    if (value.is_string() && !value.get_string().empty()) values.emplace_back(value.get_string());
  return values;
}

}  // namespace neptune::engine
