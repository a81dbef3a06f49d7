#include "server/impl/json.h"

#include <boost/json/parse.hpp>
#include <cmath>

namespace neptune::server {

namespace json = boost::json;

namespace {

json::value parse(std::string_view text) {
  boost::system::error_code error;
  auto value = json::parse(json::string_view(text.data(), text.size()), error);
  return error ? json::value() : value;
}

const json::value* member(const json::object& object, std::string_view name) {
  return object.if_contains(json::string_view(name.data(), name.size()));
}

}  // namespace

std::optional<json::object> parse_object(std::string_view text) {
  auto value = parse(text);
  if (!value.is_object()) return std::nullopt;
  return std::move(value.as_object());
}

std::optional<json::array> parse_array(std::string_view text) {
  auto value = parse(text);
  if (!value.is_array()) return std::nullopt;
  return std::move(value.as_array());
}

std::string string_member(const json::object& object, std::string_view name) {
  const auto* value = member(object, name);
  if (!value || !value->is_string()) return {};
  return std::string(value->as_string().data(), value->as_string().size());
}

std::optional<std::int64_t> integer_member(const json::object& object, std::string_view name) {
  const auto* value = member(object, name);
  if (!value) return std::nullopt;
  if (const auto* number = value->if_int64()) return *number;
  if (const auto* number = value->if_double()) {
    if (std::abs(*number) < 9.0e15 && std::trunc(*number) == *number) return static_cast<std::int64_t>(*number);
  }
  return std::nullopt;
}

std::optional<double> number_member(const json::object& object, std::string_view name) {
  const auto* value = member(object, name);
  if (!value || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

bool true_member(const json::object& object, std::string_view name) {
  const auto* value = member(object, name);
  return value && value->is_bool() && value->get_bool();
}

const json::object* object_member(const json::object& object, std::string_view name) {
  const auto* value = member(object, name);
  return value ? value->if_object() : nullptr;
}

std::vector<const json::object*> objects_member(const json::object& object, std::string_view name) {
  const auto* value = member(object, name);
  const auto* array = value ? value->if_array() : nullptr;
  return array ? objects_in(*array) : std::vector<const json::object*>();
}

std::vector<const json::object*> objects_in(const json::array& array) {
  std::vector<const json::object*> out;
  for (const auto& each : array)
    if (const auto* found = each.if_object()) out.push_back(found);
  return out;
}

}  // namespace neptune::server
