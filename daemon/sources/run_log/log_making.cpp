#include "sources/run_log/log_making.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "support/descriptor.h"
#include "support/new_file.h"
#include "support/try.h"

namespace neptune::sources {

namespace fs = std::filesystem;

namespace {

// As the client's version v5 makes it.
constexpr const char* client_schema = R"(
CREATE TABLE run_operations (
  sequence_id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, operation_type INTEGER NOT NULL,
  operation BLOB NOT NULL, operation_size_bytes INTEGER NOT NULL);
CREATE INDEX idx_run_operations_sequence_size ON run_operations (sequence_id, operation_size_bytes);
CREATE TABLE metadata (
  id INTEGER PRIMARY KEY AUTOINCREMENT, version TEXT NOT NULL, project TEXT NOT NULL, run_id TEXT NOT NULL);
CREATE TABLE run_operation_submission (
  sequence_id INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, request_id TEXT NOT NULL);
CREATE TABLE file_upload_requests (
  id INTEGER PRIMARY KEY AUTOINCREMENT, source_path TEXT NOT NULL, destination TEXT NOT NULL, mime_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL, is_temporary INTEGER NOT NULL);
CREATE TABLE operation_errors (
  error_id INTEGER PRIMARY KEY AUTOINCREMENT, timestamp INTEGER NOT NULL, error_type TEXT NOT NULL,
  error_details TEXT NOT NULL, error_body TEXT NOT NULL, sequence_id INTEGER);
)";

fs::path part_of(const LogPaths& paths) {
  return paths.database.string() + ".part";
}

std::unexpected<Error> not_made(const LogPaths& paths, const std::string& why) {
  return fail("log_not_made", fmt::format("the run log in {} cannot be made: {}", paths.directory.string(), why));
}

Result<void> fill(sqlite::Database& database, const std::string& project, const std::string& run) {
  NEPTUNE_TRY(database.exec(client_schema));
  auto metadata = database.prepare("INSERT INTO metadata (version, project, run_id) VALUES ('v5', ?, ?)");
  if (!metadata) return std::unexpected(metadata.error());
  return metadata->bind(project, run).run();
}

bool sync_to_disk(const fs::path& file) {
  const Descriptor opened(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  return opened && ::fsync(opened.get()) == 0;
}

}  // namespace

Result<void> LogMaker::explained(Result<void> done) const {
  if (!done) return not_made(paths_, done.error().message);
  return done;
}

Result<LogMaker> LogMaker::begin(const fs::path& directory, const std::string& project, const std::string& run) {
  LogPaths paths(directory);
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return not_made(paths, error.message());
  fs::remove(part_of(paths), error);
  const bool fresh = !fs::exists(fs::symlink_status(paths.database, error));
  auto database = sqlite::Database::open(fresh ? part_of(paths) : paths.database,
                                         {.access = fresh ? sqlite::Access::create : sqlite::Access::read_write,
                                          .untrusted = !fresh,
                                          .busy_timeout = std::chrono::seconds(5)});
  if (!database) return not_made(paths, database.error().message);
  // Of a new one that was not finished nothing is kept.
  const std::string mode = fresh ? "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;" : "PRAGMA synchronous=FULL;";
  auto begun = database->exec(mode + "BEGIN IMMEDIATE");
  if (begun && fresh) begun = fill(*database, project, run);
  if (!begun) return not_made(paths, begun.error().message);
  return LogMaker(std::move(paths), std::move(*database), fresh);
}

Result<void> LogMaker::add_operation(Position position, bool creates, std::int64_t logged_ms, std::string_view bytes) {
  auto row = database_->prepare(
      "INSERT OR IGNORE INTO run_operations (sequence_id, timestamp, operation_type, operation, operation_size_bytes) "
      "VALUES (?, ?, ?, ?, ?)");
  if (!row) return not_made(paths_, row.error().message);
  return explained(row->bind(position, logged_ms, creates, sqlite::Bytes{bytes}, bytes.size()).run());
}

Result<void> LogMaker::add_file(Position id, const fs::path& file, std::string_view destination,
                                std::string_view mime_type, std::uint64_t size) {
  auto row = database_->prepare(
      "INSERT OR IGNORE INTO file_upload_requests (id, source_path, destination, mime_type, size_bytes, is_temporary) "
      "VALUES (?, ?, ?, ?, ?, 1)");
  if (!row) return not_made(paths_, row.error().message);
  return explained(row->bind(id, file.string(), destination, mime_type, size).run());
}

Result<void> LogMaker::place() {
  NEPTUNE_TRY(explained(database_->exec("COMMIT")));
  if (!fresh_) {
    database_.reset();
    return {};
  }
  // What follows a log takes it for one in this mode only.
  NEPTUNE_TRY(explained(database_->exec("PRAGMA journal_mode=WAL")));
  database_.reset();
  const auto part = part_of(paths_);
  if (!sync_to_disk(part) || ::rename(part.c_str(), paths_.database.c_str()) != 0)
    return not_made(paths_, std::strerror(errno));
  return sync_folder(paths_.directory);
}

}  // namespace neptune::sources
