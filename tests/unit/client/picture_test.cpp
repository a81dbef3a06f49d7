#include "client/cli/picture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/lib/time.h"

// What `watch` shows, for any size of a terminal.
namespace neptune::cli {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

const Now now = api::parse_time("2026-01-02T12:00:00.000Z").value();

Watched busy_box(std::size_t workspaces, std::size_t streams) {
  Watched watched;
  watched.status.version = "0.1.0";
  watched.status.state = "running";
  watched.status.server = {"https://neptune.example.org", true, std::nullopt, std::nullopt};
  for (std::size_t i = 0; i < workspaces; ++i) {
    auto& workspace = watched.status.workspaces.emplace_back();
    workspace.name = "workspace-" + std::to_string(i);
    workspace.pending = 100;
  }
  watched.status.totals.pending = 100 * workspaces;
  for (std::size_t i = 0; i < streams; ++i) {
    auto& stream = watched.streams.emplace_back();
    stream.container = "run-" + std::to_string(i);
    stream.project = "workspace-0/a-project-with-a-long-name-" + std::to_string(i);
    stream.state = "blocked";
    stream.pending = 10 + i;
    stream.why = "the server refuses connections, which is a long reason; tried again in 8 s";
  }
  for (std::uint64_t i = 0; i < 50; ++i)
    watched.events.push_back({.id = i, .at = "2026-01-02T11:59:58.000Z", .type = "synced", .message = "All of it."});
  for (int i = 0; i < 300; ++i) watched.rates.add(static_cast<std::uint64_t>(i) * 50, i);
  return watched;
}

TEST(Picture, NeverExceedsTheScreen) {
  for (const std::size_t width : {20, 80, 200})
    for (const std::size_t rows : {1, 5, 10, 24, 60})
      for (const auto& watched : {Watched(), busy_box(1, 0), busy_box(2, 3), busy_box(40, 100)}) {
        const auto lines = picture(watched, {true, width}, rows, now);
        EXPECT_LE(lines.size(), rows);
        for (const auto& line : lines) EXPECT_EQ(line, cut_painted(line, width)) << width << " x " << rows;
      }
}

TEST(Picture, HasWorkspacesRatesStreamsAndEvents) {
  const auto lines = picture(busy_box(2, 3), {false, 80}, 30, now);
  EXPECT_THAT(lines, Contains(HasSubstr("workspace-1")));
  EXPECT_THAT(lines, Contains(HasSubstr("50 changes/s")));
  EXPECT_THAT(lines, Contains(HasSubstr("█")));
  EXPECT_THAT(lines, Contains(HasSubstr("run-2")));
  EXPECT_THAT(lines.back(), testing::StartsWith("11:59:58Z  synced  All of it."));
}

TEST(Picture, TellsRatesInGroupsOfDigits) {
  auto watched = busy_box(1, 0);
  watched.rates.add(200'000, 301);
  EXPECT_THAT(picture(watched, {false, 80}, 30, now),
              Contains(testing::ContainsRegex("92,525 changes/s .*at most 92,525/s")));
}

TEST(Picture, TellsHowFarFilesAre) {
  auto watched = busy_box(1, 1);
  watched.status.uploads.push_back({.project = "workspace-0/lab",
                                    .run = "run-0",
                                    .attribute = "model",
                                    .file = "/data/model.bin",
                                    .bytes_done = 1u << 30,
                                    .bytes_total = 4ull << 30,
                                    .bytes_per_second = 50u << 20,
                                    .seconds_left = 61.0});
  watched.streams[0].uploads = 7;
  const auto lines = picture(watched, {false, 120}, 30, now);
  EXPECT_THAT(lines, Contains(HasSubstr("model.bin: 1.0 GiB of 4.0 GiB (25 %), 50.0 MiB/s")));
  EXPECT_THAT(lines, Contains(testing::ContainsRegex("run-0 .* 7 ")));
}

TEST(Picture, SaysHowMuchItLeavesOut) {
  const auto lines = picture(busy_box(40, 100), {false, 80}, 24, now);
  EXPECT_THAT(lines, Contains(HasSubstr("more lines: `neptune-sync status`")));
  EXPECT_THAT(lines, Contains(HasSubstr("more: `neptune-sync streams`")));
  EXPECT_THAT(lines, Contains(HasSubstr("LAST EVENTS")));
  EXPECT_THAT(lines, Contains(HasSubstr("run-99"))) << "the largest first";
}

TEST(Picture, ShowsTheWorkspacesInWhichSomethingWaitsBeforeIdleOnes) {
  auto watched = busy_box(40, 3);
  for (auto& workspace : watched.status.workspaces) workspace.pending = workspace.name == "workspace-9" ? 7 : 0;
  watched.status.workspaces.back().mode = "read_only";
  const auto lines = picture(watched, {false, 80}, 24, now);
  EXPECT_THAT(lines, Contains(HasSubstr("workspace-9 ")));
  EXPECT_THAT(lines, Contains(HasSubstr("workspace-39 ")));
  EXPECT_THAT(lines, Not(Contains(HasSubstr("workspace-38 "))));
}

TEST(Picture, TellsTheHighestRateAlsoWhereNoneIsDrawn) {
  EXPECT_THAT(picture(busy_box(1, 0), {false, 40}, 24, now), Contains(HasSubstr("at most 50/s")));
}

TEST(Picture, OfALowScreenShowsWhatIsWrongRatherThanEvents) {
  auto watched = busy_box(4, 100);
  watched.status.problems.push_back("The disk of the state directory /var is full, so that nothing is recorded");
  const auto lines = picture(watched, {false, 60}, 12, now);
  EXPECT_THAT(lines, Contains(HasSubstr("is recorded.")));
  EXPECT_THAT(lines, Contains(HasSubstr("workspace-0")));
  EXPECT_THAT(lines, Not(Contains(HasSubstr("LAST EVENTS"))));
}

TEST(Picture, ShowsTheCauseAtAnySize) {
  auto watched = busy_box(40, 100);
  for (int i = 0; i < 4; ++i)
    watched.status.stuck.push_back({.project = "workspace-1/a-project",
                                    .container_type = "run",
                                    .container = "run-" + std::to_string(i),
                                    .streams = 1,
                                    .changes = 3,
                                    .why = "the server does not know the project, and this goes on for another line",
                                    .missing = "project"});
  auto& closed = watched.status.workspaces.back();
  closed.mode = "read_only";
  closed.reason = "its storage is full, which takes a few words more to say, so that the line has to be cut here";
  closed.held = 100;
  for (const std::size_t width : {40, 80})
    for (const std::size_t rows : {2, 3, 5, 8, 12, 19, 24})
      EXPECT_THAT(picture(watched, {false, width}, rows, now)[0],
                  testing::StartsWith("  ! workspace-39 is read-only: "))
          << width << " x " << rows;
  EXPECT_THAT(picture(watched, {false, 80}, 60, now)[2], testing::StartsWith("  ! workspace-39 is read-only: "));
  const auto usual = picture(watched, {false, 80}, 24, now);
  EXPECT_THAT(usual[0], testing::EndsWith("…"));
  EXPECT_THAT(usual, Contains(HasSubstr("run run-3 of workspace-1")));
  EXPECT_THAT(usual, Contains(testing::StartsWith("workspace-39 "))) << "its row";
}

TEST(Picture, ShowsAProjectThatIsReadOnlyBeforeOthersInWhichMoreWaits) {
  auto watched = busy_box(40, 3);
  auto& projects = watched.status.workspaces.back().projects;
  for (int i = 0; i < 30; ++i) {
    auto& project = projects.emplace_back();
    project.name = "project-" + std::to_string(i);
    project.pending = 10;
  }
  projects.back().mode = "read_only";
  EXPECT_THAT(picture(watched, {false, 80}, 24, now), Contains(testing::ContainsRegex("^  project-29 +read-only")));
}

TEST(Picture, SaysThatTheDaemonIsAway) {
  auto watched = busy_box(1, 1);
  watched.trouble = "neptune-syncd is not running.";
  EXPECT_THAT(picture(watched, {false, 80}, 24, now)[0], HasSubstr("! neptune-syncd is not running."));
}

TEST(Rates, AreOfTheTimeBetweenTwoLooks) {
  Rates rates;
  rates.add(1000, 0);
  EXPECT_EQ(rates.graph(4), "    ") << "one look tells no rate";
  rates.add(1100, 2);
  EXPECT_EQ(rates.latest(), 50);
  rates.add(1100, 3);
  EXPECT_EQ(rates.graph(4), "  █·");
  rates.add(5, 4);
  EXPECT_EQ(rates.latest(), 0) << "another state directory";
  Rates uneven;
  uneven.add(0, 0);
  uneven.add(1000, 1.1);  // 909.09 a second
  EXPECT_EQ(uneven.graph(1), "█");
  uneven.add(1999, 2.2);  // 908.18: rounded, as much
  EXPECT_EQ(uneven.graph(2), "█▇");
  Rates above;
  above.add(0, 0);
  above.add(999, 1.0001);  // 998.9, which is told as 999
  EXPECT_EQ(above.graph(1), "█");
  EXPECT_EQ(rates.highest(4), 50u);
  EXPECT_EQ(rates.highest(1), 0u);
}

}  // namespace
}  // namespace neptune::cli
