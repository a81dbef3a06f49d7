#include <sys/stat.h>

#include <chrono>
#include <limits>

#include "sources/run_log/log_database.h"

/// What LogDatabase writes: it deletes what is confirmed, and nothing else.
namespace neptune::sources {

namespace {

using namespace std::chrono_literals;

// The producer waits for our write lock, so a transaction ends at 1,000 rows or long before the 20 ms it may hold it:
// the rest is for the commit, and for a machine that is busy. Rows are deleted in steps, and the clock is looked at
// between them.
constexpr std::uint64_t rows_a_transaction = 1000;
constexpr auto time_a_transaction = 4ms;
constexpr std::uint64_t rows_a_step = 100;
constexpr std::uint64_t bytes_a_step = 512 * 1024;

constexpr std::uint64_t long_wal = 4u << 20;  // SQLite's own measure: 1,000 pages

struct Step {
  std::uint64_t rows = 0, count = 0, bytes = 0;
  Position upto = 0;
};

// The next rows to delete, from their sizes.
Result<Step> next_step(sqlite::Database& database, bool indexed, Position upto, Position counted_after,
                       std::uint64_t rows) {
  auto query = database.prepare(std::string("SELECT sequence_id, operation_size_bytes FROM run_operations ") +
                                (indexed ? "INDEXED BY idx_run_operations_sequence_size " : "") +
                                "WHERE sequence_id <= ? ORDER BY sequence_id LIMIT ?");
  if (!query) return std::unexpected(query.error());
  query->bind(upto, rows);
  Step step;
  std::uint64_t bytes = 0;
  while (bytes < bytes_a_step) {
    auto row = query->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    const auto size = static_cast<std::uint64_t>(std::max<std::int64_t>(query->number(1), 0));
    step.upto = query->number(0);
    step.rows += 1;
    bytes += size;
    if (step.upto > counted_after) step.count += 1, step.bytes += size;
  }
  return step;
}

Result<void> delete_upto(sqlite::Database& database, const char* sql, Position upto) {
  auto statement = database.prepare(sql);
  if (!statement) return std::unexpected(statement.error());
  return statement->bind(upto).run();
}

}  // namespace

Result<LogDatabase::Settled> LogDatabase::settle_some(Position upto, Position counted_after) {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  auto settled = delete_some(**database, upto, counted_after);
  if (!settled || !settled->done) return settled;
  auto left = (*database)->number("SELECT EXISTS(SELECT 1 FROM run_operations)");
  if (!left) return std::unexpected(left.error());
  settled->empty = *left == 0;
  return settled;
}

Result<LogDatabase::Settled> LogDatabase::delete_some(sqlite::Database& database, Position upto,
                                                      Position counted_after) {
  Settled settled;
  // Without a row to delete there is no reason to ask for the write lock.
  auto waiting = next_step(database, indexed_, upto, counted_after, 1);
  if (!waiting) return std::unexpected(waiting.error());
  if (waiting->rows == 0) {
    settled.done = true;
    return settled;
  }
  auto transaction = sqlite::Transaction::begin(database, sqlite::Transaction::Kind::write);
  if (!transaction) return std::unexpected(transaction.error());
  const auto begun = std::chrono::steady_clock::now();
  for (std::uint64_t rows = 0; rows < rows_a_transaction;) {
    auto step = next_step(database, indexed_, upto, counted_after, rows_a_step);
    if (!step) return std::unexpected(step.error());
    settled.done = step->rows == 0;
    if (settled.done) break;
    if (auto deleted = delete_upto(database, "DELETE FROM run_operations WHERE sequence_id <= ?", step->upto); !deleted)
      return std::unexpected(deleted.error());
    rows += step->rows;
    settled.count += step->count;
    settled.bytes += step->bytes;
    settled.upto = step->upto;
    if (std::chrono::steady_clock::now() - begun >= time_a_transaction) break;
  }
  // The official syncer's notes on operations that are gone would only make it ask for them again.
  auto notes = delete_upto(database, "DELETE FROM run_operation_submission WHERE sequence_id <= ?", settled.upto);
  if (!notes && notes.error().code != "sqlite_no_table") return std::unexpected(notes.error());
  if (auto committed = transaction->commit(); !committed) return std::unexpected(committed.error());
  settled.held = std::chrono::steady_clock::now() - begun;
  return settled;
}

Result<LogDatabase::Settled> LogDatabase::settle_files(Position upto) {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  auto& db = **database;
  auto waiting = db.prepare(
      "SELECT count(*), coalesce(max(id), 0) FROM (SELECT id FROM file_upload_requests WHERE id "
      "<= ? ORDER BY id LIMIT ?)");
  if (!waiting) return std::unexpected(waiting.error());
  auto row = waiting->bind(upto, rows_a_transaction).step();
  if (!row) return std::unexpected(row.error());
  Settled settled;
  settled.count = static_cast<std::uint64_t>(waiting->number(0));
  settled.upto = waiting->number(1);
  settled.done = settled.count < rows_a_transaction;
  waiting->reset();
  if (settled.count > 0)
    if (auto deleted = delete_upto(db, "DELETE FROM file_upload_requests WHERE id <= ?", settled.upto); !deleted)
      return std::unexpected(deleted.error());
  if (!settled.done) return settled;
  auto left = db.number("SELECT EXISTS(SELECT 1 FROM run_operations) OR EXISTS(SELECT 1 FROM file_upload_requests)");
  if (!left) return std::unexpected(left.error());
  settled.empty = *left == 0;
  return settled;
}

Result<void> LogDatabase::checkpoint_if_long() {
  const Lock lock(mutex_);
  struct stat wal{};
  if (!database_ || ::stat(paths_.wal.c_str(), &wal) != 0 || static_cast<std::uint64_t>(wal.st_size) < long_wal)
    return {};
  // Passive: it neither waits for anybody nor makes a writer wait, and the producer's own next one has less to do.
  auto done = database_->exec("PRAGMA wal_checkpoint(PASSIVE)");
  if (!done && done.error().code != "sqlite_busy") return done;
  return {};
}

Result<bool> LogDatabase::nothing_left(sqlite::Database& database, Position confirmed) {
  auto later = database.prepare("SELECT EXISTS(SELECT 1 FROM run_operations WHERE sequence_id > ?)");
  if (!later) return std::unexpected(later.error());
  auto row = later->bind(confirmed).step();
  if (!row) return std::unexpected(row.error());
  if (later->number(0) != 0) return false;
  auto waiting = database.number("SELECT EXISTS(SELECT 1 FROM file_upload_requests)");
  if (!waiting) {
    if (waiting.error().code == "sqlite_no_table") return true;
    return std::unexpected(waiting.error());
  }
  return *waiting == 0;
}

Result<bool> LogDatabase::remove_if_done(Position confirmed, std::uint64_t lock_device) {
  const Lock lock(mutex_);
  if (mode_.read_only || live_) return false;
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  {
    // The write lock keeps out whoever opens it while this looks.
    auto transaction = sqlite::Transaction::begin(**database, sqlite::Transaction::Kind::write);
    if (!transaction) return std::unexpected(transaction.error());
    auto nothing = nothing_left(**database, confirmed);
    if (!nothing || !*nothing) return nothing;
    auto locks = LockTable::read();
    if (!locks) return std::unexpected(locks.error());
    struct stat shm{};
    if (::stat(paths_.shm.c_str(), &shm) == 0 && !locks->holders({shm.st_dev, shm.st_ino}, lock_device).empty())
      return false;
    std::error_code error;
    std::filesystem::remove(paths_.database, error);
    if (error)
      return fail("run_log_not_removed", "the synced run log " + paths_.database.string() +
                                             " cannot be removed: " + error.message() +
                                             "; remove it by hand, or check who may write its directory");
  }
  withdrawn_ = true;
  close_locked();
  std::error_code ignored;
  std::filesystem::remove(paths_.wal, ignored);
  std::filesystem::remove(paths_.shm, ignored);
  std::filesystem::remove(paths_.directory, ignored);  // stays when something else is in it
  return true;
}

}  // namespace neptune::sources
