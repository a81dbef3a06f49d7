#include <signal.h>

#include "tests/integration/support/process.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/integration/support/samples.h"
#include "tests/integration/support/sqlite.h"
#include "tests/unit/sandbox/served.h"

/// The tools of the integration tests, tested themselves.
namespace neptune::testing {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

Process shell(const TempDir& folder, const std::string& script) {
  Process::Options options;
  options.binary = "/bin/sh";
  options.args = {"-c", script};
  options.env = {{"GREETING", "hello"}};
  options.output_dir = folder.path();
  return Process(std::move(options));
}

TEST(AProcess, TellsItsOutputAndHowItEnded) {
  const TempDir folder;
  auto process = shell(folder, "echo $GREETING; echo trouble >&2; exit 3");
  EXPECT_EQ(process.wait(std::chrono::seconds(10)), 3);
  EXPECT_EQ(process.out(), "hello\n");
  EXPECT_EQ(process.err(), "trouble\n");
  EXPECT_FALSE(process.running());
}

TEST(AProcess, WaitsForALineAndNotPastTheEnd) {
  const TempDir folder;
  auto process = shell(folder, "echo one; echo two words; read -r never < /dev/zero");
  EXPECT_EQ(process.wait_for_line("two"), "two words");
  EXPECT_EQ(process.wait_for_line("three", milliseconds(50)), std::nullopt);
  process.kill();
  EXPECT_EQ(process.wait(milliseconds(0)), 128 + SIGKILL);
  EXPECT_EQ(process.wait_for_line("three"), std::nullopt);
}

TEST(AProcess, IsKilledWithItsOwner) {
  const TempDir folder;
  pid_t pid = 0;
  {
    auto process = shell(folder, "exec cat /dev/zero > /dev/null");
    pid = process.pid();
    EXPECT_TRUE(process.running());
    EXPECT_EQ(process.wait(milliseconds(10)), std::nullopt);
  }
  EXPECT_NE(::kill(pid, 0), 0);
}

RunLogWriter::Options log_in(const TempDir& folder) {
  RunLogWriter::Options options;
  options.directory = folder.path();
  options.project = "ml-team/classification";
  options.run = "r-1";
  return options;
}

std::string schema_of(const fs::path& log) {
  const auto db = sqlite::open(log.string());
  const auto rows = sqlite::prepare(db, "SELECT type, name, tbl_name FROM sqlite_master ORDER BY name");
  std::string out;
  while (sqlite3_step(rows.get()) == SQLITE_ROW)
    for (int i = 0; i < 3; ++i)
      out += std::string(reinterpret_cast<const char*>(sqlite3_column_text(rows.get(), i))) + " ";
  const auto columns = sqlite::prepare(
      db,
      "SELECT m.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_master m, pragma_table_info(m.name) c "
      "WHERE m.type = 'table' ORDER BY m.name, c.cid");
  while (sqlite3_step(columns.get()) == SQLITE_ROW)
    for (int i = 0; i < 5; ++i)
      out += std::string(reinterpret_cast<const char*>(sqlite3_column_text(columns.get(), i))) + " ";
  return out;
}

TEST(ARunLogWriter, MakesTheSamplesSchema) {
  const TempDir folder, sample;
  copy_run_log_sample("fork", sample.path());
  const RunLogWriter log(log_in(folder));
  EXPECT_EQ(schema_of(log.path()), schema_of(run_logs_in(sample.path()).front()));
  EXPECT_TRUE(fs::exists(log.path().string() + "-wal"));
}

TEST(ARunLogWriter, RemovesAnEmptiedLogAndItsFolder) {
  const TempDir folder;
  RunLogWriter log(log_in(folder));
  log.append(0, {{"m", 1.0}});
  EXPECT_EQ(log.operations(), 2);
  sqlite::exec(sqlite::open(log.path().string()), "DELETE FROM run_operations");
  log.close(true);
  EXPECT_FALSE(fs::exists(log.path().parent_path()));
}

TEST(ARunLogWriter, LeavesTheFolderWhenSomeoneElseHasTheLogOpen) {
  const TempDir folder;
  RunLogWriter log(log_in(folder));
  const auto other = sqlite::open(log.path().string());
  sqlite::exec(other, "DELETE FROM run_operations");
  log.close(true);
  EXPECT_FALSE(fs::exists(log.path()));
  EXPECT_TRUE(fs::exists(log.path().string() + "-wal"));
}

TEST(ARunLogWriter, KeepsALogThatHoldsOperations) {
  const TempDir folder;
  RunLogWriter log(log_in(folder));
  log.close(true);
  EXPECT_TRUE(fs::exists(log.path()));
}

TEST(ARunLogWriter, RunsInAProcessOfItsOwn) {
  const TempDir folder;
  Process::Options options;
  options.binary = binary("run-log-writer");
  options.args = {"--dir",      (folder / "runs").string(),
                  "--project",  "ml-team/classification",
                  "--run",      "r",
                  "--ops",      "5",
                  "--points",   "3",
                  "--hold-open"};
  options.output_dir = folder.path();
  Process writer(std::move(options));
  const auto path = writer.wait_for_line("log ");
  ASSERT_TRUE(path);
  const auto done = writer.wait_for_line("done ");
  ASSERT_TRUE(done);
  const auto report = parse_json(done->substr(5));
  EXPECT_EQ(report.at("points").as_int64(), 15);
  EXPECT_GE(report.at("commit_ms").at("max").as_double(), report.at("commit_ms").at("p95").as_double());
  EXPECT_TRUE(writer.running());
  EXPECT_EQ(writer.terminate(), 0);
  EXPECT_EQ(sqlite::integer(sqlite::open(path->substr(4)), "SELECT count(*) FROM run_operations"), 6);
}

TEST(Json, ReadsBareWordsAndTellsWhereValuesDiffer) {
  const auto value = parse_json(R"({"a": [NaN, -Infinity, -0.0, 1, 1.0, "\u00e9\n"], "b": 18446744073709551615})");
  EXPECT_EQ(first_difference(value, value), "");
  EXPECT_EQ(value.at("a").at(5).as_string(), "\xC3\xA9\n");
  EXPECT_NE(first_difference(parse_json("[-0.0]"), parse_json("[0.0]")), "");
  EXPECT_NE(first_difference(parse_json("[1]"), parse_json("[1.0]")), "");
  EXPECT_NE(first_difference(parse_json("{}"), parse_json(R"({"a": 1})")), "");
  EXPECT_NE(first_difference(parse_json("[1]"), parse_json("[1, 2]")), "");
  for (const auto* bad : {"", "[1", "{\"a\"}", "[1,]", "1 2", "nul", "\"open"})
    EXPECT_THROW(parse_json(bad), std::runtime_error) << bad;
}

}  // namespace
}  // namespace neptune::testing
