#include <chrono>

#include "changes/wire.h"
#include "tests/integration/support/samples.h"
#include "tests/integration/support/sqlite.h"
#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

namespace sqlite = testing::sqlite;

struct StoredRun {
  ContainerName name;
  std::string create;
  std::vector<std::string> snapshots;
};

StoredRun read_log(const std::filesystem::path& path) {
  const auto db = sqlite::open(path.string());
  const auto column = [](sqlite3_stmt* row, int index) {
    return std::string(static_cast<const char*>(sqlite3_column_blob(row, index)),
                       static_cast<std::size_t>(sqlite3_column_bytes(row, index)));
  };
  StoredRun run;
  const auto metadata = sqlite::prepare(db, "SELECT project, run_id FROM metadata");
  EXPECT_EQ(sqlite3_step(metadata.get()), SQLITE_ROW);
  run.name = {*ProjectName::parse(column(metadata.get(), 0)), column(metadata.get(), 1)};
  const auto rows = sqlite::prepare(db, "SELECT operation, operation_type FROM run_operations ORDER BY sequence_id");
  while (sqlite3_step(rows.get()) == SQLITE_ROW) {
    if (sqlite3_column_int(rows.get(), 1) == 1)
      run.create = column(rows.get(), 0);
    else
      run.snapshots.push_back(column(rows.get(), 0));
  }
  return run;
}

std::string update_request(const StoredRun& run) {
  std::string frames;
  for (const auto& snapshot : run.snapshots) {
    wire::append_frame_head(frames, snapshot.size());
    frames += snapshot;
  }
  return wire::update_head(run.name, frames.size()) + frames;
}

void send(Served& served, const std::string& body) {
  Served::id_of(served.post("/api/client/v1/ingest", body));
}

void wait_until_processed(Served& served) {
  const auto [done, state] =
      served.sandbox().wait_for([](const auto& now) { return now.at("unprocessed").as_int64() == 0; },
                                std::chrono::seconds(20), "summary=1&project=none");
  ASSERT_TRUE(done);
}

/// Parents first: the sample's names sort the other way around.
void send_sample(Served& served, const std::filesystem::path& folder) {
  auto logs = testing::run_logs_in(folder);
  for (auto log = logs.rbegin(); log != logs.rend(); ++log) {
    const auto run = read_log(*log);
    send(served, wire::create_request(run.name, run.create));
    send(served, update_request(run));
  }
  wait_until_processed(served);
}

class Samples : public ::testing::TestWithParam<const char*> {
 protected:
  Samples() { testing::copy_run_log_sample(GetParam(), folder_.path()); }
  boost::json::value expected() const { return testing::read_json(folder_ / "expected.json").as_object().at("runs"); }

  testing::TempDir folder_;
  Served served_;
};

TEST_P(Samples, LeaveWhatTheOfficialClientLeft) {
  send_sample(served_, folder_.path());
  EXPECT_EQ(testing::first_difference(expected(), served_.state().at("runs")), "");
}

TEST_P(Samples, LeaveTheSameWhenSentTwice) {
  send_sample(served_, folder_.path());
  send_sample(served_, folder_.path());
  const auto state = served_.state();
  EXPECT_EQ(testing::first_difference(expected(), state.at("runs")), "");
  EXPECT_EQ(state.at("duplicates").at("creates").as_int64(), state.at("runs").as_object().size());
  EXPECT_EQ(state.at("order_violations").as_int64(), 0);
}

INSTANTIATE_TEST_SUITE_P(RunLogs, Samples, ::testing::Values("basic", "fork", "edge"),
                         [](const auto& each) { return std::string(each.param); });

TEST(State, ShowsOneRunWithAllItsSeries) {
  Served served;
  served.ingest(create("wide"));
  std::map<std::string, double> many{{"alone", 1.0}};
  for (int i = 0; i < 1001; ++i) many["w/" + std::to_string(i)] = i;
  served.ingest(update("wide", {points(0, many)}));
  const auto listed = served.run("wide");
  EXPECT_EQ(listed.at("wide_series_count").as_int64(), 1001);
  EXPECT_EQ(listed.at("series").as_object().size(), 1u);
  const auto whole = served.run("wide", "run=ml-team/classification/wide");
  EXPECT_FALSE(whole.as_object().contains("wide_series_count"));
  EXPECT_EQ(whole.at("series").as_object().size(), 1002u);
}

TEST(State, SummarisesSeriesByCountLastStepAndHash) {
  Served served;
  served.ingest(create("a"));
  served.ingest(create("b"));
  served.ingest(update("a", {points(1, {{"m", 0.5}}), points(2, {{"m", 0.25}})}));
  served.ingest(update("b", {points(1, {{"m", 0.5}}), points(2, {{"m", 0.26}})}));
  const auto a = served.run("a", "summary=1").at("series").at("m"),
             b = served.run("b", "summary=1").at("series").at("m");
  EXPECT_EQ(a.at("count").as_int64(), 2);
  EXPECT_EQ(a.at("last_step").as_int64(), 2'000'000);
  EXPECT_EQ(a.at("hash").as_string(), testing::points_hash({{1'000'000, 0.5}, {2'000'000, 0.25}}));
  EXPECT_NE(a.at("hash").as_string(), b.at("hash").as_string());
}

TEST(State, TellsWhenRequestsArrived) {
  Served served;
  const auto now_us = [] {
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  };
  const auto before = now_us();
  served.ingest(create("a"));
  served.ingest(update("a", {points(1, {{"m", 0.5}}), points(2, {{"m", 0.25}})}));
  const auto after = now_us();
  const auto recent = served.state("summary=1&recent=1").at("recent").as_array();
  ASSERT_EQ(recent.size(), 2u);
  EXPECT_EQ(recent[0].at("kind").as_string(), "create");
  EXPECT_EQ(recent[1].at("operations").as_int64(), 2);
  EXPECT_EQ(recent[1].at("run").as_string(), "a");
  EXPECT_LT(before, recent[0].at("mono_us").as_int64());
  EXPECT_LE(recent[0].at("mono_us").as_int64(), recent[1].at("mono_us").as_int64());
  EXPECT_LE(recent[1].at("mono_us").as_int64(), recent[1].at("processed_mono_us").as_int64());
  EXPECT_LT(recent[1].at("processed_mono_us").as_int64(), after);
}

TEST(State, NoticesABatchStoredAfterALaterOne) {
  Served served;
  served.ingest(create("a"));
  served.ingest(update("a", {points(5, {{"late", 1}})}));
  EXPECT_EQ(served.state().at("order_violations").as_int64(), 0);
  served.ingest(update("a", {points(3, {{"early", 1}})}));
  EXPECT_EQ(served.state().at("order_violations").as_int64(), 1);
  served.ingest(update("a", {points(3, {{"early", 1}})}));
  EXPECT_EQ(served.state().at("order_violations").as_int64(), 1) << "a duplicate stores nothing";
}

TEST(State, HoldsAMillionPoints) {
  Served served;
  served.ingest(create("big"));
  for (std::uint64_t batch = 0; batch < 10; ++batch) {
    std::vector<UpdateRunSnapshot> snapshots;
    for (std::uint64_t i = 0; i < 50'000; ++i)
      snapshots.push_back(points(batch * 50'000 + i, {{"train/loss", 1.0 / static_cast<double>(i + 1)},
                                                      {"train/acc", static_cast<double>(i)}}));
    Served::id_of(served.submit(update("big", std::move(snapshots))));
  }
  wait_until_processed(served);
  const auto series = served.run("big", "summary=1").at("series");
  EXPECT_EQ(series.at("train/loss").at("count").as_int64(), 500'000);
  EXPECT_EQ(series.at("train/acc").at("last_step").as_int64(), 499'999'000'000);
}

}  // namespace
}  // namespace neptune::sandbox
