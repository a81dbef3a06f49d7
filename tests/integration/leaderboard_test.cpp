// Runs on a server that has no ingestion API: they are created as containers of 1.x and updated as attributes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <random>
#include <thread>

#include "tests/integration/box.h"
#include "tests/integration/support/run_log_writer.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

void accepted(Box& box, const std::string& changes) {
  const auto [status, answer] = box.hand_in(changes);
  EXPECT_EQ(status, 202u) << json::serialize(answer);
}

/// A box whose server has no ingestion, with the project ml-team/lab on it.
class Leaderboard : public ::testing::Test {
 protected:
  void make(Box::Options options) {
    options.config += "[queue]\nmin_free_disk = \"1MiB\"\n";
    box.emplace(std::move(options));
    box->sandbox().control(R"({"ingestion": false})");
    accepted(*box, R"({"kind": "project.create", "project": "ml-team/lab", "key": "LAB"})");
  }

  void write_log(const std::string& run, int operations) {
    RunLogWriter log({.directory = box->runs(), .project = "ml-team/lab", .run = run, .experiment = {}, .fork = {}});
    for (int i = 1; i <= operations; ++i)
      log.append(static_cast<std::uint64_t>(i) * 1'000'000, {{"train/loss", i / 4.0}});
    log.close(false);
    // As if it had lain there for a while: a daemon that starts takes it at once.
    for (const auto& file : std::filesystem::directory_iterator(log.path().parent_path()))
      std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now() - 60s);
  }

  /// Empty when the run has every point of write_log once and in order.
  static std::string misses_of_log(const json::value& state, const std::string& run, int operations) {
    const auto* held = state.at("runs").as_object().if_contains("ml-team/lab/" + run);
    if (!held) return run + " is not on the server";
    const auto& points = held->at("series").at("train/loss").as_array();
    if (points.size() != static_cast<std::size_t>(operations)) return fmt::format("{} points", points.size());
    for (int i = 1; i <= operations; ++i) {
      const auto& point = points[static_cast<std::size_t>(i - 1)];
      if (point.at(0).to_number<std::int64_t>() != i * 1'000'000LL || point.at(1).to_number<double>() != i / 4.0)
        return fmt::format("point {} is {}", i, json::serialize(point));
    }
    return {};
  }

  std::int64_t ingest_requests() {
    std::int64_t all = 0;
    const auto state = box->sandbox().state();
    for (const auto& [endpoint, statuses] : state.at("requests").as_object())
      if (std::string_view(endpoint).find("/api/client/v1/ingest") != std::string_view::npos)
        for (const auto& [status, count] : statuses.as_object()) all += count.to_number<std::int64_t>();
    return all;
  }

  std::optional<Box> box;
};

TEST_F(Leaderboard, TakesRunsOfTheSocketAndOfRunLogs) {
  make({});
  accepted(*box, R"([
    {"kind": "run.create", "project": "ml-team/lab", "run": "r-1", "experiment": "first"},
    {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "step": 1, "append": {"loss": 0.5}, "tags": {"sys/tags": {"add": ["a", "b"]}}},
    {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "step": 2, "append": {"loss": 0.25},
     "assign": {"lr": 0.1, "layers": 3, "name": "x", "good": true, "set": {"type": "string_set", "value": ["p", "q"]}}},
    {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "tags": {"sys/tags": {"remove": ["a"]}}}])");
  write_log("logged", 2500);
  box->wait_synced();
  const auto state = box->sandbox().state();
  const auto& run = state.at("runs").at("ml-team/lab/r-1");
  EXPECT_EQ(json::serialize(run.at("series").at("loss")), "[[1000000,5E-1],[2000000,2.5E-1]]");
  const auto& attrs = run.at("attrs").as_object();
  EXPECT_EQ(attrs.at("sys/name").as_string(), "first");
  EXPECT_EQ(attrs.at("layers").as_int64(), 3);
  EXPECT_EQ(attrs.at("lr").as_double(), 0.1);
  EXPECT_TRUE(attrs.at("good").as_bool());
  EXPECT_EQ(json::serialize(run).find("\"a\""), std::string::npos) << "the tag was removed";
  EXPECT_NE(json::serialize(run).find("\"b\""), std::string::npos);
  EXPECT_EQ(misses_of_log(state, "logged", 2500), "");
  EXPECT_EQ(box->get("/v1/rejected").at("rejected").as_array().size(), 0u);
  // Each of the two creates may try, ask whether ingestion is missing, and ask again before the call; no update does.
  EXPECT_LE(ingest_requests(), 6);
}

TEST_F(Leaderboard, IsLeftAgainWhenTheIngestionThatSeemedMissingIsThere) {
  make({});
  accepted(*box, R"({"kind": "run.create", "project": "ml-team/lab", "run": "before"})");
  box->wait_synced();
  box->sandbox().control(R"({"ingestion": true})");
  accepted(*box, R"([{"kind": "run.create", "project": "ml-team/lab", "run": "parent"},
                     {"kind": "run.update", "project": "ml-team/lab", "run": "parent", "step": 1, "append": {"loss": 0.5}},
                     {"kind": "run.create", "project": "ml-team/lab", "run": "child", "fork": {"run": "parent", "step": 1}}])");
  box->wait_synced();
  EXPECT_EQ(box->sandbox().state().at("runs").at("ml-team/lab/child").at("parent").as_string(), "parent");
  EXPECT_TRUE(box->get("/v1/rejected").at("rejected").as_array().empty());
}

TEST_F(Leaderboard, IsNotAskedForIngestionWhereTheConfigurationSaysSo) {
  make({.server = "runs = \"leaderboard\""});
  accepted(*box, R"([{"kind": "run.create", "project": "ml-team/lab", "run": "r-1"},
                     {"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"a": 1}}])");
  box->wait_synced();
  EXPECT_EQ(box->sandbox().state().at("runs").at("ml-team/lab/r-1").at("attrs").at("a").as_int64(), 1);
  EXPECT_EQ(ingest_requests(), 0);
}

TEST_F(Leaderboard, HasNoForksNorHistogramsWhichAreKeptAsRejectedWithTheReason) {
  make({});
  accepted(*box, R"([
    {"kind": "run.create", "project": "ml-team/lab", "run": "parent"},
    {"kind": "run.update", "project": "ml-team/lab", "run": "parent", "assign": {"a": 1}, "step": 1, "append": {
      "h": {"type": "histogram", "value": {"bin_edges": [0, 1, 2], "counts": [3, 4]}}}},
    {"kind": "run.create", "project": "ml-team/lab", "run": "child", "fork": {"run": "parent", "step": 1}}])");
  EXPECT_TRUE(box->wait_status([](const auto& s) { return s.at("totals").at("rejected").as_int64() == 2; }).first);
  const auto listed = box->get("/v1/rejected");
  std::map<std::string, std::string> reasons;
  for (const auto& change : listed.at("rejected").as_array())
    reasons[std::string(change.at("code").as_string())] = change.at("reason").as_string();
  ASSERT_EQ(reasons.size(), 2u) << json::serialize(listed);
  EXPECT_NE(reasons["fork_not_possible"].find("child is a fork of parent"), std::string::npos);
  EXPECT_NE(reasons["no_such_attribute"].find("histogram"), std::string::npos);
  const auto state = box->sandbox().state();
  EXPECT_EQ(state.at("runs").at("ml-team/lab/parent").at("attrs").at("a").as_int64(), 1) << "the rest was stored";
  EXPECT_FALSE(state.at("runs").as_object().contains("ml-team/lab/child"));
}

TEST_F(Leaderboard, UpdatesOfARunThatIsNotThereWaitForIt) {
  make({});
  accepted(*box,
           R"({"kind": "run.update", "project": "ml-team/lab", "run": "later", "step": 1, "append": {"loss": 1}})");
  EXPECT_TRUE(box->wait_status([this](const auto&) {
                   return json::serialize(box->get("/v1/streams?run=later")).find("no run") != std::string::npos;
                 })
                  .first)
      << json::serialize(box->get("/v1/streams"));
  EXPECT_EQ(box->get("/v1/rejected").at("rejected").as_array().size(), 0u);
}

TEST_F(Leaderboard, PointsOfRunsAreThereOnceThroughLostAnswersAndKills) {
  make({.server = "request_timeout = \"2s\""});  // for so long, the server may still be at what was not answered
  accepted(*box, R"({"kind": "run.create", "project": "ml-team/lab", "run": "r"})");
  box->wait_synced();
  constexpr int logged = 8000;
  box->sandbox().control(R"({"faults": [
      {"path": "/api/leaderboard/v1/attributes/operations", "drop": "before_answer", "probability": 0.3, "times": 30},
      {"path": "/api/leaderboard/v1/attributes/operations", "status": 500, "after_processing": true, "probability": 0.2, "times": 20},
      {"path": "/api/", "delay_ms": 10}]})");
  write_log("logged", logged);
  std::mt19937 random(1);
  int points = 0;
  for (int kills = 0; kills < 10; ++kills) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(random() % 250);
    do {
      ++points;
      accepted(
          *box,
          fmt::format(
              R"({{"kind": "run.update", "project": "ml-team/lab", "run": "r", "step": {0}, "append": {{"loss": {0}}}}})",
              points));
    } while (std::chrono::steady_clock::now() < until);
    box->kill_daemon();
    box->start_daemon();
  }
  box->sandbox().control(R"({"reset": true})");
  box->sync({"flush"});
  box->wait_synced(120s);
  const auto state = box->sandbox().state();
  const auto& loss = state.at("runs").at("ml-team/lab/r").at("series").at("loss").as_array();
  ASSERT_EQ(loss.size(), static_cast<std::size_t>(points));
  for (int i = 0; i < points; ++i) EXPECT_EQ(loss[static_cast<std::size_t>(i)].at(1).to_number<double>(), i + 1);
  EXPECT_EQ(misses_of_log(state, "logged", logged), "");
  EXPECT_EQ(box->get("/v1/status").at("totals").at("rejected").as_int64(), 0);
}

}  // namespace
}  // namespace neptune::testing
