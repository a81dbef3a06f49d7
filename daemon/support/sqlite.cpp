#include "support/sqlite.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace neptune::sqlite {

namespace {

bool disk_is_full(sqlite3* db, int code) {
  if (code == SQLITE_FULL) return true;
  if (code != SQLITE_IOERR && code != SQLITE_CANTOPEN) return false;
  const int error = db ? sqlite3_system_errno(db) : 0;
  return error == ENOSPC || error == EDQUOT;
}

bool is_fault_of_disk(int error) {
  return error == EIO || error == ENXIO || error == ERANGE;
}

/// SQLite takes for damage what a failing disk does not let it read, of the file or of its log.
bool cannot_be_read(sqlite3* db) {
  int error = 0;
  if (!db || sqlite3_file_control(db, "main", SQLITE_FCNTL_LAST_ERRNO, &error) != SQLITE_OK) return false;
  sqlite3_file* log = nullptr;
  if (!is_fault_of_disk(error) && sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK &&
      log && log->pMethods)
    log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
  return is_fault_of_disk(error);
}

std::string details(sqlite3* db, int code) {
  std::string text = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);
  const int error = db ? sqlite3_system_errno(db) : 0;
  if (error != 0 && (code == SQLITE_IOERR || code == SQLITE_CANTOPEN)) text += fmt::format(" ({})", strerror(error));
  return text;
}

std::unexpected<Error> failure(sqlite3* db, int extended, std::string path) {
  auto code = extended & 0xff;
  const auto what = details(db, code);
  if (code == SQLITE_CORRUPT && cannot_be_read(db)) code = SQLITE_IOERR;
  if (path.empty()) path = ":memory:";
  if (disk_is_full(db, code))
    return fail("sqlite_full", fmt::format("the disk that holds {} is full; free some space on it", path), true);
  switch (code) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_PROTOCOL:
      return fail("sqlite_busy",
                  fmt::format("the database {} is in use by another process ({}); try again later", path, what), true);
    case SQLITE_READONLY:
      return fail(
          "sqlite_readonly",
          fmt::format("the database {} may only be read ({}); check who may write it and its directory", path, what));
    case SQLITE_CORRUPT:
      return fail("sqlite_corrupt",
                  fmt::format("the database {} is damaged ({}); restore it from a copy, if there is one", path, what));
    case SQLITE_NOTADB:
      return fail("sqlite_not_a_database", fmt::format("the file {} is not an SQLite database", path));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return fail("sqlite_cannot_open",
                  fmt::format("the database {} cannot be opened: {}; check that it is there and who may read it and "
                              "its directory",
                              path, what),
                  db && (sqlite3_system_errno(db) == EMFILE || sqlite3_system_errno(db) == ENFILE));
    case SQLITE_IOERR:
      return fail("sqlite_io",
                  fmt::format("reading or writing the database {} failed: {}; check the disk (`dmesg` tells what the "
                              "kernel finds wrong with it)",
                              path, what),
                  true);
    case SQLITE_CONSTRAINT:
      return fail("sqlite_constraint", fmt::format("the database {} refused a row: {}", path, what));
    case SQLITE_ABORT:
      return fail("sqlite_changed", fmt::format("a row of the database {} changed while it was read; try again", path),
                  true);
    default:
      if (what.starts_with("no such table"))
        return fail("sqlite_no_table", fmt::format("the database {} lacks a table: {}", path, what));
      return fail("sqlite_error", fmt::format("the database {} failed: {}", path, what));
  }
}

std::unexpected<Error> failure(sqlite3* db) {
  const char* path = sqlite3_db_filename(db, "main");
  return failure(db, sqlite3_extended_errcode(db), path ? path : "");
}

// The path as a URI, for the switches that only a URI can set.
std::string uri(const std::string& path, std::string_view query) {
  std::string out = "file:";
  for (const char c : path) {
    if (c == '%' || c == '?' || c == '#')
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out.append(query);
}

}  // namespace

Result<void> refuse_log_alone(const std::filesystem::path& path) {
  std::error_code missing, none;
  const auto bytes = std::filesystem::file_size(path, missing);
  const auto log = path.string() + "-wal";
  const auto waiting = std::filesystem::file_size(log, none);
  if (none || waiting == 0) return {};
  if (missing ? missing != std::errc::no_such_file_or_directory : bytes > 0) return {};
  return fail("sqlite_log_alone",
              fmt::format("the file is {}, and {} beside it holds {} bytes that belong to it; put the file back from a "
                          "copy, or move that away, too",
                          missing ? "missing" : "empty", log, waiting));
}

void Database::Close::operator()(sqlite3* db) const {
  sqlite3_close_v2(db);
}
void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}
void Blob::Close::operator()(sqlite3_blob* blob) const {
  sqlite3_blob_close(blob);
}

Result<Database> Database::open(const std::filesystem::path& path, const Options& options) {
  int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  switch (options.access) {
    case Access::read_only:
      flags |= SQLITE_OPEN_READONLY;
      break;
    case Access::read_write:
      flags |= SQLITE_OPEN_READWRITE;
      break;
    case Access::create:
      flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
      break;
  }
  std::string name = path.string();
  if (options.immutable) {
    flags |= SQLITE_OPEN_URI;
    name = uri(name, "?immutable=1");
  }
  sqlite3* handle = nullptr;
  const int code = sqlite3_open_v2(name.c_str(), &handle, flags, nullptr);
  Database database(handle);
  if (code != SQLITE_OK) return failure(handle, code, path.string());
  database.set_busy_timeout(options.busy_timeout);
  if (options.untrusted) {
    for (const int off : {SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_VIEW, SQLITE_DBCONFIG_TRUSTED_SCHEMA})
      sqlite3_db_config(handle, off, 0, nullptr);
    sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    if (auto checked = database.exec("PRAGMA cell_size_check=ON"); !checked) return std::unexpected(checked.error());
  }
  return database;
}

Result<void> Database::exec(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return failure(handle_.get());
  return {};
}

Result<Statement> Database::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement,
                         nullptr) != SQLITE_OK)
    return failure(handle_.get());
  return Statement(statement);
}

Result<std::int64_t> Database::number(std::string_view sql) {
  auto statement = prepare(sql);
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return fail("sqlite_error", fmt::format("the query \"{}\" has no row", sql));
  return statement->number(0);
}

Result<Blob> Database::open_blob(const char* table, const char* column, std::int64_t rowid) {
  sqlite3_blob* blob = nullptr;
  if (sqlite3_blob_open(handle_.get(), "main", table, column, rowid, 0, &blob) != SQLITE_OK)
    return failure(handle_.get());
  return Blob(handle_.get(), blob);
}

void Database::set_busy_timeout(std::chrono::milliseconds timeout) {
  sqlite3_busy_timeout(handle_.get(), static_cast<int>(timeout.count()));
}

std::int64_t Database::last_insert_rowid() const {
  return sqlite3_last_insert_rowid(handle_.get());
}

std::int64_t Database::changes() const {
  return sqlite3_changes64(handle_.get());
}

bool Database::in_transaction() const {
  return sqlite3_get_autocommit(handle_.get()) == 0;
}

Result<bool> Statement::step() {
  switch (sqlite3_step(handle_.get())) {
    case SQLITE_ROW:
      return true;
    case SQLITE_DONE:
      return false;
    default: {
      auto error = failure(sqlite3_db_handle(handle_.get()));
      sqlite3_reset(handle_.get());
      return error;
    }
  }
}

Result<void> Statement::run() {
  for (;;) {
    auto row = step();
    if (!row) {
      reset();
      return std::unexpected(std::move(row.error()));
    }
    if (!*row) break;
  }
  reset();
  return {};
}

void Statement::reset() {
  sqlite3_reset(handle_.get());
  sqlite3_clear_bindings(handle_.get());
}

void Statement::bind_number(int index, std::int64_t value) {
  sqlite3_bind_int64(handle_.get(), index, value);
}
void Statement::bind_real(int index, double value) {
  sqlite3_bind_double(handle_.get(), index, value);
}
void Statement::bind_text(int index, std::string_view value) {
  sqlite3_bind_text64(handle_.get(), index, value.data() ? value.data() : "", value.size(), SQLITE_STATIC, SQLITE_UTF8);
}
void Statement::bind_blob(int index, std::string_view value) {
  sqlite3_bind_blob64(handle_.get(), index, value.data() ? value.data() : "", value.size(), SQLITE_STATIC);
}
void Statement::bind_null(int index) {
  sqlite3_bind_null(handle_.get(), index);
}

std::int64_t Statement::number(int column) const {
  return sqlite3_column_int64(handle_.get(), column);
}
double Statement::real(int column) const {
  return sqlite3_column_double(handle_.get(), column);
}
std::string_view Statement::text(int column) const {
  const auto* data = sqlite3_column_text(handle_.get(), column);
  if (!data) return {};
  return {reinterpret_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column))};
}
std::string_view Statement::blob(int column) const {
  const auto* data = sqlite3_column_blob(handle_.get(), column);
  if (!data) return {};
  return {static_cast<const char*>(data), static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column))};
}
bool Statement::is_null(int column) const {
  return sqlite3_column_type(handle_.get(), column) == SQLITE_NULL;
}

std::size_t Blob::size() const {
  return static_cast<std::size_t>(sqlite3_blob_bytes(handle_.get()));
}

Result<void> Blob::read(std::span<char> into, std::size_t offset) {
  const int code =
      sqlite3_blob_read(handle_.get(), into.data(), static_cast<int>(into.size()), static_cast<int>(offset));
  if (code == SQLITE_OK) return {};
  const char* path = sqlite3_db_filename(database_, "main");
  return failure(database_, code, path ? path : "");
}

Result<Transaction> Transaction::begin(Database& database, Kind kind) {
  if (auto begun = database.exec(kind == Kind::write ? "BEGIN IMMEDIATE" : "BEGIN"); !begun)
    return std::unexpected(begun.error());
  return Transaction(database);
}

Transaction::~Transaction() {
  // Some errors (a full disk, for one) have rolled it back already.
  if (database_ && database_->in_transaction()) (void)database_->exec("ROLLBACK");
}

Result<void> Transaction::commit() {
  if (auto done = database_->exec("COMMIT"); !done) return done;
  database_ = nullptr;
  return {};
}

}  // namespace neptune::sqlite
