#include "core/core.h"

#include <algorithm>
#include <array>

namespace neptune::core {

namespace {

constexpr std::uint32_t ways_before_it_steps_aside = 3;
constexpr int longest_walk = 1000;  // our own bound: forks of forks, and what waits for what

bool is_everything(const ContainerName& name) {
  return name.kind == ContainerKind::management && name.id == everything_in_project;
}

}  // namespace

Core::Core(Options options, std::uint64_t seed) : options_(options), random_(seed), gates_(options.gate, random_) {}

Core::Stream* Core::find(StreamId id) {
  const auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : &it->second;
}

// Streams

void Core::open(StreamSpec spec, Instant now) {
  auto& stream = streams_[spec.id];
  stream.spec = std::move(spec);
  stream.opened_at = now;
  containers_.insert(&stream);
  workspace_servers_[stream.spec.container.project.workspace] = stream.spec.server;
}

void Core::backlog(StreamId id, Position after, Backlog backlog, Instant now) {
  auto* stream = find(id);
  if (!stream || stream->closing || after != stream->spec.confirmed) return;
  const bool could_create = may_create(*stream);
  stream->backlog_known = true;
  keep_dependent(*stream, false);
  const bool had_some = std::exchange(stream->backlog, std::move(backlog)).count > 0;
  keep_dependent(*stream, true);
  if (had_some && stream->backlog.count == 0) ask_server_soon(stream->spec.server, now);
  const bool was_creating = creating_projects_.erase(id) > 0;
  if (stream->backlog.creates_project != 0) creating_projects_.insert(id);
  // A log waits for a create of its project as long as that is behind no removal.
  const bool may_unblock = stream->spec.container.kind == ContainerKind::removals && !creating_projects_.empty();
  if (was_creating || may_unblock) ready_scope(Scope::of(stream->spec.container.project));
  if (could_create && !may_create(*stream)) ready_forks_of(stream->spec.container);
  ready_dependents(stream->spec.container);
  // What this removes may wait for a create that turns out to be behind this removal.
  for (const auto& name : stream->backlog.after) {
    if (is_everything(name)) {
      for (const auto* other : streams_of(name.project)) ready(*other);
    } else {
      ready_container(name);
    }
  }
  if (const auto& [in, run, kind] = stream->spec.container; kind == ContainerKind::run)
    ready_container({in, run, ContainerKind::files});
  retally(*stream);
  ready_container(stream->spec.container);
  let_create_pass(*stream);
  schedule(now);
}

void Core::expect(const ContainerName& container, bool on, Instant now) {
  if (on) {
    expected_.insert(container);
  } else if (expected_.erase(container) > 0) {
    ready_dependents(container);
    ready_forks_of(container);
    if (container.kind == ContainerKind::management) ready_scope(Scope::of(container.project));
    for (const auto* stream : streams_of(container)) let_create_pass(*stream);
    schedule(now);
  }
}

void Core::pause(StreamId id, bool paused, Instant now) {
  auto* stream = find(id);
  if (!stream || std::exchange(stream->paused, paused) == paused) return;
  ready_container(stream->spec.container);
  ready_forks_of(stream->spec.container);
  ready_dependents(stream->spec.container);
  schedule(now);
}

void Core::close(StreamId id, Instant now) {
  auto* stream = find(id);
  if (!stream || stream->closing) return;
  const auto container = stream->spec.container;
  if (stream->backlog.count > 0) ask_server_soon(stream->spec.server, now);
  total_ -= stream->counted;
  tallies_[container.project] -= stream->counted;
  stream->counted = {};
  containers_.erase(stream);
  stuck_.erase(id);
  keep_dependent(*stream, false);
  const bool was_creating = creating_projects_.erase(id) > 0;
  forget_check(*stream);
  if (stream->phase == Phase::sending) {
    stream->closing = true;
  } else {
    drop(*stream, now);
  }
  ready_container(container);
  ready_forks_of(container);
  ready_dependents(container);
  if (was_creating) ready_scope(Scope::of(container.project));
  schedule(now);
}

void Core::drop(Stream& stream, Instant now) {
  const auto id = stream.spec.id;
  timers_.cancel({Alarm::Of::stream, id, {}});
  streams_.erase(id);
  not_made(id, now);  // if it was to confirm: it tells nothing of the mode
}

void Core::discovering(bool on, Instant now) {
  if (std::exchange(discovering_, on) == on || on) return;
  for (const auto& [parent, forks] : forks_)
    for (const auto id : forks) ready(streams_.at(id));
  schedule(now);
}

// Whose turn it is

Core::Verdict Core::verdict(const Stream& stream, Instant now) const {
  if (stream.phase == Phase::sending) return {Wait::sending, {}};
  if (stream.phase == Phase::unconfirmed) return {Wait::unconfirmed, {}};
  if (stream.paused) return {Wait::paused, {}};
  if (!stream.backlog_known) return {Wait::counting, {}};
  if (stream.backlog.count == 0) return {Wait::nothing, {}};
  const auto& container = stream.spec.container;
  const auto gate = gates_.verdict(container.project, stream.backlog.frees_next);
  using Gate = Gates::Verdict;
  switch (gate) {
    case Gate::workspace_mode:
      return {Wait::workspace_mode, gates_.view(Scope::of(container.project.workspace)).next_probe};
    case Gate::project_mode:
      return {Wait::project_mode, gates_.view(Scope::of(container.project)).next_probe};
    case Gate::workspace_held:
      return {Wait::workspace_held, {}};
    case Gate::project_held:
      return {Wait::project_held, {}};
    case Gate::open:
    case Gate::confirm:
      break;
  }
  if (!stream.backlog.frees_next && stream.release_at && *stream.release_at > now)
    return {Wait::ramp, stream.release_at};
  if (!is_head(stream)) return {Wait::earlier_source, {}};
  if (const auto wait = dependencies(stream); wait != Wait::turn) return {wait, {}};
  if (const auto fork = fork_verdict(stream, now); fork.wait != Wait::turn) return fork;
  if (stream.not_before && *stream.not_before > now) return {Wait::retry, stream.not_before};
  const auto server = servers_.find(stream.spec.server);
  if (server != servers_.end() && !available(server->second, now)) return {Wait::server, server->second.not_before};
  return {Wait::turn, {}, gate == Gate::confirm};
}

bool Core::is_head(const Stream& stream) const {
  bool is_earlier = true;
  for (const auto* other : streams_of(stream.spec.container)) {
    if (other == &stream) {
      is_earlier = false;
    } else if (other->phase != Phase::idle) {
      return false;  // one request of a container at a time
    } else if (is_earlier && (!other->backlog_known || other->backlog.count > 0) && !may_pass(stream, *other)) {
      return false;
    }
  }
  return true;
}

/// What is of the queue has nothing to wait for in what was accepted after it, as what assigns a file that was handed
/// in for the next project of that name. What goes nowhere, maybe for want of its container, lets the create of that
/// pass; and, while such a create waits in the queue, what else is of the queue: it learns so that it goes nowhere,
/// too, and is passed itself.
bool Core::may_pass(const Stream& stream, const Stream& earlier) const {
  const auto ticket = stream.backlog.ticket;
  if (ticket != 0 && earlier.backlog_known && earlier.backlog.ticket > ticket) return true;
  if (!earlier.barred) return false;
  if (stream.spec.passed || stream.backlog.create_next) return true;
  const auto holds_create = [](const Stream* other) {
    return other->backlog.ticket != 0 && (other->backlog.create_next || other->backlog.create_behind != 0);
  };
  const bool both_direct = stream.backlog.ticket != 0 && earlier.backlog.ticket != 0;
  return both_direct && std::ranges::any_of(streams_of(stream.spec.container), holds_create);
}

Core::Verdict Core::fork_verdict(const Stream& stream, Instant now) const {
  if (!stream.backlog.fork_parent) return {Wait::turn, {}};
  const auto& parent = *stream.backlog.fork_parent;
  if (expected_.contains(parent)) return {Wait::parent, {}};  // what is not told yet may be its create
  if (create_pending(parent)) {
    if (depends_on(parent, stream.spec.container)) return {Wait::turn, {}};
    return {Wait::parent, {}};
  }
  const auto found_by = stream.opened_at + options_.parent_discovery;
  if (discovering_ && !containers_.contains(parent) && now < found_by) return {Wait::discovery, found_by};
  return {Wait::turn, {}};
}

/// Its create waits here, be it behind something else, or may do so. A source that is paused is left to its own client,
/// and the server's to judge.
bool Core::create_pending(const ContainerName& container) const {
  return std::ranges::any_of(streams_of(container), [](const Stream* stream) { return may_create(*stream); });
}

bool Core::may_create(const Stream& stream) {
  const auto& backlog = stream.backlog;
  return !stream.paused && (!stream.backlog_known || backlog.create_next || backlog.create_behind != 0);
}

/// Its source is here, and its own client may still create it on the server.
bool Core::left_to_its_client(const ContainerName& container) const {
  return std::ranges::any_of(streams_of(container), &Stream::paused);
}

/// True when the creates that wait here lead from `container` up to `ancestor`: a circle no order can satisfy.
bool Core::depends_on(const ContainerName& container, const ContainerName& ancestor) const {
  auto name = container;
  for (int generations = 0; generations < longest_walk; ++generations) {
    if (name == ancestor) return true;
    const auto streams = streams_of(name);
    const auto is_fork = [](const Stream* stream) { return stream->backlog.fork_parent.has_value(); };
    const auto fork = std::ranges::find_if(streams, is_fork);
    if (fork == streams.end()) return false;
    name = *(*fork)->backlog.fork_parent;
  }
  return true;
}

/// A write that needs something which nothing here makes, or waits for one that does: a fork of such a run, its files,
/// what stands behind it.
bool Core::goes_nowhere(const Stream& write) const {
  Walk walk;
  return goes_nowhere(write, walk);
}

/// A create that stands behind what is barred will pass, unless another one that passed already waits, which is the one
/// that it is to be for. What the walk comes back to stands in a circle, and goes on as soon as that is broken.
bool Core::goes_nowhere(const Stream& write, Walk& walk) const {
  if (write.backlog.frees_next || write.phase != Phase::idle) return false;
  if (write.barred) return write.backlog.create_behind == 0 || has_passed(write.spec.container);
  if (!write.backlog_known || write.backlog.count == 0 || write.paused) return false;
  if (walk.steps >= longest_walk) return false;
  const auto [it, is_new] = walk.goes_nowhere.emplace(write.spec.id, false);
  if (!is_new) return it->second;
  walk.steps++;
  it->second = waits_for_what_goes_nowhere(write, walk);
  walk.steps--;
  return it->second;
}

bool Core::waits_for_what_goes_nowhere(const Stream& write, Walk& walk) const {
  const auto& [project, id, kind] = write.spec.container;
  for (const auto* earlier : streams_of(write.spec.container)) {
    if (earlier == &write) break;
    if (goes_nowhere(*earlier, walk) && !may_pass(write, *earlier)) return true;
  }
  if (kind == ContainerKind::files && creates_go_nowhere({project, id, ContainerKind::run}, walk)) return true;
  if (const auto& parent = write.backlog.fork_parent; parent && creates_go_nowhere(*parent, walk)) return true;
  const auto nowhere = [&](const Stream& earlier) { return goes_nowhere(earlier, walk); };
  if (any_awaited_project(write, nowhere)) return true;
  return std::ranges::any_of(write.backlog.after,
                             [&](const ContainerName& name) { return any_before(write, name, nowhere); });
}

/// Creates of it wait here, and none that goes anywhere.
bool Core::creates_go_nowhere(const ContainerName& run, Walk& walk) const {
  bool creates = false;
  for (const auto* of_run : streams_of(run)) {
    if (!may_create(*of_run)) continue;
    if (!goes_nowhere(*of_run, walk)) return false;
    creates = true;
  }
  return creates && !expected_.contains(run);
}

/// A create waits that passed the writes before it.
bool Core::has_passed(const ContainerName& container) const {
  return std::ranges::any_of(streams_of(container), [](const Stream* stream) {
    return stream->spec.passed && (!stream->backlog_known || stream->backlog.count > 0 || stream->phase != Phase::idle);
  });
}

/// Is there something in `earlier` that goes before the next change of `stream`?
bool Core::goes_before(const Stream& earlier, const Stream& stream) const {
  if (earlier.spec.id == stream.spec.id || earlier.closing) return false;
  // Left to its own client: not ours to wait for. What is of the queue is paused only while it is thrown away.
  if (earlier.paused && earlier.phase == Phase::idle && earlier.backlog.ticket == 0) return false;
  if (earlier.backlog_known && earlier.backlog.count == 0 && earlier.phase == Phase::idle) return false;
  const auto ticket = stream.backlog.ticket;
  if (ticket != 0 && earlier.backlog.ticket >= ticket) return false;
  return !stream.backlog.frees_next || (!goes_nowhere(earlier) && !waits_for_what_comes_after(earlier, stream));
}

/// A fork waits for the create of its parent. Where that goes after the removal, what is forked from it does, too, with
/// what stands behind it and its run's files: were they waited for, none of them could go.
bool Core::waits_for_what_comes_after(const Stream& stream, const Stream& removal) const {
  const auto& [project, id, kind] = stream.spec.container;
  if (kind != ContainerKind::run && kind != ContainerKind::files) return false;
  for (const auto* of_run : streams_of(ContainerName{project, id, ContainerKind::run})) {
    if (forks_from_what_comes_after(*of_run, removal)) return true;
    if (of_run == &stream) break;
  }
  return false;
}

bool Core::forks_from_what_comes_after(const Stream& fork, const Stream& removal) const {
  if (fork.phase != Phase::idle) return false;
  const auto waits_for_it = [&](const Stream* of_parent) { return creates_after(*of_parent, removal); };
  const auto is_fork = [](const Stream* stream) { return stream->backlog.fork_parent.has_value(); };
  auto parent = fork.backlog.fork_parent;
  for (int generations = 0; parent && generations < longest_walk; ++generations) {
    const auto streams = streams_of(*parent);
    if (std::ranges::any_of(streams, waits_for_it)) return true;
    const auto next = std::ranges::find_if(streams, is_fork);
    if (next == streams.end()) return false;
    parent = (*next)->backlog.fork_parent;
  }
  return false;
}

/// Is there something of `name` (Change::after) that is not told yet, in other containers than `but`?
bool Core::is_expected(const ContainerName& name, const ContainerName& but) const {
  if (!is_everything(name)) return name != but && expected_.contains(name);
  auto it = expected_.lower_bound({name.project, {}, ContainerKind::run});
  if (it != expected_.end() && *it == but) ++it;
  return it != expected_.end() && it->project == name.project;
}

/// Is there such a stream of `name` (Change::after) with something that goes before the next change of `stream`?
template <class Wanted>
bool Core::any_before(const Stream& stream, const ContainerName& name, Wanted wanted) const {
  const auto is = [&](const Stream* earlier) { return goes_before(*earlier, stream) && wanted(*earlier); };
  if (is_everything(name)) return std::ranges::any_of(streams_of(name.project), is);
  return std::ranges::any_of(streams_of(name), is);
}

/// Does the create that waits in the stream go after that removal? What one that stands behind others waits for is told
/// when it stands first: each goes after all removals.
bool Core::creates_after(const Stream& of_run, const Stream& removal) const {
  const auto& backlog = of_run.backlog;
  if (!may_create(of_run) || backlog.ticket == 0) return false;
  if (backlog.create_behind != 0) return removal.backlog.count > 0 && removal.backlog.ticket < backlog.create_behind;
  const auto names_it = [&](const ContainerName& name) { return name == removal.spec.container; };
  return goes_before(removal, of_run) && std::ranges::any_of(backlog.after, names_it);
}

/// Does it go after a removal that waits for `stream`? Then what is in that is for the thing that is to be removed.
bool Core::is_behind_removal_of(const Stream& create, const Stream& stream) const {
  const auto& container = stream.spec.container;
  const auto names_it = [&container](const ContainerName& name) { return name == container || is_everything(name); };
  const auto is_between = [&](const Stream* removal) {
    return std::ranges::any_of(removal->backlog.after, names_it) && goes_before(stream, *removal) &&
           creates_after(create, *removal);
  };
  return std::ranges::any_of(
      std::array<std::string_view, 3>{"", removals_that_wait, removals_of_all}, [&](std::string_view id) {
        const ContainerName removals{container.project, std::string(id), ContainerKind::removals};
        return std::ranges::any_of(streams_of(removals), is_between);
      });
}

/// Do these files wait for a create of their run? Not for one behind another that passed: they are of the run that is
/// made first.
bool Core::awaits_create(const Stream& files, const ContainerName& run) const {
  const bool passed = has_passed(run);
  return std::ranges::any_of(streams_of(run), [&](const Stream* of_run) {
    const bool is_behind_another = passed && of_run->backlog.create_behind != 0;
    return may_create(*of_run) && !is_behind_another && !is_behind_removal_of(*of_run, files);
  });
}

/// Is there such a stream with a create of the project that goes before the next change of `stream`? A log has no place
/// in the row of what was handed in. It does not wait for a create that is behind a removal, which may wait for that
/// very log, or for one that waits for it: what is in it is for the project that is there now.
template <class Wanted>
bool Core::any_awaited_project(const Stream& stream, Wanted wanted) const {
  if (creating_projects_.contains(stream.spec.id)) return false;
  const auto any = [](const Stream&) { return true; };
  const auto ticket = stream.backlog.ticket;
  return std::ranges::any_of(creating_projects_, [&](StreamId id) {
    const auto& create = streams_.at(id);
    if (create.spec.container.project != stream.spec.container.project || !goes_before(create, stream)) return false;
    const auto is_behind = [&](const ContainerName& name) { return any_before(create, name, any); };
    const bool is_later =
        ticket != 0 ? create.backlog.creates_project > ticket : std::ranges::any_of(create.backlog.after, is_behind);
    return !is_later && wanted(create);
  });
}

bool Core::awaits_project(const Stream& stream) const {
  return any_awaited_project(stream, [](const Stream&) { return true; });
}

Wait Core::dependencies(const Stream& stream) const {
  const auto& project = stream.spec.container.project;
  if (awaits_project(stream)) return Wait::project;
  if (is_expected({project, {}, ContainerKind::management}, stream.spec.container)) return Wait::project;
  // The run's create may be the project's, too. Nothing else of the run is waited for.
  if (const ContainerName run{project, stream.spec.container.id, ContainerKind::run};
      stream.spec.container.kind == ContainerKind::files && (expected_.contains(run) || awaits_create(stream, run)))
    return Wait::earlier_change;
  const auto any = [](const Stream&) { return true; };
  for (const auto& name : stream.backlog.after)
    if (is_expected(name, stream.spec.container) || any_before(stream, name, any)) return Wait::earlier_change;
  return Wait::turn;
}

/// What goes nowhere, maybe for want of its container, does not keep back the create of that. One at a time: a later
/// create makes the container anew, after it was removed, and what stands before that is for the one that is removed.
void Core::let_create_pass(const Stream& stream) {
  if (!stream.barred || !stream.backlog_known || stream.backlog.create_behind == 0) return;
  if (expected_.contains(stream.spec.container) || has_passed(stream.spec.container)) return;
  actions_.emplace_back(LetCreatePass{stream.spec.id});
}

/// For something that is held, or for a removal that waits for that.
bool Core::waits_for_held(const Stream& stream, Instant now) const {
  const auto stuck = [this, now](const Stream& earlier) {
    const auto wait = verdict(earlier, now).wait;
    if (is_held(wait) || wait != Wait::earlier_change) return is_held(wait);
    const auto& id = earlier.spec.container.id;
    return id == removals_that_wait || (id == removals_of_all && waits_for_held(earlier, now));
  };
  return std::ranges::any_of(stream.backlog.after,
                             [&](const ContainerName& name) { return any_before(stream, name, stuck); });
}

/// A removal whose turn does not come while what it waits for is held lets the others pass.
void Core::step_aside(Stream& stream, Instant now) {
  const auto& container = stream.spec.container;
  if (container.kind != ContainerKind::removals || !container.id.empty()) return;
  if (!waits_for_held(stream, now)) return;
  stream.backlog_known = false;
  actions_.emplace_back(StepAside{stream.spec.id, stream.backlog.ticket});
}

/// Has the way to be made first for a removal that throws away what stands in it? One whose turn it is goes in spite of
/// what goes nowhere and could not be thrown away; one that waits keeps its place until that was tried a few times, as
/// it would stand behind those that wait for what is not thrown away.
bool Core::make_way(Stream& stream, bool waits, Instant now) {
  if (!stream.backlog.discards) return false;
  if (stream.way && stream.way->making) return true;
  const bool was_made = stream.way && stream.way->ticket == stream.backlog.ticket;
  if (was_made && !waits) return false;
  const auto is_in_the_way = [&](const Stream* other) {
    const auto ticket = other->backlog.ticket;
    if (ticket == 0 || ticket >= stream.backlog.ticket || other->backlog.count == 0 || other->paused) return false;
    return other->barred || is_held(verdict(*other, now).wait);
  };
  const auto has_some = [&](const ContainerName& name) {
    if (is_everything(name)) return std::ranges::any_of(streams_of(name.project), is_in_the_way);
    return std::ranges::any_of(streams_of(name), is_in_the_way);
  };
  if (std::ranges::none_of(stream.backlog.after, has_some)) return false;
  if (was_made && stream.way->again > now) return stream.way->times < ways_before_it_steps_aside;
  if (!stream.way) stream.way = Stream::Way{};
  stream.way->making = true;
  actions_.emplace_back(MakeWay{stream.spec.id, stream.backlog.ticket});
  return true;
}

void Core::way_made(StreamId id, Instant now) {
  auto* stream = find(id);
  if (!stream || !stream->way || !stream->way->making) return;
  const auto times = stream->way->ticket == stream->backlog.ticket ? stream->way->times : 0;
  stream->way = Stream::Way{stream->backlog.ticket, false, times + 1, now + options_.way_again};
  timers_.set({Alarm::Of::stream, id, {}}, stream->way->again);
  ready(*stream);
  schedule(now);
}

void Core::schedule(Instant now) {
  if (stopping_) return;
  for (auto& [of, line] : lines_) {
    auto& server = servers_[of.server];
    const auto limit = of.what == Carries::files ? options_.max_files_in_flight : options_.max_in_flight;
    while (line.sending < limit && available(server, now)) {
      const auto next = line.scheduler.next();
      if (!next) break;
      auto* stream = find(*next);
      if (!stream || stream->closing) continue;
      const auto [wait, until, confirming] = verdict(*stream, now);
      const bool waits = wait == Wait::earlier_change || wait == Wait::project;
      if ((wait == Wait::turn || waits) && make_way(*stream, waits, now)) continue;
      if (wait == Wait::turn) {
        start(*stream, confirming);
      } else if (wait == Wait::earlier_change) {
        step_aside(*stream, now);
      } else if (until && (wait == Wait::retry || wait == Wait::ramp || wait == Wait::discovery)) {
        timers_.set({Alarm::Of::stream, *next, {}}, *until);
      }
    }
  }
}

Core::Line& Core::line_of(const Stream& stream) {
  const auto& container = stream.spec.container;
  const auto what = carries(container.kind);
  return lines_[{stream.spec.server, what, what == Carries::files ? container.project.workspace : std::string()}];
}

void Core::start(Stream& stream, bool confirming) {
  auto& server = servers_[stream.spec.server];
  const auto lane = carries(stream.spec.container.kind);
  line_of(stream).sending++;
  server.trying = server.state != ServerChanged::State::up;
  stream.phase = Phase::sending;
  stream.request = {};
  if (confirming) gates_.begin_confirm(stream.spec.container.project, stream.spec.id);
  auto operations = confirming ? options_.confirm_operations : options_.batch_operations;
  if (lane == Carries::files) operations = confirming ? 1 : options_.batch_files;
  if (stream.limit != 0) operations = std::min(operations, stream.limit);
  actions_.emplace_back(
      Send{stream.spec.id, stream.spec.confirmed, operations, options_.batch_bytes, confirming || server.trying});
}

void Core::ready(const Stream& stream) {
  if (stream.phase == Phase::idle && !stream.paused && stream.backlog_known && stream.backlog.count > 0)
    line_of(stream).scheduler.add(stream.spec.container.project.workspace, stream.spec.id);
}

void Core::ready_scope(const Scope& scope) {
  for (auto* stream : streams_of(scope)) {
    retally(*stream);
    ready(*stream);
  }
}

void Core::ready_container(const ContainerName& container) {
  for (const auto* stream : streams_of(container)) ready(*stream);
}

/// And its files.
void Core::ready_forks_of(const ContainerName& container) {
  if (const auto forks = forks_.find(container); forks != forks_.end())
    for (const auto id : forks->second) ready(streams_.at(id));
  if (container.kind == ContainerKind::run) ready_container({container.project, container.id, ContainerKind::files});
}

void Core::keep_dependent(const Stream& stream, bool on) {
  const auto keep = [id = stream.spec.id, on]<class Name>(std::map<Name, std::set<StreamId>>& all, const Name& name) {
    if (on) {
      all[name].insert(id);
    } else if (const auto it = all.find(name); it != all.end()) {
      it->second.erase(id);
      if (it->second.empty()) all.erase(it);
    }
  };
  for (const auto& name : stream.backlog.after) {
    keep(dependents_, name);
    if (stream.backlog.frees_next && (name.kind == ContainerKind::run || name.kind == ContainerKind::files))
      keep(run_removals_, name.project);
  }
  if (stream.backlog.fork_parent) keep(forks_, *stream.backlog.fork_parent);
}

/// What goes after this container's changes, or after all of its project's. A removal of what is forked from it, at
/// whichever remove, may wait for that no more: how many forks there are must not count each time a batch is through,
/// and removals are few.
void Core::ready_dependents(const ContainerName& container) {
  ready_what_goes_after({container.project, std::string(everything_in_project), ContainerKind::management});
  ready_what_goes_after(container);
  if (!forks_.contains(container)) return;
  if (const auto removals = run_removals_.find(container.project); removals != run_removals_.end())
    for (const auto id : removals->second) ready(streams_.at(id));
}

void Core::ready_what_goes_after(const ContainerName& name) {
  if (const auto it = dependents_.find(name); it != dependents_.end())
    for (const auto id : it->second) ready(streams_.at(id));
}

bool Core::may_begin(StreamId id) const {
  const auto it = streams_.find(id);
  if (it == streams_.end() || it->second.closing) return false;
  return gates_.lets_begin(it->second.spec.container.project, id, it->second.backlog.frees_next);
}

// Counting

void Core::retally(Stream& stream) {
  if (stream.closing) return;
  Tally tally;
  const auto& project = stream.spec.container.project;
  if (stream.phase != Phase::idle) tally.in_flight = std::min(stream.request.count, stream.backlog.count);
  tally.bytes = stream.backlog.bytes;
  const auto rest = stream.backlog.count - tally.in_flight;
  if (gates_.verdict(project, stream.backlog.frees_next) == Gates::Verdict::open) {
    tally.pending = rest;
  } else {
    tally.held = rest;
    const auto out = stream.phase != Phase::idle ? stream.request.bytes : 0;
    tally.held_bytes = tally.bytes - std::min(out, tally.bytes);
  }
  if (tally == stream.counted) return;
  auto& of_project = tallies_[project];
  of_project += tally;
  of_project -= stream.counted;
  total_ += tally;
  total_ -= stream.counted;
  stream.counted = tally;
}

Tally Core::tally(const Scope& scope) const {
  Tally sum;
  for (auto it = tallies_.lower_bound(ProjectName{scope.workspace, scope.project});
       it != tallies_.end() && it->first.workspace == scope.workspace; ++it) {
    if (!scope.is_workspace() && it->first.project != scope.project) break;
    sum += it->second;
  }
  return sum;
}

StreamView Core::stream(StreamId id, Instant now) const {
  const auto it = streams_.find(id);
  if (it == streams_.end() || it->second.closing) return {};
  const auto& stream = it->second;
  auto [wait, until, confirming] = verdict(stream, now);
  // What is out waits for a server that is away like all else.
  const auto server = servers_.find(stream.spec.server);
  if (wait == Wait::unconfirmed && server != servers_.end() && server->second.state != ServerChanged::State::up) {
    wait = Wait::server;
    until = server->second.not_before;
  }
  StreamView view{&stream.spec, stream.counted,  wait,          {},
                  until,        stream.attempts, stream.barred, stream.ambiguous || stream.doubts > 0};
  if (stream.trouble) view.trouble = *stream.trouble;
  if (wait == Wait::server) view.trouble = {server->second.trouble};
  return view;
}

/// Also where something waits of which it is not known (yet) what it is.
bool Core::writes_wait(const Scope& scope) const {
  const auto expected = expected_.lower_bound({ProjectName{scope.workspace, scope.project}, {}, ContainerKind::run});
  if (expected != expected_.end() && scope.covers(expected->project)) return true;
  return std::ranges::any_of(streams_of(scope), [this](const Stream* stream) {
    if (stream->paused || (stream->backlog_known && (stream->backlog.count == 0 || stream->backlog.frees_next)))
      return false;
    const auto gate = gates_.verdict(stream->spec.container.project, false);
    return gate != Gates::Verdict::workspace_held && gate != Gates::Verdict::project_held;
  });
}

// Time and the operator

void Core::time_passed(Instant now) {
  std::vector<ServerId> servers;
  for (const auto& alarm : timers_.due(now)) {
    switch (alarm.of) {
      case Alarm::Of::stream:
        if (const auto* stream = find(alarm.id)) ready(*stream);
        break;
      case Alarm::Of::server:
        servers.push_back(static_cast<ServerId>(alarm.id));
        break;
      case Alarm::Of::check:
        check_due({static_cast<ServerId>(alarm.id), alarm.project}, now);
        break;
    }
  }
  for (const auto& scope : gates_.due(now)) {
    if (scope.is_workspace()) {
      ask_status(scope.workspace, now);
    } else if (writes_wait(scope) || discovering_) {
      ready_scope(scope);
    } else {
      gates_.nothing_waits({scope.workspace, scope.project});
      opened(scope, 0, now);
    }
  }
  schedule(now);
  for (const auto id : servers) ask_server(id, now);
}

std::optional<Instant> Core::next_wakeup() const {
  const auto timer = timers_.next();
  const auto gate = gates_.next();
  if (!timer || !gate) return timer ? timer : gate;
  return std::min(*timer, *gate);
}

void Core::hold(const Scope& scope, bool on, Instant now) {
  if (!gates_.hold(scope, on)) return;
  ready_scope(scope);
  schedule(now);
}

bool Core::probe(const Scope& scope, Instant now) {
  if (!gates_.probe_now(scope, now)) return false;
  // Whoever asks may know that the server is back.
  auto& server = servers_[workspace_servers_[scope.workspace]];
  if (server.state == ServerChanged::State::down) server.not_before.reset();
  time_passed(now);
  return true;
}

void Core::restore(const Scope& scope, std::string reason, Instant now) {
  gates_.enter(scope, std::move(reason), 0, now);
  ready_scope(scope);
}

void Core::flush(Instant now) {
  for (auto& [id, server] : servers_)
    if (server.state != ServerChanged::State::token_rejected) server.not_before.reset();
  for (auto& [id, stream] : streams_) {
    stream.not_before.reset();
    ready(stream);
  }
  for (const auto& [key, checks] : checks_)
    if (!checks.out) arm_check(key, now);
  time_passed(now);
  for (const auto& [id, server] : servers_) ask_server(id, now);
}

void Core::token_replaced(ServerId id, Instant now) {
  auto& server = servers_[id];
  server.not_before.reset();
  server.failures = 0;
  schedule(now);
  ask_server(id, now);
}

}  // namespace neptune::core
