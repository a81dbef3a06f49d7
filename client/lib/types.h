#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the local API says, as types: filled in by the daemon, read by its clients. JSON: client/lib/json.h.
/// Times are RFC 3339 UTC with milliseconds. Absent values are `nullopt`, in JSON `null`.
namespace neptune::api {

/// Counts are of changes; for a run log, one operation row is one change. `pending` includes neither held nor in
/// flight.
struct Counts {
  std::uint64_t pending = 0;
  std::uint64_t held = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t synced = 0;         ///< since the state directory was made
  std::uint64_t rejected = 0;       ///< since the state directory was made, but for what a retry stored after all
  std::uint64_t rejected_kept = 0;  ///< of these, what is kept: neither discarded nor stored by a retry
  std::uint64_t discarded = 0;      ///< of these, what a person threw away for good: the rest
};

struct Totals : Counts {
  std::uint64_t pending_bytes = 0;  ///< of all that is not synced: pending, held and in flight
  std::uint64_t held_bytes = 0;     ///< of what is held
  std::optional<std::string> oldest_pending_at;
};

/// Mode of a scope: "normal", "read_only" (the server's doing) or "held" (an operator's doing); of a project with none
/// of its own, its workspace's.
struct ScopeStatus : Totals {
  std::string name;
  std::string mode = "normal";
  std::optional<std::string> reason;
  std::optional<std::string> since;
  std::optional<std::string> next_probe_at;
  bool operator_hold = false;               ///< an operator's hold stands, whatever the server says
  std::optional<std::string> held_by{};     ///< whose that is: "jackie"
  std::optional<std::string> held_since{};  ///< likewise
  bool inherited = false;                   ///< the mode, its reason and times are the workspace's

  std::string own_mode() const { return inherited ? "normal" : mode; }
};

struct ProjectStatus : ScopeStatus {};

struct WorkspaceStatus : ScopeStatus {
  std::vector<ProjectStatus> projects;
};

struct ServerStatus {
  std::string url;
  bool reachable = false;
  std::optional<std::string> last_success_at;
  std::optional<std::string> last_error;  ///< a sentence; null when the last call went well
  /// How a new token gets to the daemon, while the server refuses this one, or there is none.
  std::optional<std::string> token_remedy{};
  std::optional<std::string> token_problem{};  ///< a sentence: why there is none, with the file it was to be in
  std::optional<std::string> problem{};  ///< a sentence: why it cannot be asked at all, where that is not the token
  std::optional<std::string> remedy{};   ///< a sentence: what ends that
  bool known = true;  ///< false: no call has ended since the daemon started, so that `reachable` says nothing yet
};

/// What the sources of handed-in changes are called: by project in the status, each for itself in its stream.
inline constexpr std::string_view queue_source = "change queue: ";

/// The code of a change that a person threw away before the server had it: it is kept as rejected ones are.
inline constexpr std::string_view discarded_code = "discarded";

/// A folder that is watched, a source that was found in it, or all that waits in the change queue for one project.
struct SourceStatus {
  std::string path;
  std::string kind;   ///< "watch" | "run-log" | "client-1x" | "change-queue"
  std::string state;  ///< "watching" | "settling_in" | "live" | "closed" | "left_to_client" | "set_aside" | "synced" |
                      ///< "gone" (removed before all of it was synced, not a day ago) | "moved" (as "synced", but for
                      ///< what another machine sends) | "blocked" (tried again by
                      ///< itself; `detail` says what stands in its way)
  std::optional<std::string> detail;  ///< a sentence: why it is set aside, what it waits for
  std::optional<std::string> project;
  std::optional<std::string> run;
  std::uint64_t pending = 0;
  std::uint64_t uploads = 0;  ///< files that wait to be uploaded
  bool read_only = false;
};

/// A file that is being sent at this moment.
struct Upload {
  std::string project;
  std::string run;
  std::optional<std::string> attribute;  ///< null where the run's own log refers to the file
  std::string file;                      ///< its path
  std::uint64_t bytes_done = 0;
  std::uint64_t bytes_total = 0;
  std::optional<double> bytes_per_second;  ///< lately; null at the beginning
  std::optional<double> seconds_left;      ///< at that rate
};

/// Changes that go nowhere until somebody makes what they are for (a project, a run), or gives a right to it: those of
/// one project that the server refuses for the same reason.
struct Stuck {
  std::string project;
  std::string container_type;  ///< as of a Stream, of the first of them
  std::string container;
  std::uint64_t streams = 0;
  std::uint64_t changes = 0;
  std::string why;                       ///< a sentence
  std::optional<std::string> missing{};  ///< as of a Stream

  bool is_of_one_run() const { return streams == 1 && (container_type == "run" || container_type == "files"); }
  bool is_of_one_model() const {
    return streams == 1 && (container_type == "model" || container_type == "model_version");
  }
};

/// What left for another machine in the last day, in an exported file, and was not brought back: of one project.
struct MovedAway {
  std::string project;
  std::uint64_t changes = 0;
  std::string to;  ///< the name of that file
  std::string at;
};

struct Status {
  std::string version;
  std::int64_t pid = 0;
  std::string state;  ///< "running" | "draining"
  std::string started_at;
  /// What has it read its configuration anew, as it was started: a command in backquotes.
  std::string reload_with = "`systemctl reload neptune-syncd`";
  ServerStatus server;
  Totals totals;
  std::vector<std::string> problems;  ///< sentences: what the daemon itself lacks, for instance room on its disk
  std::vector<Stuck> stuck;           ///< the first 20, the most first
  std::vector<WorkspaceStatus> workspaces;
  std::vector<SourceStatus> sources;
  std::vector<Upload> uploads;   ///< the first 20
  std::vector<MovedAway> moved;  ///< the first 20, the newest first
};

/// One ordered stream of changes.
struct Stream : Counts {
  std::string id;
  std::string project;
  std::string container_type = "run";  ///< "run" | "files" | "model" | "model_version" | "project" | "management" |
                                       ///< "removals"
  std::string container;               ///< the run id, the model's, "member jo"; may be empty
  std::string source;                  ///< where its changes wait
  std::string state;  ///< "waiting" | "sending" | "unconfirmed" | "held" | "blocked" | "idle" | "done" |
                      ///< "lost" (its source was removed before all of it was synced)
  std::string why;    ///< a sentence: what it waits for; empty when nothing waits
  /// The same as a word: "nothing" | "turn" | "sending" | "unconfirmed" | "counting" | "paused" | "earlier_source" |
  /// "parent" | "discovery" | "project" | "earlier_change" | "retry" | "doubt" | "server" | "workspace_mode" |
  /// "project_mode" | "workspace_held" | "project_held" | "ramp" | "recording" (confirmed, not on record yet) |
  /// "source" (it cannot be read) | "lookup" (it was just found) | "lost" (as the state).
  std::string waiting_for = "nothing";
  /// What has to be made before it goes on: "project", "run" or "model" (the server knows none of that name), "token"
  /// (there is none, or the server refuses it); null: nothing of these.
  std::optional<std::string> missing{};
  std::optional<std::string> retry_at;  ///< when it moves by itself, where that is a matter of time
  bool closed = false;                  ///< nobody writes to its source any more
  std::uint64_t pending_bytes = 0;
  std::uint64_t lost = 0;   ///< changes that were removed with their source before they were synced
  std::uint64_t moved = 0;  ///< changes that left for another machine, in an exported file
  std::string moved_to;     ///< the name of that file; of several, each: "first.jsonl, second.jsonl"
  std::optional<std::string> moved_at;
  /// When a change that was handed in took the run from the server, and which that was; and whether it is in the trash,
  /// or gone for good.
  std::optional<std::string> removed_at{};
  std::optional<std::int64_t> removed_by{};
  bool in_trash = false;
  std::uint64_t uploads = 0;           ///< files that wait or are being sent
  std::vector<Upload> active_uploads;  ///< of those, what is being sent (container_type "files")
  std::optional<std::string> oldest_pending_at;
  std::optional<std::string> last_synced_at;
  /// Of a log that was looked through: the position of the newest change known, that up to which all is dealt with and
  /// on record, and when it was so (as StreamList::asked_at): what was logged until then is among what is known.
  std::optional<std::int64_t> known_through{}, done_through{}, known_at{};

  bool is_of_run() const { return container_type == "run" || container_type == "files"; }
  bool is_of_model() const { return container_type == "model" || container_type == "model_version"; }
};

/// What throws away what waits of it, or gives up what was lost.
inline std::string discard_command(const Stream& stream) {
  const auto one = stream.is_of_run() ? " --run " : stream.is_of_model() ? " --model " : "";
  return "neptune-sync discard " + stream.project + (*one ? one + stream.container : "");
}

/// One change the server refused for good. Its bytes are kept, so that it can be tried again.
struct Rejected {
  std::int64_t id = 0;
  std::string at;
  std::string project;
  std::string container_type = "run";  ///< as of a Stream
  std::string container;
  std::string source;
  std::int64_t position = 0;  ///< the operation's sequence id in its source; of a change handed in directly, its id
  std::string kind;           ///< "run.create", "run.update", "project.create", ...
  std::string code;           ///< "SERIES_STEP_NON_INCREASING", "http_400", ...
  std::string reason;         ///< a sentence
  std::uint64_t bytes = 0;
  std::optional<std::int64_t> uid;  ///< who handed it in, or owns its log; null where that is not known
  /// Of one that was stored in part, the attributes that were refused; its bytes are of all of it. Empty: all of it
  /// was.
  std::vector<std::string> part{};
};

/// A person threw it away before the server had it.
inline bool thrown_away_unsent(const Rejected& one) {
  return one.code == discarded_code;
}

/// Its file was not uploaded: of the server's own refusal nothing is said by that.
inline bool not_uploaded(const Rejected& one) {
  return one.container_type == "files" && !thrown_away_unsent(one);
}

/// As `neptune-sync rejected export` writes it.
struct ExportedRejection : Rejected {
  std::string payload;  ///< base64
};

/// Something that happened. Ids grow by one; a gap stands for those that were dropped.
struct Event {
  std::uint64_t id = 0;
  std::string at{};
  /// "mode_changed" | "source_found" | "source_changed" | "source_set_aside" | "source_gone" | "synced" | "run_synced"
  /// | "rejected" | "upload_started" | "upload_progress" | "upload_done" | "server_unreachable" | "server_reachable" |
  /// "token_rejected" | "hold" | "release" | "draining" | "changes_lost" |
  /// "gap"
  std::string type{};
  std::optional<std::string> scope{};   ///< workspace or workspace/project
  std::optional<std::string> stream{};  ///< run id
  std::string message{};                ///< a sentence
  std::optional<std::uint64_t> count{};
  std::optional<Upload> upload{};  ///< of upload_started, upload_progress and upload_done: the file, and how far it is
};

/// What `POST /v1/flush` answers: what is left at this moment.
struct FlushReply : Counts {};

/// The answer to hold, release and probe.
struct ScopeReply : ScopeStatus {
  std::string message;  ///< a sentence: what was done
};

/// The answer to discard.
struct DiscardReply {
  std::string scope;
  std::uint64_t discarded = 0;  ///< changes, kept as rejected
  std::uint64_t lost = 0;       ///< had been lost with logs that were removed: told no more, and discarded for good
  std::uint64_t left = 0;       ///< that wait still
  std::string message;          ///< a sentence, or a few: what was done, and why the rest stays
};

/// What a release would let go (`release?dry_run=1`).
struct ReleasePlan {
  std::string scope;
  std::uint64_t changes = 0;
  std::uint64_t bytes = 0;
  std::uint64_t staying = 0;  ///< changes that are held and would be still; `message` says what by
  std::uint64_t staying_bytes = 0;
  std::optional<double> seconds;                  ///< at the present rate; null when nothing was sent lately
  std::optional<std::int64_t> storage_available;  ///< what the server reports; null when it does not
  std::optional<bool> fits;
  bool uncounted = false;  ///< something was found, or may be in a folder, that is not counted yet
  std::string message;     ///< a sentence, or a few: what keeps the rest, or that nothing is to be released; else empty
};

/// `GET /v1/workspaces`.
struct WorkspaceList {
  std::vector<WorkspaceStatus> workspaces;
};

/// `GET /v1/streams`.
struct StreamList {
  std::vector<Stream> streams;
  std::int64_t asked_at = 0;  ///< in microseconds, on the daemon's own clock
};

/// One page of `GET /v1/rejected`, newest first. `next_before` asks for the following page; null on the last one.
/// A project as the server lists it.
struct ServerProject {
  std::string name;        ///< "workspace/project"
  std::string visibility;  ///< "private" | "workspace" | "public", or the server's own word
  bool archived = false;
  std::string key;
  std::string description;
};
struct ServerProjectList {
  std::vector<ServerProject> projects;
};

/// Somebody with a role in a project.
struct Member {
  std::string name;
  std::string role;  ///< "viewer" | "contributor" | "owner", or the server's own word
  bool service_account = false;
};
struct MemberList {
  std::vector<Member> members;
};

struct RejectedList {
  std::vector<Rejected> rejected;
  std::optional<std::int64_t> next_before;
};

/// The answer to retry and discard.
struct RejectedReply {
  std::int64_t id = 0;
  std::string message;  ///< a sentence: what was done
};

/// The answer to `POST /v1/changes` (202): all of them are on disk.
struct SubmitReply {
  std::vector<std::int64_t> ids;    ///< in the order of the changes
  std::uint64_t accepted = 0;       ///< how many
  std::vector<std::string> scopes;  ///< the projects, or workspaces, they are for: what to wait for
};

/// One thing that was looked at.
struct Check {
  std::string check;  ///< "state" | "disk" | "queue" | "files" | "inotify" | "processes" | "mode" | "changes" |
                      ///< "folder" | "log" | "name" | "connection" | "encryption" | "server" | "clock" | "token"; with
                      ///< a workspace's own server in brackets
  std::string state;  ///< "ok" | "warn" | "fail"
  std::string message;  ///< what was found
  std::string remedy;   ///< a sentence, or a few; empty when all is well
};

/// What the daemon finds when it looks at itself and goes the way to its server: `POST /v1/doctor`.
struct Diagnosis {
  std::vector<Check> checks;
};

/// A run log or a 1.x client's directory, and what `POST /v1/tidy` did about it.
struct TidyItem {
  std::string path{};
  std::string kind{};  ///< "run-log" | "client-1x"
  std::optional<std::string> project{};
  std::optional<std::string> container{};  ///< "trial-7", "model FOREST"
  /// "removed" | "removable" (a dry run: it would be) | "yours" (only the caller may remove it, and it is done with) |
  /// "kept".
  std::string action{};
  std::string why{};          ///< a sentence: of one that is kept, or of which something is left, why; else empty
  std::uint64_t bytes = 0;    ///< on disk, without what is left
  std::string fingerprint{};  ///< of one that is the caller's to remove: it is still so when this is the same
  std::vector<std::string> files{};  ///< of such a run log: uploaded temporary files beside it, which go with it
  std::vector<std::string> left{};   ///< what lies beside a run log that is removed, and stays; the first 20
};
struct TidyReply {
  std::vector<TidyItem> found;
};

/// Where a change is that was handed in over the socket.
struct ChangePlace {
  std::int64_t id = 0;
  /// "waiting" | "held" | "sent" (not confirmed, or not on record yet) | "done" (on the server) | "rejected" (refused
  /// for good, and kept) | "discarded" (rejected, and dropped by a person since) | "moved" (it left for another
  /// machine, in an exported file) | "unknown" (one of done, discarded and moved, long since: which is not on record
  /// any more; or, with `why`, the change queue was damaged or replaced and lost it).
  std::string state;
  std::int64_t done_through = 0;           ///< of one that is done: so are all handed in from it up to this one
  std::optional<std::int64_t> rejected{};  ///< of one that was rejected: by which id `rejected` lists it, or did
  std::string why{};                       ///< a sentence: what it waits for, or was rejected for
  std::optional<std::string> discarded_at{};
  std::optional<std::string> discarded_by{};  ///< "jackie (uid 1000)"
  std::optional<std::string> moved_at{};
  std::string moved_to{};        ///< the name of that file
  std::string project{};         ///< of one that does not wait: empty, as is all below
  std::string container_type{};  ///< as of a Stream
  std::string container{};
  std::string source{};  ///< its stream's id
  std::string kind{};    ///< "run.update"
  std::optional<std::string> accepted_at{};
  std::optional<std::int64_t> uid{};     ///< who handed it in
  std::uint64_t ahead = 0;               ///< changes of its stream that go before it; 100,000 may be more
  std::vector<Upload> active_uploads{};  ///< of a run.upload whose file is being sent: that one
  std::optional<std::string> made{};     ///< of a model_version.create that is done: "LAB-FOREST-1", until a restart
};

/// How every error is answered: `{"error": {...}}`. `field` is there only when one part of the request is at fault.
struct ErrorReply {
  std::string code;     ///< snake_case and stable
  std::string message;  ///< a sentence that says what to do
  std::optional<std::string> field;
};

}  // namespace neptune::api
