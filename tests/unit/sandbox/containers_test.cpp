#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

const std::string experiments = "/api/leaderboard/v1/experiments";

class Containers : public ::testing::Test {
 protected:
  Containers() {
    id_ = text(served_
                   .done("POST", "/api/backend/v1/projects",
                         R"({"organizationIdentifier": "ml-team", "name": "classification", "projectKey": "CLA"})")
                   .at("id"));
  }
  static std::string text(const boost::json::value& value) { return std::string(value.as_string()); }
  std::string params(const std::string& type, const std::string& parent, const std::string& more = {}) const {
    return R"({"projectIdentifier": "ml-team/classification", "parentId": ")" + parent + R"(", "type": ")" + type +
           "\"" + more + "}";
  }
  boost::json::value make(const std::string& type, const std::string& parent, const std::string& more = {}) {
    return served_.done("POST", experiments, params(type, parent, more));
  }

  Served served_;
  std::string id_;
};

TEST_F(Containers, NumberRunsAndMakeEachCustomIdOnce) {
  const auto first = make("run", id_);
  EXPECT_EQ(text(first.at("shortId")), "CLA-1");
  EXPECT_EQ(text(first.at("projectName")), "classification");
  const auto named = make("run", id_, R"(, "customId": "mine")");
  EXPECT_EQ(text(named.at("shortId")), "CLA-2");
  EXPECT_EQ(make("run", id_, R"(, "customId": "mine")").at("id"), named.at("id"));
  EXPECT_EQ(text(make("run", id_).at("shortId")), "CLA-3");
  EXPECT_EQ(served_.state().at("duplicates").at("creates").as_int64(), 1);
}

TEST_F(Containers, AreModelsByKeyAndVersionsByNumber) {
  const auto model = make("model", id_, R"(, "key": "FOREST")");
  EXPECT_EQ(text(model.at("shortId")), "CLA-FOREST");
  EXPECT_EQ(served_.refusal("POST", experiments, params("model", id_, R"(, "key": "FOREST")")),
            "409 EXPERIMENT_ALREADY_EXISTS");
  EXPECT_EQ(served_.refusal("POST", experiments, params("model", id_, R"(, "key": "forest")")), "400 BAD_REQUEST");
  EXPECT_EQ(text(make("modelVersion", text(model.at("id"))).at("shortId")), "CLA-FOREST-1");
  const auto second = make("modelVersion", text(model.at("id")));
  EXPECT_EQ(text(second.at("shortId")), "CLA-FOREST-2");
  EXPECT_EQ(second.at("parentId"), model.at("id"));
  EXPECT_EQ(served_.refusal("POST", experiments, params("modelVersion", id_)), "404 EXPERIMENT_NOT_FOUND");
}

TEST_F(Containers, AreFoundByIdAndByName) {
  const auto run = make("run", id_);
  EXPECT_EQ(served_.done("GET", experiments + "?experimentId=" + text(run.at("id"))), run);
  EXPECT_EQ(served_.done("GET", experiments + "?experimentId=ml-team%2Fclassification%2FCLA-1"), run);
  EXPECT_EQ(text(served_.done("GET", experiments + "?experimentId=" + id_).at("type")), "project");
  EXPECT_EQ(served_.refusal("GET", experiments + "?experimentId=ml-team/classification/CLA-9"),
            "404 EXPERIMENT_NOT_FOUND");
}

TEST_F(Containers, AreTheSameRunsThatIngestionMakes) {
  served_.ingest(create("shared"));
  const auto run = make("run", id_, R"(, "customId": "shared")");
  EXPECT_EQ(text(run.at("shortId")), "CLA-1");
  make("run", id_, R"(, "customId": "other")");
  EXPECT_EQ(served_.ingest(create("other")), (Counts{{IngestCode::run_duplicate, 1}}));
  EXPECT_EQ(served_.ingest(update("other", {points(0, {{"loss", 1}})})), (Counts{{IngestCode::ok, 1}}));
}

TEST_F(Containers, AreFoundByTheirCustomIdWithoutAWrite) {
  served_.ingest(create("a \"run\""));
  served_.ingest(create("another"));
  served_.control(R"({"workspace": "ml-team", "mode": "read_only"})");
  const auto found = served_.done(
      "POST", "/api/leaderboard/v1/leaderboard/entries/search?projectIdentifier=ml-team/classification&type=run",
      R"json({"query": {"query": "(`sys/custom_run_id`:string = \"a \\\"run\\\"\")"}})json");
  ASSERT_EQ(found.at("entries").as_array().size(), 1u);
  const auto& entry = found.at("entries").as_array()[0];
  EXPECT_EQ(text(entry.at("attributes").as_array()[0].at("stringProperties").at("value")), "CLA-1");
}

TEST_F(Containers, AreNotMadeWhileTheirProjectIsReadOnly) {
  served_.control(R"({"project": "ml-team/classification", "mode": "read_only", "style": "http_402"})");
  EXPECT_EQ(served_.refusal("POST", experiments, params("run", id_)), "402 PROJECT_LIMITS_EXCEEDED");
  EXPECT_EQ(served_.state().at("writes_while_read_only").at("ml-team/classification").as_int64(), 1);
}

TEST_F(Containers, StandInTheState) {
  make("model", id_, R"(, "key": "FOREST")");
  make("run", id_, R"(, "customId": "mine")");
  const auto told = served_.state().at("containers");
  EXPECT_EQ(text(told.at("ml-team/classification/CLA-FOREST").at("type")), "model");
  EXPECT_TRUE(told.at("ml-team/classification/CLA-FOREST").at("attrs").as_object().empty());
  EXPECT_EQ(text(told.at("ml-team/classification/CLA-1").at("run")), "ml-team/classification/mine");
  EXPECT_EQ(text(told.at("ml-team/classification/CLA").at("type")), "project");
}

}  // namespace
}  // namespace neptune::sandbox
