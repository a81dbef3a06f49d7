// Everything that is not sent, carried from one machine to another in a file.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>

#include "support/base64.h"
#include "tests/integration/client_1x.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/integration/support/small_disk.h"
#include "tests/integration/upkeep.h"
#include "tests/sandbox/spool.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;
namespace json = boost::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// The end of a file with these lines, as it would have been written.
std::string with_end(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return text +
         fmt::format(R"({{"lines":{},"sha256":"{}"}})", lines.size() - 1, sandbox::sha256_of(std::string_view(text))) +
         "\n";
}

/// A machine whose workspace is held, so that nothing of it is sent.
class Carry : public Upkeep {
 protected:
  void SetUp() override {
    Upkeep::SetUp();
    ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  }

  std::unique_ptr<RunLogWriter> log_of(const std::string& run, int points, int from = 1) {
    auto log = std::make_unique<RunLogWriter>(RunLogWriter::Options{
        .directory = box.runs(), .project = "ml-team/lab", .run = run, .experiment = {}, .fork = {}});
    add_points(*log, from, points);
    return log;
  }
  static void add_points(RunLogWriter& log, int from, int to) {
    for (int step = from; step <= to; ++step)
      log.append(static_cast<std::uint64_t>(step) * 1'000'000, {{"loss", step + 0.5}});
  }
  /// Its database; the job has ended.
  fs::path closed_log(const std::string& run, int points) {
    const auto log = log_of(run, points);
    log->close(false);
    return log->path();
  }
  static std::int64_t rows(const fs::path& database) {
    return sqlite::integer(sqlite::open(database.string()), "SELECT count(*) FROM run_operations");
  }

  Ran move_to(const fs::path& to) { return upkeep(box, {"export", "--move", to}); }
  /// Takes the file there, and waits until all of it is on the server.
  void take_and_sync(Box& to, const fs::path& from) {
    if (to.daemon().running()) {
      ASSERT_EQ(to.stop_daemon(), 0);
    }
    const auto taken = upkeep(to, {"import", from});
    ASSERT_EQ(taken.status, 0) << taken.err;
    to.start_daemon();
    to.wait_synced();
  }
  /// Empty when the run's series has each point once, in order.
  static std::string misses(Box& at, const std::string& run, int points) {
    const auto state = at.sandbox().state();
    const auto* held = state.at("runs").as_object().if_contains("ml-team/lab/" + run);
    if (!held) return run + " is not on the server";
    const auto& series = held->at("series").as_object();
    if (!series.contains("loss")) return "it has no points";
    const auto& loss = series.at("loss").as_array();
    if (loss.size() != static_cast<std::size_t>(points)) return fmt::format("{} points", loss.size());
    for (int i = 1; i <= points; ++i)
      if (loss[static_cast<std::size_t>(i - 1)].at(0).to_number<std::int64_t>() != i * 1'000'000LL)
        return fmt::format("point {} is out of order", i);
    return {};
  }
  static bool has_no_runs(Box& at) { return at.sandbox().state().at("runs").as_object().empty(); }

  fs::path file = box.dir() / "unsent.jsonl";
};

TEST_F(Carry, ARunLogThatIsMovedIsOnTheServerOfTheOtherMachineOnceAndNotSentFromHere) {
  const auto database = closed_log("r-1", 50);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto written = move_to(file);
  ASSERT_EQ(written.status, 0) << written.out << written.err;
  EXPECT_THAT(written.out, HasSubstr("51 operations of 1 run log were written to"));
  EXPECT_EQ(rows(database), 0);
  struct stat about{};
  ASSERT_EQ(::stat(file.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);

  Box other(options());
  ASSERT_NO_FATAL_FAILURE(take_and_sync(other, file));
  EXPECT_EQ(misses(other, "r-1", 50), "");
  ASSERT_EQ(other.stop_daemon(), 0);
  EXPECT_THAT(upkeep(other, {"import", file}).out, HasSubstr("0 operations and 0 files of 0 logs"));

  const auto nothing = move_to(box.dir() / "second.jsonl");
  EXPECT_EQ(nothing.status, 0);
  EXPECT_THAT(nothing.out, HasSubstr("nothing waits here to be sent"));
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  EXPECT_EQ(box.sync({"wait", "--timeout", "10s"}).status, 1) << "of that, too, nobody here can tell when it is synced";
  EXPECT_TRUE(has_no_runs(box)) << "another machine sends it";
  EXPECT_THAT(box.sync({"--json", "status"}).out,
              AllOf(HasSubstr(R"("state":"moved")"), HasSubstr("51 changes moved to another machine in unsent.jsonl")));
  EXPECT_THAT(box.sync({"status"}).out, AllOf(HasSubstr("Sources: 1 moved."), Not(HasSubstr("1 synced"))));
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, HasSubstr("51 changes were moved to another machine in unsent.jsonl"));
  const auto waited = box.sync({"wait", "--run", "r-1", "--timeout", "5s"});
  EXPECT_EQ(waited.status, 1) << "nobody here can tell when it is synced";
  EXPECT_THAT(waited.err, HasSubstr("moved to another machine in unsent.jsonl"));
}

TEST_F(Carry, WhatIsOnTheServerOfALogDoesNotTravel) {
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  const auto log = log_of("r-1", 20);
  box.wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 21; });
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  add_points(*log, 21, 50);
  log->close(false);
  ASSERT_EQ(box.stop_daemon(), 0);
  ASSERT_EQ(move_to(file).status, 0);
  const auto lines = lines_of(text_of(file));
  ASSERT_EQ(lines.size(), 2u + 1u + 30u);
  EXPECT_EQ(json::parse(lines[2]).at("op").as_int64(), 22);
}

TEST_F(Carry, ALogWithACallOfWhichTheOutcomeIsNotKnownStaysHere) {
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  const auto log = log_of("r-1", 3);
  box.wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 4; });
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  add_points(*log, 4, 6);
  log->close(false);
  ASSERT_EQ(box.stop_daemon(), 0);
  spoil("memory.sqlite3",
        "INSERT INTO intents SELECT id, 0, confirmed + 1, 'doubt' FROM sources WHERE inode != 0 AND confirmed > 0");
  const auto stays = move_to(file);
  EXPECT_EQ(stays.status, 6);
  EXPECT_THAT(stays.out, HasSubstr("start the daemon here to finish that"));
  EXPECT_EQ(sqlite::integer(open("memory.sqlite3"), "SELECT count(*) FROM intents"), 1);
  EXPECT_EQ(rows(log->path()), 3);
}

TEST_F(Carry, WhatAJobStillWritesIsCopiedUpToThereAndMovedOnlyWhenItHasEnded) {
  const auto log = log_of("r-1", 30);
  const auto copied = upkeep(box, {"export", file});
  ASSERT_EQ(copied.status, 0) << copied.out << copied.err;
  EXPECT_THAT(copied.out, HasSubstr("31 operations of 1 run log were written"));
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto stays = move_to(box.dir() / "second.jsonl");
  EXPECT_EQ(stays.status, 6) << "not everything travels";
  EXPECT_THAT(stays.out, AllOf(HasSubstr("Not in it: the run log in"), HasSubstr("when its job has ended")));
  EXPECT_EQ(log->operations(), 31) << "and nothing of it was touched";
  Box other(options());
  ASSERT_NO_FATAL_FAILURE(take_and_sync(other, file));
  EXPECT_EQ(misses(other, "r-1", 30), "");

  add_points(*log, 31, 60);
  log->close(false);
  const auto third = box.dir() / "third.jsonl";
  ASSERT_EQ(move_to(third).status, 0);
  ASSERT_NO_FATAL_FAILURE(take_and_sync(other, third));
  EXPECT_EQ(misses(other, "r-1", 60), "") << "what came before is known, and the rest goes on from there";
}

TEST_F(Carry, ACopyOfALogThatIsBeingWrittenIsNeverTorn) {
  Process job({.binary = binary("run-log-writer"),
               .args = {"--dir", box.runs(), "--project", "ml-team/lab", "--run", "r-1", "--points", "2", "--ops",
                        "400", "--interval-ms", "2", "--hold-open"},
               .env = {},
               .unset_env = {},
               .output_dir = box.dir() / "output",
               .name = "job",
               .working_dir = {}});
  box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() > 20; });
  ASSERT_EQ(upkeep(box, {"export", file}).status, 0);
  job.terminate(20s);
  std::int64_t last = 0;
  for (const auto& line : lines_of(text_of(file))) {
    const auto object = json::parse(line).as_object();
    if (!object.contains("op")) continue;
    EXPECT_EQ(object.at("op").as_int64(), last + 1);
    last = object.at("op").as_int64();
  }
  EXPECT_GT(last, 20);
  Box other(options());
  ASSERT_NO_FATAL_FAILURE(take_and_sync(other, file));
  EXPECT_EQ(other.get("/v1/status").at("totals").at("synced").as_int64(), last);
}

TEST_F(Carry, ALogOfARunThatAJobWentOnWithWaitsForThatOne) {
  closed_log("r-1", 10);
  const auto later = log_of("r-1", 20, 11);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto stays = move_to(file);
  EXPECT_EQ(stays.status, 6);
  EXPECT_THAT(stays.out, HasSubstr("another log of r-1"));
  later->close(false);
}

TEST_F(Carry, OfARunWithSeveralLogsAllThatWasMovedIsTold) {
  closed_log("r-1", 10);
  const auto later = log_of("r-1", 20, 11);
  later->close(false);
  ASSERT_EQ(box.stop_daemon(), 0);
  ASSERT_EQ(move_to(file).status, 0);
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  const auto waited = box.sync({"wait", "--run", "r-1", "--timeout", "10s"});
  EXPECT_EQ(waited.status, 1);
  EXPECT_THAT(waited.err, HasSubstr("22 of its changes were moved"));
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, HasSubstr("22 changes were moved to another machine in unsent.jsonl"));
  EXPECT_THAT(box.sync({"explain", "ml-team/lab"}).out, HasSubstr("22 changes were moved"))
      << "of a project of which all was moved";
}

TEST_F(Carry, WhatWasMovedCanBeBroughtBack) {
  closed_log("r-1", 10);
  ASSERT_EQ(box.stop_daemon(), 0);
  ASSERT_EQ(move_to(file).status, 0);
  const auto taken = upkeep(box, {"import", file});
  EXPECT_THAT(taken.out, HasSubstr("11 operations and 0 files of 1 log")) << taken.err;
  EXPECT_THAT(upkeep(box, {"import", file}).out, HasSubstr("0 operations"));
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
  EXPECT_EQ(misses(box, "r-1", 10), "");
  for (const auto* what : {"r-1", "ml-team/lab"})
    EXPECT_THAT(box.sync({"explain", what}).out, Not(HasSubstr("moved"))) << what;
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "10s"}).status, 0);
}

TEST_F(Carry, ChangesWithKeysOfTheirOwnCanBeBroughtBackToo) {
  ASSERT_EQ(
      box.hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-1", "idempotency_key": "mine"})").first,
      202u);
  ASSERT_EQ(box.stop_daemon(), 0);
  ASSERT_EQ(move_to(file).status, 0);
  EXPECT_THAT(upkeep(box, {"import", file}).out, HasSubstr("1 change of"));
  EXPECT_THAT(upkeep(box, {"import", file}).out, HasSubstr("0 changes of"));
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
  EXPECT_TRUE(box.sandbox().state().at("runs").as_object().contains("ml-team/lab/r-1"));
}

TEST_F(Carry, AMoveThatIsKilledAtAnyInstantLosesNothingAndBringsNothingTwice) {
  constexpr int points = 3000;
  const auto database = closed_log("r-1", points);
  ASSERT_EQ(box.stop_daemon(), 0);
  std::vector<fs::path> files;
  for (int round = 0; round < 12 && rows(database) > 0; ++round) {
    files.push_back(box.dir() / fmt::format("round-{}.jsonl", round));
    Process moving({.binary = binary("neptune-syncd"),
                    .args = {"--config", box.dir() / "config.toml", "--export", files.back(), "--move"},
                    .env = {},
                    .unset_env = {},
                    .output_dir = box.dir() / "output",
                    .name = "move",
                    .working_dir = {}});
    moving.wait(std::chrono::milliseconds(10 + 15 * round));
    moving.kill();
    if (!fs::exists(files.back())) files.pop_back();
  }
  const auto last = box.dir() / "last.jsonl";
  ASSERT_EQ(move_to(last).status, 0);
  files.push_back(last);
  EXPECT_EQ(rows(database), 0);
  Box other(options());
  for (const auto& each : files) ASSERT_NO_FATAL_FAILURE(take_and_sync(other, each));
  EXPECT_EQ(misses(other, "r-1", points), "");
  // Of a part that was being written, nothing is left under any name.
  for (const auto& entry : fs::directory_iterator(box.dir())) EXPECT_NE(entry.path().extension(), ".part");
}

TEST_F(Carry, AFullDiskCostsNothingInEitherDirection) {
  const SmallDisk disk(4);
  if (!disk.mounted()) GTEST_SKIP() << "needs root to mount a small disk";
  const auto database = closed_log("r-1", 200);
  ASSERT_EQ(box.stop_daemon(), 0);
  disk.fill();
  const auto refused = move_to(disk.path() / "x.jsonl");
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("No space left"));
  disk.make_room();
  EXPECT_TRUE(fs::is_empty(disk.path())) << "no half file";
  EXPECT_EQ(rows(database), 201);
  ASSERT_EQ(move_to(file).status, 0);

  auto there = options();
  there.config += "[[watch]]\npath = \"" + disk.path().string() + "/runs\"\nkind = \"run-logs\"\n";
  Box other(there);
  ASSERT_EQ(other.stop_daemon(), 0);
  fs::create_directory(disk.path() / "runs");
  disk.fill();
  const auto full = upkeep(other, {"import", file, "--into", disk.path() / "runs"});
  EXPECT_EQ(full.status, 1);
  EXPECT_THAT(full.err, HasSubstr("import the file again"));
  disk.make_room();
  const auto again = upkeep(other, {"import", file, "--into", disk.path() / "runs"});
  EXPECT_EQ(again.status, 0) << again.err;
  other.start_daemon();
  other.wait_synced();
  EXPECT_EQ(misses(other, "r-1", 200), "");
}

TEST_F(Carry, WhatWasNotWrittenByUsIsRefusedBeforeAnythingIsTaken) {
  closed_log("r-1", 3);
  ASSERT_EQ(box.stop_daemon(), 0);
  ASSERT_EQ(move_to(file).status, 0);
  auto lines = lines_of(text_of(file));
  lines.pop_back();
  Box other(options());
  ASSERT_EQ(other.stop_daemon(), 0);
  const auto refused_with = [&](const char* key, const json::value& value) {
    auto altered = lines;
    auto head = json::parse(lines[1]).as_object();
    head[key] = value;
    altered[1] = json::serialize(head);
    std::ofstream(box.dir() / "bad.jsonl", std::ios::trunc) << with_end(altered);
    return upkeep(other, {"import", box.dir() / "bad.jsonl"});
  };
  for (const auto* name : {"..", ".", "", "a/b", "/etc", "../../state"})
    EXPECT_THAT(refused_with("name", name).err, HasSubstr("is none of an export")) << name;
  EXPECT_EQ(refused_with("log", "diary").status, 1);
  EXPECT_EQ(refused_with("project", "../x/y").status, 1);
  EXPECT_TRUE(fs::is_empty(other.runs()));
  // The same with nothing altered is taken, so it was these that were refused.
  EXPECT_EQ(refused_with("name", "ml-team_lab_r-1_1").status, 0);
}

TEST_F(Carry, LogsArePutWhereNobodyElseHasPutALink) {
  closed_log("r-1", 3);
  ASSERT_EQ(box.stop_daemon(), 0);
  ASSERT_EQ(move_to(file).status, 0);
  Box other(options());
  ASSERT_EQ(other.stop_daemon(), 0);
  fs::create_directory(other.dir() / "elsewhere");
  fs::create_directory_symlink(other.dir() / "elsewhere", other.runs() / "imported");
  EXPECT_THAT(upkeep(other, {"import", file}).err, HasSubstr("only this user may write"));
  EXPECT_TRUE(fs::is_empty(other.dir() / "elsewhere"));
  EXPECT_THAT(upkeep(other, {"import", file, "--into", other.dir()}).err, HasSubstr("is not watched"));
  fs::remove(other.runs() / "imported");
  ASSERT_EQ(upkeep(other, {"import", file}).status, 0);
  for (const auto& entry : fs::recursive_directory_iterator(other.runs()))
    EXPECT_EQ(static_cast<unsigned>(entry.status().permissions()) & 077, 0u) << entry.path();
}

TEST_F(Carry, AWatchedFolderThatIsNotThereYetIsMade) {
  closed_log("r-1", 3);
  ASSERT_EQ(box.stop_daemon(), 0);
  ASSERT_EQ(move_to(file).status, 0);
  Box other(options());
  ASSERT_EQ(other.stop_daemon(), 0);
  fs::remove(other.runs());
  const auto taken = upkeep(other, {"import", file});
  EXPECT_EQ(taken.status, 0) << taken.err;
  EXPECT_EQ(static_cast<unsigned>(fs::status(other.runs()).permissions()), 0755u) << "others may log there, too";
  other.start_daemon();
  other.wait_synced();
}

TEST_F(Carry, ALogThatIsDamagedInTheMiddleStaysAsAWholeAndAllElseTravels) {
  const auto good = closed_log("r-1", 5), damaged = closed_log("r-2", 400);
  box.hand_in(R"({"kind": "project.create", "project": "ml-team/queued"})");
  ASSERT_EQ(box.stop_daemon(), 0);
  {
    std::fstream pages(damaged, std::ios::in | std::ios::out | std::ios::binary);
    pages.seekp(static_cast<std::streamoff>(fs::file_size(damaged) / 2));
    pages << std::string(12'000, '\xa5');
  }
  const auto written = move_to(file);
  EXPECT_EQ(written.status, 6) << written.err;
  EXPECT_THAT(written.out, AllOf(HasSubstr("6 operations of 1 run log"), HasSubstr("1 change"),
                                 HasSubstr("Not in it: "), HasSubstr("_r-2_"), HasSubstr("is damaged")));
  EXPECT_EQ(rows(good), 0);
  EXPECT_TRUE(fs::exists(damaged));
}

TEST_F(Carry, ALogThatMayNotBeReadIsNamedAndTheExitCodeSaysSo) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can act as another user";
  constexpr unsigned owner = 1234;
  const auto readable = closed_log("r-1", 5), secret = closed_log("r-2", 5);
  ASSERT_EQ(box.stop_daemon(), 0);
  fs::permissions(box.dir(), fs::perms(0755));
  ASSERT_EQ(::chown((box.dir() / "state").c_str(), owner, owner), 0);
  for (const auto& entry : fs::directory_iterator(box.dir() / "state"))
    ASSERT_EQ(::chown(entry.path().c_str(), owner, owner), 0);
  fs::permissions(secret, fs::perms(0600));
  const auto written = move_to(file);
  EXPECT_EQ(written.status, 6);
  EXPECT_THAT(written.out, AllOf(HasSubstr("6 operations of 1 run log"), HasSubstr("Not in it: "), HasSubstr("_r-2_")));
  EXPECT_EQ(rows(readable), 6) << "its owner's to delete";
  // By the ledger's record alone it is not sent from here.
  const auto again = move_to(box.dir() / "again.jsonl");
  EXPECT_THAT(again.out, Not(HasSubstr("operations of")));
  // What comes later travels alone, though what was moved is still there.
  sqlite::exec(
      sqlite::open(readable.string()),
      "INSERT INTO run_operations (timestamp, operation_type, operation, operation_size_bytes) SELECT timestamp, "
      "operation_type, operation, operation_size_bytes FROM run_operations ORDER BY sequence_id DESC LIMIT 1");
  const auto later = move_to(box.dir() / "later.jsonl");
  EXPECT_THAT(later.out, HasSubstr("1 operation of 1 run log was written"));
  EXPECT_THAT(text_of(box.dir() / "later.jsonl"), AllOf(HasSubstr("\"op\":7"), Not(HasSubstr("\"op\":6"))));
}

TEST_F(Carry, AFileOfTheFirstVersionIsStillRead) {
  fill(box);
  ASSERT_EQ(upkeep(box, {"export", file}).status, 0);
  auto lines = lines_of(text_of(file));
  lines.pop_back();
  lines[0].replace(lines[0].find("export\":2"), 9, "export\":1");
  auto old = with_end(lines);
  old.replace(old.rfind("\"lines\""), 7, "\"changes\"");
  std::ofstream(box.dir() / "old.jsonl") << old;
  Box other(options());
  ASSERT_NO_FATAL_FAILURE(take_and_sync(other, box.dir() / "old.jsonl"));
  EXPECT_EQ(misses(other, "r-1", 20), "");
}

TEST_F(Carry, FilesOfALogTravelWithItAndGoWhenTheyAreOnTheServer) {
  const auto log = log_of("r-1", 2);
  const auto temporary = log->path().parent_path() / "in-memory.bin", kept = box.dir() / "weights.bin";
  std::ofstream(temporary) << std::string(700'000, 'a');
  std::ofstream(kept) << std::string(5, 'b');
  log->add_upload(temporary, "r-1/preds/1/in-memory.bin", "application/octet-stream", true);
  log->add_upload(kept, "r-1/weights/none/weights.bin", "application/octet-stream", false);
  log->assign({{"note", std::string(600'000, 'n')}});
  log->close(false);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto written = move_to(file);
  ASSERT_EQ(written.status, 0) << written.out << written.err;
  EXPECT_THAT(written.out, HasSubstr("and 2 files"));
  for (const auto& line : lines_of(text_of(file))) EXPECT_LT(line.size(), 300'000u) << "lines are bounded";
  EXPECT_FALSE(fs::exists(temporary));
  EXPECT_TRUE(fs::exists(kept));

  Box other(options());
  ASSERT_NO_FATAL_FAILURE(take_and_sync(other, file));
  const auto files = other.sandbox().state().at("files").as_object();
  ASSERT_EQ(files.size(), 2u);
  for (const auto& [path, content] : {std::pair<const char*, std::string>{"in-memory.bin", std::string(700'000, 'a')},
                                      std::pair<const char*, std::string>{"weights.bin", std::string(5, 'b')}}) {
    const auto found =
        std::ranges::find_if(files, [path](const auto& each) { return std::string_view(each.key()).ends_with(path); });
    ASSERT_NE(found, files.end()) << path;
    EXPECT_EQ(found->value().at("sha256").as_string(), sandbox::sha256_of(std::string_view(content)));
  }
  EXPECT_EQ(misses(other, "r-1", 2), "");
  EXPECT_EQ(other.sandbox().state().at("runs").at("ml-team/lab/r-1").at("attrs").at("note").at("length").as_int64(),
            600'000);
  for (const auto& entry : fs::recursive_directory_iterator(other.runs()))
    EXPECT_FALSE(entry.path().filename().string().starts_with("carried-")) << "they were ours to delete";
}

TEST_F(Carry, AFileThatCannotBeHadStaysAndIsNamed) {
  const auto log = log_of("r-1", 2);
  const auto there = box.dir() / "weights.bin", gone = box.dir() / "gone.bin";
  std::ofstream(there) << "b";
  std::ofstream(gone) << "c";
  log->add_upload(there, "r-1/a/none/weights.bin", "application/octet-stream", false);
  log->add_upload(gone, "r-1/b/none/gone.bin", "application/octet-stream", false);
  log->close(false);
  fs::remove(gone);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto written = move_to(file);
  EXPECT_EQ(written.status, 6);
  EXPECT_THAT(written.out, AllOf(HasSubstr("and 1 file were"), HasSubstr("gone.bin")));
  EXPECT_EQ(log->path().empty()
                ? 0
                : sqlite::integer(sqlite::open(log->path().string()), "SELECT count(*) FROM file_upload_requests"),
            1);
}

TEST_F(Carry, FilesThatWereHandedInTravelToo) {
  const auto weights = box.dir() / "weights.bin";
  std::ofstream(weights) << std::string(300'000, 'w');
  ASSERT_EQ(box.hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-1"})").first, 202u);
  ASSERT_EQ(box.sync({"run", "upload", "r-1", "weights", weights, "--project", "ml-team/lab"}).status, 0);
  ASSERT_EQ(box.sync({"run", "upload", "r-1", "copied", weights, "--copy", "--project", "ml-team/lab"}).status, 0);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto written = move_to(file);
  ASSERT_EQ(written.status, 0) << written.out << written.err;
  EXPECT_THAT(written.out, HasSubstr("and 2 files"));
  fs::remove(weights);
  Box other(options());
  ASSERT_NO_FATAL_FAILURE(take_and_sync(other, file));
  const auto state = other.sandbox().state();
  EXPECT_EQ(state.at("files").as_object().size(), 2u);
  const auto& attributes = state.at("runs").at("ml-team/lab/r-1").at("attrs").as_object();
  EXPECT_TRUE(attributes.contains("weights") && attributes.contains("copied"));
  EXPECT_TRUE(fs::is_empty(other.dir() / "state" / "files")) << "the copies were ours to delete";
  ASSERT_EQ(other.stop_daemon(), 0);
  EXPECT_THAT(upkeep(other, {"import", file}).out, HasSubstr("3 were known already"));
  EXPECT_TRUE(fs::is_empty(other.dir() / "state" / "files"));
}

/// The same of directories of the 1.x client.
class CarryClient1x : public Client1x {
 protected:
  void SetUp() override {
    if (const char* path = std::getenv("PATH")) path_ = path;
    ::setenv("PATH", (binary("neptune-syncd").parent_path().string() + ":" + path_).c_str(), 1);
    make();
    // Its queue and memory are there, and nothing is sent.
    ASSERT_EQ(box->sync({"hold", "ml-team"}).status, 0);
    ASSERT_EQ(box->stop_daemon(), 0);
  }
  void TearDown() override { ::setenv("PATH", path_.c_str(), 1); }

  static Ran run_on(Box& of, std::vector<std::string> args) {
    args.insert(args.end(), {"--config", of.dir() / "config.toml"});
    return of.sync(std::move(args));
  }
  static Box::Options other_machine(const std::string& project = "ml-team/lab") {
    Box::Options options;
    options.config = "[[watch]]\npath = \"@DIR@/jobs\"\nkind = \"client-1x\"\ntakeover_after = \"1s\"\nproject = \"" +
                     project + "\"\n[queue]\nmin_free_disk = \"1MiB\"\n";
    options.start = false;
    return options;
  }
  /// The points of "loss" that the server of this box has of the run.
  static std::string points(Box& at, const std::string& id) {
    const auto state = at.sandbox().state();
    const auto* held = state.at("runs").as_object().if_contains("ml-team/lab/" + id);
    if (!held) return "no run";
    std::string out;
    for (const auto& point : held->at("series").at("loss").as_array())
      out += fmt::format("{} ", point.at(0).to_number<std::int64_t>() / 1'000'000);
    return out;
  }

  std::string path_;
};

TEST_F(CarryClient1x, WhatIsNotAcknowledgedIsMovedOnceAndInOrder) {
  const auto directory = offline_run("abc-1", 1, 9);
  write(directory / "last_ack_version", "4");
  const auto file = box->dir() / "unsent.jsonl";
  const auto copied = run_on(*box, {"export", box->dir() / "copy.jsonl"});
  EXPECT_EQ(copied.status, 6);
  EXPECT_THAT(copied.out, HasSubstr("travels with --move"));
  const auto moved = run_on(*box, {"export", "--move", file});
  ASSERT_EQ(moved.status, 0) << moved.out << moved.err;
  EXPECT_THAT(moved.out, HasSubstr("5 operations of 1 1.x directory"));
  EXPECT_EQ(text_of(directory / "last_ack_version"), "9");

  Box other(other_machine());
  other.sandbox().control(R"({"project": "ml-team/lab"})");
  fs::create_directory(other.dir() / "jobs");
  const auto taken = run_on(other, {"import", file});
  ASSERT_EQ(taken.status, 0) << taken.err;
  EXPECT_THAT(taken.out, HasSubstr("5 operations and 0 files of 1 log"));
  EXPECT_THAT(run_on(other, {"import", file}).out, HasSubstr("0 operations"));
  other.start_daemon();
  other.wait_synced();
  EXPECT_EQ(points(other, "abc-1"), "5 6 7 8 9 ");
  ASSERT_EQ(other.stop_daemon(), 0);
  EXPECT_THAT(run_on(other, {"import", file}).out, HasSubstr("0 operations"));
  other.start_daemon();
  other.wait_synced();
  EXPECT_EQ(points(other, "abc-1"), "5 6 7 8 9 ") << "and nothing of it comes twice";

  box->start_daemon();
  ASSERT_EQ(box->sync({"release", "ml-team"}).status, 0);
  box->wait_synced();
  EXPECT_EQ(box->get("/v1/status").at("totals").at("synced").as_int64(), 0);
}

TEST_F(CarryClient1x, WhatAStoppedClientLeftOfARunThatTheServerKnowsGoesToThatRun) {
  Box other(other_machine());
  other.sandbox().control(R"({"project": "ml-team/lab"})");
  fs::create_directory(other.dir() / "jobs");
  offline_run("abc-1", 1, 3);
  const auto first = box->dir() / "first.jsonl", second = box->dir() / "second.jsonl";
  ASSERT_EQ(run_on(*box, {"export", "--move", first}).status, 0);
  ASSERT_EQ(run_on(other, {"import", first}).status, 0);
  other.start_daemon();
  other.wait_synced();
  const auto id = std::string(other.sandbox().state().at("containers").at("ml-team/lab/LAB-1").at("id").as_string());
  ASSERT_EQ(other.stop_daemon(), 0);

  const auto left = finished_run("left", 1, 9);
  write(left / "last_ack_version", "3");
  age(left, 60s);
  fs::rename(left, place("async") / fmt::format("run__{}__{}__abcdefgh", id, dead_pid));
  const auto moved = run_on(*box, {"export", "--move", second});
  ASSERT_EQ(moved.status, 0) << moved.out << moved.err;
  const auto taken = run_on(other, {"import", second});
  ASSERT_EQ(taken.status, 0) << taken.err;
  EXPECT_THAT(taken.out, HasSubstr("6 operations"));
  other.start_daemon();
  other.wait_synced();
  EXPECT_EQ(points(other, "abc-1"), "1 2 3 4 5 6 7 8 9 ");
}

TEST_F(CarryClient1x, ARunThatWasMadeOfflineGoesOnlyWhereItsProjectIs) {
  offline_run("abc-1", 1, 3);
  const auto file = box->dir() / "unsent.jsonl";
  ASSERT_EQ(run_on(*box, {"export", "--move", file}).status, 0);
  Box other(other_machine("ml-team/other"));
  fs::create_directory(other.dir() / "jobs");
  const auto refused = run_on(other, {"import", file});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("project = \"ml-team/lab\""));
  EXPECT_TRUE(fs::is_empty(other.dir() / "jobs"));
}

TEST_F(CarryClient1x, WhatAJobStillWritesStays) {
  auto job = living_job();
  const auto directory = offline_run("abc-1", job.pid());
  write(directory / "data-1.log", logged_floats(1, 3));
  write(directory / "last_put_version", "3");
  const auto moved = run_on(*box, {"export", "--move", box->dir() / "unsent.jsonl"});
  EXPECT_EQ(moved.status, 6);
  EXPECT_THAT(moved.out, HasSubstr("which its client may still write"));
  EXPECT_EQ(text_of(directory / "last_ack_version"), "");
  job.kill();
}

TEST_F(CarryClient1x, ItsFilesTravelInItAndASetOfFilesKeepsItHere) {
  const auto path = make_file("model.bin", 400'000);
  const auto upload = [](const char* attribute, const std::string& file, const std::string& tmp) {
    return fmt::format(
        R"({{"type": "UploadFile", "path": ["{}"], "ext": "bin", "file_path": {}, "tmp_file_name": {}}})", attribute,
        file, tmp);
  };
  const auto directory = finished_run("abc-1",
                                      logged(1, upload("model", json::serialize(json::value(path.string())), "null")) +
                                          logged(2, upload("note", "null", "\"note.bin\"")) + logged_float(3, 1),
                                      3);
  write(directory / "upload_path" / "note.bin", "a note");
  hand_over(directory);
  const auto file = box->dir() / "unsent.jsonl";
  const auto moved = run_on(*box, {"export", "--move", file});
  ASSERT_EQ(moved.status, 0) << moved.out << moved.err;
  EXPECT_THAT(moved.out, HasSubstr("and 2 files"));
  const auto content = text_of(path);
  fs::remove(path);

  Box other(other_machine());
  other.sandbox().control(R"({"project": "ml-team/lab"})");
  fs::create_directory(other.dir() / "jobs");
  ASSERT_EQ(run_on(other, {"import", file}).status, 0);
  other.start_daemon();
  other.wait_synced();
  std::vector<std::string> held;
  const auto state = other.sandbox().state();
  for (const auto& [name, each] : state.at("files").as_object()) held.emplace_back(each.at("sha256").as_string());
  EXPECT_THAT(held, ::testing::UnorderedElementsAre(sandbox::sha256_of(std::string_view(content)),
                                                    sandbox::sha256_of(std::string_view("a note"))));

  hand_over(finished_run(
      "abc-2", logged(1, R"({"type": "UploadFileSet", "path": ["s"], "file_globs": ["/tmp/*"], "reset": "False"})"),
      1));
  const auto stays = run_on(*box, {"export", "--move", box->dir() / "second.jsonl"});
  EXPECT_EQ(stays.status, 6);
  EXPECT_THAT(stays.out, AllOf(HasSubstr("set of files"), HasSubstr("carry the directory and the files by hand")));
  EXPECT_TRUE(fs::exists(box->dir() / "second.jsonl"));
}

TEST_F(CarryClient1x, AnImportedDirectoryThatNamesFilesOfThisMachineIsRefused) {
  offline_run("abc-1", 1, 1);
  const auto file = box->dir() / "unsent.jsonl";
  ASSERT_EQ(run_on(*box, {"export", "--move", file}).status, 0);
  auto lines = lines_of(text_of(file));
  lines.pop_back();
  Box other(other_machine());
  fs::create_directory(other.dir() / "jobs");
  for (const std::string operation :
       {R"({"type": "UploadFile", "path": ["a"], "ext": "", "file_path": "/etc/shadow", "tmp_file_name": null})",
        R"({"type": "UploadFile", "path": ["a"], "ext": "", "tmp_file_name": "../../../../etc/shadow"})",
        R"({"type": "UploadFileSet", "path": ["a"], "file_globs": ["/etc/*"], "reset": "False"})", R"({"type": )"}) {
    auto altered = lines;
    auto line = json::parse(lines[2]).as_object();
    line["data"] = encode_base64(operation);
    line["size"] = operation.size();
    altered[2] = json::serialize(line);
    write(box->dir() / "bad.jsonl", with_end(altered));
    EXPECT_EQ(run_on(other, {"import", box->dir() / "bad.jsonl"}).status, 1) << operation;
  }
  EXPECT_TRUE(fs::is_empty(other.dir() / "jobs"));
}

TEST_F(CarryClient1x, AnImportThatIsKilledAtAnyInstantBringsNothingTwice) {
  constexpr int last = 4000;
  offline_run("abc-1", 1, last);
  const auto file = box->dir() / "unsent.jsonl";
  ASSERT_EQ(run_on(*box, {"export", "--move", file}).status, 0);
  Box other(other_machine());
  other.sandbox().control(R"({"project": "ml-team/lab"})");
  fs::create_directory(other.dir() / "jobs");
  for (int round = 0; round < 12; ++round) {
    Process importing({.binary = binary("neptune-syncd"),
                       .args = {"--config", other.dir() / "config.toml", "--import", file},
                       .env = {},
                       .unset_env = {},
                       .output_dir = other.dir() / "output",
                       .name = "import",
                       .working_dir = {}});
    importing.wait(std::chrono::milliseconds(10 + 15 * round));
    importing.kill();
  }
  ASSERT_EQ(run_on(other, {"import", file}).status, 0);
  other.start_daemon();
  other.wait_synced();
  std::string all;
  for (int step = 1; step <= last; ++step) all += fmt::format("{} ", step);
  EXPECT_EQ(points(other, "abc-1"), all);
}

}  // namespace
}  // namespace neptune::testing
