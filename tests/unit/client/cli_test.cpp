#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

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

TEST_F(Command, SaysOnStandardErrorThatTheDaemonIsNotThere) {
  for (const char* verb : {"status", "streams", "rejected", "events", "flush", "hold a", "wait", "rejected show 1",
                           "run log r1 a=1 --project a/b", "project list"}) {
    const auto ran = run("--socket " + log_path() + " " + verb);
    EXPECT_EQ(ran.exit, 3) << verb;
    EXPECT_THAT(ran.out, IsEmpty());
    EXPECT_THAT(ran.err, HasSubstr("There is no neptune-syncd at " + log_path()));
  }
}

TEST_F(Command, ErrorsAreJsonWhereJsonIsAskedFor) {
  const auto ran = ask("hold a/b/c --json");
  EXPECT_EQ(ran.exit, 1);
  const auto error = api::from_json<api::ErrorReply>(ran.err);
  ASSERT_TRUE(error) << ran.err;
  EXPECT_EQ(error->code, "invalid_project_name");
}

TEST_F(Command, WrongUsageIsTwo) {
  for (const char* wrong : {"", "statsu", "hold", "status extra", "rejected show", "rejected show x",
                            "wait --timeout soon", "wait --timeout", "--colour status", "rejected --limit 0"})
    EXPECT_EQ(ask(wrong).exit, 2) << wrong;
}

TEST_F(Command, HelpAndVersionNeedNoDaemon) {
  const auto version = run("--version");
  EXPECT_EQ(version.exit, 0);
  EXPECT_THAT(version.out, testing::StartsWith("neptune-sync "));
  const auto help = run("--help");
  EXPECT_EQ(help.exit, 0);
  for (const char* verb : {"status", "streams", "rejected", "events", "hold", "release", "probe", "flush", "wait",
                           "project", "run", "model", "trash", "change"})
    EXPECT_THAT(help.out, HasSubstr(verb));
}

TEST_F(Command, VerbsReachTheDaemon) {
  EXPECT_EQ(ask("hold ml-team/x").out, "ml-team/x is held now.\n");
  EXPECT_EQ(ask("release ml-team/x").out, "ml-team/x is normal now.\n");
  EXPECT_EQ(ask("probe ml-team").exit, 0);
  EXPECT_THAT(ask("release ml-team --dry-run").out, HasSubstr("12 changes"));
  EXPECT_EQ(ask("flush").exit, 0);
  EXPECT_EQ(ask("rejected retry 7").out, "Rejected change 7 will be sent again.\n");
  EXPECT_EQ(ask("rejected discard 7").out, "Rejected change 7 was discarded.\n");
  const auto calls = served_.on_loop([](FixedControl& control) { return control.calls.size(); });
  EXPECT_EQ(calls, 6u) << "the dry run is none of them";
}

TEST_F(Command, RejectedListsAndShows) {
  served_.on_loop([](FixedControl& control) {
    auto& one = control.rejected_now.emplace_back();
    one.id = 7;
    one.code = "SERIES_STEP_NON_INCREASING";
    control.payload = std::string("\0\1", 2);
  });
  EXPECT_THAT(ask("rejected").out, HasSubstr("SERIES_STEP_NON_INCREASING"));
  EXPECT_THAT(ask("rejected show 7").out, HasSubstr("SERIES_STEP_NON_INCREASING"));
  EXPECT_EQ(ask("rejected show 7 --payload").out, std::string("\0\1", 2));
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
            "2026-01-02 03:04:05Z  mode_changed        It is read-only.\n"
            "2026-01-02 03:04:05Z  synced              All of it.\n");
  EXPECT_THAT(ask("events --since 1 --json").out,
              testing::StartsWith(R"({"id":2,"at":"2026-01-02T03:04:05.678Z","type":"synced")"));
  served_.on_loop([](FixedControl& control) { control.drain(); });
  const auto followed = ask("events -f --since 2");
  EXPECT_EQ(followed.exit, 0);
  EXPECT_THAT(followed.out, HasSubstr("draining"));
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
