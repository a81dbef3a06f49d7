#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

const std::string attributes = "/api/leaderboard/v1/attributes";

class Operations : public ::testing::Test {
 protected:
  Operations() {
    served_.done("POST", "/api/backend/v1/projects",
                 R"({"organizationIdentifier": "ml-team", "name": "classification", "projectKey": "CLA"})");
    const auto run = served_.done("POST", "/api/leaderboard/v1/experiments",
                                  R"({"projectIdentifier": "ml-team/classification", "customId": "run"})");
    id_ = std::string(run.at("id").as_string());
  }
  boost::json::value execute(const std::string& operations) {
    return served_.done("POST", attributes + "/operations?experimentId=" + id_, operations);
  }
  boost::json::value told() { return served_.run("run"); }
  boost::json::value read(const std::string& what, const std::string& attribute) {
    return served_.done("GET", attributes + "/" + what + "?experimentId=" + id_ + "&attribute=" + attribute);
  }
  static void expect_same(const char* expected, const boost::json::value& actual) {
    EXPECT_EQ(testing::first_difference(testing::parse_json(expected), actual), "");
  }

  Served served_;
  std::string id_;
};

TEST_F(Operations, AssignEveryType) {
  expect_same("[]", execute(R"([{"path": "f", "assignFloat": {"value": 2}}, {"path": "i", "assignInt": {"value": 3}},
      {"path": "b", "assignBool": {"value": true}}, {"path": "s", "assignString": {"value": "x"}},
      {"path": "d", "assignDatetime": {"valueMilliseconds": 1500}}])"));
  expect_same(R"({"b": true, "d": "1970-01-01T00:00:01.500Z", "f": 2.0, "i": 3, "s": "x"})", told().at("attrs"));
}

TEST_F(Operations, StoreThePointsOfASeriesAsOftenAsTheyCome) {
  const auto points = R"([{"path": "loss", "logFloats": {"entries": [
      {"value": 0.5, "step": 1, "timestampMilliseconds": 1}, {"value": 0.25, "step": 1.5, "timestampMilliseconds": 2}]}}])";
  execute(points);
  expect_same("[]", execute(points));
  expect_same("[[1000000, 0.5], [1500000, 0.25], [1000000, 0.5], [1500000, 0.25]]", told().at("series").at("loss"));
}

TEST_F(Operations, RefusePointsThatDoNotComeAfterTheLastOneWhereToldTo) {
  served_.control(R"({"increasing_steps": true})");
  const auto points =
      R"([{"path": "loss", "logFloats": {"entries": [{"value": 0.5, "step": 1}, {"value": 1, "step": 2}]}}])";
  execute(points);
  const auto errors = execute(points).as_array();
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].at("errorType").as_string(), "logSeriesValueError");
  EXPECT_EQ(told().at("series").at("loss").as_array().size(), 2u);
}

TEST_F(Operations, TellHowFarASeriesIs) {
  execute(R"([{"path": "loss", "logFloats": {"entries": [{"value": 1, "step": 3}, {"value": 2, "step": 4.5}]}},
      {"path": "log", "logStrings": {"entries": [{"value": "a"}, {"value": "b"}]}},
      {"path": "pictures", "logImages": {"entries": [{"value": {"data": "aGk=", "name": "n"}, "step": 0}]}}])");
  EXPECT_EQ(read("floatSeries", "loss").at("lastStep").as_double(), 4.5);
  EXPECT_EQ(read("series/float", "loss").at("totalItemCount").as_int64(), 2);
  EXPECT_EQ(read("stringSeries", "log").at("lastStep").as_double(), 1.0);
  EXPECT_EQ(read("series/string", "log").at("values").as_array()[1].at("value").as_string(), "b");
  EXPECT_EQ(read("series/image", "pictures").at("totalItemCount").as_int64(), 1);
  EXPECT_EQ(served_.refusal("GET", attributes + "/floatSeries?attribute=none&experimentId=" + id_),
            "404 ATTRIBUTE_PATH_NOT_FOUND");
  EXPECT_EQ(served_.refusal("GET", attributes + "/floatSeries?attribute=log&experimentId=" + id_),
            "422 INVALID_ATTRIBUTE_TYPE");
}

TEST_F(Operations, ClearConfigureAndDelete) {
  execute(R"([{"path": "loss", "logFloats": {"entries": [{"value": 1}]}}, {"path": "gone", "assignInt": {"value": 1}},
      {"path": "loss", "configFloatSeries": {"min": 0, "max": 1, "unit": "m"}}])");
  execute(R"([{"path": "loss", "clearFloatSeries": {}}, {"path": "gone", "deleteAttribute": {}}])");
  expect_same(R"({"loss": []})", told().at("series"));
  expect_same("{}", told().at("attrs"));
  EXPECT_EQ(read("floatSeries", "loss").at("config").at("unit").as_string(), "m");
  EXPECT_EQ(served_.state("summary=1").at("runs").at(project + "/run").at("series").at("loss").at("count").as_int64(),
            0);
  const auto again = execute(R"([{"path": "gone", "deleteAttribute": {}}])").as_array();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(again[0].at("errorType").as_string(), "metadata_inconsistency");
}

TEST_F(Operations, PutStringsIntoASetAndTakeThemOut) {
  execute(R"([{"path": "sys/tags", "insertStrings": {"values": ["a", "b", "c"]}},
              {"path": "sys/tags", "removeStrings": {"values": ["b"]}}])");
  expect_same(R"(["a", "c"])", told().at("sets").at("sys/tags"));
  execute(R"([{"path": "sys/tags", "clearStringSet": {}}])");
  expect_same("[]", told().at("sets").at("sys/tags"));
}

TEST_F(Operations, AreAnsweredOneByOneAndTheGoodOnesAreStored) {
  const auto errors =
      execute(R"([{"path": "a", "assignInt": {"value": 1}}, {"path": "a", "assignString": {"value": "x"}},
      {"path": "b//c", "assignInt": {"value": 1}}, {"path": "d", "inventInt": {"value": 1}},
      {"path": "e", "assignInt": {"value": 2}}])");
  EXPECT_EQ(errors.as_array().size(), 3u);
  expect_same(R"({"a": 1, "e": 2})", told().at("attrs"));
}

TEST_F(Operations, AreAtMostAThousandACall) {
  std::string many = "[";
  for (int i = 0; i < 1001; ++i)
    many += (i == 0 ? "" : ",") + std::string(R"({"path": "a", "assignInt": {"value": 1}})");
  const auto target = attributes + "/operations?experimentId=" + id_;
  EXPECT_EQ(served_.refusal("POST", target, many + "]"), "422 TOO_MANY_OPERATIONS");
  served_.control(R"({"max_operations": 1001})");
  execute(many + "]");
}

TEST_F(Operations, GoToTheProjectItself) {
  const auto details = served_.done("GET", "/api/backend/v1/projects/get?projectIdentifier=ml-team/classification");
  id_ = std::string(details.at("id").as_string());
  execute(R"([{"path": "about/team", "assignString": {"value": "vision"}}])");
  expect_same(R"({"about/team": "vision"})",
              served_.state().at("containers").at("ml-team/classification/CLA").at("attrs"));
  const auto all = served_.done("GET", attributes + "?experimentId=" + id_).at("attributes").as_array();
  EXPECT_EQ(all.back().at("stringProperties").at("value").as_string(), "vision");
}

TEST_F(Operations, AreAppliedWhenTheirAnswerIsLost) {
  served_.control(R"({"fault": {"path": "/api/leaderboard/v1/attributes/operations", "drop": "before_answer",
                                "project": "ml-team/classification", "times": 1}})");
  EXPECT_THROW((void)served_.call("POST", attributes + "/operations?experimentId=" + id_,
                                  R"([{"path": "loss", "logFloats": {"entries": [{"value": 1, "step": 7}]}}])"),
               std::exception);
  EXPECT_EQ(read("floatSeries", "loss").at("lastStep").as_double(), 7.0);
}

TEST_F(Operations, AreHeldOffByAProjectAtItsLimit) {
  served_.done("PUT", "/api/backend/v1/projects/storage-limit?projectIdentifier=ml-team/classification",
               R"({"maxStorageSize": 1})");
  EXPECT_EQ(served_.refusal("POST", attributes + "/operations?experimentId=" + id_, "[]"),
            "403 PROJECT_LIMITS_EXCEEDED");
}

}  // namespace
}  // namespace neptune::sandbox
