#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "changes/change.h"
#include "changes/names.h"
#include "server/uploads.h"
#include "sources/change_queue/queue_gap.h"
#include "sources/source.h"
#include "support/clock.h"
#include "support/error.h"
#include "support/sqlite_check.h"

/// The daemon's own memory: `memory.sqlite3` in the state directory.
///
///   sources   id · path, device, inode, born_ms · project, kind, container · confirmed · synced, rejected ·
///             synced_at_ms · finished_at_ms · moved, moved_at_ms, moved_to · waiting
///   counters  project → synced, rejected, retried
///   rejected  id · at_ms · source, position · project, kind, container · change, code, reason · payload · retry · uid
///   ·
///             part (which of its operations; empty: all) · queue (the identity of the change queue that numbered it) ·
///             accepted_ms
///   intents   source, or rejection · last → text: what a call that must not be repeated was about to do
///   uploads   source and position, or rejection → what the file was (inode, size, mtime, ctime); done, or how far it
///             is: provider, session, ...
///   parts     of such a file: number → tag
///   discarded id (of the rejection) · queue, position · at_ms, by_whom · code, reason
///   forgotten queue → upto: what was discarded of it up to there, or left, is not all on record
///   imports   origin (of a log on another machine) → upto · building · at_ms
///   modes     scope → mode, reason, since_ms, held_by, held_since_ms
///   removed   project, run → change (0: not known which), at_ms, for_good: taken from the server by a change that was
///             handed in
///   workspaces the server's URL, name → type (WorkspaceType), as it was told last
///
/// Invariants:
///  - a source's confirmed position is recorded here before any of its rows is deleted, in one transaction with the
///  counts: rows up
///    to it are on the server, or in `rejected` with their bytes, so what is still in the source can be deleted at any
///    time;
///  - a rejection is on disk (synchronous=FULL) before its row leaves its source;
///  - an intent is on disk (FULL) before its call is made, and goes in the transaction that records what came of it;
///  - a file that was uploaded is marked as done (FULL, when something is deleted after it) before anything of it is
///  deleted; how far a file is goes with the record of what became of it, and costs only time when it is lost;
///  - the file is its owner's alone (0600): whoever knows a signed URL may write to it;
///  - a row of `rejected` goes only when it was stored by a retry, or discarded by a person; of a change that a change
///  queue numbered, the latter is on record in `discarded` from then on, or covered by `forgotten`.
/// Who deletes what: `discard` and `resolve` rejected rows; `discard` the oldest of `discarded` beyond
/// `discarded_kept`; `finish` the oldest finished sources beyond `finished_kept`; `note_removed` the oldest of
/// `removed` beyond `removed_kept`. A killed process loses nothing (WAL). A power cut may take the last confirmed
/// positions back (synchronous=NORMAL): those operations are sent again, which is idempotent, and counted twice.
///
/// Concurrency: one thread at a time; the engine calls it on a worker thread of its own, in order.
namespace neptune::engine {

/// What of a source's changes is another machine's to send.
struct Moved {
  std::uint64_t count = 0;
  std::optional<WallTime> at{};
  std::string to{};  ///< the name of the file it left in; of several, each once: "first.jsonl, second.jsonl"

  /// Of the same source, or of another that is told with it.
  void add(const Moved& other);
};

/// What of a log that had left from here was taken again: it is moved no more.
struct CameBack {
  sources::SourceKey key{};  ///< of that log
  bool files = false;        ///< of its files
  std::uint64_t count = 0;
};

struct LedgerSource {
  std::int64_t id = 0;
  bool seen = false;  ///< before
  sources::Position confirmed = 0;
  std::uint64_t synced = 0, rejected = 0;
  std::uint64_t kept = 0;  ///< of those that were rejected, what is neither discarded nor stored by a retry
  std::optional<WallTime> synced_at;
  Moved moved{};
  sources::Position waiting = 0;  ///< as Ledger::Waiting
};

/// What was removed with its source before it was synced.
struct Lost {
  std::uint64_t changes = 0;
  bool uncounted = false;  ///< the source could not be read: there may have been more, or none
};

struct FinishedSource {
  std::int64_t id = 0;
  std::string path;
  ContainerName container;
  std::uint64_t synced = 0, rejected = 0, kept = 0;
  Lost lost{};
  std::optional<WallTime> synced_at;
  WallTime finished_at{};
  Moved moved{};
};

/// A log that has not ended by the record, with something waiting in it.
struct UnsyncedLog {
  sources::SourceKey key;
  FinishedSource end;  ///< what it would be if it were gone, but for when
};

struct ProjectCounts {
  std::uint64_t synced = 0, rejected = 0, kept = 0;
  std::uint64_t retried = 0;  ///< had been rejected, and were stored by a retry: none of the rejected any more
  /// Else all that came of it was thrown away: it may have been mistyped.
  bool tell_of_it() const { return synced > 0 || kept > 0; }
};

/// Whose a workspace is, by this server's word.
struct KeptWorkspace {
  std::string server;  ///< its URL: another server may have one of the same name
  std::string name;
  WorkspaceType type = WorkspaceType::unknown;
};

/// A run that a change took from the server.
struct RemovedRun {
  ProjectName project;
  std::string run;
  sources::Position change = 0;  ///< which; 0: that is not known
  WallTime at{};
  bool for_good = false;  ///< else it is in the trash
};

struct KeptMode {
  Scope scope;
  bool read_only = false;
  std::string reason;
  std::optional<WallTime> since;
  std::string held_by;  ///< empty: not held by an operator
  std::optional<WallTime> held_since;
};

struct Rejection {
  std::int64_t id = 0;
  WallTime at;
  std::string source;
  sources::Position position = 0;
  ContainerName container;
  ChangeKind change = ChangeKind::run_update;
  std::string code, reason;
  std::uint64_t bytes = 0;
  std::optional<std::uint32_t> uid{};  ///< whose change it was; none where that is not known
  std::string part{};                  ///< which of its operations were refused (core::Refusal::part); empty: all
  WallTime accepted{};                 ///< or logged: the time of its points that name none
};

struct RejectedChange {
  Rejection rejection;
  std::string payload;
};

/// A rejected change that a person dropped for good.
struct Discarded {
  std::int64_t rejection = 0;
  sources::Position position = 0;
  WallTime at;
  std::string by, code, reason;
};

/// What is to be looked at of such a file, for `--check-queue`: its invariants, as rules.
sqlite::Examined examined_ledger(const std::filesystem::path& file);

class Ledger {
 public:
  static constexpr int finished_kept = 10'000;    ///< our own bound on what `streams` remembers
  static constexpr int discarded_kept = 100'000;  ///< our own bound, some 20 MB
  static constexpr int removed_kept = 10'000;     ///< our own bound, as of finished sources

  /// Opens or makes it. Errors: "state_unusable" (damaged, or not to be written), "state_too_new", "disk_full" (SQLite
  /// needs a little room to open a file).
  static Result<std::unique_ptr<Ledger>> open(const std::filesystem::path& file);
  ~Ledger();

  /// The row of a source; made when it was never seen. A finished file is another one when it comes again, which the
  /// server takes as duplicates; a stream of the change queue goes on with its row.
  Result<LedgerSource> source(const sources::SourceKey& key, const ContainerName& container);
  /// Of a 1.x client's directory: what is in it must not be sent twice, so it goes on with its row when it was away,
  /// and wherever it lies now. Its device does not tell it from itself: such numbers may change with a mount.
  Result<LedgerSource> directory(const sources::SourceKey& key, const ContainerName& container);
  /// Whose a directory is that was seen before, by its key alone.
  Result<std::optional<ContainerName>> container_of(const sources::SourceKey& key);
  /// Sources that were seen as this very file or directory, elsewhere.
  struct Elsewhere {
    std::int64_t source = 0;
    ContainerName container;
  };
  Result<std::vector<Elsewhere>> elsewhere(const sources::SourceKey& key);
  /// What is on record of the streams of the change queue with this identity, by what they are called (queue_path).
  struct QueueRecord {
    sources::Position confirmed = 0;
    bool in_doubt = false;  ///< a call was begun that must not be repeated, and what came of it is not known
  };
  Result<std::map<std::string, QueueRecord>> queue_record(std::uint64_t queue);
  /// All that is known of the numbers that the queue with this identity gave out, and another one before it.
  Result<sources::OnRecord> numbers_of_queue(std::uint64_t queue);
  /// What is on record of a log, or of a 1.x client's directory, that this daemon may have seen.
  struct LogRecord {
    std::vector<std::int64_t> ids;  ///< of its rows; none: it was never seen
    sources::Position confirmed = 0;
    bool in_doubt = false;  ///< as QueueRecord::in_doubt
  };
  Result<LogRecord> log_record(const sources::SourceKey& key, const ContainerName& container);
  /// Whatever it is of.
  Result<LogRecord> directory_record(const sources::SourceKey& key);
  /// These of its changes, up to `upto`, are another machine's to send. On disk when it returns.
  Result<void> move_out(const LogRecord& record, sources::Position upto, const Moved& moved);
  /// Up to where a log of another machine was taken. `building`: not all of that is certain, see there.
  struct Import {
    sources::Position upto = 0;
    std::string building;
  };
  Result<Import> import_of(const std::string& origin);
  /// On disk when it returns.
  Result<void> note_import(const std::string& origin, const Import& import, WallTime now, const CameBack& back = {});

  /// It was renamed, or moved.
  Result<void> move(std::int64_t source, const sources::SourceKey& key);
  Result<void> confirm(std::int64_t source, const ProjectName& project, sources::Position upto, std::uint64_t count,
                       WallTime now);
  /// What one answer says of the changes up to `upto`: `count` are on the server, and these were refused. All of that
  /// is on record, or nothing; the ids of the rejections.
  Result<std::vector<std::int64_t>> settle(std::int64_t source, const ProjectName& project, sources::Position upto,
                                           std::uint64_t count, const std::vector<RejectedChange>& refused,
                                           WallTime now);
  /// Records the rejection and confirms its position; its id.
  Result<std::int64_t> reject(std::int64_t source, const Rejection& rejection, std::string_view payload);
  /// Several of one source, in the order of their positions: all of them, or none.
  Result<void> reject_all(std::int64_t source, const std::vector<RejectedChange>& changes);
  /// It is gone. `may_come_back`: what was intended of its changes stays on record, as long as it does.
  Result<void> finish(std::int64_t source, Lost lost, WallTime now, bool may_come_back = false);

  /// What was lost with these finished sources is told no more: it counts as rejected, of which nothing is kept.
  Result<void> give_up(const std::vector<FinishedSource>& lost);

  /// Of a log: the newest change that waits; up to what is confirmed, none does.
  struct Waiting {
    std::int64_t source = 0;
    sources::Position last = 0;
  };
  Result<void> note_waiting(const std::vector<Waiting>& all);
  Result<std::vector<UnsyncedLog>> unsynced_logs();

  Result<std::map<ProjectName, ProjectCounts>> counts();
  Result<std::vector<FinishedSource>> finished();

  Result<std::uint64_t> rejected();  ///< how many are kept
  Result<std::vector<Rejection>> rejections(std::int64_t before, std::uint32_t limit);
  Result<Rejection> rejection(std::int64_t id);
  /// The first at this position or after it, of the changes that one change queue numbered.
  Result<std::optional<Rejection>> next_rejection(std::uint64_t queue, sources::Position from);
  Result<std::string> payload(std::int64_t id);
  /// Hands the payload of each rejected change of containers of this kind to `f`.
  Result<void> each_payload(ContainerKind kind, const std::function<void(std::string_view)>& f);
  /// What it was.
  Result<Rejection> discard(std::int64_t id, const std::string& by, WallTime now);
  /// The first that was discarded at this position or after it, as `next_rejection`.
  Result<std::optional<Discarded>> next_discarded(std::uint64_t queue, sources::Position from);
  /// Up to here it is not known any more whether a change of this queue was discarded, or left for another machine.
  Result<sources::Position> forgotten(std::uint64_t queue);
  Result<void> forget(std::uint64_t queue, sources::Position upto);
  /// Whether changes of this source are kept as rejected.
  Result<bool> keeps_rejected_of(const std::string& source);

  // Rejected operations that are to be tried again.
  Result<Rejection> mark_for_retry(std::int64_t id);
  Result<std::vector<ContainerName>> containers_to_retry();
  /// Marks the rejected creates of its forks that were refused for want of `parent`; their containers.
  Result<std::vector<ContainerName>> retry_forks_of(const ContainerName& parent);
  Result<std::vector<Rejection>> to_retry(const ContainerName& container);
  /// Stored by the server now: exactly these are taken out, and counted as synced, of their project and of the source
  /// they came from; the paths of these.
  Result<std::vector<std::string>> resolve(const ProjectName& project, const std::vector<std::int64_t>& ids);
  /// Refused once more: `part` of it.
  Result<void> reject_again(std::int64_t id, const std::string& code, const std::string& reason,
                            const std::string& part, WallTime now);

  /// Whose call: of a source's next changes, or of a rejected change that is tried again.
  struct IntentOf {
    std::int64_t source = 0, rejection = 0;
  };
  /// Before a call of the changes `first` to `last`: what it is about to do. On disk when this returns; takes the place
  /// of earlier ones that speak of any of these changes.
  Result<void> intend(const IntentOf& of, sources::Position first, sources::Position last, std::string_view text);
  /// The last that was intended of the change `first`, alone or with others.
  Result<std::optional<std::string>> intent(const IntentOf& of, sources::Position first);

  /// Which file: of a source's change, or of a rejected change that is tried again (its position is 0).
  struct UploadOf {
    IntentOf of;
    sources::Position position = 0;
  };
  Result<std::optional<server::UploadProgress>> upload(const UploadOf& which);
  Result<void> save_upload(const UploadOf& which, const server::UploadProgress& progress);
  Result<void> add_part(const UploadOf& which, const server::FinishedPart& part);
  Result<void> clear_upload(const UploadOf& which);
  struct DoneUpload {
    UploadOf which;
    server::FileIdentity file;  ///< what it was
  };
  /// They are on the server. `durable`: also after a power cut, as something is deleted next.
  Result<void> uploads_done(const std::vector<DoneUpload>& all, bool durable);
  /// What is known of a source's files from `first` to `last`, or of a rejected one.
  struct KnownUploads {
    std::map<sources::Position, server::FileIdentity> done;
    std::set<sources::Position> begun;
  };
  Result<KnownUploads> uploads(const IntentOf& of, sources::Position first, sources::Position last);

  Result<void> note_removed(const std::vector<RemovedRun>& runs);
  /// They were taken out of the trash.
  Result<void> note_restored(const ProjectName& project, const std::vector<std::string>& runs);
  Result<std::vector<RemovedRun>> removed();

  Result<std::vector<KeptMode>> modes();
  Result<void> keep(const KeptMode& mode);

  Result<std::vector<KeptWorkspace>> workspaces();
  Result<void> keep(const KeptWorkspace& workspace);

  /// Whether a change could be recorded now: takes the write lock, and writes nothing.
  Result<void> answers();

  /// sqlite::Store::give_back_log
  Result<void> give_back_log();

 private:
  class Impl;
  explicit Ledger(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace neptune::engine
