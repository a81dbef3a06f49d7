// The disk of the state directory, or of a log, is full: what can go on goes on, and people are told.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <tuple>

#include <boost/json/serialize.hpp>

#include "tests/integration/all_kinds.h"
#include "tests/integration/box.h"
#include "tests/integration/loss_log.h"
#include "tests/integration/support/small_disk.h"
#include "tests/integration/support/sqlite.h"

namespace neptune::testing {
namespace {

// The default would be more than the whole disk, and a problem of its own.
constexpr const char* no_bound = "[queue]\nmin_free_disk = \"0\"\n";

TEST(DiskFull, LogsStillDrainOnTheReserveAndTheStatusSaysWhatToDoUntilThereIsRoomAgain) {
  const SmallDisk disk(16);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  Box box({.config = no_bound, .state_dir = disk.path() / "state"});
  disk.fill();
  write_loss_log(box, "ml-team/lab", "r-1", 500);
  box.wait_synced();
  EXPECT_EQ(misses_of_loss_log(box, "ml-team/lab/r-1", 500), "");
  const auto problems = box.get("/v1/status").at("problems").as_array();
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(std::string(problems[0].as_string()).find(disk.path().string()), std::string::npos);
  EXPECT_NE(box.sync({"status"}).out.find("is full"), std::string::npos);

  disk.make_room();
  write_loss_log(box, "ml-team/lab", "r-2", 500);
  box.wait_synced();
  EXPECT_EQ(misses_of_loss_log(box, "ml-team/lab/r-2", 500), "");
  EXPECT_TRUE(box.get("/v1/status").at("problems").as_array().empty());
  EXPECT_TRUE(std::filesystem::exists(disk.path() / "state" / "reserve"));
}

TEST(DiskFull, ChangesThatWaitDrainWithTheirIntentsAndTheSocketSaysThatItTakesNoMore) {
  const SmallDisk disk(16);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  Box box({.config = "[queue]\nmin_free_disk = \"0\"\n", .state_dir = disk.path() / "state"});
  const auto hand_in = [&box](const std::string& changes) { return box.hand_in(changes).first; };
  ASSERT_EQ(hand_in(R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                        {"kind": "model.create", "project": "ml-team/lab", "key": "M"},
                        {"kind": "run.create", "project": "ml-team/lab", "run": "r"},
                        {"kind": "run.create", "project": "ml-team/lab", "run": "old"}])"),
            202u);
  box.wait_synced();
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  constexpr int points = 200;
  std::string all;
  for (int i = 0; i < points; ++i) {
    all += fmt::format("{}{}", i == 0 ? "" : " ", i);
    ASSERT_EQ(hand_in(fmt::format(
                  R"([{{"kind": "model.update", "project": "ml-team/lab", "model": "M", "append": {{"auc": {0}}}}},
                      {{"kind": "project.metadata", "project": "ml-team/lab", "append": {{"score": {0}}}}},
                      {{"kind": "run.update", "project": "ml-team/lab", "run": "r", "step": {0}, "append": {{"a": {0}}}}}])",
                  i)),
              202u);
  }
  ASSERT_EQ(hand_in(R"([{"kind": "run.trash", "project": "ml-team/lab", "runs": ["old"]},
                        {"kind": "model_version.create", "project": "ml-team/lab", "model": "M"}])"),
            202u);
  disk.fill();
  std::string large = "[";  // more than what the file's own space takes
  for (int i = 0; i < 5; ++i)
    large += fmt::format(R"({}{{"kind": "run.update", "project": "ml-team/lab", "run": "r", "assign": {{"q": "{}"}}}})",
                         i == 0 ? "" : ",", std::string(900'000, 'x'));
  auto [status, answer] = box.hand_in(large + "]");
  for (int i = 0; i < 10 && status == 202; ++i) std::tie(status, answer) = box.hand_in(large + "]");
  ASSERT_EQ(status, 507u);
  EXPECT_EQ(answer.at("error").at("code").as_string(), "disk_full");

  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
  const auto state = box.sandbox().state();
  EXPECT_EQ(values_at(state, {"containers", "ml-team/lab/LAB-M", "series", "auc"}), all);
  EXPECT_EQ(values_at(state, {"containers", "ml-team/lab/LAB", "series", "score"}), all);
  EXPECT_EQ(values_at(state, {"runs", "ml-team/lab/r", "series", "a"}), all);
  EXPECT_TRUE(look(state, {"containers", "ml-team/lab/LAB-M-1"}));
  EXPECT_EQ(box.get("/v1/status").at("totals").at("rejected").as_int64(), 0);

  disk.make_room();
  EXPECT_EQ(hand_in(R"({"kind": "run.update", "project": "ml-team/lab", "run": "r", "assign": {"q": 1}})"), 202u);
  box.wait_synced();
}

/// Hands in updates of ml-team/lab/r that are held, `at_once` in a body, each a point of `a` and a text of that length,
/// until the disk takes no more; how many were accepted.
int fill_with_updates(Box& box, int at_once, std::size_t length) {
  EXPECT_EQ(box.hand_in(R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                            {"kind": "run.create", "project": "ml-team/lab", "run": "r"}])")
                .first,
            202u);
  box.wait_synced();
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  for (int accepted = 0;; accepted += at_once) {
    std::string body;
    for (int i = 0; i < at_once; ++i)
      body += fmt::format(
          R"({}{{"kind": "run.update", "project": "ml-team/lab", "run": "r", "step": {}, "append": {{"a": {}}}, "assign": {{"s{}": "{}"}}}})",
          i == 0 ? "[" : ",", accepted + i, accepted + i, i, std::string(length, 'x'));
    const auto [status, answer] = box.hand_in(body + "]");
    if (status == 202) continue;
    EXPECT_EQ(status, 507u) << boost::json::serialize(answer);
    EXPECT_EQ(answer.at("error").at("code").as_string(), "disk_full");
    return accepted;
  }
}

/// What was accepted gets to the server, once, and what is there is taken out of the queue.
void drains(Box& box, const std::filesystem::path& state_dir, int accepted) {
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  box.wait_synced();
  std::string all;
  for (int i = 0; i < accepted; ++i) all += fmt::format("{}{}", i == 0 ? "" : " ", i);
  EXPECT_EQ(values_at(box.sandbox().state(), {"runs", "ml-team/lab/r", "series", "a"}), all);
  const auto totals = box.get("/v1/status").at("totals");
  EXPECT_EQ(totals.at("synced").as_int64(), accepted + 2);
  EXPECT_EQ(totals.at("rejected").as_int64(), 0);
  const auto queue = sqlite::open(state_dir / "changes.sqlite3");
  const auto is_empty = [&queue](const auto&) { return sqlite::integer(queue, "SELECT count(*) FROM changes") == 0; };
  EXPECT_TRUE(box.wait_status(is_empty).first) << sqlite::integer(queue, "SELECT count(*) FROM changes");
}

/// With nothing else done for it.
void takes_again(Box& box) {
  const auto [status, answer] = box.hand_in(R"({"kind": "run.create", "project": "ml-team/lab", "run": "later"})");
  EXPECT_EQ(status, 202u) << boost::json::serialize(answer);
  box.wait_synced();
  EXPECT_EQ(box.get("/v1/status").at("problems").as_array().size(), 0u);
}

TEST(DiskFull, ThatLargeChangesFilledDrainsToTheLastOfThemAndThenThereIsRoomForOthers) {
  const SmallDisk disk(24);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  Box box({.config = no_bound, .state_dir = disk.path() / "state"});
  const auto accepted = fill_with_updates(box, 4, 50'000);
  EXPECT_GT(accepted, 100);
  drains(box, disk.path() / "state", accepted);
  takes_again(box);
}

TEST(DiskFull, ThatManySmallChangesFilledDrainsToTheLastOfThemAndThenThereIsRoomForOthers) {
  const SmallDisk disk(24);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  Box box({.config = no_bound, .state_dir = disk.path() / "state"});
  const auto accepted = fill_with_updates(box, 100, 1000);
  EXPECT_GT(accepted, 3000);
  drains(box, disk.path() / "state", accepted);
  takes_again(box);
}

TEST(DiskFull, WhereOthersTookTheRestLargeChangesDrainOnTheReserveAndAreTakenOutWithoutFreeSpace) {
  const SmallDisk disk(24);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  Box box({.config = no_bound, .state_dir = disk.path() / "state"});
  const auto accepted = fill_with_updates(box, 4, 50'000);
  disk.fill();
  drains(box, disk.path() / "state", accepted);
  disk.make_room();
  takes_again(box);
}

TEST(DiskFull, TheDaemonStartsOnTheReserveAndMakesItAgainWhenThereIsRoom) {
  const SmallDisk disk(16);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  const auto reserve = disk.path() / "state" / "reserve";
  Box box({.config = no_bound, .state_dir = disk.path() / "state"});
  write_loss_log(box, "ml-team/lab", "r-1", 100);
  box.wait_synced();
  ASSERT_EQ(box.stop_daemon(), 0);
  ASSERT_TRUE(std::filesystem::exists(reserve));
  disk.fill();

  box.start_daemon();
  // With the first of its writes that finds no room, which need not be before it answers.
  EXPECT_TRUE(box.wait_status([&reserve](const auto&) { return !std::filesystem::exists(reserve); }).first);
  EXPECT_NE(box.sync({"status"}).out.find("is full"), std::string::npos);
  write_loss_log(box, "ml-team/lab", "r-2", 100);
  box.wait_synced();
  EXPECT_EQ(misses_of_loss_log(box, "ml-team/lab/r-2", 100), "");

  disk.make_room();
  write_loss_log(box, "ml-team/lab", "r-3", 100);
  const auto [mended, status] = box.wait_status([](const auto& s) { return s.at("problems").as_array().empty(); });
  EXPECT_TRUE(mended) << boost::json::serialize(status);
  EXPECT_TRUE(std::filesystem::exists(reserve));
  box.wait_synced();
}

}  // namespace
}  // namespace neptune::testing
