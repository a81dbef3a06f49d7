#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "support/error.h"

/// Goes through a database of ours that nobody uses: SQLite's own integrity, the version of its tables, and what must
/// hold of their rows.
namespace neptune::sqlite {

/// Something that must hold. SQL of the owner of the tables.
struct Rule {
  const char* count;   ///< one number: how often it does not hold
  const char* of_one;  ///< a sentence, where it does not hold once
  const char* broken;  ///< a sentence with {} for that number, where it is more often
  const char* repair;  ///< statements after which it holds; null: nothing can be done by itself
  const char* plan;    ///< a sentence: what the repair does, or, without one, what to do by hand
};

/// One database file.
struct Examined {
  std::filesystem::path file;
  int version;  ///< of the tables, as this program makes them
  std::span<const Rule> rules;
};

struct Finding {
  std::string what;  ///< what is wrong
  std::string plan;  ///< what a repair would do about it, or what a person can
  bool repairable = false;
};

/// Changes nothing (but that SQLite puts a `-wal` that a killed process left into the file). Empty: all is well. An
/// index that disagrees with its table is repairable, rows that cannot be read are not.
/// Errors: those of opening; "too_new" when a newer program made the file.
Result<std::vector<Finding>> check(const Examined& database);

/// Copies the file to `<file>.before-repair`, then repairs what is repairable, in one transaction. What it found after
/// that: empty, or what is left.
Result<std::vector<Finding>> repair(const Examined& database);

}  // namespace neptune::sqlite
