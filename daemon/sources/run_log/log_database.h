#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "sources/run_log/log_files.h"
#include "sources/run_log/open_files.h"
#include "sources/run_log/open_logs.h"
#include "sources/source.h"
#include "support/sqlite.h"

namespace neptune::sources {

/// What the run logs of one process share. Outlives the last of them.
struct LogRegistry {
  explicit LogRegistry(std::size_t open_logs) : open(open_logs) {}
  OpenFiles files;
  OpenLogs open;
};

/// One run log in SQLite: the blocking half of RunLog, for the worker pool.
///
/// It opens the database on the first call that needs it, and closes it on `close`, when OpenLogs says so, and for good
/// on `withdraw`. Each call is short: reads are transactions of at most some thousand rows or 64 KiB, writes hold the
/// lock for at most about 20 ms, since the producer waits for it. Nothing is kept between calls but the connection.
///
/// The file is the producer's. Ours is a guest's connection: synchronous=NORMAL (a lost delete only sends again),
/// no automatic checkpoint while a producer lives (its delay would fall into our write lock), no secure_delete, none of
/// its triggers or views.
/// Thread safe: one call at a time, the others wait.
class LogDatabase : public std::enable_shared_from_this<LogDatabase> {
 public:
  /// While a producer holds the lock ("sqlite_busy"): how long to leave it alone, and as long again in SQLite's own
  /// wait; and how often.
  static constexpr std::chrono::milliseconds busy_pause{20};
  static constexpr int busy_tries = 100;

  struct Mode {
    bool live = false;       ///< a producer has it open
    bool read_only = false;  ///< another user's
    bool network = false;    ///< no shared memory between hosts: opened exclusively
  };

  /// What the log says of itself. `begun`: its first operation was logged (it may be gone since).
  struct Head {
    std::string version, project, run;
    bool begun = false;
  };

  /// Operations of a range of positions.
  struct Sum {
    std::uint64_t count = 0, bytes = 0;
    Position last = 0;  ///< 0: none
    bool more = false;  ///< the range was not summed up to its end: go on after `last`
  };

  struct First {
    Position position = 0;
    OperationKind kind = OperationKind::update;
    std::int64_t logged_ms = 0;
    std::string create;  ///< the operation, when it is a create of bearable size
  };

  using Plan = std::variant<std::monostate, Batch, Oversized>;

  /// Where a stream of a batch is: after `offset` bytes of the operation at `position`.
  struct Cursor {
    Position position = 0;
    std::uint64_t offset = 0;
    std::uint64_t operations = 0;  ///< delivered completely
  };

  struct Settled {
    std::uint64_t count = 0, bytes = 0;  ///< taken out, of those after `counted_after`
    Position upto = 0;
    bool done = false;
    bool empty = false;  ///< no operation is left at all; known when done
    Duration held{};     ///< how long the write lock was held
  };

  /// A file that the client asks to upload.
  struct FileRequest {
    Position id = 0;
    std::string source_path, destination, mime_type;
    std::uint64_t size = 0;
    bool is_temporary = false;
  };

  LogDatabase(LogPaths paths, SourceKey key, Mode mode, std::shared_ptr<LogRegistry> registry);
  ~LogDatabase();

  Result<std::optional<Head>> head();  ///< none: the metadata row is not there yet
  Result<Sum> sum(Position after, Position upto);
  Result<std::optional<First>> first(Position after);
  Result<std::uint64_t> uploads();
  Result<Plan> plan(Position after, BatchLimits limits, const ContainerName& run);
  /// Appends about 64 KiB to `out`; nothing at the batch's end.
  Result<void> read_piece(const Batch& batch, Cursor& cursor, std::string& out);
  /// Without their container. "run_log_changed" when none of them is there.
  Result<std::vector<QueuedChange>> changes(Position first, Position last);

  /// Requests for files after `after`, in their order; `last` is the last of them.
  Result<Sum> sum_files(Position after);
  Result<std::vector<FileRequest>> file_requests(Position after, Position upto, std::uint64_t limit);
  /// Whose log it is: of the file that is open, whatever lies at its path by now.
  Result<std::uint32_t> owner();
  /// Deletes requests up to `upto`, a thousand at most, in one small transaction.
  Result<Settled> settle_files(Position upto);

  /// One small transaction of a settle.
  Result<Settled> settle_some(Position upto, Position counted_after);
  /// Copies what was committed into the database file, without making anybody wait.
  Result<void> checkpoint_if_long();
  /// Deletes the files, when every operation is at or below `confirmed`, nothing waits to be uploaded and nobody else
  /// has the log open.
  Result<bool> remove_if_done(Position confirmed, std::uint64_t lock_device);

  /// Of one that is done with: every operation is at or below `confirmed`, every request for a file at or below
  /// `files_confirmed`. The names of the temporary files beside it that were asked for; none when it is not done with.
  Result<std::optional<std::vector<std::string>>> leftovers(Position confirmed, Position files_confirmed);

  void set_live(bool live);  ///< takes effect when it is opened next
  void close();
  void withdraw();  ///< closes it; every later call fails with "run_log_withdrawn"
  bool is_open() const;
  bool is_live() const { return live_; }
  bool is_read_only() const { return mode_.read_only; }
  const LogPaths& paths() const { return paths_; }

 private:
  friend class OpenLogs;  // close_if_idle
  using Lock = std::unique_lock<std::mutex>;

  Result<sqlite::Database*> database();
  Result<void> open();
  Result<void> prepare_connection();
  void close_locked();
  bool close_if_idle();
  Result<Settled> delete_some(sqlite::Database& database, Position upto, Position counted_after);
  Result<bool> nothing_left(sqlite::Database& database, Position confirmed);

  const LogPaths paths_;
  const SourceKey key_;
  const Mode mode_;  // but for `live`, which changes: live_
  std::atomic<bool> live_;
  const std::shared_ptr<LogRegistry> registry_;
  mutable std::mutex mutex_;
  std::optional<sqlite::Database> database_;
  std::uint32_t owner_ = 0;  // of the file that is open
  bool indexed_ = false;     // the client's covering index is there
  bool withdrawn_ = false;
};

}  // namespace neptune::sources
