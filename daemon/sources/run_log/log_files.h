#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "sources/run_log/lock_table.h"
#include "sources/run_log/open_files.h"
#include "sources/source.h"

/// The files of one run log on disk, looked at from outside: sizes, times, permissions, and the first bytes.
namespace neptune::sources {

inline constexpr const char* run_log_file = "run_operations.sqlite3";

struct LogPaths {
  explicit LogPaths(std::filesystem::path log_directory);
  std::filesystem::path directory, database, wal, shm;
};

/// What its header says. SQLite must not be let near a file that is still being made.
enum class LogHeader : std::uint8_t {
  unknown,  ///< open in this process, or not readable
  empty,
  no_database,
  not_wal,  ///< not yet, or no more
  wal,
};

/// Changes whenever somebody else wrote the log, or changed who may read it.
struct LogStamp {
  std::uint64_t size = 0, wal_size = 0;
  std::int64_t written_ns = 0, wal_written_ns = 0;  ///< of the `-wal`: 0 while it is empty
  std::int64_t changed_ns = 0;                      ///< ctime: also owner and mode
  bool beside_readable = true;                      ///< `-wal` and `-shm`, as far as they are there
  auto operator<=>(const LogStamp&) const = default;
};

struct LogFacts {
  bool there = false;
  SourceKey key;
  LogStamp stamp;
  std::optional<Error> problem;  ///< it cannot be looked at
  LogHeader header = LogHeader::unknown;
  bool has_wal = false, has_shm = false;
  std::uint64_t wal_bytes = 0;
  FileId shm;
  bool may_write = false;      ///< the files, and what lies beside them
  bool unseen_holder = false;  ///< locked by a process that /proc/locks does not show
  std::string order;           ///< SourceInfo::order
  Duration quiet_for{};        ///< since the last write, by the wall clock
};

/// Why a log that nobody has open cannot be read: a part of it is in its `-wal`, and only who may write beside it can
/// make the `-shm` that it takes to read that.
std::optional<Error> needs_its_owner(const LogFacts& facts);

/// None when it is gone.
std::optional<LogStamp> stamp_of(const LogPaths& paths);

/// Blocks on the file system. Opens a descriptor only of files that this process does not have open in SQLite.
LogFacts look_at(const LogPaths& paths, OpenFiles& open_files);

/// `<workspace>_<project>_<run id>_<ns>`: the trailing number, if the name ends in one.
std::optional<std::uint64_t> creation_ns(const std::filesystem::path& directory);

/// A log that was moved names its temporary files where they were. The name in the log's directory of one that came
/// along: it is gone from there, and what has its name here is a regular file. Empty: it did not.
std::string moved_along(const std::filesystem::path& directory, const std::filesystem::path& file);

/// Removes `-wal` and `-shm` (and the directory, if nothing is left in it) of a log whose database is gone, when the
/// directory's name is a run log's and nobody holds them.
void remove_orphans(const LogPaths& paths, const LockTable& locks);

}  // namespace neptune::sources
