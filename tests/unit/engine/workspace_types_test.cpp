#include "engine/impl/workspace_types.h"

#include <gtest/gtest.h>

namespace neptune::engine {
namespace {

using namespace std::chrono_literals;

TEST(WorkspaceTypes, AreAskedForUntilTheyAreKnownAndOnceInAWhileThen) {
  WorkspaceTypes types;
  const Instant start{};
  EXPECT_TRUE(types.is_due("lab", start));
  types.told("lab", WorkspaceType::unknown, start);
  EXPECT_TRUE(types.is_due("lab", start)) << "a server that did not say is asked again";
  types.told("lab", WorkspaceType::individual, start);
  EXPECT_EQ(types.of("lab"), WorkspaceType::individual);
  EXPECT_FALSE(types.is_due("lab", start + 59s));
  EXPECT_TRUE(types.is_due("lab", start + 60s));
  EXPECT_EQ(types.of("lab"), WorkspaceType::individual) << "until there is an answer";
  types.told("lab", WorkspaceType::team, start + 61s);
  EXPECT_EQ(types.of("lab"), WorkspaceType::team);
  EXPECT_TRUE(types.is_due("other", start));
  types.forget();
  EXPECT_EQ(types.of("lab"), WorkspaceType::unknown);
}

TEST(WorkspaceTypes, OfAnEarlierProcessAreUsedAndAskedForAgain) {
  WorkspaceTypes types;
  types.recall("lab", WorkspaceType::individual);
  EXPECT_EQ(types.of("lab"), WorkspaceType::individual);
  EXPECT_TRUE(types.is_due("lab", Instant{}));
  EXPECT_FALSE(types.told("lab", WorkspaceType::individual, Instant{})) << "that is known";
  EXPECT_FALSE(types.is_due("lab", Instant{}));
  EXPECT_TRUE(types.told("lab", WorkspaceType::team, Instant{}));
  EXPECT_FALSE(types.told("lab", WorkspaceType::unknown, Instant{}));
}

}  // namespace
}  // namespace neptune::engine
