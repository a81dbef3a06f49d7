#pragma once

#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "changes/change.h"
#include "changes/names.h"
#include "support/clock.h"
#include "support/error.h"
#include "support/rare.h"

/// Where changes wait on disk, behind one interface.
///
/// Positions: a source numbers its changes upwards (a run log's sequence_id). The engine keeps, durably, the position
/// up to which each source is confirmed, and passes it as `after`; a source never decides what was sent. Concurrency:
/// the engine makes at most one call at a time on a source, except that one ByteStream may be read meanwhile. Calls run
/// on the loop's executor and do their file work on the worker pool.
namespace neptune::sources {

using Position = std::int64_t;

enum class Kind : std::uint8_t { change_queue, run_log, client_dir };
/// How a change reaches the server: as an operation of an ingest request, by a call of its own, or as a file.
enum class OperationKind : std::uint8_t { create, update, call, upload };

constexpr OperationKind operation_kind(ChangeKind kind) {
  if (kind == ChangeKind::run_upload) return OperationKind::upload;
  if (!is_ingested(kind)) return OperationKind::call;
  return kind == ChangeKind::run_create ? OperationKind::create : OperationKind::update;
}

/// What waits after a position.
struct Backlog {
  std::uint64_t count = 0;            ///< operations
  std::uint64_t bytes = 0;            ///< their stored sizes
  std::uint64_t uploads = 0;          ///< files that wait to be uploaded
  Position last = 0;                  ///< the newest operation's position; 0 when none
  std::optional<WallTime> oldest_at;  ///< when the first of them was logged
  std::optional<OperationKind> next;  ///< what the first of them is
  Rare<ContainerName> fork_parent;    ///< when the first of them creates a fork
  std::uint64_t unwritten = 0;        ///< of a client directory: what the client counted, and is not in its files (yet)
  // Of a change queue:
  bool frees_next = false;           ///< the first of them passes a read-only gate (Change::frees)
  bool discards = false;             ///< the first of them throws held writes away (Change::discard_pending)
  Position ticket = 0;               ///< the first one's place in the row of all streams of the queue: its position, or
                                     ///< that of what it follows from
  Position create_behind = 0;        ///< of the first of them that creates the container (of management: the project),
                                     ///< where that is not the first of all; 0: none does
  Position creates_project = 0;      ///< of the first of them that creates the project; 0: none does
  std::vector<ContainerName> after;  ///< whose earlier changes go before the first of them (Change::after)
};

struct BatchLimits {
  std::uint64_t operations;
  std::uint64_t bytes;  ///< framed payload (wire::framed_size)
};

/// The next operations of a source, all of one kind (a create is alone): sizes are known, bytes are not read yet.
struct Batch {
  OperationKind kind = OperationKind::update;
  Position first = 0, last = 0;  ///< inclusive
  std::uint64_t count = 0;
  std::uint64_t payload_bytes = 0;  ///< update: Σ framed_size; create and call: Σ of the sizes
};

/// Bytes of a batch in small pieces. `next` returns a view that lives until the following call, empty at the end.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  virtual boost::asio::awaitable<Result<std::string_view>> next() = 0;
};

/// Of a batch that is a call or a file and never an ingest request.
class NoBytes final : public ByteStream {
 public:
  boost::asio::awaitable<Result<std::string_view>> next() override { co_return std::string_view(); }
};

/// One change with its bytes.
struct QueuedChange {
  Position position = 0;
  Position place = 0;  ///< of a change queue: where it stands in the row, as Backlog::ticket
  ContainerName container;
  ChangeKind kind = ChangeKind::run_update;
  bool creates = false;
  std::optional<std::uint32_t> uid;  ///< who handed it in, or owns its log; none where that is not known
  WallTime at;                       ///< when it was accepted, or logged
  std::string payload;               ///< Change::payload
  std::string part{};                ///< of one that was stored but for these operations; empty: all of it
  std::string directory{};           ///< of what a 1.x client logged: where it was logged, with the files it names
};

/// An operation that no request can carry, found while a batch was put together (over the limits of a request).
struct Oversized {
  Position position;
  std::uint64_t bytes;
};

class Source {
 public:
  virtual ~Source() = default;

  /// What waits after `after`. Costs only what came since the last call (counts are kept, not recounted).
  virtual boost::asio::awaitable<Result<Backlog>> backlog(Position after) = 0;

  /// The next batch after `after`, at least one operation; nothing when nothing waits.
  virtual boost::asio::awaitable<Result<std::variant<std::monostate, Batch, Oversized>>> next_batch(
      Position after, BatchLimits limits) = 0;

  /// The batch's bytes: framed operations (update), or the one operation bare (create).
  virtual std::unique_ptr<ByteStream> open(const Batch& batch) = 0;

  /// The changes at these positions one by one: those of a batch that is made as calls, or the one to be recorded as
  /// rejected. All of them are read at once, so the caller bounds them. An error when none is there any more.
  virtual boost::asio::awaitable<Result<std::vector<QueuedChange>>> changes(Position first, Position last) = 0;

  /// Takes confirmed operations (positions up to `upto`) out, durably, in small transactions. False when this source
  /// may only be read, or its disk is full: nothing was taken out, and the engine's record of the position stands in
  /// for it.
  virtual boost::asio::awaitable<Result<bool>> settle(Position upto) = 0;

  /// The files that are asked for beside its operations, as a source of their own, always the same one; their positions
  /// are others. None where it has no such thing.
  virtual std::shared_ptr<Source> files() { return nullptr; }

  /// Lets go of open files while nothing is to be done; the next call opens them again.
  virtual boost::asio::awaitable<void> release() = 0;
};

/// What a source is to be known by, and what keeps it apart from another at the same path.
struct SourceKey {
  std::string path;                     ///< the directory of a run log or a client
  std::uint64_t device = 0, inode = 0;  ///< of a change queue: its file's identity, and 0
  std::int64_t born_ms = 0;             ///< the file's birth time; 0 where the file system has none
  bool files = false;                   ///< the files of a run log (Source::files)
  auto operator<=>(const SourceKey&) const = default;

  /// Wherever either lies.
  bool is_same_file(const SourceKey& other) const {
    return device == other.device && inode == other.inode && born_ms == other.born_ms;
  }
};

enum class SourceState : std::uint8_t {
  settling_in,     ///< found, but too young to know whether the client syncs it by itself
  live,            ///< a job still writes it
  closed,          ///< nobody has it open
  left_to_client,  ///< the official client's own sync process lives, or may live; not touched
  set_aside,       ///< cannot be read; `problem` says why; tried again when it changes
};

/// Of these, a source may be taken from.
constexpr bool takeable(SourceState state) {
  return state == SourceState::live || state == SourceState::closed;
}

struct SourceInfo {
  SourceKey key;
  Kind kind = Kind::run_log;
  SourceState state = SourceState::settling_in;
  bool read_only = false;                  ///< another user's: followed, never written
  bool network = false;                    ///< on a network file system: taken only when closed, by rescan
  std::optional<ContainerName> container;  ///< once known
  std::string order;                       ///< among sources of one run, the lower goes first (time of creation)
  Rare<Error> problem;                     ///< state set_aside
  std::vector<std::int32_t> holders;       ///< pids that have it open, or of a client directory: that may write it
  // Of a client directory:
  std::string server_id;                              ///< its container's UUID; empty: to be registered first
  ContainerKind container_kind = ContainerKind::run;  ///< what it is
  std::optional<WallTime> left_until;                 ///< left_to_client: taken over then, unless it is written before
};

/// What one commit added to a source of the change queue, or what that held when it was announced (`first` is 0).
struct Growth {
  Position first = 0, last = 0;  ///< its positions lie between these
  std::uint64_t count = 0, bytes = 0;
};

/// Of one source: whether nothing is news to who knows the other.
bool tell_the_same(const SourceInfo& a, const SourceInfo& b);

/// What happens to the sources of the watched folders. All on the loop; `source` is null unless the source may be taken
/// (state live or closed), and stays valid until a later call says otherwise.
class SourceListener {
 public:
  virtual ~SourceListener() = default;
  /// A source was found, or what is known of it changed.
  virtual void source_changed(const SourceInfo& info, std::shared_ptr<Source> source) = 0;
  /// Something was written to it.
  virtual void source_written(const SourceKey& key) = 0;
  /// With either of the two: how much more waits, which it is not to be asked for.
  virtual void source_grew(const SourceKey&, const Growth&) {}
  /// Its file is gone.
  virtual void source_vanished(const SourceKey& key) = 0;
  /// Its folder is not watched any more.
  virtual void source_unwatched(const SourceKey& key) { source_vanished(key); }
  /// Every folder has been looked through once, and every log found in it was announced.
  virtual void first_scan_done() = 0;
};

}  // namespace neptune::sources
