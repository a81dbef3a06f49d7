#include "engine/rate.h"

#include <gtest/gtest.h>

namespace neptune::engine {
namespace {

using namespace std::chrono_literals;

TEST(Rate, KnowsNothingBeforeSomethingCame) {
  EXPECT_FALSE(Rate().per_second(Instant(5s)));
}

TEST(Rate, FollowsASteadyFlow) {
  Rate rate;
  Instant now{};
  for (int i = 0; i < 600; ++i, now += 1s) rate.add(1000, now);
  EXPECT_NEAR(*rate.per_second(now), 1000, 50);
}

TEST(Rate, ForgetsWhatWasLongAgo) {
  Rate rate;
  rate.add(1000, Instant(1s));
  EXPECT_FALSE(rate.per_second(Instant(1h)));
}

}  // namespace
}  // namespace neptune::engine
