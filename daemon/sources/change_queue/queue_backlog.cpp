// What of a stream waits, and what its next change waits for.
#include <algorithm>
#include <utility>

#include "sources/change_queue/needs.h"
#include "sources/change_queue/queue_rows.h"
#include "sources/change_queue/queue_store.h"
#include "support/sqlite_store.h"
#include "support/try.h"

namespace neptune::sources {

namespace {

constexpr std::uint64_t waiting_looked_at = 10'000;  // our own bound: past it a removal waits for all of them

}  // namespace

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

}  // namespace neptune::sources
