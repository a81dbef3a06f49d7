#include <gmock/gmock.h>

#include <random>
#include <sstream>

#include "tests/integration/support/process.h"
#include "tests/unit/sources/change_queue_fixture.h"

namespace neptune::sources {
namespace {

using namespace std::chrono_literals;

class ChangeQueueKilled : public ChangeQueueTest {
 protected:
  /// The ids that were printed by whole lines: the last may have been cut.
  static std::vector<Ids> requests_of(std::string printed) {
    printed.resize(printed.rfind('\n') + 1);
    std::istringstream lines(printed);
    std::vector<Ids> requests;
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line);
      auto& ids = requests.emplace_back();
      for (std::int64_t id; words >> id;) ids.push_back(id);
    }
    return requests;
  }
};

TEST_F(ChangeQueueKilled, AtAnyMomentHasEveryChangeThatWasAcknowledgedWholeAndInOrder) {
  std::minstd_rand random(7);
  Position newest = 0;
  std::size_t acknowledged = 0;
  for (int round = 0; round < 20; ++round) {
    testing::Process::Options how;
    how.binary = CHANGE_ACCEPTOR;
    how.args = {options.file.string()};
    how.output_dir = dir.path();
    how.name = "acceptor-" + std::to_string(round);
    testing::Process acceptor(std::move(how));
    ASSERT_TRUE(acceptor.wait_for_line("")) << acceptor.err();
    loop.run_for(std::chrono::milliseconds(random() % 60));
    acceptor.kill();
    const auto requests = requests_of(acceptor.out());
    open();
    auto there = waiting(run_named("run-0"));
    const auto others = waiting(run_named("run-1"));
    EXPECT_TRUE(std::ranges::is_sorted(there));
    there.insert(there.end(), others.begin(), others.end());
    std::ranges::sort(there);
    ASSERT_EQ(std::ranges::adjacent_find(there), there.end());
    for (const auto& ids : requests) {
      EXPECT_GT(ids.front(), newest) << "a number of an earlier life";
      EXPECT_EQ(ids.back() - ids.front() + 1, static_cast<Position>(ids.size()));
      for (const auto id : ids) EXPECT_TRUE(std::ranges::binary_search(there, id)) << id << " was acknowledged";
      acknowledged += ids.size();
    }
    EXPECT_EQ(backlog(run_named("run-0")).count + backlog(run_named("run-1")).count, there.size());
    newest = there.back();
    close();
  }
  EXPECT_GT(acknowledged, 100u);
}

}  // namespace
}  // namespace neptune::sources
