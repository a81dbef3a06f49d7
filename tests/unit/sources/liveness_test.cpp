#include "sources/run_log/liveness.h"

#include <gtest/gtest.h>

namespace neptune::sources {
namespace {

using namespace std::chrono_literals;
using enum SourceState;

class LivenessTest : public testing::Test {
 protected:
  SourceState sees(std::vector<std::int32_t> holders, Duration quiet_for = 0s) {
    return liveness.judge({std::move(holders), false, quiet_for}, now);
  }
  Liveness liveness{{.live_after = 5s, .closed_after = 1s}};
  Instant now{};
};

TEST_F(LivenessTest, OneHolderIsTakenOnlyWhenItWasSeenAloneForAWhile) {
  EXPECT_EQ(sees({1}), settling_in);
  EXPECT_EQ(liveness.look_again(), now + 5s);
  now += 4999ms;
  EXPECT_EQ(sees({1}), settling_in);
  now += 1ms;
  EXPECT_EQ(sees({1}), live);
  EXPECT_FALSE(liveness.look_again());
}

TEST_F(LivenessTest, AnotherHolderInItsPlaceStartsTheWaitAnew) {
  sees({1});
  now += 4s;
  EXPECT_EQ(sees({2}), settling_in);
  now += 4s;
  EXPECT_EQ(sees({2}), settling_in);
  now += 1s;
  EXPECT_EQ(sees({2}), live);
}

TEST_F(LivenessTest, TwoHoldersAreLeftToTheClientAtOnceEvenWhileLive) {
  EXPECT_EQ(sees({1, 2}), left_to_client);
  sees({1});
  now += 5s;
  ASSERT_EQ(sees({1}), live);
  EXPECT_EQ(sees({1, 2}), left_to_client);
  EXPECT_EQ(sees({1}), settling_in);
  now += 5s;
  EXPECT_EQ(sees({1}), live);
}

TEST_F(LivenessTest, NobodyIsClosedAfterASecondLookOrALongSilence) {
  EXPECT_EQ(sees({}), settling_in);
  EXPECT_EQ(liveness.look_again(), now + 1s);
  now += 1s;
  EXPECT_EQ(sees({}), closed);
  EXPECT_FALSE(liveness.look_again());
  Liveness other({.live_after = 5s, .closed_after = 1s});
  EXPECT_EQ(other.judge({{}, false, 11s}, now), closed);
}

TEST_F(LivenessTest, ALiveLogStaysLiveWhileItsEndIsMadeSure) {
  sees({1});
  now += 5s;
  sees({1});
  EXPECT_EQ(sees({}), live);
  now += 1s;
  EXPECT_EQ(sees({}), closed);
  EXPECT_EQ(sees({3}), settling_in);
}

TEST_F(LivenessTest, TheEndOfASyncingClientIsLookedAtTwice) {
  sees({1, 2});
  EXPECT_EQ(sees({}), settling_in);
  now += 1s;
  EXPECT_EQ(sees({}), closed);
}

TEST_F(LivenessTest, AHolderNobodyCanNameKeepsUsOut) {
  EXPECT_EQ(liveness.judge({{}, true, 1h}, now), settling_in) << "it may just have closed it";
  EXPECT_EQ(liveness.look_again(), now + 1s);
  now += 1s;
  EXPECT_EQ(liveness.judge({{}, true, 1h}, now), left_to_client);
}

TEST_F(LivenessTest, AHolderThatWasJustClosingIsNotTakenForTheClientsSyncer) {
  sees({1});
  now += 5s;
  ASSERT_EQ(sees({1}), live);
  EXPECT_EQ(liveness.judge({{}, true, 0s}, now), settling_in);
  EXPECT_EQ(sees({}), settling_in);
  now += 1s;
  EXPECT_EQ(sees({}), closed);
}

}  // namespace
}  // namespace neptune::sources
