// How all stands: what the daemon lacks, its servers, workspaces and projects, and what is counted in all.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <set>

#include "engine/engine.h"
#include "engine/impl/checks.h"
#include "engine/impl/views.h"
#include "support/disk.h"
#include "support/service.h"
#include "support/sizes.h"

namespace neptune::engine {

namespace {

constexpr std::chrono::minutes no_room_told{1};
constexpr std::size_t stuck_shown = 20;

}  // namespace

/// There is none to use, or the server refuses it.
bool Engine::token_is_missing(core::ServerId id) const {
  const auto& server = servers_.at(id);
  if (!server.slot.server) return server.slot.lacks_token();
  return server.state == core::ServerChanged::State::token_rejected;
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
    // What is set aside for good is told as a source.
    if (!feed->problem || !feed->problem->retryable || feed->backlog.count == 0) continue;
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
core::Tally Engine::tally_aside(const Feed& feed) const {
  const auto count = feed.backlog.count, bytes = feed.backlog.bytes;
  if (core_.is_open(feed.info.container->project)) return {.pending = count, .bytes = bytes};
  return {.held = count, .bytes = bytes, .held_bytes = bytes};
}

/// What waits and the core does not count: what is set aside, and what was accepted a moment ago.
Engine::Tallies Engine::beside_the_core() const {
  Tallies waiting;
  for (const auto& feed : aside_) waiting[feed->info.container->project] += tally_aside(*feed);
  for (const auto& [project, untold] : untold_) {
    const bool is_open = core_.is_open(project);
    waiting[project] += {.pending = untold.frees + (is_open ? untold.writes : 0),
                         .held = is_open ? 0 : untold.writes,
                         .bytes = untold.bytes};
  }
  return waiting;
}

void Engine::fill(api::ScopeStatus& status, const Scope& scope, const Tallies& beside) const {
  status.name = scope.is_workspace() ? scope.workspace : scope.project;
  add(status, core_.tally(scope));
  for (const auto& [project, tally] : in_scope(beside, scope)) add(status, tally);
  for (const auto& [project, counts] : in_scope(counts_, scope)) {
    status.synced += counts.synced;
    status.rejected += counts.rejected;
    status.rejected_kept += counts.kept;
  }
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
  fill(reply, scope, beside_the_core());
  reply.name = scope.text();
  std::optional<WallTime> oldest;
  for (const auto& [key, feed] : feeds_) {
    const bool waits = feed->info.container && feed->backlog.count > 0 && feed->backlog.oldest_at;
    if (waits && scope.covers(feed->info.container->project))
      oldest = std::min(oldest.value_or(*feed->backlog.oldest_at), *feed->backlog.oldest_at);
  }
  if (oldest) reply.oldest_pending_at = format_time(*oldest);
  reply.message = std::move(message);
  return reply;
}

void Engine::add_probes_of_projects(Metrics& metrics) const {
  for (const auto& [project, told] : core_.told_of_projects()) {
    const auto add = [&metrics, scope = Scope::of(project)](const char* word, std::uint64_t times) {
      if (times > 0) metrics.probes[{scope, word}] = times;
    };
    add("normal", told.normal);
    add("read_only", told.read_only);
    add("failed", told.nothing);
  }
}

Metrics Engine::metrics() const {
  auto metrics = metrics_;
  add_probes_of_projects(metrics);
  for (const auto& [project, counts] : counts_)
    if (counts.retried > 0) metrics.retried[project] = counts.retried;
  if (!queue_) return metrics;
  const auto queue = queue_->totals();
  metrics.queue_bytes = queue.bytes;
  metrics.queue_max_bytes = queue.max_bytes;
  return metrics;
}

/// Of the disk that the state directory is on; empty when there is room.
std::string Engine::lack_of_room(const sources::ChangeQueue::Totals& queue) const {
  const auto dir = state_dir_.path().string();
  const auto free = queue.min_free_disk > 0 ? free_space(state_dir_.path()) : std::nullopt;
  if (disk_full_)
    return fmt::format(
        "The disk of the state directory {} is full. Nothing is lost and syncing goes on as far as it can; "
        "free some space there.",
        dir);
  if (free && *free < queue.min_free_disk)
    return fmt::format(
        "{} are free on the disk of {}, and [queue] min_free_disk keeps {} of them free: what is handed in "
        "is refused, but for what fits where synced changes were. Syncing goes on; free some space there.",
        size_text(*free), dir, size_text(queue.min_free_disk));
  if (queue.no_room_at && clock_.now() - *queue.no_room_at < no_room_told)
    return fmt::format(
        "The disk of the state directory {} has no room for what is handed in: that is refused. What was "
        "accepted goes on; free some space there.",
        dir);
  return {};
}

/// What the daemon itself lacks, in sentences; what keeps the most first.
std::vector<std::string> Engine::problems() const {
  std::vector<std::string> problems;
  const auto queue = queue_ ? queue_->totals() : sources::ChangeQueue::Totals{};
  if (auto lack = lack_of_room(queue); !lack.empty()) problems.push_back(std::move(lack));
  if (queue_ && is_full(queue.bytes, queue.max_bytes))
    problems.push_back(
        fmt::format("The change queue is full: {} of at most {} ([queue] max_bytes) wait in it. What is handed in is "
                    "refused until some of that is synced; nothing is dropped.",
                    size_text(queue.bytes), size_text(queue.max_bytes)));
  if (queue_problem_.code == "queue_unusable")
    problems.push_back(queue_problem_.message + " Until then the daemon takes no changes over the socket.");
  if (queue.failed && clock_.now() - queue.failed->first < no_room_told)
    problems.push_back(
        fmt::format("What is handed in is refused, as the change queue cannot be written: {}. What was accepted stays "
                    "on disk.",
                    queue.failed->second));
  add_problems_of_gaps(problems);
  if (!refused_configuration_.empty())
    problems.push_back(
        fmt::format("The configuration that was read last is not used: {}{} What was read before stays; "
                    "after a restart there would be none.",
                    refused_configuration_, refused_configuration_.ends_with('.') ? "" : "."));
  add_problems_of_servers(problems);
  return problems;
}

void Engine::add_problems_of_servers(std::vector<std::string>& problems) const {
  const auto no_new_token = [&problems](const std::string& whose, const ServerState& server) {
    if (!server.token_problem.empty())
      problems.push_back(fmt::format(
          "The API token{} that was read last is not used: {}. Syncing goes on with the one before; after a "
          "restart there would be none.{}{}",
          whose, server.token_problem, server.slot.token_remedy.empty() ? "" : " ", server.slot.token_remedy));
  };
  no_new_token("", servers_.front());
  // One setting of all servers; of one without a token it is not known whether it could be used.
  const auto server =
      std::ranges::find_if(servers_, [](const ServerState& each) { return !each.settings_problem.empty(); });
  if (server != servers_.end())
    problems.push_back(
        fmt::format("What was read last of how to reach the server is not used: {}. Syncing goes on as "
                    "before; after a restart it would not. {}",
                    server->settings_problem, server->slot.remedy));
  for (const auto& [workspace, id] : workspace_servers_) {
    if (id == 0) continue;
    no_new_token(" of workspace " + workspace, servers_.at(id));
    if (!servers_.at(id).slot.is_unusable() && !servers_.at(id).last_error.empty())  // that is so of all of them
      problems.push_back(fmt::format("Workspace {}, which has a token of its own: {}", workspace, last_error(id)));
  }
  for (const auto& [id, silence] : silent_servers())
    problems.push_back(fmt::format("{} has not answered for {} s. Changes wait on disk meanwhile.",
                                   servers_.at(id).slot.server->url(), silence.count()));
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
    if (!silence || core_.stream(stream, clock_.now()).wait != core::Wait::sending) continue;
    const auto id = server_of(feed->info.container->project.workspace);
    if (servers_.at(id).slot.server && servers_.at(id).state == core::ServerChanged::State::up)
      silent[id] = std::max(silent[id], *silence);
  }
  return silent;
}

api::ServerStatus Engine::describe_server() const {
  const auto& server = servers_.front();
  api::ServerStatus status;
  status.url = server.slot.server ? server.slot.server->url() : "";
  using Reached = core::ServerChanged::State;
  status.reachable =
      server.slot.server && server.last_success && (server.state == Reached::up || server.state == Reached::busy);
  if (server.last_success) status.last_success_at = format_time(*server.last_success);
  if (!server.last_error.empty()) status.last_error = last_error(0);
  if (server.slot.server && server.state == Reached::token_rejected) status.token_remedy = server.slot.token_remedy;
  if (server.slot.lacks_token()) {
    status.token_problem = server.slot.problem.message;
    status.token_remedy = server.slot.token_remedy;
    status.last_error = server.slot.problem.message;
  }
  // What is set for all servers shows where there is a token, be it a workspace's.
  const auto unusable = std::ranges::find_if(servers_, [](const ServerState& each) { return each.slot.is_unusable(); });
  if (unusable != servers_.end()) {
    status.problem = status.last_error = unusable->slot.problem.message;
    status.remedy = unusable->slot.remedy;
  }
  status.known = status.reachable || status.last_success_at || status.last_error;
  return status;
}

/// Of each workspace, the projects that have a stream, or of which something is counted or closed.
std::vector<api::WorkspaceStatus> Engine::describe_workspaces(Oldest oldest, const Tallies& beside) const {
  std::set<std::string> workspaces;
  for (const auto& [name, counts] : counts_)
    if (counts.tell_of_it()) oldest.try_emplace(name);
  each_moved([&oldest](const ProjectName& name, const Moved&) { oldest.try_emplace(name); });
  for (const auto& [scope, mode] : modes_) {
    // One that was, and of which nothing else is known, was mistyped, or is gone.
    if (!mode.read_only && mode.held_by.empty()) continue;
    workspaces.insert(scope.workspace);
    oldest.try_emplace({scope.workspace, scope.project});
  }
  for (const auto& [name, time] : oldest) workspaces.insert(name.workspace);
  std::vector<api::WorkspaceStatus> list;
  for (const auto& name : workspaces) {
    auto& workspace = list.emplace_back();
    fill(workspace, Scope::of(name), beside);
    std::optional<WallTime> first;
    for (auto it = oldest.lower_bound({name, ""}); it != oldest.end() && it->first.workspace == name; ++it) {
      if (it->second) first = std::min(first.value_or(*it->second), *it->second);
      if (it->first.project.empty()) continue;  // of the workspace itself, such as an invitation
      auto& project = workspace.projects.emplace_back();
      fill(project, Scope::of(it->first), beside);
      if (it->second) project.oldest_pending_at = format_time(*it->second);
    }
    if (first) workspace.oldest_pending_at = format_time(*first);
  }
  return list;
}

api::Totals Engine::totals(const Oldest& oldest, const Tallies& beside) const {
  api::Totals totals;
  add(totals, core_.total());
  for (const auto& [project, tally] : beside) add(totals, tally);
  for (const auto& [name, counts] : counts_) {
    totals.synced += counts.synced;
    totals.rejected += counts.rejected;
    totals.rejected_kept += counts.kept;
  }
  count_discarded(totals);
  std::optional<WallTime> first;
  for (const auto& [name, time] : oldest)
    if (time) first = std::min(first.value_or(*time), *time);
  if (first) totals.oldest_pending_at = format_time(*first);
  return totals;
}

api::Status Engine::status() const {
  api::Status status;
  status.version = options_.version;
  status.pid = ::getpid();
  status.state = draining_ ? "draining" : "running";
  status.started_at = format_time(started_);
  status.problems = problems();
  status.stuck = stuck();
  status.server = describe_server();
  status.reload_with = reload_command();
  const auto oldest = add_feeds(status.sources);
  add_lost(status.sources);
  add_unseen(status.sources);
  add_folders(status.sources);
  status.uploads = uploads(every_upload);
  status.moved = moved_lately();
  const auto beside = beside_the_core();
  status.workspaces = describe_workspaces(oldest, beside);
  status.totals = totals(oldest, beside);
  return status;
}

}  // namespace neptune::engine
