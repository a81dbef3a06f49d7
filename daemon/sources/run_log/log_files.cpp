#include "sources/run_log/log_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <string_view>

#include "support/descriptor.h"

namespace neptune::sources {

namespace fs = std::filesystem;

namespace {

struct Stat {
  bool there = false;
  int error = 0;
  struct statx data{};
};

Stat stat_of(const fs::path& path) {
  Stat out;
  out.there = statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_BTIME, &out.data) == 0;
  if (!out.there) out.error = errno;
  return out;
}

std::int64_t ns(const statx_timestamp& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

FileId id_of(const struct statx& data) {
  return {makedev(data.stx_dev_major, data.stx_dev_minor), data.stx_ino};
}

LogStamp stamp(const Stat& database, const Stat& wal) {
  LogStamp out;
  out.size = database.data.stx_size;
  out.written_ns = ns(database.data.stx_mtime);
  out.changed_ns = ns(database.data.stx_ctime);
  if (!wal.there) return out;
  out.wal_size = wal.data.stx_size;
  if (out.wal_size > 0) out.wal_written_ns = ns(wal.data.stx_mtime);
  return out;
}

bool writable(const fs::path& path) {
  return faccessat(AT_FDCWD, path.c_str(), W_OK, AT_EACCESS) == 0 || errno == ENOENT;
}

bool readable(const fs::path& path) {
  return faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) == 0 || errno == ENOENT;
}

Descriptor open_to_read(const fs::path& path) {
  return Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
}

LogHeader read_header(const fs::path& path, std::optional<Error>& problem) {
  const auto file = open_to_read(path);
  if (!file) {
    if (errno != ENOENT)
      problem =
          Error{"run_log_unreadable", fmt::format("the run log {} cannot be read ({}); let the daemon's user read "
                                                  "it, or run the daemon as its owner",
                                                  path.string(), strerror(errno))};
    return LogHeader::unknown;
  }
  // The magic string, then at 18 and 19 the file format's write and read version: 2 is WAL.
  std::array<char, 20> head{};
  const auto got = ::pread(file.get(), head.data(), head.size(), 0);
  if (got == 0) return LogHeader::empty;
  constexpr std::string_view magic("SQLite format 3\0", 16);
  if (got != static_cast<ssize_t>(head.size()) || std::string_view(head.data(), magic.size()) != magic)
    return LogHeader::no_database;
  return head[18] == 2 && head[19] == 2 ? LogHeader::wal : LogHeader::not_wal;
}

// Locks of processes in another pid namespace are not in our /proc/locks, but they can be asked for.
bool locked_by_somebody(const fs::path& shm) {
  const auto file = open_to_read(shm);
  if (!file) return false;
  struct flock lock{};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = 128;
  lock.l_len = 1;
  return fcntl(file.get(), F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

Error unreachable(const LogPaths& paths, int error) {
  return {"run_log_unreadable",
          fmt::format("the run log in {} cannot be looked at ({}); let the daemon's user enter the directory",
                      paths.directory.string(), strerror(error))};
}

Duration since(std::int64_t written_ns) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::max(Duration::zero(), std::chrono::duration_cast<Duration>(now - std::chrono::nanoseconds(written_ns)));
}

}  // namespace

LogPaths::LogPaths(fs::path log_directory)
    : directory(std::move(log_directory)),
      database(directory / run_log_file),
      wal(database.string() + "-wal"),
      shm(database.string() + "-shm") {}

std::optional<std::uint64_t> creation_ns(const fs::path& directory) {
  const auto name = directory.filename().string();
  const auto at = name.rfind('_');
  if (at == std::string::npos || at == 0) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(name.data() + at + 1, name.data() + name.size(), value);
  if (error != std::errc() || end != name.data() + name.size() || at + 1 == name.size()) return std::nullopt;
  return value;
}

std::optional<LogStamp> stamp_of(const LogPaths& paths) {
  const auto database = stat_of(paths.database);
  if (!database.there) return std::nullopt;
  return stamp(database, stat_of(paths.wal));
}

LogFacts look_at(const LogPaths& paths, OpenFiles& open_files) {
  LogFacts facts;
  facts.key.path = paths.directory.string();
  const auto database = stat_of(paths.database);
  if (!database.there) {
    facts.there = database.error != ENOENT && database.error != ENOTDIR;
    if (facts.there) facts.problem = unreachable(paths, database.error);
    return facts;
  }
  facts.there = true;
  const auto id = id_of(database.data);
  facts.key.device = id.device;
  facts.key.inode = id.inode;
  if (database.data.stx_mask & STATX_BTIME) facts.key.born_ms = ns(database.data.stx_btime) / 1'000'000;
  const auto wal = stat_of(paths.wal);
  facts.stamp = stamp(database, wal);
  facts.stamp.beside_readable = readable(paths.wal) && readable(paths.shm);
  const auto fallback = facts.key.born_ms > 0 ? ns(database.data.stx_btime) : facts.stamp.written_ns;
  facts.order = fmt::format("{:020}", creation_ns(paths.directory).value_or(static_cast<std::uint64_t>(fallback)));
  if (!S_ISREG(database.data.stx_mode)) {
    facts.problem =
        Error{"run_log_not_a_file",
              fmt::format("{} is not a regular file, so it is not followed; remove it", paths.database.string())};
    return facts;
  }

  facts.has_wal = wal.there;
  facts.wal_bytes = facts.stamp.wal_size;
  if (const auto shm = stat_of(paths.shm); shm.there) {
    facts.has_shm = true;
    facts.shm = id_of(shm.data);
  }
  facts.quiet_for = since(std::max(facts.stamp.written_ns, facts.stamp.wal_written_ns));
  facts.may_write = writable(paths.database) && writable(paths.directory) && writable(paths.wal) && writable(paths.shm);
  open_files.unless_open(id, [&] {
    facts.header = read_header(paths.database, facts.problem);
    if (facts.has_shm) facts.unseen_holder = locked_by_somebody(paths.shm);
  });
  return facts;
}

std::optional<Error> needs_its_owner(const LogFacts& facts) {
  if (facts.may_write || facts.has_shm || facts.wal_bytes == 0) return std::nullopt;
  return Error{
      "run_log_needs_its_owner",
      fmt::format("the run log in {} was not closed properly and belongs to another user, so it cannot be read "
                  "completely; its owner can open it once, or run a daemon of their own",
                  facts.key.path)};
}

std::string moved_along(const fs::path& directory, const fs::path& file) {
  const auto before = stat_of(file);
  if (before.there || (before.error != ENOENT && before.error != ENOTDIR)) return {};
  const auto now = stat_of(directory / file.filename());
  return now.there && S_ISREG(now.data.stx_mode) ? file.filename().string() : std::string();
}

void remove_orphans(const LogPaths& paths, const LockTable& locks) {
  if (!creation_ns(paths.directory) || stat_of(paths.database).error != ENOENT) return;
  if (const auto shm = stat_of(paths.shm); shm.there && !locks.holders(id_of(shm.data)).empty()) return;
  std::error_code ignored;
  fs::remove(paths.wal, ignored);
  fs::remove(paths.shm, ignored);
  fs::remove(paths.directory, ignored);  // only if it is empty
}

}  // namespace neptune::sources
