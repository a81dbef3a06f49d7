// Changes of attributes that share calls: which of them the server refused, and that none is applied twice.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "tests/integration/all_kinds.h"
#include "tests/integration/box.h"
#include "tests/integration/support/json.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

constexpr const char* operations = "/api/leaderboard/v1/attributes/operations";

/// A box whose server has the project ml-team/lab, with the model M and, as attributes, the run r.
class SharedCalls : public ::testing::Test {
 protected:
  SharedCalls()
      : box({.server = "request_timeout = \"2s\"\nruns = \"leaderboard\"",
             .config = "[queue]\nmin_free_disk = \"1MiB\"\n"}) {
    hand_in(R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                {"kind": "model.create", "project": "ml-team/lab", "key": "M"},
                {"kind": "run.create", "project": "ml-team/lab", "run": "r"}])");
    box.wait_synced();
  }

  /// The numbers of these changes.
  std::vector<std::int64_t> hand_in(const std::string& changes) {
    const auto [status, answer] = box.hand_in(changes);
    EXPECT_EQ(status, 202u) << json::serialize(answer);
    std::vector<std::int64_t> ids;
    for (const auto& id : answer.at("ids").as_array()) ids.push_back(id.as_int64());
    return ids;
  }

  std::string metadata(const std::string& fields) const {
    return R"({"kind": "project.metadata", "project": "ml-team/lab", )" + fields + "}";
  }
  std::string update(int step, double loss) const {
    return fmt::format(
        R"({{"kind": "run.update", "project": "ml-team/lab", "run": "r", "step": {}, "append": {{"loss": {}}}}})", step,
        loss);
  }

  std::string state_of(std::int64_t id) {
    return std::string(box.get("/v1/changes/" + std::to_string(id)).at("state").as_string());
  }

  /// What became of these changes, once nothing is to be waited for any more.
  std::vector<std::string> states(const std::vector<std::int64_t>& ids) {
    std::vector<std::string> out;
    for (const auto id : ids) {
      box.wait_status([this, id](const auto&) {
        const auto state = state_of(id);
        return state == "done" || state == "rejected";
      });
      out.push_back(state_of(id));
    }
    return out;
  }

  /// The one change that is kept as rejected.
  json::value rejected() {
    const auto listed = box.get("/v1/rejected");
    const auto& all = listed.at("rejected").as_array();
    EXPECT_EQ(all.size(), 1u) << json::serialize(listed);
    return all.empty() ? json::value() : all.front();
  }
  void retry() {
    const auto id = std::to_string(rejected().at("id").as_int64());
    EXPECT_EQ(box.sync({"rejected", "retry", id}).status, 0);
  }
  bool nothing_is_rejected() {
    return box.wait_status([](const auto& s) { return s.at("totals").at("rejected").as_int64() == 0; }).first;
  }

  std::string of_project(const std::string& series) {
    return values_at(box.sandbox().state(), {"containers", "ml-team/lab/LAB", "series", series});
  }
  json::value attributes_of_project() {
    return box.sandbox().state().at("containers").at("ml-team/lab/LAB").at("attrs");
  }
  std::string of_run(const std::string& series) {
    return values_at(box.sandbox().state(), {"runs", "ml-team/lab/r", "series", series});
  }
  void fault(const std::string& members) {
    box.sandbox().control(fmt::format(R"({{"fault": {{"path": "{}", {}}}}})", operations, members));
  }
  std::int64_t requests(const std::string& endpoint) {
    const auto state = box.sandbox().state();
    const auto* counts = state.at("requests").as_object().if_contains(endpoint);
    std::int64_t all = 0;
    if (counts)
      for (const auto& [status, count] : counts->as_object()) all += count.to_number<std::int64_t>();
    return all;
  }

  Box box;
};

using States = std::vector<std::string>;

TEST_F(SharedCalls, AChangeThatIsRefusedAmongOthersOfItsAttributeIsTheOneRejected) {
  const auto ids =
      hand_in("[" + metadata(R"("append": {"score": 1})") + "," + metadata(R"("append": {"score": "oops"})") + "," +
              metadata(R"("append": {"score": 3})") + "]");
  EXPECT_EQ(states(ids), (States{"done", "rejected", "done"}));
  EXPECT_EQ(of_project("score"), "1 3");
  const auto payload = box.get("/v1/rejected/" + std::to_string(rejected().at("id").as_int64()) + "/payload");
  EXPECT_NE(json::serialize(payload).find("oops"), std::string::npos) << json::serialize(payload);
  const auto counted = [this] { return requests("POST /api/leaderboard/v1/attributes/operations"); };
  const auto before = counted();
  retry();
  EXPECT_TRUE(box.wait_status([&](const auto&) { return counted() > before; }).first);
  EXPECT_EQ(states(ids), (States{"done", "rejected", "done"}));
  EXPECT_EQ(of_project("score"), "1 3");
}

TEST_F(SharedCalls, APointThatIsRefusedAmongOthersOfItsSeriesIsTheOneRejected) {
  box.sandbox().control(R"({"increasing_steps": true})");
  const auto ids = hand_in("[" + update(2, 20) + "," + update(1, 10) + "," + update(3, 30) + "," + update(4, 40) + "]");
  EXPECT_EQ(states(ids), (States{"done", "rejected", "done", "done"}));
  EXPECT_EQ(of_run("loss"), "20 30 40");
}

TEST_F(SharedCalls, AChangeIsFoundAlsoWhereTheServerDoesNotSayWhatItMeans) {
  const auto before = hand_in(metadata(R"("assign": {"a/3": 0.5, "a/6": 0.5})"));
  EXPECT_EQ(states(before), States{"done"});
  box.sandbox().control(R"({"nameless_errors": true})");
  std::string body;
  for (int i = 0; i < 8; ++i)
    body += (i == 0 ? "[" : ",") +
            metadata(fmt::format(R"("assign": {{"a/{}": "text"}}, "append": {{"score": {}}})", i, i));
  const auto ids = hand_in(body + "]");
  EXPECT_EQ(states(ids), (States{"done", "done", "done", "rejected", "done", "done", "rejected", "done"}));
  EXPECT_EQ(of_project("score"), "0 1 2 3 4 5 6 7");
}

TEST_F(SharedCalls, AnAttributeWithTheNameOfAWordInTheServersSentenceIsNotBlamed) {
  hand_in(metadata(R"("assign": {"x": 0.5})"));
  const auto ids = hand_in("[" + metadata(R"("assign": {"another": 1})") + "," +
                           metadata(R"("assign": {"x": "text"})") + "," + metadata(R"("assign": {"type": 1})") + "]");
  EXPECT_EQ(states(ids), (States{"done", "rejected", "done"}));
}

TEST_F(SharedCalls, WhatWasStoredOfAChangeIsNotSentAgainWithTheRest) {
  box.sandbox().control(R"({"project": "ml-team/lab", "reject": {"path": "x", "code": "FIELD_TYPE_CONFLICTING"}})");
  const auto ids = hand_in(metadata(R"("append": {"score": [1, 2]}, "assign": {"x": "text", "y": 1})"));
  EXPECT_EQ(states(ids), States{"rejected"});
  EXPECT_NE(std::string(rejected().at("reason").as_string()).find("the rest of the change was stored"),
            std::string::npos);
  EXPECT_EQ(boost::json::serialize(rejected().at("part")), R"(["x"])");
  hand_in(metadata(R"("assign": {"y": 2})"));
  EXPECT_EQ(states(ids), States{"rejected"});
  const auto counted = [this] { return requests("POST /api/leaderboard/v1/attributes/operations"); };
  const auto before = counted();
  retry();  // in vain once more
  EXPECT_TRUE(box.wait_status([&](const auto&) { return counted() > before; }).first);
  EXPECT_EQ(states(ids), States{"rejected"});
  box.sandbox().control(R"({"reset": true})");
  retry();
  EXPECT_TRUE(nothing_is_rejected());
  EXPECT_EQ(of_project("score"), "1 2");
  EXPECT_EQ(attributes_of_project().at("x").as_string(), "text");
  EXPECT_EQ(attributes_of_project().at("y").as_int64(), 2);
}

TEST_F(SharedCalls, WhatIsRefusedInACallWhoseAnswerIsLostIsRejected) {
  box.sandbox().control(R"({"project": "ml-team/lab", "reject": {"path": "x", "code": "FIELD_TYPE_CONFLICTING"}})");
  fault(R"("drop": "before_answer", "times": 1)");
  const auto ids = hand_in("[" + metadata(R"("append": {"score": [1, 2]}, "assign": {"x": 1})") + "," +
                           metadata(R"("append": {"score": 3})") + "]");
  EXPECT_EQ(states(ids), (States{"rejected", "done"}));
  EXPECT_EQ(of_project("score"), "1 2 3");
}

class LateCalls : public SharedCalls, public ::testing::WithParamInterface<const char*> {};

TEST_P(LateCalls, AreAppliedOnceThoughTheyAreAnsweredWithAFailureFirst) {
  fault(GetParam() + std::string(R"(, "late_ms": 900, "times": 1)"));
  const auto ids = hand_in("[" + metadata(R"("append": {"score": [1, 2, 3]})") + "," + update(1, 10) + "]");
  EXPECT_EQ(states(ids), (States{"done", "done"}));
  EXPECT_EQ(of_project("score"), "1 2 3");
  EXPECT_EQ(of_run("loss"), "10");
}

INSTANTIATE_TEST_SUITE_P(Ways, LateCalls, ::testing::Values(R"("status": 504)", R"("drop": "before_answer")"),
                         [](const auto& way) { return way.index == 0 ? "Status" : "Drop"; });

TEST_P(LateCalls, ThatEmptyASeriesLeaveWhatComesAfterThem) {
  EXPECT_EQ(states(hand_in(metadata(R"("append": {"score": [1, 2]})"))), States{"done"});
  fault(GetParam() + std::string(R"(, "late_ms": 900, "times": 1)"));
  const auto ids = hand_in("[" + metadata(R"("clear": {"score": "float_series"}, "append": {"score": [3, 4]})") + "," +
                           metadata(R"("append": {"score": 5})") + "]");
  EXPECT_EQ(states(ids), (States{"done", "done"}));
  fault(R"("delay_ms": 1000, "times": 1)");  // once this is answered, what is late has come
  EXPECT_EQ(states(hand_in(metadata(R"("assign": {"y": 1})"))), States{"done"});
  EXPECT_EQ(of_project("score"), "3 4 5");
}

TEST_F(SharedCalls, PointsOfASeriesThatTheSameChangeConfiguresAreThereOnceWhenTheAnswerIsLost) {
  fault(R"("drop": "before_answer", "times": 1)");
  const auto ids = hand_in(metadata(R"("configure": {"score": {"min": 0, "max": 1}}, "append": {"score": [0.5, 1]})"));
  EXPECT_EQ(states(ids), States{"done"});
  EXPECT_EQ(of_project("score"), "0.5 1");
}

TEST_F(SharedCalls, PointsOfASeriesThatTheSameChangeEmptiesAreNumberedFromTheStart) {
  EXPECT_EQ(states(hand_in(metadata(R"("append": {"score": [5, 6, 7]})"))), States{"done"});
  fault(R"("drop": "before_answer", "times": 1)");
  const auto renewed = metadata(R"("clear": {"score": "float_series"}, "append": {"score": [8, 9]})");
  EXPECT_EQ(states(hand_in(renewed)), States{"done"});
  const auto state = box.sandbox().state();
  const auto* series = look(state, {"containers", "ml-team/lab/LAB", "series", "score"});
  ASSERT_TRUE(series);
  std::vector<std::pair<double, double>> points;  // their steps in millionths
  for (const auto& point : series->as_array())
    points.emplace_back(point.at(0).to_number<double>(), point.at(1).to_number<double>());
  EXPECT_EQ(points, (std::vector<std::pair<double, double>>{{0, 8}, {1e6, 9}}));
}

class RenewedSeries : public SharedCalls, public ::testing::WithParamInterface<const char*> {};

TEST_P(RenewedSeries, HoldsEachPointOnceWhicheverOfTheCallsIsNotAnswered) {
  std::string points, spaced;
  for (int i = 0; i < 1500; ++i) points += (i == 0 ? "" : ",") + std::to_string(i % 700);
  for (const auto c : points) spaced += c == ',' ? ' ' : c;
  for (const auto* skip : {"0", "1"}) {
    EXPECT_EQ(states(hand_in(metadata(R"("append": {"score": [0, 1]})"))), States{"done"});
    fault(R"("drop": "before_answer", "times": 1, "skip": )" + std::string(skip));
    const auto ids = hand_in(metadata(GetParam() + (R"(, "append": {"score": [)" + points + "]}")));
    EXPECT_EQ(states(ids), States{"done"});
    EXPECT_EQ(of_project("score"), spaced) << "call " << skip;
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, RenewedSeries,
                         ::testing::Values(R"("clear": {"score": "float_series"})", R"("delete": ["score"])"),
                         [](const auto& way) { return way.index == 0 ? "Clear" : "Delete"; });

TEST_F(SharedCalls, ACallThatNeverCameThroughIsMadeAgain) {
  fault(R"("drop": "before_processing", "times": 1)");
  const auto ids = hand_in(metadata(R"("append": {"score": [1, 2, 3]})"));
  EXPECT_EQ(states(ids), States{"done"});
  EXPECT_EQ(of_project("score"), "1 2 3");
}

TEST_F(SharedCalls, AModelVersionWhoseAnswerIsLostIsMadeWhereThereIsNoneAndElseLeftToAPerson) {
  const auto create_with = [this](const std::string& drop) {
    box.sandbox().control(
        R"({"fault": {"path": "/api/leaderboard/v1/experiments", "method": "POST", "times": 1, "drop": ")" + drop +
        "\"}}");
    return states(hand_in(R"({"kind": "model_version.create", "project": "ml-team/lab", "model": "M"})"));
  };
  const auto is_there = [this](const std::string& version) {
    return box.sandbox().state().at("containers").as_object().contains("ml-team/lab/" + version);
  };
  EXPECT_EQ(create_with("before_answer"), States{"rejected"});
  EXPECT_TRUE(is_there("LAB-M-1")) << "which may be ours, or somebody's";
  EXPECT_EQ(std::string(rejected().at("code").as_string()), "in_doubt");
  EXPECT_EQ(create_with("before_processing"), States{"done"});
  EXPECT_TRUE(is_there("LAB-M-2"));
  EXPECT_FALSE(is_there("LAB-M-3")) << "once";
}

TEST_F(SharedCalls, AModelVersionIsNotLeftToAPersonForASearchThatIsMissingWhileTheServerRestarts) {
  EXPECT_EQ(states(hand_in(R"({"kind": "model_version.create", "project": "ml-team/lab", "model": "M"})")),
            States{"done"});
  box.sandbox().control(R"({"faults": [
    {"path": "/api/leaderboard/v1/experiments", "method": "POST", "times": 1, "drop": "before_processing"},
    {"path": "/api/leaderboard/v1/leaderboard/entries/search", "times": 1, "skip": 2, "status": 404}]})");
  EXPECT_EQ(states(hand_in(R"({"kind": "model_version.create", "project": "ml-team/lab", "model": "M"})")),
            States{"done"});
  EXPECT_TRUE(box.sandbox().state().at("containers").as_object().contains("ml-team/lab/LAB-M-2"));
}

TEST_F(SharedCalls, ADeleteWhoseAnswerIsLostIsDone) {
  EXPECT_EQ(states(hand_in(metadata(R"("assign": {"y": 1, "z": 1})"))), States{"done"});
  fault(R"("drop": "before_answer", "times": 1)");
  EXPECT_EQ(states(hand_in(metadata(R"("delete": ["y"], "assign": {"z": 2})"))), States{"done"});
  EXPECT_FALSE(attributes_of_project().as_object().contains("y"));
}

TEST_F(SharedCalls, ADeleteOfWhatIsNotThereIsDone) {
  box.sandbox().control(R"({"nameless_errors": true})");
  EXPECT_EQ(states(hand_in(metadata(R"("delete": ["y"], "append": {"score": 1})"))), States{"done"});
  EXPECT_EQ(of_project("score"), "1");
  for (const std::string drop : {"before_processing", "before_answer"}) {
    fault(R"("times": 1, "drop": ")" + drop + "\"");
    const auto replaced = R"("delete": [")" + drop + R"("], "append": {")" + drop + R"(": [1, 2]})";
    EXPECT_EQ(states(hand_in(metadata(replaced))), States{"done"});
    EXPECT_EQ(of_project(drop), "1 2");
  }
  EXPECT_TRUE(nothing_is_rejected());
}

TEST_F(SharedCalls, ThatAreRefusedSayOnceWhichAttributeAndWhy) {
  hand_in(metadata(R"("assign": {"v": "text"})"));
  EXPECT_EQ(states(hand_in(metadata(R"("append": {"v": [1, 2]})"))), States{"rejected"});
  EXPECT_EQ(rejected().at("reason").as_string(), "attribute v: it is of another type");
}

TEST_F(SharedCalls, OfAServerThatTakesFewerOperationsAreSplit) {
  box.sandbox().control(R"({"max_operations": 100})");
  std::string points, changes;
  for (int i = 0; i < 150; ++i) {
    points += (i == 0 ? "" : ",") + std::to_string(i);
    changes += (i == 0 ? "[" : ",") + update(i, i);
  }
  EXPECT_EQ(states(hand_in(metadata(R"("append": {"score": [)" + points + "]}"))), States{"done"});
  EXPECT_EQ(states(hand_in(changes + "]")), States(150, "done"));
  EXPECT_TRUE(nothing_is_rejected());
  std::string spaced = points;
  std::ranges::replace(spaced, ',', ' ');
  EXPECT_EQ(of_project("score"), spaced);
  EXPECT_EQ(of_run("loss"), spaced);
}

TEST_F(SharedCalls, WithPointsThatNameTheirStepAskForNoSeriesBefore) {
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(states(hand_in(update(i, i))), States{"done"});
  EXPECT_EQ(of_run("loss"), "1 2 3");
  EXPECT_EQ(requests("GET /api/leaderboard/v1/attributes/floatSeries"), 0);
}

}  // namespace
}  // namespace neptune::testing
