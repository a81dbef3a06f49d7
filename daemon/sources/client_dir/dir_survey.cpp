#include "sources/client_dir/dir_survey.h"

#include <utility>

#include "sources/client_dir/directory_name.h"
#include "sources/client_dir/producer.h"
#include "sources/folder_watch/folder_survey.h"

namespace neptune::sources {

DirSurvey survey_client_dirs(const std::vector<WatchFolder>& folders) {
  DirSurvey survey;
  auto found = survey_folders(folders, WatchFolder::Kind::run_logs, {.marked = is_client_dir}, survey.problems);
  for (auto& directory : found) {
    auto facts = look_at_client_dir(directory.path);
    if (facts.there) survey.directories.push_back({std::move(facts), std::move(directory.folder)});
  }
  return survey;
}

SurveyVerdict judge(const SurveyedDir& directory, bool acked_by_us) {
  auto facts = directory.facts;
  if (acked_by_us) facts.acked_ago = facts.quiet_for;
  const ClientDirRules rules{.takeover_after = directory.folder.takeover_after};
  SurveyVerdict verdict{.state = judge_client_dir(facts, {}, rules).state};
  verdict.held = verdict.state == SourceState::closed && held_open_by_anybody(facts.key.path);
  return verdict;
}

}  // namespace neptune::sources
