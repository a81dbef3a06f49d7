#pragma once

#include <cstdint>

#include "changes/failure.h"

namespace neptune::core {

/// What a check's word on a request says of its values.
struct Findings {
  bool suspended = false;
  bool broken = false;  ///< the server failed, not the change
  bool only_run_missing = true;
  std::int64_t refused = 0, total = 0;
  IngestCode worst = IngestCode::ok;  ///< of the refusals, the most frequent
};

Findings examine(const RequestStatus& status);

}  // namespace neptune::core
