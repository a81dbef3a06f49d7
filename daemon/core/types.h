#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "changes/change.h"
#include "changes/failure.h"
#include "changes/names.h"
#include "support/clock.h"
#include "support/rare.h"

/// What the core is told and what it decides. Positions number a stream's changes upwards; the core adds no meaning to
/// them.
namespace neptune::core {

using StreamId = std::uint64_t;  ///< never used again
using ServerId = std::uint32_t;
using Position = std::int64_t;

/// What a stream carries. Files go beside everything else: they take long, and have in-flight limits of their own.
enum class Carries : std::uint8_t { changes, files };

constexpr Carries carries(ContainerKind kind) {
  return kind == ContainerKind::files ? Carries::files : Carries::changes;
}

struct StreamSpec {
  StreamId id = 0;
  ServerId server = 0;
  ContainerName container;  ///< of the kind `files`: the stream is of the lane of files
  std::string order;        ///< among streams of one container, the lower goes first
  Position confirmed = 0;   ///< everything up to here is known to be on the server
  bool passed = false;      ///< it is of what passed barred writes of its container (LetCreatePass)
};

/// What waits in a stream after its confirmed position.
struct Backlog {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  bool create_next = false;           ///< the first of them creates the container
  bool frees_next = false;            ///< the first of them only removes: it passes a read-only gate
  Rare<ContainerName> fork_parent{};  ///< when the first of them creates a fork
  bool discards = false;              ///< the first of them is a removal that throws writes away (MakeWay)
  /// When the first of them was accepted, among all that were handed in directly (they are numbered in one row); 0 for
  /// what has no place there, a run log's.
  Position ticket = 0;
  /// The tickets of the first of them that creates its container (of management: the project), where that is not the
  /// first of all, and of the first that creates their project; 0: none does.
  Position create_behind = 0, creates_project = 0;
  /// Whose changes go before the first of them (Change::after), where those have an earlier ticket or none.
  std::vector<ContainerName> after{};
};

/// What was handed in with a Send: the changes first..last, all of one kind.
struct Sent {
  Position last = 0;
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;  ///< as Backlog counts them
  bool create = false;
};

/// A change of a direct call that the server refused for good, while the others of the call were stored.
struct Refusal {
  Position position = 0;
  std::string code;
  std::string reason;
  std::string part{};  ///< which of its operations, in the driver's words; empty: all
};

enum class Mode : std::uint8_t { normal, read_only };

// Actions: what the driver is to do.

/// Hand in the stream's next changes after `after`, at most that many. `ask_first`: whether the server takes writes
/// again is to be seen by it, so a file's first word goes to the server, and is told (taken, failed) before the file
/// itself is sent.
struct Send {
  StreamId stream;
  Position after;
  std::uint64_t max_operations;
  std::uint64_t max_bytes;
  bool ask_first = false;
};

/// Ask for the fate of these requests; `ids[i]` belongs to `streams[i]`.
struct Check {
  ServerId server;
  ProjectName project;
  std::vector<StreamId> streams;
  std::vector<std::string> ids;
};

/// Confirmed up to `upto` (inclusive): record it, then take the changes out of their source.
struct Settle {
  StreamId stream;
  Position upto;
  std::uint64_t count;
  bool create = false;  ///< it created its container
  /// Those of the changes that the same answer refused: both are on record, or neither.
  std::vector<Refusal> refused{};
};

/// The first change of this stream, one of removals, has to wait for what is held: put it into the
/// stream of those that wait (removals_that_wait), then tell what stands first now.
struct StepAside {
  StreamId stream;
  Position position;
};

/// The first change of this stream is a removal that was to throw away what stands in its way (Backlog::discards), and
/// something of the queue that was accepted before it is held, or goes nowhere: record that as rejected, then tell
/// `way_made`.
struct MakeWay {
  StreamId stream;
  Position position;
};

/// What stands first goes nowhere, and a create of its container (of management: of the project) waits behind it, as
/// one who logs before he creates leaves it: put the create into a stream of its own (StreamSpec::passed), then tell
/// what is left.
struct LetCreatePass {
  StreamId stream;
};

/// Refused for good: record the change with its bytes, durably, then treat it as settled.
struct Reject {
  StreamId stream;
  Position position;
  bool create;
  std::string code;
  std::string reason;
  std::string part{};  ///< Refusal::part
};

using Outcome = std::variant<Settle, Reject>;

/// What the answer to a direct call says of its changes: in one word, where some were stored and others refused.
std::vector<Outcome> outcomes_of(StreamId stream, const Sent& sent, std::vector<Refusal> refused);

struct AskStatus {
  ServerId server;
  std::string workspace;
};

/// Ask whether the server answers, and takes the token: nothing waits that would show it.
struct AskServer {
  ServerId server;
};

/// The server's mode of a scope changed: to be kept, so that it survives a restart, and told.
struct ModeChanged {
  Scope scope;
  Mode mode;
  std::string reason;   ///< with what the status call adds to it
  std::string words{};  ///< the reason alone: what `Core::restore` takes
};

/// A server went away, came back, or refuses the token.
struct ServerChanged {
  ServerId server;
  enum class State : std::uint8_t { up, down, busy, token_rejected } state;
  std::string message;
};

using Action = std::variant<Send, Check, Settle, Reject, StepAside, MakeWay, LetCreatePass, AskStatus, AskServer,
                            ModeChanged, ServerChanged>;

// What people are told.

/// Why a stream's next change has not been sent yet.
enum class Wait : std::uint8_t {
  nothing,         ///< nothing waits
  turn,            ///< for a free connection
  sending,         ///< being handed in
  unconfirmed,     ///< handed in, the server has not processed it yet
  counting,        ///< its backlog is not known yet
  paused,          ///< its source may not be taken now
  earlier_source,  ///< an older source of the same container goes first
  parent,          ///< a fork, for its parent's create
  discovery,       ///< a fork whose parent may still be found here
  project,         ///< for the create of its project, which waits here too
  earlier_change,  ///< for an earlier change of another stream (Backlog::after)
  retry,           ///< after a failure of its own, `trouble`
  server,          ///< the server is away, busy, or refuses the token
  workspace_mode,  ///< the workspace is read-only
  project_mode,    ///< the project is read-only
  workspace_held,  ///< an operator holds the workspace
  project_held,    ///< an operator holds the project
  ramp,            ///< released, its turn comes within the release ramp
};

/// Its enumerator, as the local API says it.
std::string_view word(Wait wait);

constexpr bool is_held(Wait wait) {
  return wait >= Wait::workspace_mode && wait <= Wait::project_held;
}

/// What somebody has to make on the server before it goes on.
enum class Lacks : std::uint8_t { nothing, project, run, model };

/// What became of the last try.
struct Trouble {
  std::string text{};  ///< a sentence; empty when it went well
  Lacks lacks = Lacks::nothing;
};

/// What a scope or a stream has waiting. `held`: waiting because its scope is not writable.
struct Tally {
  std::uint64_t pending = 0, held = 0, in_flight = 0, bytes = 0, held_bytes = 0;

  std::uint64_t changes() const { return pending + held + in_flight; }
  Tally& operator+=(const Tally& other);
  Tally& operator-=(const Tally& other);
  bool operator==(const Tally&) const = default;
};

struct StreamView {
  const StreamSpec* spec = nullptr;
  Tally tally;
  Wait wait = Wait::nothing;
  Trouble trouble;
  std::optional<Instant> until;  ///< when it will be tried again, where that is a matter of time
  std::uint32_t attempts = 0;
  bool barred = false;   ///< what waits goes nowhere until somebody makes what it is for, or gives a right to it
  bool doubted = false;  ///< its last answer may speak of a full workspace or of its change: the server is asked which
};

struct ScopeView {
  Mode mode = Mode::normal;
  std::string reason;   ///< with what the status call added
  std::string words{};  ///< the reason alone
  bool operator_hold = false;
  std::optional<Instant> next_probe;
};

}  // namespace neptune::core
