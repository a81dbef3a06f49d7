#include "support/rare.h"

#include <gtest/gtest.h>

#include <string>

namespace neptune {
namespace {

TEST(Rare, IsEmptyAtFirstAndCostsAPointer) {
  const Rare<std::string> rare;
  EXPECT_FALSE(rare);
  EXPECT_FALSE(rare.has_value());
  EXPECT_FALSE(rare == "");
  EXPECT_EQ(sizeof rare, sizeof(void*));
}

TEST(Rare, HoldsAValueUntilItIsReset) {
  Rare<std::string> rare = std::string("one");
  ASSERT_TRUE(rare);
  EXPECT_EQ(*rare, "one");
  rare->append(" more");
  EXPECT_TRUE(rare == "one more");
  rare.reset();
  EXPECT_FALSE(rare);
  rare = std::string("two");
  EXPECT_EQ(*rare, "two");
}

TEST(Rare, ACopyIsAnotherValueAndAMovedOneTheSame) {
  Rare<std::string> rare = std::string("one");
  auto copy = rare;
  copy->append(" more");
  EXPECT_EQ(*rare, "one");
  const auto* at = &*rare;
  const auto moved = std::move(rare);
  EXPECT_EQ(&*moved, at);
  copy = moved;
  EXPECT_EQ(*copy, "one");
  copy = Rare<std::string>();
  EXPECT_FALSE(copy);
}

TEST(Rare, TakesWhatAnOptionalHolds) {
  EXPECT_EQ(*Rare<std::string>(std::optional<std::string>("one")), "one");
  EXPECT_FALSE(Rare<std::string>(std::optional<std::string>()));
}

}  // namespace
}  // namespace neptune
