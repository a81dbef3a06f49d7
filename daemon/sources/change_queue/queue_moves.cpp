// A change goes into another stream: a removal that steps aside, a create that passes the writes before it.
#include <utility>

#include "sources/change_queue/queue_rows.h"
#include "sources/change_queue/queue_store.h"
#include "support/sqlite_store.h"
#include "support/try.h"

namespace neptune::sources {

Result<std::optional<QueuedStream>> QueueStore::step_aside(std::int64_t stream, Position position) {
  // Durable: those behind it may be confirmed next, and what is confirmed is taken for done up to there.
  auto transaction = database_->begin(true);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  const auto from = this->stream(stream);
  if (!from) return std::unexpected(from.error());
  auto container = from->container;
  container.id = removals_that_wait;
  std::optional<std::uint64_t> size;
  std::int64_t at_ms = 0;
  NEPTUNE_TRY(database_->each(
      "SELECT size, at_ms FROM changes WHERE stream = ? AND seq = ?",
      [&](const sqlite::Statement& row) {
        size = count_at(row, 0);
        at_ms = row.number(1);
        return false;
      },
      stream, position));
  if (!size) return std::optional<QueuedStream>();
  const auto to = stream_of(container, at_ms);
  if (!to) return std::unexpected(to.error());
  auto now = move(position, *size, false, stream, *to);
  if (!now) return std::unexpected(std::move(now.error()));
  NEPTUNE_TRY(transaction->commit());
  return std::move(*now);
}

/// Within a transaction; the stream it is in then.
Result<QueuedStream> QueueStore::move(Position change, std::uint64_t size, bool creates, std::int64_t from,
                                      std::int64_t to) {
  NEPTUNE_TRY(database_->run("UPDATE changes SET stream = ? WHERE seq = ?", to, change));
  NEPTUNE_TRY(
      database_->run("UPDATE streams SET count = count - 1, bytes = bytes - ?, creates = creates - ? WHERE id = ?",
                     size, creates, from));
  NEPTUNE_TRY(
      database_->run("UPDATE streams SET count = count + 1, bytes = bytes + ?, creates = creates + ? WHERE id = ?",
                     size, creates, to));
  return stream(to);
}

Result<std::optional<QueuedStream>> QueueStore::let_create_pass(std::int64_t stream, Position after) {
  // Durable: it may be confirmed next, with a number higher than those of the writes that stay.
  auto transaction = database_->begin(true);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  const auto from = this->stream(stream);
  if (!from) return std::unexpected(from.error());
  Position position = 0;
  std::uint64_t size = 0;
  NEPTUNE_TRY(database_->each(
      "SELECT seq, size FROM changes WHERE stream = ?1 AND creates != 0 AND seq > (SELECT min(seq) FROM changes WHERE "
      "stream = ?1 AND seq > ?2) ORDER BY seq LIMIT 1",
      [&](const sqlite::Statement& row) {
        position = row.number(0);
        size = count_at(row, 1);
        return false;
      },
      stream, after));
  if (position == 0 || from->lane != Lane::writes) return std::optional<QueuedStream>();
  const auto to = stream_of(from->container, from->begun_ms, Lane::passed);
  if (!to) return std::unexpected(to.error());
  auto now = move(position, size, true, stream, *to);
  if (!now) return std::unexpected(std::move(now.error()));
  NEPTUNE_TRY(transaction->commit());
  return std::move(*now);
}

}  // namespace neptune::sources
