#include "support/sqlite.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace neptune::sqlite {
namespace {

class SqliteTest : public testing::Test {
 protected:
  SqliteTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sqlite-test-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    path_ = directory_ / "what? #1 100%.sqlite3";
  }
  ~SqliteTest() override { std::filesystem::remove_all(directory_); }

  Database open(Options options = {.access = Access::create}) {
    auto database = Database::open(path_, options);
    EXPECT_TRUE(database) << database.error().message;
    return std::move(*database);
  }

  std::filesystem::path directory_, path_;
};

TEST_F(SqliteTest, StoresEveryTypeAndReadsItBack) {
  auto database = open();
  ASSERT_TRUE(database.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, n, d, t, b, z)"));
  const std::string blob("\0\x01\xff", 3);
  auto insert = database.prepare("INSERT INTO t(n, d, t, b, z) VALUES(?, ?, ?, ?, ?)");
  ASSERT_TRUE(insert);
  ASSERT_TRUE(insert->bind(std::int64_t{1} << 40, 0.5, "text", Bytes{blob}, nullptr).run());
  EXPECT_EQ(database.last_insert_rowid(), 1);
  EXPECT_EQ(database.changes(), 1);
  auto select = database.prepare("SELECT n, d, t, b, z FROM t WHERE id = ?");
  ASSERT_TRUE(select);
  ASSERT_EQ(select->bind(1).step(), true);
  EXPECT_EQ(select->number(0), std::int64_t{1} << 40);
  EXPECT_EQ(select->real(1), 0.5);
  EXPECT_EQ(select->text(2), "text");
  EXPECT_EQ(select->blob(3), blob);
  EXPECT_TRUE(select->is_null(4));
  EXPECT_EQ(select->step(), false);
}

TEST_F(SqliteTest, AnEmptyBlobIsNotNull) {
  auto database = open();
  ASSERT_TRUE(database.exec("CREATE TABLE t(b BLOB NOT NULL)"));
  auto insert = database.prepare("INSERT INTO t VALUES(?)");
  ASSERT_TRUE(insert);
  EXPECT_TRUE(insert->bind(Bytes{{}}).run());
}

TEST_F(SqliteTest, ReadsABlobInPieces) {
  auto database = open();
  ASSERT_TRUE(database.exec("CREATE TABLE t(b BLOB); INSERT INTO t VALUES(CAST('0123456789' AS BLOB))"));
  auto blob = database.open_blob("t", "b", 1);
  ASSERT_TRUE(blob);
  EXPECT_EQ(blob->size(), 10u);
  char piece[4];
  ASSERT_TRUE(blob->read(piece, 3));
  EXPECT_EQ(std::string_view(piece, 4), "3456");
  EXPECT_FALSE(blob->read(piece, 8));
  ASSERT_TRUE(database.exec("UPDATE t SET b = x'00'"));
  auto after = blob->read(piece, 0);
  ASSERT_FALSE(after);
  EXPECT_EQ(after.error().code, "sqlite_changed");
  EXPECT_TRUE(after.error().retryable);
}

TEST_F(SqliteTest, RollsBackATransactionThatWasNotCommitted) {
  auto database = open();
  ASSERT_TRUE(database.exec("CREATE TABLE t(n)"));
  {
    auto transaction = Transaction::begin(database, Transaction::Kind::write);
    ASSERT_TRUE(transaction);
    ASSERT_TRUE(database.exec("INSERT INTO t VALUES(1)"));
    EXPECT_TRUE(database.in_transaction());
  }
  EXPECT_FALSE(database.in_transaction());
  EXPECT_EQ(database.number("SELECT count(*) FROM t"), 0);
  auto transaction = Transaction::begin(database, Transaction::Kind::write);
  ASSERT_TRUE(database.exec("INSERT INTO t VALUES(1)"));
  ASSERT_TRUE(transaction->commit());
  EXPECT_EQ(database.number("SELECT count(*) FROM t"), 1);
}

TEST_F(SqliteTest, ALockHeldByAnotherIsBusyAndRetryable) {
  auto first = open();
  ASSERT_TRUE(first.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(n)"));
  auto second = open();
  auto held = Transaction::begin(first, Transaction::Kind::write);
  ASSERT_TRUE(held);
  auto refused = Transaction::begin(second, Transaction::Kind::write);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "sqlite_busy");
  EXPECT_TRUE(refused.error().retryable);
  EXPECT_TRUE(Transaction::begin(second, Transaction::Kind::read));
}

TEST_F(SqliteTest, TellsWhatIsWrongWithAFile) {
  auto absent = Database::open(path_, {.access = Access::read_write});
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, "sqlite_cannot_open");
  EXPECT_NE(absent.error().message.find(path_.string()), std::string::npos);

  std::ofstream(path_) << std::string(4096, 'x');
  auto junk = open({.access = Access::read_write});
  auto looked = junk.number("SELECT count(*) FROM t");
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().code, "sqlite_not_a_database");

  std::filesystem::remove(path_);
  auto database = open();
  auto missing = database.number("SELECT count(*) FROM t");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, "sqlite_no_table");
}

TEST_F(SqliteTest, AFullDatabaseSaysSoAndKeepsWhatItHad) {
  auto database = open();
  ASSERT_TRUE(database.exec("CREATE TABLE t(b BLOB); INSERT INTO t VALUES(1); PRAGMA max_page_count=3"));
  auto full = database.exec("INSERT INTO t VALUES(zeroblob(1000000))");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, "sqlite_full");
  EXPECT_EQ(database.number("SELECT count(*) FROM t"), 1);
}

TEST_F(SqliteTest, AReadOnlyConnectionRefusesToWrite) {
  {
    ASSERT_TRUE(open().exec("CREATE TABLE t(n)"));
  }
  auto database = open({.access = Access::read_only});
  auto written = database.exec("INSERT INTO t VALUES(1)");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, "sqlite_readonly");
}

TEST_F(SqliteTest, AnImmutableFileIsReadWithoutLeavingAnythingBesideIt) {
  {
    ASSERT_TRUE(open().exec("PRAGMA journal_mode=WAL; CREATE TABLE t(n); INSERT INTO t VALUES(7)"));
  }
  auto database = open({.access = Access::read_only, .immutable = true});
  EXPECT_EQ(database.number("SELECT n FROM t"), 7);
  EXPECT_FALSE(std::filesystem::exists(path_.string() + "-shm"));
}

TEST_F(SqliteTest, AnUntrustedFilesTriggersDoNotRun) {
  const std::string schema =
      "CREATE TABLE t(n); CREATE TABLE seen(n); INSERT INTO t VALUES(1);"
      "CREATE TRIGGER trap AFTER DELETE ON t BEGIN INSERT INTO seen VALUES(1); END";
  {
    ASSERT_TRUE(open().exec(schema));
  }
  auto database = open({.untrusted = true});
  ASSERT_TRUE(database.exec("DELETE FROM t"));
  EXPECT_EQ(database.number("SELECT count(*) FROM seen"), 0);
}

}  // namespace
}  // namespace neptune::sqlite
