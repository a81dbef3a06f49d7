#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "changes/limits.h"
#include "changes/wire.h"
#include "sources/run_log/log_database.h"
#include "sources/run_log/log_files.h"

/// What LogDatabase reads.
namespace neptune::sources {

namespace {

constexpr std::uint64_t rows_a_read = 20'000;  // a read transaction's bound, some milliseconds
constexpr std::uint64_t requests_a_read = 1000;
constexpr std::uint64_t piece_bytes = 64 * 1024;     // of a stream; larger operations are read in pieces of this size
constexpr std::uint64_t bearable_create = 1u << 20;  // a create is some hundred bytes

std::int64_t signed_of(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}
std::uint64_t unsigned_of(std::int64_t value) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
}

std::uint64_t request_size(const ContainerName& run, std::uint64_t size, OperationKind kind) {
  if (kind == OperationKind::update) {
    const auto framed = wire::framed_size(size);
    return wire::update_head(run, framed).size() + framed;
  }
  // A create is framed like one update, in a head without the batch's own length.
  return wire::update_head(run, size).size() + size;
}

}  // namespace

Result<LogDatabase::Sum> LogDatabase::sum(Position after, Position upto) {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  auto query = (*database)->prepare(fmt::format(
      "SELECT count(*), total(operation_size_bytes), max(sequence_id) FROM (SELECT sequence_id, operation_size_bytes "
      "FROM run_operations {} WHERE sequence_id > ? AND sequence_id <= ? ORDER BY sequence_id LIMIT {})",
      indexed_ ? "INDEXED BY idx_run_operations_sequence_size" : "", rows_a_read));
  if (!query) return std::unexpected(query.error());
  auto row = query->bind(after, upto).step();
  if (!row) return std::unexpected(row.error());
  Sum sum{unsigned_of(query->number(0)), static_cast<std::uint64_t>(std::max(query->real(1), 0.0)), query->number(2)};
  sum.more = sum.count == rows_a_read;
  return sum;
}

Result<std::optional<LogDatabase::First>> LogDatabase::first(Position after) {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  auto query = (*database)->prepare(
      "SELECT sequence_id, operation_type, timestamp, "
      "CASE WHEN operation_type = 1 AND length(operation) <= ? THEN operation END "
      "FROM run_operations WHERE sequence_id > ? ORDER BY sequence_id LIMIT 1");
  if (!query) return std::unexpected(query.error());
  auto row = query->bind(signed_of(bearable_create), after).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::nullopt;
  return First{query->number(0), query->number(1) == 1 ? OperationKind::create : OperationKind::update,
               query->number(2), std::string(query->blob(3))};
}

Result<std::uint64_t> LogDatabase::uploads() {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  auto count = (*database)->number("SELECT count(*) FROM file_upload_requests");
  if (count) return unsigned_of(*count);
  if (count.error().code == "sqlite_no_table") return 0;
  return std::unexpected(count.error());
}

namespace {

// Puts a batch together, operation by operation; tells when the next one does not belong to it.
class Planner {
 public:
  Planner(BatchLimits limits, const ContainerName& run) : limits_(limits), run_(run) {}

  // False: the batch ends before this operation.
  bool add(Position position, OperationKind kind, std::uint64_t size) {
    const auto payload = kind == OperationKind::update ? wire::framed_size(size) : size;
    if (batch_.count == 0 && request_size(run_, size, kind) > limits::request_bytes) {
      oversized_ = Oversized{position, size};
      return false;
    }
    if (batch_.count > 0 && (kind != batch_.kind || kind == OperationKind::create ||
                             batch_.count >= limits_.operations || batch_.payload_bytes + payload > limits_.bytes))
      return false;
    if (batch_.count == 0) batch_.first = position, batch_.kind = kind;
    batch_.last = position;
    batch_.count += 1;
    batch_.payload_bytes += payload;
    return true;
  }

  LogDatabase::Plan plan() const {
    if (oversized_) return *oversized_;
    if (batch_.count == 0) return std::monostate{};
    return batch_;
  }

 private:
  BatchLimits limits_;
  const ContainerName& run_;
  Batch batch_;
  std::optional<Oversized> oversized_;
};

}  // namespace

Result<LogDatabase::Plan> LogDatabase::plan(Position after, BatchLimits limits, const ContainerName& run) {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  const auto head = wire::update_head(run, limits::request_bytes).size();
  limits.bytes = std::min<std::uint64_t>(limits.bytes, limits::request_bytes - head);
  // The kind and the real length are in a row's first bytes: SQLite finds them without reading a large value itself.
  auto query = (*database)->prepare(
      fmt::format("SELECT sequence_id, operation_type, length(operation) FROM run_operations WHERE sequence_id > ? "
                  "ORDER BY sequence_id LIMIT {}",
                  rows_a_read));
  if (!query) return std::unexpected(query.error());
  Planner planner(limits, run);
  for (;;) {
    std::uint64_t rows = 0;
    query->bind(after);
    for (;; ++rows) {
      auto row = query->step();
      if (!row) return std::unexpected(row.error());
      if (!*row) break;
      after = query->number(0);
      const auto kind = query->number(1) == 1 ? OperationKind::create : OperationKind::update;
      if (!planner.add(after, kind, unsigned_of(query->number(2)))) return planner.plan();
    }
    if (rows < rows_a_read) return planner.plan();
    query->reset();  // ends the read transaction: the rows after it are not going to change
  }
}

namespace {

// Appends the next piece of an operation that is too large to be read at once.
Result<void> append_large(sqlite::Database& database, LogDatabase::Cursor& cursor, Position position,
                          std::uint64_t size, std::string& out) {
  auto blob = database.open_blob("run_operations", "operation", position);
  if (!blob) return std::unexpected(blob.error());
  const auto take = std::min(piece_bytes, size - cursor.offset);
  const auto at = out.size();
  out.resize(at + take);
  if (auto read = blob->read(std::span(out).subspan(at), cursor.offset); !read) return read;
  cursor.offset += take;
  return {};
}

}  // namespace

Result<void> LogDatabase::read_piece(const Batch& batch, Cursor& cursor, std::string& out) {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  auto query = (*database)->prepare(
      "SELECT sequence_id, length(operation), CASE WHEN length(operation) <= ?1 THEN operation END "
      "FROM run_operations WHERE sequence_id >= ?2 AND sequence_id <= ?3 ORDER BY sequence_id");
  if (!query) return std::unexpected(query.error());
  query->bind(signed_of(piece_bytes), std::max(cursor.position, batch.first), batch.last);
  while (out.size() < piece_bytes) {
    auto row = query->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    const auto position = query->number(0);
    const auto size = unsigned_of(query->number(1));
    if (position != cursor.position) cursor.offset = 0;
    cursor.position = position;
    if (cursor.offset == 0 && batch.kind == OperationKind::update) wire::append_frame_head(out, size);
    if (size <= piece_bytes) {
      out.append(query->blob(2));
      cursor.offset = size;
    } else if (auto appended = append_large(**database, cursor, position, size, out); !appended) {
      return appended;
    }
    if (cursor.offset < size) return {};
    cursor = {position + 1, 0, cursor.operations + 1};
  }
  return {};
}

Result<std::vector<QueuedChange>> LogDatabase::changes(Position first, Position last) {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  auto query = (*database)->prepare(
      "SELECT sequence_id, operation_type, timestamp, operation FROM run_operations WHERE sequence_id >= ? AND "
      "sequence_id <= ? ORDER BY sequence_id");
  if (!query) return std::unexpected(query.error());
  query->bind(first, last);
  std::vector<QueuedChange> changes;
  for (;;) {
    auto row = query->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    auto& change = changes.emplace_back();
    change.position = query->number(0);
    change.kind = query->number(1) == 1 ? ChangeKind::run_create : ChangeKind::run_update;
    change.uid = owner_;
    change.at = from_unix_ms(query->number(2));
    change.payload = query->blob(3);
  }
  if (changes.empty())
    return fail("run_log_changed", fmt::format("operations {} to {} are no longer in the run log in {}; somebody else "
                                               "took them out",
                                               first, last, paths_.directory.string()));
  return changes;
}

Result<std::uint32_t> LogDatabase::owner() {
  const Lock lock(mutex_);
  if (auto database = this->database(); !database) return std::unexpected(database.error());
  return owner_;
}

Result<LogDatabase::Sum> LogDatabase::sum_files(Position after) {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  auto query = (*database)->prepare(
      "SELECT count(*), total(max(size_bytes, 0)), max(id) FROM file_upload_requests WHERE id > ?");
  if (!query) {
    if (query.error().code == "sqlite_no_table") return Sum{};
    return std::unexpected(query.error());
  }
  auto row = query->bind(after).step();
  if (!row) return std::unexpected(row.error());
  return Sum{unsigned_of(query->number(0)), static_cast<std::uint64_t>(query->real(1)), query->number(2)};
}

Result<std::vector<LogDatabase::FileRequest>> LogDatabase::file_requests(Position after, Position upto,
                                                                         std::uint64_t limit) {
  const Lock lock(mutex_);
  auto database = this->database();
  if (!database) return std::unexpected(database.error());
  auto query = (*database)->prepare(
      "SELECT id, source_path, destination, mime_type, size_bytes, is_temporary FROM file_upload_requests WHERE id > ? "
      "AND id <= ? ORDER BY id LIMIT ?");
  if (!query) return std::unexpected(query.error());
  query->bind(after, upto, signed_of(limit));
  std::vector<FileRequest> requests;
  for (;;) {
    auto row = query->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return requests;
    requests.push_back({query->number(0), std::string(query->text(1)), std::string(query->text(2)),
                        std::string(query->text(3)), unsigned_of(query->number(4)), query->number(5) != 0});
  }
}

Result<std::optional<std::vector<std::string>>> LogDatabase::leftovers(Position confirmed, Position files_confirmed) {
  auto operation = first(confirmed);
  if (!operation) return std::unexpected(std::move(operation.error()));
  if (*operation) return std::nullopt;
  std::vector<std::string> names;
  for (Position after = 0;;) {
    auto requests = file_requests(after, std::numeric_limits<Position>::max(), requests_a_read);
    if (!requests && requests.error().code == "sqlite_no_table") return names;
    if (!requests) return std::unexpected(std::move(requests.error()));
    if (requests->empty()) return names;
    after = requests->back().id;
    if (after > files_confirmed) return std::nullopt;
    for (const auto& request : *requests) {
      if (!request.is_temporary) continue;
      const std::filesystem::path file(request.source_path);
      auto name =
          file.parent_path() == paths_.directory ? file.filename().string() : moved_along(paths_.directory, file);
      if (!name.empty()) names.push_back(std::move(name));
    }
  }
}

}  // namespace neptune::sources
