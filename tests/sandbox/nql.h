#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "support/error.h"
#include "tests/sandbox/attributes.h"

/// The leaderboard's queries, as far as clients write them: conditions such as `sys/id`:string = "CLA-1", AND, OR, NOT
/// and parentheses. A condition on an attribute that a container does not have is false.
namespace neptune::sandbox {

using Condition = std::function<bool(const Attributes&)>;

/// A query of nothing holds for everything.
Result<Condition> parse_query(std::string_view query);

/// What an attribute is compared and sorted by: of a series its last value. None: it has no order.
using Comparable = std::variant<double, std::string>;
std::optional<Comparable> comparable(const Field* field);

}  // namespace neptune::sandbox
