#include "local_api/impl/intake.h"

#include <gtest/gtest.h>

namespace neptune::local_api {
namespace {

using namespace std::chrono_literals;

class SetClock final : public Clock {
 public:
  Instant now_is{1h};
  Instant now() const override { return now_is; }
  WallTime wall() const override { return {}; }
};

TEST(Allowances, LetABurstThroughAndThenSoManyASecond) {
  SetClock clock;
  Allowances allowances(clock, 8, 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(allowances.take(1, 1), std::nullopt);
  EXPECT_EQ(allowances.take(1, 1), 125ms);
  clock.now_is += 124ms;
  EXPECT_NE(allowances.take(1, 1), std::nullopt);
  clock.now_is += 2ms;
  EXPECT_EQ(allowances.take(1, 1), std::nullopt);
}

TEST(Allowances, OneThatCostsMoreThanIsLeftIsTakenOnceAndOwed) {
  SetClock clock;
  Allowances allowances(clock, 8, 3);
  EXPECT_EQ(allowances.take(1, 18), std::nullopt);
  EXPECT_EQ(allowances.take(1, 1), 2s);
}

TEST(Allowances, OfOneUserAreNotAnothers) {
  SetClock clock;
  Allowances allowances(clock, 10, 1);
  EXPECT_EQ(allowances.take(1, 1), std::nullopt);
  EXPECT_NE(allowances.take(1, 1), std::nullopt);
  EXPECT_EQ(allowances.take(2, 1), std::nullopt);
}

TEST(Allowances, ForgetOnlyThoseWhoHaveRested) {
  SetClock clock;
  Allowances allowances(clock, 10, 1);
  for (uid_t uid = 0; uid < 1500; ++uid) EXPECT_EQ(allowances.take(uid, 1), std::nullopt);
  EXPECT_NE(allowances.take(0, 1), std::nullopt);
  clock.now_is += 1s;
  EXPECT_EQ(allowances.take(0, 1), std::nullopt);
  EXPECT_NE(allowances.take(0, 1), std::nullopt);
}

TEST(BodyBudget, IsHalfForOneUserAndComesBack) {
  BodyBudget budget(100);
  BodyBudget::Share other(budget, 2);
  {
    BodyBudget::Share first(budget, 1), second(budget, 1);
    EXPECT_TRUE(first.grow_to(30));
    EXPECT_TRUE(first.grow_to(40));
    EXPECT_FALSE(second.grow_to(11));
    EXPECT_TRUE(second.grow_to(10));
    EXPECT_TRUE(other.grow_to(50));
    BodyBudget::Share third(budget, 3);
    EXPECT_FALSE(third.grow_to(1));
  }
  BodyBudget::Share again(budget, 1);
  EXPECT_TRUE(again.grow_to(50));
}

}  // namespace
}  // namespace neptune::local_api
