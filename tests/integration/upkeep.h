#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/integration/box.h"
#include "tests/integration/support/sqlite.h"

namespace neptune::testing {

std::vector<std::string> lines_of(const std::string& text);

/// A box whose state directory is worked on by hand.
class Upkeep : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  static Box::Options options() { return {.config = "[queue]\nmin_free_disk = \"1MiB\"\n"}; }

  /// Its queue holds a create and updates of r-1 that the server has not seen.
  void fill(Box& of, int updates = 20);
  Ran upkeep(Box& of, std::vector<std::string> args);

  sqlite::Db open(const char* name) {
    auto db = sqlite::open((box.dir() / "state" / name).string());
    sqlite::exec(db,
                 "PRAGMA busy_timeout = 10000");  // an export that begins, or was killed, has it locked for a moment
    return db;
  }
  void spoil(const char* name, const std::string& sql) { sqlite::exec(open(name), sql); }

  Box box{options()};

 private:
  std::string path_;
};

}  // namespace neptune::testing
