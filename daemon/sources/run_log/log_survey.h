#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "changes/names.h"
#include "sources/run_log/log_database.h"
#include "sources/run_log/log_files.h"
#include "sources/source.h"
#include "sources/watch_folder.h"

namespace neptune::sources {

/// A run log as it lies there, for a process that follows none.
struct SurveyedLog {
  LogFacts facts;
  SourceState state = SourceState::settling_in;  ///< settling_in: it cannot be told who has it open
  std::optional<ContainerName> run;              ///< none: `problem` says why, or it is still being made
  std::optional<Error> problem;
  std::shared_ptr<LogDatabase> database;  ///< where `run` is
};

struct LogSurvey {
  std::vector<SurveyedLog> logs;      ///< in the order in which they were made
  std::vector<std::string> problems;  ///< sentences: what of the folders could not be looked at
};

/// Looks through the folders once. Blocks: for a second when somebody may just have closed one.
LogSurvey survey_logs(const std::vector<WatchFolder>& folders, const std::shared_ptr<LogRegistry>& registry);

}  // namespace neptune::sources
