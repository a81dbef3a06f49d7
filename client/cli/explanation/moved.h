#pragma once

#include <vector>

#include "client/cli/explanation.h"
#include "client/lib/types.h"

namespace neptune::cli {

/// Adds what of these streams left for another machine, by the file, and how it is taken in; false: nothing left.
bool add_moved(Explanation& one, const std::vector<const api::Stream*>& streams, Time now);

/// Of a change that left for another machine: its state, and what to do.
Explanation explain_moved(const api::ChangePlace& place, Time now);

}  // namespace neptune::cli
