#pragma once

#include <boost/json.hpp>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "tests/sandbox/store.h"

/// Containers and their attributes in the form of the API.
namespace neptune::sandbox {

/// "run", "model", "modelVersion", "project".
std::string_view type_name(Container::Type type);
/// An Experiment.
boost::json::object container_json(Store& store, const Container& container);
using Paths = std::set<std::string, std::less<>>;
/// An AttributesDTO with these attributes, as far as they exist; empty: with all of them.
boost::json::object attributes_json(Store& store, const Container& container, const Paths& wanted = {});
/// The properties of one attribute: a FloatAttributeDTO, a StringSeriesAttributeDTO, ...
boost::json::object attribute_properties(const Container& container, const std::string& path, const Field& field);
/// Null for what JSON has no word for.
boost::json::value finite(double value);
/// "float", "stringSeries", ...
std::string_view attribute_type(const Field& field);

}  // namespace neptune::sandbox
