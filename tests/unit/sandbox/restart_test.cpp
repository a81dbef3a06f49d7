#include <fstream>

#include "tests/sandbox/options.h"
#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

class StateFile : public ::testing::Test {
 protected:
  Served served_{{"--workspace", "ml-team:individual:quota 100000"}, Served::Keeps::state};
};

TEST_F(StateFile, BringsBackRunsModesAndTheToken) {
  served_.ingest(create("run"));
  const auto batch = update("run", {points(0, {{"m", 1}}), points(1, {{"m", 2}})});
  served_.ingest(batch);
  served_.control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "a bill is open"})");
  const auto before = served_.state();
  const auto token = served_.sandbox().token();
  EXPECT_EQ(served_.sandbox().stop(), 0);
  served_.sandbox().start();

  const auto after = served_.state();
  const auto &old_workspace = before.at("workspaces").at("ml-team"), &workspace = after.at("workspaces").at("ml-team");
  EXPECT_EQ(testing::first_difference(before.at("runs"), after.at("runs")), "");
  EXPECT_EQ(testing::first_difference(old_workspace, workspace), "");
  EXPECT_EQ(workspace.at("reason").as_string(), "a bill is open");
  EXPECT_EQ(workspace.at("type").as_string(), "individual");
  EXPECT_EQ(served_.sandbox().token(), token);
}

TEST_F(StateFile, SurvivesAKillWithRequestsUnprocessed) {
  served_.ingest(create("run"));
  served_.control(R"({"processing": "paused"})");
  const auto id = Served::id_of(served_.submit(update("run", {points(0, {{"m", 1}})})));
  served_.sandbox().kill();
  std::ofstream(served_.directory() / "state", std::ios::app | std::ios::binary) << "Atorn";
  served_.sandbox().start();
  ASSERT_TRUE(served_.sandbox().wait_for([](const auto& s) { return s.at("unprocessed").as_int64() == 0; }).first);
  EXPECT_EQ(served_.check(id).counts, (Counts{{IngestCode::ok, 1}}));
  EXPECT_EQ(served_.run("run").at("series").at("m").as_array().size(), 1u);
  const auto next = Served::id_of(served_.submit(update("run", {points(1, {{"m", 1}})})));
  EXPECT_NE(next, id);
}

TEST_F(StateFile, DecidesAgainAsItDecidedThen) {
  served_.ingest(create("run"));
  served_.control(R"({"workspace": "ml-team", "mode": "read_only", "style": "suspended_part", "part": 0.5})");
  served_.ingest(update("run", {points(0, {{"m", 1}}), points(1, {{"m", 2}})}));
  served_.control(R"({"workspace": "ml-team", "mode": "normal", "reject": {"path": "bad", "code": 64}})");
  served_.ingest(update("run", {points(1, {{"bad", 1}, {"good", 1}})}));
  const auto before = served_.state();
  served_.sandbox().kill();
  served_.sandbox().start();
  EXPECT_EQ(testing::first_difference(before.at("runs"), served_.state().at("runs")), "");
  EXPECT_EQ(served_.run("run").at("series").at("m").as_array().size(), 1u);
}

TEST(WorkspaceFlag, NamesTypeAndQuota) {
  const auto full = WorkspaceOption::parse("vision:individual:quota 1000");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->name, "vision");
  EXPECT_EQ(full->type, "individual");
  EXPECT_EQ(full->quota, 1000u);
  EXPECT_EQ(WorkspaceOption::parse("a:quota=5")->quota, 5u);
  EXPECT_FALSE(WorkspaceOption::parse("a")->quota);
  for (const auto* bad : {"", ":team", "a/b", "a:people", "a:quota", "a:quota x", "a:quota 1x"})
    EXPECT_FALSE(WorkspaceOption::parse(bad)) << bad;
}

}  // namespace
}  // namespace neptune::sandbox
