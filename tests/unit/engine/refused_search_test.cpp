#include "engine/impl/refused_search.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace neptune::engine {
namespace {

/// Asks about values 0 to `count` until those of `refused` are found; how often.
std::size_t search(std::size_t count, const std::set<std::size_t>& refused) {
  std::vector<std::string> values, expected;
  for (std::size_t i = 0; i < count; ++i) values.push_back(std::to_string(i));
  for (const auto index : refused) expected.push_back(values[index]);
  RefusedSearch search(values, refused.size());
  std::size_t asked = 0;
  for (; asked <= 4 * count; ++asked) {
    const auto some = search.next();
    if (!some) break;
    EXPECT_FALSE(some->empty());
    search.told(static_cast<std::size_t>(std::ranges::count_if(
        *some, [&refused](const std::string& value) { return refused.contains(std::stoul(value)); })));
  }
  EXPECT_EQ(search.refused(), expected);
  return asked;
}

TEST(RefusedSearch, FindsThemWhereverTheyAre) {
  std::mt19937 random(7);
  for (int round = 0; round < 500; ++round) {
    const std::size_t count = 1 + random() % 60;
    std::set<std::size_t> refused;
    for (std::size_t i = 0, n = 1 + random() % count; i < n; ++i) refused.insert(random() % count);
    search(count, refused);
  }
}

TEST(RefusedSearch, AsksOnceWhereTheyComeFirst) {
  EXPECT_EQ(search(62, {0, 1}), 1u);
}

TEST(RefusedSearch, AsksOfAFewAmongManyFewTimes) {
  EXPECT_LE(search(1000, {700}), 12u);
}

TEST(RefusedSearch, AsksNothingWhereAllAreRefused) {
  EXPECT_EQ(search(3, {0, 1, 2}), 0u);
}

}  // namespace
}  // namespace neptune::engine
