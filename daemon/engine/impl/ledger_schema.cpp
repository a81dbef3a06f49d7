#include "engine/impl/ledger_schema.h"

#include <fmt/format.h>

#include "changes/change.h"
#include "engine/ledger.h"
#include "support/sqlite.h"
#include "support/try.h"

namespace neptune::engine {

namespace {

constexpr const char* intents_table = R"(
CREATE TABLE intents (
  source INTEGER NOT NULL, rejection INTEGER NOT NULL, last INTEGER NOT NULL, text TEXT NOT NULL,
  PRIMARY KEY (source, rejection, last)) WITHOUT ROWID;
)";

constexpr const char* uploads_tables = R"(
CREATE TABLE uploads (
  source INTEGER NOT NULL, rejection INTEGER NOT NULL, position INTEGER NOT NULL, done INTEGER NOT NULL DEFAULT 0,
  provider TEXT, inode INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, session TEXT, part_size INTEGER,
  url TEXT, part_urls TEXT, PRIMARY KEY (source, rejection, position)) WITHOUT ROWID;
CREATE TABLE parts (
  source INTEGER NOT NULL, rejection INTEGER NOT NULL, position INTEGER NOT NULL, number INTEGER NOT NULL,
  tag TEXT NOT NULL, PRIMARY KEY (source, rejection, position, number)) WITHOUT ROWID;
)";

constexpr const char* discarded_tables = R"(
CREATE TABLE discarded (
  id INTEGER PRIMARY KEY, queue INTEGER NOT NULL, position INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  by_whom TEXT NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL);
CREATE INDEX discarded_of_queue ON discarded (queue, position);
CREATE TABLE forgotten (queue INTEGER PRIMARY KEY, upto INTEGER NOT NULL);
CREATE INDEX rejected_of_source ON rejected (source, kind, container);
)";

constexpr const char* schema = R"(
CREATE TABLE sources (
  id INTEGER PRIMARY KEY, path TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL, born_ms INTEGER NOT NULL,
  project TEXT NOT NULL, kind INTEGER NOT NULL, container TEXT NOT NULL, confirmed INTEGER NOT NULL DEFAULT 0,
  synced INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0, synced_at_ms INTEGER, finished_at_ms INTEGER,
  lost INTEGER NOT NULL DEFAULT 0);  -- negative: what could not be counted, at least so many
CREATE INDEX sources_by_path ON sources (path);
CREATE INDEX sources_finished ON sources (finished_at_ms) WHERE finished_at_ms IS NOT NULL;
CREATE TABLE counters (
  project TEXT PRIMARY KEY, synced INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE rejected (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, source TEXT NOT NULL, position INTEGER NOT NULL,
  project TEXT NOT NULL, kind INTEGER NOT NULL, container TEXT NOT NULL, change INTEGER NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
  retry INTEGER NOT NULL DEFAULT 0, payload BLOB NOT NULL, uid INTEGER, part TEXT NOT NULL DEFAULT '',
  queue INTEGER NOT NULL DEFAULT 0, accepted_ms INTEGER NOT NULL DEFAULT 0);
CREATE INDEX rejected_retry ON rejected (project, kind, container, id) WHERE retry = 1;
CREATE TABLE modes (
  scope TEXT PRIMARY KEY, read_only INTEGER NOT NULL, reason TEXT NOT NULL, since_ms INTEGER, held_by TEXT NOT NULL,
  held_since_ms INTEGER) WITHOUT ROWID;
)";

constexpr const char* rejected_of_queue =
    "CREATE INDEX rejected_of_queue ON rejected (queue, position) WHERE queue != 0;";

constexpr const char* sources_by_file = "CREATE INDEX sources_by_file ON sources (inode, born_ms) WHERE inode != 0;";

/// Version 1 knew runs only, and of a rejected change no more than whether it was a create.
Result<void> migrate_from_1(sqlite::Database& db) {
  return db.exec(
      fmt::format("DROP INDEX rejected_retry;"
                  "ALTER TABLE sources RENAME COLUMN run TO container;"
                  "ALTER TABLE sources ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;"
                  "ALTER TABLE rejected RENAME COLUMN run TO container;"
                  "ALTER TABLE rejected ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;"
                  "ALTER TABLE rejected RENAME COLUMN create_ TO change;"
                  "UPDATE rejected SET change = CASE change WHEN 0 THEN {} ELSE {} END;"
                  "CREATE INDEX rejected_retry ON rejected (project, kind, container, id) WHERE retry = 1;",
                  static_cast<int>(ChangeKind::run_update), static_cast<int>(ChangeKind::run_create)));
}

/// Version 2 did not know who had handed a rejected change in, and the change queue kept the intents.
Result<void> migrate_from_2(sqlite::Database& db) {
  return db.exec(fmt::format("ALTER TABLE rejected ADD COLUMN uid INTEGER; {}", intents_table));
}

/// Version 3 uploaded no files.
Result<void> migrate_from_3(sqlite::Database& db) {
  return db.exec(uploads_tables);
}

/// Version 4 kept every rejected change whole, and did not know which queue numbered it: taken for the last that had
/// such a stream.
Result<void> migrate_from_4(sqlite::Database& db) {
  return db.exec(
      "ALTER TABLE rejected ADD COLUMN part TEXT NOT NULL DEFAULT '';"
      "ALTER TABLE rejected ADD COLUMN queue INTEGER NOT NULL DEFAULT 0;"
      "UPDATE rejected SET queue = coalesce((SELECT device FROM sources WHERE path = rejected.source AND inode = 0 "
      "ORDER BY id DESC LIMIT 1), 0);");
}

/// Version 5 did not keep what was lost with a source.
Result<void> migrate_from_5(sqlite::Database& db) {
  return db.exec("ALTER TABLE sources ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;");
}

/// Version 6 did not know when a rejected change had been accepted.
Result<void> migrate_from_6(sqlite::Database& db) {
  return db.exec(
      "ALTER TABLE rejected ADD COLUMN accepted_ms INTEGER NOT NULL DEFAULT 0; UPDATE rejected SET accepted_ms = "
      "at_ms;");
}

/// Version 7 did not keep what was discarded: where something was, all that is confirmed may be that.
Result<void> migrate_discarded_from_7(sqlite::Database& db) {
  return db.exec(
      fmt::format("INSERT INTO forgotten (queue, upto) SELECT device, max(confirmed) FROM sources WHERE inode = 0 AND "
                  "rejected > {} "
                  "GROUP BY device;",
                  kept_of_source));
}

/// It also had a column for when a signed URL ends, by which nothing went, and knew a file by its device in place of
/// its ctime: a file that was under way is sent from the beginning.
Result<void> migrate_uploads_from_7(sqlite::Database& db) {
  return db.exec(
      "ALTER TABLE uploads DROP COLUMN expires_ms; ALTER TABLE uploads DROP COLUMN device; ALTER TABLE uploads ADD "
      "COLUMN ctime_ns INTEGER;");
}

/// Version 8 did not count how much of what was rejected a retry stored.
constexpr const char* migrate_from_8 = "ALTER TABLE counters ADD COLUMN retried INTEGER NOT NULL DEFAULT 0;";

/// Version 9 did not keep whose a workspace is, nor know of logs that are carried from one machine to another.
constexpr const char* migrate_from_9 = R"(
CREATE TABLE workspaces (
  server TEXT NOT NULL, name TEXT NOT NULL, type INTEGER NOT NULL, PRIMARY KEY (server, name)) WITHOUT ROWID;
ALTER TABLE sources ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sources ADD COLUMN moved_at_ms INTEGER;
ALTER TABLE sources ADD COLUMN moved_to TEXT NOT NULL DEFAULT '';
CREATE TABLE imports (
  origin TEXT PRIMARY KEY, upto INTEGER NOT NULL, building TEXT NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID;
)";

/// Version 10 did not know what waits in logs, nor which runs were removed.
constexpr const char* migrate_from_10 = R"(
ALTER TABLE sources ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
CREATE TABLE removed (
  project TEXT NOT NULL, run TEXT NOT NULL, change INTEGER NOT NULL, at_ms INTEGER NOT NULL, for_good INTEGER NOT NULL,
  PRIMARY KEY (project, run)) WITHOUT ROWID;
)";

}  // namespace

Result<void> prepare_ledger(sqlite::Database& db, std::int64_t version) {
  if (version == ledger_version) return {};
  auto transaction = sqlite::Transaction::begin(db, sqlite::Transaction::Kind::write);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  if (version == 0) {
    NEPTUNE_TRY(db.exec(schema));
    NEPTUNE_TRY(db.exec(intents_table));
    NEPTUNE_TRY(db.exec(uploads_tables));
  }
  if (version == 1) NEPTUNE_TRY(migrate_from_1(db));
  if (version == 1 || version == 2) NEPTUNE_TRY(migrate_from_2(db));
  if (version >= 1 && version <= 3) NEPTUNE_TRY(migrate_from_3(db));
  if (version >= 1 && version <= 4) NEPTUNE_TRY(migrate_from_4(db));
  if (version >= 1 && version <= 5) NEPTUNE_TRY(migrate_from_5(db));
  if (version >= 1 && version <= 6) NEPTUNE_TRY(migrate_from_6(db));
  if (version >= 4 && version <= 7) NEPTUNE_TRY(migrate_uploads_from_7(db));
  if (version < 5) NEPTUNE_TRY(db.exec(rejected_of_queue));
  if (version < 8) NEPTUNE_TRY(db.exec(sources_by_file));
  if (version < 8) NEPTUNE_TRY(db.exec(discarded_tables));
  if (version >= 1 && version <= 7) NEPTUNE_TRY(migrate_discarded_from_7(db));
  if (version < 9) NEPTUNE_TRY(db.exec(migrate_from_8));
  if (version < 10) NEPTUNE_TRY(db.exec(migrate_from_9));
  NEPTUNE_TRY(db.exec(migrate_from_10));
  NEPTUNE_TRY(db.exec(fmt::format("PRAGMA user_version = {}", ledger_version)));
  return transaction->commit();
}

sqlite::Examined examined_ledger(const std::filesystem::path& file) {
  static constexpr sqlite::Rule rules[] = {
      {.count = "SELECT count(*) FROM sources WHERE confirmed < 0 OR synced < 0 OR rejected < 0",
       .of_one = "1 source has a negative position or count.",
       .broken = "{} sources have a negative position or count.",
       .repair =
           "UPDATE sources SET confirmed = max(confirmed, 0), synced = max(synced, 0), rejected = max(rejected, 0)",
       .plan = "It is set to 0: what is still in such a source is sent again."},
      {.count = "SELECT count(*) FROM counters WHERE synced < 0 OR rejected < 0",
       .of_one = "The counts of 1 project are negative.",
       .broken = "The counts of {} projects are negative.",
       .repair = "UPDATE counters SET synced = max(synced, 0), rejected = max(rejected, 0)",
       .plan = "They are set to 0."},
      {.count =
           "SELECT count(*) FROM (SELECT 1 FROM sources WHERE finished_at_ms IS NULL GROUP BY path, device, inode, "
           "born_ms, project, kind, container HAVING count(*) > 1)",
       .of_one = "1 source is on record twice.",
       .broken = "{} sources are on record twice.",
       .repair = "DELETE FROM sources WHERE finished_at_ms IS NULL AND id NOT IN (SELECT id FROM (SELECT id, "
                 "row_number() OVER (PARTITION BY path, device, inode, born_ms, project, kind, container ORDER BY "
                 "confirmed DESC, id) AS place FROM sources WHERE finished_at_ms IS NULL) WHERE place = 1)",
       .plan = "The record that is furthest stays."},
      {.count = "SELECT count(*) FROM rejected WHERE id > coalesce((SELECT seq FROM sqlite_sequence WHERE name = "
                "'rejected'), 0)",
       .of_one = "1 rejected change has a number that would be given out again.",
       .broken = "{} rejected changes have numbers that would be given out again.",
       .repair = "DELETE FROM sqlite_sequence WHERE name = 'rejected'; INSERT INTO sqlite_sequence (name, seq) SELECT "
                 "'rejected', max(id) FROM rejected",
       .plan = "The next number is set behind the last."},
      {.count = "SELECT (SELECT count(*) FROM intents WHERE source != 0 AND source NOT IN (SELECT id FROM sources)) + "
                "(SELECT count(*) FROM intents WHERE rejection != 0 AND rejection NOT IN (SELECT id FROM rejected)) + "
                "(SELECT count(*) FROM uploads WHERE source != 0 AND source NOT IN (SELECT id FROM sources)) + (SELECT "
                "count(*) FROM uploads WHERE rejection != 0 AND rejection NOT IN (SELECT id FROM rejected))",
       .of_one = "1 note is of a change that is gone.",
       .broken = "{} notes are of changes that are gone.",
       .repair =
           "DELETE FROM intents WHERE source != 0 AND source NOT IN (SELECT id FROM sources); DELETE FROM intents "
           "WHERE rejection != 0 AND rejection NOT IN (SELECT id FROM rejected); DELETE FROM uploads WHERE source "
           "!= 0 AND source NOT IN (SELECT id FROM sources); DELETE FROM uploads WHERE rejection != 0 AND "
           "rejection NOT IN (SELECT id FROM rejected)",
       .plan = "They are deleted."}};
  return {file, ledger_version, rules};
}

}  // namespace neptune::engine
