#pragma once

#include <optional>
#include <variant>

#include "sources/run_log/log_database.h"
#include "sources/run_log/log_files.h"

namespace neptune::sources {

/// Whether a log that nobody else syncs is one we can read.
struct NotYet {};  ///< it is still being made
using Admission = std::variant<ContainerName, NotYet, Error>;

/// Looks into the log: header, format version, whose run it is. Blocks; leaves nothing open.
Admission admit(const LogPaths& paths, const LogFacts& facts, LogDatabase::Mode mode,
                const std::shared_ptr<LogRegistry>& registry);

}  // namespace neptune::sources
