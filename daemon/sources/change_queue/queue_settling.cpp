// What is dealt with is taken out.
#include <algorithm>
#include <utility>

#include "sources/change_queue/queue_rows.h"
#include "sources/change_queue/queue_store.h"
#include "support/disk.h"
#include "support/sqlite_store.h"
#include "support/try.h"

namespace neptune::sources {

namespace {

constexpr std::int64_t rows_a_transaction = 1000;
constexpr std::uint64_t bytes_a_transaction = 4u << 20;  // our own bound, as the one before
constexpr std::uint64_t settles_at_ease = 16u << 20;     // free on the disk: our own bound

}  // namespace

Result<QueueStore::Settled> QueueStore::settle(std::int64_t stream, Position upto) {
  return take_out(stream, upto, 0);
}

Result<QueueStore::Settled> QueueStore::take_out(std::int64_t stream, Position upto, std::int64_t move) {
  auto settled = settle_some(stream, upto, move);
  if (!settled && settled.error().code == "sqlite_full") {
    // What room there is may be in the log.
    NEPTUNE_TRY(give_back_log());
    settled = settle_some(stream, upto, move);
  }
  // The engine's ledger needs what is left. Should the file have no room to grow either, the next one finds that out.
  if (settled && free_space(file_).value_or(settles_at_ease) < settles_at_ease) (void)give_back_log();
  return settled;
}

Result<QueueStore::Settled> QueueStore::settle_some(std::int64_t stream, Position upto, std::int64_t move) {
  auto transaction = database_->begin(move != 0);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  Position last = 0;
  std::uint64_t count = 0, bytes = 0, creates = 0;
  NEPTUNE_TRY(database_->each(
      "SELECT seq, size, creates FROM changes WHERE stream = ? AND seq <= ? ORDER BY seq LIMIT ?",
      [&](const sqlite::Statement& row) {
        last = row.number(0);
        count++;
        bytes += count_at(row, 1);
        creates += count_at(row, 2);
        return bytes < bytes_a_transaction;
      },
      stream, upto, rows_a_transaction));
  if (count > 0) {
    if (move != 0) NEPTUNE_TRY(note_moved(stream, last, count, move));
    NEPTUNE_TRY(database_->run("DELETE FROM changes WHERE stream = ? AND seq <= ?", stream, last));
    NEPTUNE_TRY(
        database_->run("UPDATE streams SET count = count - ?, bytes = bytes - ?, creates = creates - ? WHERE id = ?",
                       as_signed(count), as_signed(bytes), as_signed(creates), stream));
  }
  Settled settled{.more = count == static_cast<std::uint64_t>(rows_a_transaction) || bytes >= bytes_a_transaction};
  auto left = this->stream(stream);
  if (!left) return std::unexpected(std::move(left.error()));
  settled.left = std::move(*left);
  NEPTUNE_TRY(transaction->commit());
  bytes_ -= std::min(bytes_.load(), bytes);
  count_ -= std::min(count_, count);
  write_mark();
  if (const auto known = confirmed_.find(stream); known != confirmed_.end()) {
    auto& rows = known->second;
    if (last > rows.upto) {
      rows = {};
    } else {
      rows.count -= std::min(rows.count, count);
      rows.bytes -= std::min(rows.bytes, bytes);
      rows.creates -= std::min(rows.creates, creates);
    }
  }
  return settled;
}

Result<bool> QueueStore::forget(std::int64_t stream) {
  auto transaction = database_->begin(false);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  NEPTUNE_TRY(database_->run("DELETE FROM streams WHERE id = ? AND count = 0", stream));
  const bool gone = database_->db.changes() > 0;
  NEPTUNE_TRY(transaction->commit());
  if (gone) confirmed_.erase(stream);
  return gone;
}

}  // namespace neptune::sources
