#pragma once

#include <boost/json.hpp>

namespace neptune::sandbox {

/// The objects of the API's answers, for its description.
boost::json::object definitions();

}  // namespace neptune::sandbox
