#include "local_api/impl/metrics.h"

#include <gtest/gtest.h>

#include <sstream>

namespace neptune::local_api {
namespace {

api::Status sample() {
  api::Status status;
  status.version = "1.2.3";
  status.state = "running";
  status.server.reachable = true;
  auto& workspace = status.workspaces.emplace_back();
  workspace.name = "ml-team";
  workspace.mode = "read_only";
  workspace.held = 7;
  auto& project = workspace.projects.emplace_back();
  project.name = "ml-team/classification";
  project.held = 7;
  project.synced = 18446744073709551615u;
  project.pending_bytes = 512;
  project.oldest_pending_at = "2026-01-02T03:04:05.678Z";
  status.sources.resize(3);
  for (auto& source : status.sources) source.kind = "run-log", source.state = "live";
  status.sources[2].state = "set_aside";
  return status;
}

const WallTime now = from_unix_ms(1767323045678 + 1500);

/// With nothing counted and nothing known of the process.
std::string text_of(const api::Status& status, WallTime at) {
  return metrics_text(status, {}, {}, at);
}

bool has_line(const std::string& text, const std::string& line) {
  return text.starts_with(line + "\n") || text.find("\n" + line + "\n") != std::string::npos;
}

TEST(Metrics, SaysForEachProjectWhatWaitsAndHowLong) {
  const auto text = text_of(sample(), now);
  EXPECT_TRUE(has_line(text, R"(neptune_sync_held_changes{workspace="ml-team",project="classification"} 7)")) << text;
  EXPECT_TRUE(has_line(
      text, R"(neptune_sync_synced_changes_total{workspace="ml-team",project="classification"} 18446744073709551615)"));
  EXPECT_TRUE(has_line(text, R"(neptune_sync_pending_bytes{workspace="ml-team",project="classification"} 512)"));
  EXPECT_TRUE(
      has_line(text, R"(neptune_sync_oldest_pending_age_seconds{workspace="ml-team",project="classification"} 1.5)"));
  EXPECT_TRUE(has_line(text, "# TYPE neptune_sync_synced_changes_total counter"));
}

TEST(Metrics, KeepsWorkspacesInMetricsOfTheirOwnSoThatSumsCountNothingTwice) {
  const auto text = text_of(sample(), now);
  EXPECT_TRUE(has_line(text, R"(neptune_sync_workspace_held_changes{workspace="ml-team"} 7)"));
  EXPECT_TRUE(has_line(text, R"(neptune_sync_workspace_mode{workspace="ml-team",mode="read_only"} 1)"));
  EXPECT_TRUE(has_line(text, R"(neptune_sync_workspace_mode{workspace="ml-team",mode="normal"} 0)"));
  EXPECT_TRUE(has_line(text, R"(neptune_sync_sources{kind="run-log",state="live"} 2)"));
}

TEST(Metrics, SayOfAServerThatWasNotAskedYetNeitherThatItAnswersNorThatItDoesNot) {
  auto status = sample();
  EXPECT_TRUE(has_line(text_of(status, now), "neptune_sync_server_reachable 1"));
  status.server.reachable = status.server.known = false;
  EXPECT_EQ(text_of(status, now).find("\nneptune_sync_server_reachable "), std::string::npos);
  status.server.known = true;
  EXPECT_TRUE(has_line(text_of(status, now), "neptune_sync_server_reachable 0"));
}

TEST(Metrics, EscapesLabels) {
  auto status = sample();
  status.workspaces[0].name = "a\"b\\c\nd";
  const auto text = text_of(status, now);
  EXPECT_TRUE(has_line(text, R"(neptune_sync_workspace_held_changes{workspace="a\"b\\c\nd"} 7)")) << text;
}

TEST(Metrics, EveryFamilyIsIntroducedOnceBeforeItsSamples) {
  std::istringstream lines(text_of(sample(), now));
  std::string line, family;
  std::vector<std::string> seen;
  while (std::getline(lines, line)) {
    if (line.starts_with("# HELP ")) continue;
    if (line.starts_with("# TYPE ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_EQ(std::count(seen.begin(), seen.end(), family), 0) << family;
      seen.push_back(family);
    } else {
      EXPECT_TRUE(line.substr(0, line.find_first_of("{ ")).starts_with(family)) << line;
    }
  }
  EXPECT_GT(seen.size(), 15u);
}

TEST(Metrics, AClockThatWasSetBackMakesNoNegativeAge) {
  const auto text = text_of(sample(), from_unix_ms(0));
  EXPECT_TRUE(
      has_line(text, R"(neptune_sync_oldest_pending_age_seconds{workspace="ml-team",project="classification"} 0)"))
      << text;
}

TEST(Metrics, CountHowLongConfirmingTookInBucketsThatHoldTheSmallerOnes) {
  engine::Metrics metrics;
  for (const double seconds : {0.01, 0.3, 0.3, 1000.0}) metrics.confirm_seconds[{"ml-team", "lab"}].observe(seconds);
  const auto text = metrics_text(sample(), metrics, {}, now);
  EXPECT_TRUE(has_line(text, R"(neptune_sync_confirm_seconds_bucket{workspace="ml-team",project="lab",le="0.05"} 1)"))
      << text;
  EXPECT_TRUE(has_line(text, R"(neptune_sync_confirm_seconds_bucket{workspace="ml-team",project="lab",le="0.25"} 1)"));
  EXPECT_TRUE(has_line(text, R"(neptune_sync_confirm_seconds_bucket{workspace="ml-team",project="lab",le="0.5"} 3)"));
  EXPECT_TRUE(has_line(text, R"(neptune_sync_confirm_seconds_bucket{workspace="ml-team",project="lab",le="300"} 3)"));
  EXPECT_TRUE(has_line(text, R"(neptune_sync_confirm_seconds_bucket{workspace="ml-team",project="lab",le="+Inf"} 4)"));
  EXPECT_TRUE(has_line(text, R"(neptune_sync_confirm_seconds_count{workspace="ml-team",project="lab"} 4)"));
}

TEST(Metrics, TellWhatWasRefusedByCodeAndWhatProbesFound) {
  engine::Metrics metrics;
  metrics.rejections[{{"ml-team", "lab"}, "SERIES_STEP_NON_INCREASING"}] = 2;
  metrics.probes[{Scope::of("ml-team"), "read_only"}] = 5;
  metrics.probes[{Scope::of(ProjectName{"ml-team", "lab"}), "normal"}] = 3;
  metrics.sent_bytes[{"ml-team", "lab"}] = 77;
  const auto text = metrics_text(sample(), metrics, {}, now);
  EXPECT_TRUE(has_line(
      text, R"(neptune_sync_rejections_total{workspace="ml-team",project="lab",code="SERIES_STEP_NON_INCREASING"} 2)"))
      << text;
  EXPECT_TRUE(has_line(text, R"(neptune_sync_probes_total{workspace="ml-team",result="read_only"} 5)"));
  EXPECT_TRUE(has_line(text, R"(neptune_sync_probes_total{workspace="ml-team",project="lab",result="normal"} 3)"));
  EXPECT_TRUE(has_line(text, R"(neptune_sync_sent_bytes_total{workspace="ml-team",project="lab"} 77)"));
}

TEST(Metrics, OfTheProcessAreItsOwn) {
  const auto facts = process_facts();
  EXPECT_GT(facts.resident_bytes, 1u << 20);
  EXPECT_GT(facts.virtual_bytes, facts.resident_bytes);
  EXPECT_GE(facts.open_fds, 3u);
  EXPECT_GE(facts.max_fds, facts.open_fds);
  EXPECT_GE(facts.threads, 1u);
  const auto age = static_cast<double>(to_unix_ms(SystemClock().wall())) / 1000.0 - facts.start_time_seconds;
  EXPECT_GT(age, -2.0);
  EXPECT_LT(age, 3600.0);
}

}  // namespace
}  // namespace neptune::local_api
