#include "support/sqlite_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <system_error>

#include "support/sqlite.h"
#include "support/try.h"

namespace neptune::sqlite {

namespace {

constexpr int messages_read = 20;

/// SQLite's own words, empty when the file is sound.
Result<std::vector<std::string>> damage_of(Database& db) {
  auto rows = db.prepare(fmt::format("PRAGMA integrity_check({})", messages_read));
  if (!rows) return std::unexpected(std::move(rows.error()));
  std::vector<std::string> messages;
  for (;;) {
    auto row = rows->step();
    if (!row && row.error().code == "sqlite_corrupt") {
      messages.push_back(row.error().message);
      return messages;
    }
    if (!row) return std::unexpected(std::move(row.error()));
    if (!*row) break;
    auto& message = messages.emplace_back(rows->text(0));
    std::ranges::replace(message, '\n', ' ');
  }
  if (messages == std::vector<std::string>{"ok"}) messages.clear();
  return messages;
}

/// Tables are whole, and an index says something else: it is made of its table again.
bool is_of_an_index(const std::string& message) {
  return message.find(" index ") != std::string::npos || message.starts_with("non-unique entry in index");
}

Finding about_damage(const std::vector<std::string>& messages) {
  Finding finding{.what = "SQLite finds damage: " + messages.front(), .plan = {}};
  if (messages.size() > 1) finding.what += fmt::format(" (and {} more)", messages.size() - 1);
  finding.repairable = std::ranges::all_of(messages, is_of_an_index);
  finding.plan = finding.repairable
                     ? "The indexes are made again from their tables."
                     : "Restore the file from a copy, or save what can be read: sqlite3 FILE .recover | sqlite3 NEW.";
  return finding;
}

Result<Database> open(const Examined& database) {
  NEPTUNE_TRY(refuse_log_alone(database.file));
  auto db = Database::open(database.file, {.access = Access::read_write, .busy_timeout = std::chrono::seconds(5)});
  if (!db) return db;
  const auto version = db->number("PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  if (*version > database.version)
    return fail("too_new",
                fmt::format("{} was written by a newer neptune-syncd (schema {}, this one knows {}): use that "
                            "version's `neptune-sync queue check`",
                            database.file.string(), *version, database.version));
  return db;
}

Result<std::vector<Finding>> findings_of(Database& db, const Examined& database) {
  std::vector<Finding> found;
  const auto damage = damage_of(db);
  if (!damage) return std::unexpected(damage.error());
  if (!damage->empty()) found.push_back(about_damage(*damage));
  // Rows of a damaged table prove nothing.
  if (!found.empty() && !found.front().repairable) return found;
  const auto version = db.number("PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  // The rules are of this version's tables; the daemon brings older ones up to it when it starts.
  if (*version < database.version) return found;
  for (const auto& rule : database.rules) {
    const auto count = db.number(rule.count);
    if (!count) return std::unexpected(count.error());
    if (*count > 0)
      found.push_back({*count == 1 ? rule.of_one : fmt::format(fmt::runtime(rule.broken), *count), rule.plan,
                       rule.repair != nullptr});
  }
  return found;
}

}  // namespace

Result<std::vector<Finding>> check(const Examined& database) {
  auto db = open(database);
  if (!db) return std::unexpected(std::move(db.error()));
  return findings_of(*db, database);
}

Result<std::vector<Finding>> repair(const Examined& database) {
  auto db = open(database);
  if (!db) return std::unexpected(std::move(db.error()));
  // All of it is in the file itself then, which is what is copied.
  NEPTUNE_TRY(db->exec("PRAGMA wal_checkpoint(TRUNCATE)"));
  std::error_code error;
  const auto copy = database.file.string() + ".before-repair";
  std::filesystem::copy_file(database.file, copy, std::filesystem::copy_options::overwrite_existing, error);
  if (error)
    return fail("copy_failed", fmt::format("{} cannot be copied to {} ({}), so nothing was repaired",
                                           database.file.string(), copy, error.message()));
  const auto damage = damage_of(*db);
  if (!damage) return std::unexpected(damage.error());
  NEPTUNE_TRY(db->exec("PRAGMA synchronous=FULL"));
  auto transaction = Transaction::begin(*db, Transaction::Kind::write);
  if (!transaction) return std::unexpected(std::move(transaction.error()));
  if (!damage->empty() && about_damage(*damage).repairable) NEPTUNE_TRY(db->exec("REINDEX"));
  const auto version = db->number("PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  for (const auto& rule : database.rules) {
    if (!rule.repair || *version < database.version) continue;
    const auto count = db->number(rule.count);
    if (!count) return std::unexpected(count.error());
    if (*count > 0) NEPTUNE_TRY(db->exec(rule.repair));
  }
  NEPTUNE_TRY(transaction->commit());
  return findings_of(*db, database);
}

}  // namespace neptune::sqlite
