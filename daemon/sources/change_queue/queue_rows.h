#pragma once

#include <cstdint>

#include "support/sqlite.h"

/// Numbers of the queue's rows: SQLite's are signed.
namespace neptune::sources {

inline std::uint64_t count_at(const sqlite::Statement& row, int column) {
  return static_cast<std::uint64_t>(row.number(column));
}

inline std::int64_t as_signed(std::uint64_t value) {
  return static_cast<std::int64_t>(value);
}

}  // namespace neptune::sources
