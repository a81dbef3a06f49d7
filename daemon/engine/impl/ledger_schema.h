#pragma once

#include <cstdint>

#include "support/error.h"

namespace neptune::sqlite {
class Database;
}

/// The tables of the ledger's file (ledger.h), and how those of older versions become them.
namespace neptune::engine {

/// As its user_version.
constexpr int ledger_version = 11;

/// Brings the tables from `version` (0: none) to this one's.
Result<void> prepare_ledger(sqlite::Database& db, std::int64_t version);

/// Of a row of `sources`, how many of its changes are kept as rejected.
constexpr const char* kept_of_source =
    "(SELECT count(*) FROM rejected WHERE rejected.source = sources.path AND rejected.kind = sources.kind AND "
    "rejected.container = sources.container)";

}  // namespace neptune::engine
