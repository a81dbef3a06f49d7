#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "support/error.h"
#include "support/sqlite.h"
#include "support/try.h"

namespace neptune::sqlite {

/// A database that the daemon keeps for itself, with its statements: each is prepared once, by its text. So the texts
/// are to be few, with parameters for all that differs, and none is run again while its rows are being looked at.
/// Concurrency: one thread at a time.
class Store {
 public:
  explicit Store(Database database) : db(std::move(database)) {}

  /// Binds, and runs to the end.
  template <class... Args>
  Result<void> run(std::string_view sql, const Args&... args) {
    auto found = statement(sql);
    if (!found) return std::unexpected(std::move(found.error()));
    return (*found)->bind(args...).run();
  }

  /// Binds, and hands each row to `f`; until it says false where it says anything.
  template <class F, class... Args>
  Result<void> each(std::string_view sql, F f, const Args&... args) {
    auto found = statement(sql);
    if (!found) return std::unexpected(std::move(found.error()));
    auto& rows = (*found)->bind(args...);
    Result<void> outcome;
    bool goes_on = true;
    while (goes_on) {
      auto row = rows.step();
      if (!row) outcome = std::unexpected(std::move(row.error()));
      if (!row || !*row) break;
      if constexpr (std::is_void_v<std::invoke_result_t<F&, const Statement&>>)
        f(std::as_const(rows));
      else
        goes_on = f(std::as_const(rows));
    }
    rows.reset();
    return outcome;
  }

  /// `durable`: on disk when it is committed, also after a power cut.
  Result<Transaction> begin(bool durable) {
    NEPTUNE_TRY(db.exec(durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
    return Transaction::begin(db, Transaction::Kind::write);
  }

  /// Moves what the log (`-wal`) holds into the file, and the log's space goes back to the disk. Fails where the file
  /// would have to grow and the disk is full; while somebody reads it, the log stays.
  Result<void> give_back_log() {
    db.set_busy_timeout({});  // nobody is to wait for a reader
    auto done = db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    db.set_busy_timeout(patience);
    return done;
  }

  static constexpr std::chrono::seconds patience{5};  ///< as it is to be opened with: Options::busy_timeout

  Database db;

 private:
  Result<Statement*> statement(std::string_view sql) {
    if (const auto known = statements_.find(sql); known != statements_.end()) return &known->second;
    auto made = db.prepare(sql);
    if (!made) return std::unexpected(std::move(made.error()));
    return &statements_.emplace(sql, std::move(*made)).first->second;
  }

  std::map<std::string, Statement, std::less<>> statements_;  // gone before the database is
};

}  // namespace neptune::sqlite
