// What the queue gave out and does not hold, as its file was damaged or another one lies in its place.
#include <algorithm>

#include "sources/change_queue/queue_mark.h"
#include "sources/change_queue/queue_rows.h"
#include "sources/change_queue/queue_store.h"
#include "support/sqlite_store.h"
#include "support/try.h"

namespace neptune::sources {

namespace {

QueueGap gap_at(const sqlite::Statement& row) {
  QueueGap gap{.first = row.number(0),
               .last = row.number(1),
               .queue = count_at(row, 2),
               .recorded = row.number(3),
               .at = from_unix_ms(row.number(5)),
               .told = row.number(6) != 0};
  if (!row.is_null(4)) gap.lost = count_at(row, 4);
  return gap;
}

}  // namespace

/// Of what is in the file, what is not known to be confirmed.
Result<std::uint64_t> QueueStore::unconfirmed(const OnRecord& record) {
  const auto all = streams();
  if (!all) return std::unexpected(all.error());
  std::uint64_t waiting = 0;
  for (const auto& stream : *all) {
    const auto known = record.confirmed.find(queue_path(stream.container, stream.lane));
    const auto confirmed = confirmed_rows(stream.id, known == record.confirmed.end() ? 0 : known->second);
    if (!confirmed) return std::unexpected(confirmed.error());
    waiting += stream.count - std::min(stream.count, confirmed->count);
  }
  return waiting;
}

/// The numbers behind the last that this file knows of, up to the last that is known elsewhere.
Result<std::optional<QueueGap>> QueueStore::gap(const OnRecord& record) {
  const auto last = last_number();
  if (!last) return std::unexpected(last.error());
  const auto mark = read_mark(file_);
  auto known = OnRecord::Another{identity_, record.highest};
  // One that has just begun goes on after the one that was here before.
  if (*last == 0 && record.another.highest > known.highest) known = record.another;
  const bool by_mark = mark && mark->last >= known.highest;
  if (by_mark) known = {mark->queue, mark->last};
  if (known.highest <= *last) return std::optional<QueueGap>();
  QueueGap gap{.first = *last + 1, .last = known.highest, .queue = known.queue};
  if (gap.queue == identity_) gap.recorded = record.highest;
  if (gap.queue == record.another.queue) gap.recorded = record.another.highest;
  if (by_mark) {
    const auto waiting = gap.queue == identity_ ? unconfirmed(record) : Result<std::uint64_t>(0);
    if (!waiting) return std::unexpected(waiting.error());
    gap.lost =
        std::min(mark->count - std::min(mark->count, *waiting), static_cast<std::uint64_t>(gap.last - gap.first + 1));
  }
  return gap;
}

/// Until the gap is closed, the mark alone tells of it.
void QueueStore::write_mark() {
  if (gap_closed_) mark_.write({identity_, last_, count_});
}

Result<std::optional<QueueGap>> QueueStore::close_gap(const OnRecord& record, WallTime now) {
  auto found = gap(record);
  if (!found) return std::unexpected(std::move(found.error()));
  if (auto& gap = *found) {
    gap->at = now;
    auto transaction = database_->begin(true);
    if (!transaction) return std::unexpected(std::move(transaction.error()));
    NEPTUNE_TRY(database_->run(
        "INSERT INTO gaps (first, last, queue, recorded, lost, at_ms, told) VALUES (?, ?, ?, ?, nullif(?, -1), ?, 0)",
        gap->first, gap->last, as_signed(gap->queue), gap->recorded, gap->lost ? as_signed(*gap->lost) : -1,
        to_unix_ms(now)));
    NEPTUNE_TRY(database_->run("DELETE FROM sqlite_sequence WHERE name = 'changes'"));
    NEPTUNE_TRY(database_->run("INSERT INTO sqlite_sequence (name, seq) VALUES ('changes', ?)", gap->last));
    NEPTUNE_TRY(transaction->commit());
    last_ = gap->last;
  }
  gap_closed_ = true;
  write_mark();
  return found;
}

Result<std::vector<QueueGap>> QueueStore::gaps() {
  std::vector<QueueGap> list;
  NEPTUNE_TRY(database_->each("SELECT first, last, queue, recorded, lost, at_ms, told FROM gaps ORDER BY first",
                              [&list](const sqlite::Statement& row) { list.push_back(gap_at(row)); }));
  return list;
}

Result<void> QueueStore::gaps_are_told() {
  return database_->run("UPDATE gaps SET told = 1 WHERE told = 0");
}

/// Of one that is not queued.
Result<void> QueueStore::look_at_gaps(Position position, Place& place) {
  return database_->each(
      "SELECT first, last, queue, recorded, lost, at_ms, told FROM gaps WHERE last >= ? ORDER BY first LIMIT 1",
      [&](const sqlite::Statement& row) {
        auto gap = gap_at(row);
        if (gap.first > position) {
          place.through = std::min(place.through, gap.first - 1);
          return;
        }
        place.through = std::min(place.through, gap.last);
        place.gap = gap;
      },
      position);
}

}  // namespace neptune::sources
