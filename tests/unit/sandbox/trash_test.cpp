#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

const std::string trash = "/api/leaderboard/v1/experiments/trash";
const std::string which = "?projectIdentifier=ml-team/classification";

class Trash : public ::testing::Test {
 protected:
  Trash() {
    served_.done("POST", "/api/backend/v1/projects",
                 R"({"organizationIdentifier": "ml-team", "name": "classification", "projectKey": "CLA"})");
    served_.ingest(create("run"));
    served_.ingest(update("run", {assign("text", text(std::string(2000, 'x')))}));
  }
  boost::json::value bulk(const std::string& step, const std::string& identifiers) {
    return served_.done("POST", trash + step + which, identifiers);
  }
  static std::string reason(const boost::json::value& result) {
    const auto& errors = result.at("errors").as_array();
    return errors.empty() ? "" : std::string(errors[0].at("reason").as_string());
  }
  std::int64_t used() { return served_.state().at("workspaces").at("ml-team").at("storage_bytes").as_int64(); }

  Served served_;
  const std::string run_ = R"(["ml-team/classification/CLA-1"])";
};

TEST_F(Trash, SaysOfEachRunWhyItCouldNotBeMoved) {
  EXPECT_EQ(reason(bulk("/delete", run_)), "NOT_IN_TRASH");
  EXPECT_EQ(bulk("", run_).at("updatedExperimentIdentifiers"), testing::parse_json(run_));
  EXPECT_EQ(reason(bulk("", run_)), "ALREADY_TRASHED");
  EXPECT_EQ(reason(bulk("/restore", run_)), "");
  EXPECT_EQ(reason(bulk("/restore", run_)), "NOT_IN_TRASH");
  EXPECT_EQ(reason(bulk("", R"(["ml-team/classification/CLA-9"])")), "NOT_EXISTS");
  EXPECT_EQ(reason(bulk("", R"(["ml-team/classification/CLA"])")), "IS_PROJECT");
}

TEST_F(Trash, FreesTheStorageOfAnIngestedRunOnlyWhenItIsDeletedFromIt) {
  const auto before = used();
  EXPECT_GT(before, 2000);
  bulk("", run_);
  EXPECT_EQ(used(), before);
  EXPECT_TRUE(served_.state().at("containers").at("ml-team/classification/CLA-1").at("trashed").as_bool());
  bulk("/delete", run_);
  EXPECT_EQ(used(), 0);
  EXPECT_EQ(reason(bulk("/delete", run_)), "NOT_EXISTS");
  EXPECT_EQ(served_.ingest(update("run", {points(0, {{"a", 1}})})), (Counts{{IngestCode::run_not_found, 1}}));
}

TEST_F(Trash, IsEmptiedAtOnceWhileTheWorkspaceIsReadOnly) {
  served_.control(R"({"workspace": "ml-team", "quota": 1000})");
  EXPECT_EQ(served_.submit(create("other")).status, 403u);
  bulk("", run_);
  const auto result = served_.done("POST", trash + "/deleteAll" + which);
  EXPECT_EQ(result.at("updatedExperimentIdentifiers"), testing::parse_json(run_));
  EXPECT_EQ(served_.ingest(create("other")), (Counts{{IngestCode::ok, 1}}));
}

TEST_F(Trash, FreesStorageByALaterCleanUp) {
  served_.control(R"({"clean_up_delay_ms": 1000000})");
  const auto before = used();
  bulk("", run_);
  bulk("/delete", run_);
  EXPECT_EQ(used(), before);
  EXPECT_EQ(served_.state().at("workspaces").at("ml-team").at("to_be_freed_bytes").as_int64(), before);
  served_.control(R"({"clean_up": true})");
  EXPECT_EQ(used(), 0);
}

TEST_F(Trash, RestoresNothingWhileTheWorkspaceIsReadOnly) {
  bulk("", run_);
  served_.control(R"({"workspace": "ml-team", "mode": "read_only"})");
  EXPECT_EQ(served_.refusal("POST", trash + "/restore" + which, run_), "403 WORKSPACE_IN_READ_ONLY_MODE");
}

TEST_F(Trash, TakesTheVersionsOfAModelWithIt) {
  const auto make = [&](const std::string& more) {
    return served_.done("POST", "/api/leaderboard/v1/experiments",
                        R"({"projectIdentifier": "ml-team/classification", )" + more + "}");
  };
  const auto model = make(R"("type": "model", "key": "M")");
  make(R"("type": "modelVersion", "parentId": ")" + std::string(model.at("id").as_string()) + "\"");
  bulk("", R"(["CLA-M"])");
  bulk("/delete", R"(["CLA-M"])");
  const auto told = served_.state().at("containers").as_object();
  EXPECT_FALSE(told.contains("ml-team/classification/CLA-M"));
  EXPECT_FALSE(told.contains("ml-team/classification/CLA-M-1"));
}

TEST_F(Trash, HasAnArchiveBesideIt) {
  const std::string runs = R"({"runs": ["ml-team/classification/CLA-1"]})";
  const auto archived = [&] {
    return served_.state().at("containers").at("ml-team/classification/CLA-1").at("archived").as_bool();
  };
  served_.done("POST", "/api/leaderboard/v1/runs:archive", runs);
  EXPECT_TRUE(archived());
  served_.done("POST", "/api/leaderboard/v1/runs:unarchive", runs);
  EXPECT_FALSE(archived());
}

TEST_F(Trash, HasTagsBesideIt) {
  served_.done(
      "POST", "/api/leaderboard/v1/experiments/tags" + which,
      R"({"experimentIdentifiers": ["ml-team/classification/CLA-1"], "tagsToAdd": ["a", "b"], "tagsToDelete": ["b"]})");
  EXPECT_EQ(testing::first_difference(testing::parse_json(R"(["a"])"), served_.run("run").at("sets").at("sys/tags")),
            "");
}

TEST_F(Trash, FreesStorageByItselfOnceTheCleanUpIsDue) {
  served_.control(R"({"clean_up_delay_ms": 20})");
  bulk("", run_);
  bulk("/delete", run_);
  const auto freed = [](const boost::json::value& state) {
    return state.at("workspaces").at("ml-team").at("storage_bytes").as_int64() == 0;
  };
  EXPECT_TRUE(served_.sandbox().wait_for(freed).first);
}

TEST(TrashState, SurvivesAKill) {
  Served served({"--workspace", "ml-team"}, Served::Keeps::state);
  served.ingest(create("gone"));
  served.ingest(create("kept"));
  served.done("POST", trash + which, R"(["ml-team/classification/CLASSI-1", "ml-team/classification/CLASSI-2"])");
  served.done("POST", trash + "/delete" + which, R"(["ml-team/classification/CLASSI-1"])");
  const auto before = served.state();
  served.sandbox().kill();
  served.sandbox().start();
  const auto after = served.state();
  EXPECT_EQ(testing::first_difference(before.at("containers"), after.at("containers")), "");
  EXPECT_EQ(testing::first_difference(before.at("workspaces"), after.at("workspaces")), "");
}

}  // namespace
}  // namespace neptune::sandbox
