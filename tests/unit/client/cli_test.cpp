#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "client/lib/json.h"
#include "tests/unit/client/command.h"

// The command as scripts see it: what it prints where, and its exit codes.
namespace neptune {
namespace {

using test::FixedControl;
using testing::HasSubstr;
using testing::IsEmpty;

class Command : public test::CommandTest {};

api::Stream stream_of(std::uint64_t pending, std::uint64_t held) {
  api::Stream stream;
  stream.project = "ml-team/x";
  stream.container = "r1";
  stream.pending = pending;
  stream.held = held;
  stream.closed = true;
  return stream;
}

TEST_F(Command, StatusExitsWithFiveWhenAnythingIsHeld) {
  const auto free = ask("status");
  EXPECT_EQ(free.exit, 0) << free.err;
  EXPECT_THAT(free.out, HasSubstr("Everything is synced."));
  served_.on_loop([](FixedControl& control) { control.status_now.totals.held = 3; });
  EXPECT_EQ(ask("status").exit, 5);
  EXPECT_EQ(ask("status --json").exit, 5);
  served_.on_loop([](FixedControl& control) {
    control.status_now.totals.held = 0;
    control.status_now.workspaces.emplace_back().mode = "read_only";
  });
  EXPECT_EQ(ask("status").exit, 0) << "nothing waits for it";
  served_.on_loop([](FixedControl& control) { control.status_now.workspaces[0].operator_hold = true; });
  EXPECT_EQ(ask("status").exit, 5) << "the next change will wait";
}

TEST_F(Command, JsonIsTheDaemonsOwnOnOneLine) {
  const auto expected = test::body_of(test::ask(served_.path(), "GET", "/v1/status")) + "\n";
  EXPECT_EQ(ask("--json status").out, expected);
  EXPECT_EQ(ask("status --json").out, expected) << "global options may stand after the verb";
}

TEST_F(Command, TakesItsSocketFromTheEnvironment) {
  ::setenv("NEPTUNE_SYNC_SOCKET", served_.path().c_str(), 1);
  EXPECT_EQ(run("status").exit, 0);
  EXPECT_EQ(run("status --socket /nowhere").exit, 3) << "the flag goes first";
  ::setenv("NEPTUNE_SYNC_SOCKET", "/nowhere", 1);
  EXPECT_EQ(run("status").exit, 3);
  ::unsetenv("NEPTUNE_SYNC_SOCKET");
}

TEST_F(Command, FindsTheUsersOwnDaemonWhereThereIsNoOther) {
  if (std::filesystem::exists("/run/neptune-syncd/api.sock")) GTEST_SKIP() << "a system daemon is installed here";
  std::filesystem::create_directory(folder_ / "neptune-syncd");
  std::filesystem::create_symlink(served_.path(), folder_ / "neptune-syncd" / "api.sock");
  ::setenv("XDG_RUNTIME_DIR", (folder_ / "").c_str(), 1);
  EXPECT_EQ(run("status").exit, 0);
  ::unsetenv("XDG_RUNTIME_DIR");
}

TEST_F(Command, FindsADaemonThatWasStartedWithoutARuntimeDirectory) {
  if (std::filesystem::exists("/run/neptune-syncd/api.sock")) GTEST_SKIP() << "a system daemon is installed here";
  std::filesystem::create_directories(folder_ / ".local" / "state" / "neptune-syncd");
  std::filesystem::create_symlink(served_.path(), folder_ / ".local" / "state" / "neptune-syncd" / "api.sock");
  const auto without = "env -u XDG_RUNTIME_DIR -u XDG_STATE_HOME ";
  EXPECT_EQ(run_line(without + std::string("HOME=") + (folder_ / "").string() + " " NEPTUNE_SYNC " status").exit, 0);
  EXPECT_EQ(run_line(without + std::string("HOME=/nowhere XDG_STATE_HOME=") + (folder_ / ".local/state").string() +
                     " " NEPTUNE_SYNC " status")
                .exit,
            0);
  EXPECT_EQ(run_line(without + std::string("HOME=/nowhere " NEPTUNE_SYNC " status")).exit, 3);
}

TEST_F(Command, FindsADaemonWhereItsConfigurationPutsIt) {
  if (std::filesystem::exists("/run/neptune-syncd/api.sock")) GTEST_SKIP() << "a system daemon is installed here";
  const auto home = folder_ / "home", elsewhere = folder_ / "elsewhere";
  std::filesystem::create_directories(home / ".config" / "neptune-syncd");
  std::filesystem::create_directories(elsewhere);
  const auto status_with = [&](const std::string& config) {
    std::ofstream(home / ".config" / "neptune-syncd" / "config.toml") << config;
    return run_line("env -u XDG_RUNTIME_DIR -u XDG_STATE_HOME -u XDG_CONFIG_HOME -u NEPTUNE_SYNC_SOCKET HOME=" +
                    home.string() + " " NEPTUNE_SYNC " status");
  };
  std::filesystem::create_symlink(served_.path(), elsewhere / "api.sock");
  std::filesystem::create_symlink(served_.path(), home / "own.sock");
  for (const auto& config : {"# mine\nsocket = \"" + (elsewhere / "api.sock").string() + "\" # there\n",
                             std::string("  socket='~/own.sock'\n[server]\nsocket = \"/nowhere\"\n"),
                             "log_level = \"info\"\nstate_dir = \"" + elsewhere.string() + "\"\n"})
    EXPECT_EQ(status_with(config).exit, 0) << config;
  const auto away = status_with("socket = \"/nowhere/api.sock\"\n");
  EXPECT_EQ(away.exit, 3);
  EXPECT_THAT(away.err, HasSubstr("There is no neptune-syncd at /nowhere/api.sock")) << "which one is meant";
  for (const char* config : {"[server]\nsocket = \"~/own.sock\"\n", "socket = 7\n", "socket = \"~/own.sock\n", ""})
    EXPECT_EQ(status_with(config).exit, 3) << config;
}

TEST_F(Command, OfTwoDaemonsSaysWhichIsAskedAndHowToAskTheOther) {
  if (std::filesystem::exists("/run/neptune-syncd/api.sock")) GTEST_SKIP() << "a system daemon is installed here";
  test::Served other;
  const auto runtime = folder_ / "run", state = folder_ / "state";
  for (const auto& directory : {runtime, state}) std::filesystem::create_directories(directory / "neptune-syncd");
  std::filesystem::create_symlink(served_.path(), runtime / "neptune-syncd" / "api.sock");
  std::filesystem::create_symlink(other.path(), state / "neptune-syncd" / "api.sock");
  const auto asked = (runtime / "neptune-syncd/api.sock").string(),
             passed = (state / "neptune-syncd/api.sock").string();
  const auto with = [&](const std::string& rest) {
    return run_line("env -u XDG_CONFIG_HOME -u NEPTUNE_SYNC_SOCKET HOME=/nowhere XDG_RUNTIME_DIR=" + runtime.string() +
                    " XDG_STATE_HOME=" + state.string() + " " + rest);
  };
  const auto which = "This is your own daemon, at " + asked +
                     ". Another one answers, too: `export NEPTUNE_SYNC_SOCKET=" + passed + "`";
  const std::string status = NEPTUNE_SYNC " status", log = NEPTUNE_SYNC " run log r1 a=1 --project ml-team/lab";
  EXPECT_THAT(with(status).out, HasSubstr(which));
  EXPECT_THAT(with(status + " --json").out, Not(HasSubstr("answers, too")));
  const auto handed_in = with(log);
  EXPECT_EQ(handed_in.exit, 0);
  EXPECT_THAT(handed_in.err, HasSubstr(which));
  EXPECT_EQ(handed_in.err.find("answers, too"), handed_in.err.rfind("answers, too")) << "once";
  for (const auto& chosen : {"NEPTUNE_SYNC_SOCKET=" + asked + " " + log, log + " --socket " + asked,
                             "NEPTUNE_SYNC_SOCKET=" + asked + " " + status}) {
    const auto ran = with(chosen);
    EXPECT_THAT(ran.out + ran.err, Not(HasSubstr("answers, too"))) << chosen;
  }
  // What a daemon left behind that was killed, and one socket under two names.
  std::filesystem::remove(passed);
  std::filesystem::create_symlink(served_.path(), passed);
  EXPECT_THAT(with(status).out, Not(HasSubstr("answers, too")));
  std::filesystem::remove(passed);
  std::ofstream(passed) << "";
  EXPECT_THAT(with(status).out, Not(HasSubstr("answers, too")));
}

TEST_F(Command, NamesTheSocketThatTheUsersOwnDaemonWouldHave) {
  if (std::filesystem::exists("/run/neptune-syncd/api.sock")) GTEST_SKIP() << "a system daemon is installed here";
  if (::getuid() != 0) GTEST_SKIP() << "it takes root to be somebody else";
  const auto home = folder_ / "home";
  std::filesystem::create_directories(home / ".config" / "neptune-syncd");
  const auto status =
      "env -u XDG_RUNTIME_DIR -u XDG_STATE_HOME -u XDG_CONFIG_HOME -u NEPTUNE_SYNC_SOCKET HOME=" + home.string() +
      " setpriv --reuid 64999 --regid 64999 --clear-groups " NEPTUNE_SYNC " status";
  EXPECT_THAT(run_line(status).err,
              HasSubstr("no neptune-syncd at /run/neptune-syncd/api.sock, nor one of your own at " + home.string() +
                        "/.local/state/neptune-syncd/api.sock."));
  std::ofstream(home / ".config" / "neptune-syncd" / "config.toml") << "[server]\n";
  EXPECT_THAT(run_line(status).err,
              HasSubstr("no neptune-syncd at " + home.string() + "/.local/state/neptune-syncd/api.sock."));
  EXPECT_THAT(run_line("XDG_RUNTIME_DIR=/tmp " + status.substr(status.find("HOME="))).err,
              HasSubstr("no neptune-syncd at /tmp/neptune-syncd/api.sock."));
}

TEST_F(Command, SaysOnStandardErrorThatTheDaemonIsNotThere) {
  for (const char* verb : {"status", "streams", "rejected", "rejected list --limit 5", "events", "flush", "hold a",
                           "wait", "rejected show 1", "run log r1 a=1 --project a/b", "project list"}) {
    const auto ran = run("--socket " + log_path() + " " + verb);
    EXPECT_EQ(ran.exit, 3) << verb;
    EXPECT_THAT(ran.out, IsEmpty());
    EXPECT_THAT(ran.err, HasSubstr("There is no neptune-syncd at " + log_path()));
  }
}

TEST_F(Command, ErrorsAreJsonWhereJsonIsAskedFor) {
  const auto ran = ask("hold a/b/c --json");
  EXPECT_EQ(ran.exit, 2);
  const auto error = api::from_json<api::ErrorReply>(ran.err);
  ASSERT_TRUE(error) << ran.err;
  EXPECT_EQ(error->code, "invalid_project_name");
}

TEST_F(Command, WrongUsageIsTwo) {
  for (const char* wrong : {"", "statsu", "hold", "status extra", "rejected show", "rejected show x",
                            "wait --timeout soon", "wait --timeout", "--colour status", "rejected --limit 0"})
    EXPECT_EQ(ask(wrong).exit, 2) << wrong;
}

TEST_F(Command, WhatTheDaemonFindsWrongWithTheWordsIsAWrongUsageToo) {
  for (const char* wrong : {"hold a/b/c", "release a/", "probe /b --json", "discard a//b", "wait --project a/b/c",
                            "streams --project a/b/c", "project members list a"})
    EXPECT_EQ(ask(wrong).exit, 2) << wrong;
  EXPECT_EQ(ask("rejected show 4711").exit, 1) << "the words are right, and there is none";
  served_.on_loop([](FixedControl& control) { control.failure = Error{"unknown_rejected", "there is none"}; });
  EXPECT_EQ(ask("rejected retry 4711").err, "neptune-sync: There is none\n");
}

TEST_F(Command, AWrongUsageIsToldInASentenceWithWhatWasMeant) {
  const std::vector<std::pair<std::string, std::string>> told{
      {"staus",
       "'staus' is no command of `neptune-sync`. Did you mean `neptune-sync status`?\nSee `neptune-sync --help`.\n"},
      {"run creat trial-7",
       "'creat' is no command of `neptune-sync run`. Did you mean `neptune-sync run create`?\n"
       "See `neptune-sync run --help`.\n"},
      {"rejected retri 5", "Did you mean `neptune-sync rejected retry`?\n"},
      {"upload", "Did you mean `neptune-sync run upload`?\n"},
      {"queue import", "Did you mean `neptune-sync import`?\n"},
      {"rejected xyzzy",
       "'xyzzy' is no command of `neptune-sync rejected`. `neptune-sync rejected` is followed by list, show, "
       "retry, discard or export.\n"},
      {"rejected discard 8 --all", "ID: One ID, --all, and --run or --project exclude each other; give one of them.\n"},
      {"rejected discard", "ID: Say which: one ID, --all, or --run and --project.\n"},
      {"run log r flag=true --step 1 --project a/b", "flag: a series holds numbers or texts; use --assign"},
      {"xyzzy", "'xyzzy' is no command of `neptune-sync`.\nSee"},
      {"run log r a=1 --stp=3", "'--stp' is no option of `neptune-sync run log`. Did you mean --step?\n"},
      {"status --jsn", "Did you mean --json?\n"},
      {"status extra", "'extra' is one argument too many for `neptune-sync status`.\n"},
      {"wait r1",
       "'r1' is one argument too many for `neptune-sync wait`. Did you mean `neptune-sync wait --run r1`?\n"},
      {"wait a/b", "Did you mean `neptune-sync wait --project a/b`?\n"},
      {"wait r1 --run r2", "'r1' is one argument too many for `neptune-sync wait`.\n"},
      {"project members a/b", "Did you mean `neptune-sync project members list a/b`?\n"},
      {"help nosuch", "'nosuch' is no command of `neptune-sync`.\n"},
      {"", "Say what to do, as in `neptune-sync status`.\nSee `neptune-sync --help`.\n"},
      {"queue", "Say what to do: `neptune-sync queue` is followed by check.\n"},
      {"hold", "SCOPE is required.\nSee `neptune-sync hold --help`.\n"},
      {"wait --timeout", "--timeout needs a value.\n"},
      {"rejected show x", "ID: 'x' is no whole number above 0.\n"},
      {"rejected --limit 0", "--limit: '0' is no whole number from 1 to 1000.\n"},
      {"events --since -1", "--since: '-1' is no whole number.\n"},
      {"hold ''", "SCOPE: It is empty.\n"},
      {"wait --project ''", "--project: It is empty.\n"}};
  for (const auto& [arguments, text] : told) {
    const auto ran = ask(arguments);
    EXPECT_EQ(ran.exit, 2) << arguments;
    EXPECT_THAT(ran.err, testing::AllOf(testing::StartsWith("neptune-sync: "), HasSubstr(text))) << arguments;
    EXPECT_THAT(ran.out, IsEmpty()) << arguments;
  }
}

TEST_F(Command, HelpAndVersionNeedNoDaemon) {
  for (const auto& [shorter, longer] :
       {std::pair("help", "--help"), {"help run log", "run log --help"}, {"help status", "status --help"}}) {
    const auto help = run(shorter);
    EXPECT_EQ(help.exit, 0) << shorter;
    EXPECT_EQ(help.out, run(longer).out);
  }
  const auto version = run("--version");
  EXPECT_EQ(version.exit, 0);
  EXPECT_THAT(version.out, testing::StartsWith("neptune-sync "));
  const auto help = run("--help");
  EXPECT_EQ(help.exit, 0);
  for (const char* verb :
       {"status", "streams", "rejected", "events",  "hold",   "release", "probe", "flush", "wait",   "project", "run",
        "model",  "trash",   "change",   "explain", "doctor", "watch",   "tidy",  "queue", "export", "import"})
    EXPECT_THAT(help.out, HasSubstr(verb));
  EXPECT_THAT(help.out, HasSubstr("\nCommands:\n How things stand\n  status "));
  EXPECT_THAT(run("run --help").out, HasSubstr("\nCommands:\n  create "));
}

TEST_F(Command, VerbsReachTheDaemon) {
  served_.on_loop([](FixedControl& control) {
    auto& workspace = control.status_now.workspaces.emplace_back();
    workspace.name = "ml-team";
    workspace.projects.emplace_back().name = "x";
  });
  EXPECT_EQ(ask("hold ml-team/x").out, "ml-team/x is held now.\n");
  EXPECT_EQ(ask("release ml-team/x").out, "ml-team/x is normal now.\n");
  EXPECT_EQ(ask("probe ml-team").exit, 0);
  EXPECT_EQ(ask("discard ml-teem/lab --run r1").out, "12 changes were thrown away.\n");
  EXPECT_THAT(ask("release ml-team --dry-run").out, HasSubstr("12 changes"));
  EXPECT_EQ(ask("flush").exit, 0);
  EXPECT_EQ(ask("rejected retry 7").out, "Rejected 7 will be sent again.\n");
  EXPECT_EQ(ask("rejected discard 7").out, "Rejected 7 was discarded.\n");
  const auto calls = served_.on_loop([](FixedControl& control) { return control.calls.size(); });
  EXPECT_EQ(calls, 7u) << "the dry run is none of them";
}

TEST_F(Command, RejectedListsAndShows) {
  served_.on_loop([](FixedControl& control) {
    auto& one = control.rejected_now.emplace_back();
    one.id = 7;
    one.code = "SERIES_STEP_NON_INCREASING";
    control.payload = std::string("\0\1", 2);
  });
  EXPECT_THAT(ask("rejected").out, HasSubstr("SERIES_STEP_NON_INCREASING"));
  EXPECT_THAT(ask("rejected show 7").out, HasSubstr("code         SERIES_STEP_NON_INCREASING\n"));
  EXPECT_THAT(ask("rejected show 7").out, HasSubstr("that is      Steps of a series must grow, and this one"));
  EXPECT_EQ(ask("rejected show 7 --payload").out, std::string("\0\1", 2));
  EXPECT_THAT(ask("rejected show 7").out, testing::Not(HasSubstr("run  "))) << "it is of none";
  EXPECT_EQ(ask("rejected show 8").exit, 1);
}

TEST_F(Command, EventsAreTheKeptOnesUnlessFollowed) {
  served_.on_loop([](FixedControl& control) {
    control.happen({.type = "mode_changed", .message = "It is read-only."});
    control.happen({.type = "synced", .message = "All of it."});
  });
  const auto kept = ask("events");
  EXPECT_EQ(kept.exit, 0);
  EXPECT_EQ(kept.out,
            "     1  2026-01-02 03:04:05Z  mode_changed        It is read-only.\n"
            "     2  2026-01-02 03:04:05Z  synced              All of it.\n");
  EXPECT_THAT(ask("events --since 1 --json").out,
              testing::StartsWith(R"({"id":2,"at":"2026-01-02T03:04:05.678Z","type":"synced")"));
  served_.on_loop([](FixedControl& control) { control.drain(); });
  const auto followed = ask("events -f --since 2");
  EXPECT_EQ(followed.exit, 0);
  EXPECT_THAT(followed.out, HasSubstr("draining"));
}

TEST_F(Command, EventsTellAGap) {
  served_.on_loop([](FixedControl& control) {
    control.events_kept = 1;
    for (int i = 0; i < 3; ++i) control.happen({.type = "synced", .message = "All of it."});
  });
  const auto events = ask("events --since 1");
  EXPECT_THAT(events.out, HasSubstr("     2  "));
  EXPECT_THAT(events.out, HasSubstr("gap                 Events were dropped."));
  EXPECT_THAT(events.out, HasSubstr("     3  2026"));
}

TEST_F(Command, WhoMayNotDiscardRejectedChangesIsToldThatAlone) {
  const std::string as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups " + std::string(NEPTUNE_SYNC) + " ";
  if (::geteuid() != 0 || run_line(as_nobody + "--version").exit != 0) GTEST_SKIP() << "needs root to be somebody else";
  served_.on_loop([](FixedControl& control) { control.rejected_now.emplace_back().id = 9; });
  const auto refused = run_line(as_nobody + "--socket " + served_.path() + " rejected discard --all");
  EXPECT_EQ(refused.exit, 1);
  EXPECT_EQ(refused.out, "");
  EXPECT_THAT(refused.err, HasSubstr("This is not for"));
}

TEST_F(Command, RejectedChangesOfARunOrAllOfThemAreRetriedOldestFirst) {
  served_.on_loop([](FixedControl& control) {
    for (int id = 9; id > 5; --id) {
      auto& one = control.rejected_now.emplace_back();
      one.id = id;
      one.project = "ml-team/x";
      one.container = id % 2 == 0 ? "even" : "odd";
      one.container_type = id == 8 ? "files" : "run";
    }
    control.payload = std::string("\0\1", 2);
  });
  EXPECT_EQ(ask("rejected retry --run even").out, "2 changes will be sent again.\n");
  EXPECT_EQ(ask("rejected discard --project ml-team --run odd").out, "2 changes discarded.\n");
  EXPECT_EQ(ask("rejected retry --all --json").out, "{\"done\":4}\n");
  served_.on_loop([](FixedControl& control) { control.streams_now.emplace_back().container = "fine"; });
  for (const char* verb : {"retry", "discard", "export"}) {
    const auto none = ask(std::string("rejected ") + verb + " --run fime");
    EXPECT_EQ(none.exit, 1) << verb;
    EXPECT_EQ(none.err,
              "neptune-sync: No change of run fime is kept as rejected, and nothing of it is known here. Did you mean "
              "fine?\n");
  }
  const auto fine = ask("rejected retry --run fine");
  EXPECT_EQ(fine.exit, 0) << "there was nothing to be done";
  EXPECT_EQ(fine.out, "No change of run fine is kept as rejected.\n");
  EXPECT_EQ(ask("rejected discard --project ml-tea").exit, 1);
  EXPECT_EQ(served_.on_loop([](FixedControl& control) { return control.calls; }),
            (std::vector<std::string>{"retry 6", "retry 8", "discard 7", "discard 9", "retry 6", "retry 7", "retry 8",
                                      "retry 9"}));
  const auto exported = ask("rejected export --run even").out;
  EXPECT_THAT(exported, testing::StartsWith(R"({"id":6,)"));
  EXPECT_THAT(exported, testing::EndsWith("\"payload\":\"AAE=\"}\n"));
  EXPECT_EQ(std::ranges::count(exported, '\n'), 2);
  for (const char* wrong : {"rejected retry", "rejected discard 7 --all", "rejected export --all --run even"})
    EXPECT_EQ(ask(wrong).exit, 2) << wrong;
}

TEST_F(Command, ExplainSaysWhatAStreamWaitsFor) {
  served_.on_loop([](FixedControl& control) {
    auto stream = stream_of(0, 3);
    stream.waiting_for = "project_held";
    stream.why = "ml-team/x is held by root";
    control.streams_now = {stream};
    control.changes_now = {{.id = 5, .state = "done"}};
  });
  const auto ran = ask("explain r1");
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("`neptune-sync release ml-team/x` lets it go"));
  EXPECT_THAT(ask("explain r1 --json").out,
              testing::StartsWith(R"({"explanations":[{"subject":"Run r1 of ml-team/x")"));
  EXPECT_THAT(ask("explain 5").out, HasSubstr("the server has it"));
  EXPECT_EQ(ask("explain nobody").exit, 1);
  EXPECT_THAT(ask("explain 4711").err, HasSubstr("over the socket, and no change was handed in with that number."));
  EXPECT_THAT(ask("explain 1").err, Not(HasSubstr("Did you mean"))) << "it is no name";
  for (const char* words : {"explain run r1", "explain run create r1", "explain project ml-team/x/r1"})
    EXPECT_EQ(ask(words).out, ran.out) << words;
  EXPECT_EQ(ask("explain change 5").exit, 0);
  const auto two = ask("explain r1 r2");
  EXPECT_EQ(two.exit, 2);
  EXPECT_THAT(two.err, HasSubstr("'r2' is one word too many"));
}

TEST_F(Command, AMistypedNameIsToldWithTheOneThatMayBeMeant) {
  served_.on_loop([](FixedControl& control) {
    control.releasable = 0;
    auto stream = stream_of(1, 0);
    stream.container = "trial-7";
    control.streams_now = {stream};
    auto& workspace = control.status_now.workspaces.emplace_back();
    workspace.name = "ml-team";
    workspace.projects.emplace_back().name = "x";
  });
  for (const char* mistyped : {"probe ml-taem", "release ml-taem --dry-run", "explain ml-taem", "explain trail-7"}) {
    const auto ran = ask(mistyped);
    EXPECT_EQ(ran.exit, 1) << mistyped;
    EXPECT_THAT(ran.out, IsEmpty()) << mistyped;
    EXPECT_THAT(ran.err, HasSubstr(" Did you mean ")) << mistyped;
  }
  EXPECT_EQ(ask("hold ml-taem").exit, 0) << "a hold may come before the first change";
  EXPECT_EQ(ask("streams --run trail-7").exit, 0) << "of a run that is synced there may be none any more";
  for (const char* mistyped : {"explain trail-7", "wait --run trail-7 --timeout 50ms", "streams --run trail-7"}) {
    const auto ran = ask(mistyped);
    EXPECT_THAT(ran.out + ran.err, HasSubstr(" Did you mean trial-7?")) << mistyped;
  }
  for (const char* mistyped : {"explain ml-taem/x", "streams --project ml-taem/x"}) {
    const auto ran = ask(mistyped);
    EXPECT_THAT(ran.out + ran.err, HasSubstr(" Did you mean ml-team/x?")) << mistyped;
  }
}

TEST_F(Command, OfAScopeOfWhichNothingIsKnownNamesThoseThatAre) {
  served_.on_loop([](FixedControl& control) {
    control.releasable = 0;
    for (const auto* name : {"ml-team", "vision"}) {
      auto& workspace = control.status_now.workspaces.emplace_back();
      workspace.name = name;
      for (const auto* project : {"a", "b", "c", "d", "e", "f", "g"}) workspace.projects.emplace_back().name = project;
    }
    control.status_now.workspaces[1].projects.resize(1);
    control.failure = Error{"conflict", "vision/nonsuch is read-only with its workspace vision."};
  });
  const auto ran = ask("probe vision/nonsuch");
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.err, HasSubstr("Nothing is known of vision/nonsuch: no change of it was found, or came over the "
                                 "socket. Known of vision: vision/a."));
  EXPECT_THAT(ask("release --dry-run ml-team/nonsuch").err,
              HasSubstr("Known of ml-team: ml-team/a, ml-team/b, ml-team/c, ml-team/d, ml-team/e and 2 more."));
  EXPECT_THAT(ask("probe elsewhere/nonsuch").err, HasSubstr("Known workspaces: ml-team, vision."));
}

TEST_F(Command, WhatIsFoundAndNotReadYetIsNotToldAsUnknown) {
  const auto log = std::string("/runs/ml-team_lab_trial-7_1795452630867980288");
  const auto find = [this, &log](const char* kind, const std::string& path) {
    served_.on_loop([&](FixedControl& control) {
      control.releasable = 0;
      auto& source = control.status_now.sources.emplace_back();
      source.kind = kind;
      source.path = path;
      source.state = "settling_in";
    });
  };
  find("watch", "/runs");
  const auto maybe = ask("streams --run trial-7").out;
  EXPECT_THAT(maybe, testing::AllOf(HasSubstr("No such stream"), HasSubstr("folder /runs is being looked through.")));
  EXPECT_THAT(ask("explain trial-7").err, HasSubstr("folder /runs is being looked through."));
  EXPECT_THAT(ask("probe ml-team/lab").err, HasSubstr("folder /runs is being looked through."));
  find("run-log", log);
  EXPECT_THAT(ask("streams --run trial-7").out,
              testing::AllOf(HasSubstr("No stream yet:"), HasSubstr(log + " was found, and is not read yet")));
  EXPECT_EQ(ask("probe ml-team/lab").exit, 0);
  EXPECT_EQ(ask("release --dry-run ml-team/lab").exit, 0);
  EXPECT_EQ(ask("probe ml-team/other").exit, 1);
}

TEST_F(Command, OfRunsOfOneNameMeansThatOfTheProjectAtHand) {
  served_.on_loop([](FixedControl& control) {
    auto other = stream_of(7, 0);
    other.project = "ml-team/other";
    control.streams_now = {stream_of(0, 0), other};
  });
  EXPECT_EQ(ask("wait --run r1 --timeout 50ms").exit, 4) << "of both";
  ::setenv("NEPTUNE_PROJECT", "ml-team/x", 1);
  EXPECT_EQ(ask("wait --run r1 --timeout 50ms").out, "Run r1 of ml-team/x is synced.\n");
  EXPECT_EQ(ask("wait --run r1 --project ml-team/other --timeout 50ms").exit, 4) << "what is said goes first";
  EXPECT_EQ(ask("wait --timeout 50ms").exit, 4) << "everything is everything";
  for (const char* verb : {"streams --run r1", "explain r1"})
    EXPECT_THAT(ask(verb).out, testing::AllOf(HasSubstr("ml-team/x"), testing::Not(HasSubstr("ml-team/other"))));
  ::setenv("NEPTUNE_PROJECT", "ml-team/third", 1);
  const auto not_there = ask("wait --run r1 --now --timeout 50ms");
  EXPECT_EQ(not_there.exit, 4) << "those of other projects say nothing of it";
  EXPECT_THAT(not_there.err, HasSubstr("A run r1 is in ml-team/other and ml-team/x, but none in ml-team/third (of "
                                       "$NEPTUNE_PROJECT), which is waited for; --project names another."));
  for (const char* verb : {"streams --run r1", "explain r1"})
    EXPECT_THAT(ask(verb).out, testing::AllOf(HasSubstr("ml-team/x"), HasSubstr("ml-team/other")));
  ::unsetenv("NEPTUNE_PROJECT");
}

TEST_F(Command, FlushSaysThatNothingIsTriedWithATokenThatTheServerRefused) {
  served_.on_loop([](FixedControl& control) { control.status_now.totals.pending = 3; });
  EXPECT_EQ(ask("flush").out, "Trying everything now: 3 changes not synced yet.\n");
  served_.on_loop([](FixedControl& control) { control.status_now.server.token_remedy = "Put a new one there."; });
  EXPECT_THAT(ask("flush").out, testing::AllOf(testing::StartsWith("3 changes not synced yet. Nothing is tried with"),
                                               HasSubstr("neptune-sync doctor")));
}

TEST_F(Command, ExplainFindsWhatWasRejectedBeforeThousandsOfOthers) {
  served_.on_loop([](FixedControl& control) {
    for (std::int64_t id = 2500; id > 0; --id) {
      auto& one = control.rejected_now.emplace_back();
      one.id = id;
      one.project = "ml-team/x";
      one.container = id == 1 ? "first" : "other";
      one.container_type = "run";
      one.reason = "a step goes back";
    }
  });
  const auto ran = ask("explain first");
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("The server refused 1 change of it for good"));
}

TEST_F(Command, DoctorSetsRemediesBelowWhatIsWrong) {
  served_.on_loop([](FixedControl& control) {
    control.diagnosis.checks = {{"disk", "ok", "90 GiB are free", ""}};
    control.diagnosis_of_way.checks = {
        {"clock", "warn", "this machine's clock is 90 s ahead of the server's", "Set it."}};
  });
  const auto ran = ask("doctor");
  EXPECT_EQ(ran.exit, 0) << ran.out;
  EXPECT_THAT(ran.out, HasSubstr("ok    daemon      neptune-syncd answers on " + served_.path()));
  EXPECT_THAT(ran.out, HasSubstr("ok    disk        90 GiB are free\n"));
  EXPECT_THAT(ran.out, HasSubstr("warn  clock       this machine's clock is 90 s ahead of the server's\n"
                                 "                  -> Set it.\n"));
  EXPECT_THAT(ran.out, HasSubstr("0 failures, 1 warning.\n"));
  served_.on_loop([](FixedControl& control) { control.diagnosis.checks[0].state = "fail"; });
  EXPECT_EQ(ask("doctor").exit, 1);
  EXPECT_THAT(ask("doctor --json").out,
              testing::AllOf(testing::StartsWith(R"({"checks":[{)"), HasSubstr(R"({"check":"clock","state":"warn")")));
}

TEST_F(Command, DoctorPrintsEachStepAsItIsDoneThoughTheServerHangs) {
  served_.on_loop([](FixedControl& control) {
    control.diagnosis.checks = {{"disk", "ok", "90 GiB are free", ""}};
    control.way_takes = std::chrono::hours(1);
  });
  const auto ran = run_line("timeout 2 " NEPTUNE_SYNC " --socket " + served_.path() + " doctor");
  EXPECT_EQ(ran.exit, 124) << "it still waits";
  EXPECT_THAT(ran.out, testing::AllOf(HasSubstr("ok    daemon"), HasSubstr("90 GiB are free"))) << ran.err;
}

TEST_F(Command, DoctorFindsThatTheDaemonIsDown) {
  const auto config = log_path() + ".toml";
  std::ofstream(config) << "nonsense = 1\n";
  const auto ran = run("--socket /nowhere doctor --config " + config);
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.out, HasSubstr("There is no neptune-syncd at /nowhere"));
  EXPECT_THAT(ran.out, HasSubstr("the program neptune-syncd is not found, so nothing else is checked"));
}

TEST_F(Command, WaitHasACodeForEachEnd) {
  const auto when = [this](std::vector<api::Stream> streams, const std::string& arguments) {
    served_.on_loop([&](FixedControl& control) { control.streams_now = std::move(streams); });
    return ask("wait " + arguments);
  };
  EXPECT_EQ(when({stream_of(0, 0)}, "--run r1").exit, 0);
  EXPECT_EQ(when({stream_of(1, 0)}, "--run r1 --timeout 50ms").exit, 4);
  EXPECT_EQ(when({stream_of(0, 1)}, "--run r1 --timeout 50ms").exit, 5);
  EXPECT_EQ(when({stream_of(0, 0)}, "--run r2 --timeout 50ms").exit, 4);
  auto refused = stream_of(0, 0);
  refused.rejected = 1;
  EXPECT_EQ(when({refused}, "--run r1").exit, 0) << "it was discarded";
  refused.rejected_kept = 1;
  EXPECT_EQ(when({refused}, "--run r1").exit, 1);
  auto live = stream_of(0, 0);
  live.closed = false;
  EXPECT_EQ(when({live}, "--project ml-team/x --timeout 50ms").exit, 4);
  EXPECT_EQ(when({live}, "--project ml-team --now").exit, 0);
  EXPECT_EQ(when({live}, "--now").exit, 0);
}

TEST_F(Command, ColoursNothingThatIsNoTerminal) {
  served_.on_loop([](FixedControl& control) {
    control.status_now.workspaces.emplace_back().name = "ml-team";
    control.status_now.workspaces[0].mode = "held";
    control.streams_now.push_back(stream_of(0, 1));
  });
  for (const char* verb : {"status", "streams", "events"})
    EXPECT_EQ(ask(verb).out.find('\x1b'), std::string::npos) << verb;
}

}  // namespace
}  // namespace neptune
