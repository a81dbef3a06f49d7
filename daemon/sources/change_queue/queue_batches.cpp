// What is sent of a stream next, and its bytes.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

#include "changes/limits.h"
#include "changes/wire.h"
#include "sources/change_queue/needs.h"
#include "sources/change_queue/queue_rows.h"
#include "sources/change_queue/queue_store.h"
#include "support/sqlite_store.h"
#include "support/try.h"

namespace neptune::sources {

namespace {

constexpr std::uint64_t piece_bytes = 64u << 10;

/// What a change adds to the payload of a request.
std::uint64_t bytes_in(OperationKind kind, std::uint64_t size) {
  return kind == OperationKind::update ? wire::framed_size(size) : size;
}

}  // namespace

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

Result<void> QueueStore::each_payload(ContainerKind kind, const std::function<void(std::string_view)>& f) {
  return database_->each(
      "SELECT payload FROM streams JOIN changes ON changes.stream = streams.id WHERE streams.kind = ?",
      [&f](const sqlite::Statement& row) {
        f(row.blob(0));
        return true;
      },
      kind);
}

}  // namespace neptune::sources
