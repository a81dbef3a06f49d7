#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/backoff.h"
#include "core/timers.h"
#include "core/types.h"

namespace neptune::core {

struct GateOptions {
  Duration probe_interval = std::chrono::seconds(30);
  Duration probe_interval_max = std::chrono::minutes(15);
  Duration release_ramp = std::chrono::seconds(30);
};

/// The modes of all scopes: which writes may start, and how a read-only scope becomes writable again.
///
///            any read-only signal                    probe is due
///   normal ───────────────────────▶ waiting ─────────────────────▶ asking (workspace)
///      ▲                              ▲  ▲                            │
///      │        the write is          │  │ the status call says       │ it says normal, or it is
///      │        suspended again       │  │ read-only: wait longer     │ not offered by this server
///      │                              │  └────────────────────────────┤
///      └────────── confirming ────────┘◀──────────────────────────────┘
///         the one write was stored          (a project goes from waiting straight to confirming)
///
/// Invariants: while a scope is read-only no write of it starts, except one a probe, which confirms; a scope never
/// closes another; an operator's hold stands beside the server's mode and neither ends the other. Changes that only
/// remove pass always. A mode ends without a write, too: what nothing waits in opens with its next probe, unless the
/// status call says read-only.
class Gates {
 public:
  Gates(GateOptions options, Random& random) : options_(options), random_(random) {}

  enum class Verdict : std::uint8_t { open, confirm, workspace_mode, project_mode, workspace_held, project_held };

  /// May a change of this project start now? `confirm`: yes, and it is the one write that confirms.
  Verdict verdict(const ProjectName& project, bool frees) const;

  /// A write of this stream was let go; may it still begin? One that is to confirm may, and any into an open scope.
  bool lets_begin(const ProjectName& project, StreamId stream, bool frees) const;

  /// The write that starts now is the confirming one of every confirming scope above it.
  void begin_confirm(const ProjectName& project, StreamId stream);

  /// The stream's write was taken: the scopes that it confirmed, now open.
  std::vector<Scope> confirmed(StreamId stream);

  /// The stream's write was refused for a reason of its own, by a server that looked at it: the workspaces that the
  /// status call had called writable before, now open.
  std::vector<Scope> answered(StreamId stream);

  /// The stream's write was not made: the scopes in which another may confirm now.
  std::vector<Scope> not_made(StreamId stream);

  /// The stream's write ended without a word on the mode: another may confirm after the next probe, which comes soon.
  void unconfirmed(StreamId stream, Instant now);

  /// The stream's write was refused in words that only the status call explains: a workspace that it was to confirm
  /// waits for that.
  void doubted(StreamId stream);

  /// A read-only signal, in the answer to a write of `by` (0: to none). True when the scope was writable until now.
  bool enter(const Scope& scope, std::string reason, StreamId by, Instant now);

  /// Scopes whose mode changed.
  struct Effect {
    std::vector<Scope> opened;
    std::vector<Scope> closed;
    bool at_once = false;  ///< what opened was never closed for a reason of its own: no ramp
  };

  /// A check reported suspended writes: the workspace closes at once, and if the status call calls it writable, the
  /// project alone was meant.
  Effect suspect(const ProjectName& project, std::string reason, StreamId by, Instant now);

  struct StatusWord {
    enum class Is : std::uint8_t { normal, read_only, unknown, unanswered } is;
    std::string details;  ///< what the call adds to the reason ("12.0 GiB of 10.0 GiB storage used"), may be empty
  };
  /// The status call's word. `writes_wait`: something could confirm it.
  Effect status(const std::string& workspace, const StatusWord& word, bool writes_wait, Instant now);

  /// Scopes whose probe is due: a workspace in the list is to be asked for, a project is confirming now.
  std::vector<Scope> due(Instant now);
  std::optional<Instant> next() const { return timers_.next(); }

  /// No write waits in this project, whose probe is due: it is open, and its next write tells whether that is so.
  void nothing_waits(const ProjectName& project);

  /// Nothing is left that could confirm: looks at the scope again soon, as after a write that told nothing.
  void probe_soon(const Scope& scope, Instant now);

  /// Probe at once (after a delete, or on an operator's word). False when the scope is not read-only.
  bool probe_now(const Scope& scope, Instant now);

  /// An operator's hold. True when that changed something.
  bool hold(const Scope& scope, bool on);

  ScopeView view(const Scope& scope) const;

  /// What the writes told that were let into closed projects, to see whether those are open: since the start.
  struct Told {
    std::uint64_t normal = 0, read_only = 0, nothing = 0;
  };
  const std::map<ProjectName, Told>& told_of_projects() const { return told_; }

  /// For what is still to come: a probe whose time is set keeps it.
  void set_options(GateOptions options) { options_ = options; }

 private:
  enum class Phase : std::uint8_t { waiting, asking, confirming };
  struct State {
    Mode mode = Mode::normal;
    Phase phase = Phase::waiting;
    bool operator_hold = false;
    std::string reason;
    std::string details;
    std::uint32_t probes = 0;       ///< since it closed
    std::uint32_t unconfirmed = 0;  ///< writes that were to confirm, since a probe was answered with read-only
    std::optional<Instant> next_probe;
    std::optional<StreamId> confirming;        ///< the write that is out
    bool said_normal = false;                  ///< the status call, before this confirming phase
    bool probe_again = false;                  ///< wanted while the status call was out
    bool doubted = false;                      ///< the confirming write's answer is what is being asked about
    std::optional<ProjectName> suspected_for;  ///< the project whose check closed the workspace
  };

  const State* find(const Scope& scope) const;
  void close(State& state, const Scope& scope, std::string reason, Instant now);
  void open(State& state, const Scope& scope);
  Effect narrow(State& state, const ProjectName& project, const std::string& reason, StreamId by, Instant now);
  Told& told_of(const Scope& project);
  static bool is_news(const State& state, StreamId by);
  void arm(State& state, const Scope& scope, Instant now);
  void probe_in(State& state, const Scope& scope, Duration pause, Instant now);
  void wait_for_probe(State& state, const Scope& scope, Instant now);
  static bool writable(const State* state) { return !state || state->mode == Mode::normal; }
  static bool can_confirm(const State& state) { return state.phase == Phase::confirming && !state.confirming; }

  GateOptions options_;
  Random& random_;
  std::map<Scope, State> states_;  // scopes that ever were other than normal
  std::map<ProjectName, Told> told_;
  Timers<Scope> timers_;
};

}  // namespace neptune::core
