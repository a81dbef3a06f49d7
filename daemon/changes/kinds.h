#pragma once

#include <span>

#include "changes/change.h"

namespace neptune {

/// All there are, in the order of their numbers.
std::span<const ChangeKind> every_kind();

}  // namespace neptune
