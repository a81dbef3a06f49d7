#include "tests/integration/support/run_log_writer.h"

#include <algorithm>
#include <system_error>

#include "proto/ingest.pb.h"
#include "tests/integration/support/sqlite.h"

namespace neptune::testing {

namespace fs = std::filesystem;
using std::chrono::system_clock;

namespace {

constexpr const char* schema = R"(
CREATE TABLE IF NOT EXISTS run_operations (
  sequence_id INTEGER PRIMARY KEY AUTOINCREMENT,
  timestamp INTEGER NOT NULL,
  operation_type INTEGER NOT NULL,
  operation BLOB NOT NULL,
  operation_size_bytes INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS idx_run_operations_sequence_size ON run_operations (sequence_id, operation_size_bytes);
CREATE TABLE IF NOT EXISTS metadata (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  version TEXT NOT NULL,
  project TEXT NOT NULL,
  run_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS run_operation_submission (
  sequence_id INTEGER PRIMARY KEY,
  timestamp INTEGER NOT NULL,
  request_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS file_upload_requests (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  source_path TEXT NOT NULL,
  destination TEXT NOT NULL,
  mime_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  is_temporary INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS operation_errors (
  error_id INTEGER PRIMARY KEY AUTOINCREMENT,
  timestamp INTEGER NOT NULL,
  error_type TEXT NOT NULL,
  error_details TEXT NOT NULL,
  error_body TEXT NOT NULL,
  sequence_id INTEGER);
)";

std::int64_t unix_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(system_clock::now().time_since_epoch()).count();
}

void set_now(ingest::v1::Timestamp& timestamp) {
  const auto ns = unix_ns();
  timestamp.set_seconds(ns / 1'000'000'000);
  timestamp.set_nanos(static_cast<std::int32_t>(ns % 1'000'000'000));
}

void set_step(ingest::v1::Step& step, std::uint64_t micro_step) {
  step.set_whole(micro_step / 1'000'000);
  step.set_micro(micro_step % 1'000'000);
}

std::string folder_name(const RunLogWriter::Options& options) {
  const auto plain = [](std::string text) {
    for (auto& c : text)
      if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '-' && c != '_') c = '_';
    return text.substr(0, 60);
  };
  return plain(options.project) + "_" + plain(options.run) + "_" + std::to_string(unix_ns());
}

}  // namespace

struct RunLogWriter::Connection {
  sqlite::Db db;
  sqlite::Statement insert;
};

RunLogWriter::RunLogWriter(Options options) : options_(std::move(options)) {
  const auto folder = options_.directory / folder_name(options_);
  fs::create_directories(folder);
  path_ = folder / "run_operations.sqlite3";
  connection_ = std::make_unique<Connection>();
  connection_->db = sqlite::open(path_.string());
  sqlite3_busy_timeout(connection_->db.get(), 5000);
  sqlite::exec(connection_->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL");
  sqlite::exec(connection_->db, schema);
  connection_->insert = sqlite::prepare(
      connection_->db,
      "INSERT INTO run_operations(timestamp, operation_type, operation, operation_size_bytes) VALUES(?1, ?2, ?3, ?4)");
  if (options_.with_metadata) write_metadata();
  if (options_.with_metadata && options_.with_create) write_create();
}

RunLogWriter::~RunLogWriter() {
  if (connection_) close(false);
}

void RunLogWriter::write_metadata() {
  const auto statement =
      sqlite::prepare(connection_->db, "INSERT INTO metadata(version, project, run_id) VALUES('v5', ?1, ?2)");
  sqlite::bind(statement.get(), 1, options_.project);
  sqlite::bind(statement.get(), 2, options_.run);
  sqlite::run(connection_->db, statement);
}

void RunLogWriter::write_create() {
  ingest::v1::Run run;
  run.set_family(options_.run);
  if (!options_.experiment.empty()) run.set_experiment_id(options_.experiment);
  set_now(*run.mutable_creation_time());
  if (options_.fork) {
    auto& point = *run.mutable_fork_point();
    point.set_parent_project(options_.fork->parent_project.empty() ? options_.project : options_.fork->parent_project);
    point.set_parent_run_id(options_.fork->parent_run);
    set_step(*point.mutable_step(), options_.fork->step * 1'000'000);
  }
  insert(1, run.SerializeAsString());
}

void RunLogWriter::append(std::uint64_t micro_step, const std::map<std::string, double>& points) {
  ingest::v1::UpdateRunSnapshot snapshot;
  set_step(*snapshot.mutable_step(), micro_step);
  for (const auto& [path, value] : points) (*snapshot.mutable_append())[path].set_float64(value);
  append_snapshot(std::move(snapshot));
}

void RunLogWriter::append_strings(std::uint64_t micro_step, const std::map<std::string, std::string>& points) {
  ingest::v1::UpdateRunSnapshot snapshot;
  set_step(*snapshot.mutable_step(), micro_step);
  for (const auto& [path, value] : points) (*snapshot.mutable_append())[path].set_string(value);
  append_snapshot(std::move(snapshot));
}

void RunLogWriter::assign(const std::map<std::string, std::string>& strings) {
  ingest::v1::UpdateRunSnapshot snapshot;
  for (const auto& [path, value] : strings) (*snapshot.mutable_assign())[path].set_string(value);
  append_snapshot(std::move(snapshot));
}

void RunLogWriter::assign_float(const std::string& path, double value) {
  ingest::v1::UpdateRunSnapshot snapshot;
  (*snapshot.mutable_assign())[path].set_float64(value);
  append_snapshot(std::move(snapshot));
}

void RunLogWriter::assign_int(const std::string& path, std::int64_t value) {
  ingest::v1::UpdateRunSnapshot snapshot;
  (*snapshot.mutable_assign())[path].set_int64(value);
  append_snapshot(std::move(snapshot));
}

void RunLogWriter::append_snapshot(ingest::v1::UpdateRunSnapshot snapshot) {
  if (!snapshot.has_timestamp()) set_now(*snapshot.mutable_timestamp());
  insert(0, snapshot.SerializeAsString());
}

void RunLogWriter::append_raw(int operation_type, std::string_view bytes) {
  insert(operation_type, bytes);
}

void RunLogWriter::insert(int operation_type, std::string_view bytes) {
  auto* statement = connection_->insert.get();
  sqlite3_bind_int64(statement, 1, unix_ns() / 1'000'000);
  sqlite3_bind_int(statement, 2, operation_type);
  sqlite::bind_blob(statement, 3, bytes);
  sqlite3_bind_int64(statement, 4, static_cast<std::int64_t>(bytes.size()));
  const auto start = std::chrono::steady_clock::now();
  sqlite::run(connection_->db, connection_->insert);
  last_commit_ = std::chrono::steady_clock::now() - start;
}

void RunLogWriter::add_upload(const fs::path& source, const std::string& destination, const std::string& mime_type,
                              bool is_temporary) {
  const auto statement = sqlite::prepare(connection_->db,
                                         "INSERT INTO file_upload_requests(source_path, destination, mime_type, "
                                         "size_bytes, is_temporary) VALUES(?1, ?2, ?3, ?4, ?5)");
  sqlite::bind(statement.get(), 1, source.string());
  sqlite::bind(statement.get(), 2, destination);
  sqlite::bind(statement.get(), 3, mime_type);
  sqlite3_bind_int64(statement.get(), 4, static_cast<std::int64_t>(fs::file_size(source)));
  sqlite3_bind_int(statement.get(), 5, is_temporary ? 1 : 0);
  sqlite::run(connection_->db, statement);
}

std::int64_t RunLogWriter::operations() const {
  return sqlite::integer(connection_->db, "SELECT count(*) FROM run_operations");
}

std::int64_t RunLogWriter::uploads() const {
  return sqlite::integer(connection_->db, "SELECT count(*) FROM file_upload_requests");
}

void RunLogWriter::close(bool remove_if_empty) {
  const bool empty = remove_if_empty && operations() == 0 && uploads() == 0;
  connection_.reset();
  if (!empty) return;
  fs::remove(path_);
  std::error_code not_empty;
  fs::remove(path_.parent_path(), not_empty);
}

}  // namespace neptune::testing
