// Changes are put into the queue, each key once.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "sources/change_queue/needs.h"
#include "sources/change_queue/queue_rows.h"
#include "sources/change_queue/queue_store.h"
#include "support/sqlite_store.h"
#include "support/try.h"

namespace neptune::sources {

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
  write_mark();
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

Result<std::uint64_t> QueueStore::new_bytes(const Handed& request) {
  std::uint64_t bytes = 0;
  for (const auto& change : request.changes) {
    const auto known = id_of_key(request.by.uid, change.idempotency_key);
    if (!known) return std::unexpected(known.error());
    if (!*known) bytes += change.payload.size();
  }
  return bytes;
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

}  // namespace neptune::sources
