#include "sources/run_log/lock_table.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

namespace neptune::sources {
namespace {

TEST(LockTable, NamesEveryHolderOfTheByteOnceAndInOrder) {
  const auto table = LockTable::parse(
      "1: POSIX  ADVISORY  READ 4711 fd:01:99 128 128\n"
      "2: POSIX  ADVISORY  READ 42 fd:01:99 120 130\n"
      "3: POSIX  ADVISORY  WRITE 42 fd:01:99 128 EOF\n"
      "4: POSIX  ADVISORY  READ 77 fd:01:98 128 128\n",
      128, 1);
  EXPECT_EQ(table.holders({makedev(0xfd, 1), 99}), (std::vector<std::int32_t>{42, 4711}));
  EXPECT_EQ(table.holders({makedev(0xfd, 1), 98}), (std::vector<std::int32_t>{77}));
}

TEST(LockTable, PassesOverOtherBytesOtherKindsWaitersAndOurselves) {
  const auto table = LockTable::parse(
      "1: POSIX  ADVISORY  WRITE 11 fd:01:99 120 120\n"
      "2: FLOCK  ADVISORY  WRITE 12 fd:01:99 0 EOF\n"
      "3: OFDLCK ADVISORY  READ -1 fd:01:99 128 128\n"
      "3: -> POSIX  ADVISORY  WRITE 13 fd:01:99 128 128\n"
      "4: POSIX  ADVISORY  READ 14 fd:01:99 128 128\n",
      128, 14);
  EXPECT_TRUE(table.holders({makedev(0xfd, 1), 99}).empty());
}

TEST(LockTable, SurvivesLinesItDoesNotUnderstand) {
  for (const auto* text : {"", "\n", "\n\n", "x", "1: POSIX", "1: POSIX ADVISORY READ 9 fd:01 128 128",
                           "1: POSIX ADVISORY READ nine fd:01:99 128 128", "1: POSIX ADVISORY READ 9 zz:01:99 128 128",
                           "1: POSIX ADVISORY READ 9 fd:01:99 128"}) {
    EXPECT_TRUE(LockTable::parse(text, 128, 1).holders({makedev(0xfd, 1), 99}).empty()) << text;
  }
}

TEST(LockTable, ReadsTheKernelsOwn) {
  EXPECT_TRUE(LockTable::read());
}

}  // namespace
}  // namespace neptune::sources
