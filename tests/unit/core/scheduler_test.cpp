#include "core/scheduler.h"

#include <gtest/gtest.h>

#include <vector>

namespace neptune::core {
namespace {

std::vector<StreamId> take(Scheduler& scheduler, int count) {
  std::vector<StreamId> taken;
  for (int i = 0; i < count; ++i)
    if (const auto next = scheduler.next()) taken.push_back(*next);
  return taken;
}

TEST(Scheduler, StreamsOfAWorkspaceTakeTurns) {
  Scheduler scheduler;
  for (StreamId id : {1, 2, 3}) scheduler.add("a", id);
  EXPECT_EQ(take(scheduler, 3), (std::vector<StreamId>{1, 2, 3}));
  EXPECT_FALSE(scheduler.next());
}

TEST(Scheduler, AWorkspaceWithManyStreamsDoesNotStarveAnother) {
  Scheduler scheduler;
  for (StreamId id = 1; id <= 100; ++id) scheduler.add("many", id);
  scheduler.add("one", 1000);
  const auto first = take(scheduler, 2);
  EXPECT_EQ(first, (std::vector<StreamId>{1, 1000}));
}

TEST(Scheduler, AStreamStandsInLineOnce) {
  Scheduler scheduler;
  scheduler.add("a", 1);
  scheduler.add("a", 1);
  EXPECT_EQ(take(scheduler, 2).size(), 1u);
  scheduler.add("a", 1);
  EXPECT_EQ(take(scheduler, 2).size(), 1u) << "taken out, it may stand in line again";
}

TEST(Scheduler, PriorityIsTurnsARound) {
  Scheduler scheduler;
  scheduler.set_priority("vip", 3);
  for (StreamId id = 1; id <= 6; ++id) scheduler.add("vip", id);
  for (StreamId id = 11; id <= 16; ++id) scheduler.add("rest", id);
  EXPECT_EQ(take(scheduler, 8), (std::vector<StreamId>{1, 2, 3, 11, 4, 5, 6, 12}));
}

}  // namespace
}  // namespace neptune::core
