#include "sources/change_queue/queue_schema.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "support/sqlite.h"
#include "support/try.h"

namespace neptune::sources {

namespace {

constexpr std::int64_t wal_bytes_kept = 64 << 20;

constexpr const char* streams_table = R"(
CREATE TABLE streams (
  id INTEGER PRIMARY KEY AUTOINCREMENT, workspace TEXT NOT NULL, project TEXT NOT NULL, kind INTEGER NOT NULL,
  container TEXT NOT NULL, count INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
  creates INTEGER NOT NULL DEFAULT 0, begun_ms INTEGER NOT NULL, lane INTEGER NOT NULL DEFAULT 0,
  UNIQUE (workspace, project, kind, container, lane));
)";

constexpr const char* changes_of_place =
    "CREATE INDEX changes_of_place ON changes (stream, place, seq) WHERE place IS NOT NULL;";

/// Up to version 5 the first create of a long stream was looked for among all its changes. SQLite prefers this to
/// changes_of_stream as it, too, has all the columns that are asked for.
constexpr const char* creates_of_stream =
    "CREATE INDEX creates_of_stream ON changes (stream, seq, size, creates) WHERE creates != 0;";

constexpr const char* schema = R"(
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, kind INTEGER NOT NULL, uid INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, size INTEGER NOT NULL, frees INTEGER NOT NULL, creates INTEGER NOT NULL, needs TEXT,
  place INTEGER, payload BLOB NOT NULL);
CREATE INDEX changes_of_stream ON changes (stream, seq, kind, size, creates);
CREATE TABLE keys (
  id INTEGER PRIMARY KEY, uid INTEGER NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, content INTEGER,
  UNIQUE (uid, key));
CREATE TABLE queue (identity INTEGER NOT NULL);
INSERT INTO queue (identity) VALUES ((random() & 0x7fffffffffffffff) | 1);
)";

/// It kept what must not be repeated; the engine's ledger does that now. At first it did not say which queue it is.
constexpr const char* from_version_1 = R"(
DROP TABLE intents;
CREATE TABLE IF NOT EXISTS queue (identity INTEGER NOT NULL);
INSERT INTO queue (identity) SELECT (random() & 0x7fffffffffffffff) | 1 WHERE NOT EXISTS (SELECT 1 FROM queue);
)";

/// No create passed the writes before it, and what assigns a file stood at the end of the row.
constexpr const char* from_version_2 = R"(
INSERT INTO streams (id, workspace, project, kind, container, count, bytes, creates, begun_ms)
  SELECT id, workspace, project, kind, container, count, bytes, creates, begun_ms FROM streams_before;
DROP TABLE streams_before;
ALTER TABLE changes ADD COLUMN place INTEGER;
)";

/// Nothing was kept of what a change says whose key is known.
constexpr const char* from_version_3 = "ALTER TABLE keys ADD COLUMN content INTEGER;";

/// Up to version 4 nothing was kept of what had left for another machine.
constexpr const char* moved_tables = R"(
CREATE TABLE moves (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, file TEXT NOT NULL);
CREATE TABLE moved (seq INTEGER PRIMARY KEY, move INTEGER NOT NULL, back INTEGER);
CREATE TABLE moved_streams (
  move INTEGER NOT NULL, workspace TEXT NOT NULL, project TEXT NOT NULL, kind INTEGER NOT NULL,
  container TEXT NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (move, workspace, project, kind, container)) WITHOUT ROWID;
)";

/// Up to version 6 numbers that were given out were given out again where the file had lost them.
constexpr const char* gaps_table = R"(
CREATE TABLE gaps (
  first INTEGER PRIMARY KEY, last INTEGER NOT NULL, queue INTEGER NOT NULL, recorded INTEGER NOT NULL, lost INTEGER,
  at_ms INTEGER NOT NULL, told INTEGER NOT NULL);
)";

}  // namespace

Result<void> prepare_queue(sqlite::Database& db, std::int64_t version) {
  if (sqlite3_db_readonly(db.handle(), "main") != 0)
    return fail("sqlite_readonly", "it may only be read; check who may write it and its directory");
  // A large request must not leave a large log behind, nor settling it need as much room again: where SQLite is built
  // to overwrite what is deleted, that goes through the log.
  NEPTUNE_TRY(db.exec(
      fmt::format("PRAGMA journal_mode=WAL; PRAGMA journal_size_limit={}; PRAGMA secure_delete=OFF", wal_bytes_kept)));
  auto transaction = sqlite::Transaction::begin(db, sqlite::Transaction::Kind::write);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  if (version == queue_version) return {};
  if (version == 1) NEPTUNE_TRY(db.exec(from_version_1));
  if (version < 3) {
    if (version > 0) NEPTUNE_TRY(db.exec("ALTER TABLE streams RENAME TO streams_before"));
    NEPTUNE_TRY(db.exec(streams_table));
    NEPTUNE_TRY(db.exec(version == 0 ? schema : from_version_2));
    NEPTUNE_TRY(db.exec(changes_of_place));
  }
  if (version > 0 && version < 4) NEPTUNE_TRY(db.exec(from_version_3));
  if (version < 5) NEPTUNE_TRY(db.exec(moved_tables));
  if (version < 6) NEPTUNE_TRY(db.exec(creates_of_stream));
  NEPTUNE_TRY(db.exec(gaps_table));
  NEPTUNE_TRY(db.exec(fmt::format("PRAGMA user_version = {}", queue_version)));
  return transaction->commit();
}

sqlite::Examined examined_queue(const std::filesystem::path& file) {
  static constexpr sqlite::Rule rules[] = {
      {.count = "SELECT count(*) FROM changes WHERE stream NOT IN (SELECT id FROM streams)",
       .of_one = "1 change belongs to no stream: whose it is cannot be told, and it is never sent.",
       .broken = "{} changes belong to no stream: whose they are cannot be told, and they are never sent.",
       .repair = nullptr,
       .plan = "They are left where they are. Their bytes: sqlite3 FILE \"SELECT * FROM changes WHERE stream NOT IN "
               "(SELECT id FROM streams)\"."},
      {.count = "SELECT count(*) FROM changes WHERE size != length(payload)",
       .of_one = "1 change is not as long as when it was accepted.",
       .broken = "{} changes are not as long as when they were accepted.",
       .repair = nullptr,
       .plan = "Something else wrote to the file. They are sent as they are; restore the file from a copy, or look at "
               "them first."},
      {.count =
           "SELECT count(*) FROM streams WHERE (count, bytes, creates) IS NOT (SELECT count(*), coalesce(sum(size), "
           "0), coalesce(sum(creates), 0) FROM changes WHERE stream = streams.id)",
       .of_one = "The counts of 1 stream are not those of its changes.",
       .broken = "The counts of {} streams are not those of their changes.",
       .repair = "UPDATE streams SET (count, bytes, creates) = (SELECT count(*), coalesce(sum(size), 0), "
                 "coalesce(sum(creates), 0) FROM changes WHERE stream = streams.id)",
       .plan = "They are counted again."},
      {.count = "SELECT max(coalesce((SELECT max(seq) FROM changes), 0), coalesce((SELECT max(seq) FROM keys), 0)) > "
                "coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)",
       .of_one = "Numbers that were given out would be given out again.",
       .broken = "Numbers that were given out would be given out again.",
       .repair =
           "DELETE FROM sqlite_sequence WHERE name = 'changes'; INSERT INTO sqlite_sequence (name, seq) SELECT "
           "'changes', max(coalesce((SELECT max(seq) FROM changes), 0), coalesce((SELECT max(seq) FROM keys), 0))",
       .plan = "The next number is set behind the last that was given out."},
      {.count = "SELECT (SELECT count(*) FROM queue WHERE identity != 0) != 1",
       .of_one = "The queue does not say which queue it is.",
       .broken = "The queue does not say which queue it is.",
       .repair = "DELETE FROM queue; INSERT INTO queue (identity) VALUES ((random() & 0x7fffffffffffffff) | 1)",
       .plan = "It gets a new identity: changes that were confirmed and not taken out yet are sent again."}};
  return {file, queue_version, rules};
}

}  // namespace neptune::sources
