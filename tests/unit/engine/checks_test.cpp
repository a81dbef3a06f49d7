#include "engine/impl/checks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "client/lib/time.h"
#include "tests/integration/support/temp_dir.h"

namespace neptune::engine {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

/// The one line that `f` adds.
template <class F>
api::Check line_of(F f) {
  Checks checks;
  f(checks);
  EXPECT_EQ(checks.size(), 1u);
  return checks.empty() ? api::Check{} : checks.front();
}

/// "warn disk", and that a remedy is there exactly when something is wrong.
std::string verdict(const api::Check& check) {
  EXPECT_EQ(check.remedy.empty(), check.state == "ok") << check.check << ": " << check.message;
  EXPECT_FALSE(check.message.empty()) << check.check;
  return check.state + " " + check.check;
}

TEST(Checks, OfChangesThatGoNowhereNameThemTheReasonAndTheCommands) {
  const auto of = [](const std::vector<api::Stuck>& stuck) {
    return line_of([&stuck](Checks& checks) { check_stuck(checks, stuck); });
  };
  EXPECT_EQ(verdict(of({})), "ok changes");
  const auto project =
      of({{"ml-teem/lab", "management", "", 2, 3, "the server does not know the project ml-teem/lab"}});
  EXPECT_EQ(verdict(project), "warn changes");
  EXPECT_EQ(project.message, "3 changes of ml-teem/lab cannot go: the server does not know the project ml-teem/lab");
  EXPECT_THAT(project.remedy,
              AllOf(HasSubstr("`neptune-sync explain ml-teem/lab`"), HasSubstr("`neptune-sync discard ml-teem/lab`")));
  const auto run = of({{"ml-team/lab", "run", "r1", 1, 1, "the server does not know the run r1"}});
  EXPECT_EQ(run.message, "1 change of run r1 of ml-team/lab cannot go: the server does not know the run r1");
  EXPECT_THAT(run.remedy,
              AllOf(HasSubstr("`neptune-sync explain r1`"), HasSubstr("`neptune-sync discard ml-team/lab --run r1`")));
}

TEST(Checks, OfWhatIsReadOnlyOrHeldNameTheScopeTheReasonSinceWhenAndWhatEndsIt) {
  const auto now = *api::parse_time("2026-01-02T12:00:00.000Z");
  const auto lines = [now](const std::vector<api::WorkspaceStatus>& workspaces) {
    Checks checks;
    check_modes(checks, workspaces, now);
    return checks;
  };
  api::WorkspaceStatus team;
  team.name = "ml-team";
  auto& lab = team.projects.emplace_back();
  lab.name = "lab";
  EXPECT_EQ(verdict(line_of([&](Checks& checks) { check_modes(checks, {team}, now); })), "ok mode");

  team.mode = lab.mode = "read_only";
  team.reason = lab.reason = "storage is full";
  team.since = "2026-01-02T09:45:00.000Z";
  team.held = 3;
  lab.inherited = true;
  const auto read_only = lines({team});
  ASSERT_EQ(read_only.size(), 1u) << "its project is told of with it";
  EXPECT_EQ(verdict(read_only[0]), "warn mode");
  EXPECT_EQ(read_only[0].message, "ml-team is read-only on the server for 2 h 15 min: storage is full; 3 changes wait");
  EXPECT_THAT(read_only[0].remedy,
              AllOf(HasSubstr("free space in ml-team"), HasSubstr("`neptune-sync probe ml-team`")));

  team.operator_hold = true;
  team.held_by = "root";
  lab = {};
  lab.name = "lab";
  lab.mode = "held";
  lab.operator_hold = true;
  lab.held_by = "jackie";
  lab.held_since = "2026-01-02T11:57:00.000Z";
  lab.held = 1;
  const auto all = lines({team});
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[1].message, "ml-team is held by root; 3 changes wait");
  EXPECT_THAT(all[1].remedy, HasSubstr("`neptune-sync release ml-team` ends the hold."));
  EXPECT_EQ(all[2].message, "ml-team/lab has been held by jackie for 3 min; 1 change waits");
  EXPECT_THAT(all[2].remedy, HasSubstr("`neptune-sync release ml-team/lab`"));
  EXPECT_EQ(verdict(all[2]), "warn mode");
}

TEST(Checks, OfTheDiskGoByWhatTheQueueKeepsFree) {
  constexpr std::uint64_t gib = 1ull << 30;
  const auto at = [](DiskRoom room) {
    return line_of([&room](Checks& checks) { check_room(checks, "/state", room); });
  };
  EXPECT_EQ(verdict(at({.free = 5 * gib, .kept_free = gib})), "ok disk");
  EXPECT_EQ(verdict(at({.free = gib / 2, .kept_free = 0})), "warn disk");
  const auto refused = at({.free = 5 * gib, .kept_free = 6 * gib});
  EXPECT_EQ(verdict(refused), "fail disk");
  EXPECT_EQ(
      refused.message,
      "5.0 GiB are free for /state, less than the 6.0 GiB of [queue] min_free_disk: what is handed in is refused");
  EXPECT_THAT(refused.remedy, HasSubstr("min_free_disk"));
  const auto full = at({.free = 0, .kept_free = gib, .full = true});
  EXPECT_EQ(verdict(full), "fail disk");
  EXPECT_THAT(full.remedy, HasSubstr("nothing is lost"));
}

TEST(Checks, OfTheQueueSayHowFullItIs) {
  const auto at = [](std::uint64_t bytes) {
    return line_of([bytes](Checks& checks) { check_queue(checks, bytes, 1000); });
  };
  EXPECT_EQ(verdict(at(0)), "ok queue");
  EXPECT_EQ(verdict(at(700)), "ok queue");
  EXPECT_EQ(verdict(at(701)), "warn queue");
  EXPECT_EQ(verdict(at(989)), "warn queue");
  EXPECT_EQ(verdict(at(990)), "fail queue");
  EXPECT_EQ(verdict(at(2000)), "fail queue") << "the bound was lowered";
  EXPECT_THAT(at(990).message, HasSubstr("refused"));
  EXPECT_THAT(at(990).remedy, HasSubstr("max_bytes"));
}

TEST(Checks, OfInotifyNameTheLimitThatIsNear) {
  const auto at = [](Used watches, Used instances) {
    return line_of([&](Checks& checks) { check_inotify(checks, watches, instances); });
  };
  EXPECT_EQ(verdict(at({12, 65536}, {2, 128})), "ok inotify");
  EXPECT_EQ(at({12, 65536}, {2, 128}).message, "12 of 65536 watches and 2 of 128 instances are used by the daemon");
  const auto watches = at({6000, 8192}, {2, 128});
  EXPECT_EQ(verdict(watches), "warn inotify");
  EXPECT_THAT(watches.remedy, HasSubstr("fs.inotify.max_user_watches=1048576"));
  const auto instances = at({12, 65536}, {2, 2});
  EXPECT_EQ(verdict(instances), "warn inotify");
  EXPECT_THAT(instances.remedy, HasSubstr("fs.inotify.max_user_instances=512"));
  EXPECT_THAT(at({900'000, 1'048'576}, {0, 128}).remedy, HasSubstr("=2097152")) << "more than there are";
  ASSERT_TRUE(inotify_use());
  EXPECT_GT(inotify_use()->first.most, 0u);
}

TEST(Checks, OfFilesAndProcessesSayWhatTheUnitLacks) {
  const auto files = [](std::uint64_t most) {
    return line_of([most](Checks& checks) { check_files(checks, most, "the daemon"); });
  };
  EXPECT_EQ(verdict(files(1024)), "ok files");
  EXPECT_EQ(verdict(files(1023)), "warn files");
  EXPECT_THAT(files(256).remedy, HasSubstr("LimitNOFILE="));
  const auto processes = [](bool locks, bool others) {
    return line_of([&](Checks& checks) { check_processes(checks, locks, others, "the daemon"); });
  };
  EXPECT_EQ(verdict(processes(true, true)), "ok processes");
  EXPECT_EQ(verdict(processes(true, false)), "fail processes");
  EXPECT_THAT(processes(true, false).message, HasSubstr("/proc/1/stat"));
  EXPECT_THAT(processes(false, true).message, HasSubstr("/proc/locks"));
  EXPECT_THAT(processes(false, true).remedy, AllOf(HasSubstr("ProcSubset=pid"), HasSubstr("hidepid")));
}

TEST(Checks, OfTheStateDirectoryAllowPassingThroughAlone) {
  const testing::TempDir dir;
  const auto at = [&dir](unsigned mode) {
    std::filesystem::permissions(dir.path(), std::filesystem::perms{mode});
    return line_of([&dir](Checks& checks) { check_state_dir(checks, dir.path()); });
  };
  for (const unsigned mode : {0700u, 0711u, 0710u}) EXPECT_EQ(verdict(at(mode)), "ok state") << mode;
  for (const unsigned mode : {0755u, 0750u, 0770u, 0722u, 0744u}) {
    EXPECT_EQ(verdict(at(mode)), "warn state") << mode;
    EXPECT_THAT(at(mode).remedy, HasSubstr("chmod go-rw " + dir.path().string()));
  }
  at(0700);
}

TEST(Checks, OfAFolderAndOfALogSayWhatIsWrongWithThem) {
  api::SourceStatus folder;
  folder.kind = "watch";
  folder.path = "/runs";
  folder.state = "watching";
  const auto of = [](const api::SourceStatus& source) {
    return line_of([&source](Checks& checks) { check_source(checks, source); });
  };
  EXPECT_EQ(verdict(of(folder)), "ok folder");
  folder.detail = "/runs is on a network file system";
  EXPECT_EQ(verdict(of(folder)), "warn folder");
  EXPECT_EQ(of(folder).message, "/runs is on a network file system");
  folder.state = "set_aside";
  folder.detail = "/runs is not there yet";
  EXPECT_EQ(verdict(of(folder)), "warn folder");
  EXPECT_EQ(of(folder).message, "/runs is not there yet");
  EXPECT_THAT(of(folder).remedy, HasSubstr("Make it"));
  api::SourceStatus log;
  log.kind = "run-log";
  log.path = "/runs/a";
  log.state = "set_aside";
  log.detail = "it is no database";
  EXPECT_EQ(verdict(of(log)), "fail log");
  EXPECT_EQ(of(log).message, "/runs/a: it is no database");
  log.state = "gone";
  log.detail = "/runs/a was removed with 3 changes of r1 that were not synced";
  log.project = "ml-team/lab";
  log.run = "r1";
  EXPECT_EQ(verdict(of(log)), "fail log");
  EXPECT_EQ(of(log).message, *log.detail);
  EXPECT_THAT(of(log).remedy, HasSubstr("`neptune-sync discard ml-team/lab --run r1`"));
  log.state = "live";
  Checks none;
  check_source(none, log);
  EXPECT_THAT(none, IsEmpty());
}

TEST(Checks, OfEachStepToTheServerHaveARemedyOfTheirOwn) {
  using At = server::Step::At;
  using State = server::Step::State;
  struct Row {
    At at;
    std::string name, remedy;
  };
  const std::vector<Row> rows{{At::name, "name", "DNS"},
                              {At::connection, "connection", "firewall"},
                              {At::certificate_name, "encryption", "issued for it"},
                              {At::encryption, "encryption", "ca_file"},
                              {At::answer, "server", "whoever runs it"},
                              {At::clock, "clock", "NTP"},
                              {At::token, "token", "put it there"}};
  EXPECT_EQ(rows.size(), static_cast<std::size_t>(At::token) + 1);
  std::set<std::string> remedies;
  for (const auto& row : rows) {
    const auto in = [&row](State state) {
      const server::Step step{row.at, state, "as it was found"};
      return line_of([&step](Checks& checks) { check_step(checks, step, "vision", "put it there"); });
    };
    EXPECT_EQ(verdict(in(State::fine)), "ok " + row.name + " (vision)");
    EXPECT_EQ(verdict(in(State::poor)), "warn " + row.name + " (vision)");
    EXPECT_EQ(verdict(in(State::failed)), "fail " + row.name + " (vision)");
    EXPECT_THAT(in(State::failed).remedy, HasSubstr(row.remedy));
    EXPECT_EQ(in(State::failed).message, "as it was found");
    EXPECT_TRUE(remedies.insert(in(State::failed).remedy).second) << row.name;
  }
}

}  // namespace
}  // namespace neptune::engine
