#include "support/spelling.h"

#include <gtest/gtest.h>

namespace neptune {
namespace {

TEST(Spelling, CountsLettersThatAreMissingTooManyOthersOrSwapped) {
  EXPECT_EQ(edits_between("status", "status"), 0u);
  EXPECT_EQ(edits_between("staus", "status"), 1u);
  EXPECT_EQ(edits_between("statuss", "status"), 1u);
  EXPECT_EQ(edits_between("stutus", "status"), 1u);
  EXPECT_EQ(edits_between("sttaus", "status"), 1u);
  EXPECT_EQ(edits_between("", "run"), 3u);
  EXPECT_EQ(edits_between("run", ""), 3u);
}

TEST(Spelling, TakesWhatComesNearestAndNothingThatIsFar) {
  const std::vector<std::string> known{"status", "streams", "explain", "--check-config", "--check-queue"};
  EXPECT_EQ(closest("staus", known), "status");
  EXPECT_EQ(closest("stream", known), "streams");
  EXPECT_EQ(closest("exp", known), "explain");
  EXPECT_EQ(closest("--check-quue", known), "--check-queue");
  EXPECT_EQ(closest("upload", known), "");
  EXPECT_EQ(closest("x", known), "");
  EXPECT_EQ(closest(std::string(1000, 's'), known), "");
  EXPECT_EQ(closest("trial-8", {"trial-6", "trial-8-with-more"}), "trial-8-with-more") << "it begins so";
  EXPECT_EQ(closest("trial-8", {"trial-8-with-more", "trial-8"}), "trial-8");
  EXPECT_EQ(closest("lab", {"ml-team", "ml-team/lab"}), "ml-team/lab") << "its workspace was left out";
}

}  // namespace
}  // namespace neptune
