#include "engine/impl/search_lag.h"

#include <gtest/gtest.h>

namespace neptune::engine {
namespace {

using namespace std::chrono_literals;

class SearchLagTest : public ::testing::Test {
 protected:
  bool may_lack(const char* run, std::int64_t change = 7) const {
    return lag_.may_lack(project_, {"another", run}, change, now_);
  }
  const ProjectName project_{"ml-team", "lab"};
  Instant now_{24h};
  SearchLag lag_{now_ - 1h};
};

TEST_F(SearchLagTest, CountsFromWhenAChangeWasAcceptedSoThatAllThatWaitedShareIt) {
  lag_.accepted(5, 8, now_);
  EXPECT_TRUE(may_lack("r", 7));
  now_ += search_lag - 1ms;
  lag_.accepted(9, 9, now_);
  EXPECT_TRUE(may_lack("r", 7));
  now_ += 1ms;
  EXPECT_FALSE(may_lack("r", 7));
  EXPECT_FALSE(may_lack("r-2", 8)) << "whose turn comes now";
  EXPECT_TRUE(may_lack("r-3", 9));
  lag_.accepted(10, 12, now_);
  EXPECT_FALSE(may_lack("r-2", 8));
  EXPECT_TRUE(may_lack("r-3", 9));
}

TEST_F(SearchLagTest, OfARunThatWasCreatedFromHereCountsFromThen) {
  lag_.created({project_, "r", ContainerKind::run}, now_);
  EXPECT_TRUE(may_lack("r"));
  EXPECT_FALSE(may_lack("r-2")) << "which is another";
  now_ += search_lag;
  EXPECT_FALSE(may_lack("r"));
  lag_.created({project_, "r", ContainerKind::run}, now_);  // anew
  now_ += search_lag - 1ms;
  lag_.created({project_, "r-3", ContainerKind::run}, now_);
  EXPECT_TRUE(may_lack("r"));
}

TEST_F(SearchLagTest, CountsFromTheStartOfTheProcessWhichDoesNotKnowWhatAnEarlierOneCreated) {
  lag_ = SearchLag(now_);
  EXPECT_TRUE(may_lack("r"));
  now_ += search_lag;
  EXPECT_FALSE(may_lack("r"));
}

}  // namespace
}  // namespace neptune::engine
