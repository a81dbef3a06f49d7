// What people are told: the core's and the feeds' state as the API's types, in sentences.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "engine/engine.h"
#include "engine/impl/checks.h"
#include "engine/impl/kind_name.h"
#include "engine/impl/why.h"
#include "support/disk.h"
#include "support/service.h"
#include "support/sizes.h"

namespace neptune::engine {

using core::Wait;
using sources::SourceState;

namespace {

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

constexpr const char* state_name(Wait wait) {
  switch (wait) {
    case Wait::nothing:
      return "idle";
    case Wait::sending:
      return "sending";
    case Wait::unconfirmed:
      return "unconfirmed";
    case Wait::retry:
    case Wait::server:
    case Wait::paused:
      return "blocked";
    case Wait::workspace_mode:
    case Wait::project_mode:
    case Wait::workspace_held:
    case Wait::project_held:
      return "held";
    case Wait::turn:
    case Wait::counting:
    case Wait::earlier_source:
    case Wait::parent:
    case Wait::discovery:
    case Wait::project:
    case Wait::earlier_change:
    case Wait::ramp:
      break;
  }
  return "waiting";
}

/// Of a log that took the place of another one, those of that one are among the kept.
void count_discarded(api::Counts& counts) {
  counts.discarded = counts.rejected - std::min(counts.rejected, counts.rejected_kept);
}

std::optional<std::string> missing(core::Lacks lacks) {
  if (lacks == core::Lacks::project) return "project";
  if (lacks == core::Lacks::run) return "run";
  return std::nullopt;
}

constexpr std::chrono::hours lost_shown{24};
constexpr std::chrono::seconds silence_told{10};
constexpr std::chrono::minutes no_room_told{1};
constexpr std::size_t stuck_shown = 20;

std::string sentence_of_lost(const FinishedSource& finished) {
  const auto what = finished.lost == 1 ? std::string("a change") : fmt::format("{} changes", finished.lost);
  return fmt::format("{} was removed with {} of {} that {} not synced", finished.path, what, finished.container.label(),
                     finished.lost == 1 ? "was" : "were");
}

std::string in_seconds(std::optional<Instant> until, Instant now) {
  if (!until || *until <= now) return "now";
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(*until - now).count();
  return seconds < 120 ? fmt::format("in {} s", seconds) : fmt::format("in {} min", (seconds + 30) / 60);
}

}  // namespace

std::string Engine::rfc3339(Instant at) const {
  return format_time(clock_.wall() + std::chrono::duration_cast<WallTime::duration>(at - clock_.now()));
}

std::string Engine::why(const Feed& feed, const core::StreamView& view) const {
  Waiting waiting{.wait = view.wait, .container = view.spec->container, .kind = feed.info.kind};
  waiting.left_to_client = feed.info.state == SourceState::left_to_client;
  waiting.unread = feed.unread;
  if (feed.backlog.fork_parent) waiting.fork_parent = *feed.backlog.fork_parent;
  waiting.trouble = view.trouble.text;
  waiting.lacks_token = servers_.at(server_of(waiting.container.project.workspace)).slot.lacks_token();
  waiting.when = in_seconds(view.until, clock_.now());
  if (view.wait == Wait::sending) waiting.unanswered = unanswered(feed);
  if (core::is_held(view.wait)) waiting.closed = closed(Scope::of(waiting.container.project));
  return engine::why(waiting);
}

/// There is none to use, or the server refuses it.
bool Engine::token_is_missing(core::ServerId id) const {
  const auto& server = servers_.at(id);
  return server.state == core::ServerChanged::State::token_rejected || server.slot.lacks_token();
}

/// How long the server has had nothing to say to what is being sent. A file takes its time.
std::optional<std::chrono::seconds> Engine::unanswered(const Feed& feed) const {
  if (!feed.taken_up_at || feed.info.container->kind == ContainerKind::files) return std::nullopt;
  const auto since = std::chrono::duration_cast<std::chrono::seconds>(clock_.now() - *feed.taken_up_at);
  return since > silence_told ? std::optional(since) : std::nullopt;
}

/// Of a project and its workspace, or of a workspace, those whose writes wait.
std::vector<Closed> Engine::closed(const Scope& scope) const {
  std::vector<Closed> found;
  for (const auto& each : {Scope::of(scope.workspace), scope}) {
    if (!found.empty() && found.back().scope == each) break;
    const auto view = core_.scope(each);
    Closed one{.scope = each, .read_only = view.mode == core::Mode::read_only, .reason = view.reason};
    one.probe = in_seconds(view.next_probe, clock_.now());
    const auto kept = modes_.find(each);
    if (view.operator_hold) one.held_by = kept == modes_.end() ? "an operator" : kept->second.held_by;
    if (one.read_only || one.held_by) found.push_back(std::move(one));
  }
  return found;
}

namespace {

api::Stuck stuck_in(const ContainerName& first, const std::string& why) {
  api::Stuck stuck;
  stuck.project = Scope::of(first.project).text();
  stuck.container_type = name(first.kind);
  stuck.container = first.id;
  stuck.why = why;
  stuck.streams = 1;
  return stuck;
}

}  // namespace

/// What waits for something that somebody has to make, or to give a right to: once a reason, the most first.
std::vector<api::Stuck> Engine::stuck() const {
  std::map<std::pair<ProjectName, std::string>, api::Stuck> by_reason;
  for (const auto id : core_.stuck()) {
    const auto view = core_.stream(id, clock_.now());
    if (core::is_held(view.wait) || view.tally.changes() == 0) continue;
    const auto& container = view.spec->container;
    auto& one = by_reason[{container.project, view.trouble.text}];
    if (one.streams++ == 0) {
      one = stuck_in(container, view.trouble.text);
      one.missing = missing(view.trouble.lacks);
    }
    one.changes += view.tally.changes();
  }
  for (const auto& feed : aside_) {
    if (!feed->problem || feed->backlog.count == 0) continue;
    const auto& container = *feed->info.container;
    auto& one = by_reason[{container.project, feed->problem->message}];
    if (one.streams++ == 0) one = stuck_in(container, feed->problem->message);
    one.changes += feed->backlog.count;
  }
  std::vector<api::Stuck> list;
  for (auto& [reason, one] : by_reason) list.push_back(std::move(one));
  std::ranges::stable_sort(list, std::greater<>(), &api::Stuck::changes);
  if (list.size() > stuck_shown) list.resize(stuck_shown);
  return list;
}

/// What is set aside waits as it did.
void Engine::add_aside(api::Totals& totals, const Feed& feed) const {
  const bool held = !core_.is_open(feed.info.container->project);
  (held ? totals.held : totals.pending) += feed.backlog.count;
  totals.pending_bytes += feed.backlog.bytes;
  totals.held_bytes += held ? feed.backlog.bytes : 0;
}

/// What was accepted a moment ago.
template <class Counts>
void Engine::add_untold(Counts& counts, const std::function<bool(const ProjectName&)>& of) const {
  for (const auto& [project, untold] : untold_) {
    if (!of(project)) continue;
    const bool is_open = core_.is_open(project);
    counts.pending += untold.frees + (is_open ? untold.writes : 0);
    counts.held += is_open ? 0 : untold.writes;
    counts.pending_bytes += untold.bytes;
  }
}

void Engine::fill(api::ScopeStatus& status, const Scope& scope) const {
  const auto tally = core_.tally(scope);
  status.name = scope.is_workspace() ? scope.workspace : scope.project;
  status.pending = tally.pending;
  status.held = tally.held;
  status.in_flight = tally.in_flight;
  status.pending_bytes = tally.bytes;
  status.held_bytes = tally.held_bytes;
  for (const auto& feed : aside_)
    if (scope.covers(feed->info.container->project)) add_aside(status, *feed);
  for (auto it = counts_.lower_bound(ProjectName{scope.workspace, scope.project});
       it != counts_.end() && it->first.workspace == scope.workspace; ++it) {
    if (!scope.is_workspace() && it->first.project != scope.project) break;
    status.synced += it->second.synced;
    status.rejected += it->second.rejected;
    status.rejected_kept += it->second.kept;
  }
  add_untold(status, [&scope](const ProjectName& project) { return scope.covers(project); });
  count_discarded(status);
  status.operator_hold = core_.scope(scope).operator_hold;
  if (const auto kept = modes_.find(scope); status.operator_hold && kept != modes_.end()) {
    status.held_by = kept->second.held_by;
    if (kept->second.held_since) status.held_since = format_time(*kept->second.held_since);
  }
  fill_mode(status, scope);
}

void Engine::fill_mode(api::ScopeStatus& status, const Scope& scope) const {
  const auto view = core_.scope(scope);
  const auto kept = modes_.find(scope);
  if (view.mode == core::Mode::read_only) {
    status.mode = "read_only";
    status.reason = view.reason;
    if (kept != modes_.end() && kept->second.since) status.since = format_time(*kept->second.since);
    if (view.next_probe) status.next_probe_at = rfc3339(*view.next_probe);
  } else if (view.operator_hold) {
    status.mode = "held";
    if (kept != modes_.end()) {
      status.reason = "held by " + kept->second.held_by;
      if (kept->second.held_since) status.since = format_time(*kept->second.held_since);
    }
  } else if (!scope.is_workspace()) {
    fill_mode(status, Scope::of(scope.workspace));
    status.inherited = status.mode != "normal";
  }
}

api::ScopeReply Engine::scope_reply(const Scope& scope, std::string message) const {
  api::ScopeReply reply;
  fill(reply, scope);
  reply.name = scope.text();
  reply.message = std::move(message);
  return reply;
}

Metrics Engine::metrics() const {
  auto metrics = metrics_;
  for (const auto& [project, counts] : counts_)
    if (counts.retried > 0) metrics.retried[project] = counts.retried;
  if (!queue_) return metrics;
  const auto queue = queue_->totals();
  metrics.queue_bytes = queue.bytes;
  metrics.queue_max_bytes = queue.max_bytes;
  return metrics;
}

/// What the daemon itself lacks, in sentences; what keeps the most first.
std::vector<std::string> Engine::problems() const {
  std::vector<std::string> problems;
  const auto dir = state_dir_.path().string();
  const auto queue = queue_ ? queue_->totals() : sources::ChangeQueue::Totals{};
  const auto free = queue.min_free_disk > 0 ? free_space(state_dir_.path()) : std::nullopt;
  if (disk_full_)
    problems.push_back(
        fmt::format("The disk of the state directory {} is full. Nothing is lost and syncing goes on as far as it can; "
                    "free some space there.",
                    dir));
  else if (free && *free < queue.min_free_disk)
    problems.push_back(
        fmt::format("{} are free on the disk of {}, and [queue] min_free_disk keeps {} of them free: what is handed in "
                    "is refused, but for what fits where synced changes were. Syncing goes on; free some space there.",
                    size_text(*free), dir, size_text(queue.min_free_disk)));
  else if (queue.no_room_at && clock_.now() - *queue.no_room_at < no_room_told)
    problems.push_back(
        fmt::format("The disk of the state directory {} has no room for what is handed in: that is refused. What was "
                    "accepted goes on; free some space there.",
                    dir));
  if (queue_ && is_full(queue.bytes, queue.max_bytes))
    problems.push_back(
        fmt::format("The change queue is full: {} of at most {} ([queue] max_bytes) wait in it. What is handed in is "
                    "refused until some of that is synced; nothing is dropped.",
                    size_text(queue.bytes), size_text(queue.max_bytes)));
  if (queue_problem_.code == "queue_unusable")
    problems.push_back(queue_problem_.message + " Until then the daemon takes no changes over the socket.");
  if (!refused_configuration_.empty())
    problems.push_back(
        fmt::format("The configuration that was read last is not used: {}{} What was read before stays; "
                    "after a restart there would be none.",
                    refused_configuration_, refused_configuration_.ends_with('.') ? "" : "."));
  const auto no_new_token = [&problems](const std::string& whose, const ServerState& server) {
    if (!server.token_problem.empty())
      problems.push_back(fmt::format(
          "The API token{} that was read last is not used: {}. Syncing goes on with the one before; after a "
          "restart there would be none.{}{}",
          whose, server.token_problem, server.slot.token_remedy.empty() ? "" : " ", server.slot.token_remedy));
  };
  no_new_token("", servers_.front());
  for (const auto& [workspace, id] : workspace_servers_)
    if (id != 0) no_new_token(" of workspace " + workspace, servers_.at(id));
  for (const auto& [workspace, id] : workspace_servers_)
    if (id != 0 && !servers_.at(id).last_error.empty())
      problems.push_back(fmt::format("Workspace {}, which has a token of its own: {}", workspace, last_error(id)));
  for (const auto& [id, silence] : silent_servers())
    problems.push_back(fmt::format("{} has not answered for {} s. Changes wait on disk meanwhile.",
                                   servers_.at(id).slot.server->url(), silence.count()));
  return problems;
}

/// With when it is tried again, where it asks for a pause: that goes by itself.
std::string Engine::last_error(core::ServerId id) const {
  const auto& server = servers_.at(id);
  if (server.last_error.empty() || server.state != core::ServerChanged::State::busy) return server.last_error;
  return fmt::format("{}; it is tried again {}", server.last_error, in_seconds(core_.next_try_of(id), clock_.now()));
}

/// Those that were up and leave a request without an answer, and for how long.
std::map<core::ServerId, std::chrono::seconds> Engine::silent_servers() const {
  std::map<core::ServerId, std::chrono::seconds> silent;
  for (const auto stream : being_sent_) {
    const auto feed = feed_of(stream);
    const auto silence = feed ? unanswered(*feed) : std::nullopt;
    if (!silence || core_.stream(stream, clock_.now()).wait != Wait::sending) continue;
    const auto id = server_of(feed->info.container->project.workspace);
    if (servers_.at(id).slot.server && servers_.at(id).state == core::ServerChanged::State::up)
      silent[id] = std::max(silent[id], *silence);
  }
  return silent;
}

namespace {

/// Directories that may hold anything, which is not seen: each is told as a log that cannot be read.
void add_closed(api::Status& status, const sources::WatchState& folder, sources::Kind kind) {
  for (const auto& closed : folder.closed) {
    if (std::ranges::find(status.sources, closed.path, &api::SourceStatus::path) != status.sources.end()) continue;
    auto& source = status.sources.emplace_back();
    source.path = closed.path;
    source.kind = kind_name(kind);
    source.state = "set_aside";
    source.detail = why_closed(closed);
  }
}

}  // namespace

api::Status Engine::status() const {
  api::Status status;
  status.version = options_.version;
  status.pid = ::getpid();
  status.state = draining_ ? "draining" : "running";
  status.started_at = format_time(started_);
  status.problems = problems();
  status.stuck = stuck();
  const auto& server = servers_.front();
  status.server.url = server.slot.server ? server.slot.server->url() : "";
  using Reached = core::ServerChanged::State;
  status.server.reachable =
      server.slot.server && server.last_success && (server.state == Reached::up || server.state == Reached::busy);
  if (server.last_success) status.server.last_success_at = format_time(*server.last_success);
  if (!server.last_error.empty()) status.server.last_error = last_error(0);
  if (server.state == Reached::token_rejected) status.server.token_remedy = server.slot.token_remedy;
  if (server.slot.lacks_token()) {
    status.server.token_problem = server.slot.problem.message;
    status.server.token_remedy = server.slot.token_remedy;
    status.server.last_error = server.slot.problem.message;
  }
  status.reload_with = reload_command();

  std::map<std::string, api::WorkspaceStatus> workspaces;
  std::map<ProjectName, std::optional<WallTime>> oldest;
  const auto add_project = [&](const ProjectName& name) {
    if (name.project.empty() || !oldest.emplace(name, std::nullopt).second) return;
    fill(workspaces[name.workspace].projects.emplace_back(), Scope::of(name));
  };
  for (const auto& [name, counts] : counts_) add_project(name);
  for (const auto& [scope, mode] : modes_) {
    // One that was, and of which nothing else is known, was mistyped, or is gone.
    if (!mode.read_only && mode.held_by.empty()) continue;
    if (scope.is_workspace()) {
      workspaces[scope.workspace];
    } else {
      add_project({scope.workspace, scope.project});
    }
  }
  std::optional<WallTime> oldest_of_all;
  const ProjectName* at = nullptr;
  std::optional<WallTime>* oldest_of_project = nullptr;
  std::optional<std::size_t> queued;  // among the sources
  std::vector<api::SourceStatus> aside;
  // Those of the change queue lie together by project: with many streams in it, each must cost next to nothing.
  for (const auto& [key, feed] : feeds_) {
    if (feed->info.container && (!at || feed->info.container->project != *at)) {
      at = &feed->info.container->project;
      add_project(*at);
      oldest_of_project = &oldest[*at];
      queued.reset();
    }
    if (is_one_of_many(*feed)) {
      if (!queued) {
        queued = status.sources.size();
        status.sources.push_back(queue_of(*at));
      }
      add_queued(status.sources[*queued], *feed);
    } else if (!key.files) {
      (feed->info.kind == sources::Kind::change_queue ? aside : status.sources).push_back(describe_source(*feed));
    }
    if (!feed->info.container || feed->backlog.count == 0 || !feed->backlog.oldest_at) continue;
    for (auto* time : {oldest_of_project, &oldest_of_all})
      if (!*time || *feed->backlog.oldest_at < **time) *time = feed->backlog.oldest_at;
  }
  std::ranges::move(aside, std::back_inserter(status.sources));
  status.uploads = uploads(every_upload);
  for (auto& [name, workspace] : workspaces) {
    fill(workspace, Scope::of(name));
    std::ranges::sort(workspace.projects, {}, &api::ProjectStatus::name);
    for (auto& project : workspace.projects) {
      const auto& time = oldest[{name, project.name}];
      if (!time) continue;
      project.oldest_pending_at = format_time(*time);
      if (!workspace.oldest_pending_at || *project.oldest_pending_at < *workspace.oldest_pending_at)
        workspace.oldest_pending_at = project.oldest_pending_at;
    }
    status.workspaces.push_back(std::move(workspace));
  }
  const auto total = core_.total();
  status.totals.pending = total.pending;
  status.totals.held = total.held;
  status.totals.in_flight = total.in_flight;
  status.totals.pending_bytes = total.bytes;
  status.totals.held_bytes = total.held_bytes;
  for (const auto& feed : aside_) add_aside(status.totals, *feed);
  add_untold(status.totals, [](const ProjectName&) { return true; });
  for (const auto& [name, counts] : counts_) {
    status.totals.synced += counts.synced;
    status.totals.rejected += counts.rejected;
    status.totals.rejected_kept += counts.kept;
  }
  count_discarded(status.totals);
  if (oldest_of_all) status.totals.oldest_pending_at = format_time(*oldest_of_all);
  for (const auto& finished : finished_) {
    if (clock_.wall() - finished.finished_at > lost_shown || !is_lost(finished)) continue;
    api::SourceStatus gone;
    gone.path = finished.path;
    gone.kind = "run-log";
    gone.state = "gone";
    gone.detail = sentence_of_lost(finished);
    gone.project = finished.container.project.full();
    gone.run = finished.container.id;
    status.sources.push_back(std::move(gone));
  }
  std::map<std::string, sources::WatchState> folders;
  const auto of_runs = run_logs_ ? run_logs_->folders() : std::vector<sources::WatchState>();
  const auto of_clients = client_dirs_ ? client_dirs_->folders() : std::vector<sources::WatchState>();
  for (const auto* list : {&of_runs, &of_clients})
    for (const auto& folder : *list) {
      const auto [known, fresh] = folders.emplace(folder.path, folder);
      const bool worse = folder.followed ? known->second.problem.empty() : known->second.followed;
      if (!fresh && worse) known->second = folder;
      add_closed(status, folder, list == &of_runs ? sources::Kind::run_log : sources::Kind::client_dir);
    }
  for (const auto& [path, folder] : folders) {
    api::SourceStatus watch;
    watch.path = folder.path;
    watch.kind = "watch";
    watch.state = !folder.followed ? "set_aside" : scanned_ ? "watching" : "settling_in";
    if (!folder.problem.empty()) {
      watch.detail = folder.problem;
    } else if (folder.network) {
      watch.detail =
          "on a network file system: only logs that are closed are taken, found by looking through it now and then";
    }
    status.sources.push_back(std::move(watch));
  }
  return status;
}

/// Of a log whose rows may not be deleted, its own count says too much.
std::uint64_t Engine::files_waiting(const Feed& feed) const {
  if (feed.files && counted(*feed.files)) return feed.files->backlog.count;
  return feed.info.container && feed.info.container->kind == ContainerKind::files ? feed.backlog.count
                                                                                  : feed.backlog.uploads;
}

namespace {

constexpr std::size_t uploads_shown = 20;  // in the status: as many are sent at once, and more only by configuration

}  // namespace

api::Upload Engine::describe_upload(const ActiveUpload& active, Instant now) {
  api::Upload upload;
  upload.project = active.container.project.full();
  upload.run = active.container.id;
  if (!active.attribute.empty()) upload.attribute = active.attribute;
  upload.file = active.file;
  upload.bytes_done = active.done;
  upload.bytes_total = active.total;
  upload.bytes_per_second = active.rate.per_second(now);
  if (upload.bytes_per_second && *upload.bytes_per_second > 0)
    upload.seconds_left =
        static_cast<double>(active.total - std::min(active.done, active.total)) / *upload.bytes_per_second;
  return upload;
}

std::vector<api::Upload> Engine::uploads(const std::function<bool(const ActiveUpload&)>& wanted) const {
  std::vector<api::Upload> list;
  const auto now = clock_.now();
  for (const auto& [id, active] : active_uploads_) {
    if (!wanted(active)) continue;
    if (list.size() == uploads_shown) break;
    list.push_back(describe_upload(active, now));
  }
  return list;
}

bool Engine::counted(const Feed& feed) const {
  return feed.stream != 0 && core_.stream(feed.stream, clock_.now()).wait != Wait::counting;
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

api::SourceStatus Engine::describe_source(const Feed& feed) const {
  api::SourceStatus source;
  source.path = feed.info.key.path;
  source.kind = kind_name(feed.info.kind);
  source.state = state_name(feed.info.state);
  source.pending = feed.backlog.count;
  source.uploads = files_waiting(feed);
  source.read_only = feed.info.read_only;
  if (feed.info.container) {
    source.project = Scope::of(feed.info.container->project).text();
    if (const auto kind = feed.info.container->kind; kind == ContainerKind::run || kind == ContainerKind::files)
      source.run = feed.info.container->id;
  }
  if (const auto& problem = feed.problem ? feed.problem : feed.info.problem) {
    // What is tried again by itself is not the source's fault, and nobody may take it for done.
    source.state = problem->retryable ? "blocked" : "set_aside";
    source.detail = problem->message;
  } else if (feed.info.state == SourceState::left_to_client && feed.info.kind == sources::Kind::client_dir) {
    source.detail = feed.info.left_until
                        ? fmt::format("its client is gone; it is taken over at {}, unless it is written before",
                                      format_time(*feed.info.left_until))
                        : fmt::format("its client may still sync it (pid {}); what that leaves is taken over",
                                      fmt::join(feed.info.holders, ", "));
  } else if (feed.info.state == SourceState::left_to_client) {
    source.detail = feed.info.holders.empty() ? std::string("the client's own sync process has it open")
                                              : fmt::format("the client's own sync process has it open (pids {})",
                                                            fmt::join(feed.info.holders, ", "));
  } else if (feed.info.state != SourceState::settling_in && !feed.info.container) {
    source.state = "settling_in";
    source.detail = "the server is being asked whose it is";
    if (feed.client && !feed.client->unknown.empty()) *source.detail += ": " + feed.client->unknown;
  } else if (feed.info.state != SourceState::settling_in && (!counted(feed) || (feed.files && !counted(*feed.files)))) {
    // Nobody may take it for synced before it was looked through.
    source.state = "settling_in";
    source.detail = "its log is being looked through";
  } else if (feed.info.state == SourceState::settling_in) {
    source.detail = feed.info.network
                        ? "on a network file system, where a job on another host may still write it: it is taken once "
                          "it was closed, or after a day without a write"
                        : "found lately; it is being found out whether the client syncs it by itself";
  } else if (feed.info.state == SourceState::closed && at_rest(feed) && (!feed.files || at_rest(*feed.files))) {
    source.state = "synced";
  }
  if (!source.detail && feed.client && !feed.client->not_renamed.empty())
    source.detail = fmt::format("it keeps its name for now: {}", feed.client->not_renamed);
  if (!source.detail && feed.info.state == SourceState::closed && feed.backlog.unwritten > 0)
    source.detail = fmt::format("lost by the client: {}", feed.backlog.unwritten);
  if (!source.detail && feed.moved.count > 0)
    source.detail =
        fmt::format("{} moved to another machine in {}", number_of(feed.moved.count, "change"), feed.moved.to);
  return source;
}

api::Stream Engine::describe(const Feed& feed) const {
  api::Stream stream;
  stream.project = Scope::of(feed.info.container->project).text();
  stream.container_type = name(feed.info.container->kind);
  stream.container = feed.info.container->id;
  stream.source = feed.info.key.path;
  stream.id = stream.source + (feed.info.key.files ? " (files)" : "");
  stream.closed = feed.info.state == SourceState::closed;
  stream.synced = feed.synced;
  stream.rejected = feed.rejected;
  stream.rejected_kept = feed.kept;
  count_discarded(stream);
  stream.uploads = files_waiting(feed);
  const auto of_feed = [&feed](const ActiveUpload& upload) { return upload.feed == &feed; };
  if (feed.info.container->kind == ContainerKind::files || feed.info.kind == sources::Kind::client_dir)
    stream.active_uploads = uploads(of_feed);
  if (feed.synced_at) stream.last_synced_at = format_time(*feed.synced_at);
  tell_moved(stream, feed.moved, *feed.info.container, feed.ledger_id);
  if (feed.backlog.oldest_at && feed.backlog.count > 0) stream.oldest_pending_at = format_time(*feed.backlog.oldest_at);
  // Also while its end is being recorded, nobody may take it for synced.
  if (const auto end = end_of(feed, clock_.wall()); feed.gone && is_lost(end)) {
    stream.state = stream.waiting_for = "lost";
    stream.lost = feed.lost;
    stream.why = sentence_of_lost(end);
    return stream;
  }
  if (feed.stream == 0) {
    stream.state = feed.problem || feed.info.problem ? "blocked" : "waiting";
    const auto& problem = feed.problem ? feed.problem : feed.info.problem;
    stream.why = problem                                    ? problem->message
                 : feed.info.kind == sources::Kind::run_log ? "its log is being looked at"
                                                            : "what waits of it is being looked up";
    stream.waiting_for = problem ? "source" : "lookup";
    api::Totals waiting;
    if (problem) add_aside(waiting, feed);
    stream.pending = waiting.pending;
    stream.held = waiting.held;
    stream.pending_bytes = waiting.pending_bytes;
    return stream;
  }
  const auto view = core_.stream(feed.stream, clock_.now());
  stream.pending = view.tally.pending;
  stream.held = view.tally.held;
  stream.in_flight = view.tally.in_flight;
  stream.pending_bytes = view.tally.bytes;
  if (const auto at = known_at(feed); at && feed.info.kind != sources::Kind::change_queue) {
    stream.known_through = std::max({feed.backlog.last, feed.confirmed, feed.recorded});
    stream.done_through = feed.recorded;
    stream.known_at = std::chrono::duration_cast<std::chrono::microseconds>(at->time_since_epoch()).count();
  }
  stream.state = state_name(view.wait);
  // What is confirmed but not on record yet is not idle: whoever waits for "synced" must be able to rely on it.
  if (view.wait == Wait::nothing && !at_rest(feed)) {
    stream.state = "unconfirmed";
    stream.why = "confirmed; being recorded";
    stream.waiting_for = "recording";
  } else {
    stream.why = why(feed, view);
    stream.waiting_for = view.doubted && view.wait == Wait::retry ? "doubt" : core::word(view.wait);
    if (view.wait == Wait::retry) stream.missing = missing(view.trouble.lacks);
    if (view.wait == Wait::server && token_is_missing(server_of(feed.info.container->project.workspace)))
      stream.missing = "token";
    if (view.until) stream.retry_at = rfc3339(*view.until);
  }
  return stream;
}

namespace {

/// A create that passed the writes before it is one with them for people: what it waits for is what they wait for.
void add_create(api::Stream& writes, const api::Stream& create) {
  writes.pending += create.pending;
  writes.held += create.held;
  writes.in_flight += create.in_flight;
  writes.synced += create.synced;
  writes.rejected += create.rejected;
  writes.rejected_kept += create.rejected_kept;
  writes.discarded += create.discarded;
  if (writes.moved == 0) {
    writes.moved_to = create.moved_to;
    writes.moved_at = create.moved_at;
  }
  writes.moved += create.moved;
  writes.pending_bytes += create.pending_bytes;
  writes.last_synced_at = std::max(writes.last_synced_at, create.last_synced_at);
  if (create.state == "done" || create.waiting_for == "nothing") return;
  writes.state = create.state;
  writes.why = create.why;
  writes.waiting_for = create.waiting_for;
  writes.missing = create.missing;
  writes.retry_at = create.retry_at;
}

}  // namespace

/// Changes were removed with it, and the run has not come back, as it does when its log is moved.
bool Engine::is_lost(const FinishedSource& finished) const {
  if (finished.lost == 0) return false;
  const auto again = [&finished](const auto& entry) {
    return !entry.second->gone && entry.second->info.container == finished.container;
  };
  const auto later = [&finished](const FinishedSource& other) {
    return other.container == finished.container && other.finished_at > finished.finished_at;
  };
  return std::ranges::none_of(feeds_, again) && std::ranges::none_of(finished_, later);
}

/// What left for another machine is told until more of the same comes, as when it is brought back.
void Engine::tell_moved(api::Stream& stream, const Moved& moved, const ContainerName& container,
                        std::int64_t ledger_id) const {
  const auto newer_feed = [&](const auto& entry) {
    return entry.second->info.container == container && entry.second->ledger_id > ledger_id;
  };
  const auto newer_end = [&](const FinishedSource& other) {
    return other.container == container && other.id > ledger_id;
  };
  if (moved.count == 0 || std::ranges::any_of(feeds_, newer_feed) || std::ranges::any_of(finished_, newer_end)) return;
  stream.moved = moved.count;
  stream.moved_to = moved.to;
  if (moved.at) stream.moved_at = format_time(*moved.at);
}

std::vector<api::Stream> Engine::streams(const StreamFilter& filter) const {
  const auto matches = [&filter](const ContainerName& run) {
    const bool of_runs = run.kind == ContainerKind::run || run.kind == ContainerKind::files;
    if (filter.run && (!of_runs || run.id != *filter.run)) return false;
    return !filter.project || run.project.full() == *filter.project || run.project.workspace == *filter.project;
  };
  std::vector<api::Stream> list;
  for (const auto& [key, feed] : feeds_) {
    if (!feed->info.container || !matches(*feed->info.container)) continue;
    if (is_passed(*feed) && lane_of(*feed, sources::Lane::writes)) continue;
    list.push_back(describe(*feed));
    const bool queued = feed->info.kind == sources::Kind::change_queue && !feed->replayed;
    const auto passed = queued ? lane_of(*feed, sources::Lane::passed) : nullptr;
    if (passed && passed != feed) add_create(list.back(), describe(*passed));
  }
  // A stream of the change queue goes on with its record when it comes again, as often as it ended.
  std::set<std::string_view> of_queue;
  for (const auto& [key, feed] : feeds_)
    if (feed->info.kind == sources::Kind::change_queue) of_queue.insert(key.path);
  const auto goes_on = [&of_queue](const FinishedSource& finished) {
    return finished.path.starts_with(api::queue_source) && !of_queue.insert(finished.path).second;
  };
  for (auto it = finished_.rbegin(); it != finished_.rend(); ++it) {
    if (!matches(it->container) || goes_on(*it)) continue;
    api::Stream stream;
    stream.id = stream.source = it->path;
    if (it->container.kind == ContainerKind::files && it->path.starts_with('/')) stream.id += " (files)";
    stream.project = Scope::of(it->container.project).text();
    stream.container_type = name(it->container.kind);
    stream.container = it->container.id;
    stream.state = "done";
    stream.closed = true;
    stream.synced = it->synced;
    stream.rejected = it->rejected;
    stream.rejected_kept = it->kept;
    count_discarded(stream);
    if (is_lost(*it)) {
      stream.state = stream.waiting_for = "lost";
      stream.lost = it->lost;
      stream.why = sentence_of_lost(*it);
    }
    if (it->synced_at) stream.last_synced_at = format_time(*it->synced_at);
    tell_moved(stream, it->moved, it->container, it->id);
    const bool passed = it->path == sources::queue_path(it->container, sources::Lane::passed);
    const auto writes =
        !passed ? list.end()
                : std::ranges::find(list, sources::queue_path(it->container, sources::Lane::writes), &api::Stream::id);
    if (writes != list.end()) {
      add_create(*writes, stream);
    } else {
      list.push_back(std::move(stream));
    }
  }
  return list;
}

}  // namespace neptune::engine
