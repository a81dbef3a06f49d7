#pragma once

#include <boost/json.hpp>
#include <string_view>

#include "tests/sandbox/store.h"

/// Containers and their attributes in the form of the API.
namespace neptune::sandbox {

/// "run", "model", "modelVersion", "project".
std::string_view type_name(Container::Type type);
/// An Experiment.
boost::json::object container_json(Store& store, const Container& container);
/// An AttributesDTO with sys/id, sys/custom_run_id and sys/trashed only.
boost::json::object identity_attributes(Store& store, const Container& container);
/// An AttributesDTO with everything.
boost::json::object all_attributes(Store& store, const Container& container);
/// The properties of one attribute: a FloatAttributeDTO, a StringSeriesAttributeDTO, ...
boost::json::object attribute_properties(const Container& container, const std::string& path, const Field& field);
/// "float", "stringSeries", ...
std::string_view attribute_type(const Field& field);

}  // namespace neptune::sandbox
