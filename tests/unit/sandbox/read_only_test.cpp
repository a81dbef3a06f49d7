#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

class ReadOnly : public ::testing::Test {
 protected:
  ReadOnly() { served_.ingest(create("run")); }
  testing::HttpAnswer write() { return served_.submit(update("run", {points(0, {{"m", 1}})})); }
  boost::json::value status() {
    return testing::parse_json(served_.get("/api/backend/v1/payments/ml-team/status").body);
  }
  static boost::json::value body(const testing::HttpAnswer& answer) { return testing::parse_json(answer.body); }

  Served served_;
};

struct Style {
  std::string name;
  unsigned status;
  bool with_type;
};
class Styles : public ReadOnly, public ::testing::WithParamInterface<Style> {};

TEST_P(Styles, AnswerWritesWhileReadsPass) {
  served_.control(R"({"workspace": "ml-team", "mode": "read_only", "reason": "a bill is open", "style": ")" +
                  GetParam().name + "\"}");
  const auto answer = write();
  EXPECT_EQ(answer.status, GetParam().status);
  EXPECT_EQ(body(answer).at("title").as_string(), "a bill is open");
  if (GetParam().with_type)
    EXPECT_EQ(body(answer).at("errorType").as_string(), "WORKSPACE_IN_READ_ONLY_MODE");
  else
    EXPECT_FALSE(body(answer).as_object().contains("errorType"));
  EXPECT_EQ(status().at("mode").as_string(), "read_only");
  EXPECT_EQ(served_.state().at("writes_while_read_only").at("ml-team").as_int64(), 1);

  served_.control(R"({"workspace": "ml-team", "mode": "normal"})");
  EXPECT_EQ(write().status, 200u);
  EXPECT_EQ(status().at("mode").as_string(), "normal");
}

INSTANTIATE_TEST_SUITE_P(Http, Styles,
                         ::testing::Values(Style{"http_402", 402, true}, Style{"http_403", 403, true},
                                           Style{"http_422", 422, true}, Style{"http_402_bare", 402, false},
                                           Style{"http_422_bare", 422, false}),
                         [](const auto& each) { return each.param.name; });

TEST_F(ReadOnly, AnswersWithAnyErrorType) {
  served_.control(R"({"workspace": "ml-team", "mode": "read_only", "error_type": "WORKSPACE_READONLY"})");
  EXPECT_EQ(body(write()).at("type").as_string(), "WORKSPACE_READONLY");
}

TEST_F(ReadOnly, SuspendsAllOfARequest) {
  served_.control(R"({"workspace": "ml-team", "mode": "read_only", "style": "suspended"})");
  EXPECT_EQ(served_.ingest(update("run", {points(0, {{"a", 1}, {"b", 1}}), points(1, {{"a", 1}})})),
            (Counts{{IngestCode::ingest_suspended, 3}}));
  EXPECT_TRUE(served_.run("run").at("series").as_object().empty());
  EXPECT_EQ(served_.ingest(create("other")), (Counts{{IngestCode::ingest_suspended, 1}}));
}

TEST_F(ReadOnly, SuspendsTheRestOfARequest) {
  served_.control(R"({"workspace": "ml-team", "mode": "read_only", "style": "suspended_part", "part": 0.5})");
  const auto request = update("run", {points(0, {{"m", 1}}), points(1, {{"m", 1}}), points(2, {{"m", 1}})});
  EXPECT_EQ(served_.ingest(request), (Counts{{IngestCode::ok, 1}, {IngestCode::ingest_suspended, 2}}));
  served_.control(R"({"workspace": "ml-team", "mode": "normal"})");
  EXPECT_EQ(served_.ingest(request), (Counts{{IngestCode::series_point_duplicate, 1}, {IngestCode::ok, 2}}));
}

TEST_F(ReadOnly, SuspendsWhatWasQueuedBefore) {
  served_.control(R"({"processing": "paused"})");
  const auto id = Served::id_of(write());
  served_.control(R"([{"workspace": "ml-team", "mode": "read_only"}, {"processing": "running"}])");
  ASSERT_TRUE(served_.sandbox().wait_for([](const auto& s) { return s.at("unprocessed").as_int64() == 0; }).first);
  EXPECT_EQ(served_.check(id).counts, (Counts{{IngestCode::ingest_suspended, 1}}));
}

TEST_F(ReadOnly, OfAProjectLeavesItsNeighboursAlone) {
  served_.control(R"({"project": "ml-team/classification", "mode": "read_only"})");
  EXPECT_EQ(body(write()).at("errorType").as_string(), "PROJECT_LIMITS_EXCEEDED");
  EXPECT_EQ(status().at("mode").as_string(), "normal") << "the status call knows workspaces only";
  auto elsewhere = create("run");
  elsewhere.set_project("ml-team/neighbour");
  EXPECT_EQ(served_.ingest(elsewhere), (Counts{{IngestCode::ok, 1}}));
  const auto writes = served_.state().at("writes_while_read_only");
  EXPECT_EQ(writes.at("ml-team/classification").as_int64(), 1);
  EXPECT_EQ(writes.at("ml-team").as_int64(), 0);
}

TEST_F(ReadOnly, OfAnArchivedProjectHasATypeOfItsOwn) {
  served_.control(R"({"project": "ml-team/classification", "archived": true})");
  EXPECT_EQ(body(write()).at("errorType").as_string(), "WRITE_ACCESS_DENIED_TO_ARCHIVED_PROJECT");
}

TEST_F(ReadOnly, BeginsByItselfWhenTheQuotaIsExceededAndEndsWhenSpaceIsFreed) {
  served_.control(R"({"workspace": "ml-team", "quota": 1000})");
  served_.ingest(update("run", {assign("text", text(std::string(2000, 'x')))}));
  EXPECT_EQ(status().at("mode").as_string(), "read_only");
  EXPECT_EQ(status().at("storageBytesAvailable").as_int64(), 0);
  EXPECT_EQ(write().status, 403u);
  served_.control(R"({"delete_run": "ml-team/classification/run"})");
  EXPECT_EQ(status().at("mode").as_string(), "normal");
  EXPECT_EQ(status().at("storageBytesAvailable").as_int64(), 1000);
  EXPECT_EQ(served_.ingest(create("next")), (Counts{{IngestCode::ok, 1}}));
}

TEST_F(ReadOnly, BeginsForAProjectAtItsOwnLimit) {
  served_.control(R"({"project": "ml-team/classification", "storage_limit": 10})");
  EXPECT_EQ(served_.ingest(update("run", {points(0, {{"m", 1}})})), (Counts{{IngestCode::ok, 1}}));
  EXPECT_EQ(body(write()).at("errorType").as_string(), "PROJECT_LIMITS_EXCEEDED");
}

}  // namespace
}  // namespace neptune::sandbox
