#include "sources/run_log/run_log.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "changes/wire.h"
#include "sources/run_log/batch_stream.h"
#include "sources/run_log/log_uploads.h"
#include "support/pause.h"

namespace neptune::sources {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr Position everything = std::numeric_limits<Position>::max();
// A producer that found our lock looks again after 1, 2, 5, 10, ... ms: it must find it free most of the time.
constexpr int pause_factor = 3;
constexpr Duration least_pause = 2ms;

bool says_damaged(const Error& error) {
  return error.code == "sqlite_corrupt" || error.code == "sqlite_not_a_database" || error.code == "sqlite_no_table" ||
         error.code == "sqlite_error";
}

}  // namespace

RunLog::RunLog(WorkerPool& pool, std::shared_ptr<LogDatabase> database, ContainerName run, Damaged damaged)
    : pool_(pool), database_(std::move(database)), run_(std::move(run)), damaged_(std::move(damaged)) {}

void RunLog::note(const Error& error) {
  if (damaged_ && says_damaged(error)) damaged_(error);
}

asio::awaitable<Result<Backlog>> RunLog::backlog(Position after) {
  auto counted = co_await move_tally(after);
  if (counted) counted = co_await extend_tally();
  if (!counted) {
    tally_.reset();
    note(counted.error());
    co_return std::unexpected(std::move(counted.error()));
  }
  auto backlog = co_await describe(after);
  if (!backlog) note(backlog.error());
  // The producer removes an emptied log when it closes: it must not find us in it.
  if (backlog && seen_empty_) co_await release();
  co_return backlog;
}

// Takes what was confirmed since the last call, and is still in the log, off the tally.
asio::awaitable<Result<void>> RunLog::move_tally(Position after) {
  if (!tally_ || after < tally_->after) {
    tally_ = Tally{after, after, 0, 0};
    co_return Result<void>{};
  }
  while (tally_->after < after && tally_->count > 0) {
    const auto from = tally_->after;
    const auto upto = std::min(after, tally_->last);
    if (from >= upto) break;
    auto work = [database = database_, from, upto] { return database->sum(from, upto); };
    auto sum = co_await pool_.run(std::move(work));
    if (!sum) co_return std::unexpected(std::move(sum.error()));
    tally_->count -= std::min(tally_->count, sum->count);
    tally_->bytes -= std::min(tally_->bytes, sum->bytes);
    tally_->after = sum->more ? sum->last : upto;
  }
  tally_->after = after;
  tally_->last = std::max(tally_->last, after);
  co_return Result<void>{};
}

asio::awaitable<Result<void>> RunLog::extend_tally() {
  for (;;) {
    const auto from = tally_->last;
    auto work = [database = database_, from] { return database->sum(from, everything); };
    auto sum = co_await pool_.run(std::move(work));
    if (!sum) co_return std::unexpected(std::move(sum.error()));
    tally_->count += sum->count;
    tally_->bytes += sum->bytes;
    tally_->last = std::max(tally_->last, sum->last);
    if (!sum->more) co_return Result<void>{};
  }
}

asio::awaitable<Result<Backlog>> RunLog::describe(Position after) {
  struct Look {
    std::optional<LogDatabase::First> first;
    std::uint64_t uploads = 0;
    bool empty = false;
  };
  auto work = [database = database_, after]() -> Result<Look> {
    Look look;
    auto first = database->first(after);
    if (!first) return std::unexpected(std::move(first.error()));
    look.first = std::move(*first);
    auto uploads = database->uploads();
    if (!uploads) return std::unexpected(std::move(uploads.error()));
    look.uploads = *uploads;
    if (look.first) return look;
    auto any = database->first(0);
    if (!any) return std::unexpected(std::move(any.error()));
    look.empty = !any->has_value();
    return look;
  };
  auto look = co_await pool_.run(std::move(work));
  if (!look) co_return std::unexpected(std::move(look.error()));
  seen_empty_ = look->empty;
  Backlog backlog;
  backlog.uploads = look->uploads;
  if (!look->first) {
    // Somebody else took out what was counted.
    tally_ = Tally{after, after, 0, 0};
    co_return backlog;
  }
  backlog.count = std::max<std::uint64_t>(tally_->count, 1);
  backlog.bytes = tally_->bytes;
  backlog.last = tally_->last;
  backlog.oldest_at = from_unix_ms(look->first->logged_ms);
  backlog.next = look->first->kind;
  if (look->first->kind == OperationKind::create) {
    auto fork = wire::read_fork(run_.project, look->first->create);
    // A create that cannot be read is the server's to refuse.
    if (fork && *fork) backlog.fork_parent = (*fork)->parent;
  }
  co_return backlog;
}

asio::awaitable<Result<std::variant<std::monostate, Batch, Oversized>>> RunLog::next_batch(Position after,
                                                                                           BatchLimits limits) {
  auto work = [database = database_, after, limits, run = run_] { return database->plan(after, limits, run); };
  auto plan = co_await pool_.run(std::move(work));
  if (!plan) note(plan.error());
  co_return plan;
}

std::unique_ptr<ByteStream> RunLog::open(const Batch& batch) {
  return std::make_unique<BatchStream>(pool_, database_, batch);
}

asio::awaitable<Result<std::vector<QueuedChange>>> RunLog::changes(Position first, Position last) {
  auto work = [database = database_, first, last] { return database->changes(first, last); };
  auto changes = co_await pool_.run(std::move(work));
  if (!changes) note(changes.error());
  if (changes)
    for (auto& change : *changes) change.container = run_;
  co_return changes;
}

void RunLog::take_from_tally(const LogDatabase::Settled& settled) {
  if (!tally_ || settled.upto <= tally_->after) return;
  tally_->count -= std::min(tally_->count, settled.count);
  tally_->bytes -= std::min(tally_->bytes, settled.bytes);
  tally_->after = settled.upto;
  tally_->last = std::max(tally_->last, settled.upto);
}

// One small transaction; a producer that holds the lock goes first.
asio::awaitable<Result<LogDatabase::Settled>> RunLog::settle_patiently(Position upto) {
  // Only what the tally counts is taken off it.
  const auto counted_after = tally_ ? tally_->after : everything;
  for (int tries = 1;; ++tries) {
    auto work = [database = database_, upto, counted_after] { return database->settle_some(upto, counted_after); };
    auto settled = co_await pool_.run(std::move(work));
    if (settled || settled.error().code != "sqlite_busy" || tries == LogDatabase::busy_tries) co_return settled;
    co_await pause(LogDatabase::busy_pause);
  }
}

asio::awaitable<Result<bool>> RunLog::settle(Position upto) {
  if (database_->is_read_only()) co_return false;
  for (;;) {
    auto settled = co_await settle_patiently(upto);
    if (!settled) {
      const auto& code = settled.error().code;
      if (code == "sqlite_full" || code == "sqlite_readonly") co_return false;
      note(settled.error());
      co_return std::unexpected(std::move(settled.error()));
    }
    take_from_tally(*settled);
    if (settled->done) {
      seen_empty_ = settled->empty;
      break;
    }
    if (database_->is_live()) co_await pause(std::max<Duration>(least_pause, pause_factor * settled->held));
  }
  if (seen_empty_) {
    co_await release();
  } else if (database_->is_live()) {
    auto work = [database = database_] { return database->checkpoint_if_long(); };
    // The rows are out: a checkpoint that failed is made up for by the next one.
    (void)co_await pool_.run(std::move(work));
  }
  co_return true;
}

std::shared_ptr<Source> RunLog::files() {
  if (!files_) files_ = std::make_shared<LogUploads>(pool_, database_, run_);
  return files_;
}

asio::awaitable<void> RunLog::release() {
  auto work = [database = database_, emptied = seen_empty_] {
    database->close();
    return emptied ? stamp_of(database->paths()) : std::nullopt;
  };
  left_as_ = co_await pool_.run(std::move(work));
}

}  // namespace neptune::sources
