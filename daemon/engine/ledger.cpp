#include "engine/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "changes/ingest_code.h"
#include "changes/wire.h"
#include "engine/impl/ledger_schema.h"
#include "support/disk.h"
#include "support/sqlite_store.h"
#include "support/try.h"

namespace neptune::engine {

namespace {

constexpr const char* rejection_columns =
    "id, at_ms, source, position, project, kind, container, change, code, reason, length(payload), uid, part, "
    "accepted_ms";

std::uint64_t count_at(const sqlite::Statement& row, int column) {
  return static_cast<std::uint64_t>(row.number(column));
}

/// SQLite's integers are signed; devices and inodes are not.
std::int64_t as_signed(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

std::optional<WallTime> time_at(const sqlite::Statement& row, int column) {
  if (row.is_null(column)) return std::nullopt;
  return from_unix_ms(row.number(column));
}

Lost lost_at(const sqlite::Statement& row, int column) {
  const auto stored = row.number(column);
  return {static_cast<std::uint64_t>(std::abs(stored)), stored < 0};
}

/// Columns moved, moved_at_ms, moved_to, from `column` on.
Moved moved_at(const sqlite::Statement& row, int column) {
  return {count_at(row, column), time_at(row, column + 1), std::string(row.text(column + 2))};
}

/// Columns project, kind, container, from `column` on. A workspace's management has no project.
ContainerName container_at(const sqlite::Statement& row, int column) {
  const auto scope = Scope::parse(row.text(column));
  return {scope ? ProjectName{scope->workspace, scope->project} : ProjectName{}, std::string(row.text(column + 2)),
          static_cast<ContainerKind>(row.number(column + 1))};
}

std::string scope_text(const ProjectName& project) {
  return Scope::of(project).text();
}

Rejection rejection_at(const sqlite::Statement& row) {
  Rejection rejection;
  rejection.id = row.number(0);
  rejection.at = from_unix_ms(row.number(1));
  rejection.source = row.text(2);
  rejection.position = row.number(3);
  rejection.container = container_at(row, 4);
  rejection.change = static_cast<ChangeKind>(row.number(7));
  rejection.code = row.text(8);
  rejection.reason = row.text(9);
  rejection.bytes = static_cast<std::uint64_t>(row.number(10));
  if (!row.is_null(11)) rejection.uid = static_cast<std::uint32_t>(row.number(11));
  rejection.part = row.text(12);
  rejection.accepted = from_unix_ms(row.number(13));
  return rejection;
}

std::unexpected<Error> no_such_rejection(std::int64_t id) {
  return fail("rejection_not_found",
              fmt::format("there is no rejected change {}; `neptune-sync rejected` lists them", id));
}

}  // namespace

class Ledger::Impl : public sqlite::Store {
 public:
  using Store::Store;

  /// What was intended of the source's changes up to `upto`, and how far their files were, is done with.
  Result<void> forget_intents(std::int64_t source, sources::Position upto) {
    NEPTUNE_TRY(run("DELETE FROM uploads WHERE source = ? AND rejection = 0 AND position <= ?", source, upto));
    NEPTUNE_TRY(run("DELETE FROM parts WHERE source = ? AND rejection = 0 AND position <= ?", source, upto));
    return run("DELETE FROM intents WHERE source = ? AND rejection = 0 AND last <= ?", source, upto);
  }
  Result<void> forget_intents_of(std::int64_t rejection) {
    NEPTUNE_TRY(run("DELETE FROM uploads WHERE source = 0 AND rejection = ?", rejection));
    NEPTUNE_TRY(run("DELETE FROM parts WHERE source = 0 AND rejection = ?", rejection));
    return run("DELETE FROM intents WHERE source = 0 AND rejection = ?", rejection);
  }

  Result<std::int64_t> reject(std::int64_t source, const Rejection& rejection, std::string_view payload);

  /// The oldest of what was discarded, where there is more than is kept.
  Result<void> forget_discarded() {
    std::int64_t most = 0;
    NEPTUNE_TRY(each(
        "SELECT coalesce((SELECT id FROM discarded ORDER BY id DESC LIMIT 1 OFFSET ?), 0)",
        [&most](const sqlite::Statement& row) { most = row.number(0); }, discarded_kept));
    if (most == 0) return {};
    NEPTUNE_TRY(
        run("INSERT INTO forgotten (queue, upto) SELECT queue, max(position) FROM discarded WHERE id <= ? GROUP BY "
            "queue ON CONFLICT (queue) DO UPDATE SET upto = max(upto, excluded.upto)",
            most));
    return run("DELETE FROM discarded WHERE id <= ?", most);
  }

  Result<void> count(const ProjectName& project, std::int64_t synced, std::int64_t rejected) {
    return run(
        "INSERT INTO counters (project, synced, rejected) VALUES (?1, ?2, ?3) ON CONFLICT (project) DO UPDATE SET "
        "synced = synced + ?2, rejected = rejected + ?3",
        scope_text(project), synced, rejected);
  }
};

Ledger::Ledger(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Ledger::~Ledger() = default;

Result<std::unique_ptr<Ledger>> Ledger::open(const std::filesystem::path& file) {
  const auto explain = [&file](const Error& error) {
    if (error.code == "sqlite_full")
      return fail("disk_full",
                  fmt::format("the daemon's memory {} cannot be opened: its disk is full. Nothing of it is lost; free "
                              "some space there and start again.",
                              file.string()),
                  true);
    return fail(
        "state_unusable",
        fmt::format("the daemon's memory {} cannot be used: {}. `neptune-sync queue check --repair` mends what can be "
                    "mended. To start afresh, move it away with its -wal, and keep both: rejected changes, holds and "
                    "counts are in it, and what is on record as sent is sent again, which a server without ingestion "
                    "may then have twice.",
                    file.string(), error.message));
  };
  if (const auto whole = sqlite::refuse_log_alone(file); !whole) return explain(whole.error());
  auto db = sqlite::Database::open(file, {.access = sqlite::Access::create, .busy_timeout = sqlite::Store::patience});
  if (!db) return explain(db.error());
  // SQLite gives what lies beside it the same mode.
  if (const auto mode = keep_private(file))
    return fail("state_unusable",
                fmt::format("the daemon's memory {} cannot be kept from others: {}", file.string(), mode.message()));
  // Rejected changes may be large: overwriting what is deleted of them would take as much room in the log.
  if (auto set = db->exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=OFF"); !set)
    return explain(set.error());
  const auto version = db->number("PRAGMA user_version");
  if (!version) return explain(version.error());
  if (*version > ledger_version)
    return fail(
        "state_too_new",
        fmt::format("{} was written by a newer neptune-syncd (schema {}); install that version, or move the file away",
                    file.string(), *version));
  if (auto done = prepare_ledger(*db, *version); !done) return explain(done.error());
  return std::unique_ptr<Ledger>(new Ledger(std::make_unique<Impl>(std::move(*db))));
}

Result<void> Ledger::give_back_log() {
  return impl_->give_back_log();
}

Result<LedgerSource> Ledger::source(const sources::SourceKey& key, const ContainerName& container) {
  LedgerSource found;
  const bool file = key.inode != 0;
  const auto project = scope_text(container.project);
  NEPTUNE_TRY(impl_->each(
      fmt::format("SELECT id, confirmed, synced, rejected, {}, synced_at_ms, moved, moved_at_ms, "
                  "moved_to, waiting FROM sources WHERE path = ? AND device = ? "
                  "AND inode = ? AND born_ms = ? AND project = ? AND kind = ? AND container = ? AND (finished_at_ms IS "
                  "NULL OR NOT ?)",
                  kept_of_source),
      [&found](const sqlite::Statement& row) {
        found = {row.number(0),    true,
                 row.number(1),    count_at(row, 2),
                 count_at(row, 3), count_at(row, 4),
                 time_at(row, 5),  moved_at(row, 6),
                 row.number(9)};
      },
      key.path, as_signed(key.device), as_signed(key.inode), key.born_ms, project, container.kind, container.id, file));
  if (found.id != 0) {
    if (!file)
      NEPTUNE_TRY(
          impl_->run("UPDATE sources SET finished_at_ms = NULL WHERE id = ? AND finished_at_ms IS NOT NULL", found.id));
    return found;
  }
  NEPTUNE_TRY(impl_->run(
      "INSERT INTO sources (path, device, inode, born_ms, project, kind, container) VALUES (?, ?, ?, ?, ?, ?, ?)",
      key.path, as_signed(key.device), as_signed(key.inode), key.born_ms, project, container.kind, container.id));
  found.id = impl_->db.last_insert_rowid();
  return found;
}

Result<LedgerSource> Ledger::directory(const sources::SourceKey& key, const ContainerName& container) {
  std::int64_t id = 0;
  // Where a file system tells no time of birth, another directory may have got the inode: its path tells then.
  NEPTUNE_TRY(impl_->each(
      "SELECT id FROM sources WHERE inode != 0 AND inode = ?1 AND born_ms = ?2 AND project = ?3 AND kind = ?4 AND "
      "container = ?5 AND "
      "(path = ?6 OR (device = ?7 AND born_ms != 0)) ORDER BY path = ?6, id",
      [&id](const sqlite::Statement& row) { id = row.number(0); }, as_signed(key.inode), key.born_ms,
      scope_text(container.project), container.kind, container.id, key.path, as_signed(key.device)));
  if (id == 0) return source(key, container);
  NEPTUNE_TRY(move(id, key));
  NEPTUNE_TRY(impl_->run("UPDATE sources SET finished_at_ms = NULL, lost = 0 WHERE id = ?", id));
  return source(key, container);
}

Result<std::optional<ContainerName>> Ledger::container_of(const sources::SourceKey& key) {
  std::optional<ContainerName> found;
  NEPTUNE_TRY(impl_->each(
      "SELECT project, kind, container FROM sources WHERE path = ? AND inode = ? AND born_ms = ? ORDER BY "
      "finished_at_ms IS NULL, id",
      [&found](const sqlite::Statement& row) { found = container_at(row, 0); }, key.path, as_signed(key.inode),
      key.born_ms));
  return found;
}

Result<std::vector<Ledger::Elsewhere>> Ledger::elsewhere(const sources::SourceKey& key) {
  std::vector<Elsewhere> found;
  NEPTUNE_TRY(impl_->each(
      "SELECT id, project, kind, container FROM sources WHERE inode != 0 AND device = ? AND inode = ? AND born_ms = ? "
      "AND path != ? "
      "AND "
      "finished_at_ms IS NULL ORDER BY id DESC",
      [&found](const sqlite::Statement& row) { found.push_back({row.number(0), container_at(row, 1)}); },
      as_signed(key.device), as_signed(key.inode), key.born_ms, key.path));
  return found;
}

Result<std::map<std::string, Ledger::QueueRecord>> Ledger::queue_record(std::uint64_t queue) {
  std::map<std::string, QueueRecord> record;
  NEPTUNE_TRY(impl_->each(
      "SELECT path, confirmed, EXISTS (SELECT 1 FROM intents WHERE intents.source = sources.id AND "
      "intents.last > confirmed) FROM sources WHERE device = ? AND inode = 0",
      [&record](const sqlite::Statement& row) {
        auto& one = record[std::string(row.text(0))];
        one.confirmed = std::max(one.confirmed, row.number(1));
        one.in_doubt = one.in_doubt || row.number(2) != 0;
      },
      as_signed(queue)));
  return record;
}

namespace {

/// Of each queue, from every table that keeps its numbers.
constexpr const char* numbers_of_queues =
    "SELECT queue, max(last) FROM ("
    "SELECT device AS queue, max(confirmed) AS last FROM sources WHERE inode = 0 AND device != 0 GROUP BY device"
    " UNION ALL SELECT queue, max(position) FROM rejected WHERE queue != 0 GROUP BY queue"
    " UNION ALL SELECT queue, max(position) FROM discarded WHERE queue != 0 GROUP BY queue"
    " UNION ALL SELECT queue, upto FROM forgotten WHERE queue != 0"
    " UNION ALL SELECT device, max(last) FROM intents JOIN sources ON sources.id = source WHERE sources.inode = 0 "
    "GROUP BY device"
    " UNION ALL SELECT device, max(position) FROM uploads JOIN sources ON sources.id = source WHERE sources.inode = 0 "
    "GROUP BY device)"
    " GROUP BY queue";

}  // namespace

Result<sources::OnRecord> Ledger::numbers_of_queue(std::uint64_t queue) {
  sources::OnRecord record;
  const auto streams = queue_record(queue);
  if (!streams) return std::unexpected(streams.error());
  for (const auto& [path, stream] : *streams) record.confirmed[path] = stream.confirmed;
  NEPTUNE_TRY(impl_->each(numbers_of_queues, [&](const sqlite::Statement& row) {
    const auto of = count_at(row, 0);
    const auto last = row.number(1);
    if (of == queue)
      record.highest = last;
    else if (last > record.another.highest)
      record.another = {of, last};
  }));
  return record;
}

namespace {

constexpr const char* has_intent =
    "EXISTS (SELECT 1 FROM intents WHERE intents.source = sources.id AND intents.last > confirmed)";

/// Columns id, confirmed, has_intent.
void add_to(Ledger::LogRecord& record, const sqlite::Statement& row) {
  record.ids.push_back(row.number(0));
  record.confirmed = std::max(record.confirmed, row.number(1));
  record.in_doubt = record.in_doubt || row.number(2) != 0;
}

}  // namespace

Result<Ledger::LogRecord> Ledger::log_record(const sources::SourceKey& key, const ContainerName& container) {
  LogRecord record;
  NEPTUNE_TRY(impl_->each(
      fmt::format("SELECT id, confirmed, {} FROM sources WHERE path = ? AND device = ? AND inode = ? AND born_ms = ? "
                  "AND project = ? AND kind = ? AND container = ? AND finished_at_ms IS NULL",
                  has_intent),
      [&record](const sqlite::Statement& row) { add_to(record, row); }, key.path, as_signed(key.device),
      as_signed(key.inode), key.born_ms, scope_text(container.project), container.kind, container.id));
  return record;
}

Result<Ledger::LogRecord> Ledger::directory_record(const sources::SourceKey& key) {
  LogRecord record;
  NEPTUNE_TRY(impl_->each(
      fmt::format("SELECT id, confirmed, {} FROM sources WHERE inode != 0 AND inode = ?1 AND born_ms = ?2 AND (path = "
                  "?3 OR (device = ?4 AND born_ms != 0))",
                  has_intent),
      [&record](const sqlite::Statement& row) { add_to(record, row); }, as_signed(key.inode), key.born_ms, key.path,
      as_signed(key.device)));
  return record;
}

void Moved::add(const Moved& other) {
  count += other.count;
  if (other.at && (!at || *at < *other.at)) at = other.at;
  const std::string between = ", ";
  for (std::size_t from = 0; from < other.to.size();) {
    const auto end = std::min(other.to.find(between, from), other.to.size());
    const auto name = other.to.substr(from, end - from);
    if (!(between + to + between).contains(between + name + between)) to += (to.empty() ? "" : between) + name;
    from = end + between.size();
  }
}

Result<void> Ledger::move_out(const LogRecord& record, sources::Position upto, const Moved& moved) {
  auto transaction = impl_->begin(true);
  if (!transaction) return std::unexpected(transaction.error());
  for (const auto id : record.ids) {
    Moved all;
    NEPTUNE_TRY(impl_->each(
        "SELECT moved, moved_at_ms, moved_to FROM sources WHERE id = ? AND moved > 0",
        [&all](const sqlite::Statement& row) {
          all = moved_at(row, 0);
          return false;
        },
        id));
    all.add(moved);
    NEPTUNE_TRY(impl_->run(
        "UPDATE sources SET confirmed = max(confirmed, ?), moved = ?, moved_at_ms = ?, moved_to = ? WHERE id = ?", upto,
        as_signed(all.count), to_unix_ms(*all.at), all.to, id));
    NEPTUNE_TRY(impl_->forget_intents(id, upto));
  }
  return transaction->commit();
}

Result<Ledger::Import> Ledger::import_of(const std::string& origin) {
  Import import;
  NEPTUNE_TRY(impl_->each(
      "SELECT upto, building FROM imports WHERE origin = ?",
      [&import](const sqlite::Statement& row) { import = {row.number(0), std::string(row.text(1))}; }, origin));
  return import;
}

Result<void> Ledger::note_import(const std::string& origin, const Import& import, WallTime now, const CameBack& back) {
  auto transaction = impl_->begin(true);
  if (!transaction) return std::unexpected(transaction.error());
  NEPTUNE_TRY(impl_->run("INSERT OR REPLACE INTO imports (origin, upto, building, at_ms) VALUES (?, ?, ?, ?)", origin,
                         import.upto, import.building, to_unix_ms(now)));
  if (back.count > 0)
    NEPTUNE_TRY(impl_->run(
        "UPDATE sources SET moved = max(0, moved - ?) WHERE path = ? AND inode = ? AND born_ms = ? AND (kind = ?) = ?",
        as_signed(back.count), back.key.path, as_signed(back.key.inode), back.key.born_ms, ContainerKind::files,
        back.files));
  return transaction->commit();
}

Result<void> Ledger::move(std::int64_t source, const sources::SourceKey& key) {
  auto transaction = impl_->begin(false);
  if (!transaction) return std::unexpected(transaction.error());
  NEPTUNE_TRY(impl_->run(
      "UPDATE rejected SET source = ?1 FROM sources WHERE sources.id = ?2 AND rejected.source = sources.path AND "
      "rejected.container = sources.container",
      key.path, source));
  NEPTUNE_TRY(impl_->run("UPDATE sources SET path = ?, device = ?, inode = ?, born_ms = ? WHERE id = ?", key.path,
                         as_signed(key.device), as_signed(key.inode), key.born_ms, source));
  return transaction->commit();
}

Result<void> Ledger::confirm(std::int64_t source, const ProjectName& project, sources::Position upto,
                             std::uint64_t count, WallTime now) {
  const auto settled = settle(source, project, upto, count, {}, now);
  if (!settled) return std::unexpected(settled.error());
  return {};
}

Result<std::vector<std::int64_t>> Ledger::settle(std::int64_t source, const ProjectName& project,
                                                 sources::Position upto, std::uint64_t count,
                                                 const std::vector<RejectedChange>& refused, WallTime now) {
  auto transaction = impl_->begin(!refused.empty());
  if (!transaction) return std::unexpected(transaction.error());
  std::vector<std::int64_t> ids;
  for (const auto& [rejection, payload] : refused) {
    const auto id = impl_->reject(source, rejection, payload);
    if (!id) return std::unexpected(id.error());
    ids.push_back(*id);
  }
  NEPTUNE_TRY(
      impl_->run("UPDATE sources SET confirmed = max(confirmed, ?), synced = synced + ?, synced_at_ms = ? WHERE id = ?",
                 upto, as_signed(count), to_unix_ms(now), source));
  NEPTUNE_TRY(impl_->forget_intents(source, upto));
  NEPTUNE_TRY(impl_->count(project, as_signed(count), 0));
  NEPTUNE_TRY(transaction->commit());
  return ids;
}

/// Within a transaction.
Result<std::int64_t> Ledger::Impl::reject(std::int64_t source, const Rejection& rejection, std::string_view payload) {
  NEPTUNE_TRY(run(
      "INSERT INTO rejected (at_ms, source, position, project, kind, container, change, code, reason, payload, uid, "
      "part, queue, accepted_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, nullif(?11, -1), ?12, "
      "coalesce((SELECT device FROM sources WHERE id = ?13 AND inode = 0), 0), ?14)",
      to_unix_ms(rejection.at), rejection.source, rejection.position, scope_text(rejection.container.project),
      rejection.container.kind, rejection.container.id, rejection.change, rejection.code, rejection.reason,
      sqlite::Bytes{payload}, rejection.uid ? std::int64_t{*rejection.uid} : -1, rejection.part, source,
      to_unix_ms(rejection.accepted)));
  const auto id = db.last_insert_rowid();
  NEPTUNE_TRY(run("UPDATE sources SET confirmed = max(confirmed, ?), rejected = rejected + 1 WHERE id = ?",
                  rejection.position, source));
  NEPTUNE_TRY(forget_intents(source, rejection.position));
  NEPTUNE_TRY(count(rejection.container.project, 0, 1));
  return id;
}

Result<std::int64_t> Ledger::reject(std::int64_t source, const Rejection& rejection, std::string_view payload) {
  auto transaction = impl_->begin(true);
  if (!transaction) return std::unexpected(transaction.error());
  auto id = impl_->reject(source, rejection, payload);
  if (!id) return id;
  NEPTUNE_TRY(transaction->commit());
  return id;
}

Result<void> Ledger::reject_all(std::int64_t source, const std::vector<RejectedChange>& changes) {
  auto transaction = impl_->begin(true);
  if (!transaction) return std::unexpected(transaction.error());
  for (const auto& [rejection, payload] : changes) NEPTUNE_TRY(impl_->reject(source, rejection, payload));
  return transaction->commit();
}

Result<void> Ledger::finish(std::int64_t source, Lost lost, WallTime now, bool may_come_back) {
  constexpr auto all = std::numeric_limits<sources::Position>::max();
  NEPTUNE_TRY(impl_->run("UPDATE sources SET finished_at_ms = ?, lost = ? WHERE id = ?", to_unix_ms(now),
                         lost.uncounted ? -as_signed(lost.changes) : as_signed(lost.changes), source));
  if (!may_come_back) NEPTUNE_TRY(impl_->forget_intents(source, all));
  std::vector<std::int64_t> oldest;
  NEPTUNE_TRY(impl_->each(
      "SELECT id FROM sources WHERE finished_at_ms IS NOT NULL ORDER BY finished_at_ms DESC LIMIT -1 OFFSET ?",
      [&oldest](const sqlite::Statement& row) { oldest.push_back(row.number(0)); }, finished_kept));
  for (const auto id : oldest) {
    NEPTUNE_TRY(impl_->forget_intents(id, all));
    NEPTUNE_TRY(impl_->run("DELETE FROM sources WHERE id = ?", id));
  }
  return {};
}

Result<void> Ledger::give_up(const std::vector<FinishedSource>& lost) {
  auto transaction = impl_->begin(true);
  if (!transaction) return std::unexpected(transaction.error());
  for (const auto& source : lost) {
    NEPTUNE_TRY(impl_->run("UPDATE sources SET rejected = rejected + abs(lost), lost = 0 WHERE id = ?", source.id));
    NEPTUNE_TRY(impl_->count(source.container.project, 0, as_signed(source.lost.changes)));
  }
  return transaction->commit();
}

Result<void> Ledger::note_waiting(const std::vector<Waiting>& all) {
  auto transaction = impl_->begin(false);
  if (!transaction) return std::unexpected(transaction.error());
  for (const auto& [source, last] : all)
    NEPTUNE_TRY(impl_->run("UPDATE sources SET waiting = ? WHERE id = ?", last, source));
  return transaction->commit();
}

/// A log numbers its changes one by one.
Result<std::vector<UnsyncedLog>> Ledger::unsynced_logs() {
  std::vector<UnsyncedLog> list;
  NEPTUNE_TRY(impl_->each(
      fmt::format("SELECT path, device, inode, born_ms, project, kind, container, id, synced, rejected, {}, waiting - "
                  "confirmed, synced_at_ms, moved, moved_at_ms, moved_to FROM sources WHERE finished_at_ms IS NULL AND "
                  "waiting > confirmed",
                  kept_of_source),
      [&list](const sqlite::Statement& row) {
        const auto container = container_at(row, 4);
        sources::SourceKey key{std::string(row.text(0)), count_at(row, 1), count_at(row, 2), row.number(3),
                               container.kind == ContainerKind::files};
        list.push_back({key,
                        {.id = row.number(7),
                         .path = key.path,
                         .container = container,
                         .synced = count_at(row, 8),
                         .rejected = count_at(row, 9),
                         .kept = count_at(row, 10),
                         .lost = {count_at(row, 11)},
                         .synced_at = time_at(row, 12),
                         .moved = moved_at(row, 13)}});
      }));
  return list;
}

Result<std::map<ProjectName, ProjectCounts>> Ledger::counts() {
  std::map<ProjectName, ProjectCounts> counts;
  const auto read = [&counts](const sqlite::Statement& row) {
    if (const auto scope = Scope::parse(row.text(0)))
      counts[{scope->workspace, scope->project}] = {
          .synced = count_at(row, 1), .rejected = count_at(row, 2), .retried = count_at(row, 3)};
  };
  NEPTUNE_TRY(impl_->each("SELECT project, synced, rejected, retried FROM counters", read));
  NEPTUNE_TRY(
      impl_->each("SELECT project, count(*) FROM rejected GROUP BY project", [&counts](const sqlite::Statement& row) {
        if (const auto scope = Scope::parse(row.text(0)))
          counts[{scope->workspace, scope->project}].kept = count_at(row, 1);
      }));
  return counts;
}

Result<std::vector<FinishedSource>> Ledger::finished() {
  std::vector<FinishedSource> list;
  NEPTUNE_TRY(impl_->each(
      fmt::format(
          "SELECT id, path, project, kind, container, synced, rejected, {}, lost, synced_at_ms, finished_at_ms, moved, "
          "moved_at_ms, moved_to FROM "
          "sources WHERE finished_at_ms IS NOT NULL ORDER BY finished_at_ms",
          kept_of_source),
      [&list](const sqlite::Statement& row) {
        list.push_back({row.number(0), std::string(row.text(1)), container_at(row, 2), count_at(row, 5),
                        count_at(row, 6), count_at(row, 7), lost_at(row, 8), time_at(row, 9),
                        from_unix_ms(row.number(10)), moved_at(row, 11)});
      }));
  return list;
}

Result<std::vector<Rejection>> Ledger::rejections(std::int64_t before, std::uint32_t limit) {
  std::vector<Rejection> list;
  NEPTUNE_TRY(impl_->each(
      fmt::format("SELECT {} FROM rejected WHERE ?1 = 0 OR id < ?1 ORDER BY id DESC LIMIT ?2", rejection_columns),
      [&list](const sqlite::Statement& row) { list.push_back(rejection_at(row)); }, before, limit));
  return list;
}

Result<Rejection> Ledger::rejection(std::int64_t id) {
  std::optional<Rejection> found;
  NEPTUNE_TRY(impl_->each(
      fmt::format("SELECT {} FROM rejected WHERE id = ?", rejection_columns),
      [&found](const sqlite::Statement& row) { found = rejection_at(row); }, id));
  if (!found) return no_such_rejection(id);
  return *found;
}

Result<std::optional<Rejection>> Ledger::next_rejection(std::uint64_t queue, sources::Position from) {
  std::optional<Rejection> found;
  NEPTUNE_TRY(impl_->each(
      fmt::format("SELECT {} FROM rejected WHERE queue = ? AND queue != 0 AND position >= ? ORDER BY position, id "
                  "LIMIT 1",
                  rejection_columns),
      [&found](const sqlite::Statement& row) { found = rejection_at(row); }, as_signed(queue), from));
  return found;
}

Result<std::string> Ledger::payload(std::int64_t id) {
  std::optional<std::string> bytes;
  NEPTUNE_TRY(impl_->each(
      "SELECT payload FROM rejected WHERE id = ?",
      [&bytes](const sqlite::Statement& row) { bytes = std::string(row.blob(0)); }, id));
  if (!bytes) return no_such_rejection(id);
  return *bytes;
}

Result<std::uint64_t> Ledger::rejected() {
  std::uint64_t count = 0;
  NEPTUNE_TRY(impl_->each("SELECT count(*) FROM rejected", [&count](const sqlite::Statement& row) {
    count = static_cast<std::uint64_t>(row.number(0));
  }));
  return count;
}

Result<void> Ledger::each_payload(ContainerKind kind, const std::function<void(std::string_view)>& f) {
  return impl_->each(
      "SELECT payload FROM rejected WHERE kind = ?", [&f](const sqlite::Statement& row) { f(row.blob(0)); }, kind);
}

Result<Rejection> Ledger::discard(std::int64_t id, const std::string& by, WallTime now) {
  auto transaction = impl_->begin(false);
  if (!transaction) return std::unexpected(transaction.error());
  auto found = rejection(id);
  if (!found) return found;
  NEPTUNE_TRY(impl_->run(
      "INSERT INTO discarded (id, queue, position, at_ms, by_whom, code, reason) SELECT id, queue, position, "
      "?, ?, code, reason FROM rejected WHERE id = ? AND queue != 0",
      to_unix_ms(now), by, id));
  NEPTUNE_TRY(impl_->run("DELETE FROM rejected WHERE id = ?", id));
  NEPTUNE_TRY(impl_->forget_intents_of(id));
  NEPTUNE_TRY(impl_->forget_discarded());
  NEPTUNE_TRY(transaction->commit());
  return found;
}

Result<std::optional<Discarded>> Ledger::next_discarded(std::uint64_t queue, sources::Position from) {
  std::optional<Discarded> found;
  NEPTUNE_TRY(impl_->each(
      "SELECT id, position, at_ms, by_whom, code, reason FROM discarded WHERE queue = ? AND position >= ? ORDER BY "
      "position LIMIT 1",
      [&found](const sqlite::Statement& row) {
        found = {row.number(0),
                 row.number(1),
                 from_unix_ms(row.number(2)),
                 std::string(row.text(3)),
                 std::string(row.text(4)),
                 std::string(row.text(5))};
      },
      as_signed(queue), from));
  return found;
}

Result<sources::Position> Ledger::forgotten(std::uint64_t queue) {
  sources::Position upto = 0;
  NEPTUNE_TRY(impl_->each(
      "SELECT upto FROM forgotten WHERE queue = ?", [&upto](const sqlite::Statement& row) { upto = row.number(0); },
      as_signed(queue)));
  return upto;
}

Result<void> Ledger::forget(std::uint64_t queue, sources::Position upto) {
  return impl_->run(
      "INSERT INTO forgotten (queue, upto) VALUES (?, ?) ON CONFLICT (queue) DO UPDATE SET upto = max(upto, "
      "excluded.upto)",
      as_signed(queue), upto);
}

Result<bool> Ledger::keeps_rejected_of(const std::string& source) {
  bool any = false;
  NEPTUNE_TRY(impl_->each(
      "SELECT 1 FROM rejected WHERE source = ? LIMIT 1", [&any](const sqlite::Statement&) { any = true; }, source));
  return any;
}

Result<Rejection> Ledger::mark_for_retry(std::int64_t id) {
  NEPTUNE_TRY(impl_->run("UPDATE rejected SET retry = 1 WHERE id = ?", id));
  return rejection(id);
}

Result<std::vector<ContainerName>> Ledger::containers_to_retry() {
  std::vector<ContainerName> list;
  NEPTUNE_TRY(impl_->each("SELECT DISTINCT project, kind, container FROM rejected WHERE retry = 1",
                          [&list](const sqlite::Statement& row) { list.push_back(container_at(row, 0)); }));
  return list;
}

Result<std::vector<ContainerName>> Ledger::retry_forks_of(const ContainerName& parent) {
  std::vector<ContainerName> forks;
  std::vector<std::int64_t> ids;
  NEPTUNE_TRY(impl_->each(
      "SELECT id, project, kind, container, payload FROM rejected WHERE project = ? AND change = ? AND code = ? AND "
      "retry = 0",
      [&](const sqlite::Statement& row) {
        const auto fork = wire::read_fork(parent.project, row.blob(4));
        if (!fork || !*fork || (*fork)->parent != parent) return;
        ids.push_back(row.number(0));
        forks.push_back(container_at(row, 1));
      },
      scope_text(parent.project), ChangeKind::run_create, name(IngestCode::run_fork_parent_not_found)));
  for (const auto id : ids) NEPTUNE_TRY(impl_->run("UPDATE rejected SET retry = 1 WHERE id = ?", id));
  return forks;
}

Result<std::vector<Rejection>> Ledger::to_retry(const ContainerName& container) {
  std::vector<Rejection> list;
  NEPTUNE_TRY(impl_->each(
      fmt::format("SELECT {} FROM rejected WHERE project = ? AND kind = ? AND container = ? AND retry = 1 ORDER BY id",
                  rejection_columns),
      [&list](const sqlite::Statement& row) { list.push_back(rejection_at(row)); }, scope_text(container.project),
      container.kind, container.id));
  return list;
}

Result<std::vector<std::string>> Ledger::resolve(const ProjectName& project, const std::vector<std::int64_t>& ids) {
  auto transaction = impl_->begin(false);
  if (!transaction) return std::unexpected(transaction.error());
  std::vector<std::string> sources;
  for (const auto id : ids) {
    NEPTUNE_TRY(impl_->each(
        "SELECT source FROM rejected WHERE id = ?",
        [&](const sqlite::Statement& row) { sources.emplace_back(row.text(0)); }, id));
    NEPTUNE_TRY(
        impl_->run("UPDATE sources SET rejected = rejected - 1, synced = synced + 1 WHERE id = (SELECT max(sources.id) "
                   "FROM sources "
                   "JOIN rejected ON sources.path = rejected.source AND sources.container = rejected.container AND "
                   "sources.kind = rejected.kind WHERE "
                   "rejected.id = ? AND sources.rejected > 0)",
                   id));
    NEPTUNE_TRY(impl_->run("DELETE FROM rejected WHERE id = ?", id));
    NEPTUNE_TRY(impl_->forget_intents_of(id));
  }
  const auto resolved = static_cast<std::int64_t>(sources.size());
  NEPTUNE_TRY(impl_->count(project, resolved, -resolved));
  NEPTUNE_TRY(impl_->run("UPDATE counters SET retried = retried + ? WHERE project = ?", resolved, scope_text(project)));
  NEPTUNE_TRY(transaction->commit());
  return sources;
}

Result<void> Ledger::reject_again(std::int64_t id, const std::string& code, const std::string& reason,
                                  const std::string& part, WallTime now) {
  auto transaction = impl_->begin(false);
  if (!transaction) return std::unexpected(transaction.error());
  NEPTUNE_TRY(impl_->run("UPDATE rejected SET retry = 0, code = ?, reason = ?, part = ?, at_ms = ? WHERE id = ?", code,
                         reason, part, to_unix_ms(now), id));
  NEPTUNE_TRY(impl_->forget_intents_of(id));
  return transaction->commit();
}

Result<void> Ledger::intend(const IntentOf& of, sources::Position first, sources::Position last,
                            std::string_view text) {
  auto transaction = impl_->begin(true);
  if (!transaction) return std::unexpected(transaction.error());
  NEPTUNE_TRY(impl_->run("DELETE FROM intents WHERE source = ? AND rejection = ? AND last >= ?", of.source,
                         of.rejection, first));
  NEPTUNE_TRY(impl_->run("INSERT INTO intents (source, rejection, last, text) VALUES (?, ?, ?, ?)", of.source,
                         of.rejection, last, text));
  return transaction->commit();
}

Result<std::optional<std::string>> Ledger::intent(const IntentOf& of, sources::Position first) {
  std::optional<std::string> text;
  NEPTUNE_TRY(impl_->each(
      "SELECT text FROM intents WHERE source = ? AND rejection = ? AND last >= ? ORDER BY last LIMIT 1",
      [&text](const sqlite::Statement& row) { text = std::string(row.text(0)); }, of.source, of.rejection, first));
  return text;
}

// Files on their way

namespace {

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + '\n';
  return text;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

/// Columns inode, size, mtime_ns, ctime_ns, from `column` on.
server::FileIdentity identity_at(const sqlite::Statement& row, int column) {
  const auto number = [&row](int at) { return static_cast<std::uint64_t>(row.number(at)); };
  return {number(column), number(column + 1), row.number(column + 2), row.number(column + 3)};
}

/// None where the provider is one that another version knew.
std::optional<server::UploadProgress> progress_at(const sqlite::Statement& row) {
  const auto provider = server::provider_named(row.text(0));
  if (!provider) return std::nullopt;
  server::UploadProgress progress;
  progress.provider = *provider;
  progress.file = identity_at(row, 1);
  progress.session = row.text(5);
  progress.part_size = static_cast<std::uint64_t>(row.number(6));
  progress.url = row.text(7);
  progress.part_urls = lines_of(row.text(8));
  return progress;
}

}  // namespace

Result<std::optional<server::UploadProgress>> Ledger::upload(const UploadOf& which) {
  std::optional<server::UploadProgress> progress;
  NEPTUNE_TRY(impl_->each(
      "SELECT provider, inode, size, mtime_ns, ctime_ns, session, part_size, url, part_urls FROM uploads "
      "WHERE "
      "source = ? AND rejection = ? AND position = ? AND provider IS NOT NULL",
      [&progress](const sqlite::Statement& row) { progress = progress_at(row); }, which.of.source, which.of.rejection,
      which.position));
  if (!progress) return progress;
  NEPTUNE_TRY(impl_->each(
      "SELECT number, tag FROM parts WHERE source = ? AND rejection = ? AND position = ? ORDER BY number",
      [&progress](const sqlite::Statement& row) {
        progress->finished.push_back({static_cast<std::uint32_t>(row.number(0)), std::string(row.text(1))});
      },
      which.of.source, which.of.rejection, which.position));
  return progress;
}

Result<void> Ledger::save_upload(const UploadOf& which, const server::UploadProgress& progress) {
  auto transaction = impl_->begin(false);
  if (!transaction) return std::unexpected(transaction.error());
  NEPTUNE_TRY(clear_upload(which));
  NEPTUNE_TRY(impl_->run(
      "INSERT INTO uploads (source, rejection, position, provider, inode, size, mtime_ns, ctime_ns, session, "
      "part_size, "
      "url, part_urls) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      which.of.source, which.of.rejection, which.position, name(progress.provider), as_signed(progress.file.inode),
      as_signed(progress.file.size), progress.file.mtime_ns, progress.file.ctime_ns, progress.session,
      as_signed(progress.part_size), progress.url, joined(progress.part_urls)));
  for (const auto& part : progress.finished) NEPTUNE_TRY(add_part(which, part));
  return transaction->commit();
}

Result<void> Ledger::add_part(const UploadOf& which, const server::FinishedPart& part) {
  return impl_->run("INSERT OR REPLACE INTO parts (source, rejection, position, number, tag) VALUES (?, ?, ?, ?, ?)",
                    which.of.source, which.of.rejection, which.position, part.number, part.tag);
}

Result<void> Ledger::clear_upload(const UploadOf& which) {
  NEPTUNE_TRY(impl_->run("DELETE FROM parts WHERE source = ? AND rejection = ? AND position = ?", which.of.source,
                         which.of.rejection, which.position));
  return impl_->run("DELETE FROM uploads WHERE source = ? AND rejection = ? AND position = ?", which.of.source,
                    which.of.rejection, which.position);
}

Result<void> Ledger::uploads_done(const std::vector<DoneUpload>& all, bool durable) {
  auto transaction = impl_->begin(durable);
  if (!transaction) return std::unexpected(transaction.error());
  for (const auto& [which, file] : all) {
    NEPTUNE_TRY(clear_upload(which));
    NEPTUNE_TRY(impl_->run(
        "INSERT INTO uploads (source, rejection, position, done, inode, size, mtime_ns, ctime_ns) VALUES (?, ?, ?, 1, "
        "?, ?, ?, ?)",
        which.of.source, which.of.rejection, which.position, as_signed(file.inode), as_signed(file.size), file.mtime_ns,
        file.ctime_ns));
  }
  return transaction->commit();
}

Result<Ledger::KnownUploads> Ledger::uploads(const IntentOf& of, sources::Position first, sources::Position last) {
  KnownUploads known;
  NEPTUNE_TRY(impl_->each(
      "SELECT position, done, inode, size, mtime_ns, ctime_ns FROM uploads WHERE source = ? AND rejection = ? AND "
      "position "
      "BETWEEN ? AND ?",
      [&known](const sqlite::Statement& row) {
        if (row.number(1) != 0) {
          known.done[row.number(0)] = identity_at(row, 2);
        } else {
          known.begun.insert(row.number(0));
        }
      },
      of.source, of.rejection, first, last));
  return known;
}

Result<void> Ledger::note_removed(const std::vector<RemovedRun>& runs) {
  auto transaction = impl_->begin(false);
  if (!transaction) return std::unexpected(transaction.error());
  for (const auto& [project, run, change, at, for_good] : runs)
    NEPTUNE_TRY(
        impl_->run("INSERT OR REPLACE INTO removed (project, run, change, at_ms, for_good) VALUES (?, ?, ?, ?, ?)",
                   scope_text(project), run, change, to_unix_ms(at), for_good ? 1 : 0));
  // Many at a time: all have to be looked at for that.
  NEPTUNE_TRY(impl_->run(
      "DELETE FROM removed WHERE (SELECT count(*) FROM removed) > ?1 + ?1 / 10 AND (project, run) IN (SELECT project, "
      "run FROM removed ORDER BY at_ms DESC LIMIT -1 OFFSET ?1)",
      removed_kept));
  return transaction->commit();
}

Result<void> Ledger::note_restored(const ProjectName& project, const std::vector<std::string>& runs) {
  auto transaction = impl_->begin(false);
  if (!transaction) return std::unexpected(transaction.error());
  for (const auto& run : runs)
    NEPTUNE_TRY(impl_->run("DELETE FROM removed WHERE project = ? AND run = ?", scope_text(project), run));
  return transaction->commit();
}

Result<std::vector<RemovedRun>> Ledger::removed() {
  std::vector<RemovedRun> list;
  NEPTUNE_TRY(
      impl_->each("SELECT project, run, change, at_ms, for_good FROM removed", [&list](const sqlite::Statement& row) {
        if (const auto scope = Scope::parse(row.text(0)))
          list.push_back({{scope->workspace, scope->project},
                          std::string(row.text(1)),
                          row.number(2),
                          from_unix_ms(row.number(3)),
                          row.number(4) != 0});
      }));
  return list;
}

Result<std::vector<KeptMode>> Ledger::modes() {
  std::vector<KeptMode> list;
  NEPTUNE_TRY(impl_->each("SELECT scope, read_only, reason, since_ms, held_by, held_since_ms FROM modes",
                          [&list](const sqlite::Statement& row) {
                            auto scope = Scope::parse(row.text(0));
                            if (scope)
                              list.push_back({std::move(*scope), row.number(1) != 0, std::string(row.text(2)),
                                              time_at(row, 3), std::string(row.text(4)), time_at(row, 5)});
                          }));
  return list;
}

Result<std::vector<KeptWorkspace>> Ledger::workspaces() {
  std::vector<KeptWorkspace> list;
  NEPTUNE_TRY(impl_->each("SELECT server, name, type FROM workspaces", [&list](const sqlite::Statement& row) {
    list.push_back({std::string(row.text(0)), std::string(row.text(1)), static_cast<WorkspaceType>(row.number(2))});
  }));
  return list;
}

Result<void> Ledger::keep(const KeptWorkspace& workspace) {
  return impl_->run("INSERT OR REPLACE INTO workspaces (server, name, type) VALUES (?, ?, ?)", workspace.server,
                    workspace.name, workspace.type);
}

Result<void> Ledger::answers() {
  NEPTUNE_TRY(sqlite::Transaction::begin(impl_->db, sqlite::Transaction::Kind::write));
  return {};
}

Result<void> Ledger::keep(const KeptMode& mode) {
  const auto scope = mode.scope.text();
  // What an operator said must outlast a power cut.
  auto transaction = impl_->begin(true);
  if (!transaction) return std::unexpected(transaction.error());
  if (!mode.read_only && mode.held_by.empty()) {
    NEPTUNE_TRY(impl_->run("DELETE FROM modes WHERE scope = ?", scope));
    return transaction->commit();
  }
  const auto ms = [](const std::optional<WallTime>& time) { return time ? to_unix_ms(*time) : 0; };
  NEPTUNE_TRY(impl_->run(
      "INSERT OR REPLACE INTO modes (scope, read_only, reason, since_ms, held_by, held_since_ms) VALUES (?, ?, ?, "
      "nullif(?, 0), ?, nullif(?, 0))",
      scope, mode.read_only, mode.reason, ms(mode.since), mode.held_by, ms(mode.held_since)));
  return transaction->commit();
}

}  // namespace neptune::engine
