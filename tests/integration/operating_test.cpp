// `neptune-sync explain` and `doctor` beside a real daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "support/base64.h"
#include "tests/integration/box.h"
#include "tests/integration/loss_log.h"
#include "tests/integration/support/http_client.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/integration/support/samples.h"
#include "tests/integration/support/small_disk.h"

namespace neptune::testing {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::string metrics_of(Box& box) {
  return http_unix(box.socket(), {.method = "GET", .target = "/metrics", .headers = {}, .body = {}}).body;
}

TEST(Explain, TellsOfAHoldAReadOnlyProjectAndAChangesPlace) {
  Box box({.sandbox_args = {"--workspace", "full:team", "--workspace", "ml-team:team"}});
  box.sandbox().control(R"({"workspace": "full", "mode": "read_only", "reason": "storage is full"})");
  ASSERT_EQ(box.sync({"hold", "ml-team/lab"}).status, 0);
  write_loss_log(box, "full/one", "r-1", 20);
  box.hand_in(R"([{"kind": "run.create", "project": "ml-team/lab", "run": "r-2"},
                  {"kind": "run.update", "project": "ml-team/lab", "run": "r-2", "assign": {"a": 1}}])");
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 23; }).first);

  const auto run = box.sync({"explain", "r-1"});
  EXPECT_EQ(run.status, 0) << run.err;
  EXPECT_THAT(run.out, AllOf(HasSubstr("Run r-1 of full/one"), HasSubstr("21 changes"), HasSubstr("storage is full"),
                             HasSubstr("neptune-sync probe full`")));
  EXPECT_THAT(box.sync({"explain", "full"}).out, HasSubstr("Workspace full"));
  EXPECT_THAT(box.sync({"explain", box.runs()}).out, HasSubstr("Run r-1 of full/one"));
  EXPECT_THAT(box.sync({"explain", "ml-team/lab"}).out, HasSubstr("neptune-sync release ml-team/lab`"));
  const auto change = box.sync({"explain", "2"});
  EXPECT_THAT(change.out, AllOf(HasSubstr("Change 2 (run.update), Run r-2 of ml-team/lab"), HasSubstr("goes before it"),
                                HasSubstr("ml-team/lab is held by")));
  ASSERT_EQ(box.sync({"release", "ml-team/lab"}).status, 0);
  ASSERT_EQ(box.sync({"wait", "--project", "ml-team/lab", "--now", "--timeout", "20s"}).status, 0);
  EXPECT_THAT(box.sync({"explain", "2"}).out, HasSubstr("the server has it"));
  const auto none = box.sync({"explain", "r-9"});
  EXPECT_EQ(none.status, 1);
  EXPECT_THAT(none.err, HasSubstr("knows nothing of 'r-9'"));
  EXPECT_EQ(box.sync({"explain", "999"}).status, 1);
}

/// So many changes of a project are told as going nowhere.
bool are_stuck(Box& box, const std::string& project, std::int64_t changes) {
  return box
      .wait_status([&project, changes](const auto& status) {
        for (const auto& one : status.at("stuck").as_array())
          if (one.at("project").as_string() == project && one.at("changes").as_int64() == changes) return true;
        return false;
      })
      .first;
}

TEST(Discard, ThrowsAwayWhatWaitsForAMistypedProjectAndTheRestGoesOn) {
  Box box;
  box.hand_in(R"([{"kind": "project.create", "project": "ml-team/lab"},
                  {"kind": "run.create", "project": "ml-teem/lab", "run": "r-1"},
                  {"kind": "run.update", "project": "ml-teem/lab", "run": "r-1", "assign": {"a": 1}},
                  {"kind": "run.create", "project": "ml-teem/lab", "run": "r-2"}])");
  ASSERT_TRUE(are_stuck(box, "ml-teem/lab", 3));
  EXPECT_THAT(box.sync({"status"}).out, AllOf(HasSubstr("ml-teem/lab cannot go: the server does not know the project"),
                                              HasSubstr("`neptune-sync explain ml-teem/lab`")));
  EXPECT_THAT(box.sync({"doctor"}).out, AllOf(HasSubstr("ml-teem/lab cannot go"), HasSubstr("neptune-sync discard")));
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, HasSubstr("`neptune-sync discard ml-teem/lab --run r-1`"));

  const auto one = box.sync({"discard", "ml-teem/lab", "--run", "r-1"});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("2 changes of run r-1 of ml-teem/lab were thrown away"));
  const auto rest = box.sync({"discard", "ml-teem/lab"});
  EXPECT_EQ(rest.status, 0) << rest.err;
  EXPECT_THAT(rest.out, AllOf(HasSubstr("1 change"), HasSubstr("rejected discard --project ml-teem/lab")));
  EXPECT_THAT(box.sync({"discard", "ml-teem/lab"}).out, HasSubstr("Nothing of it waits"));
  EXPECT_THAT(box.sync({"explain", "3"}).out,
              AllOf(HasSubstr("thrown away before the server had it"), HasSubstr("Discarded by root")));
  const auto mistyped = box.sync({"discard", "ml-teem/lab", "--run", "r-11"});
  EXPECT_EQ(mistyped.status, 1) << mistyped.out;
  EXPECT_THAT(mistyped.err, AllOf(HasSubstr("ml-teem/lab has no run r-11 here"), HasSubstr("Did you mean r-1?")));
  const auto no_scope = box.sync({"discard", "ml-tem/lab"});
  EXPECT_EQ(no_scope.status, 1) << no_scope.out;
  EXPECT_THAT(no_scope.err, AllOf(HasSubstr("Nothing is known of ml-tem/lab"), HasSubstr("Did you mean ml-te")));
  EXPECT_EQ(box.sync({"discard", "ml-teem/lab", "--run", "r-2"}).status, 0) << "nothing of it waits any more";
  ASSERT_EQ(box.sync({"rejected", "discard", "--project", "ml-teem/lab"}).status, 0);
  EXPECT_EQ(box.sync({"wait", "--timeout", "20s"}).status, 0);
  const auto gone = box.sync({"wait", "--run", "r-1", "--timeout", "20s"});
  EXPECT_EQ(gone.status, 1) << gone.out;
  EXPECT_THAT(gone.err, HasSubstr("Nothing of run r-1 is on the server: 2 changes were thrown away."));
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, HasSubstr("2 changes were thrown away"));
  EXPECT_THAT(box.sync({"status"}).out, Not(HasSubstr("cannot go")));
  EXPECT_THAT(box.sync({"explain", "3"}).out, AllOf(HasSubstr("thrown away"), Not(HasSubstr("The server has it"))));
  // The queue forgets an empty stream after a while, or with a restart.
  box.stop_daemon();
  box.start_daemon();
  EXPECT_THAT(box.sync({"status"}).out, AllOf(HasSubstr("ml-team"), Not(HasSubstr("ml-teem"))));
}

/// Exactly these wait for what is not there.
bool stuck_are(Box& box, std::set<std::string> wanted) {
  return box
      .wait_status([&wanted](const auto& status) {
        std::set<std::string> stuck;
        for (const auto& one : status.at("stuck").as_array())
          stuck.insert(std::string(one.at("container_type").as_string()) + " " +
                       one.at("container").as_string().c_str());
        return stuck == wanted;
      })
      .first;
}

TEST(Discard, OfAMistypedModelIsOfThatAlone) {
  Box box;
  box.hand_in(R"([{"kind": "project.create", "project": "ml-team/lab", "key": "LAB"},
                  {"kind": "model.update", "project": "ml-team/lab", "model": "FORREST", "assign": {"a": 1}},
                  {"kind": "model.update", "project": "ml-team/lab", "model": "TREE", "assign": {"a": 1}},
                  {"kind": "run.update", "project": "ml-team/lab", "run": "FORREST", "assign": {"a": 1}}])");
  ASSERT_TRUE(stuck_are(box, {"model FORREST", "model TREE", "run FORREST"}));
  EXPECT_THAT(box.sync({"status"}).out,
              AllOf(HasSubstr("of model TREE of ml-team/lab cannot go"), HasSubstr("`neptune-sync explain TREE`")));
  EXPECT_THAT(box.sync({"explain", "TREE"}).out,
              AllOf(HasSubstr("`neptune-sync model create TREE --project ml-team/lab` creates it"),
                    HasSubstr("`neptune-sync discard ml-team/lab --model TREE`")));
  EXPECT_EQ(box.sync({"discard", "ml-team/lab", "--model", "TREE", "--run", "TREE"}).status, 2);
  const auto mistyped = box.sync({"discard", "ml-team/lab", "--model", "FOREST"});
  EXPECT_EQ(mistyped.status, 1) << mistyped.out;
  EXPECT_THAT(mistyped.err, HasSubstr("ml-team/lab has no model FOREST here"));

  const auto one = box.sync({"discard", "ml-team/lab", "--model", "FORREST"});
  EXPECT_EQ(one.status, 0) << one.err;
  EXPECT_THAT(one.out, HasSubstr("1 change of model FORREST of ml-team/lab was thrown away"));
  EXPECT_TRUE(stuck_are(box, {"model TREE", "run FORREST"}));
  ASSERT_EQ(box.sync({"model", "create", "TREE", "--project", "ml-team/lab"}).status, 0);
  ASSERT_EQ(box.sync({"flush"}).status, 0);
  EXPECT_TRUE(stuck_are(box, {"run FORREST"}));
}

TEST(Discard, OfSomebodyElsesChangesIsForWhoMayRemove) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can act as another user";
  Box box;
  std::filesystem::permissions(box.dir(), std::filesystem::perms{0711});
  std::filesystem::permissions(box.socket(), std::filesystem::perms{0666});
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  const auto log = [](const char* run) {
    return std::vector<std::string>{"run", "log", run, "a=1", "--project", "ml-team/lab"};
  };
  ASSERT_EQ(box.sync_as(65534, log("own")).status, 0);
  ASSERT_EQ(box.sync(log("shared")).status, 0);
  ASSERT_EQ(box.sync_as(65534, log("shared")).status, 0);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 3; }).first);
  const auto own = box.sync_as(65534, {"discard", "ml-team"});
  EXPECT_EQ(own.status, 0) << own.err;
  EXPECT_THAT(own.out, AllOf(HasSubstr("1 change"), HasSubstr("2 changes wait still"), HasSubstr("by others")));
  EXPECT_EQ(box.sync_as(65534, {"discard", "ml-team"}).status, 1) << "nothing is his any more, and something waits";
  EXPECT_THAT(box.sync({"discard", "ml-team"}).out, HasSubstr("2 changes"));
  EXPECT_EQ(box.get("/v1/status").at("totals").at("held").as_int64(), 0);
}

TEST(Explain, NamesTheHoldAndTheReadOnlyModeOfARun) {
  Box box({.sandbox_args = {"--workspace", "full:team"}});
  box.sandbox().control(R"({"workspace": "full", "mode": "read_only", "reason": "storage is full"})");
  write_loss_log(box, "full/one", "r-1", 5);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 6; }).first);
  ASSERT_EQ(box.sync({"hold", "full/one"}).status, 0);
  EXPECT_THAT(
      box.sync({"explain", "r-1"}).out,
      AllOf(HasSubstr("full/one is held by root"), HasSubstr("full is read-only on the server: storage is full"),
            HasSubstr("`neptune-sync release full/one` ends the hold"), HasSubstr("`neptune-sync probe full`")));
  EXPECT_THAT(box.sync({"doctor"}).out,
              AllOf(ContainsRegex("warn +mode +full/one has been held by root for [0-9]+ s; 6 changes wait"),
                    ContainsRegex("warn +mode +full is read-only on the server for [0-9]+ s: storage is full")));
  const auto plan = box.sync({"release", "--dry-run", "full/one"});
  EXPECT_THAT(plan.out, AllOf(HasSubstr("would let nothing go"), HasSubstr("6 changes"), HasSubstr("would stay"),
                              HasSubstr("full is read-only on the server")));
  ASSERT_EQ(box.sync({"hold", "full"}).status, 0);
  const auto released = box.sync({"release", "full/one"});
  EXPECT_EQ(released.status, 0) << released.err;
  EXPECT_THAT(released.out, AllOf(HasSubstr("full is still held by root"), HasSubstr("`neptune-sync release full`"),
                                  HasSubstr("full is still read-only on the server")));
  EXPECT_THAT(box.sync({"release", "full/one"}).err, HasSubstr("full is still held by root"));
}

TEST(Explain, SaysOfALogThatWasJustFoundThatItSettlesInAndOfASyncedRunThatNothingWaits) {
  Box box;
  write_loss_log(box, "ml-team/lab", "r-1", 5);
  const auto found = box.wait_status([](const auto& s) {
    for (const auto& source : s.at("sources").as_array())
      if (source.at("kind").as_string() == "run-log") return true;
    return false;
  });
  ASSERT_TRUE(found.first);
  const auto told = box.sync({"explain", "r-1"});
  EXPECT_EQ(told.status, 0) << told.err;
  EXPECT_THAT(told.out, HasSubstr("Run r-1"));
  box.wait_synced();
  box.hand_in(R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"a": 1}})");
  ASSERT_EQ(box.sync({"wait", "--now", "--timeout", "20s"}).status, 0);
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, Not(HasSubstr("change queue")));
}

TEST(Streams, AndHoldsKnowOfALogThatWasJustFound) {
  Box box;
  RunLogWriter log({.directory = box.runs(), .project = "ml-team/lab", .run = "r-1", .experiment = {}, .fork = {}});
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return boost::json::serialize(s.at("sources")).find(R"("state":"settling_in","detail":"found)") !=
                          std::string::npos;
                 })
                  .first);
  const auto told = AllOf(HasSubstr(log.path().parent_path().string() + " was found, and is not read yet"),
                          Not(HasSubstr("o such stream")), Not(HasSubstr("othing of it is known")));
  EXPECT_THAT(box.sync({"streams", "--run", "r-1"}).out, told);
  EXPECT_THAT(box.sync({"hold", "ml-team/lab"}).out, told);
  EXPECT_THAT(box.sync({"discard", "ml-team/lab"}).err, told);
  EXPECT_THAT(box.sync({"release", "--dry-run", "ml-team/lab"}).out, HasSubstr("Not all that waits is counted yet"));
  EXPECT_THAT(box.sync({"status"}).out, HasSubstr("a log was just found and is not counted yet"));
  EXPECT_THAT(box.sync({"streams", "--run", "r-2"}).out,
              AllOf(HasSubstr("No such stream"), Not(HasSubstr(log.path().parent_path().string()))));
}

TEST(Explain, SaysOfARunThatWasRemovedSinceWhenAndByWhichChange) {
  Box box;
  const auto change = [&box](std::vector<std::string> words) {
    words.insert(words.begin(), "run");
    words.insert(words.end(), {"--project", "ml-team/lab", "--wait", "--timeout", "30s"});
    return box.sync(words);
  };
  for (const auto* run : {"r-1", "r-2"}) ASSERT_EQ(change({"create", run}).status, 0);
  ASSERT_EQ(change({"trash", "r-1", "r-2"}).status, 0);
  EXPECT_THAT(box.sync({"explain", "r-1"}).out,
              AllOf(ContainsRegex("It was moved to the trash .* ago by change 3"),
                    HasSubstr("`neptune-sync run restore r-1 --project ml-team/lab`"), Not(HasSubstr("All that was"))));
  ASSERT_EQ(change({"restore", "r-2"}).status, 0);
  ASSERT_EQ(change({"delete", "r-1"}).status, 0);
  for (int life = 0; life < 2; ++life) {
    EXPECT_THAT(
        box.sync({"explain", "r-1"}).out,
        AllOf(ContainsRegex("It was deleted from the server .* ago by change 5"), Not(HasSubstr("run restore"))))
        << life;
    EXPECT_THAT(box.sync({"explain", "r-2"}).out, Not(HasSubstr("ago by change")));
    box.stop_daemon();
    box.start_daemon();
  }
  ASSERT_EQ(change({"create", "r-1"}).status, 0);
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, Not(HasSubstr("deleted")));
  ASSERT_EQ(change({"trash", "r-2"}).status, 0);
  ASSERT_EQ(box.sync({"trash", "empty", "ml-team/lab", "--wait", "--timeout", "30s"}).status, 0);
  EXPECT_THAT(box.sync({"explain", "r-2"}).out, ContainsRegex("It was deleted from the server .* ago by change 8"));
}

TEST(Explain, TellsOfAPathThatTheCallerMayNotLookAt) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can act as another user";
  Box box;
  write_loss_log(box, "ml-team/lab", "r-1", 5);
  box.wait_synced();
  std::filesystem::permissions(box.dir(), std::filesystem::perms{0711});
  std::filesystem::permissions(box.socket(), std::filesystem::perms{0666});
  std::filesystem::permissions(box.runs(), std::filesystem::perms::owner_all);
  const auto log = std::filesystem::directory_iterator(box.runs())->path();
  const auto told = box.sync_as(65534, {"explain", log / "run_operations.sqlite3"});
  EXPECT_EQ(told.status, 0) << told.err;
  EXPECT_THAT(told.out, HasSubstr("Run r-1 of ml-team/lab"));
}

TEST(Explain, FindsAFileThatWaitsForItsUploadByItsPath) {
  Box box;
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  const auto model = box.dir() / "model.bin", other = box.dir() / "other.bin";
  std::ofstream(model) << "weights";
  std::ofstream(other) << "weights";
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", "ml-team/lab"}).status, 0);
  ASSERT_EQ(box.sync({"run", "upload", "r-1", "model", model, "--project", "ml-team/lab"}).status, 0);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 2; }).first);
  const auto found = box.sync({"explain", model});
  EXPECT_EQ(found.status, 0) << found.err;
  EXPECT_THAT(found.out, AllOf(HasSubstr("Files of run r-1 of ml-team/lab"), HasSubstr("It waits to be uploaded")));
  EXPECT_THAT(found.out, Not(HasSubstr("does not look there")));
  EXPECT_THAT(box.sync({"explain", other}).out, HasSubstr("does not look there"));
}

TEST(Explain, TellsOfAServerThatIsAwayAndOfALogThatCannotBeRead) {
  Box box;
  box.sandbox().stop();
  write_loss_log(box, "ml-team/lab", "r-1", 5);
  const auto broken = box.runs() / "ml-team_lab_broken_1";
  std::filesystem::create_directory(broken);
  std::ofstream(broken / "run_operations.sqlite3") << std::string(5000, 'x');
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return s.at("totals").at("pending").as_int64() == 6 && !s.at("server").at("last_error").is_null() &&
                          !s.at("server").at("reachable").as_bool();
                 })
                  .first);
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   for (const auto& source : s.at("sources").as_array())
                     if (source.at("state").as_string() == "set_aside") return true;
                   return false;
                 })
                  .first);
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, AllOf(HasSubstr("6 changes"), HasSubstr("neptune-sync flush")));
  EXPECT_THAT(box.sync({"explain", broken}).out, AllOf(HasSubstr(broken.string()), HasSubstr("Mend that")));
}

/// How many lines of the daemon's log warn of this path.
long warnings_of(Box& box, const std::filesystem::path& path) {
  std::istringstream log(box.daemon().err());
  long found = 0;
  for (std::string line; std::getline(log, line);)
    if (line.find("warn") != std::string::npos && line.find("path=\"" + path.string() + '"') != std::string::npos)
      ++found;
  return found;
}

TEST(Status, TellsOfADirectoryThatTheDaemonMayNotLookInto) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to make another user's directory";
  Box box({.reads_everything = false, .start = false});
  write_loss_log(box, "ml-team/lab", "r-1", 5);
  const auto log = run_logs_in(box.runs()).front().parent_path();
  ASSERT_EQ(::chown(log.c_str(), 1234, 1234), 0);
  std::filesystem::permissions(log, std::filesystem::perms::owner_all);
  box.start_daemon();
  const auto [told, status] = box.wait_status([](const auto& s) {
    return boost::json::serialize(s.at("sources")).find(R"("kind":"run-log","state":"set_aside")") != std::string::npos;
  });
  ASSERT_TRUE(told) << boost::json::serialize(status);
  EXPECT_THAT(box.sync({"status"}).out, AllOf(HasSubstr(log.string() + " is set aside: it belongs to the user 1234"),
                                              Not(HasSubstr("Everything is synced"))));
  const auto waited = box.sync({"wait", "--timeout", "5s"});
  EXPECT_EQ(waited.status, 1) << waited.out << waited.err;
  EXPECT_THAT(box.sync({"explain", log / "run_operations.sqlite3"}).out, HasSubstr("umask 022"));
  EXPECT_THAT(box.sync({"doctor"}).out, HasSubstr(log.string()));
  EXPECT_THAT(metrics_of(box), HasSubstr("neptune_sync_sources{kind=\"run-log\",state=\"set_aside\"} 1\n"));
  EXPECT_EQ(warnings_of(box, log), 1) << box.daemon().err();

  std::filesystem::permissions(log, std::filesystem::perms(0755));
  ASSERT_TRUE(box.wait_status([](const auto& s) {
                   return boost::json::serialize(s.at("sources")).find(R"("state":"set_aside")") == std::string::npos;
                 })
                  .first);
  box.wait_synced();
  EXPECT_EQ(box.get("/v1/status").at("totals").at("synced").as_int64(), 6);
}

TEST(Status, SaysThatNothingIsKnownOfTheServerYet) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}, .start = false});
  box.sandbox().process().signal(SIGSTOP);
  box.start_daemon();
  const auto before = box.get("/v1/status").at("server");
  EXPECT_FALSE(before.at("known").as_bool());
  EXPECT_FALSE(before.at("reachable").as_bool());
  EXPECT_TRUE(before.at("last_error").is_null());
  EXPECT_THAT(metrics_of(box), Not(HasSubstr("\nneptune_sync_server_reachable ")));
  box.sandbox().process().signal(SIGCONT);
  EXPECT_TRUE(box.wait_status([](const auto& s) {
                   return s.at("server").at("known").as_bool() && s.at("server").at("reachable").as_bool();
                 })
                  .first);
}

TEST(Status, TellsOfAFolderThatCannotBeReadOrIsNotThere) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"},
           .config = "[[watch]]\npath = \"@DIR@/secret\"\n[[watch]]\npath = \"@DIR@/not-there\"\n",
           .reads_everything = false,
           .start = false});
  const auto secret = box.dir() / "secret", missing = box.dir() / "not-there";
  std::filesystem::create_directory(secret);
  std::filesystem::permissions(secret, std::filesystem::perms::none);
  box.start_daemon();
  const auto in_state = [](const auto& status, const std::filesystem::path& folder, std::string_view state) {
    for (const auto& source : status.at("sources").as_array())
      if (source.at("path").as_string() == folder.string()) return source.at("state").as_string() == state;
    return false;
  };
  const auto [told, status] = box.wait_status([&](const auto& s) {
    return in_state(s, secret, "set_aside") && in_state(s, missing, "set_aside") && in_state(s, box.runs(), "watching");
  });
  EXPECT_TRUE(told) << boost::json::serialize(status);
  EXPECT_THAT(box.sync({"status"}).out,
              AllOf(HasSubstr("  ! The watched folder " + missing.string() + " is not there yet;"),
                    HasSubstr("Everything else is synced"), HasSubstr("1 folder is watched")));
  EXPECT_THAT(metrics_of(box), HasSubstr("neptune_sync_sources{kind=\"watch\",state=\"set_aside\"} 2\n"));
  for (const auto& folder : {secret, missing}) EXPECT_EQ(warnings_of(box, folder), 1) << box.daemon().err();

  std::filesystem::permissions(secret, std::filesystem::perms::owner_all);
  ASSERT_EQ(box.sync({"flush"}).status, 0);
  EXPECT_TRUE(box.wait_status([&](const auto& s) { return in_state(s, secret, "watching"); }).first);
}

TEST(Status, KnowsOfTheServerThoughNothingWasHandedIn) {
  Box box;
  const auto told = [](const auto& status) { return status.at("server").at("known").as_bool(); };
  const auto [is_known, up] = box.wait_status(told);
  EXPECT_TRUE(is_known && up.at("server").at("reachable").as_bool()) << boost::json::serialize(up);
  box.stop_daemon();
  box.sandbox().stop();
  box.start_daemon();
  const auto [is_known_too, away] = box.wait_status(told);
  EXPECT_TRUE(is_known_too && !away.at("server").at("reachable").as_bool()) << boost::json::serialize(away);
  EXPECT_THAT(box.sync({"status"}).out, HasSubstr("The server cannot be reached"));
}

/// The state that the status tells of a source; empty: it tells of none at that path.
std::string state_of(Box& box, const std::filesystem::path& path) {
  const auto status = box.get("/v1/status");
  for (const auto& source : status.at("sources").as_array())
    if (source.at("path").as_string() == path.string()) return std::string(source.at("state").as_string());
  return {};
}

bool gets_state(Box& box, const std::filesystem::path& path, const std::string& state) {
  return box.wait_status([&](const auto&) { return state_of(box, path) == state; }).first;
}

/// The directory of a run's log.
std::filesystem::path log_of(Box& box, const std::string& run) {
  for (const auto& log : run_logs_in(box.runs()))
    if (log.string().find('_' + run + '_') != std::string::npos) return log.parent_path();
  throw std::runtime_error("no log of " + run);
}

class RemovedWhileStopped : public ::testing::TestWithParam<bool> {};

TEST_P(RemovedWhileStopped, ALogThatWasNotSyncedIsToldAsLostAndNoOther) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team", "--workspace", "vision:team"}});
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  write_loss_log(box, "ml-team/lab", "r-1", 20);
  write_loss_log(box, "ml-team/lab", "r-2", 5);
  write_loss_log(box, "vision/lab", "r-3", 5);
  const auto held = log_of(box, "r-1"), moved = log_of(box, "r-2"), synced = log_of(box, "r-3");
  ASSERT_TRUE(gets_state(box, synced, "synced"));
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 27; }).first);

  GetParam() ? box.kill_daemon() : void(box.stop_daemon());
  for (const auto& log : {held, synced}) std::filesystem::remove_all(log);
  std::filesystem::rename(moved, moved.string() + "1");
  box.start_daemon();
  ASSERT_TRUE(gets_state(box, held, "gone"));
  EXPECT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 6; }).first);
  const auto told = AllOf(HasSubstr(held.string() + " was removed with 21 changes of r-1"),
                          Not(HasSubstr("of r-2 that")), Not(HasSubstr("of r-3 that")));
  EXPECT_THAT(box.sync({"status"}).out, told);
  EXPECT_THAT(box.sync({"events"}).out, told);
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, told);
  EXPECT_EQ(box.sync({"wait", "--run", "r-1", "--timeout", "20s"}).status, 1);

  box.stop_daemon();
  box.start_daemon();
  ASSERT_TRUE(gets_state(box, moved.string() + "1", "closed"));
  EXPECT_THAT(box.sync({"status"}).out, told);
  EXPECT_THAT(box.sync({"events"}).out, Not(HasSubstr("was removed with"))) << "that is no news";
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);
  ASSERT_EQ(box.sync({"wait", "--run", "r-2", "--timeout", "20s"}).status, 0);
  box.stop_daemon();
  std::filesystem::remove_all(moved.string() + "1");
  box.start_daemon();
  ASSERT_TRUE(gets_state(box, box.runs(), "watching"));
  EXPECT_THAT(box.sync({"status"}).out, told) << "what was moved was synced since";
}

INSTANTIATE_TEST_SUITE_P(AfterA, RemovedWhileStopped, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "Kill" : "Stop"; });

TEST(Status, TellsOfAnUnsyncedLogThatCannotBeSeenAfterARestartAndNotAsLost) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root to mount, and to make what others may not read";
  SmallDisk disk(16);
  if (!disk.mounted()) GTEST_SKIP() << "nothing can be mounted here";
  Box box({.config = "[[watch]]\npath = \"" + disk.path().string() + "\"\n", .reads_everything = false});
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  const auto write = [](const std::filesystem::path& directory, const std::string& run) {
    RunLogWriter log({.directory = directory, .project = "ml-team/lab", .run = run, .experiment = {}, .fork = {}});
    log.append(1'000'000, {{"loss", 1.0}});
    log.close(false);
    return log.path().parent_path();
  };
  const auto team = box.runs() / "team";
  const auto on_disk = write(disk.path(), "r-1"), below_closed = write(team, "r-2");
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("totals").at("held").as_int64() == 4; }).first);

  box.stop_daemon();
  ASSERT_EQ(::umount(disk.path().c_str()), 0);
  std::filesystem::permissions(team, std::filesystem::perms::none);
  box.start_daemon();
  for (const auto& log : {on_disk, below_closed}) EXPECT_TRUE(gets_state(box, log, "set_aside")) << log;
  const auto told = box.sync({"status"}).out;
  EXPECT_THAT(told,
              AllOf(HasSubstr("2 changes of r-1 that are not synced were in it"), HasSubstr("not mounted"),
                    HasSubstr("2 changes of r-2"), HasSubstr("Permission denied"), Not(HasSubstr("was removed"))));
  EXPECT_THAT(box.sync({"explain", "r-2"}).out, HasSubstr("Permission denied"));

  std::filesystem::permissions(team, std::filesystem::perms(0755));
  ASSERT_EQ(box.sync({"flush"}).status, 0);
  EXPECT_TRUE(gets_state(box, below_closed, "closed"));

  const auto given_up = box.sync({"discard", "ml-team/lab", "--run", "r-1"});
  EXPECT_EQ(given_up.status, 0) << given_up.err;
  EXPECT_THAT(given_up.out, HasSubstr("2 changes of run r-1 of ml-team/lab that were lost"));
  EXPECT_THAT(box.sync({"status"}).out, Not(HasSubstr("r-1")));
}

class UnusableToken : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(UnusableToken, IsAStateOfItsOwnThatNamesItsFileAndWhatToDo) {
  const auto [name, what] = GetParam();
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}, .start = false});
  const auto file = box.sandbox().token_file();
  const auto good = text_of(file);
  if (std::string_view(name) == "Missing") std::filesystem::remove(file);
  if (std::string_view(name) == "OpenToOthers") std::filesystem::permissions(file, std::filesystem::perms{0644});
  if (std::string_view(name) == "Junk") std::ofstream(file) << "bm90IEpTT04=";
  box.start_daemon();
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", "ml-team/lab"}).status, 0);
  const auto server = box.get("/v1/status").at("server");
  EXPECT_THAT(std::string(server.at("token_problem").as_string()), AllOf(HasSubstr(file.string()), HasSubstr(what)));
  const auto of_token = AllOf(HasSubstr(file.string()), HasSubstr(what), Not(HasSubstr("cannot be reached")),
                              Not(HasSubstr("token is refused")), Not(HasSubstr("flush` tries")));
  for (const auto* verb : {"status", "doctor"}) {
    const auto out = box.sync({verb}).out;
    EXPECT_THAT(out, of_token);
    EXPECT_THAT(out, HasSubstr("Put a valid API token into " + file.string() + ", then `systemctl reload"));
  }
  EXPECT_TRUE(box.wait_status([&box](const auto&) {
                   return box.sync({"explain", "r-1"}).out.find("no API token to use") != std::string::npos;
                 })
                  .first);
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, of_token);
  EXPECT_THAT(box.daemon().err(), AllOf(HasSubstr(file.string()), HasSubstr(what),
                                        HasSubstr("level=error no API token"), Not(HasSubstr("token rejected"))));

  std::ofstream(file) << good;
  std::filesystem::permissions(file, std::filesystem::perms{0600});
  box.daemon().signal(SIGHUP);
  box.wait_synced();
  EXPECT_TRUE(box.get("/v1/status").at("server").at("token_problem").is_null());
}

INSTANTIATE_TEST_SUITE_P(OfAFile, UnusableToken,
                         ::testing::Values(std::pair{"Missing", "No such file"}, std::pair{"OpenToOthers", "chmod 600"},
                                           std::pair{"Junk", "JSON object"}),
                         [](const auto& test) { return std::string(test.param.first); });

TEST(Status, SaysOfCertificatesThatCannotBeUsedThatItIsThemAndNotTheToken) {
  TempDir dir;
  const auto file = dir / "ca.pem";
  std::ofstream(file) << "not the daemon's to read";
  std::filesystem::permissions(file, std::filesystem::perms::none);
  Box box({.server = "ca_file = \"" + file.string() + "\"", .reads_everything = false});
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", "ml-team/lab"}).status, 0);
  const auto told = [&box](const auto&) {
    return box.sync({"explain", "r-1"}).out.find("The server cannot be asked") != std::string::npos;
  };
  EXPECT_TRUE(box.wait_status(told).first) << box.sync({"explain", "r-1"}).out;
  const auto of_the_file =
      AllOf(HasSubstr(file.string()), HasSubstr("Mend that file"), HasSubstr("systemctl reload"),
            Not(HasSubstr("token is refused")), Not(HasSubstr("fail  token")), Not(HasSubstr("no API token")));
  for (const auto* verb : {"status", "doctor"}) EXPECT_THAT(box.sync({verb}).out, of_the_file) << verb;
  EXPECT_THAT(box.sync({"explain", "r-1"}).out, of_the_file);
  EXPECT_THAT(box.sync({"flush"}).out, AllOf(HasSubstr("Nothing is tried"), Not(HasSubstr("token"))));
  EXPECT_THAT(box.daemon().err(),
              AllOf(HasSubstr("level=error server cannot be asked"), Not(HasSubstr("token rejected"))));
  EXPECT_TRUE(box.get("/v1/status").at("server").at("token_remedy").is_null());

  auto config = text_of(box.dir() / "config.toml");
  const auto at = config.find("ca_file");
  config.erase(at, config.find('\n', at) - at);
  std::ofstream(box.dir() / "config.toml") << config;
  box.daemon().signal(SIGHUP);
  box.wait_synced();
  EXPECT_TRUE(box.get("/v1/status").at("server").at("problem").is_null());
}

TEST(Status, SaysOfCertificatesThatCannotBeUsedAlsoWhereOnlyAWorkspaceHasAToken) {
  TempDir dir;
  const auto file = dir / "ca.pem";
  std::ofstream(file) << "not the daemon's to read";
  std::filesystem::permissions(file, std::filesystem::perms::none);
  Box box({.server = "ca_file = \"" + file.string() + "\"",
           .config = "[[workspace]]\nname = \"ml-team\"\napi_token_file = \"@DIR@/token\"\n",
           .reads_everything = false,
           .start = false});
  std::ofstream(box.dir() / "token") << text_of(box.sandbox().token_file());
  std::filesystem::permissions(box.dir() / "token", std::filesystem::perms(0600));
  std::ofstream(box.sandbox().token_file()) << "junk!";
  box.start_daemon();
  const auto told =
      AllOf(HasSubstr("The server cannot be asked"), HasSubstr(file.string()), HasSubstr("Mend that file"));
  EXPECT_THAT(box.sync({"status"}).out, told);
  const auto config = text_of(box.dir() / "config.toml");
  auto without = config;
  const auto at = without.find("ca_file");
  without.erase(at, without.find('\n', at) - at);
  const auto reload_until = [&box](const std::string& text, const std::function<bool(const std::string&)>& is_so) {
    std::ofstream(box.dir() / "config.toml") << text;
    box.daemon().signal(SIGHUP);
    return box.wait_status([&](const auto&) { return is_so(box.sync({"status"}).out); }).first;
  };
  EXPECT_TRUE(reload_until(without, [&](const std::string& out) { return !out.contains(file.string()); }));
  EXPECT_TRUE(reload_until(config, [&](const std::string& out) {
    return out.contains("What was read last of how to reach the server is not used") && out.contains(file.string());
  })) << box.sync({"status"}).out;
}

TEST(Status, TellsATokenThatIsRefusedFromAServerThatIsAway) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}, .start = false});
  const auto good = text_of(box.sandbox().token_file());
  std::ofstream(box.sandbox().token_file())
      << encode_base64(R"({"api_address":")" + box.sandbox().url() + R"(","api_key":"stolen"})");
  box.start_daemon();
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", "ml-team/lab"}).status, 0);
  const auto refused = [](const auto& s) { return s.at("server").at("token_remedy").is_string(); };
  ASSERT_TRUE(box.wait_status(refused).first);
  // The box listens to what the daemon tells a service manager.
  const std::string reload = "then `systemctl reload neptune-syncd`";
  for (const auto& words :
       {std::vector<std::string>{"status"}, {"doctor"}, {"wait", "--timeout", "1s"}, {"explain", "r-1"}}) {
    const auto ran = box.sync(words);
    EXPECT_THAT(ran.out + ran.err, AllOf(HasSubstr("API token"), Not(HasSubstr("cannot be reached")))) << words.front();
  }
  EXPECT_THAT(box.sync({"status"}).out, AllOf(HasSubstr("The API token is refused"), HasSubstr(reload)));
  EXPECT_THAT(box.sync({"doctor"}).out, AllOf(HasSubstr("fail  token"), HasSubstr(reload)));

  std::ofstream(box.sandbox().token_file()) << good;
  box.daemon().signal(SIGHUP);
  box.wait_synced();
  EXPECT_THAT(box.sync({"status"}).out, Not(HasSubstr("token")));
}

TEST(Status, DoesNotTellOfANewServerWhatTheOneBeforeItDid) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}});
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", "ml-team/lab"}).status, 0);
  box.wait_synced();
  EXPECT_TRUE(box.get("/v1/status").at("server").at("last_success_at").is_string());
  std::ofstream(box.sandbox().token_file())
      << encode_base64(R"({"api_address":"http://127.0.0.1:9","api_key":"of another server"})");
  box.daemon().signal(SIGHUP);
  const auto switched = [](const auto& s) { return s.at("server").at("url").as_string().ends_with(":9"); };
  const auto [is_there, status] = box.wait_status(switched);
  ASSERT_TRUE(is_there);
  EXPECT_TRUE(status.at("server").at("last_success_at").is_null());
  ASSERT_EQ(box.sync({"run", "create", "r-2", "--project", "ml-team/lab"}).status, 0);
  ASSERT_TRUE(box.wait_status([](const auto& s) { return s.at("server").at("last_error").is_string(); }).first);
  EXPECT_THAT(box.sync({"status"}).out, Not(HasSubstr("last answered")));
}

TEST(Hold, OfWhatNobodyKnowsIsKeptAndSaidWithTheNameThatMayBeMeant) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}});
  ASSERT_EQ(box.sync({"run", "create", "r-1", "--project", "ml-team/lab"}).status, 0);
  box.wait_synced();
  EXPECT_THAT(box.sync({"hold", "ml-team/lab"}).out, Not(HasSubstr("known")));
  EXPECT_THAT(box.sync({"hold", "ml-team"}).out, Not(HasSubstr("known")));
  const auto mistyped = box.sync({"hold", "ml-taem"});
  EXPECT_EQ(mistyped.status, 0) << "it may be meant beforehand";
  EXPECT_THAT(mistyped.out, AllOf(HasSubstr("nothing of it is known here yet"), HasSubstr("Did you mean ml-team?")));
  EXPECT_EQ(box.sync({"release", "ml-taem"}).status, 0);
  EXPECT_THAT(box.sync({"release", "ml-taem"}).err,
              HasSubstr("nothing to release. Nothing of it is known here. Did you mean ml-team?"));
  const auto names = [&box] { return boost::json::serialize(box.get("/v1/status").at("workspaces")); };
  EXPECT_EQ(box.sync({"hold", "ml-team/lba"}).status, 0);
  EXPECT_THAT(names(), HasSubstr("lba"));
  EXPECT_EQ(box.sync({"release", "ml-team/lba"}).status, 0);
  EXPECT_THAT(names(), Not(HasSubstr("lba"))) << "nor is it completed";
  const auto probed = box.sync({"probe", "ml-taem"});
  EXPECT_EQ(probed.status, 1);
  EXPECT_THAT(probed.err, AllOf(HasSubstr("Nothing is known of ml-taem"), HasSubstr("Did you mean ml-team?")));
  EXPECT_THAT(box.sync({"probe", "ml-team/lab"}).out, Not(HasSubstr("known")));
}

TEST(Metrics, CountWhatWasConfirmedSentRefusedUploadedAndAsked) {
  Box box;
  const auto project = std::vector<std::string>{"--project", "ml-team/lab"};
  const auto run = [&box, &project](std::vector<std::string> words) {
    words.insert(words.begin(), "run");
    words.insert(words.end(), project.begin(), project.end());
    EXPECT_EQ(box.sync(words).status, 0);
  };
  const auto model = box.dir() / "model.bin";
  std::ofstream(model) << "weights";
  EXPECT_THAT(metrics_of(box), Not(HasSubstr("project=\"lab\"")));
  run({"create", "r-1"});
  run({"log", "r-1", "loss=0.3", "--step", "2"});
  run({"log", "r-1", "loss=0.2", "--step", "1"});  // points do not go back
  run({"upload", "r-1", "model", model});
  box.sync({"wait", "--now", "--timeout", "30s"});
  box.sandbox().control(R"({"workspace": "ml-team", "mode": "read_only"})");
  run({"log", "r-1", "loss=0.1", "--step", "3"});
  const auto asked = [&box](const auto&) {
    return metrics_of(box).find("neptune_sync_probes_total{workspace=\"ml-team\",result=\"read_only\"}") !=
           std::string::npos;
  };
  EXPECT_TRUE(box.wait_status(asked).first);
  const auto text = metrics_of(box);
  const std::string lab = "workspace=\"ml-team\",project=\"lab\"";
  EXPECT_THAT(text, HasSubstr("neptune_sync_rejections_total{" + lab + ",code=\"SERIES_STEP_NON_INCREASING\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("neptune_sync_rejected_changes_total{" + lab + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("neptune_sync_rejected_kept_changes{" + lab + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("neptune_sync_uploaded_files_total{" + lab + "} 1\n"));
  EXPECT_THAT(text, HasSubstr("neptune_sync_uploaded_bytes_total{" + lab + "} 7\n"));
  EXPECT_THAT(text, ContainsRegex("neptune_sync_confirm_seconds_count\\{" + lab + "\\} [1-9]"));
  EXPECT_THAT(text, ContainsRegex("neptune_sync_sent_bytes_total\\{" + lab + "\\} [1-9]"));
}

TEST(Metrics, NeverCountARejectionBackThatARetryStored) {
  Box box;
  box.hand_in(R"([{"kind": "project.create", "project": "ml-team/lab"},
                  {"kind": "run.create", "project": "ml-team/lab", "run": "r-1"}])");
  box.sandbox().control(R"({"reject": {"path": "bad", "code": "FIELD_TYPE_CONFLICTING"}})");
  box.hand_in(R"({"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "assign": {"bad": 1}})");
  EXPECT_EQ(box.sync({"wait", "--now", "--timeout", "30s"}).status, 1);
  box.sandbox().control(R"({"reset": true})");
  ASSERT_EQ(box.sync({"rejected", "retry", "--all"}).status, 0);
  EXPECT_EQ(box.sync({"wait", "--now", "--timeout", "30s"}).status, 0);
  for (int life = 0; life < 2; ++life) {
    const auto text = metrics_of(box);
    for (const auto* of : {"workspace=\"ml-team\",project=\"lab\"", "workspace=\"ml-team\""}) {
      const std::string prefix = std::string("neptune_sync_") + (std::strchr(of, ',') ? "" : "workspace_");
      EXPECT_THAT(text, HasSubstr(prefix + "rejected_changes_total{" + of + "} 1\n"));
      EXPECT_THAT(text, HasSubstr(prefix + "rejected_kept_changes{" + of + "} 0\n"));
    }
    box.stop_daemon();
    box.start_daemon();
  }
}

TEST(Doctor, GoesTheWayToTheServerAndLooksAtTheBox) {
  Box box({.sandbox_args = {"--workspace", "ml-team:team"}, .config = "[[watch]]\npath = \"@DIR@/not-there\"\n"});
  const auto well = box.sync({"doctor"});
  EXPECT_EQ(well.status, 0) << well.out << well.err;
  for (const char* line : {"daemon", "socket", "config", "state", "disk", "files", "inotify", "name", "connection",
                           "server", "clock agrees with the server's", "no workspace or project is read-only or held",
                           "the server takes the API token"})
    EXPECT_THAT(well.out, HasSubstr(line));
  EXPECT_THAT(well.out, HasSubstr((box.dir() / "not-there").string()));

  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  EXPECT_THAT(box.sync({"doctor"}).out, AllOf(ContainsRegex("warn +mode +ml-team has been held by root for [0-9]+ s"),
                                              HasSubstr("-> `neptune-sync release ml-team` lets it go")));
  ASSERT_EQ(box.sync({"release", "ml-team"}).status, 0);

  box.sandbox().stop();
  const auto away = box.sync({"doctor"});
  EXPECT_EQ(away.status, 1) << away.out;
  EXPECT_THAT(away.out, AllOf(HasSubstr("refuses connections"), HasSubstr("-> Check the network")));
}

/// The way an installed client finds the daemon's program: as the shell does, where it is not beside it.
class WithTheProgramOnThePath {
 public:
  WithTheProgramOnThePath() : path_(std::getenv("PATH") ? std::getenv("PATH") : "") {
    ::setenv("PATH", (binary("neptune-syncd").parent_path().string() + ":" + path_).c_str(), 1);
  }
  ~WithTheProgramOnThePath() { ::setenv("PATH", path_.c_str(), 1); }

 private:
  std::string path_;
};

/// All that is on disk below a directory: names, modes, sizes and times of change.
std::string state_of(const std::filesystem::path& directory) {
  std::ostringstream all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    struct stat data{};
    if (::lstat(entry.path().c_str(), &data) != 0) continue;
    all << entry.path() << ' ' << data.st_mode << ' ' << data.st_size << ' ' << data.st_ctim.tv_sec << '.'
        << data.st_ctim.tv_nsec << '\n';
  }
  return all.str();
}

class DoctorOfAStoppedDaemon : public ::testing::Test {
 protected:
  Ran ask() { return box_.sync({"doctor", "--config", box_.dir() / "config.toml"}); }

  const WithTheProgramOnThePath path_;
  Box box_{{.config = "[queue]\nmin_free_disk = \"1MiB\"\n", .start = false}};
};

TEST_F(DoctorOfAStoppedDaemon, TellsAllThatTheRunningOneWouldAndChangesNothing) {
  box_.start_daemon();
  ASSERT_EQ(box_.stop_daemon(), 0);
  const auto state = state_of(box_.dir() / "state"), runs = state_of(box_.runs());
  const auto well = ask();
  EXPECT_EQ(well.status, 1) << "it does not run";
  EXPECT_THAT(well.out,
              AllOf(HasSubstr("fail  daemon"), HasSubstr("config.toml is fine"),
                    ContainsRegex("ok +state +only the daemon reads and writes " + (box_.dir() / "state").string()),
                    ContainsRegex("(ok|warn) +disk +[0-9.]+ [KMGT]iB are free"),
                    ContainsRegex("ok +files +a daemon that .* may have [0-9]+ files open"),
                    Not(HasSubstr("inotify")),  // what it uses shows when it runs
                    ContainsRegex("ok +processes +a daemon that .* sees who has a log open"),
                    ContainsRegex("ok +folder +" + box_.runs().string())));
  EXPECT_THAT(well.out,
              AllOf(ContainsRegex("ok +token +The API token is read from " + box_.sandbox().token_file().string()),
                    ContainsRegex("ok +name +the host of"), ContainsRegex("ok +connection +a connection is made"),
                    ContainsRegex("ok +server +a Neptune server answers there"), ContainsRegex("ok +clock"),
                    ContainsRegex("ok +token +the server takes the API token"), HasSubstr("\n1 failure, ")));
  EXPECT_EQ(state_of(box_.dir() / "state"), state);
  EXPECT_EQ(state_of(box_.runs()), runs);
  EXPECT_FALSE(std::filesystem::exists(box_.socket()));
}

TEST_F(DoctorOfAStoppedDaemon, MakesNoStateDirectory) {
  const auto ran = ask();
  EXPECT_THAT(ran.out, ContainsRegex("ok +state +there is no .*/state yet; the daemon makes it"));
  EXPECT_FALSE(std::filesystem::exists(box_.dir() / "state"));
}

TEST_F(DoctorOfAStoppedDaemon, SaysWhereTheWayToTheServerEnds) {
  box_.sandbox().stop();
  const auto away = ask();
  EXPECT_THAT(away.out, AllOf(ContainsRegex("ok +name"), ContainsRegex("fail +connection +.*refuses connections"),
                              HasSubstr("-> Check the network"), HasSubstr("\n2 failures, ")));
}

TEST_F(DoctorOfAStoppedDaemon, SaysThatTheTokenIsRefusedAndWhereANewOneGoes) {
  box_.sandbox().control(R"({"reject_api_token": true})");
  const auto refused = ask();
  EXPECT_THAT(refused.out, AllOf(ContainsRegex("ok +server"), ContainsRegex("fail +token "),
                                 HasSubstr("-> Put a valid API token into " + box_.sandbox().token_file().string())));
  EXPECT_THAT(refused.out, HasSubstr(", then start the daemon."));
}

TEST_F(DoctorOfAStoppedDaemon, NamesAFolderThatIsMissing) {
  std::filesystem::remove(box_.runs());
  EXPECT_THAT(ask().out, AllOf(ContainsRegex("warn +folder +" + box_.runs().string() + " is not there yet"),
                               HasSubstr("-> Make it where jobs are to log")));
}

TEST_F(DoctorOfAStoppedDaemon, SaysWhoMayReadATokenThatTheCallerMayNot) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can act as another user";
  std::filesystem::permissions(box_.dir(), std::filesystem::perms{0711});
  std::filesystem::permissions(box_.dir() / "config.toml", std::filesystem::perms{0644});
  std::filesystem::permissions(box_.sandbox().token_file().parent_path(), std::filesystem::perms{0711});
  const auto config = (box_.dir() / "config.toml").string();
  const auto told = box_.sync_as(65534, {"doctor", "--config", config});
  EXPECT_THAT(told.out, AllOf(HasSubstr("it is for root (mode 0600)"),
                              HasSubstr("`sudo neptune-sync doctor --config " + config + "` reads it"),
                              Not(HasSubstr("a connection is made"))));
}

TEST(Doctor, AndTheStatusSayThatTheDiskLeavesNoRoomForChanges) {
  Box box({.config = "[queue]\nmin_free_disk = \"500TiB\"\n"});
  EXPECT_THAT(box.sync({"run", "create", "r-1", "--project", "ml-team/lab"}).err,
              HasSubstr("min_free_disk keeps 500.0 TiB of them free"));
  const auto doctor = box.sync({"doctor"});
  EXPECT_EQ(doctor.status, 1) << doctor.out;
  EXPECT_THAT(doctor.out,
              AllOf(HasSubstr("fail  disk"), HasSubstr("less than the 500.0 TiB"), HasSubstr("lower min_free_disk")));
  EXPECT_THAT(box.sync({"status"}).out, HasSubstr("min_free_disk keeps 500.0 TiB"));
  EXPECT_THAT(metrics_of(box), HasSubstr("neptune_sync_problems 1\n"));
}

TEST(Doctor, AndTheStatusSayThatTheQueueIsFull) {
  Box box({.config = "[queue]\nmax_bytes = \"1MiB\"\nmin_free_disk = \"0B\"\n"});
  ASSERT_EQ(box.sync({"hold", "ml-team"}).status, 0);
  EXPECT_THAT(box.sync({"status"}).out, Not(HasSubstr("queue is full")));
  const auto fill_with = [&box](int changes) {
    const auto one = R"({"kind":"run.update","project":"ml-team/lab","run":"r-1","assign":{"note":")" +
                     std::string(900, 'x') + "\"}}";
    auto all = "[" + one;
    for (int i = 1; i < changes; ++i) all += "," + one;
    unsigned status = 202;
    while (status == 202) status = box.hand_in(all + "]").first;
    EXPECT_EQ(status, 507u);
  };
  fill_with(50);
  fill_with(1);
  const auto doctor = box.sync({"doctor"});
  EXPECT_EQ(doctor.status, 1) << doctor.out;
  EXPECT_THAT(doctor.out, AllOf(HasSubstr("fail  queue"), HasSubstr("of at most 1.0 MiB wait in the change queue"),
                                HasSubstr("raise [queue] max_bytes")));
  EXPECT_THAT(box.sync({"status"}).out, HasSubstr("The change queue is full"));
  EXPECT_THAT(metrics_of(box),
              AllOf(HasSubstr("neptune_sync_queue_max_bytes 1048576\n"), HasSubstr("neptune_sync_problems 1\n"),
                    Not(HasSubstr("neptune_sync_queue_bytes 0\n"))));
}

TEST(Doctor, LetsOthersPassThroughTheStateDirectoryButNotLookAround) {
  Box box;
  const auto state = box.dir() / "state";
  const auto doctor_at = [&box, &state](unsigned mode) {
    std::filesystem::permissions(state, std::filesystem::perms{mode});
    return box.sync({"doctor"}).out;
  };
  // As the package makes it: the folder of everybody's runs lies in it.
  EXPECT_THAT(doctor_at(0711), ContainsRegex("ok +state +only the daemon reads and writes " + state.string()));
  for (const unsigned open : {0755u, 0750u, 0733u})
    EXPECT_THAT(doctor_at(open), AllOf(ContainsRegex("warn +state "), HasSubstr("chmod go-rw " + state.string())))
        << open;
}

}  // namespace
}  // namespace neptune::testing
