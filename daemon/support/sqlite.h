#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "support/error.h"

struct sqlite3;
struct sqlite3_stmt;
struct sqlite3_blob;

/// SQLite, thinly: owners that close what they opened, and errors as Results.
///
/// Concurrency: a Database and everything made from it are used by one thread at a time (any thread, NOMUTEX).
/// Lifetime: a Statement, Blob or Transaction must be gone before its Database is.
/// Error codes: sqlite_busy (retryable), sqlite_no_table, sqlite_readonly, sqlite_full (the disk, or a quota),
/// sqlite_corrupt, sqlite_not_a_database, sqlite_cannot_open (retryable when out of descriptors), sqlite_io,
/// sqlite_constraint, sqlite_changed (a row changed while its blob was read; retryable), sqlite_error.
namespace neptune::sqlite {

enum class Access : std::uint8_t {
  read_only,   ///< of an existing file
  read_write,  ///< of an existing file
  create       ///< made when it is not there, with mode 0644 less the umask
};

struct Options {
  Access access = Access::read_write;
  /// A file that others wrote: none of its triggers or views runs, its schema may call no function with side effects,
  /// and its cells are checked as they are read.
  bool untrusted = false;
  bool immutable = false;  ///< promise that nobody writes it: no locks, no `-shm`, and its `-wal` is ignored
  std::chrono::milliseconds busy_timeout{0};  ///< how long a call waits for another's lock before sqlite_busy
};

/// Where the file is empty or missing and its log (`-wal`) is not: SQLite would take it for a new one, and throw the
/// log away with all that was not moved into the file yet. It comes to that by no kill: SQLite writes a file's first
/// page before there is a log. An error of code "sqlite_log_alone" then.
Result<void> refuse_log_alone(const std::filesystem::path& path);

class Statement;
class Blob;

class Database {
 public:
  /// Opens the file. SQLite looks into it on the first use only: a file that is no database fails there.
  static Result<Database> open(const std::filesystem::path& path, const Options& options);

  /// Runs one or more statements, and throws their rows away.
  Result<void> exec(const std::string& sql);

  Result<Statement> prepare(std::string_view sql);

  /// The first column of the first row as a number; an error when there is no row.
  Result<std::int64_t> number(std::string_view sql);

  /// Opens one BLOB or TEXT value for reading in pieces.
  Result<Blob> open_blob(const char* table, const char* column, std::int64_t rowid);

  void set_busy_timeout(std::chrono::milliseconds timeout);
  std::int64_t last_insert_rowid() const;
  std::int64_t changes() const;  ///< rows the last INSERT, UPDATE or DELETE touched
  bool in_transaction() const;
  sqlite3* handle() const { return handle_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* db) const;
  };
  explicit Database(sqlite3* db) : handle_(db) {}
  std::unique_ptr<sqlite3, Close> handle_;
};

/// A prepared statement. Parameters count from 1, columns from 0. Views handed to `bind` must live until the next
/// `reset`; views handed out live until the next `step` or `reset`.
class Statement {
 public:
  /// Binds all parameters, in order: integers, doubles, std::string_view (text), Bytes (blob), nullptr.
  template <class... Args>
  Statement& bind(const Args&... args) {
    int index = 0;
    (bind_one(++index, args), ...);
    return *this;
  }

  /// True when there is a row to look at, false at the end.
  Result<bool> step();

  /// Runs it to its end, and makes it ready for the next use.
  Result<void> run();

  /// Ends a run half-way (and the read lock it holds), and forgets the parameters.
  void reset();

  std::int64_t number(int column) const;
  double real(int column) const;
  std::string_view text(int column) const;
  std::string_view blob(int column) const;
  bool is_null(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Statement(sqlite3_stmt* statement) : handle_(statement) {}

  template <class T>
  void bind_one(int index, const T& value);
  void bind_number(int index, std::int64_t value);
  void bind_real(int index, double value);
  void bind_text(int index, std::string_view value);
  void bind_blob(int index, std::string_view value);
  void bind_null(int index);

  std::unique_ptr<sqlite3_stmt, Finalize> handle_;
};

/// Marks a value to be bound as a BLOB.
struct Bytes {
  std::string_view view;
};

template <class T>
void Statement::bind_one(int index, const T& value) {
  if constexpr (std::is_same_v<T, Bytes>)
    bind_blob(index, value.view);
  else if constexpr (std::is_null_pointer_v<T>)
    bind_null(index);
  else if constexpr (std::is_floating_point_v<T>)
    bind_real(index, value);
  else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>)
    bind_number(index, static_cast<std::int64_t>(value));
  else
    bind_text(index, std::string_view(value));
}

/// One value, read in pieces. Holds a read transaction while it lives.
class Blob {
 public:
  std::size_t size() const;
  Result<void> read(std::span<char> into, std::size_t offset);

 private:
  friend class Database;
  struct Close {
    void operator()(sqlite3_blob* blob) const;
  };
  Blob(sqlite3* db, sqlite3_blob* blob) : database_(db), handle_(blob) {}
  sqlite3* database_;
  std::unique_ptr<sqlite3_blob, Close> handle_;
};

/// BEGIN until `commit`; rolls back when it goes out of scope without one.
class Transaction {
 public:
  enum class Kind : std::uint8_t { read, write };  ///< write: takes the write lock at once (BEGIN IMMEDIATE)

  static Result<Transaction> begin(Database& database, Kind kind);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();

  Result<void> commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace neptune::sqlite
