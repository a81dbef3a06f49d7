// The disk of the state directory, or of a log, is full: what can go on goes on, and people are told.
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "tests/integration/box.h"
#include "tests/integration/loss_log.h"
#include "tests/integration/support/small_disk.h"

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
  EXPECT_FALSE(std::filesystem::exists(reserve));
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
