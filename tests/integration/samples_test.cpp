#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <map>
#include <vector>

#include "proto/ingest.pb.h"
#include "tests/integration/box.h"
#include "tests/integration/support/samples.h"
#include "tests/integration/support/sqlite.h"

namespace neptune::testing {
namespace {

class Samples : public ::testing::TestWithParam<const char*> {};

TEST_P(Samples, ArriveWhileTheDaemonRunsAndGiveExactlyWhatTheOfficialClientGave) {
  Box box;
  copy_run_log_sample(GetParam(), box.runs());
  box.wait_synced();
  EXPECT_EQ(differs_from_sample(box, GetParam()), "");
}

TEST_P(Samples, LieThereWhenTheDaemonStartsAndGiveExactlyWhatTheOfficialClientGave) {
  Box box({.start = false});
  copy_run_log_sample(GetParam(), box.runs());
  box.start_daemon();
  box.wait_synced();
  EXPECT_EQ(differs_from_sample(box, GetParam()), "");
  EXPECT_EQ(box.stop_daemon(), 0);
}

/// Series → time of each point in nanoseconds, as the log's own bytes say.
std::map<std::string, std::vector<std::int64_t>> times_in(const std::filesystem::path& log) {
  std::map<std::string, std::vector<std::int64_t>> times;
  const auto db = sqlite::open(log.string());
  const auto rows =
      sqlite::prepare(db, "SELECT operation FROM run_operations WHERE sequence_id > 1 ORDER BY sequence_id");
  while (sqlite3_step(rows.get()) == SQLITE_ROW) {
    ingest::v1::UpdateRunSnapshot update;
    if (!update.ParseFromArray(sqlite3_column_blob(rows.get(), 0), sqlite3_column_bytes(rows.get(), 0)))
      throw std::runtime_error("no update");
    for (const auto& [path, value] : update.append())
      times[path].push_back(update.timestamp().seconds() * 1'000'000'000 + update.timestamp().nanos());
  }
  return times;
}

TEST(SampleTimes, OfAllPointsAreThoseInTheLogsBytes) {
  Box box({.start = false});
  copy_run_log_sample("basic", box.runs());
  const auto times = times_in(run_logs_in(box.runs()).front());
  ASSERT_EQ(times.size(), 5u);
  box.start_daemon();
  box.wait_synced();
  const auto state = box.sandbox().state("times=1&full=1");
  const auto& series = state.at("runs").at("ml-team/classification/basic-1").at("series").as_object();
  for (const auto& [path, expected] : times) {
    std::vector<std::int64_t> held;
    for (const auto& point : series.at(path).as_array()) held.push_back(point.at(2).to_number<std::int64_t>());
    EXPECT_EQ(held, expected) << path;
  }
}

TEST(LateParent, AForkThatWasRefusedForWantOfItsParentIsMadeWhenThatArrives) {
  Box box;
  const auto aside = box.dir() / "aside";
  copy_run_log_sample("fork", aside);
  const auto move_in = [&](const std::string& run) {
    for (const auto& log : run_logs_in(aside))
      if (const auto name = log.parent_path().filename(); name.string().find(run) != std::string::npos)
        std::filesystem::rename(log.parent_path(), box.runs() / name);
  };
  move_in("m-child-1");
  const auto refused = [](const boost::json::value& status) {
    return status.at("totals").at("rejected").to_number<std::uint64_t>() == 1;
  };
  ASSERT_TRUE(box.wait_status(refused, std::chrono::seconds(60)).first);
  move_in("z-root-1");
  move_in("a-grandchild-1");
  const auto whole = [&box](const boost::json::value&) { return differs_from_sample(box, "fork").empty(); };
  EXPECT_TRUE(box.wait_status(whole, std::chrono::seconds(60)).first) << differs_from_sample(box, "fork");
  box.wait_synced();  // what was tried again counts as refused no more
}

INSTANTIATE_TEST_SUITE_P(All, Samples, ::testing::Values("basic", "fork", "edge"),
                         [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace neptune::testing
