#pragma once

#include <vector>

#include "client/cli/explanation.h"
#include "client/cli/explanation/stream.h"
#include "client/lib/types.h"

namespace neptune::cli {

/// What became of one change that was handed in. `rejected`: as many as were read; `streams`: all that the daemon
/// tells.
Explanation explain_change(const api::ChangePlace& place, const std::vector<api::Rejected>& rejected,
                           const std::vector<api::Stream>& streams, const StreamExplainer& explainer);

}  // namespace neptune::cli
