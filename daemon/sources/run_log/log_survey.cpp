#include "sources/run_log/log_survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "sources/folder_watch/file_system.h"
#include "sources/folder_watch/folder_survey.h"
#include "sources/run_log/admission.h"
#include "sources/run_log/liveness.h"
#include "sources/run_log/lock_table.h"
#include "support/sizes.h"

namespace neptune::sources {

namespace {

using namespace std::chrono_literals;

constexpr Liveness::Rules survey_rules{.live_after = 5s, .closed_after = 1s};
constexpr auto quiet_on_network = 24h;  // nobody can tell who has it open on another host

struct Looked {
  SurveyedLog log;
  FoundDirectory found;
  Liveness liveness{survey_rules};
};

/// What may be said of it now; `locks` none: nobody can tell who has anything open.
void judge(Looked& looked, const Result<LockTable>& locks, OpenFiles& open_files) {
  const LogPaths paths(looked.found.path);
  auto& log = looked.log;
  log.facts = look_at(paths, open_files);
  const auto& facts = log.facts;
  Liveness::Sighting sighting;
  sighting.quiet_for = facts.quiet_for;
  if (locks && facts.has_shm) sighting.holders = locks->holders(facts.shm, looked.found.file_system.lock_device);
  sighting.unseen_holder = !locks || (facts.unseen_holder && sighting.holders.empty());
  log.state = looked.liveness.judge(sighting, std::chrono::steady_clock::now());
  const bool quiet = !facts.has_wal || facts.quiet_for > quiet_on_network;
  if (looked.found.file_system.network && !(log.state == SourceState::closed && quiet))
    log.state = SourceState::settling_in;
}

void open(SurveyedLog& log, bool network, const std::shared_ptr<LogRegistry>& registry) {
  const LogPaths paths(log.facts.key.path);
  log.problem = log.facts.problem;
  if (!log.problem && log.state == SourceState::closed) log.problem = needs_its_owner(log.facts);
  if (log.problem) return;
  const LogDatabase::Mode mode{
      .live = log.state != SourceState::closed, .read_only = !log.facts.may_write, .network = network};
  auto admission = admit(paths, log.facts, mode, registry);
  if (auto* problem = std::get_if<Error>(&admission)) log.problem = std::move(*problem);
  auto* run = std::get_if<ContainerName>(&admission);
  if (!run) return;
  log.run = std::move(*run);
  log.database = std::make_shared<LogDatabase>(paths, log.facts.key, mode, registry);
}

}  // namespace

LogSurvey survey_logs(const std::vector<WatchFolder>& folders, const std::shared_ptr<LogRegistry>& registry) {
  LogSurvey survey;
  std::vector<Looked> all;
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
  auto found = survey_folders(folders, WatchFolder::Kind::client_1x, {.marker = run_log_file}, survey.problems);
  for (auto& directory : found) all.push_back({.log = {}, .found = std::move(directory)});
  for (int look = 0; look < 2; ++look) {
    // After the files: a holder that came meanwhile is seen.
    bool again = false;
    for (auto& looked : all) {
      if (look > 0 && looked.log.state != SourceState::settling_in) continue;
      judge(looked, LockTable::read(), registry->files);
      again = again || (looked.log.state == SourceState::settling_in && looked.log.facts.there);
    }
    if (!again) break;
    if (look == 0) std::this_thread::sleep_for(survey_rules.closed_after);
  }
  for (auto& looked : all) {
    auto& log = looked.log;
    if (!log.facts.there || !seen.emplace(log.facts.key.device, log.facts.key.inode).second) continue;
    open(log, looked.found.file_system.network, registry);
    survey.logs.push_back(std::move(log));
  }
  std::ranges::stable_sort(survey.logs, {}, [](const SurveyedLog& log) { return log.facts.order; });
  return survey;
}

}  // namespace neptune::sources
