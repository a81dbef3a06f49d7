#pragma once

#include <cstdint>
#include <string_view>

#include "changes/impl/json.h"

namespace neptune::changes {

/// A number for what a change says (Change::content), as `project` has it where it names none: the order of an object's
/// members does not count, and neither does its idempotency key. Never 0. It is kept on disk: it must not change.
std::uint64_t content_of(const Json& change, std::string_view project);

}  // namespace neptune::changes
