// The daemon's own files are damaged, or may not be written: people are told, and what was accepted stays.
#include <gtest/gtest.h>
#include <sys/mount.h>

#include <boost/json/serialize.hpp>
#include <fstream>
#include <sstream>

#include "tests/integration/box.h"
#include "tests/integration/loss_log.h"
#include "tests/integration/support/small_disk.h"
#include "tests/integration/support/sqlite.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;
namespace fs = std::filesystem;

constexpr const char* small_queue = "[queue]\nmin_free_disk = \"0\"\n";

void accepted(Box& box, const std::string& changes) {
  const auto [status, answer] = box.hand_in(changes);
  EXPECT_EQ(status, 202u) << json::serialize(answer);
}

/// A start that must fail: how it ended, and what it said.
Ran start_fails(const Box& box, const std::string& config = "config.toml") {
  Process daemon({.binary = binary("neptune-syncd"),
                  .args = {"--config", box.dir() / config},
                  .env = {},
                  .unset_env = {"NEPTUNE_API_TOKEN", "NOTIFY_SOCKET"},
                  .output_dir = box.dir() / "output",
                  .name = "neptune-syncd-that-fails",
                  .working_dir = {}});
  const auto status = daemon.wait(20s);
  return {status.value_or(-1), daemon.out(), daemon.err()};
}

/// -1: somebody else writes just now.
std::int64_t rows(const fs::path& file, const std::string& table) {
  try {
    return sqlite::integer(sqlite::open(file), "SELECT count(*) FROM " + table);
  } catch (const std::exception&) {
    return -1;
  }
}

TEST(StateTrouble, ADamagedChangeQueueIsSaidRunLogsGoOnAndAMendedOneGoesOnWhereItWas) {
  Box box({.config = small_queue});
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "r-1"}])");
  EXPECT_EQ(box.stop_daemon(), 0);
  const auto queue = box.dir() / "state" / "changes.sqlite3";
  fs::rename(queue, queue.string() + ".good");
  for (const char* suffix : {"-wal", "-shm"}) fs::remove(queue.string() + suffix);
  std::ofstream(queue) << std::string(8192, 'x');

  box.start_daemon();
  const auto [status, answer] = box.hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-2"})");
  EXPECT_EQ(status, 503u);
  EXPECT_EQ(answer.at("error").at("code").as_string(), "queue_unusable");
  EXPECT_NE(json::serialize(answer).find(queue.string()), std::string::npos) << json::serialize(answer);
  EXPECT_NE(box.sync({"status"}).out.find("changes.sqlite3"), std::string::npos);
  EXPECT_EQ(box.sync({"release", "ml-team"}).status, 0);
  write_loss_log(box, "ml-team/other", "logged", 100);
  box.wait_synced();
  EXPECT_EQ(misses_of_loss_log(box, "ml-team/other/logged", 100), "");

  EXPECT_EQ(box.stop_daemon(), 0);
  fs::rename(queue.string() + ".good", queue);
  box.start_daemon();
  box.wait_synced();
  EXPECT_TRUE(box.sandbox().state().at("runs").as_object().contains("ml-team/lab/r-1"));
}

TEST(StateTrouble, WhatADamagedPageOfTheChangeQueueHoldsIsSetAsideAndToldAndAllElseGoesOn) {
  Box box({.config = small_queue});
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  const std::string text(1500, 'x');
  for (int run = 0; run < 20; ++run) {
    const auto name = "run-" + std::to_string(run);
    std::string changes = R"({"kind": "run.create", "project": "ml-team/lab", "run": ")" + name + R"("})";
    for (int i = 0; i < 100; ++i)
      changes += R"(, {"kind": "run.update", "project": "ml-team/lab", "run": ")" + name + R"(", "assign": {"t": ")" +
                 text + R"("}})";
    accepted(box, "[" + changes + "]");
  }
  EXPECT_EQ(box.stop_daemon(), 0);
  const auto file = box.dir() / "state" / "changes.sqlite3";
  sqlite::exec(sqlite::open(file), "PRAGMA wal_checkpoint(TRUNCATE)");
  {
    std::fstream pages(file, std::ios::in | std::ios::out | std::ios::binary);
    pages.seekp(static_cast<std::streamoff>(fs::file_size(file) / 2 / 4096 * 4096));
    pages << std::string(16 * 4096, '\xa5');
  }
  box.start_daemon();
  EXPECT_EQ(box.sync({"release", "ml-team"}).status, 0);

  const auto waited = box.sync({"wait", "--timeout", "60s"});
  EXPECT_EQ(waited.status, 1) << waited.out << waited.err;
  EXPECT_NE((waited.out + waited.err).find("What is set aside waits until somebody mends it"), std::string::npos)
      << waited.out << waited.err;
  EXPECT_GE(box.sandbox().state().at("runs").as_object().size(), 15u);
  const auto discarded = box.sync({"discard", "ml-team/lab"});
  EXPECT_NE(discarded.out.find("in what is set aside, and stay:"), std::string::npos) << discarded.out << discarded.err;
}

std::string point(int step) {
  return R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "step": )" + std::to_string(step) +
         R"(, "append": {"a": 1}})";
}

/// Change 102 and later are in the queue's log alone, 112 and later are not on the server, and the daemon was killed.
void leave_changes_in_the_log(Box& box) {
  std::string points = R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                           {"kind": "run.create", "project": "ml-team/lab", "run": "r-1"})";
  for (int step = 3; step <= 101; ++step) points += "," + point(step);
  accepted(box, points + "]");
  box.wait_synced();
  ASSERT_EQ(box.stop_daemon(), 0);
  box.start_daemon();
  for (int step = 102; step <= 111; ++step) accepted(box, point(step));
  box.wait_synced();
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  for (int step = 112; step <= 131; ++step) accepted(box, point(step));
  box.kill_daemon();
}

TEST(StateTrouble, WhatADamagedLogOfTheChangeQueueCostsIsToldAndNothingNewIsTakenForSynced) {
  Box box({.config = small_queue});
  leave_changes_in_the_log(box);
  {
    std::fstream log(box.dir() / "state" / "changes.sqlite3-wal", std::ios::in | std::ios::out | std::ios::binary);
    log << std::string(16, '\xa5');
  }
  box.start_daemon();
  const auto problems = json::serialize(box.get("/v1/status").at("problems"));
  EXPECT_NE(problems.find("20 changes that were accepted are lost, of the numbers 102 to 131"), std::string::npos)
      << problems;
  EXPECT_NE(box.daemon().err().find("accepted changes are lost first=102 last=131 lost=20"), std::string::npos);
  EXPECT_NE(box.sync({"status"}).out.find("20 changes that were accepted are lost"), std::string::npos);
  const auto lost = box.get("/v1/changes/120");
  EXPECT_EQ(lost.at("state").as_string(), "unknown");
  EXPECT_NE(json::serialize(lost).find("nothing says that the server has it"), std::string::npos) << lost;
  EXPECT_NE(box.sync({"explain", "120"}).out.find("Nothing says that the server has it"), std::string::npos);
  EXPECT_EQ(box.get("/v1/changes/100").at("state").as_string(), "done");

  for (int step = 200; step < 250; ++step) {
    const auto [status, answer] = box.hand_in(point(step));
    ASSERT_EQ(status, 202u) << json::serialize(answer);
    EXPECT_GT(answer.at("ids").at(0).as_int64(), 131);
  }
  EXPECT_EQ(box.get("/v1/changes/132").at("state").as_string(), "held");
  EXPECT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(state.at("runs").at("ml-team/lab/r-1").at("series").at("a").as_array().size(), 99u + 10u + 50u);
}

TEST(StateTrouble, AStateFileThatIsEmptyOrGoneBesideItsLogIsNotBegunAnew) {
  Box box({.config = small_queue});
  leave_changes_in_the_log(box);
  const auto state = box.dir() / "state", whole = box.dir() / "whole";
  fs::copy(state, whole, fs::copy_options::recursive);
  const auto put_back = [&](const char* file) {
    fs::copy_file(whole / file, state / file, fs::copy_options::overwrite_existing);
  };
  const auto log = fs::file_size(state / "changes.sqlite3-wal");
  for (const bool gone : {false, true}) {
    gone ? static_cast<void>(fs::remove(state / "changes.sqlite3")) : fs::resize_file(state / "changes.sqlite3", 0);
    box.start_daemon();
    const auto [status, answer] = box.hand_in(point(500));
    EXPECT_EQ(status, 503u) << json::serialize(answer);
    EXPECT_EQ(answer.at("error").at("code").as_string(), "queue_unusable");
    EXPECT_NE(box.sync({"status"}).out.find("changes.sqlite3-wal"), std::string::npos);
    box.kill_daemon();
    EXPECT_EQ(fs::file_size(state / "changes.sqlite3-wal"), log);
  }
  put_back("changes.sqlite3");
  ASSERT_GT(fs::file_size(state / "memory.sqlite3-wal"), 0u);
  fs::resize_file(state / "memory.sqlite3", 0);
  const auto ran = start_fails(box);
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.err.find("memory.sqlite3-wal"), std::string::npos) << ran.err;

  put_back("memory.sqlite3");
  box.start_daemon();
  EXPECT_EQ(box.get("/v1/status").at("totals").at("held").as_int64(), 20) << "the hold is as it was, too";
}

TEST(StateTrouble, AFirstStartThatIsKilledIsNeverTakenForDamage) {
  Box box({.config = small_queue, .start = false});
  const auto state = box.dir() / "state";
  for (int round = 0; round < 40; ++round) {
    fs::remove_all(state);
    Process first({.binary = binary("neptune-syncd"),
                   .args = {"--config", box.dir() / "config.toml"},
                   .env = {},
                   .unset_env = {"NEPTUNE_API_TOKEN", "NOTIFY_SOCKET"},
                   .output_dir = box.dir() / "output",
                   .name = "first",
                   .working_dir = {}});
    first.wait(std::chrono::milliseconds(10 + 3 * round));
    first.kill();
    box.start_daemon();
    EXPECT_TRUE(box.get("/v1/status").at("problems").as_array().empty()) << box.get("/v1/status").at("problems");
    accepted(box, R"({"kind": "project.create", "project": "ml-team/lab", "key": "LAB"})");
    box.kill_daemon();
  }
}

TEST(StateTrouble, ASecondDaemonOfAStateDirectoryStopsWithASentenceAndTheFirstGoesOn) {
  Box box({.config = small_queue});
  std::stringstream config;
  config << std::ifstream(box.dir() / "config.toml").rdbuf();
  auto text = config.str();
  text.replace(text.find("api.sock"), 8, "other.sock");
  std::ofstream(box.dir() / "other.toml") << text;
  const auto ran = start_fails(box, "other.toml");
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.err.find("another neptune-syncd uses the state directory"), std::string::npos) << ran.err;
  EXPECT_FALSE(fs::exists(box.dir() / "other.sock"));
  accepted(box, R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-1"})");
  box.wait_synced();
}

TEST(StateTrouble, AReadOnlyFileSystemEndsTheStartWithASentenceAndNothingAcceptedIsLost) {
  const SmallDisk disk(16);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  Box box({.config = small_queue, .state_dir = disk.path() / "state"});
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "model.create", "project": "ml-team/lab", "key": "M"},
                    {"kind": "model.update", "project": "ml-team/lab", "model": "M", "append": {"auc": [1, 2]}}])");
  EXPECT_EQ(box.stop_daemon(), 0);
  ASSERT_EQ(::mount("none", disk.path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);

  const auto ran = start_fails(box);
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.err.find("state directory"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("Read-only file system"), std::string::npos) << ran.err;
  EXPECT_EQ(ran.err.find("must belong to"), std::string::npos) << ran.err;

  ASSERT_EQ(::mount("none", disk.path().c_str(), nullptr, MS_REMOUNT, nullptr), 0);
  box.start_daemon();
  EXPECT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(state.at("containers").at("ml-team/lab/LAB-M").at("series").at("auc").as_array().size(), 2u);
}

TEST(StateTrouble, AFileSystemThatTurnsReadOnlyUnderTheDaemonIsSaidAndNothingAcceptedIsLost) {
  Box box({.config = small_queue, .preload = NEPTUNE_READ_ONLY_FOLDER});
  box.sandbox().control(R"({"processing": "paused"})");
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "r-1"},
                    {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "step": 1, "append": {"a": 1}},
                    {"kind": "model.create", "project": "ml-team/lab", "key": "M"},
                    {"kind": "model.update", "project": "ml-team/lab", "model": "M", "append": {"auc": [1, 2]}}])");
  write_loss_log(box, "ml-team/other", "logged", 100);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("in_flight").as_int64() > 0; }).first);
  const auto now = box.dir() / "state.now";
  std::ofstream(now) << "\n";

  const auto [status, answer] = box.hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "r-2"})");
  EXPECT_EQ(status, 503u) << json::serialize(answer);
  EXPECT_NE(json::serialize(answer).find("changes.sqlite3"), std::string::npos) << json::serialize(answer);
  box.sandbox().control(R"({"processing": "running"})");
  const auto [told, last] =
      box.wait_status([](const auto& s) { return json::serialize(s).find("cannot be written") != std::string::npos; });
  EXPECT_TRUE(told) << json::serialize(last);
  EXPECT_EQ(box.sync({"wait", "--timeout", "2s"}).status, 4) << "what is not on record is not called synced";
  EXPECT_TRUE(box.daemon().running());

  fs::remove(now);
  box.sync({"flush"});
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_FALSE(state.at("runs").as_object().contains("ml-team/lab/r-2")) << "it was refused";
  EXPECT_EQ(state.at("runs").at("ml-team/lab/r-1").at("series").at("a").as_array().size(), 1u);
  EXPECT_EQ(state.at("containers").at("ml-team/lab/LAB-M").at("series").at("auc").as_array().size(), 2u);
  EXPECT_EQ(misses_of_loss_log(box, "ml-team/other/logged", 100), "");
}

TEST(StateTrouble, ADiskThatFailsUnderTheDaemonIsSaidAsThatAndNothingAcceptedIsLost) {
  Box box({.config = small_queue, .preload = NEPTUNE_READ_ONLY_FOLDER});
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  std::string changes = R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                            {"kind": "run.create", "project": "ml-team/lab", "run": "r-1"})";
  for (int step = 1; step <= 2000; ++step) changes += "," + point(step);
  accepted(box, changes + "]");
  EXPECT_EQ(box.stop_daemon(), 0);
  box.start_daemon();
  const auto fault = box.dir() / "state.fault";
  std::ofstream(fault) << "\n";
  for (int twice = 0; twice < 2; ++twice) {
    const auto [status, answer] = box.hand_in(point(3000));
    EXPECT_EQ(status, 503u) << json::serialize(answer);
    EXPECT_EQ(answer.at("error").at("code").as_string(), "sqlite_io") << json::serialize(answer);
  }
  box.sync({"release", "ml-team"});
  const auto named = [](const auto& s) {
    const auto problems = json::serialize(s.at("problems"));
    return problems.find("the change queue cannot be written") != std::string::npos &&
           problems.find("dmesg") != std::string::npos;
  };
  const auto [told, status] = box.wait_status(named);
  EXPECT_TRUE(told) << json::serialize(status);
  EXPECT_EQ(json::serialize(status).find("is damaged"), std::string::npos) << json::serialize(status);

  fs::remove(fault);
  EXPECT_EQ(box.hand_in(point(3000)).first, 202u);
  EXPECT_EQ(json::serialize(box.get("/v1/status").at("problems")).find("cannot be written"), std::string::npos);
  box.sync({"flush"});
  box.wait_synced();
  EXPECT_EQ(box.sandbox().state().at("runs").at("ml-team/lab/r-1").at("series").at("a").as_array().size(), 2001u);
}

TEST(StateTrouble, WhatAFullDiskKeptInALogIsTakenOutWhenThereIsRoomAgain) {
  const SmallDisk disk(16);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  Box box({.start = false});
  fs::remove(box.runs());
  fs::create_directory(disk.path() / "runs");
  fs::create_directory_symlink(disk.path() / "runs", box.runs());
  write_loss_log(box, "ml-team/lab", "r-1", 500);
  box.sandbox().control(R"({"processing": "paused"})");
  fs::path log;
  for (const auto& file : fs::recursive_directory_iterator(disk.path() / "runs"))
    if (file.path().extension() == ".sqlite3") log = file.path();
  ASSERT_FALSE(log.empty());
  box.start_daemon();
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("in_flight").as_int64() > 0; }).first);
  disk.fill();
  box.sandbox().control(R"({"processing": "running"})");
  box.wait_synced();
  EXPECT_EQ(misses_of_loss_log(box, "ml-team/lab/r-1", 500), "");
  EXPECT_GE(rows(log, "run_operations"), 500) << "nothing fits on the disk, not even what says that rows are gone";
  disk.make_room();
  // Looked into every second or so: whoever has it open is taken for its producer.
  int asked = 0;
  const auto emptied = [&](const auto&) { return ++asked % 50 == 0 && rows(log, "run_operations") == 0; };
  EXPECT_TRUE(box.wait_status(emptied).first) << rows(log, "run_operations");
  EXPECT_EQ(box.get("/v1/status").at("totals").at("synced").as_int64(), 501);
}

TEST(StateTrouble, WhatCannotBePutOnRecordIsToldAsWaitingAndWhyAndGoesOnWhenItCan) {
  Box box({.config = small_queue});
  box.sandbox().control(R"({"processing": "paused"})");
  accepted(box, R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                    {"kind": "run.create", "project": "ml-team/lab", "run": "r-1"},
                    {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"a": 1}}])");
  const auto is_out = [](const auto& s) {
    return s.at("totals").at("in_flight").as_int64() == 1 && s.at("totals").at("synced").as_int64() == 1;
  };
  ASSERT_TRUE(box.wait_status(is_out).first);
  const auto memory = sqlite::open(box.dir() / "state" / "memory.sqlite3");
  sqlite::exec(memory, "BEGIN IMMEDIATE");
  box.sandbox().control(R"({"processing": "running"})");
  const auto is_stuck = [](const auto& s) { return !s.at("stuck").as_array().empty(); };
  const auto [stuck, status] = box.wait_status(is_stuck);
  ASSERT_TRUE(stuck) << json::serialize(status);
  EXPECT_EQ(status.at("totals").at("pending").as_int64(), 2) << json::serialize(status);
  EXPECT_EQ(status.at("workspaces").at(0).at("projects").at(0).at("pending").as_int64(), 2);
  EXPECT_EQ(status.at("stuck").at(0).at("changes").as_int64(), 2);
  const auto told = box.sync({"status"});
  EXPECT_NE(told.out.find("2 changes of run r-1 of ml-team/lab cannot go: the daemon's memory cannot be written"),
            std::string::npos)
      << told.out;
  EXPECT_EQ(told.out.find("just found"), std::string::npos) << told.out;
  const auto waited = box.sync({"wait", "--timeout", "1s"});
  EXPECT_EQ(waited.status, 4) << waited.err;
  EXPECT_NE(waited.err.find("2 changes wait"), std::string::npos) << waited.err;
  EXPECT_NE(box.sync({"streams"}).out.find("blocked"), std::string::npos);

  sqlite::exec(memory, "COMMIT");
  box.sync({"flush"});
  box.wait_synced();
  EXPECT_EQ(box.get("/v1/status").at("totals").at("synced").as_int64(), 3);
  EXPECT_EQ(box.get("/v1/status").at("stuck").as_array().size(), 0u);
}

}  // namespace
}  // namespace neptune::testing
