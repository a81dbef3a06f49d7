#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "changes/change.h"
#include "sources/change_queue/needs.h"
#include "sources/change_queue/queue_gap.h"
#include "sources/change_queue/queue_mark.h"
#include "sources/source.h"
#include "support/clock.h"
#include "support/error.h"

namespace neptune::sqlite {
class Store;
}

/// The change queue on disk: `changes.sqlite3` in the state directory, SQLite in WAL mode.
///
///   streams   one a container and lane that has changes, or had them a moment ago
///             id · workspace, project, kind, container, lane · count, bytes, creates · begun_ms
///   changes   one a change that waits
///             seq · stream · kind, uid, at_ms, size, frees, creates · needs · place · payload
///   keys      idempotency keys, also of settled changes, numbered as they came
///             id · uid, key → seq · content (Change::content; none: not known, as before version 4)
///   moves     one an export that took changes out
///             id · at_ms, file
///   moved     one a change that left with it
///             seq · move · back (its number since it was brought back)
///   moved_streams  of what left, how much was not brought back
///             move, workspace, project, kind, container → count
///   gaps      one a time that changes were found to be missing (QueueGap)
///             first, last · queue, recorded, lost · at_ms · told
///
/// Beside it `changes.mark` (queue_mark.h): which queue this is, its last number, and how many changes it holds.
///
/// Invariants:
///  - seq numbers all changes in the order in which they were accepted, and is never used again (AUTOINCREMENT): a
///    position that was confirmed in an earlier life of a stream says nothing about a later change;
///  - nor is it where the file lost what it held, or another takes its place: before anything is accepted or taken as
///    confirmed (`close_gap`; until then the mark stays as it is), it goes on after the last number that the mark and
///    the engine's ledger know of;
///  - each file has an identity (random, never 0), which is part of every SourceKey: what was confirmed of one file is
///    not taken for what waits in another;
///  - a change stays in its stream, but for a removal that steps aside and a create that passes the writes before it,
///    which keep their numbers; removals of the same thing stay in order over both streams;
///  - what follows from an accepted change (the assignment of a file that was uploaded) stands at that one's place in
///    the row, which others wait for it by; its own seq, which is higher, is its position as of any other;
///  - the changes of one request are accepted in one transaction, all or none, and `accept` returns after it is on disk
///    (synchronous=FULL);
///  - a stream's count, bytes and creates are of its rows in `changes`, changed in the same transaction: nothing is
///    ever counted by looking at the changes, so opening costs the number of streams.
/// Who deletes what: `settle` takes changes out, after the engine's ledger has their outcome; `move_out` those that are
/// in a file for another machine, and notes that in the same transaction; `forget` a stream that is empty; the newest
/// `keys_kept` keys stay, and what is kept of as many changes that left.
/// A killed process loses nothing. A power cut loses nothing that was accepted; it may bring back changes that were
/// settled last (synchronous=NORMAL), which the ledger knows to be confirmed, or else are sent again.
/// What a fault of the disk costs: all that was committed since the log was last moved into the file (at 4 MiB, when
/// the daemon stops) is in the `-wal` alone. Of a damaged one SQLite takes what lies before the damage, without a word:
/// accepted changes behind it are lost, which `close_gap` finds, and changes that had been settled, or moved to another
/// stream, are as they were before. Of those, one that had stepped aside may lie before what is confirmed of its first
/// stream, and is taken for confirmed. A file that is empty or gone beside a log that is not is refused, so that nobody
/// overwrites the log.
///
/// Concurrency: one thread at a time, except `bytes`.
namespace neptune::sources {

/// One request: what was handed in together.
struct Handed {
  std::vector<Change> changes;
  Submitter by;
  bool settles = false;          ///< it follows from what was accepted before, and is held up by no bound
  Position place = 0;            ///< of what it follows from: it stands there in the row; 0: at the end
  std::optional<WallTime> at{};  ///< when it was accepted elsewhere; none: now
};

/// Which of its container's streams. Kept on disk by number.
enum class Lane : std::uint8_t {
  writes,
  passed,       ///< creates that passed the writes before them (let_create_pass)
  assignments,  ///< what stands at another's place (Handed::place): before the writes, as those may wait for a removal
                ///< that waits for it
};

/// A stream of the queue as `open` and `accept` tell of it.
struct QueuedStream {
  std::int64_t id = 0;
  ContainerName container;
  std::uint64_t count = 0, bytes = 0;
  std::int64_t begun_ms = 0;  ///< when its first change was accepted
  std::uint64_t creates = 0;  ///< of its changes, those that create
  Lane lane = Lane::writes;
};

/// What a stream of the queue is called: SourceKey::path.
std::string queue_path(const ContainerName& container, Lane lane);

class QueueStore {
 public:
  static constexpr std::int64_t keys_kept = 1'000'000;  ///< our own bound: some 100 MB

  /// Opens or makes it; `close_gap` is to follow before anything is accepted. Fails with a sentence when it is damaged,
  /// or was written by a newer version. Errors:
  /// "queue_unusable", "queue_too_new", "disk_full" (retryable: SQLite needs a little room to open a file).
  static Result<std::unique_ptr<QueueStore>> open(const std::filesystem::path& file);
  ~QueueStore();

  Result<std::vector<QueuedStream>> streams();
  std::uint64_t identity() const { return identity_; }  ///< of this file: another begins its numbers anew
  std::uint64_t bytes() const { return bytes_; }        ///< payloads that wait; from any thread

  struct Accepted {
    std::vector<std::vector<std::int64_t>> ids;  ///< a request each, a change each
    std::vector<std::vector<bool>> known;        ///< likewise: whether its key was known, so that it was not queued
    std::vector<std::optional<Error>> refused;   ///< a request each: nothing of it was taken
    struct Touched {
      QueuedStream stream;  ///< as it is now
      Growth growth;
    };
    std::vector<Touched> touched;  ///< streams that grew
  };
  /// All requests in one transaction. An idempotency key that its user gave before keeps its first id, and its change
  /// is not queued again; a request that gives one to a change with other content is refused
  /// ("idempotency_key_reused").
  Result<Accepted> accept(std::span<const Handed> requests, WallTime now);

  /// Why `accept` would refuse it: one of its keys was given to a change with other content.
  Result<std::optional<Error>> other_content(const Handed& request);

  /// The id that this user's key was given; none: it is not known (any more).
  Result<std::optional<std::int64_t>> id_of_key(std::uint32_t uid, std::string_view key);

  /// Hands the payload of each change that waits for containers of this kind to `f`.
  Result<void> each_payload(ContainerKind kind, const std::function<void(std::string_view)>& f);

  /// Payload bytes that accepting it would add: those whose idempotency key is not known yet.
  Result<std::uint64_t> new_bytes(const Handed& request);
  /// What settled changes left free inside the file: taken again before the file grows.
  Result<std::uint64_t> reusable_bytes();
  /// What its log takes on the disk beside the file.
  std::uint64_t log_bytes() const;
  /// sqlite::Store::give_back_log
  Result<void> give_back_log();

  Result<Backlog> backlog(std::int64_t stream, Position after);
  Result<std::variant<std::monostate, Batch, Oversized>> plan(std::int64_t stream, Position after, BatchLimits limits);

  /// Where a batch's bytes are read.
  struct Cursor {
    Position position = 0;
    std::uint64_t operations = 0;
  };
  /// The next operations of an update (framed) or a create (bare), about 64 KiB of them, or a single larger one; empty
  /// at the end.
  Result<std::string> read_piece(std::int64_t stream, const Batch& batch, Cursor& cursor);

  /// An error of code "change_gone" when none of them is queued any more.
  Result<std::vector<QueuedChange>> changes(std::int64_t stream, Position first, Position last);

  /// Moves the first change of a stream of removals to the end of the project's `removals_that_wait`, which is told as
  /// it is then. None: it is not in that stream any more.
  Result<std::optional<QueuedStream>> step_aside(std::int64_t stream, Position position);

  /// Moves the first create of a stream that waits behind its first change into the container's other stream, which
  /// is told as it is then. None: there is no such create.
  Result<std::optional<QueuedStream>> let_create_pass(std::int64_t stream, Position after);

  struct Settled {
    QueuedStream left{};
    bool more = false;  ///< there may be more of them
  };
  /// Takes the stream's changes up to `upto` out, a thousand at most, and not many more bytes than a few MiB. Where the
  /// disk has little room, what room that took is given back at once.
  Result<Settled> settle(std::int64_t stream, Position upto);

  /// Begins to take out what is in this file, and forgets what left long since: the number up to which it is not known
  /// any more which changes left, 0 for none.
  struct Move {
    std::int64_t id = 0;
    Position forgotten = 0;  ///< those up to this are too many to keep: to be put on record elsewhere, then forgotten
  };
  Result<Move> begin_move(const std::string& file, WallTime now);
  Result<void> forget_moved(Position upto);
  /// As `settle`, of changes that are another machine's from here on. On disk when it returns.
  Result<Settled> move_out(std::int64_t stream, Position upto, const Move& move);
  /// A change that had left was queued here again, as another one.
  struct CameBack {
    Position left = 0;
    ContainerName container;
    Position now = 0;
  };
  Result<void> note_back(std::span<const CameBack> changes);
  /// What left with one export of one container, and was not brought back.
  struct MovedStream {
    ContainerName container;
    std::uint64_t count = 0;
    WallTime at{};
    std::string file;  ///< its name
  };
  static constexpr std::int64_t moved_streams_kept = 10'000;  ///< our own bound
  Result<std::vector<MovedStream>> moved();
  /// Forgets a stream that holds nothing; false when it does hold something.
  Result<bool> forget(std::int64_t stream);
  /// Where one change is.
  struct Place {
    bool known = false;    ///< it was given out once
    Position through = 0;  ///< of one that is not queued: none of those up to here, from it on, is, nor left
    bool queued = false;   ///< all below is of one that is
    ContainerName container{};
    Lane lane = Lane::writes;
    ChangeKind kind = ChangeKind::run_update;
    std::uint32_t uid = 0;
    WallTime at{};
    std::uint64_t ahead = 0;  ///< changes of its stream before it; counted up to `ahead_counted`
    struct Moved {
      WallTime at{};
      std::string file;              ///< its name
      std::optional<Position> back;  ///< its number since it was brought back
    };
    std::optional<Moved> moved{};   ///< it left for another machine
    std::optional<QueueGap> gap{};  ///< it is one of these
  };
  static constexpr std::uint64_t ahead_counted = 100'000;
  Result<Place> place(Position position);
  /// A change with all that is kept of it.
  struct Whole {
    QueuedChange change;
    Lane lane = Lane::writes;
    bool frees = false;
    Needs needs;
    std::string idempotency_key;
    std::uint64_t content = 0;  ///< as Change::content, of that key
  };
  /// Hands out everything that is queued, in the order of the row, until `f` fails.
  Result<void> each_change(const std::function<Result<void>(const Whole&)>& f);
  /// The number that was given out last.
  Result<Position> last_number();
  /// What was given out and is not in the file, by the mark and this record. Changes nothing.
  Result<std::optional<QueueGap>> gap(const OnRecord& record);
  /// The same, and goes on behind it: from then on it is one of `gaps`.
  Result<std::optional<QueueGap>> close_gap(const OnRecord& record, WallTime now);
  Result<std::vector<QueueGap>> gaps();
  /// People know of all of these.
  Result<void> gaps_are_told();

 private:
  QueueStore(std::filesystem::path file, std::unique_ptr<sqlite::Store> database);
  Result<std::int64_t> stream_of(const ContainerName& container, std::int64_t now_ms, Lane lane = Lane::writes);
  Result<QueuedStream> move(Position change, std::uint64_t size, bool creates, std::int64_t from, std::int64_t to);
  struct Rows {
    Position upto = 0;
    std::uint64_t count = 0, bytes = 0, creates = 0;
  };
  /// What of the stream is confirmed and not taken out yet: a batch or two, or all since the disk is full. What was
  /// counted before is not counted again.
  Result<Rows> confirmed_rows(std::int64_t stream, Position after);
  /// `move`: 0 for none.
  Result<Settled> take_out(std::int64_t stream, Position upto, std::int64_t move);
  Result<Settled> settle_some(std::int64_t stream, Position upto, std::int64_t move);
  Result<void> look_at_moved(Position position, Place& place);
  Result<void> look_at_gaps(Position position, Place& place);
  Result<std::uint64_t> unconfirmed(const OnRecord& record);
  void write_mark();
  Result<void> note_moved(std::int64_t stream, Position upto, std::uint64_t count, std::int64_t move);
  Result<void> keep_order(std::int64_t stream, Batch& batch, Position create);
  Result<Position> first_create(std::int64_t stream, Position after);
  Result<Position> first_of(const std::vector<ContainerName>& containers, Position after, bool creates = false);
  Result<void> keep_behind_those_that_wait(const ContainerName& removals, std::vector<ContainerName>& after);
  Result<QueuedStream> stream(std::int64_t id);
  Result<std::int64_t> insert(const Change& change, const Handed& request, std::int64_t stream, std::int64_t now_ms);
  const std::filesystem::path file_;
  std::unique_ptr<sqlite::Store> database_;
  std::atomic<std::uint64_t> bytes_ = 0;
  std::map<std::int64_t, Rows> confirmed_;  // by stream
  std::uint64_t identity_ = 0;
  std::uint64_t count_ = 0;  // changes in it
  Position last_ = 0;        // the number that was given out last
  QueueMarkFile mark_;
  bool gap_closed_ = false;
};

}  // namespace neptune::sources
