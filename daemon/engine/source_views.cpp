// What people are told of sources: logs, directories, the change queue by project, and the folders that are watched.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "engine/diagnosis.h"
#include "engine/engine.h"
#include "engine/impl/kind_name.h"
#include "engine/impl/views.h"
#include "engine/impl/why.h"
#include "support/sizes.h"

namespace neptune::engine {

using sources::SourceState;

namespace {

constexpr std::chrono::hours lost_shown{24};

constexpr const char* state_name(SourceState state) {
  switch (state) {
    case SourceState::settling_in:
      return "settling_in";
    case SourceState::live:
      return "live";
    case SourceState::closed:
      return "closed";
    case SourceState::left_to_client:
      return "left_to_client";
    case SourceState::set_aside:
      break;
  }
  return "set_aside";
}

}  // namespace

/// Of a log whose rows may not be deleted, its own count says too much.
std::uint64_t Engine::files_waiting(const Feed& feed) const {
  if (feed.files && counted(*feed.files)) return feed.files->backlog.count;
  return feed.info.container && feed.info.container->kind == ContainerKind::files ? feed.backlog.count
                                                                                  : feed.backlog.uploads;
}

bool Engine::counted(const Feed& feed) const {
  return feed.stream != 0 && core_.stream(feed.stream, clock_.now()).wait != core::Wait::counting;
}

/// Of the change queue's streams people are told by project; of one that cannot be read, by itself.
bool Engine::is_one_of_many(const Feed& feed) {
  return feed.info.kind == sources::Kind::change_queue && !feed.replayed && !feed.problem && !feed.info.problem;
}

api::SourceStatus Engine::queue_of(const ProjectName& project) {
  api::SourceStatus source;
  source.project = Scope::of(project).text();
  source.path = "change queue: " + *source.project;
  source.kind = kind_name(sources::Kind::change_queue);
  source.state = "synced";
  return source;
}

void Engine::add_queued(api::SourceStatus& source, const Feed& feed) const {
  source.pending += feed.backlog.count;
  source.uploads += files_waiting(feed);
  // Nobody may take it for synced before it was looked at.
  if (feed.stream == 0 || !feed.last_looked) {
    source.state = "settling_in";
    source.detail = "what was handed in is being looked up";
  } else if (source.state == "synced" && (feed.backlog.count > 0 || feed.recorded != feed.confirmed)) {
    source.state = "closed";
  }
}

namespace {

std::string held_open(const std::vector<int>& holders) {
  if (holders.empty()) return "the client's own sync process has it open";
  return fmt::format("the client's own sync process has it open (pids {})", fmt::join(holders, ", "));
}

/// Why a source is left to its client.
std::string left_to_client(const sources::SourceInfo& info) {
  if (info.kind != sources::Kind::client_dir) return held_open(info.holders);
  if (info.left_until)
    return fmt::format("its client is gone; it is taken over at {}, unless it is written before",
                       format_time(*info.left_until));
  return fmt::format("its client may still sync it (pid {}); what that leaves is taken over",
                     fmt::join(info.holders, ", "));
}

constexpr std::string_view settling_in_on_a_network =
    "on a network file system, where a job on another host may still write it: it is taken once it was closed, or "
    "after a day without a write";

}  // namespace

/// Its state, and why it is in it, where that is to be told.
void Engine::tell_state(api::SourceStatus& source, const Feed& feed) const {
  source.state = state_name(feed.info.state);
  if (const auto& problem = feed.problem ? feed.problem : feed.info.problem) {
    // What is tried again by itself is not the source's fault, and nobody may take it for done.
    source.state = problem->retryable ? "blocked" : "set_aside";
    source.detail = problem->message;
  } else if (feed.info.state == SourceState::left_to_client) {
    source.detail = left_to_client(feed.info);
  } else if (feed.info.state == SourceState::settling_in) {
    source.detail = feed.info.network ? std::string(settling_in_on_a_network)
                                      : "found lately; it is being found out whether the client syncs it by itself";
  } else if (!feed.info.container) {
    source.state = "settling_in";
    source.detail = "the server is being asked whose it is";
    if (feed.client && !feed.client->unknown.empty()) *source.detail += ": " + feed.client->unknown;
  } else if (!counted(feed) || (feed.files && !counted(*feed.files))) {
    // Nobody may take it for synced before it was looked through.
    source.state = "settling_in";
    source.detail = "its log is being looked through";
  } else if (feed.info.state == SourceState::closed && at_rest(feed) && (!feed.files || at_rest(*feed.files))) {
    source.state = moved_of(feed).count > 0 ? "moved" : "synced";
  }
}

api::SourceStatus Engine::describe_source(const Feed& feed) const {
  api::SourceStatus source;
  source.path = feed.info.key.path;
  source.kind = kind_name(feed.info.kind);
  source.pending = feed.backlog.count;
  source.uploads = files_waiting(feed);
  source.read_only = feed.info.read_only;
  if (feed.info.container) {
    source.project = Scope::of(feed.info.container->project).text();
    if (const auto kind = feed.info.container->kind; kind == ContainerKind::run || kind == ContainerKind::files)
      source.run = feed.info.container->id;
  }
  tell_state(source, feed);
  if (source.detail) return source;
  if (feed.client && !feed.client->not_renamed.empty())
    source.detail = fmt::format("it keeps its name for now: {}", feed.client->not_renamed);
  else if (feed.info.state == SourceState::closed && feed.backlog.unwritten > 0)
    source.detail = fmt::format("lost by the client: {}", feed.backlog.unwritten);
  else if (const auto moved = moved_of(feed); moved.count > 0)
    source.detail = fmt::format("{} moved to another machine in {}", number_of(moved.count, "change"), moved.to);
  return source;
}

/// Since when the first change of each project waits.
Engine::Oldest Engine::add_feeds(std::vector<api::SourceStatus>& sources) const {
  Oldest oldest;
  const ProjectName* at = nullptr;
  std::optional<WallTime>* oldest_there = nullptr;
  std::optional<std::size_t> queued;  // among the sources
  std::vector<api::SourceStatus> aside;
  // Those of the change queue lie together by project: with many streams in it, each must cost next to nothing.
  for (const auto& [key, feed] : feeds_) {
    if (feed->info.container && (!at || feed->info.container->project != *at)) {
      at = &feed->info.container->project;
      oldest_there = &oldest[*at];
      queued.reset();
    }
    if (is_one_of_many(*feed)) {
      if (!queued) {
        queued = sources.size();
        sources.push_back(queue_of(*at));
      }
      add_queued(sources[*queued], *feed);
    } else if (!key.files) {
      (feed->info.kind == sources::Kind::change_queue ? aside : sources).push_back(describe_source(*feed));
    }
    if (!feed->info.container || feed->backlog.count == 0 || !feed->backlog.oldest_at) continue;
    *oldest_there = std::min(oldest_there->value_or(*feed->backlog.oldest_at), *feed->backlog.oldest_at);
  }
  std::ranges::move(aside, std::back_inserter(sources));
  return oldest;
}

/// Logs that were removed before they were synced, for a day.
void Engine::add_lost(std::vector<api::SourceStatus>& sources) const {
  for (const auto& finished : finished_) {
    if (clock_.wall() - finished.finished_at > lost_shown || !is_lost(finished)) continue;
    auto& gone = sources.emplace_back();
    gone.path = finished.path;
    gone.kind = kind_name(sources::Kind::run_log);
    gone.state = "gone";
    gone.detail = sentence_of_lost(finished);
    gone.project = finished.container.project.full();
    gone.run = finished.container.id;
  }
}

namespace {

/// Directories that may hold anything, which is not seen: each is told as a log that cannot be read.
void add_closed(std::vector<api::SourceStatus>& sources, const sources::WatchState& folder, sources::Kind kind) {
  for (const auto& closed : folder.closed) {
    if (std::ranges::find(sources, closed.path, &api::SourceStatus::path) != sources.end()) continue;
    auto& source = sources.emplace_back();
    source.path = closed.path;
    source.kind = kind_name(kind);
    source.state = "set_aside";
    source.detail = why_closed(closed);
  }
}

}  // namespace

api::SourceStatus view_of(const sources::WatchState& folder, bool scanned) {
  api::SourceStatus watch;
  watch.path = folder.path;
  watch.kind = "watch";
  watch.state = !folder.followed ? "set_aside" : scanned ? "watching" : "settling_in";
  if (!folder.problem.empty())
    watch.detail = folder.problem;
  else if (folder.network)
    watch.detail =
        "on a network file system: only logs that are closed are taken, found by looking through it now and then";
  return watch;
}

/// Those that are watched for logs of both clients are told of once, with what is wrong.
void Engine::add_folders(std::vector<api::SourceStatus>& sources) const {
  std::map<std::string, sources::WatchState> folders;
  const auto of_runs = run_logs_ ? run_logs_->folders() : std::vector<sources::WatchState>();
  const auto of_clients = client_dirs_ ? client_dirs_->folders() : std::vector<sources::WatchState>();
  for (const auto* list : {&of_runs, &of_clients})
    for (const auto& folder : *list) {
      const auto [known, fresh] = folders.emplace(folder.path, folder);
      const bool worse = folder.followed ? known->second.problem.empty() : known->second.followed;
      const bool finding = known->second.finding || folder.finding;
      if (!fresh && worse) known->second = folder;
      known->second.finding = finding;
      add_closed(sources, folder, list == &of_runs ? sources::Kind::run_log : sources::Kind::client_dir);
    }
  for (const auto& [path, folder] : folders) sources.push_back(view_of(folder, scanned_ && !folder.finding));
}

/// All that is there, and is looked through.
std::vector<api::SourceStatus> Engine::sources_found() const {
  std::vector<api::SourceStatus> sources;
  add_feeds(sources);
  add_folders(sources);
  return sources;
}

}  // namespace neptune::engine
