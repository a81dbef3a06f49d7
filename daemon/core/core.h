#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/backoff.h"
#include "core/gate.h"
#include "core/scheduler.h"
#include "core/timers.h"
#include "core/types.h"

namespace neptune::core {

struct Options {
  std::uint32_t max_in_flight = 4;          ///< requests being handed in at once, a server
  std::uint32_t max_files_in_flight = 4;    ///< streams of files that are being sent at once, a workspace
  std::uint64_t batch_files = 100;          ///< of one signing request
  std::uint64_t batch_operations = 10'000;  ///< of one request: bounds settling and isolating, not the protocol
  std::uint64_t batch_bytes = 8u << 20;     ///< of one request's payload; the protocol allows 16 MiB
  std::uint64_t confirm_operations = 100;   ///< of the one write that confirms a scope is writable again
  Duration check_first = std::chrono::milliseconds(20);
  Duration check_max = std::chrono::seconds(1);
  Duration unconfirmed_max = std::chrono::minutes(10);  ///< then the request is sent again whole (it is idempotent)
  BackoffLimits retry{std::chrono::milliseconds(500), std::chrono::minutes(1)};  ///< a stream's own failures
  BackoffLimits blocked{std::chrono::seconds(10), std::chrono::minutes(15)};  ///< no permission, no such project or run
  BackoffLimits server{std::chrono::milliseconds(250), std::chrono::seconds(30)};  ///< the server as a whole
  Duration token_pause = std::chrono::minutes(5);                                  ///< after the token was refused
  Duration way_again = std::chrono::seconds(1);          ///< after a MakeWay, before the next of the same removal
  Duration parent_discovery = std::chrono::seconds(10);  ///< a fork's parent may still be found here
  Duration parent_patience = std::chrono::seconds(15);   ///< the server's "no such parent" becomes final after this
  GateOptions gate;
};

/// All decisions, and no I/O: events go in, actions come out (`take_actions`), time is an argument.
///
/// Invariants (each checked on random histories in tests):
///  - a stream's changes are handed in in order, with one unconfirmed request at a time; a change is settled only after
///  a check
///    confirmed it, or after it was recorded as rejected;
///  - nothing is settled twice, nothing is skipped;
///  - a create is confirmed before its run's first update, a parent's create before its fork's when the parent is known
///  here, and a project's create before anything else of the project; a change goes after those it names
///  (Backlog::after), but a removal not after a write that goes nowhere, as it is barred or waits for one that is; a
///  removal that has to wait for what is held keeps back no other (StepAside), and a write that is barred no create of
///  its container, management that is barred none of its project (LetCreatePass);
///  - the row of what was handed in directly falls into generations, of a project and of the next one of that name, of
///  a run and of the next: a removal ends one, a create begins one, and nothing that was accepted before that create
///  waits for it, or for what does, where a removal stands between; nor does a log, which has no place in the row, wait
///  for a create that is behind a removal, or a removal for a log that waits for such a one;
///  - a removal that throws writes away waits for none of the queue that was accepted before it and is held, or comes
///  to be held, in this life of the process or a later one (MakeWay); one that was accepted after it is never thrown
///  away for it;
///  - no write starts into a scope known as read-only or held, but one confirming write at a time (Gates);
///  - a failure of one stream, project or workspace delays no other; a failure of the server delays all of its streams;
///  - what read-only mode sends back costs no attempt.
///
/// Where a request stands:
///
///   idle ──Send──▶ sending ──sent()──▶ unconfirmed ──checked()──▶ idle, settled or isolating
///     ▲               │ failed()            │ suspended, lost
///     └───────────────┴─────────────────────┘
///     ▲               │ stored(): a direct call, which needs no check
///     └───────────────┘ settled
///
/// A check does not say which change of a request was refused: the request is sent again in halves until it is alone.
///
/// Concurrency: none; one owner calls everything.
class Core {
 public:
  Core(Options options, std::uint64_t seed);

  // Streams, told by the driver.
  void open(StreamSpec spec, Instant now);
  /// What waits after `after`. Ignored unless `after` is the stream's confirmed position: the driver asks again.
  void backlog(StreamId stream, Position after, Backlog backlog, Instant now);
  /// Changes of this container were handed in which `backlog` has not told yet, or all of them are told: until then
  /// what goes after the container's changes (Backlog::after, forks, and all of a project after its management) waits.
  void expect(const ContainerName& container, bool on, Instant now);
  /// Its source may not be taken now, or may again.
  void pause(StreamId stream, bool paused, Instant now);
  /// Its source is gone. Actions for it that are still out may be reported, and are ignored.
  void close(StreamId stream, Instant now);
  /// True while a source was found whose run is not known yet: a fork's parent may be among them.
  void discovering(bool on, Instant now);

  // What became of a Send.
  void sent(StreamId stream, Sent sent, std::string request_id, Instant now);
  void failed(StreamId stream, std::optional<Sent> sent, Failure failure, Instant now);
  /// A direct call was answered: all of it is stored but what was refused (in the order of positions).
  void stored(StreamId stream, Sent sent, std::vector<Refusal> refused, Instant now);
  /// The stream's next `count` changes, up to `last`, were thrown away by a person, and are on record as rejected.
  /// False when a request of the stream is out: pause it first.
  bool discard(StreamId stream, Position last, std::uint64_t count, Instant now);
  /// A MakeWay of this stream came to its end, whatever could be thrown away. What still stands in its way then, or
  /// comes to, is asked for again a little later.
  void way_made(StreamId stream, Instant now);
  /// Nothing was there to send.
  void nothing_to_send(StreamId stream, Instant now);

  // Of a Send that takes long, files: what happens before one of the above tells its end.
  /// What is being sent, for the tallies.
  void begun(StreamId stream, Sent batch, Instant now);
  /// The server took its first write: that confirms what was to be confirmed.
  void taken(StreamId stream, Instant now);
  /// The first of them, as `stored` tells it; the rest is still on its way.
  void stored_so_far(StreamId stream, Sent sent, std::vector<Refusal> refused, Instant now);
  /// The rest was not tried, for no fault of anybody's: the gate closed, or the driver stops.
  void put_back(StreamId stream, Instant now);
  /// Whether what was handed out with the stream's Send may still begin. Where not, it is to be told with `failed` as
  /// called off, and nothing of it went out.
  bool may_begin(StreamId stream) const;
  /// What probing writes of projects told, since the start.
  const std::map<ProjectName, Gates::Told>& told_of_projects() const { return gates_.told_of_projects(); }
  /// Whether a write of this project may start now.
  bool is_open(const ProjectName& project) const { return gates_.verdict(project, false) == Gates::Verdict::open; }

  // What became of a Check, an AskStatus or an AskServer.
  /// A request with one change may be told as pending, until more is found out of it (RequestStatus::refused_part,
  /// differs_code).
  void checked(const Check& check, const std::vector<RequestStatus>& statuses, Instant now);
  /// What this request of the stream carries, where that is one change and its fate is not known yet.
  std::optional<Sent> carried_alone(StreamId stream, const std::string& request_id) const;
  void check_failed(const Check& check, const Failure& failure, Instant now);
  void status_told(const AskStatus& ask, const Answer<WorkspaceStatus>& answer, Instant now);
  /// Also unasked, as by a person's own question that was answered.
  void server_told(const AskServer& ask, const Answer<void>& answer, Instant now);

  // Time and the operator.
  void time_passed(Instant now);
  std::optional<Instant> next_wakeup() const;
  void hold(const Scope& scope, bool on, Instant now);
  bool probe(const Scope& scope, Instant now);
  /// A mode that was kept from before a restart.
  void restore(const Scope& scope, std::string reason, Instant now);
  /// Ends all waits between retries.
  void flush(Instant now);
  /// Of a server of which nothing is known yet: it is asked, though nothing may wait for it.
  void meet(ServerId server, Instant now);
  /// A new token was read.
  void token_replaced(ServerId server, Instant now);
  /// A workspace with a server (and token) of its own; all others are on server 0.
  void set_server(const std::string& workspace, ServerId server) { workspace_servers_[workspace] = server; }
  void set_priority(ServerId server, const std::string& workspace, std::uint32_t turns) {
    lines_[{server, Carries::changes, {}}].scheduler.set_priority(workspace, turns);
  }
  /// For what is still to come: what is out, and what has its time, stays as it is.
  void set_limits(std::uint32_t max_in_flight, std::uint32_t max_files_in_flight, GateOptions gate) {
    options_.max_in_flight = max_in_flight;
    options_.max_files_in_flight = max_files_in_flight;
    options_.gate = gate;
    gates_.set_options(gate);
  }
  /// No further Send comes out.
  void stop_sending() { stopping_ = true; }

  /// The decisions since the last call, in order.
  std::vector<Action> take_actions() { return std::exchange(actions_, {}); }

  // Views, for people.
  /// Those whose last answer was that what they are for is not there, or that there is no right to it.
  const std::set<StreamId>& stuck() const { return stuck_; }
  StreamView stream(StreamId stream, Instant now) const;
  /// Of a container, or of all in a project.
  template <class Name>
  std::vector<StreamId> streams_for(const Name& name) const {
    std::vector<StreamId> ids;
    for (const auto* stream : streams_of(name)) ids.push_back(stream->spec.id);
    return ids;
  }
  /// Of a server that is away or busy; none: as soon as there is something.
  std::optional<Instant> next_try_of(ServerId id) const;
  ScopeView scope(const Scope& scope) const { return gates_.view(scope); }
  Tally tally(const Scope& scope) const;
  Tally total() const { return total_; }
  const std::map<ProjectName, Tally>& projects() const { return tallies_; }

 private:
  enum class Phase : std::uint8_t { idle, sending, unconfirmed };

  struct Stream {
    StreamSpec spec;
    Backlog backlog;
    bool backlog_known = false;
    bool paused = false;
    bool closing = false;  // its source is gone, a Send is still out
    Phase phase = Phase::idle;
    bool ambiguous = false;      // its last answer may speak of a limit: the status call is being asked
    bool barred = false;         // stuck so often that it goes nowhere until somebody makes that, or gives the right
    bool told_by_check = false;  // the trouble: that the next request is accepted says nothing against it
    std::uint32_t attempts = 0;  // failures in a row
    std::uint32_t busy = 0;      // answers in a row that the server, or something before it, is too busy
    std::uint32_t doubts = 0;    // such answers in a row that the status call did not explain (2), or could not (1)
    Sent request;                // what is out
    std::string request_id;      // the server's
    Instant unconfirmed_since;
    std::optional<Instant> not_before;  // after a failure
    std::optional<Instant> release_at;  // within the ramp of a scope that opened
    std::uint64_t limit = 0;            // of the next request while refused changes are isolated; 0: no limit
    std::uint64_t suspects = 0;         // changes known to hold a refused one
    Rare<Trouble> trouble;
    Instant opened_at;
    std::optional<Instant> orphan_since;  // the server first said that the fork's parent is unknown
    Tally counted;                        // its share of the tallies
    /// That way is made for a removal.
    struct Way {
      Position ticket = 0;  // of the removal that it was made for last
      bool making = false;  // a MakeWay is out
      std::uint32_t times = 0;
      Instant again{};  // not before
    };
    Rare<Way> way;
  };

  /// Those of a workspace lie together, in it those of a project, and in it those of a container, in their order.
  struct ByContainer {
    using is_transparent = void;
    bool operator()(const Stream* a, const Stream* b) const {
      return std::tie(a->spec.container, a->spec.order, a->spec.id) <
             std::tie(b->spec.container, b->spec.order, b->spec.id);
    }
    bool operator()(const Stream* a, const ContainerName& b) const { return a->spec.container < b; }
    bool operator()(const ContainerName& a, const Stream* b) const { return a < b->spec.container; }
    bool operator()(const Stream* a, const ProjectName& b) const { return a->spec.container.project < b; }
    bool operator()(const ProjectName& a, const Stream* b) const { return a < b->spec.container.project; }
    bool operator()(const Stream* a, const Scope& b) const { return compare(a, b) < 0; }
    bool operator()(const Scope& a, const Stream* b) const { return compare(b, a) > 0; }

   private:
    static std::strong_ordering compare(const Stream* stream, const Scope& scope) {
      const auto& [workspace, project] = stream->spec.container.project;
      if (const auto order = workspace <=> scope.workspace; order != 0 || scope.is_workspace()) return order;
      return project <=> scope.project;
    }
  };

  struct Server {
    ServerChanged::State state = ServerChanged::State::up;
    std::uint32_t failures = 0;
    std::optional<Instant> not_before;
    bool trying = false;  // one call is out to see whether it is back
    std::string trouble;
  };

  /// Changes stand in one line a server, where workspaces take turns. Files take long: each workspace has a line of its
  /// own, and the driver shares out the places there are for all of them.
  struct LineOf {
    ServerId server;
    Carries what;
    std::string workspace;  ///< of files
    auto operator<=>(const LineOf&) const = default;
  };
  struct Line {
    Scheduler scheduler;
    std::uint32_t sending = 0;
  };

  struct Checks {
    std::set<StreamId> waiting;
    bool out = false;
    Duration interval{};
    std::optional<Instant> due;
    StreamId asked_last = 0;  // where the next check goes on when one cannot ask for all
  };
  using CheckKey = std::pair<ServerId, ProjectName>;

  struct Alarm {
    enum class Of : std::uint8_t { stream, server, check } of;
    std::uint64_t id;     // stream or server
    ProjectName project;  // check
    auto operator<=>(const Alarm&) const = default;
  };

  // Scheduling (core.cpp)
  void schedule(Instant now);
  Line& line_of(const Stream& stream);
  void start(Stream& stream, bool confirming);
  void ready(const Stream& stream);
  void ready_scope(const Scope& scope);
  void ready_container(const ContainerName& container);
  void ready_forks_of(const ContainerName& container);
  struct Verdict {
    Wait wait;
    std::optional<Instant> until;
    bool confirming = false;
  };
  Verdict verdict(const Stream& stream, Instant now) const;
  Verdict fork_verdict(const Stream& stream, Instant now) const;
  bool is_head(const Stream& stream) const;
  bool may_pass(const Stream& stream, const Stream& earlier) const;
  bool create_pending(const ContainerName& container) const;
  static bool may_create(const Stream& stream);
  bool creates_after(const Stream& of_run, const Stream& removal) const;
  bool is_behind_removal_of(const Stream& create, const Stream& stream) const;
  bool awaits_create(const Stream& files, const ContainerName& run) const;
  bool awaits_project(const Stream& stream) const;
  template <class Wanted>
  bool any_awaited_project(const Stream& stream, Wanted wanted) const;
  bool left_to_its_client(const ContainerName& container) const;
  bool depends_on(const ContainerName& container, const ContainerName& ancestor) const;
  Wait dependencies(const Stream& stream) const;
  template <class Wanted>
  bool any_before(const Stream& stream, const ContainerName& name, Wanted wanted) const;
  void let_create_pass(const Stream& stream);
  bool waits_for_held(const Stream& stream, Instant now) const;
  void step_aside(Stream& stream, Instant now);
  bool make_way(Stream& stream, bool waits, Instant now);
  bool goes_nowhere(const Stream& write) const;
  /// Along what waits for what.
  struct Walk {
    std::map<StreamId, bool> goes_nowhere{};  ///< of whom that was asked
    int steps = 0;                            ///< from where it began
  };
  bool goes_nowhere(const Stream& write, Walk& walk) const;
  bool creates_go_nowhere(const ContainerName& run, Walk& walk) const;
  bool waits_for_what_goes_nowhere(const Stream& write, Walk& walk) const;
  bool has_passed(const ContainerName& container) const;
  bool goes_before(const Stream& earlier, const Stream& stream) const;
  bool waits_for_what_comes_after(const Stream& stream, const Stream& removal) const;
  bool forks_from_what_comes_after(const Stream& fork, const Stream& removal) const;
  bool is_expected(const ContainerName& name, const ContainerName& but) const;
  void keep_dependent(const Stream& stream, bool on);
  void ready_dependents(const ContainerName& container);
  void ready_what_goes_after(const ContainerName& name);
  void retally(Stream& stream);
  Stream* find(StreamId stream);
  void drop(Stream& stream, Instant now);
  template <class Name>  ///< ContainerName, ProjectName, Scope
  auto streams_of(const Name& name) const {
    const auto [first, last] = containers_.equal_range(name);
    return std::ranges::subrange(first, last);
  }
  bool writes_wait(const Scope& scope) const;

  // Outcomes (outcomes.cpp)
  Stream* send_ended(StreamId id);
  Stream* being_sent(StreamId id);
  struct Blame {
    bool server_is_up = false;  ///< for others, until now
    bool at_once = false;       ///< it is to be tried again without a pause
    bool sizes_tell = false;    ///< so often in a row that smaller requests are to tell what is too much
    bool no_answer = false;     ///< all streams of the server are to step back
  };
  Blame whose_fault(Stream& stream, const Failure& failure);
  void tell_server(Stream& stream, const Failure& failure, const Blame& blame, Instant now);
  void take_failure(Stream& stream, bool sent, const Failure& failure, const Blame& blame, Instant now);
  void try_again(Stream& stream, const Failure& failure, Instant now);
  void sent_back(Stream& stream, const Failure& failure, Instant now);
  void back(Stream& stream, Instant now);
  void ready_what_passes(const Stream& barred);
  void not_made(StreamId id, Instant now);
  void confirm(Stream& stream, Instant now);
  void advance(Stream& stream, Instant now);
  void try_forks_of(const ContainerName& parent);
  void tell_stored(StreamId id, const Sent& sent, std::vector<Refusal> refused);
  void move_on(Stream& stream, const Sent& request);
  void widen(Stream& stream);
  void refuse(Stream& stream, const std::string& code, const std::string& reason, Instant now,
              const std::string& part = {});
  void retry(Stream& stream, Trouble trouble, BackoffLimits limits, Instant now);
  void bar(Stream& stream, Trouble trouble, Instant now);
  void judge(Stream& stream, const RequestStatus& status, Instant now);
  void orphaned(Stream& stream, const std::string& code, const std::string& reason, Instant now);
  void read_only(const Scope& scope, const Failure& failure, StreamId by, Instant now);
  void opened(const Scope& scope, StreamId confirmed_by, Instant now, bool ramped = true);
  void closed(const Scope& scope);
  void apply(const Gates::Effect& effect, Instant now);
  void workspace_answered(const Stream& stream, Instant now);
  void write_was_taken(const Stream& stream, Instant now);
  void ask_status(const std::string& workspace, Instant now);
  void explain_limits(const std::string& workspace, Gates::StatusWord::Is word, Instant now);

  // The server as a whole, and checks (servers.cpp)
  bool available(const Server& server, Instant now) const;
  void server_failed(ServerId id, const Failure& failure, Instant now);
  void server_answered(ServerId id);
  void ask_server(ServerId id, Instant now);
  void ask_server_soon(ServerId id, Instant now);
  bool is_tried(ServerId id, Instant now) const;
  void await_check(Stream& stream, Instant now);
  void forget_check(Stream& stream);
  void check_due(const CheckKey& key, Instant now);
  void arm_check(const CheckKey& key, Instant at);

  Options options_;
  Random random_;
  Gates gates_;
  std::map<LineOf, Line> lines_;
  std::map<StreamId, Stream> streams_;
  std::set<StreamId> stuck_;  // what the last answer said is for nothing that is there, or without a right to it
  std::map<ServerId, Server> servers_;
  std::map<CheckKey, Checks> checks_;
  std::set<Stream*, ByContainer> containers_;
  std::set<ContainerName> expected_;  // of which something was handed in that is not told yet
  std::map<std::string, ServerId> workspace_servers_;
  std::map<ContainerName, std::set<StreamId>> forks_;       // streams whose next change creates a fork of the run
  std::map<ContainerName, std::set<StreamId>> dependents_;  // streams whose next change goes after the container's
  std::map<ProjectName, std::set<StreamId>> run_removals_;  // those of them that remove, and go after runs or files
  std::set<StreamId> creating_projects_;                    // streams that hold the create of their project
  std::map<ProjectName, Tally> tallies_;
  Tally total_;
  Timers<Alarm> timers_;
  std::vector<Action> actions_;
  bool discovering_ = false;
  bool stopping_ = false;
};

}  // namespace neptune::core
