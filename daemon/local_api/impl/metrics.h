#pragma once

#include <string>

#include "client/lib/types.h"
#include "support/clock.h"

namespace neptune::local_api {

inline constexpr auto metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

/// The status in Prometheus' text format. Projects and workspaces have metrics of their own names, so that a sum over
/// one of them counts nothing twice.
std::string metrics_text(const api::Status& status, WallTime now);

}  // namespace neptune::local_api
