#pragma once

#include <sqlite3.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

/// Just enough of SQLite for tests that write what a trainer writes. Everything that fails throws.
namespace neptune::testing::sqlite {

struct Close {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Db = std::unique_ptr<sqlite3, Close>;
using Statement = std::unique_ptr<sqlite3_stmt, Close>;

[[noreturn]] inline void refuse(sqlite3* db, std::string_view what) {
  throw std::runtime_error(std::string(what) + ": " + sqlite3_errmsg(db));
}

inline Db open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  Db db(raw);
  if (code != SQLITE_OK) refuse(raw, "cannot open " + path);
  return db;
}

inline void exec(const Db& db, const std::string& sql) {
  if (sqlite3_exec(db.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) refuse(db.get(), sql);
}

inline Statement prepare(const Db& db, const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(db.get(), sql.c_str(), -1, &raw, nullptr) != SQLITE_OK) refuse(db.get(), sql);
  return Statement(raw);
}

inline void bind(sqlite3_stmt* statement, int index, std::string_view text) {
  sqlite3_bind_text(statement, index, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}

inline void bind_blob(sqlite3_stmt* statement, int index, std::string_view bytes) {
  sqlite3_bind_blob(statement, index, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
}

/// Runs a statement that yields no row, and readies it for the next time.
inline void run(const Db& db, const Statement& statement) {
  const int code = sqlite3_step(statement.get());
  sqlite3_reset(statement.get());
  if (code != SQLITE_DONE) refuse(db.get(), "a statement failed");
}

inline std::int64_t integer(const Db& db, const std::string& sql) {
  const auto statement = prepare(db, sql);
  if (sqlite3_step(statement.get()) != SQLITE_ROW) refuse(db.get(), sql);
  return sqlite3_column_int64(statement.get(), 0);
}

}  // namespace neptune::testing::sqlite
