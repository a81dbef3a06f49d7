#include "core/findings.h"

#include <algorithm>

namespace neptune::core {

Findings examine(const RequestStatus& status) {
  Findings found;
  std::int64_t most = 0;
  for (auto entry : status.counts) {
    entry.count = std::max<std::int64_t>(1, entry.count);  // whoever leaves the count out means one at least
    found.total += entry.count;
    if ((entry.code == 0 && entry.detail == IngestCode::ok) || is_duplicate(entry.detail)) continue;
    if (entry.detail == IngestCode::ingest_suspended) {
      found.suspended = true;
    } else if (entry.detail == IngestCode::internal || entry.detail == IngestCode::ok) {
      found.broken = true;
    } else {
      found.refused += entry.count;
      if (entry.detail != IngestCode::run_not_found) found.only_run_missing = false;
      if (entry.count > most) {
        most = entry.count;
        found.worst = entry.detail;
      }
    }
  }
  return found;
}

}  // namespace neptune::core
