#pragma once

#include <string>
#include <vector>

#include "sources/client_dir/dir_facts.h"
#include "sources/watch_folder.h"

namespace neptune::sources {

/// A directory of the 1.x client as it lies there, for a process that follows none.
struct SurveyedDir {
  ClientDirFacts facts;
  WatchFolder folder;  ///< the watched one it lies in
};

struct DirSurvey {
  std::vector<SurveyedDir> directories;
  std::vector<std::string> problems;  ///< what of the folders could not be looked at
};

/// Looks through the folders once. Blocks.
DirSurvey survey_client_dirs(const std::vector<WatchFolder>& folders);

/// Who may take it, where `acked_by_us` says that what is acknowledged is our doing. `held`: closed, and somebody has a
/// file of it open.
struct SurveyVerdict {
  SourceState state = SourceState::settling_in;
  bool held = false;
};
SurveyVerdict judge(const SurveyedDir& directory, bool acked_by_us);

}  // namespace neptune::sources
