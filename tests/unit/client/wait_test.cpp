#include "client/lib/wait.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <limits>

#include "tests/unit/local_api/served.h"

namespace neptune::client {
namespace {

using namespace std::chrono_literals;
using test::FixedControl;
using test::Served;
using testing::HasSubstr;
using Outcome = WaitResult::Outcome;

api::Stream stream_of(std::string run, std::uint64_t pending, bool closed) {
  api::Stream stream;
  stream.project = "ml-team/x";
  stream.container = std::move(run);
  stream.pending = pending;
  stream.synced = 10;
  stream.closed = closed;
  return stream;
}

class Waiting : public testing::Test {
 protected:
  void tell(std::vector<api::Stream> streams, const char* event = "synced") {
    served_.on_loop([&](FixedControl& control) {
      control.streams_now = std::move(streams);
      api::Event one;
      one.type = event;
      control.happen(one);
    });
  }

  /// The re-check is far away: what these tests see comes of events.
  WaitResult wait(const WaitFor& what) {
    return wait_until_synced(
        Client({served_.path(), 5s}), what, [this](const std::string& text) { notices_ += text + "\n"; }, 1h);
  }
  std::future<WaitResult> begin(WaitFor what) {
    auto result = std::async(std::launch::async, [this, what] { return wait(what); });
    EXPECT_TRUE(asked(1));
    return result;
  }
  /// As rejected, of run r1.
  void keep(const std::vector<std::string>& codes) {
    served_.on_loop([&](FixedControl& control) {
      control.rejected_now.clear();
      for (auto id = static_cast<std::int64_t>(codes.size()); id > 0; --id) {
        auto& one = control.rejected_now.emplace_back();
        one.id = id;
        one.project = "ml-team/x";
        one.container = "r1";
        one.code = codes[static_cast<std::size_t>(id) - 1];
        if (one.code.starts_with("file_")) one.container_type = "files";
      }
    });
  }
  /// Waits until the streams were asked for that many times.
  bool asked(std::size_t times) {
    const auto give_up = std::chrono::steady_clock::now() + 5s;
    while (std::chrono::steady_clock::now() < give_up) {
      if (served_.on_loop([](FixedControl& control) { return control.streams_asked; }) >= times) return true;
      std::this_thread::yield();
    }
    return false;
  }

  Served served_;
  std::string notices_;
};

TEST_F(Waiting, IsOverAtOnceWhenAllOfAClosedRunIsSynced) {
  tell({stream_of("r1", 0, true)});
  const auto result = wait({.run = "r1"});
  EXPECT_EQ(result.outcome, Outcome::synced) << result.message;
  EXPECT_THAT(result.json, HasSubstr("\"container\":\"r1\""));
}

TEST_F(Waiting, ThatFailsHandsOnWhatIsNotSyncedAlone) {
  auto waiting = stream_of("waiting", 2, true), refused = stream_of("refused", 0, true);
  waiting.why = "the server cannot be reached";
  refused.rejected_kept = 1;
  tell({stream_of("done", 0, true), waiting, refused, stream_of("open", 0, false)});
  const auto end = wait({.project = "ml-team/x", .timeout = 50ms});
  EXPECT_NE(end.outcome, Outcome::synced);
  for (const char* name : {"waiting", "refused", "open"})
    EXPECT_THAT(end.json, HasSubstr("\"container\":\"" + std::string(name) + "\""));
  EXPECT_THAT(end.json, testing::AllOf(HasSubstr("the server cannot be reached"), Not(HasSubstr("\"done\""))));
  const auto now = wait({.project = "ml-team/x", .now = true, .timeout = 50ms});
  EXPECT_THAT(now.json, Not(HasSubstr("\"open\""))) << "it is not waited for";
}

TEST_F(Waiting, LooksAgainWhenSomethingHappensToTheRun) {
  tell({stream_of("r1", 5, true)});
  auto result = begin({.run = "r1"});
  tell({stream_of("r1", 0, true)});
  EXPECT_EQ(result.get().outcome, Outcome::synced);
}

TEST_F(Waiting, DoesNotLookAgainForTheEventsOfOthers) {
  tell({stream_of("r1", 5, true)});
  auto result = begin({.run = "r1", .timeout = 1min});
  const auto before = served_.on_loop([](FixedControl& control) { return control.streams_asked; });
  for (int i = 0; i < 20; ++i)
    served_.on_loop([](FixedControl& control) { control.happen({.type = "synced", .stream = "r2"}); });
  tell({stream_of("r1", 0, true)});
  EXPECT_EQ(result.get().outcome, Outcome::synced);
  EXPECT_EQ(served_.on_loop([](FixedControl& control) { return control.streams_asked; }), before + 1);
}

TEST_F(Waiting, WaitsForALiveRunToBeClosedUnlessToldNotTo) {
  tell({stream_of("r1", 0, false)});
  const auto open = wait({.run = "r1", .timeout = 50ms});
  EXPECT_EQ(open.outcome, Outcome::timed_out);
  EXPECT_THAT(open.message, HasSubstr("--now"));
  const auto now = wait({.run = "r1", .now = true});
  EXPECT_EQ(now.outcome, Outcome::synced);
  EXPECT_EQ(now.message,
            "Run r1 of ml-team/x is synced as far as it was logged when this began; the run is still being written.");

  auto result = begin({.run = "r1"});
  tell({stream_of("r1", 0, true)}, "source_changed");
  EXPECT_EQ(result.get().outcome, Outcome::synced);
}

TEST_F(Waiting, WaitsForARunThatWasNotSeenYet) {
  const auto never = wait({.run = "r1", .now = true, .timeout = 50ms});
  EXPECT_EQ(never.outcome, Outcome::timed_out);
  EXPECT_THAT(never.message, HasSubstr("was not seen"));
  auto result = begin({.run = "r1"});
  tell({stream_of("r1", 0, true)}, "source_found");
  EXPECT_EQ(result.get().outcome, Outcome::synced);
}

TEST_F(Waiting, SaysThatFilesAreLeftWhereNothingElseIs) {
  auto stream = stream_of("r1", 0, true);
  stream.uploads = 2;
  tell({stream});
  const auto files = wait({.run = "r1", .timeout = 50ms});
  EXPECT_EQ(files.message, "Time is up. Run r1 is not synced: 2 files are to be uploaded.");
  stream.uploads = 0;
  stream.state = "unconfirmed";
  tell({stream});
  const auto recorded = wait({.run = "r1", .timeout = 50ms});
  EXPECT_EQ(recorded.message, "Time is up. Run r1 is not synced: what the server confirmed is being recorded.");
}

TEST_F(Waiting, SaysWhyWhatIsLeftWaitsAsOneSentence) {
  auto first = stream_of("r1", 1, true), second = first;
  first.why = "the server refuses the API token";
  second.why = "ml-team is held by root.";
  tell({first, second});
  EXPECT_EQ(
      wait({.run = "r1", .timeout = 50ms}).message,
      "Time is up. Run r1 is not synced: 2 changes wait. Why: the server refuses the API token; and ml-team is held "
      "by root.");
}

TEST_F(Waiting, SaysWhoseReasonItIsWhereOneNameMeansSeveralRuns) {
  auto ours = stream_of("r1", 1, true), other = ours;
  ours.why = "it is being handed in";
  other.project = "vision/y";
  other.why = "vision is held by root.";
  tell({ours, other});
  EXPECT_EQ(
      wait({.run = "r1", .timeout = 50ms}).message,
      "Time is up. Run r1 is not synced: 2 changes wait. Why: in ml-team/x it is being handed in; and in vision/y "
      "vision is held by root.");
}

TEST_F(Waiting, FailsWhenSomethingOfItWasRejected) {
  auto stream = stream_of("r1", 0, true);
  stream.rejected = stream.rejected_kept = 2;
  keep({"SERIES_STEP_NON_INCREASING", "http_400"});
  tell({stream, stream_of("r2", 0, true)});
  const auto refused = wait({.run = "r1"});
  EXPECT_EQ(refused.outcome, Outcome::rejected);
  EXPECT_EQ(refused.message,
            "The server refused 2 changes of run r1 for good; `neptune-sync rejected` says why. All else of it is "
            "synced.");
  EXPECT_EQ(wait({.run = "r2"}).outcome, Outcome::synced);
  stream.pending = 1;
  tell({stream});
  EXPECT_EQ(wait({.run = "r1", .timeout = 50ms}).outcome, Outcome::rejected);
}

TEST_F(Waiting, BlamesTheServerForItsOwnRefusalsAlone) {
  auto stream = stream_of("r1", 0, true);
  const auto told = [&](const std::vector<std::string>& codes) {
    stream.rejected_kept = codes.size();
    keep(codes);
    tell({stream});
    const auto end = wait({.run = "r1"});
    EXPECT_EQ(end.outcome, Outcome::rejected);
    return end.message;
  };
  EXPECT_EQ(told({"discarded", "discarded"}),
            "2 changes of run r1 were thrown away before the server had them; `neptune-sync rejected` lists them. All "
            "else of it is synced.");
  EXPECT_EQ(told({"file_missing"}),
            "1 file of run r1 could not be uploaded; `neptune-sync rejected` says why. All else of it is synced.");
  EXPECT_EQ(told({"file_missing", "discarded", "http_400", "http_400"}),
            "4 changes of run r1 are not on the server: 2 were refused for good, 1 is a file that could not be "
            "uploaded, 1 was thrown away before the server had it; `neptune-sync rejected` says why. All else of it "
            "is synced.");
  stream.rejected_kept = 7;
  tell({stream});
  EXPECT_THAT(wait({.run = "r1"}).message, HasSubstr("had it, 3 were refused or thrown away;")) << "those not listed";
}

TEST_F(Waiting, OfARunSaysWhatOfItWasThrownAway) {
  auto stream = stream_of("r1", 0, true);
  stream.rejected = stream.discarded = 2;
  tell({stream});
  const auto rest = wait({.run = "r1"});
  EXPECT_EQ(rest.outcome, Outcome::rejected);
  EXPECT_EQ(rest.message, "Not all of run r1 is on the server: 2 changes were thrown away. All else of it is synced.");
  const auto all = wait({});
  EXPECT_EQ(all.outcome, Outcome::synced) << "nobody waits for what is gone";
  EXPECT_EQ(all.message, "Everything is synced, but for what is gone: 2 changes were thrown away.");
  stream.synced = 0;
  tell({stream});
  EXPECT_EQ(wait({.run = "r1"}).message, "Nothing of run r1 is on the server: 2 changes were thrown away.");
}

TEST_F(Waiting, WhatWasMovedToAnotherMachineIsNotSyncedAsFarAsIsKnownHere) {
  std::vector<api::Stream> streams;
  for (const auto moved : {50, 1}) {
    auto& stream = streams.emplace_back(stream_of("r1", 0, true));
    stream.moved = static_cast<std::uint64_t>(moved);
    stream.moved_to = "stick.jsonl";
  }
  tell(streams);
  const auto of_run = wait({.run = "r1"});
  EXPECT_EQ(of_run.outcome, Outcome::failed);
  EXPECT_EQ(of_run.message,
            "Run r1 is not synced from here. 51 of its changes were moved to another machine in stick.jsonl, which "
            "sends them.")
      << "all of its logs";
  const auto long_since = wait({});
  EXPECT_EQ(long_since.outcome, Outcome::synced);
  EXPECT_EQ(long_since.message, "Everything is synced, but for what is another machine's to send: 51 changes.");
  served_.on_loop([](FixedControl& control) {
    control.status_now.moved = {{"ml-team/x", 51, "stick.jsonl", "2026-01-02T11:57:00.000Z"}};
  });
  const auto lately = wait({});
  EXPECT_EQ(lately.outcome, Outcome::failed);
  EXPECT_EQ(lately.message,
            "Not everything is synced from here. 51 of the changes of ml-team/x were moved to another machine in "
            "stick.jsonl, which sends them.");
  EXPECT_EQ(wait({.project = "ml-team"}).outcome, Outcome::failed);
  tell({});
  EXPECT_EQ(wait({.project = "other/x", .timeout = 50ms}).outcome, Outcome::timed_out) << "it is not of that one";
}

TEST_F(Waiting, NamesWhatWasLostOrMovedAlsoWhenTimeIsUp) {
  auto waiting = stream_of("r1", 7, true), lost = stream_of("r1", 0, true), moved = lost;
  lost.lost = 3;
  lost.why = "/runs/a was removed with 3 changes of r1 that were not synced";
  moved.moved = 1;
  moved.moved_to = "stick.jsonl";
  tell({waiting, lost, moved});
  const auto end = wait({.run = "r1", .timeout = 50ms});
  EXPECT_EQ(end.outcome, Outcome::timed_out);
  EXPECT_THAT(end.message, HasSubstr("/runs/a was removed with 3 changes of r1 that were not synced."));
  EXPECT_THAT(end.message, HasSubstr("1 of its changes was moved to another machine in stick.jsonl, which sends it."));
}

TEST_F(Waiting, ForARunOfNoProjectNamesThoseItIsIn) {
  tell({stream_of("r1", 0, true)});
  EXPECT_EQ(wait({.run = "r1"}).message, "Run r1 of ml-team/x is synced.");
  auto other = stream_of("r1", 0, true);
  other.project = "ml-team/other";
  tell({stream_of("r1", 0, true), other});
  EXPECT_EQ(wait({.run = "r1"}).message, "Run r1 of ml-team/other and ml-team/x is synced.");
  EXPECT_EQ(notices_,
            "A run r1 is in ml-team/other and ml-team/x, and all of these are waited for; --project names one.\n");
}

TEST_F(Waiting, ForARunOfTheProjectAtHandIsNotOverForAnotherProjectsRun) {
  tell({stream_of("r1", 0, true)});
  const WaitFor what{.run = "r1", .project_at_hand = "ml-team/third", .now = true, .timeout = 50ms};
  EXPECT_EQ(wait(what).outcome, Outcome::timed_out);
  auto ours = stream_of("r1", 0, true);
  ours.project = "ml-team/third";
  tell({stream_of("r1", 3, true), ours});
  EXPECT_EQ(wait(what).message, "Run r1 of ml-team/third is synced.");
}

// Of logs that were not looked into.

class WaitingForLogs : public Waiting {
 protected:
  /// As the client names its folder, or otherwise.
  void find(const char* folder, const char* state, const char* kind = "run-log") {
    served_.on_loop([&](FixedControl& control) {
      control.status_now.workspaces.assign(1, {});
      control.status_now.workspaces[0].name = "ml-team";
      control.status_now.workspaces[0].projects.emplace_back().name = "x";
      auto& source = control.status_now.sources.emplace_back();
      source.path = std::string("/runs/") + folder;
      source.kind = kind;
      source.state = state;
      source.detail = std::string(state) == "set_aside" ? "it is no database" : "found lately";
    });
  }
  void find_nothing() {
    served_.on_loop([](FixedControl& control) { control.status_now.sources.clear(); });
  }
};

TEST_F(WaitingForLogs, WaitsForOneThatMayBeOfWhatIsMeant) {
  tell({stream_of("r1", 0, true)});
  const WaitFor run{.run = "r1", .now = true, .timeout = 50ms}, project{.project = "ml-team/x", .timeout = 50ms};
  const WaitFor workspace{.project = "ml-team", .timeout = 50ms};
  find("ml-team_x_r1_1795452629836373760", "settling_in");
  for (const auto& what : {run, project, workspace}) {
    const auto result = wait(what);
    EXPECT_EQ(result.outcome, Outcome::timed_out) << "a job that was started again";
    EXPECT_THAT(result.message, HasSubstr("1 source is not counted yet"));
  }
  find_nothing();
  find("ml-team_y_r2_1795452629836373760", "settling_in");
  for (const auto& what : {run, project}) EXPECT_EQ(wait(what).outcome, Outcome::synced) << "another's, by its name";
  EXPECT_EQ(wait(workspace).outcome, Outcome::timed_out);
  for (const auto* folder : {"from-node-7", "job_17"}) {
    find_nothing();
    find(folder, "settling_in");
    for (const auto& what : {run, project, workspace}) EXPECT_EQ(wait(what).outcome, Outcome::timed_out) << folder;
    EXPECT_THAT(wait(run).message, HasSubstr(std::string("Why: /runs/") + folder + ": found lately"));
  }
  find_nothing();
  find("run__0b1e__17__ab_1795452629836373760", "settling_in", "client-1x");
  EXPECT_EQ(wait(project).outcome, Outcome::timed_out) << "of a 1.x client's, its name does not tell";
}

TEST_F(WaitingForLogs, FailsForOneThatIsSetAsideAndMayBeOfWhatIsMeant) {
  tell({stream_of("r1", 0, true)});
  find("ml-team_x_r1_1795452629836373760", "set_aside");
  const auto run = wait({.run = "r1"});
  EXPECT_EQ(run.outcome, Outcome::failed);
  EXPECT_EQ(run.message,
            "Run r1 is not synced. What is set aside waits until somebody mends it: "
            "/runs/ml-team_x_r1_1795452629836373760: it is no database.");
  EXPECT_EQ(wait({.project = "ml-team/x"}).outcome, Outcome::failed);
  EXPECT_EQ(wait({.project = "ml-team/x", .run = "r2", .timeout = 50ms}).outcome, Outcome::timed_out);
  find_nothing();
  find("ml-team_y_r1_1795452629836373760", "set_aside");
  EXPECT_EQ(wait({.project = "ml-team/x"}).outcome, Outcome::synced) << "another's, by its name";
  find_nothing();
  find("from-node-7", "set_aside");
  EXPECT_EQ(wait({.project = "ml-team/x"}).outcome, Outcome::failed);
}

TEST_F(WaitingForLogs, KnowsARunByItsFolderBeforeItsLogWasLookedInto) {
  find("ml-team_x_r1_1795452629836373760", "set_aside");
  EXPECT_EQ(wait({.run = "r1"}).outcome, Outcome::failed);
  find_nothing();
  find("from-node-7", "set_aside");
  const auto other = wait({.run = "r1", .timeout = 50ms});
  EXPECT_EQ(other.outcome, Outcome::timed_out) << "it may come yet";
  EXPECT_THAT(other.message, HasSubstr("was not seen"));
  EXPECT_THAT(other.message, HasSubstr("/runs/from-node-7: it is no database."));
}

TEST_F(WaitingForLogs, SaysWhatIsSetAsideAlsoWhenTimeIsUpOrSomethingWasRejected) {
  tell({stream_of("r1", 0, false)});
  find("from-node-7", "set_aside");
  const auto open = wait({.timeout = 50ms});
  EXPECT_EQ(open.outcome, Outcome::timed_out);
  EXPECT_THAT(open.message, HasSubstr("1 run is still being written"));
  EXPECT_THAT(open.message, testing::EndsWith("mends it: /runs/from-node-7: it is no database."));
  auto stream = stream_of("r1", 0, true);
  stream.rejected_kept = 1;
  keep({"http_400"});
  tell({stream});
  const auto refused = wait({.run = "r1"});
  EXPECT_EQ(refused.outcome, Outcome::rejected);
  EXPECT_THAT(refused.message, HasSubstr("/runs/from-node-7: it is no database."));
  EXPECT_THAT(refused.message, testing::Not(HasSubstr("All else of it is synced")));
}

// Beside a job that logs on: what was there when the wait began.

class WaitingNow : public WaitingForLogs {
 protected:
  /// A look at it began `at`, on the daemon's clock.
  static api::Stream log_of(const char* run, std::int64_t known, std::int64_t done, std::int64_t at = later) {
    auto stream = stream_of(run, static_cast<std::uint64_t>(known - done), false);
    stream.id = stream.source = std::string("/runs/ml-team_x_") + run + "_1795452629836373760";
    stream.known_through = known;
    stream.done_through = done;
    stream.known_at = at;
    return stream;
  }
  static constexpr std::int64_t before = 1, later = std::numeric_limits<std::int64_t>::max();

  /// The first look is at these; the end of the wait is one at the others.
  WaitResult wait_from(std::vector<api::Stream> first, std::vector<api::Stream> last,
                       std::optional<std::chrono::milliseconds> timeout = 1min) {
    tell(std::move(first));
    const auto looked = served_.on_loop([](FixedControl& control) { return control.streams_asked; });
    auto result = std::async(std::launch::async, [this, timeout] {
      return wait({.project = "ml-team/x", .now = true, .timeout = timeout});
    });
    EXPECT_TRUE(asked(looked + 1));
    tell(std::move(last));
    return result.get();
  }
};

TEST_F(WaitingNow, IsOverWhenAllThatWasLoggedAtTheBeginningIsOnTheServer) {
  const auto end = wait_from({log_of("r1", 100, 40)}, {log_of("r1", 130, 100)});
  EXPECT_EQ(end.outcome, Outcome::synced);
  EXPECT_EQ(end.message, "ml-team/x is synced as far as it was logged when this began; 1 run is still being written.");
  EXPECT_EQ(wait_from({log_of("r1", 100, 40)}, {log_of("r1", 130, 99)}, 100ms).outcome, Outcome::timed_out);
  auto files = log_of("r1", 7, 3);
  files.id += " (files)";
  EXPECT_EQ(wait_from({log_of("r1", 9, 9), files}, {log_of("r1", 9, 9), files}, 100ms).outcome, Outcome::timed_out);
}

TEST_F(WaitingNow, DoesNotWaitForALogThatCameLater) {
  EXPECT_EQ(wait_from({log_of("r1", 100, 40)}, {log_of("r1", 100, 100), log_of("r2", 5, 0)}).outcome, Outcome::synced);
}

TEST_F(WaitingNow, WaitsForWhatWasLoggedAndNotReadYetAtTheBeginning) {
  const auto end = wait_from({log_of("r1", 100, 100, before)}, {log_of("r1", 130, 100)}, 100ms);
  EXPECT_EQ(end.outcome, Outcome::timed_out) << "30 more were there";
  EXPECT_EQ(wait_from({log_of("r1", 100, 100, before)}, {log_of("r1", 130, 130)}).outcome, Outcome::synced);
  auto unread = log_of("r2", 0, 0);
  unread.waiting_for = "lookup";
  unread.known_through = unread.done_through = unread.known_at = std::nullopt;
  EXPECT_EQ(wait_from({unread}, {log_of("r2", 7, 0)}, 100ms).outcome, Outcome::timed_out);
}

TEST_F(WaitingNow, LooksAgainByItselfUntilALogWasRead) {
  tell({log_of("r1", 100, 100, before)});
  const auto looked = served_.on_loop([](FixedControl& control) { return control.streams_asked; });
  auto result =
      std::async(std::launch::async, [this] { return wait({.project = "ml-team/x", .now = true, .timeout = 1min}); });
  EXPECT_TRUE(asked(looked + 1));
  served_.on_loop([](FixedControl& control) { control.streams_now = {log_of("r1", 100, 100)}; });  // without an event
  EXPECT_EQ(result.get().outcome, Outcome::synced);
}

TEST_F(WaitingNow, WaitsForALogThatWasFoundAtTheBeginningAndGoesOnWithWhatItHolds) {
  find("ml-team_x_r1_1795452629836373760", "settling_in");
  tell({});
  const auto looked = served_.on_loop([](FixedControl& control) { return control.streams_asked; });
  auto result =
      std::async(std::launch::async, [this] { return wait({.project = "ml-team/x", .now = true, .timeout = 1min}); });
  ASSERT_TRUE(asked(looked + 1));
  served_.on_loop([](FixedControl& control) {
    auto& source = control.status_now.sources.back();
    source.state = "live";
    source.project = "ml-team/x";
    source.run = "r1";
    control.streams_now = {log_of("r1", 9, 0)};
  });
  tell({log_of("r1", 9, 0)});
  ASSERT_TRUE(asked(looked + 2));
  tell({log_of("r1", 12, 9)});
  EXPECT_EQ(result.get().outcome, Outcome::synced);
}

TEST_F(WaitingNow, ALogThatIsMovedMeanwhileIsWaitedForWhereItIsThen) {
  auto moved = log_of("r1", 100, 40);
  moved.id = moved.source = "/runs/elsewhere";
  auto ended = log_of("r1", 100, 40);
  ended.state = "done";
  ended.pending = 0;
  EXPECT_EQ(wait_from({log_of("r1", 100, 40)}, {moved, ended}, 100ms).outcome, Outcome::timed_out);
}

TEST_F(WaitingNow, ALogThatTookThePlaceOfAnotherHasPositionsOfItsOwn) {
  EXPECT_EQ(wait_from({log_of("r1", 100, 40)}, {log_of("r1", 3, 3)}).outcome, Outcome::synced);
}

TEST_F(WaitingNow, WhatWasHandedInIsWaitedForUntilNothingIsLeft) {
  auto queued = stream_of("r1", 1, false);
  queued.source = "change queue: ml-team/x r1";
  EXPECT_EQ(wait_from({queued}, {queued}, 100ms).outcome, Outcome::timed_out);
  auto empty = queued;
  empty.pending = 0;
  EXPECT_EQ(wait_from({queued}, {empty}).outcome, Outcome::synced);
}

TEST_F(WaitingNow, WhatCannotBeReadNowIsWaitedForUnlessItIsSetAside) {
  auto log = log_of("r1", 9, 9);
  log.state = "blocked";
  log.waiting_for = "source";
  log.known_through = log.done_through = log.known_at = std::nullopt;
  const auto source = log.source.substr(6);
  find(source.c_str(), "blocked");
  EXPECT_EQ(wait_from({}, {}, 100ms).outcome, Outcome::timed_out) << "it has no stream yet";
  EXPECT_EQ(wait_from({log}, {log}, 100ms).outcome, Outcome::timed_out);
  find_nothing();
  find(source.c_str(), "set_aside");
  EXPECT_EQ(wait_from({log}, {log}).outcome, Outcome::failed);
}

TEST_F(WaitingNow, WhatIsLeftToItsClientIsNotWaitedFor) {
  auto own = log_of("r1", 0, 0);
  own.known_through = own.done_through = own.known_at = std::nullopt;
  own.waiting_for = "lookup";
  find("ml-team_x_r1_1795452629836373760", "left_to_client");
  served_.on_loop([](FixedControl& control) { control.status_now.sources.back().project = "ml-team/x"; });
  tell({own});
  EXPECT_EQ(wait({.project = "ml-team/x", .now = true, .timeout = 1min}).outcome, Outcome::synced);
}

// Of changes that were handed in.

class WaitingForChanges : public Waiting {
 protected:
  static api::ChangePlace change(std::int64_t id, std::string state) {
    api::ChangePlace place{.id = id, .state = std::move(state)};
    place.project = "ml-team/x";
    if (place.state == "held") place.why = "ml-team is held by root";
    if (place.state == "rejected") place.rejected = 1, place.why = "no such role";
    return place;
  }
  void tell_changes(std::vector<api::ChangePlace> changes) {
    served_.on_loop([&](FixedControl& control) {
      control.changes_now = std::move(changes);
      api::Event one;
      one.type = "synced";
      control.happen(one);
    });
  }
  bool changes_asked(std::size_t times) {
    const auto give_up = std::chrono::steady_clock::now() + 5s;
    while (std::chrono::steady_clock::now() < give_up) {
      if (served_.on_loop([](FixedControl& control) { return control.changes_asked; }) >= times) return true;
      std::this_thread::yield();
    }
    return false;
  }
};

TEST_F(WaitingForChanges, IsOverWhenTheyAreDoneWhateverElseOfTheirRunWaits) {
  tell({stream_of("r1", 500, false)});
  tell_changes({change(7, "waiting"), change(8, "waiting")});
  auto result = std::async(std::launch::async, [this] { return wait({.changes = {8, 7}}); });
  ASSERT_TRUE(changes_asked(1));
  tell_changes({change(7, "done"), change(8, "sent")});
  ASSERT_TRUE(changes_asked(3));
  tell_changes({change(7, "done"), change(8, "done")});
  const auto end = result.get();
  EXPECT_EQ(end.outcome, Outcome::synced);
  EXPECT_EQ(end.message, "All 2 changes are synced.");
}

TEST_F(WaitingForChanges, PassesOverThoseThatAreDoneWithTheFirst) {
  auto first = change(1, "done");
  first.done_through = 99'999;
  tell_changes({first, change(100'000, "done")});
  std::vector<std::int64_t> ids(100'000);
  std::ranges::generate(ids, [id = std::int64_t{0}]() mutable { return ++id; });
  EXPECT_EQ(wait({.changes = ids}).outcome, Outcome::synced);
  EXPECT_EQ(served_.on_loop([](FixedControl& control) { return control.changes_asked; }), 2u);
}

TEST_F(WaitingForChanges, FailsWhenOneOfThemWasRejectedOnceAllAreDealtWith) {
  tell_changes({change(7, "rejected"), change(8, "done")});
  const auto end = wait({.changes = {7, 8}});
  EXPECT_EQ(end.outcome, Outcome::rejected);
  EXPECT_THAT(end.message, HasSubstr("7: no such role."));
  tell_changes({change(7, "rejected"), change(8, "waiting")});
  EXPECT_EQ(wait({.timeout = 50ms, .changes = {7, 8}}).outcome, Outcome::rejected);
}

TEST_F(WaitingForChanges, OfOneSaysFirstWhetherItWasRefusedOrThrownAway) {
  tell_changes({change(7, "rejected")});
  const auto told = [&](const char* code) {
    keep({code});
    return wait({.changes = {7}}).message;
  };
  constexpr auto kept = " no such role. It is kept: `neptune-sync rejected show 1`.";
  EXPECT_EQ(told("http_400"), std::string("Change 7 was refused for good:") + kept);
  EXPECT_EQ(told("discarded"), std::string("Change 7 was thrown away before the server had it:") + kept);
  EXPECT_EQ(told("file_missing"), std::string("Change 7 asks for a file that could not be uploaded:") + kept);
  EXPECT_EQ(told("SERIES_STEP_NON_INCREASING"),
            "Change 7 was refused for good: no such role. Steps of a series must grow, and this one is not after the "
            "last that the server has. It is kept: `neptune-sync rejected show 1`.");
  auto gone = change(7, "discarded");
  gone.why = "no such role";
  gone.discarded_by = "jackie (uid 1000)";
  tell_changes({gone});
  EXPECT_EQ(wait({.changes = {7}}).message,
            "Change 7 is not on the server: no such role; thrown away by jackie (uid 1000).");
}

TEST_F(WaitingForChanges, OneThatWasMovedToAnotherMachineIsNotSyncedFromHere) {
  const auto moved = [this](std::int64_t id) {
    auto place = change(id, "moved");
    place.moved_to = "stick.jsonl";
    return place;
  };
  tell_changes({moved(7), moved(8), change(9, "done")});
  const auto one = wait({.changes = {7}});
  EXPECT_EQ(one.outcome, Outcome::failed);
  EXPECT_EQ(one.message, "Change 7 was moved to another machine in stick.jsonl, which sends it.");
  EXPECT_EQ(wait({.changes = {7, 8, 9}}).message,
            "2 of 3 changes were moved to another machine in stick.jsonl, which sends them.");
  tell_changes({moved(7), change(8, "rejected"), change(9, "waiting")});
  const auto all = wait({.timeout = 50ms, .changes = {7, 8, 9}});
  EXPECT_EQ(all.outcome, Outcome::rejected);
  EXPECT_THAT(all.message, HasSubstr("1 of 3 changes was moved"));
}

TEST_F(WaitingForChanges, ReportsHeldWhenTimeIsUpAndAllOfTheRestIsHeld) {
  tell_changes({change(7, "done"), change(8, "held"), change(9, "held")});
  const auto end = wait({.timeout = 50ms, .changes = {7, 8, 9}});
  EXPECT_EQ(end.outcome, Outcome::held);
  EXPECT_THAT(end.message, HasSubstr("2 of 3 changes are held: ml-team is held by root."));
  tell_changes({change(8, "held"), change(9, "waiting")});
  EXPECT_EQ(wait({.timeout = 50ms, .changes = {8, 9}}).outcome, Outcome::timed_out);
}

TEST_F(WaitingForChanges, OneThatNobodyKnowsIsAFailure) {
  EXPECT_EQ(wait({.changes = {70}}).outcome, Outcome::failed);
}

TEST_F(Waiting, ReportsHeldWhenTimeIsUpAndOnlyThatRemains) {
  auto stream = stream_of("r1", 0, true);
  stream.held = 7;
  stream.why = "ml-team is read-only: storage is used up.";
  tell({stream});
  const auto result = wait({.run = "r1", .timeout = 50ms});
  EXPECT_EQ(result.outcome, Outcome::held);
  EXPECT_THAT(result.message, HasSubstr("storage is used up"));
  stream.pending = 1;
  tell({stream});
  EXPECT_EQ(wait({.run = "r1", .timeout = 50ms}).outcome, Outcome::timed_out);
}

TEST_F(Waiting, ATimeoutOfZeroLooksOnce) {
  tell({stream_of("r1", 0, true)});
  EXPECT_EQ(wait({.run = "r1", .timeout = 0ms}).outcome, Outcome::synced);
  tell({stream_of("r1", 1, true)});
  EXPECT_EQ(wait({.run = "r1", .timeout = 0ms}).outcome, Outcome::timed_out);
}

TEST_F(Waiting, ForEverythingMeansEveryStreamAndTheTotals) {
  EXPECT_EQ(wait({}).outcome, Outcome::synced) << "nothing at all is everything synced";
  tell({stream_of("r1", 0, true), stream_of("r2", 1, true)});
  EXPECT_EQ(wait({.timeout = 50ms}).outcome, Outcome::timed_out);
  tell({});
  served_.on_loop([](FixedControl& control) { control.status_now.totals.pending = 1; });
  EXPECT_EQ(wait({.timeout = 50ms}).outcome, Outcome::timed_out);
}

TEST_F(Waiting, SurvivesARestartOfTheDaemon) {
  tell({stream_of("r1", 5, true)});
  auto result = begin({.run = "r1", .timeout = 1min});
  served_.stop();
  served_.on_loop([](FixedControl& control) { control.streams_now[0].pending = 0; });
  served_.restart();
  EXPECT_EQ(result.get().outcome, Outcome::synced);
  EXPECT_THAT(notices_, HasSubstr("come back"));
}

TEST_F(Waiting, ADaemonThatStaysAwayIsReportedWhenTimeIsUp) {
  tell({stream_of("r1", 5, true)});
  auto result = begin({.run = "r1", .timeout = 300ms});
  served_.stop();
  EXPECT_EQ(result.get().outcome, Outcome::unreachable);
}

TEST_F(Waiting, ADaemonThatWasNeverThereIsReportedAtOnce) {
  served_.stop();
  EXPECT_EQ(wait({.run = "r1"}).outcome, Outcome::unreachable);
}

TEST(Assess, AProjectWhoseStreamsAreDoneLongSinceIsKnownFromTheStatus) {
  api::Status status;
  status.workspaces.emplace_back().name = "ml-team";
  status.workspaces[0].projects.emplace_back().name = "classification";
  EXPECT_TRUE(assess({.project = "ml-team/classification"}, status, {}).complete(false));
  EXPECT_TRUE(assess({.project = "ml-team"}, status, {}).complete(false));
  EXPECT_FALSE(assess({.project = "ml-team/other"}, status, {}).complete(false));
  EXPECT_FALSE(assess({.project = "ml"}, status, {}).complete(false));
}

TEST(Assess, ASourceThatWasJustFoundIsWaitedForAndOneSetAsideIsNot) {
  api::Status status;
  auto& source = status.sources.emplace_back();
  source.path = "/runs/a";
  source.kind = "run-log";
  source.state = "settling_in";
  EXPECT_FALSE(assess({}, status, {}).complete(true));
  EXPECT_FALSE(assess({.run = "r1"}, status, {stream_of("r1", 0, true)}).complete(false)) << "it may be that run's";
  source.project = "ml-team/x";
  source.run = "r2";
  EXPECT_TRUE(assess({.run = "r1"}, status, {stream_of("r1", 0, true)}).complete(false)) << "another run's";
  source.state = "set_aside";
  source.detail = "It is no database.";
  const auto progress = assess({}, status, {});
  EXPECT_TRUE(progress.complete(false));
  ASSERT_EQ(progress.set_aside.size(), 1u);
  EXPECT_THAT(progress.set_aside[0], HasSubstr("It is no database."));
}

TEST(Assess, WhatWaitsInWhatIsSetAsideIsToldAndNotWaitedFor) {
  api::Status status;
  auto& source = status.sources.emplace_back();
  source.path = "change queue: run ml-team/x/r1";
  source.kind = "change-queue";
  source.state = "set_aside";
  source.detail = "It cannot be read.";
  source.project = "ml-team/x";
  auto stream = stream_of("r1", 3, true);
  stream.source = source.path;
  stream.waiting_for = "source";
  status.totals.pending = 3;
  for (const auto& what : {WaitFor{}, WaitFor{.project = "ml-team/x"}, WaitFor{.run = "r1"}}) {
    EXPECT_TRUE(assess(what, status, {stream}).complete(false));
    status.totals.pending = 4;
    EXPECT_EQ(assess(what, status, {stream, stream_of("r2", 1, true)}).pending, 1u) << "another one's";
    status.totals.pending = 3;
  }
  EXPECT_EQ(assess({}, status, {stream}).set_aside.size(), 1u);
  status.sources.front().state = "blocked";
  EXPECT_FALSE(assess({}, status, {stream}).complete(false)) << "that goes by itself";
}

TEST(Assess, WhatIsConfirmedAndNotOnRecordYetIsNotDone) {
  auto stream = stream_of("r1", 0, true);
  EXPECT_TRUE(assess({.run = "r1"}, {}, {stream}).complete(true));
  stream.state = "unconfirmed";
  EXPECT_FALSE(assess({.run = "r1"}, {}, {stream}).complete(true));
}

TEST(Assess, FilesThatAreNotOnTheServerYetAreWaitedForWithWhatIsBeingSent) {
  auto stream = stream_of("r1", 0, true);
  stream.uploads = 1;
  auto files = stream_of("r1", 0, true);
  files.container_type = "files";
  files.uploads = 1;
  files.active_uploads.emplace_back().file = "/a.bin";
  const auto progress = assess({.run = "r1"}, {}, {stream, files});
  EXPECT_FALSE(progress.complete(true));
  EXPECT_EQ(progress.uploads, 1u);
  ASSERT_EQ(progress.active_uploads.size(), 1u);
  stream.uploads = files.uploads = 0;
  EXPECT_TRUE(assess({.run = "r1"}, {}, {stream, files}).complete(true));
}

TEST(Assess, WhatIsBeingRecordedIsNotDoneThoughNothingOfItIsCounted) {
  auto stream = stream_of("r1", 0, true);
  stream.state = "unconfirmed";
  EXPECT_FALSE(assess({.run = "r1"}, {}, {stream}).complete(true));
}

}  // namespace
}  // namespace neptune::client
