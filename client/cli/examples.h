#pragma once

#include <vector>

#include "client/man/page.h"

namespace neptune::cli {

/// What people would write: one at least of each command, those of a command together, the plainest first. For help and
/// the manual page.
std::vector<man::Entry> examples();

}  // namespace neptune::cli
