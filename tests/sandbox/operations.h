#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <string>
#include <vector>

#include "tests/sandbox/snapshot.h"
#include "tests/sandbox/store.h"

/// Attribute operations of 1.x clients (docs/protocol.md, "Containers and attribute operations").
namespace neptune::sandbox {

struct OperationError {
  std::string type, description;
};

/// Applies one operation to the container. A series' points are stored as often as they come; with `increasing_steps`
/// those that do not come after the last one are refused. Empty description: it was stored.
OperationError apply_operation(Container& container, const boost::json::value& operation,
                               const std::vector<RejectRule>& rules, bool increasing_steps);

}  // namespace neptune::sandbox
