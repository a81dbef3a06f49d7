#include <boost/system/system_error.hpp>
#include <chrono>

#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

class FaultsOf : public ::testing::Test {
 protected:
  FaultsOf() { served_.ingest(create("run")); }
  testing::HttpAnswer write(std::uint64_t step = 0) {
    return served_.submit(update("run", {points(step, {{"m", 1}})}));
  }
  void fault(const std::string& members) {
    served_.control("{\"fault\": {\"path\": \"/api/client\", " + members + "}}");
  }
  std::int64_t stored() {
    const auto [done, state] =
        served_.sandbox().wait_for([](const auto& now) { return now.at("unprocessed").as_int64() == 0; });
    EXPECT_TRUE(done);
    const auto* series = state.at("runs").at(project + "/run").at("series").as_object().if_contains("m");
    return series == nullptr ? 0 : series->at("count").as_int64();
  }

  Served served_;
};

TEST_F(FaultsOf, AStatusStrikesTheNextRequests) {
  fault(R"("status": 429, "retry_after": 7, "times": 2)");
  const auto answer = write();
  EXPECT_EQ(answer.status, 429u);
  EXPECT_EQ(answer.headers.at("retry-after"), "7");
  EXPECT_EQ(write().status, 429u);
  EXPECT_EQ(stored(), 0);
  EXPECT_EQ(write().status, 200u);
  const auto counts = served_.state().at("requests").at("POST /api/client/v1/ingest");
  EXPECT_EQ(counts.at("429").as_int64(), 2);
}

TEST_F(FaultsOf, AFaultLetsSomePassFirst) {
  fault(R"("status": 503, "skip": 2, "times": 1)");
  EXPECT_EQ(write().status, 200u);
  EXPECT_EQ(write().status, 200u);
  EXPECT_EQ(write().status, 503u);
  EXPECT_EQ(write().status, 200u);
}

TEST_F(FaultsOf, AStatusAfterProcessingHidesASuccess) {
  fault(R"("status": 500, "times": 1, "after_processing": true)");
  EXPECT_EQ(write().status, 500u);
  EXPECT_EQ(stored(), 1);
}

TEST_F(FaultsOf, AProbabilityStrikesSome) {
  served_.control(R"({"seed": 7, "fault": {"path": "/api/backend", "status": 503, "probability": 0.5}})");
  int struck = 0;
  for (int i = 0; i < 40; ++i)
    struck += testing::http(served_.sandbox().url(), {"GET", "/api/backend/v1/clients/config", {}, {}}).status == 503;
  EXPECT_GT(struck, 5);
  EXPECT_LT(struck, 35);
}

struct Drop {
  std::string where;
  std::int64_t stored;
};
class Drops : public FaultsOf, public ::testing::WithParamInterface<Drop> {};

TEST_P(Drops, EndTheConnectionWithoutAnAnswer) {
  fault("\"times\": 1, \"drop\": \"" + GetParam().where + "\"");
  EXPECT_THROW(write(), boost::system::system_error);
  EXPECT_EQ(stored(), GetParam().stored);
  EXPECT_EQ(write(1).status, 200u);
}

INSTANTIATE_TEST_SUITE_P(Places, Drops,
                         ::testing::Values(Drop{"mid_body", 0}, Drop{"before_processing", 0}, Drop{"before_answer", 1},
                                           Drop{"mid_answer", 1}),
                         [](const auto& each) { return each.param.where; });

TEST_F(FaultsOf, GarbageIsNoProtobuf) {
  fault(R"("garbage": true, "times": 1)");
  const auto answer = write();
  EXPECT_EQ(answer.status, 200u);
  EXPECT_FALSE(ingest::v1::pub::SubmitResponse().ParseFromString(answer.body));
}

TEST_F(FaultsOf, ADelayComesBeforeTheAnswer) {
  fault(R"("delay_ms": 150, "times": 1)");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(write().status, 200u);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(150));
}

TEST_F(FaultsOf, ARequestMayTakeEffectLaterThanItIsAnswered) {
  fault(R"("status": 504, "late_ms": 200, "times": 1)");
  EXPECT_EQ(write().status, 504u);
  EXPECT_EQ(stored(), 0);
  const auto late = [](const auto& now) {
    return now.at("runs").at(project + "/run").at("series").as_object().contains("m");
  };
  EXPECT_TRUE(served_.sandbox().wait_for(late).first);
  EXPECT_EQ(stored(), 1);
}

TEST_F(FaultsOf, SlowReadingHoldsTheSender) {
  fault(R"("read_bytes_per_second": 2000000, "times": 1)");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(served_.submit(update("run", {assign("text", text(std::string(1'000'000, 'x')))})).status, 200u);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(400));
}

TEST_F(FaultsOf, OneProjectLeaveTheOthersAlone) {
  fault(R"("status": 500, "project": "ml-team/other")");
  EXPECT_EQ(write().status, 200u);
  auto elsewhere = create("run");
  elsewhere.set_project("ml-team/other");
  EXPECT_EQ(served_.submit(elsewhere).status, 500u);
  served_.control(R"({"reset": true})");
  EXPECT_EQ(served_.submit(elsewhere).status, 200u);
}

TEST_F(FaultsOf, UnknownKeysAreRefusedAndChangeNothing) {
  EXPECT_THROW(served_.control(R"({"workspace": "ml-team", "mode": "read_only", "typo": 1})"), std::runtime_error);
  EXPECT_THROW(fault(R"("statsu": 500)"), std::runtime_error);
  EXPECT_EQ(write().status, 200u);
}

}  // namespace
}  // namespace neptune::sandbox
