#include "sources/run_log/log_database.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace neptune::sources {

namespace {

constexpr std::chrono::milliseconds busy_timeout{20};

bool is(const struct stat& facts, const FileId& file) {
  return S_ISREG(facts.st_mode) && facts.st_ino == file.inode && facts.st_dev == file.device;
}

/// What is not in a log's file yet comes from the `-wal` beside it, of which root's SQLite takes possession in the name
/// of the log's owner: another user's words would become theirs. Root and the daemon write in anybody's name.
Result<void> is_theirs(const LogPaths& paths, std::uint32_t owner) {
  struct stat wal{};
  if (::lstat(paths.wal.c_str(), &wal) != 0 || wal.st_size == 0) return {};
  if (wal.st_uid == owner || wal.st_uid == 0 || wal.st_uid == ::geteuid()) return {};
  return fail("run_log_not_theirs",
              fmt::format("the run log in {} is of uid {}, and the -wal beside it of uid {}, so that it cannot be told "
                          "whose words are in it; give both to the user whose run it is",
                          paths.directory.string(), owner, wal.st_uid),
              true);
}

/// Whose a file is that this process has open. SQLite opens by name, and follows links: only its descriptor says what
/// it got.
std::optional<std::uint32_t> owner_of_open(const FileId& file) {
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end;
       entry.increment(error)) {
    struct stat facts{};
    if (::stat(entry->path().c_str(), &facts) == 0 && is(facts, file)) return facts.st_uid;
  }
  return std::nullopt;
}

}  // namespace

// Puts `log` first; what has to be closed for it, if anything.
OpenLogs::Entry OpenLogs::put_first(const std::shared_ptr<LogDatabase>& log) {
  const std::lock_guard lock(mutex_);
  const auto found = std::ranges::find(logs_, log.get(), &Entry::log);
  if (found != logs_.end()) {
    logs_.splice(logs_.begin(), logs_, found);
    return {};
  }
  logs_.push_front({log.get(), log});
  if (logs_.size() <= limit_) return {};
  auto last = std::move(logs_.back());
  logs_.pop_back();
  return last;
}

void OpenLogs::used(const std::shared_ptr<LogDatabase>& log) {
  // Closing may take a while, and may end the other log's life: not under our own mutex.
  const auto other = put_first(log).alive.lock();
  if (!other || other->close_if_idle()) return;
  const std::lock_guard lock(mutex_);
  logs_.push_front({other.get(), other});
}

void OpenLogs::closed(const LogDatabase* log) {
  const std::lock_guard lock(mutex_);
  std::erase_if(logs_, [log](const Entry& entry) { return entry.log == log; });
}

std::size_t OpenLogs::size() const {
  const std::lock_guard lock(mutex_);
  return logs_.size();
}

LogDatabase::LogDatabase(LogPaths paths, SourceKey key, Mode mode, std::shared_ptr<LogRegistry> registry)
    : paths_(std::move(paths)), key_(std::move(key)), mode_(mode), live_(mode.live), registry_(std::move(registry)) {}

LogDatabase::~LogDatabase() {
  close_locked();
}

void LogDatabase::close_locked() {
  if (!database_) return;
  // As the last connection this also checkpoints and removes `-wal` and `-shm`.
  database_.reset();
  registry_->files.closed({key_.device, key_.inode});
  registry_->open.closed(this);
}

void LogDatabase::close() {
  const Lock lock(mutex_);
  close_locked();
}

// Whoever holds our mutex may be waiting for the caller's: it is only tried.
bool LogDatabase::close_if_idle() {
  const Lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  close_locked();
  return true;
}

void LogDatabase::withdraw() {
  const Lock lock(mutex_);
  withdrawn_ = true;
  close_locked();
}

void LogDatabase::set_live(bool live) {
  const Lock lock(mutex_);
  if (live_ == live) return;
  live_ = live;
  close_locked();
}

bool LogDatabase::is_open() const {
  const Lock lock(mutex_);
  return database_.has_value();
}

Result<sqlite::Database*> LogDatabase::database() {
  if (withdrawn_)
    return fail(
        "run_log_withdrawn",
        fmt::format("the run log in {} is in somebody else's hands now; it is looked at again when they are done",
                    paths_.directory.string()),
        true);
  if (!database_) {
    if (auto opened = open(); !opened) return std::unexpected(opened.error());
  }
  registry_->open.used(shared_from_this());
  return &*database_;
}

Result<void> LogDatabase::open() {
  const FileId id{key_.device, key_.inode};
  const auto gone = fail(
      "run_log_gone",
      fmt::format("the run log in {} is gone; nothing can be read from it any more", paths_.directory.string()), true);
  struct stat file{};
  if (::lstat(paths_.database.c_str(), &file) != 0 || !is(file, id)) return gone;
  if (auto theirs = is_theirs(paths_, file.st_uid); !theirs) return theirs;
  sqlite::Options options{.busy_timeout = busy_timeout};
  options.access = mode_.read_only ? sqlite::Access::read_only : sqlite::Access::read_write;
  options.untrusted = true;
  struct stat beside{};
  const bool has_shm = ::stat(paths_.shm.c_str(), &beside) == 0;
  const bool has_wal = ::stat(paths_.wal.c_str(), &beside) == 0 && beside.st_size > 0;
  if (mode_.read_only && !has_shm) {
    // SQLite would have to create the -shm. Nobody writes a closed log, so its file can be read as it is, unless a part
    // of it is still in the -wal. Whether it stays like that is for those to say who look at it from outside.
    if (live_ || has_wal)
      return fail("run_log_closing",
                  fmt::format("the run log in {} is being closed by its job; it is read once that is done",
                              paths_.directory.string()),
                  true);
    options.immutable = true;
  }
  registry_->files.opened(id);
  auto opened = sqlite::Database::open(paths_.database, options);
  if (opened) {
    database_ = std::move(*opened);
    const auto owner = owner_of_open(id);
    const auto prepared = owner ? prepare_connection() : Result<void>(gone);
    if (prepared) {
      owner_ = *owner;
      return {};
    }
    opened = std::unexpected(prepared.error());
  }
  database_.reset();
  registry_->files.closed(id);
  return std::unexpected(opened.error());
}

Result<void> LogDatabase::prepare_connection() {
  std::string sql;
  // First of all: once the file was looked into, SQLite would use shared memory.
  if (mode_.network && !mode_.read_only) sql += "PRAGMA locking_mode=EXCLUSIVE;";
  // Most of what is read is read once: a small page cache is enough for each of many open logs.
  sql += "PRAGMA cache_size=-256; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY;";
  sql += mode_.read_only ? "PRAGMA query_only=ON;" : "PRAGMA synchronous=NORMAL; PRAGMA secure_delete=OFF;";
  if (live_) sql += "PRAGMA wal_autocheckpoint=0;";
  if (auto done = database_->exec(sql); !done) return done;
  auto index = database_->number(
      "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name = 'idx_run_operations_sequence_size'");
  if (!index) return std::unexpected(index.error());
  indexed_ = *index == 1;
  return {};
}

Result<std::optional<LogDatabase::Head>> LogDatabase::head() {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  auto& db = **database;
  auto transaction = sqlite::Transaction::begin(db, sqlite::Transaction::Kind::read);
  if (!transaction) return std::unexpected(transaction.error());
  auto row = db.prepare("SELECT version, project, run_id FROM metadata ORDER BY id LIMIT 1");
  if (!row) {
    if (row.error().code == "sqlite_no_table") return std::nullopt;
    return std::unexpected(row.error());
  }
  auto found = row->step();
  if (!found) return std::unexpected(found.error());
  if (!*found) return std::nullopt;
  Head head{std::string(row->text(0)), std::string(row->text(1)), std::string(row->text(2))};
  // Positions only grow, so the counter tells whether anything was ever logged.
  auto begun = db.number(
      "SELECT EXISTS(SELECT 1 FROM run_operations) OR "
      "EXISTS(SELECT 1 FROM sqlite_sequence WHERE name = 'run_operations' AND seq > 0)");
  if (!begun && begun.error().code != "sqlite_no_table") return std::unexpected(begun.error());
  head.begun = begun && *begun != 0;
  return head;
}

}  // namespace neptune::sources
