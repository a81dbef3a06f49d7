// What left for another machine, and came back.
#include <algorithm>
#include <utility>

#include "sources/change_queue/queue_rows.h"
#include "sources/change_queue/queue_store.h"
#include "support/sqlite_store.h"
#include "support/try.h"

namespace neptune::sources {

Result<QueueStore::Move> QueueStore::begin_move(const std::string& file, WallTime now) {
  auto transaction = database_->begin(true);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  Move move;
  NEPTUNE_TRY(database_->each(
      "SELECT seq FROM moved ORDER BY seq DESC LIMIT 1 OFFSET ?",
      [&move](const sqlite::Statement& row) { move.forgotten = row.number(0); }, keys_kept));
  NEPTUNE_TRY(
      database_->run("DELETE FROM moved_streams WHERE (move, workspace, project, kind, container) IN (SELECT move, "
                     "workspace, project, kind, container FROM moved_streams ORDER BY move DESC LIMIT -1 OFFSET ?)",
                     moved_streams_kept));
  NEPTUNE_TRY(database_->run("INSERT INTO moves (at_ms, file) VALUES (?, ?)", to_unix_ms(now), file));
  move.id = database_->db.last_insert_rowid();
  NEPTUNE_TRY(transaction->commit());
  return move;
}

Result<void> QueueStore::forget_moved(Position upto) {
  return database_->run("DELETE FROM moved WHERE seq <= ?", upto);
}

Result<QueueStore::Settled> QueueStore::move_out(std::int64_t stream, Position upto, const Move& move) {
  return take_out(stream, upto, move.id);
}

/// Within the transaction that takes them out.
Result<void> QueueStore::note_moved(std::int64_t stream, Position upto, std::uint64_t count, std::int64_t move) {
  NEPTUNE_TRY(database_->run(
      "INSERT OR REPLACE INTO moved (seq, move) SELECT seq, ? FROM changes WHERE stream = ? AND seq <= ?", move, stream,
      upto));
  return database_->run(
      "INSERT INTO moved_streams (move, workspace, project, kind, container, count) SELECT ?, workspace, project, "
      "kind, container, ? FROM streams WHERE id = ? ON CONFLICT DO UPDATE SET count = count + excluded.count",
      move, as_signed(count), stream);
}

Result<void> QueueStore::note_back(std::span<const CameBack> changes) {
  auto transaction = database_->begin(true);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  for (const auto& [left, container, now] : changes) {
    NEPTUNE_TRY(database_->run("UPDATE moved SET back = ? WHERE seq = ? AND back IS NULL", now, left));
    if (database_->db.changes() == 0) continue;
    NEPTUNE_TRY(database_->run(
        "UPDATE moved_streams SET count = count - 1 WHERE move = (SELECT move FROM moved WHERE seq = ?) AND workspace "
        "= ? AND project = ? AND kind = ? AND container = ?",
        left, container.project.workspace, container.project.project, container.kind, container.id));
  }
  return transaction->commit();
}

Result<std::vector<QueueStore::MovedStream>> QueueStore::moved() {
  std::vector<MovedStream> list;
  NEPTUNE_TRY(database_->each(
      "SELECT workspace, project, kind, container, count, at_ms, file FROM moved_streams JOIN moves ON moves.id = move "
      "WHERE count > 0 ORDER BY move",
      [&list](const sqlite::Statement& row) {
        list.push_back({{{std::string(row.text(0)), std::string(row.text(1))},
                         std::string(row.text(3)),
                         static_cast<ContainerKind>(row.number(2))},
                        count_at(row, 4),
                        from_unix_ms(row.number(5)),
                        std::string(row.text(6))});
      }));
  return list;
}

/// Of one that is not queued.
Result<void> QueueStore::look_at_moved(Position position, Place& place) {
  return database_->each(
      "SELECT seq, at_ms, file, back FROM moved JOIN moves ON moves.id = move WHERE seq >= ? ORDER BY seq LIMIT 1",
      [&](const sqlite::Statement& row) {
        if (row.number(0) > position) {
          place.through = std::min(place.through, row.number(0) - 1);
          return;
        }
        place.moved = Place::Moved{from_unix_ms(row.number(1)), std::string(row.text(2)), std::nullopt};
        if (!row.is_null(3)) place.moved->back = row.number(3);
      },
      position);
}

}  // namespace neptune::sources
