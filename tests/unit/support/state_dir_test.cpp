#include "support/state_dir.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <string>

#include "tests/integration/support/small_disk.h"
#include "tests/integration/support/temp_dir.h"

namespace neptune {
namespace {

TEST(StateDir, IsMadeForItsOwnerOnly) {
  const testing::TempDir temp;
  const auto path = temp.path() / "made" / "here";
  const auto dir = StateDir::open(path);
  ASSERT_TRUE(dir) << dir.error().message;
  struct stat found{};
  ASSERT_EQ(::stat(path.c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 0777, 0700u);
}

TEST(StateDir, BelongsToOneProcessAtATime) {
  const testing::TempDir temp;
  {
    const auto first = StateDir::open(temp.path());
    ASSERT_TRUE(first);
    const auto second = StateDir::open(temp.path());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, "state_dir_in_use");
  }
  EXPECT_TRUE(StateDir::open(temp.path())) << "free again once the first has gone";
}

TEST(StateDir, SaysWhatToDoWhenItCannotBeMade) {
  const testing::TempDir temp;
  std::ofstream(temp.path() / "file") << "in the way";
  const auto dir = StateDir::open(temp.path() / "file" / "state");
  ASSERT_FALSE(dir);
  EXPECT_EQ(dir.error().code, "state_dir_unusable");
  EXPECT_NE(dir.error().message.find("state_dir"), std::string::npos);
}

TEST(StateDir, GivesItsReserveBackWhenTheDiskIsFullAndMakesItAgainWhenThereIsRoom) {
  const testing::SmallDisk disk(8);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  auto dir = StateDir::open(disk.path() / "state");
  ASSERT_TRUE(dir);
  disk.fill();
  const auto can_write = [&disk] {
    std::ofstream out(disk.path() / "small", std::ios::binary);
    return static_cast<bool>(out.write(std::string(1u << 20, 'y').data(), 1u << 20).flush());
  };
  ASSERT_FALSE(can_write()) << "the disk is full";
  EXPECT_TRUE(dir->release_reserve());
  EXPECT_TRUE(can_write());
  EXPECT_FALSE(dir->release_reserve()) << "there is one reserve";
  disk.fill();
  EXPECT_FALSE(dir->restore_reserve()) << "no room for it";
  disk.make_room();
  EXPECT_TRUE(dir->restore_reserve());
  EXPECT_TRUE(dir->restore_reserve()) << "it is there already";
}

}  // namespace
}  // namespace neptune
