#include "core/gate.h"

namespace neptune::core {

namespace {

constexpr Duration after_unconfirmed = std::chrono::seconds(1);

}  // namespace

const Gates::State* Gates::find(const Scope& scope) const {
  const auto it = states_.find(scope);
  return it == states_.end() ? nullptr : &it->second;
}

Gates::Verdict Gates::verdict(const ProjectName& project, bool frees) const {
  if (frees) return Verdict::open;
  const auto* workspace_state = find(Scope::of(project.workspace));
  const auto* project_state = find(Scope::of(project));
  if (workspace_state && workspace_state->operator_hold) return Verdict::workspace_held;
  if (project_state && project_state->operator_hold) return Verdict::project_held;
  if (!writable(workspace_state) && !can_confirm(*workspace_state)) return Verdict::workspace_mode;
  if (!writable(project_state) && !can_confirm(*project_state)) return Verdict::project_mode;
  return writable(workspace_state) && writable(project_state) ? Verdict::open : Verdict::confirm;
}

bool Gates::lets_begin(const ProjectName& project, StreamId stream, bool frees) const {
  if (frees) return true;
  const auto lets = [stream](const State* state) {
    return !state || (!state->operator_hold && (writable(state) || state->confirming == stream));
  };
  return lets(find(Scope::of(project.workspace))) && lets(find(Scope::of(project)));
}

void Gates::begin_confirm(const ProjectName& project, StreamId stream) {
  for (const auto& scope : {Scope::of(project.workspace), Scope::of(project)}) {
    const auto it = states_.find(scope);
    if (it != states_.end() && it->second.mode == Mode::read_only) it->second.confirming = stream;
  }
}

std::vector<Scope> Gates::confirmed(StreamId stream) {
  std::vector<Scope> opened;
  for (auto& [scope, state] : states_) {
    if (state.confirming != stream) continue;
    if (!scope.is_workspace()) told_of(scope).normal++;
    open(state, scope);
    opened.push_back(scope);
  }
  return opened;
}

std::vector<Scope> Gates::answered(StreamId stream) {
  std::vector<Scope> opened;
  for (auto& [scope, state] : states_) {
    if (state.confirming != stream || !scope.is_workspace() || !state.said_normal) continue;
    open(state, scope);
    opened.push_back(scope);
  }
  return opened;
}

std::vector<Scope> Gates::not_made(StreamId stream) {
  std::vector<Scope> freed;
  for (auto& [scope, state] : states_) {
    if (state.confirming != stream) continue;
    state.confirming.reset();
    freed.push_back(scope);
  }
  return freed;
}

void Gates::unconfirmed(StreamId stream, Instant now) {
  for (auto& [scope, state] : states_) {
    if (state.confirming != stream) continue;
    if (!scope.is_workspace()) told_of(scope).nothing++;
    state.phase = Phase::waiting;
    state.said_normal = false;
    state.confirming.reset();
    const auto pause = after_unconfirmed * (std::int64_t{1} << std::min(state.unconfirmed++, 20u));
    probe_in(state, scope, std::min(options_.probe_interval, pause), now);
  }
}

void Gates::doubted(StreamId stream) {
  for (auto& [scope, state] : states_) {
    if (state.confirming != stream || !scope.is_workspace()) continue;
    state.confirming.reset();
    state.phase = Phase::asking;
    state.doubted = true;
  }
}

/// Late answers of writes that were out before the first signal say nothing new; only the confirming one's does.
bool Gates::is_news(const State& state, StreamId by) {
  if (state.mode == Mode::normal) return true;
  return state.phase == Phase::confirming && (!state.confirming || state.confirming == by);
}

bool Gates::enter(const Scope& scope, std::string reason, StreamId by, Instant now) {
  auto& state = states_[scope];
  const bool was_writable = state.mode == Mode::normal;
  if (!is_news(state, by)) return false;
  if (!was_writable) state.probes++;
  if (state.confirming && !scope.is_workspace()) told_of(scope).read_only++;
  state.unconfirmed = 0;
  close(state, scope, std::move(reason), now);
  return was_writable;
}

Gates::Effect Gates::suspect(const ProjectName& project, std::string reason, StreamId by, Instant now) {
  const auto scope = Scope::of(project.workspace);
  const auto* project_state = find(Scope::of(project));
  if (!writable(project_state) && writable(find(scope))) {
    enter(Scope::of(project), std::move(reason), by, now);
    return {};
  }
  auto& state = states_[scope];
  if (!is_news(state, by)) return {};
  if (state.mode == Mode::read_only && state.said_normal) return narrow(state, project, reason, by, now);
  if (!enter(scope, std::move(reason), by, now)) return {};
  state.suspected_for = project;
  state.phase = Phase::asking;
  state.next_probe.reset();
  timers_.cancel(scope);
  return {.opened = {}, .closed = {scope}};
}

/// The workspace is writable after all: the project alone is read-only.
Gates::Effect Gates::narrow(State& state, const ProjectName& project, const std::string& reason, StreamId by,
                            Instant now) {
  const auto scope = Scope::of(project.workspace);
  open(state, scope);
  Effect effect{.opened = {scope}, .closed = {}};
  if (enter(Scope::of(project), reason, by, now)) effect.closed.push_back(Scope::of(project));
  return effect;
}

Gates::Effect Gates::status(const std::string& workspace, const StatusWord& word, bool writes_wait, Instant now) {
  using Is = StatusWord::Is;
  Effect effect;
  const auto scope = Scope::of(workspace);
  const auto it = states_.find(scope);
  if (it == states_.end() || it->second.mode == Mode::normal) {
    if (word.is == Is::read_only && enter(scope, "the server reports the workspace as read-only", 0, now)) {
      states_[scope].details = word.details;
      effect.closed.push_back(scope);
    }
    return effect;
  }
  auto& state = it->second;
  if (!word.details.empty()) state.details = word.details;
  if (state.phase != Phase::asking) return effect;
  const auto suspected_for = std::exchange(state.suspected_for, std::nullopt);
  const bool doubted = std::exchange(state.doubted, false);
  switch (word.is) {
    case Is::read_only:
      state.probes++;
      state.unconfirmed = 0;
      wait_for_probe(state, scope, now);
      break;
    case Is::unanswered:
      wait_for_probe(state, scope, now);
      break;
    case Is::unknown:
      // The first word after the signal: the server cannot tell, so wait as after any other signal.
      if (suspected_for || doubted) {
        wait_for_probe(state, scope, now);
      } else if (!writes_wait) {
        open(state, scope);
        effect.opened.push_back(scope);
      } else {
        state.phase = Phase::confirming;
        arm(state, scope, now);
      }
      break;
    case Is::normal:
      if (suspected_for) {
        effect = narrow(state, *suspected_for, std::string(state.reason), 0, now);
        effect.at_once = true;
        return effect;
      }
      if (!writes_wait || state.operator_hold) {
        open(state, scope);
        effect.opened.push_back(scope);
      } else {
        state.phase = Phase::confirming;
        state.said_normal = true;
        // Should no write confirm it, as when the last one that waited was discarded, it is asked about again.
        arm(state, scope, now);
      }
      break;
  }
  return effect;
}

std::vector<Scope> Gates::due(Instant now) {
  auto scopes = timers_.due(now);
  std::erase_if(scopes, [&](const Scope& scope) {
    auto& state = states_[scope];
    if (state.confirming) {
      arm(state, scope, now);
      return true;
    }
    if (scope.is_workspace()) {
      state.next_probe.reset();
      state.phase = Phase::asking;
    } else {
      // Should no write confirm it, it is looked at again.
      state.phase = Phase::confirming;
      arm(state, scope, now);
    }
    return false;
  });
  return scopes;
}

void Gates::nothing_waits(const ProjectName& project) {
  const auto scope = Scope::of(project);
  open(states_[scope], scope);
}

void Gates::probe_soon(const Scope& scope, Instant now) {
  auto& state = states_[scope];
  probe_in(state, scope, std::min(options_.probe_interval, after_unconfirmed), now);
}

bool Gates::probe_now(const Scope& scope, Instant now) {
  const auto it = states_.find(scope);
  if (it == states_.end() || it->second.mode == Mode::normal) return false;
  auto& state = it->second;
  state.probes = 0;
  state.probe_again = state.phase == Phase::asking;
  // Whoever waits for its confirming write is looked at again: perhaps no write is left that could confirm.
  if (state.phase == Phase::waiting || (state.phase == Phase::confirming && !state.confirming)) {
    state.next_probe = now;
    timers_.set(scope, now);
  }
  return true;
}

bool Gates::hold(const Scope& scope, bool on) {
  if (!on && !find(scope)) return false;
  auto& state = states_[scope];
  return std::exchange(state.operator_hold, on) != on;
}

ScopeView Gates::view(const Scope& scope) const {
  const auto* state = find(scope);
  if (!state) return {};
  ScopeView view{state->mode, {}, {}, state->operator_hold, state->next_probe};
  if (state->mode == Mode::read_only) {
    view.reason = view.words = state->reason;
    if (!state->details.empty()) view.reason += " (" + state->details + ")";
  }
  return view;
}

void Gates::close(State& state, const Scope& scope, std::string reason, Instant now) {
  if (state.mode == Mode::normal) state.probes = 0;
  state.mode = Mode::read_only;
  state.reason = std::move(reason);
  wait_for_probe(state, scope, now);
}

void Gates::open(State& state, const Scope& scope) {
  const bool operator_hold = state.operator_hold;
  state = State{};
  state.operator_hold = operator_hold;
  timers_.cancel(scope);
}

Gates::Told& Gates::told_of(const Scope& project) {
  return told_[{project.workspace, project.project}];
}

void Gates::wait_for_probe(State& state, const Scope& scope, Instant now) {
  state.phase = Phase::waiting;
  state.said_normal = false;
  state.confirming.reset();
  arm(state, scope, now);
}

void Gates::arm(State& state, const Scope& scope, Instant now) {
  const auto pause = options_.probe_interval * (std::int64_t{1} << std::min(state.probes, 20u));
  probe_in(state, scope, std::min(options_.probe_interval_max, pause), now);
}

void Gates::probe_in(State& state, const Scope& scope, Duration pause, Instant now) {
  state.next_probe = std::exchange(state.probe_again, false) ? now : now + jittered(pause, random_);
  timers_.set(scope, *state.next_probe);
}

}  // namespace neptune::core
