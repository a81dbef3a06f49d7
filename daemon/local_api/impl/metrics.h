#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "client/lib/types.h"
#include "engine/metrics.h"
#include "local_api/impl/process_facts.h"
#include "support/clock.h"

namespace neptune::local_api {

/// Of the two, Prometheus asks for OpenMetrics; the other is for what reads files and knows nothing newer.
enum class MetricsForm : std::uint8_t { prometheus, open_metrics };

/// What somebody takes who sends this Accept header.
MetricsForm metrics_form(std::string_view accept);
const char* content_type(MetricsForm form);

/// All of it as text, with names and units as OpenMetrics has them (base units, counters end in "_total"). Projects and
/// workspaces have metrics of their own names, so that a sum over one of them counts nothing twice. docs/monitoring/
/// uses these names.
std::string metrics_text(const api::Status& status, const engine::Metrics& metrics, const ProcessFacts& process,
                         WallTime now, MetricsForm form = MetricsForm::prometheus);

}  // namespace neptune::local_api
