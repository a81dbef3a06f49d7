#include "sources/watch_folder.h"

#include <gtest/gtest.h>

namespace neptune::sources {
namespace {

TEST(WatchFolder, HoldsWhatIsBelowItByWholeNames) {
  EXPECT_TRUE(is_within("/data/run", "/data/run"));
  EXPECT_TRUE(is_within("/data/run/.neptune", "/data/run"));
  EXPECT_TRUE(is_within("/data/run/x", "/data/run/"));
  EXPECT_TRUE(is_within("/data", "/"));
  EXPECT_FALSE(is_within("/data/runs", "/data/run"));
  EXPECT_FALSE(is_within("/data", "/data/run"));
}

}  // namespace
}  // namespace neptune::sources
