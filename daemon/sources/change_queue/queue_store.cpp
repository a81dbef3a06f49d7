#include "sources/change_queue/queue_store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

#include "changes/limits.h"
#include "changes/wire.h"
#include "sources/change_queue/needs.h"
#include "sources/change_queue/queue_rows.h"
#include "sources/change_queue/queue_schema.h"
#include "support/disk.h"
#include "support/sqlite_store.h"
#include "support/try.h"

namespace neptune::sources {

namespace {

constexpr std::uint64_t piece_bytes = 64u << 10;
constexpr std::int64_t rows_a_transaction = 1000;
constexpr std::uint64_t bytes_a_transaction = 4u << 20;  // our own bound, as the one before
constexpr std::uint64_t settles_at_ease = 16u << 20;     // free on the disk: our own bound
constexpr std::uint64_t waiting_looked_at = 10'000;      // our own bound: past it a removal waits for all of them

/// What a change adds to the payload of a request.
std::uint64_t bytes_in(OperationKind kind, std::uint64_t size) {
  return kind == OperationKind::update ? wire::framed_size(size) : size;
}

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

// Accepting

Result<QueueStore::Accepted> QueueStore::accept(std::span<const Handed> requests, WallTime now) {
  auto transaction = database_->begin(true);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  Accepted accepted;
  struct Into {
    std::int64_t stream = 0;
    Growth growth{};
  };
  std::map<std::pair<ContainerName, Lane>, Into> streams;
  std::uint64_t added = 0, inserted = 0;
  auto last = last_;
  for (const auto& request : requests) {
    const auto lane = request.place == 0 ? Lane::writes : Lane::assignments;
    const auto at_ms = to_unix_ms(std::min(request.at.value_or(now), now));
    auto& ids = accepted.ids.emplace_back();
    auto& again = accepted.known.emplace_back();
    auto refused = other_content(request);
    if (!refused) return std::unexpected(std::move(refused.error()));
    const bool is_refused = accepted.refused.emplace_back(std::move(*refused)).has_value();
    if (is_refused) continue;
    for (const auto& change : request.changes) {
      const auto known = id_of_key(request.by.uid, change.idempotency_key);
      if (!known) return std::unexpected(known.error());
      again.push_back(known->has_value());
      auto id = known->value_or(0);
      if (id == 0) {
        auto& [stream, growth] = streams[{change.container, lane}];
        if (stream == 0) {
          auto found = stream_of(change.container, at_ms, lane);
          if (!found) return std::unexpected(std::move(found.error()));
          stream = *found;
        }
        auto made = insert(change, request, stream, at_ms);
        if (!made) return std::unexpected(std::move(made.error()));
        id = last = *made;
        added += change.payload.size();
        inserted++;
        if (growth.count++ == 0) growth.first = id;
        growth.last = id;
        growth.bytes += change.payload.size();
      }
      ids.push_back(id);
    }
  }
  for (const auto& [name, into] : streams) {
    auto grown = stream(into.stream);
    if (!grown) return std::unexpected(std::move(grown.error()));
    accepted.touched.push_back({std::move(*grown), into.growth});
  }
  NEPTUNE_TRY(transaction->commit());
  bytes_ += added;
  count_ += inserted;
  last_ = last;
  mark_.write({identity_, last_, count_});
  return accepted;
}

/// Whoever gives a key again means the same change: another one under it would be lost without a word.
Result<std::optional<Error>> QueueStore::other_content(const Handed& request) {
  std::map<std::string_view, std::uint64_t> given;
  for (const auto& change : request.changes) {
    const auto& key = change.idempotency_key;
    if (key.empty() || change.content == 0) continue;
    std::string before = "another change of this request";
    auto content = given.emplace(key, change.content).first->second;
    NEPTUNE_TRY(database_->each(
        "SELECT seq, coalesce(content, 0) FROM keys WHERE uid = ? AND key = ?",
        [&](const sqlite::Statement& row) {
          before = fmt::format("change {}", row.number(0));
          content = count_at(row, 1);
          return false;
        },
        request.by.uid, key));
    if (content != 0 && content != change.content)
      return Error{"idempotency_key_reused",
                   fmt::format("The idempotency key '{}' was given to {} before, and the content differs. Nothing of "
                               "this request was taken; give each change a key of its own, and the same one only to "
                               "hand in the same again.",
                               key, before),
                   false};
  }
  return std::nullopt;
}

Result<std::optional<std::int64_t>> QueueStore::id_of_key(std::uint32_t uid, std::string_view key) {
  std::optional<std::int64_t> id;
  if (key.empty()) return id;
  NEPTUNE_TRY(database_->each(
      "SELECT seq FROM keys WHERE uid = ? AND key = ?",
      [&id](const sqlite::Statement& row) {
        id = row.number(0);
        return false;
      },
      uid, key));
  return id;
}

Result<void> QueueStore::each_payload(ContainerKind kind, const std::function<void(std::string_view)>& f) {
  return database_->each(
      "SELECT payload FROM streams JOIN changes ON changes.stream = streams.id WHERE streams.kind = ?",
      [&f](const sqlite::Statement& row) {
        f(row.blob(0));
        return true;
      },
      kind);
}

Result<std::uint64_t> QueueStore::new_bytes(const Handed& request) {
  std::uint64_t bytes = 0;
  for (const auto& change : request.changes) {
    const auto known = id_of_key(request.by.uid, change.idempotency_key);
    if (!known) return std::unexpected(known.error());
    if (!*known) bytes += change.payload.size();
  }
  return bytes;
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

Result<std::int64_t> QueueStore::stream_of(const ContainerName& container, std::int64_t now_ms, Lane lane) {
  NEPTUNE_TRY(database_->run(
      "INSERT OR IGNORE INTO streams (workspace, project, kind, container, lane, begun_ms) VALUES (?, ?, ?, ?, ?, ?)",
      container.project.workspace, container.project.project, container.kind, container.id, lane, now_ms));
  std::int64_t id = 0;
  NEPTUNE_TRY(database_->each(
      "SELECT id FROM streams WHERE workspace = ? AND project = ? AND kind = ? AND container = ? AND lane = ?",
      [&id](const sqlite::Statement& row) {
        id = row.number(0);
        return false;
      },
      container.project.workspace, container.project.project, container.kind, container.id, lane));
  return id;
}

Result<std::int64_t> QueueStore::insert(const Change& change, const Handed& request, std::int64_t stream,
                                        std::int64_t now_ms) {
  const auto needs = write_needs({change.fork_parent, change.after, change.discard_pending});
  NEPTUNE_TRY(
      database_->run("INSERT INTO changes (stream, kind, uid, at_ms, size, frees, creates, needs, place, payload) "
                     "VALUES (?, ?, ?, ?, ?, ?, ?, nullif(?, ''), nullif(?, 0), ?)",
                     stream, change.kind, request.by.uid, now_ms, change.payload.size(), change.frees, change.creates,
                     needs, request.place, sqlite::Bytes{change.payload}));
  const auto id = database_->db.last_insert_rowid();
  NEPTUNE_TRY(
      database_->run("UPDATE streams SET count = count + 1, bytes = bytes + ?, creates = creates + ? WHERE id = ?",
                     change.payload.size(), change.creates, stream));
  if (!change.idempotency_key.empty()) {
    NEPTUNE_TRY(database_->run("INSERT INTO keys (uid, key, seq, content) VALUES (?, ?, ?, nullif(?, 0))",
                               request.by.uid, change.idempotency_key, id, as_signed(change.content)));
    NEPTUNE_TRY(database_->run("DELETE FROM keys WHERE id <= ?", database_->db.last_insert_rowid() - keys_kept));
  }
  return id;
}

// Reading

Result<QueueStore::Rows> QueueStore::confirmed_rows(std::int64_t stream, Position after) {
  auto& known = confirmed_[stream];
  if (after < known.upto) known = {};
  NEPTUNE_TRY(database_->each(
      "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(creates), 0) FROM changes WHERE stream = ? AND seq > ? "
      "AND seq <= ?",
      [&known](const sqlite::Statement& row) {
        known.count += count_at(row, 0);
        known.bytes += count_at(row, 1);
        known.creates += count_at(row, 2);
        return false;
      },
      stream, known.upto, after));
  known.upto = after;
  const auto rows = known;
  if (rows.count == 0) confirmed_.erase(stream);
  return rows;
}

Result<Backlog> QueueStore::backlog(std::int64_t stream, Position after) {
  Backlog backlog;
  const auto whole = this->stream(stream);
  if (!whole) return std::unexpected(whole.error());
  if (whole->count == 0) return backlog;
  const auto confirmed = confirmed_rows(stream, after);
  if (!confirmed) return std::unexpected(confirmed.error());
  backlog.count = whole->count - std::min(whole->count, confirmed->count);
  backlog.bytes = whole->bytes - std::min(whole->bytes, confirmed->bytes);
  const auto& container = whole->container;
  const bool creates = whole->creates > confirmed->creates;
  Position create = 0;
  if (creates)
    NEPTUNE_TRY(database_->each(
        "SELECT coalesce(min(seq), 0) FROM changes WHERE stream = ? AND seq > ? AND creates != 0",
        [&create](const sqlite::Statement& row) {
          create = row.number(0);
          return false;
        },
        stream, after));
  if (container.kind == ContainerKind::management) backlog.creates_project = create;
  NEPTUNE_TRY(database_->each(
      "SELECT coalesce(max(seq), 0) FROM changes WHERE stream = ?",
      [&](const sqlite::Statement& row) {
        backlog.last = row.number(0);
        return false;
      },
      stream));
  NEPTUNE_TRY(database_->each(
      "SELECT seq, kind, at_ms, frees, needs FROM changes WHERE stream = ? AND seq > ? ORDER BY seq LIMIT 1",
      [&](const sqlite::Statement& row) {
        const auto kind = static_cast<ChangeKind>(row.number(1));
        backlog.ticket = row.number(0);
        backlog.next = operation_kind(kind);
        backlog.oldest_at = from_unix_ms(row.number(2));
        backlog.frees_next = row.number(3) != 0;
        auto needs = read_needs(row.text(4));
        backlog.fork_parent = std::move(needs.fork_parent);
        backlog.after = std::move(needs.after);
        backlog.discards = needs.discards;
        backlog.create_behind = create == backlog.ticket ? 0 : create;
        return false;
      },
      stream, after));
  // Of all of them: what waits for a later one by its place waits for those before it, too.
  if (whole->lane == Lane::assignments)
    NEPTUNE_TRY(database_->each(
        "SELECT coalesce(min(place), 0) FROM changes WHERE stream = ? AND seq > ? AND place IS NOT NULL",
        [&](const sqlite::Statement& row) {
          backlog.ticket = row.number(0);
          return false;
        },
        stream, after));
  if (container.kind == ContainerKind::removals && container.id.empty())
    NEPTUNE_TRY(keep_behind_those_that_wait(container, backlog.after));
  return backlog;
}

/// A removal goes after those that stepped aside and are of the same thing, so it names them, too.
Result<void> QueueStore::keep_behind_those_that_wait(const ContainerName& removals, std::vector<ContainerName>& after) {
  const auto is_target = [](const ContainerName& name) {
    if (name.kind == ContainerKind::removals) return false;  // those of the whole project, which all of them go after
    return name.kind != ContainerKind::management || name.id != restores_of_project;
  };
  const auto is_everything = [](const ContainerName& name) {
    return name.kind == ContainerKind::management && name.id == everything_in_project;
  };
  const auto is_shared = [&](const ContainerName& name) {
    return is_target(name) && (is_everything(name) || std::ranges::find(after, name) != after.end());
  };
  ContainerName waiting = removals;
  waiting.id = removals_that_wait;
  bool shared = false;
  std::uint64_t looked_at = 0;
  NEPTUNE_TRY(database_->each(
      "SELECT needs FROM changes WHERE stream = (SELECT id FROM streams WHERE workspace = ? AND project = ? AND kind = "
      "? AND container = ?)",
      [&](const sqlite::Statement& row) {
        shared = ++looked_at > waiting_looked_at || std::ranges::any_of(read_needs(row.text(0)).after, is_shared);
        return !shared;
      },
      waiting.project.workspace, waiting.project.project, waiting.kind, waiting.id));
  if (shared) after.push_back(std::move(waiting));
  return {};
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

Result<std::variant<std::monostate, Batch, Oversized>> QueueStore::plan(std::int64_t stream, Position after,
                                                                        BatchLimits limits) {
  using Plan = std::variant<std::monostate, Batch, Oversized>;
  std::optional<Batch> batch;
  std::optional<ChangeKind> first_kind;
  NEPTUNE_TRY(database_->each(
      "SELECT seq, kind, size FROM changes WHERE stream = ? AND seq > ? ORDER BY seq",
      [&](const sqlite::Statement& row) {
        const auto kind = static_cast<ChangeKind>(row.number(1));
        const auto operation = operation_kind(kind);
        const auto size = count_at(row, 2);
        const auto bytes = bytes_in(operation, size);
        if (!batch) {
          batch = Batch{operation, row.number(0), row.number(0), 1, bytes};
          first_kind = kind;
          return operation == OperationKind::update || operation == OperationKind::upload || is_attributes(kind);
        }
        if (kind != *first_kind || batch->count >= limits.operations || batch->payload_bytes + bytes > limits.bytes)
          return false;
        batch->last = row.number(0);
        batch->count++;
        batch->payload_bytes += bytes;
        return true;
      },
      stream, after));
  if (!batch) return Plan{};
  if (batch->count > 1) {
    const auto create = first_create(stream, batch->first);
    if (!create) return std::unexpected(create.error());
    if (batch->kind == OperationKind::call || *create < batch->last) NEPTUNE_TRY(keep_order(stream, *batch, *create));
  }
  return Plan{*batch};
}

/// What the first change waits for is looked at by who sends it; a later one may wait for something that was accepted
/// between them. The batch then ends before it, and before `create`.
Result<void> QueueStore::keep_order(std::int64_t stream, Batch& batch, Position create) {
  std::map<std::string, Position, std::less<>> first_needed;  // by needs: the first position of theirs in between
  Result<void> looked;
  Batch kept = batch;
  kept.count = kept.payload_bytes = 0;
  NEPTUNE_TRY(database_->each(
      "SELECT seq, size, needs FROM changes WHERE stream = ? AND seq BETWEEN ? AND ? ORDER BY seq",
      [&](const sqlite::Statement& row) {
        const auto seq = row.number(0);
        const auto needs = row.text(2);
        if (seq > create) return false;
        if (seq != batch.first && !needs.empty()) {
          auto known = first_needed.find(needs);
          if (known == first_needed.end()) {
            auto position = first_of(read_needs(needs).after, batch.first);
            if (!position) looked = std::unexpected(std::move(position.error()));
            if (!looked) return false;
            known = first_needed.emplace(std::string(needs), *position).first;
          }
          if (known->second < seq) return false;
        }
        kept.last = seq;
        kept.count++;
        kept.payload_bytes += bytes_in(batch.kind, count_at(row, 1));
        return true;
      },
      stream, batch.first, batch.last));
  batch = kept;
  return looked;
}

/// The first create of the stream's project, or of the run whose files it holds, that was accepted after `after`: what
/// was accepted before it is for the one that is there until then, and may be removed with that.
Result<Position> QueueStore::first_create(std::int64_t stream, Position after) {
  const auto of = this->stream(stream);
  if (!of) return std::unexpected(of.error());
  const auto& [project, id, kind] = of->container;
  std::vector<ContainerName> made{{project, {}, ContainerKind::management}};
  if (kind == ContainerKind::files) made.push_back({project, id, ContainerKind::run});
  return first_of(made, after, true);
}

namespace {

/// Of each of the container's streams.
constexpr const char* first_of_container =
    "SELECT (SELECT min(seq) FROM changes WHERE stream = streams.id AND seq > ?) FROM streams WHERE workspace = ? AND "
    "project = ? AND kind = ? AND container = ?";
constexpr const char* first_create_of_container =
    "SELECT (SELECT min(seq) FROM changes WHERE stream = streams.id AND seq > ? AND creates != 0) FROM streams WHERE "
    "workspace = ? AND project = ? AND kind = ? AND container = ? AND creates != 0";

}  // namespace

/// The first that was accepted after `after` into these streams; `creates`: of those that create what they are of.
Result<Position> QueueStore::first_of(const std::vector<ContainerName>& containers, Position after, bool creates) {
  auto first = std::numeric_limits<Position>::max();
  for (const auto& container : containers)
    NEPTUNE_TRY(database_->each(
        creates ? first_create_of_container : first_of_container,
        [&first](const sqlite::Statement& row) {
          if (!row.is_null(0)) first = std::min(first, row.number(0));
          return true;
        },
        after, container.project.workspace, container.project.project, container.kind, container.id));
  return first;
}

Result<std::string> QueueStore::read_piece(std::int64_t stream, const Batch& batch, Cursor& cursor) {
  std::string piece;
  NEPTUNE_TRY(database_->each(
      "SELECT seq, payload FROM changes WHERE stream = ? AND seq BETWEEN ? AND ? ORDER BY seq",
      [&](const sqlite::Statement& row) {
        const auto payload = row.blob(1);
        if (batch.kind == OperationKind::update) wire::append_frame_head(piece, payload.size());
        piece += payload;
        cursor.position = row.number(0);
        cursor.operations++;
        return piece.size() < piece_bytes;
      },
      stream, std::max(batch.first, cursor.position + 1), batch.last));
  return piece;
}

namespace {

constexpr const char* change_columns =
    "changes.seq, changes.kind, changes.uid, at_ms, changes.creates, payload, workspace, project, streams.kind, "
    "container, coalesce(place, changes.seq)";

QueuedChange change_at(const sqlite::Statement& row) {
  QueuedChange change;
  change.position = row.number(0);
  change.kind = static_cast<ChangeKind>(row.number(1));
  change.uid = static_cast<std::uint32_t>(row.number(2));
  change.at = from_unix_ms(row.number(3));
  change.creates = row.number(4) != 0;
  change.payload = row.blob(5);
  change.container = {{std::string(row.text(6)), std::string(row.text(7))},
                      std::string(row.text(9)),
                      static_cast<ContainerKind>(row.number(8))};
  change.place = row.number(10);
  return change;
}

}  // namespace

Result<std::vector<QueuedChange>> QueueStore::changes(std::int64_t stream, Position first, Position last) {
  std::vector<QueuedChange> list;
  static const auto sql = fmt::format(
      "SELECT {} FROM changes JOIN streams ON streams.id = stream WHERE stream = ? AND seq BETWEEN ? AND ? ORDER BY "
      "seq",
      change_columns);
  NEPTUNE_TRY(database_->each(
      sql,
      [&list](const sqlite::Statement& row) {
        list.push_back(change_at(row));
        return true;
      },
      stream, first, last));
  if (list.empty())
    return fail("change_gone", fmt::format("changes {} to {} are not queued any more", first, last), true);
  return list;
}

Result<void> QueueStore::each_change(const std::function<Result<void>(const Whole&)>& f) {
  // Merged of two that are in order by themselves, so that no payloads are sorted but those of the few with a place.
  static const auto half = [](std::string_view which) {
    return fmt::format(
        "SELECT {}, frees, needs, coalesce(key, ''), lane, coalesce(content, 0) FROM changes JOIN streams ON "
        "streams.id = stream LEFT JOIN "
        "keys ON keys.seq = changes.seq WHERE place IS {}",
        change_columns, which);
  };
  static const auto sql = half("NULL") + " UNION ALL " + half("NOT NULL") + " ORDER BY 11, 1";
  Result<void> outcome;
  NEPTUNE_TRY(database_->each(sql, [&outcome, &f](const sqlite::Statement& row) {
    outcome = f({change_at(row), static_cast<Lane>(row.number(14)), row.number(11) != 0, read_needs(row.text(12)),
                 std::string(row.text(13)), count_at(row, 15)});
    return outcome.has_value();
  }));
  return outcome;
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

// Settling

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
  mark_.write({identity_, last_, count_});
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

// What left for another machine

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
