#include "sources/change_queue/queue_store.h"

#include <fmt/format.h>

#include <utility>

#include "sources/change_queue/queue_rows.h"
#include "sources/change_queue/queue_schema.h"
#include "support/disk.h"
#include "support/sqlite_store.h"
#include "support/try.h"

namespace neptune::sources {

namespace {

QueuedStream stream_at(const sqlite::Statement& row) {
  return {row.number(0),
          {{std::string(row.text(1)), std::string(row.text(2))},
           std::string(row.text(4)),
           static_cast<ContainerKind>(row.number(3))},
          count_at(row, 5),
          count_at(row, 6),
          row.number(7),
          count_at(row, 8),
          static_cast<Lane>(row.number(9))};
}

constexpr const char* stream_columns = "id, workspace, project, kind, container, count, bytes, begun_ms, creates, lane";

}  // namespace

std::string queue_path(const ContainerName& container, Lane lane) {
  static constexpr std::string_view of_lane[] = {"", "create of ", "files assigned to "};
  // The kind is part of it: a run may well be called "management".
  return fmt::format("change queue: {}/{}{} {}", container.project.full(), of_lane[static_cast<std::size_t>(lane)],
                     name(container.kind), container.id);
}

QueueStore::QueueStore(std::filesystem::path file, std::unique_ptr<sqlite::Store> database)
    : file_(std::move(file)), database_(std::move(database)), mark_(file_) {}
QueueStore::~QueueStore() = default;

Result<std::unique_ptr<QueueStore>> QueueStore::open(const std::filesystem::path& file) {
  const auto explain = [&file](const Error& error) {
    if (error.code == "sqlite_full")
      return fail("disk_full",
                  fmt::format("the change queue {} cannot be opened: its disk is full. What waits in it is kept; free "
                              "some space there and start again.",
                              file.string()),
                  true);
    return fail(
        "queue_unusable",
        fmt::format("the change queue {} cannot be used: {}. Nothing in it was touched. `neptune-sync queue check "
                    "--repair` mends what can be mended. To start with an empty one, move it away with its -wal, and "
                    "keep both: the accepted changes that wait in it are not sent then.",
                    file.string(), error.message));
  };
  if (const auto whole = sqlite::refuse_log_alone(file); !whole) return explain(whole.error());
  auto db = sqlite::Database::open(file, {.access = sqlite::Access::create, .busy_timeout = sqlite::Store::patience});
  if (!db) return explain(db.error());
  // Looked at before anything is set: another's file must not even change its journal mode.
  const auto version = db->number("PRAGMA user_version");
  if (!version) return explain(version.error());
  if (*version > queue_version)
    return fail("queue_too_new",
                fmt::format("{} was written by a newer neptune-syncd (schema {}); install that version. What waits in "
                            "it is kept.",
                            file.string(), *version));
  // What jobs log is nobody else's to read; SQLite gives what lies beside the file the same mode.
  if (const auto mode = keep_private(file))
    return fail("queue_unusable",
                fmt::format("the change queue {} cannot be kept from others: {}", file.string(), mode.message()));
  if (*version == 0) {
    const auto tables = db->number("SELECT count(*) FROM sqlite_schema");
    if (!tables) return explain(tables.error());
    if (*tables > 0) return explain({"queue_unusable", "it is the database of another program", false});
  }
  if (auto set = prepare_queue(*db, *version); !set) return explain(set.error());
  auto store = std::unique_ptr<QueueStore>(new QueueStore(file, std::make_unique<sqlite::Store>(std::move(*db))));
  const auto bytes = store->database_->db.number("SELECT coalesce(sum(bytes), 0) FROM streams");
  if (!bytes) return explain(bytes.error());
  store->bytes_ = static_cast<std::uint64_t>(*bytes);
  const auto count = store->database_->db.number("SELECT coalesce(sum(count), 0) FROM streams");
  if (!count) return explain(count.error());
  store->count_ = static_cast<std::uint64_t>(*count);
  const auto last = store->last_number();
  if (!last) return explain(last.error());
  store->last_ = *last;
  const auto identity = store->database_->db.number("SELECT identity FROM queue");
  if (!identity) return explain(identity.error());
  store->identity_ = static_cast<std::uint64_t>(*identity);
  return store;
}

Result<std::vector<QueuedStream>> QueueStore::streams() {
  std::vector<QueuedStream> list;
  static const auto sql = fmt::format("SELECT {} FROM streams ORDER BY id", stream_columns);
  NEPTUNE_TRY(database_->each(sql, [&list](const sqlite::Statement& row) {
    list.push_back(stream_at(row));
    return true;
  }));
  return list;
}

Result<std::uint64_t> QueueStore::reusable_bytes() {
  std::uint64_t pages = 0;
  NEPTUNE_TRY(database_->each("SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size",
                              [&pages](const sqlite::Statement& row) {
                                pages = count_at(row, 0);
                                return false;
                              }));
  return pages;
}

std::uint64_t QueueStore::log_bytes() const {
  std::error_code none;
  const auto bytes = std::filesystem::file_size(file_.string() + "-wal", none);
  return none ? 0 : bytes;
}

Result<void> QueueStore::give_back_log() {
  return database_->give_back_log();
}

Result<QueuedStream> QueueStore::stream(std::int64_t id) {
  static const auto sql = fmt::format("SELECT {} FROM streams WHERE id = ?", stream_columns);
  QueuedStream found;
  NEPTUNE_TRY(database_->each(
      sql,
      [&found](const sqlite::Statement& row) {
        found = stream_at(row);
        return false;
      },
      id));
  return found;
}

Result<Position> QueueStore::last_number() {
  return database_->db.number("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'changes'), 0)");
}

Result<QueueStore::Place> QueueStore::place(Position position) {
  Place place;
  std::int64_t stream = 0;
  NEPTUNE_TRY(
      database_->each("SELECT seq FROM sqlite_sequence WHERE name = 'changes'", [&](const sqlite::Statement& row) {
        place.through = row.number(0);
        place.known = position > 0 && position <= place.through;
        return false;
      }));
  NEPTUNE_TRY(database_->each(
      "SELECT stream, changes.kind, uid, at_ms, workspace, project, streams.kind, container, lane FROM changes JOIN "
      "streams ON streams.id = stream WHERE seq = ?",
      [&](const sqlite::Statement& row) {
        place.queued = true;
        stream = row.number(0);
        place.kind = static_cast<ChangeKind>(row.number(1));
        place.uid = static_cast<std::uint32_t>(row.number(2));
        place.at = from_unix_ms(row.number(3));
        place.container = {{std::string(row.text(4)), std::string(row.text(5))},
                           std::string(row.text(7)),
                           static_cast<ContainerKind>(row.number(6))};
        place.lane = static_cast<Lane>(row.number(8));
        return false;
      },
      position));
  if (!place.queued) {
    NEPTUNE_TRY(database_->each(
        "SELECT seq FROM changes WHERE seq > ? ORDER BY seq LIMIT 1",
        [&place](const sqlite::Statement& row) {
          place.through = row.number(0) - 1;
          return false;
        },
        position));
    NEPTUNE_TRY(look_at_moved(position, place));
    NEPTUNE_TRY(look_at_gaps(position, place));
    return place;
  }
  NEPTUNE_TRY(database_->each(
      "SELECT count(*) FROM (SELECT 1 FROM changes WHERE stream = ? AND seq < ? LIMIT ?)",
      [&](const sqlite::Statement& row) {
        place.ahead = count_at(row, 0);
        return false;
      },
      stream, position, as_signed(ahead_counted)));
  return place;
}

}  // namespace neptune::sources
