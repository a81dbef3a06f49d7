#pragma once

#include <string>

#include "client/lib/types.h"
#include "engine/metrics.h"
#include "local_api/impl/process_facts.h"
#include "support/clock.h"

namespace neptune::local_api {

inline constexpr auto metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

/// All of it in Prometheus' text format, with names and units as OpenMetrics has them (base units, counters end in
/// "_total"). Projects and workspaces have metrics of their own names, so that a sum over one of them counts nothing
/// twice. docs/monitoring/ uses these names.
std::string metrics_text(const api::Status& status, const engine::Metrics& metrics, const ProcessFacts& process,
                         WallTime now);

}  // namespace neptune::local_api
