#pragma once

#include <cstdint>
#include <filesystem>

#include "support/error.h"
#include "support/sqlite_check.h"

namespace neptune::sqlite {
class Database;
}

/// The tables of the change queue's file (queue_store.h), and how those of older versions become them.
namespace neptune::sources {

/// As its user_version.
constexpr int queue_version = 7;

/// Sets what the file itself or the connection keeps, makes the tables of a new one (`version` 0), and brings those of
/// an older one up to date. Fails where nothing may be written: a queue that takes nothing and lets go of nothing is of
/// no use.
Result<void> prepare_queue(sqlite::Database& db, std::int64_t version);

/// What is to be looked at of such a file, for `--check-queue`: its invariants, as rules.
sqlite::Examined examined_queue(const std::filesystem::path& file);

}  // namespace neptune::sources
