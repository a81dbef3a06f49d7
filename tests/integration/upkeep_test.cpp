// What is done to the state directory by hand: the queue checked and repaired, exported and imported.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <boost/json/parse.hpp>
#include <chrono>
#include <fstream>

#include "tests/integration/client_1x.h"
#include "tests/integration/upkeep.h"

namespace neptune::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(Upkeep, ASoundQueueIsWell) {
  fill(box);
  const auto running = upkeep(box, {"queue", "check"});
  EXPECT_EQ(running.status, 1);
  EXPECT_THAT(running.err, HasSubstr("stop it first"));
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto checked = upkeep(box, {"queue", "check"});
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
  EXPECT_THAT(checked.out, AllOf(HasSubstr("changes.sqlite3: all is well"), HasSubstr("memory.sqlite3: all is well")));
}

TEST_F(Upkeep, WhatIsWrongIsToldAndRepairedOnlyWhenThatIsAskedFor) {
  fill(box);
  ASSERT_EQ(box.stop_daemon(), 0);
  spoil("changes.sqlite3",
        "UPDATE streams SET count = 7, bytes = 1; UPDATE sqlite_sequence SET seq = 3 WHERE name = 'changes'");
  spoil("memory.sqlite3",
        "INSERT INTO intents VALUES (99, 0, 1, 'gone'); INSERT INTO counters (project, synced, rejected) VALUES "
        "('ml-team/x', -1, 0)");
  const auto told = upkeep(box, {"queue", "check"});
  EXPECT_EQ(told.status, 1);
  EXPECT_THAT(told.out, AllOf(HasSubstr("The counts of 1 stream are not those of its changes"),
                              HasSubstr("repair: They are counted again"), HasSubstr("would be given out again"),
                              HasSubstr("1 note is of a change that is gone"), HasSubstr("--repair")));
  EXPECT_EQ(upkeep(box, {"queue", "check"}).out, told.out) << "a check changes nothing";
  EXPECT_FALSE(fs::exists(box.dir() / "state" / "changes.sqlite3.before-repair"));

  const auto repaired = upkeep(box, {"queue", "check", "--repair"});
  EXPECT_EQ(repaired.status, 0) << repaired.out << repaired.err;
  EXPECT_TRUE(fs::exists(box.dir() / "state" / "changes.sqlite3.before-repair"));
  EXPECT_EQ(sqlite::integer(open("changes.sqlite3"), "SELECT count FROM streams"), 21);
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(state.at("runs").at("ml-team/lab/r-1").at("series").at("loss").as_array().size(), 20u);
}

TEST_F(Upkeep, AnIndexThatDisagreesIsMadeAgain) {
  fill(box);
  ASSERT_EQ(box.stop_daemon(), 0);
  // As after a fault of the disk: the index says something else than the table.
  spoil(
      "changes.sqlite3",
      "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE INDEX changes_of_stream ON changes (stream, "
      "seq, kind, size, uid)' WHERE name = 'changes_of_stream'");
  const auto told = upkeep(box, {"queue", "check"});
  EXPECT_EQ(told.status, 1) << told.out;
  EXPECT_THAT(told.out, AllOf(HasSubstr("changes_of_stream"), HasSubstr("made again from their tables")));
  const auto repaired = upkeep(box, {"queue", "check", "--repair"});
  EXPECT_EQ(repaired.status, 0) << repaired.out << repaired.err;
}

TEST_F(Upkeep, RowsThatCannotBeReadAreLeftToAPerson) {
  fill(box, 2000);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto file = box.dir() / "state" / "changes.sqlite3";
  {
    std::fstream damage(file, std::ios::in | std::ios::out | std::ios::binary);
    damage.seekp(static_cast<std::streamoff>(fs::file_size(file) / 2 / 4096 * 4096));
    damage << std::string(4096, 'x');
  }
  const auto told = upkeep(box, {"queue", "check", "--repair"});
  EXPECT_EQ(told.status, 1) << told.out << told.err;
  EXPECT_THAT(told.out, AllOf(HasSubstr("SQLite finds damage"), HasSubstr("by hand")));
}

TEST_F(Upkeep, AnOlderCopyOfTheQueueThatWasPutBackGivesOutNoNumberTwice) {
  fill(box, 1);
  ASSERT_EQ(box.stop_daemon(), 0);
  fs::copy_file(box.dir() / "state" / "changes.sqlite3", box.dir() / "old.sqlite3");
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  ASSERT_EQ(box.hand_in(R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"a": 1}})").first,
            202u);
  box.wait_synced();
  ASSERT_EQ(box.stop_daemon(), 0);
  fs::copy_file(box.dir() / "old.sqlite3", box.dir() / "state" / "changes.sqlite3",
                fs::copy_options::overwrite_existing);
  EXPECT_THAT(upkeep(box, {"queue", "check"}).out, HasSubstr("an older copy of it was put back"));
  EXPECT_EQ(upkeep(box, {"queue", "check", "--repair"}).status, 0);
  box.start_daemon();
  ASSERT_EQ(box.hand_in(R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"b": 2}})").first,
            202u);
  box.wait_synced();
  EXPECT_TRUE(box.sandbox().state().at("runs").at("ml-team/lab/r-1").at("attrs").as_object().contains("b"));
}

TEST_F(Upkeep, WhatTheDaemonCannotUseIsNotSaidToBeWell) {
  fill(box, 1);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto queue = box.dir() / "state" / "changes.sqlite3", away = box.dir() / "away.sqlite3";
  fs::rename(queue, away);
  fs::create_symlink(box.dir() / "nothing" / "there", queue);
  const auto dangling = upkeep(box, {"queue", "check"});
  EXPECT_EQ(dangling.status, 1) << dangling.out << dangling.err;
  EXPECT_THAT(dangling.err, HasSubstr("cannot be opened"));
  fs::remove(queue);
  std::ofstream(queue.string() + "-wal") << "what was committed last";
  const auto alone = upkeep(box, {"queue", "check"});
  EXPECT_EQ(alone.status, 1) << alone.out << alone.err;
  EXPECT_THAT(alone.err, HasSubstr("the file is missing"));
  EXPECT_EQ(text_of(queue.string() + "-wal"), "what was committed last");
  fs::remove(queue.string() + "-wal");
  fs::rename(away, queue);
  spoil("changes.sqlite3", "PRAGMA user_version = 99");
  EXPECT_THAT(upkeep(box, {"queue", "check"}).err, HasSubstr("that version's `neptune-sync queue check`"));
}

TEST_F(Upkeep, AnExportSaysThatRejectedChangesAreNotInIt) {
  box.hand_in(R"([{"kind": "run.create", "project": "ml-team/lab", "run": "r-1"},
                  {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "append": {"x": 1}, "step": 2},
                  {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "append": {"x": 1}, "step": 1}])");
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("rejected").as_int64() == 1; }).first);
  const auto written = upkeep(box, {"export", box.dir() / "changes.jsonl"});
  EXPECT_EQ(written.status, 0) << written.err;
  EXPECT_THAT(written.out, HasSubstr("1 rejected change stays here"));
}

TEST_F(Upkeep, WhatIsExportedStaysQueuedAndImportingItTwiceIsHarmless) {
  fill(box);
  const auto file = box.dir() / "changes.jsonl";
  const auto written = upkeep(box, {"export", file});
  ASSERT_EQ(written.status, 0) << written.out << written.err;
  EXPECT_THAT(written.out, HasSubstr("21 changes were written to"));
  EXPECT_THAT(written.out, HasSubstr("stay on this machine as well"));
  EXPECT_THAT(written.out, Not(HasSubstr("rejected change")));
  const auto again = upkeep(box, {"export", file});
  EXPECT_EQ(again.status, 1) << "nothing is overwritten";
  EXPECT_THAT(upkeep(box, {"export", "-"}).out, HasSubstr("neptune_sync_export"));
  ASSERT_EQ(box.stop_daemon(), 0);
  EXPECT_THAT(upkeep(box, {"import", file}).err, HasSubstr("on this very machine"));
  box.start_daemon();
  const auto lines = lines_of(text_of(file));
  ASSERT_EQ(lines.size(), 23u);
  for (const auto& line : lines) EXPECT_TRUE(boost::json::parse(line).is_object());

  Box other(options());
  EXPECT_THAT(upkeep(other, {"import", file}).err, HasSubstr("stop it first"));
  ASSERT_EQ(other.stop_daemon(), 0);
  const auto first = upkeep(other, {"import", file});
  ASSERT_EQ(first.status, 0) << first.err;
  EXPECT_THAT(first.out, HasSubstr("21 changes of"));
  const auto accepted = [](const Box& where) {
    const auto queue = sqlite::open((where.dir() / "state" / "changes.sqlite3").string());
    return sqlite::integer(queue, "SELECT sum(at_ms) FROM changes");
  };
  EXPECT_EQ(accepted(other), accepted(box)) << "they have waited since they were handed in";
  EXPECT_THAT(upkeep(other, {"import", file}).out, HasSubstr("0 changes of"));
  other.start_daemon();
  other.wait_synced();
  EXPECT_EQ(other.sandbox().state().at("runs").at("ml-team/lab/r-1").at("series").at("loss").as_array().size(), 20u);
  ASSERT_EQ(other.stop_daemon(), 0);
  EXPECT_THAT(upkeep(other, {"import", file}).out, HasSubstr("21 were known already")) << "also once they are synced";
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 21; }).first);
}

TEST_F(Upkeep, WhatIsMovedIsQueuedThereAndNoMoreHere) {
  fill(box);
  const auto file = box.dir() / "changes.jsonl";
  EXPECT_THAT(upkeep(box, {"export", "--move", file}).err, HasSubstr("stop it first"));
  EXPECT_FALSE(fs::exists(file)) << "nothing came of it";
  ASSERT_EQ(box.stop_daemon(), 0);
  EXPECT_NE(upkeep(box, {"export", "--move", "-"}).status, 0);
  const auto written = upkeep(box, {"export", "--move", file});
  ASSERT_EQ(written.status, 0) << written.err;
  EXPECT_THAT(written.out, HasSubstr("left this machine"));
  EXPECT_EQ(sqlite::integer(open("changes.sqlite3"), "SELECT count(*) FROM changes"), 0);
  ASSERT_EQ(upkeep(box, {"import", file}).status, 0);
  EXPECT_THAT(upkeep(box, {"import", file}).out, HasSubstr("0 changes of"));
  box.start_daemon();
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 21; }).first)
      << "it can be brought back";
}

TEST_F(Upkeep, WhatWasMovedInSeveralFilesIsToldWithEachOfThem) {
  for (const auto* name : {"first.jsonl", "second.jsonl", "third.jsonl"}) {
    fill(box, 1);
    ASSERT_EQ(box.stop_daemon(), 0);
    ASSERT_EQ(upkeep(box, {"export", "--move", box.dir() / name}).status, 0);
    box.start_daemon();
  }
  EXPECT_EQ(box.get("/v1/streams?run=r-1").at("streams").at(0).at("moved_to").as_string(),
            "first.jsonl, second.jsonl, third.jsonl");
  EXPECT_THAT(box.sync({"explain", "r-1"}).out,
              AllOf(HasSubstr("6 changes were moved to another machine in first.jsonl, second.jsonl, third.jsonl"),
                    HasSubstr("`neptune-sync import` of first.jsonl and second.jsonl and third.jsonl")));
}

TEST_F(Upkeep, WhatWasMovedIsToldAsThatUntilItIsBroughtBack) {
  fill(box);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto file = box.dir() / "stick.jsonl";
  ASSERT_EQ(upkeep(box, {"export", "--move", file}).status, 0);
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  ASSERT_EQ(box.hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-2"})").first, 202u);
  ASSERT_EQ(box.sync({"wait", "--run", "r-2", "--timeout", "30s"}).status, 0) << "which has nothing to do with it";
  const auto third = box.get("/v1/changes/3");
  EXPECT_EQ(third.at("state").as_string(), "moved");
  EXPECT_EQ(third.at("moved_to").as_string(), "stick.jsonl");
  EXPECT_TRUE(third.at("moved_at").is_string());
  EXPECT_EQ(box.get("/v1/changes/22").at("state").as_string(), "done");
  EXPECT_THAT(box.sync({"explain", "3"}).out,
              AllOf(HasSubstr("moved to another machine in stick.jsonl"), HasSubstr("`neptune-sync import` of")));
  for (const auto* what : {"r-1", "ml-team/lab"})
    EXPECT_THAT(box.sync({"explain", what}).out, HasSubstr("21 changes were moved to another machine in stick.jsonl"));
  EXPECT_THAT(box.sync({"status"}).out, AllOf(HasSubstr("21 changes of ml-team/lab were moved to another machine"),
                                              HasSubstr("Everything else is synced.")));
  const std::vector<std::vector<std::string>> waits{
      {"wait", "--timeout", "5s"}, {"wait", "--run", "r-1", "--timeout", "5s"}, {"wait", "--now", "--timeout", "5s"}};
  for (const auto& wait : waits) {
    const auto waited = box.sync(wait);
    EXPECT_EQ(waited.status, 1);
    EXPECT_THAT(waited.err, HasSubstr("moved to another machine in stick.jsonl"));
  }

  ASSERT_EQ(box.stop_daemon(), 0);
  ASSERT_EQ(upkeep(box, {"import", file}).status, 0);
  box.start_daemon();
  box.wait_synced();
  EXPECT_EQ(box.get("/v1/changes/3").at("state").as_string(), "done");
  EXPECT_EQ(box.get("/v1/changes/3").at("id").as_int64(), 3);
  for (const auto* what : {"r-1", "ml-team/lab"}) EXPECT_THAT(box.sync({"explain", what}).out, Not(HasSubstr("moved")));
  EXPECT_THAT(box.sync({"status"}).out, HasSubstr("Everything is synced."));
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "5s"}).status, 0);
}

TEST_F(Upkeep, WhatWasMovedLongSinceFailsNoWaitThatDoesNotNameIt) {
  fill(box);
  ASSERT_EQ(box.stop_daemon(), 0);
  ASSERT_EQ(upkeep(box, {"export", "--move", box.dir() / "stick.jsonl"}).status, 0);
  constexpr auto hour = 3'600'000;
  spoil("changes.sqlite3", fmt::format("UPDATE moves SET at_ms = at_ms - {}", 23 * hour));
  box.start_daemon();
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  EXPECT_EQ(box.sync({"wait", "--timeout", "5s"}).status, 1);
  ASSERT_EQ(box.stop_daemon(), 0);
  spoil("changes.sqlite3", fmt::format("UPDATE moves SET at_ms = at_ms - {}", 2 * hour));
  box.start_daemon();
  const auto waited = box.sync({"wait", "--timeout", "5s"});
  EXPECT_EQ(waited.status, 0) << waited.err;
  EXPECT_THAT(waited.out, HasSubstr("but for what is another machine's to send: 21 changes"));
  EXPECT_THAT(box.sync({"status"}).out, Not(HasSubstr("moved")));
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "5s"}).status, 1);
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, HasSubstr("moved to another machine in stick.jsonl 25 h ago"));
}

TEST_F(Upkeep, WhatIsOnTheServerAndNotTakenOutYetIsNoneOfWhatLeft) {
  fill(box);
  ASSERT_EQ(box.stop_daemon(), 0);
  spoil("memory.sqlite3", "UPDATE sources SET confirmed = 5 WHERE inode = 0");
  const auto moved = upkeep(box, {"export", "--move", box.dir() / "stick.jsonl"});
  EXPECT_THAT(moved.out, HasSubstr("16 changes were written"));
  EXPECT_EQ(sqlite::integer(open("changes.sqlite3"), "SELECT count(*) FROM changes"), 0);
  box.start_daemon();
  EXPECT_EQ(box.get("/v1/changes/5").at("state").as_string(), "done");
  EXPECT_EQ(box.get("/v1/changes/5").at("done_through").as_int64(), 5);
  EXPECT_EQ(box.get("/v1/changes/6").at("state").as_string(), "moved");
}

TEST_F(Upkeep, AMoveThatCannotTakeOutWhatItWroteSaysSoAndIsMadeAgain) {
  fill(box);
  ASSERT_EQ(box.stop_daemon(), 0);
  spoil("changes.sqlite3", "CREATE TRIGGER stuck BEFORE INSERT ON moved BEGIN SELECT RAISE(ABORT, 'stuck'); END");
  const auto first = box.dir() / "first.jsonl", second = box.dir() / "second.jsonl";
  const auto stuck = upkeep(box, {"export", "--move", first});
  EXPECT_EQ(stuck.status, 1);
  EXPECT_THAT(stuck.err, AllOf(HasSubstr("first.jsonl is whole, but not all that is in it was taken out of here"),
                               HasSubstr("export again with another name")));
  EXPECT_EQ(sqlite::integer(open("changes.sqlite3"), "SELECT count(*) FROM changes"), 21);
  spoil("changes.sqlite3", "DROP TRIGGER stuck");
  ASSERT_EQ(upkeep(box, {"export", "--move", second}).status, 0);
  Box other(options());
  ASSERT_EQ(other.stop_daemon(), 0);
  EXPECT_THAT(upkeep(other, {"import", first}).out, HasSubstr("21 changes of"));
  EXPECT_THAT(upkeep(other, {"import", second}).out, HasSubstr("21 were known already"));
}

TEST_F(Upkeep, AMoveThatIsKilledSaysOfEachChangeWhereItIs) {
  fill(box, 4000);
  ASSERT_EQ(box.stop_daemon(), 0);
  // Taking out takes its time, so that kills fall into it and not beside it.
  spoil("changes.sqlite3", "CREATE TRIGGER slow BEFORE INSERT ON moved BEGIN SELECT length(hex(zeroblob(50000))); END");
  const auto taken_out = [this] { return sqlite::integer(open("changes.sqlite3"), "SELECT count(*) FROM moved"); };
  int cut = 0;
  for (int round = 0; round < 12; ++round) {
    const auto file = box.dir() / fmt::format("round-{}.jsonl", round);
    Process moving({.binary = binary("neptune-syncd"),
                    .args = {"--config", box.dir() / "config.toml", "--export", file, "--move"},
                    .env = {},
                    .unset_env = {},
                    .output_dir = box.dir() / "output",
                    .name = "export",
                    .working_dir = {}});
    // The first half at any time, the others when some is taken out.
    const auto before = taken_out();
    if (round < 6) moving.wait(std::chrono::milliseconds(20 + 15 * round));
    while (round >= 6 && taken_out() == before && !moving.wait(std::chrono::milliseconds(1))) continue;
    moving.kill();
    const auto queue = open("changes.sqlite3");
    const auto queued = sqlite::integer(queue, "SELECT count(*) FROM changes");
    EXPECT_EQ(queued + taken_out(), 4001);
    EXPECT_EQ(queued + sqlite::integer(queue, "SELECT coalesce(sum(count), 0) FROM moved_streams"), 4001);
    cut += queued > 0 && queued < 4001 ? 1 : 0;
  }
  EXPECT_GT(cut, 0) << "none was killed while it took out";
  spoil("changes.sqlite3", "DROP TRIGGER slow");
  ASSERT_EQ(upkeep(box, {"export", "--move", box.dir() / "last.jsonl"}).status, 0);
  EXPECT_EQ(taken_out(), 4001);
}

TEST_F(Upkeep, AChangeWhoseKeyIsAnotherOnesHereIsToldAndNotTaken) {
  const auto with_key = [](const std::string& run, const std::string& key) {
    return fmt::format(R"({{"kind": "run.create", "project": "ml-team/lab", "run": "{}", "idempotency_key": "{}"}})",
                       run, key);
  };
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  for (const auto* run : {"r-1", "r-2"}) ASSERT_EQ(box.hand_in(with_key(run, run)).first, 202u);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto file = box.dir() / "changes.jsonl";
  ASSERT_EQ(upkeep(box, {"export", "--move", file}).status, 0);

  Box other(options());
  ASSERT_EQ(other.sync({"hold", "ml-team"}).status, 0);
  ASSERT_EQ(other.hand_in(with_key("another", "r-1")).first, 202u);
  ASSERT_EQ(other.stop_daemon(), 0);
  for (int twice = 0; twice < 2; ++twice) {
    const auto taken = upkeep(other, {"import", file});
    EXPECT_EQ(taken.status, 6) << taken.out << taken.err;
    EXPECT_THAT(
        taken.out,
        AllOf(HasSubstr(twice == 0 ? "1 change of" : "0 changes of"),
              HasSubstr(twice == 0 ? "0 were known already" : "1 was known already"),
              HasSubstr("Not taken: change 1 (run.create of r-1 in ml-team/lab): its idempotency key 'r-1' was")));
  }
  other.start_daemon();
  EXPECT_EQ(other.hand_in(with_key("r-2", "r-2")).first, 202u) << "the same is known";
  EXPECT_EQ(other.hand_in(with_key("r-3", "r-2")).first, 409u) << "and another one is not taken for it";
}

TEST_F(Upkeep, AMoveThatWasCutOffBringsNothingTwice) {
  fill(box);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto queue = box.dir() / "state" / "changes.sqlite3", file = box.dir() / "changes.jsonl";
  fs::copy_file(queue, box.dir() / "before.sqlite3");
  ASSERT_EQ(upkeep(box, {"export", "--move", file}).status, 0);
  // As a kill leaves it after the file is on disk: all of it is in both.
  fs::copy_file(box.dir() / "before.sqlite3", queue, fs::copy_options::overwrite_existing);
  EXPECT_THAT(upkeep(box, {"import", file}).out, HasSubstr("0 changes of"));
  EXPECT_EQ(sqlite::integer(open("changes.sqlite3"), "SELECT count(*) FROM changes"), 21);
}

TEST_F(Upkeep, RootDoesItAsTheOwnerOfTheStateDirectory) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can act as another user";
  constexpr unsigned owner = 1234;
  fill(box);
  ASSERT_EQ(box.stop_daemon(), 0);
  fs::permissions(box.dir(), fs::perms(0755));
  ASSERT_EQ(::chown((box.dir() / "state").c_str(), owner, owner), 0);
  for (const auto& entry : fs::directory_iterator(box.dir() / "state"))
    ASSERT_EQ(::chown(entry.path().c_str(), owner, owner), 0);
  spoil("changes.sqlite3", "UPDATE streams SET count = 7");
  // A place that only root may use: the file is opened before.
  fs::create_directory(box.dir() / "stick");
  fs::permissions(box.dir() / "stick", fs::perms(0700));
  EXPECT_EQ(upkeep(box, {"queue", "check", "--repair"}).status, 0);
  const auto moved = upkeep(box, {"export", "--move", box.dir() / "stick" / "x.jsonl"});
  EXPECT_EQ(moved.status, 0) << moved.err;
  EXPECT_EQ(sqlite::integer(open("changes.sqlite3"), "SELECT count(*) FROM changes"), 0);
  EXPECT_THAT(upkeep(box, {"import", box.dir() / "stick" / "x.jsonl"}).out, HasSubstr("21 changes of"));
  for (const auto& entry : fs::directory_iterator(box.dir() / "state")) {
    struct stat data{};
    ASSERT_EQ(::stat(entry.path().c_str(), &data), 0);
    EXPECT_EQ(data.st_uid, owner) << entry.path();
  }
}

TEST_F(Upkeep, AFileThatIsNotWholeIsNotImported) {
  fill(box);
  const auto file = box.dir() / "changes.jsonl";
  ASSERT_EQ(upkeep(box, {"export", file}).status, 0);
  ASSERT_EQ(box.stop_daemon(), 0);
  const auto whole = text_of(file);
  const auto lines = lines_of(whole);
  auto altered = whole;
  altered[altered.find("\"payload\":\"") + 14] ^= 1;
  std::string without_a_line;
  for (std::size_t i = 0; i < lines.size(); ++i)
    if (i != 4) without_a_line += lines[i] + "\n";
  auto newer = whole;
  newer.replace(newer.find("export\":2"), 9, "export\":3");
  for (const auto& [text, why] : std::vector<std::pair<std::string, std::string>>{
           {altered, "checksum"},
           {without_a_line, "should hold 21 lines, and holds 20"},
           {whole.substr(0, whole.size() / 2), "not a whole export"},
           {whole.substr(0, whole.size() - 1), "has no end"},
           {newer, "newer neptune-syncd"},
           {"", "not a whole export"},
           {"hello\n", "it does not begin as one does. Nothing"},
           {lines[0] + "\n" + lines[1] + "\n", "is not as an export ends"}}) {
    std::ofstream(box.dir() / "bad.jsonl", std::ios::trunc) << text;
    const auto refused = upkeep(box, {"import", box.dir() / "bad.jsonl"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_THAT(refused.err, HasSubstr(why));
  }
  EXPECT_EQ(upkeep(box, {"import", box.dir() / "none.jsonl"}).status, 1);
}

}  // namespace
}  // namespace neptune::testing
