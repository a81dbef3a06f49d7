// What the network and the server do at the worst moment: the same result in the end, and a status that names it
// meanwhile.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <csignal>
#include <fstream>
#include <ranges>

#include "tests/integration/box.h"
#include "tests/integration/loss_log.h"
#include "tests/integration/support/json.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/integration/support/samples.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

constexpr const char* project = "ml-team/classification";

void write_log(const Box& box, const std::string& run, int operations) {
  write_loss_log(box, project, run, operations);
}

void expect_whole(Box& box, const std::string& run, int operations) {
  EXPECT_EQ(misses_of_loss_log(box, fmt::format("{}/{}", project, run), operations), "");
}

struct Trouble {
  const char* name;
  const char* fault;   ///< strikes until it is taken back
  const char* called;  ///< what the status says meanwhile
};

class Faults : public ::testing::TestWithParam<Trouble> {};

TEST_P(Faults, AreNamedInTheStatusAndCostNothingButTime) {
  Box box({.start = false});
  write_log(box, "r-1", 300);
  write_log(box, "r-2", 300);
  box.sandbox().control(GetParam().fault);
  box.start_daemon();
  const auto [named, status] = box.wait_status([](const auto& s) {
    const auto& error = s.at("server").at("last_error");
    return error.is_string() && error.as_string().find(GetParam().called) != json::string::npos;
  });
  EXPECT_TRUE(named) << json::serialize(status.at("server"));
  EXPECT_GE(box.sandbox().state("summary=1").at("faults_struck").as_int64(), 1);
  box.sandbox().control(R"({"reset": true})");
  box.sync({"flush"});
  box.wait_synced();
  expect_whole(box, "r-1", 300);
  expect_whole(box, "r-2", 300);
}

INSTANTIATE_TEST_SUITE_P(
    All, Faults,
    ::testing::Values(
        Trouble{"TooManyRequests", R"({"fault": {"path": "/api/client/v1/ingest", "status": 429, "retry_after": 1}})",
                "429"},
        Trouble{"ServerErrors", R"({"fault": {"path": "/api/client/v1/ingest", "status": 500}})", "500"},
        Trouble{"Unavailable", R"({"fault": {"path": "/api/", "status": 503}})", "503"},
        Trouble{"DroppedMidBody", R"({"fault": {"path": "/api/client/v1/ingest", "drop": "mid_body"}})",
                "lost before an answer"},
        Trouble{"DroppedMidAnswer", R"({"fault": {"path": "/api/client/v1/ingest", "drop": "mid_answer"}})",
                "lost in the middle of an answer"},
        Trouble{"DroppedBeforeTheAnswer", R"({"fault": {"path": "/api/client/v1/ingest", "drop": "before_answer"}})",
                "lost before an answer"},
        Trouble{"AnswersThatAreNoProtobuf", R"({"fault": {"path": "/api/client/v1/ingest", "garbage": true}})",
                "cannot be read"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(ServerTrouble, SomeOfEverythingNowAndThenCostsNothingButTime) {
  Box box({.start = false});
  write_log(box, "r-1", 300);
  write_log(box, "r-2", 300);
  box.sandbox().control(R"({"faults": [
    {"path": "/api/client", "status": 500, "times": 2},
    {"path": "/api/client", "status": 500, "probability": 0.2, "times": 20},
    {"path": "/api/client", "drop": "mid_answer", "probability": 0.2, "times": 20}]})");
  box.start_daemon();
  box.wait_synced();
  EXPECT_GE(box.sandbox().state("summary=1").at("faults_struck").as_int64(), 2);
  expect_whole(box, "r-1", 300);
  expect_whole(box, "r-2", 300);
}

TEST(ServerTrouble, AnExpiredTokenIsReplacedWithoutAnybodyNoticing) {
  Box box({.start = false});
  write_log(box, "r-1", 300);
  box.start_daemon();
  box.wait_synced();
  box.sandbox().control(R"({"expire_access_tokens": true})");
  write_log(box, "r-2", 300);
  box.wait_synced();
  expect_whole(box, "r-2", 300);
  std::int64_t refused = 0;
  const auto state = box.sandbox().state("summary=1");
  for (const auto& [endpoint, answers] : state.at("requests").as_object())
    if (const auto* count = answers.as_object().if_contains("401")) refused += count->as_int64();
  EXPECT_GE(refused, 1) << "the token was not used after its end";
  const auto status = box.get("/v1/status");
  EXPECT_TRUE(status.at("server").at("last_error").is_null());
  EXPECT_EQ(status.at("totals").at("rejected").as_int64(), 0);
}

TEST(ServerTrouble, AServerThatIsAwayIsNamedInTheStatusAndItsChangesFollowWhenItIsBack) {
  TempDir kept;
  Box box({.sandbox_args = {"--workspace", "ml-team:team", "--state", kept / "state"}, .start = false});
  write_log(box, "r-1", 100);
  box.sandbox().stop();
  box.start_daemon();
  const auto [named, status] = box.wait_status([](const auto& s) {
    return !s.at("server").at("last_error").is_null() && s.at("totals").at("pending").as_int64() > 0;
  });
  ASSERT_TRUE(named);
  EXPECT_FALSE(status.at("server").at("reachable").as_bool());
  EXPECT_NE(std::string(status.at("server").at("last_error").as_string()).find("127.0.0.1"), std::string::npos);
  const auto streams = box.sync({"streams"});
  EXPECT_NE(streams.out.find("r-1"), std::string::npos) << streams.out;
  box.sandbox().start();
  box.sync({"flush"});
  box.wait_synced();
  expect_whole(box, "r-1", 100);
}

TEST(ServerTrouble, IsOverWhenTheServerAnswersAgainThoughNothingWaitsToBeSent) {
  TempDir kept;
  Box box({.sandbox_args = {"--workspace", "ml-team:team", "--state", kept / "state"}});
  box.sandbox().stop();
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", project}).status, 0);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return !s.at("server").at("last_error").is_null(); }).first);
  ASSERT_EQ(box.sync({"discard", project, "--run", "r-1"}).status, 0);
  EXPECT_NE(box.sync({"status"}).out.find("cannot be reached"), std::string::npos);
  box.sandbox().start();
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("server").at("reachable").as_bool(); }).first);
  EXPECT_EQ(box.sync({"status"}).out.find("cannot be reached"), std::string::npos);
}

TEST(ServerTrouble, OfARefusedTokenIsOverWhenADiagnosisFindsThatItIsTaken) {
  Box box;
  box.sandbox().control(R"({"reject_api_token": true})");
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", project}).status, 0);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return !s.at("server").at("last_error").is_null(); }).first);
  EXPECT_EQ(box.sync({"doctor"}).status, 1);
  EXPECT_NE(box.sync({"status"}).out.find("The API token is refused"), std::string::npos);
  box.sandbox().control(R"({"reset": true})");
  EXPECT_EQ(box.sync({"doctor"}).status, 0);
  EXPECT_EQ(box.sync({"status"}).out.find("The API token is refused"), std::string::npos);
  box.wait_synced();
}

TEST(ServerTrouble, AServerThatHangsIsNamedByAllWhoAskInTheirOwnTime) {
  Box box;
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("server").at("reachable").as_bool(); }).first);
  box.sandbox().process().signal(SIGSTOP);
  const auto listed = box.sync({"project", "list", "ml-team"});
  EXPECT_EQ(listed.status, 1) << "the daemon is well";
  EXPECT_NE(listed.err.find(box.sandbox().url() + " has not answered for 8 s"), std::string::npos) << listed.err;
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", project}).status, 0);
  const auto [told, status] = box.wait_status([&box](const auto& s) {
    const auto& problems = s.at("problems").as_array();
    return !problems.empty() &&
           std::string(problems.front().as_string()).starts_with(box.sandbox().url() + " has not answered for 1");
  });
  EXPECT_TRUE(told) << json::serialize(status);
  const auto explained = box.sync({"explain", "r-1"}).out;
  EXPECT_NE(explained.find("the server has not answered for 1"), std::string::npos) << explained;
  box.sandbox().process().signal(SIGCONT);
  box.wait_synced();
  EXPECT_TRUE(box.get("/v1/status").at("problems").as_array().empty());
}

TEST(ServerTrouble, APauseThatTheServerAsksForIsNoReasonToMendOrDiscardAnything) {
  Box box;
  box.sandbox().control(R"({"fault": {"path": "/api/client/v1/ingest", "status": 403, "times": 1}})");
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", project}).status, 0);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return !s.at("stuck").as_array().empty(); }).first);
  EXPECT_TRUE(box.get("/v1/status").at("server").at("last_error").is_null()) << "of one change, not of the server";
  box.sandbox().control(R"({"fault": {"path": "/api/client/v1/ingest", "status": 429, "retry_after": 18}})");
  box.sync({"flush"});
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("stuck").as_array().empty(); }).first);
  const auto error = std::string(box.get("/v1/status").at("server").at("last_error").as_string());
  EXPECT_NE(error.find("; it is tried again in 1"), std::string::npos) << error;
  const auto doctor = box.sync({"doctor"}).out;
  EXPECT_EQ(doctor.find("discard"), std::string::npos) << doctor;
  box.sandbox().control(R"({"reset": true, "processing": "paused"})");
  box.sync({"flush"});
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("in_flight").as_int64() == 1; }).first);
  const auto explained = box.sync({"explain", "r-1"}).out;
  EXPECT_EQ(explained.find("HTTP"), std::string::npos) << explained;
  box.sandbox().control(R"({"processing": "running"})");
  box.wait_synced();
}

TEST(ServerTrouble, ARefusedChangeIsNoTroubleOfTheServer) {
  Box box;
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", project}).status, 0);
  box.wait_synced();
  ASSERT_EQ(box.sync({"run", "trash", "nope", "--project", project}).status, 0);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("rejected").as_int64() == 1; }).first);
  EXPECT_TRUE(box.get("/v1/status").at("server").at("last_error").is_null());
  const auto events = box.sync({"events"}).out;
  EXPECT_NE(events.find(std::string("1 change of r-1 of ") + project + " is on the server"), std::string::npos)
      << events;
  EXPECT_NE(events.find(std::string("1 removal in ") + project + " was refused"), std::string::npos) << events;
  ASSERT_EQ(box.sync({"model", "version", "NOPE", "--project", project}).status, 0);
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return s.at("totals").at("rejected").as_int64() == 2 || !s.at("stuck").as_array().empty();
                 })
                  .first);
  EXPECT_TRUE(box.get("/v1/status").at("server").at("last_error").is_null());
}

TEST(ServerTrouble, ARejectedTokenIsOneClearStateWithoutHammering) {
  Box box({.start = false});
  write_log(box, "r-1", 10);
  box.sandbox().control(R"({"reject_api_token": true})");
  box.start_daemon();
  const auto [named, status] =
      box.wait_status([](const auto& s) { return !s.at("server").at("last_error").is_null(); });
  ASSERT_TRUE(named);
  EXPECT_NE(std::string(status.at("server").at("last_error").as_string()).find("token"), std::string::npos);
  const auto waited = box.sync({"wait", "--timeout", "2s"});
  EXPECT_EQ(waited.status, 4) << waited.out << waited.err;
  const auto state = box.sandbox().state("summary=1");
  std::int64_t exchanges = 0;
  for (const auto& [endpoint, answers] : state.at("requests").as_object())
    if (std::string_view(endpoint).find("oauth-token") != std::string_view::npos)
      for (const auto& [answer, count] : answers.as_object()) exchanges += count.as_int64();
  EXPECT_LE(exchanges, 2);
  EXPECT_GE(exchanges, 1);
}

TEST(ServerTrouble, ATokenThatIsReplacedIsReadAnewOnSighup) {
  Box box({.start = false});
  const auto file = box.sandbox().token_file();
  std::string token;
  std::getline(std::ifstream(file), token);
  std::ofstream(file) << "not a token";
  box.start_daemon();
  write_log(box, "r-1", 10);
  const auto [named, status] =
      box.wait_status([](const auto& s) { return !s.at("server").at("last_error").is_null(); });
  ASSERT_TRUE(named);
  std::ofstream(file) << token;
  ASSERT_EQ(::kill(box.daemon().pid(), SIGHUP), 0);
  box.wait_synced();
  expect_whole(box, "r-1", 10);
}

TEST(ServerTrouble, ARefusedChangeIsKeptWithItsReasonAndTheRestIsStored) {
  Box box({.start = false});
  {
    RunLogWriter log(
        {.directory = box.runs(), .project = "ml-team/classification", .run = "r-1", .experiment = {}, .fork = {}});
    for (int i = 1; i <= 50; ++i) {
      log.append(static_cast<std::uint64_t>(i) * 1'000'000, {{"train/loss", 1.0 / i}});
      if (i == 20 || i == 33) log.assign_float("bad/field", i);
    }
    log.close(false);
  }
  box.sandbox().control(R"({"reject": {"path": "bad/field", "code": "FIELD_TYPE_UNSUPPORTED"}})");
  box.start_daemon();
  const auto waited = box.sync({"wait", "--run", "r-1", "--timeout", "30s"});
  EXPECT_EQ(waited.status, 1) << waited.out << waited.err;
  expect_whole(box, "r-1", 50);
  const auto rejected = box.get("/v1/rejected").at("rejected").as_array();
  ASSERT_EQ(rejected.size(), 2u);
  for (const auto& change : rejected) EXPECT_EQ(change.at("code").as_string(), "FIELD_TYPE_UNSUPPORTED");

  // Mended on the server, it can be tried again.
  box.sandbox().control(R"({"reset": true})");
  // Oldest first: the list begins with the newest.
  for (const auto& change : rejected | std::views::reverse)
    EXPECT_EQ(box.sync({"rejected", "retry", std::to_string(change.at("id").as_int64())}).status, 0);
  const auto [done, status] =
      box.wait_status([](const auto& s) { return s.at("totals").at("rejected").as_int64() == 0; });
  EXPECT_TRUE(done);
  EXPECT_TRUE(box.get("/v1/rejected").at("rejected").as_array().empty());
  const auto again = box.sync({"wait", "--run", "r-1", "--timeout", "30s"});
  EXPECT_EQ(again.status, 0) << again.out << again.err;
  const auto state = box.sandbox().state();
  EXPECT_EQ(state.at("runs").at("ml-team/classification/r-1").at("attrs").at("bad/field").as_double(), 33.0);
}

TEST(ServerTrouble, DiscardingAChangeThatIsBeingTriedAgainLetsTheOthersOfItsRunGo) {
  Box box({.start = false});
  {
    RunLogWriter log({.directory = box.runs(), .project = project, .run = "r-1", .experiment = {}, .fork = {}});
    for (int i = 1; i <= 3; ++i) log.assign_float("bad/field", i);
    log.close(false);
  }
  box.sandbox().control(R"({"reject": {"path": "bad/field", "code": "FIELD_TYPE_UNSUPPORTED"}})");
  box.start_daemon();
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "30s"}).status, 1);
  std::vector<std::string> ids;
  const auto listed = box.get("/v1/rejected");
  for (const auto& change : listed.at("rejected").as_array())
    ids.insert(ids.begin(), std::to_string(change.at("id").as_int64()));
  ASSERT_EQ(ids.size(), 3u);
  // Held, the retries wait; the first of them is thrown away meanwhile.
  box.sandbox().control(R"({"reset": true})");
  EXPECT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  for (const auto& id : ids) EXPECT_EQ(box.sync({"rejected", "retry", id}).status, 0);
  EXPECT_EQ(box.sync({"rejected", "discard", ids.front()}).status, 0);
  EXPECT_EQ(box.sync({"release", "ml-team"}).status, 0);
  const auto done = box.wait_status([](const auto& s) { return s.at("totals").at("rejected").as_int64() == 1; });
  EXPECT_TRUE(done.first) << "two were stored; the discarded one stays counted";
  EXPECT_TRUE(box.get("/v1/rejected").at("rejected").as_array().empty());
  const auto state = box.sandbox().state();
  EXPECT_EQ(state.at("runs").at("ml-team/classification/r-1").at("attrs").at("bad/field").as_double(), 3.0);
}

TEST(ServerTrouble, ACertificateOfAnUnknownAuthorityIsRefusedAndAcceptedWithCaFile) {
  TempDir keys;
  const auto made = std::system(
      fmt::format(
          "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
          "-keyout {0}/key.pem -out {0}/cert.pem >{0}/log 2>&1",
          keys.path().string())
          .c_str());
  ASSERT_EQ(made, 0);
  const std::vector<std::string> tls = {"--workspace", "ml-team:team",    "--host",    "localhost",
                                        "--tls-cert",  keys / "cert.pem", "--tls-key", keys / "key.pem"};
  {
    Box box({.sandbox_args = tls, .start = false});
    write_log(box, "r-1", 10);
    box.start_daemon();
    const auto [named, status] =
        box.wait_status([](const auto& s) { return !s.at("server").at("last_error").is_null(); });
    ASSERT_TRUE(named);
    EXPECT_NE(std::string(status.at("server").at("last_error").as_string()).find("ca_file"), std::string::npos);
    EXPECT_TRUE(box.sandbox().state("summary=1").at("runs").as_object().empty());
  }
  Box box({.sandbox_args = tls, .server = fmt::format("ca_file = \"{}/cert.pem\"", keys.path().string())});
  write_log(box, "r-1", 10);
  box.wait_synced();
  expect_whole(box, "r-1", 10);
}

TEST(ServerTrouble, KilledAtAnyMomentOfADrainTheServerEndsWithEveryPointOnce) {
  Box box({.start = false});
  constexpr int operations = 3000;
  for (const char* run : {"r-1", "r-2", "r-3"}) write_log(box, run, operations);
  box.sandbox().control(R"({"fault": {"path": "/api/client/v1/ingest", "delay_ms": 150}, "processing_delay_ms": 80})");
  int kills = 0;
  for (; kills < 8; ++kills) {
    box.start_daemon();
    std::this_thread::sleep_for(std::chrono::milliseconds(60 + 97 * kills));
    const auto totals = box.get("/v1/status").at("totals");
    if (totals.at("synced").as_int64() == 3 * (operations + 1)) break;
    box.kill_daemon();
  }
  EXPECT_GE(kills, 3) << "the drain was over before it was killed often enough";
  box.sandbox().control(R"({"reset": true, "processing_delay_ms": 3})");
  if (!box.daemon().running()) box.start_daemon();
  box.wait_synced();
  for (const char* run : {"r-1", "r-2", "r-3"}) expect_whole(box, run, operations);
  EXPECT_EQ(box.get("/v1/status").at("totals").at("synced").as_int64(), 3 * (operations + 1));
}

}  // namespace
}  // namespace neptune::testing
