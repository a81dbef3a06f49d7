#include "core/gate.h"

#include <gtest/gtest.h>

namespace neptune::core {
namespace {

using namespace std::chrono_literals;
using Verdict = Gates::Verdict;
using Is = Gates::StatusWord::Is;

const ProjectName one{"ml", "one"};
const ProjectName two{"ml", "two"};
const ProjectName elsewhere{"other", "one"};
const Scope workspace = Scope::of("ml");

class GatesTest : public ::testing::Test {
 protected:
  Random random_{1};
  Gates gates_{{.probe_interval = 30s, .probe_interval_max = 15min, .release_ramp = 30s}, random_};
  Instant now_{1h};

  /// Lets the next probe become due, and has the status call say `is`.
  void probe(Is is) {
    now_ = *gates_.next();
    ASSERT_EQ(gates_.due(now_), std::vector{workspace});
    gates_.status("ml", {is, {}}, true, now_);
  }
};

TEST_F(GatesTest, AReadOnlyWorkspaceHoldsAllItsProjectsAndNoOther) {
  EXPECT_TRUE(gates_.enter(workspace, "full", 7, now_));
  EXPECT_EQ(gates_.verdict(one, false), Verdict::workspace_mode);
  EXPECT_EQ(gates_.verdict(two, false), Verdict::workspace_mode);
  EXPECT_EQ(gates_.verdict(elsewhere, false), Verdict::open);
}

TEST_F(GatesTest, AReadOnlyProjectNeverHoldsItsNeighbours) {
  gates_.enter(Scope::of(one), "archived", 7, now_);
  EXPECT_EQ(gates_.verdict(one, false), Verdict::project_mode);
  EXPECT_EQ(gates_.verdict(two, false), Verdict::open);
}

TEST_F(GatesTest, LetsPassWhatOnlyRemoves) {
  gates_.enter(workspace, "full", 7, now_);
  gates_.hold(Scope::of(one), true);
  EXPECT_EQ(gates_.verdict(one, true), Verdict::open);
}

TEST_F(GatesTest, OneWriteAtATimeConfirmsThatAWorkspaceIsWritableAgain) {
  gates_.enter(workspace, "full", 7, now_);
  probe(Is::normal);
  EXPECT_EQ(gates_.verdict(one, false), Verdict::confirm);
  gates_.begin_confirm(one, 7);
  EXPECT_EQ(gates_.verdict(two, false), Verdict::workspace_mode);
  EXPECT_EQ(gates_.confirmed(7), std::vector{workspace});
  EXPECT_EQ(gates_.verdict(two, false), Verdict::open);
}

TEST_F(GatesTest, AConfirmingWriteThatSaysNothingOnTheModeIsFollowedByAProbeBeforeTheNextOne) {
  gates_.enter(workspace, "full", 7, now_);
  probe(Is::normal);
  for (const auto pause : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    gates_.begin_confirm(one, 7);
    gates_.unconfirmed(7, now_);
    EXPECT_EQ(gates_.verdict(two, false), Verdict::workspace_mode);
    const auto wait = *gates_.next() - now_;
    EXPECT_GE(wait, pause * 4 / 5);
    EXPECT_LE(wait, pause * 6 / 5) << "it comes later each time, up to the usual pause";
    probe(Is::normal);
    EXPECT_EQ(gates_.verdict(two, false), Verdict::confirm);
  }
}

TEST_F(GatesTest, AConfirmingWriteThatWasNotMadeLeavesThePlaceToTheNext) {
  gates_.enter(workspace, "full", 7, now_);
  probe(Is::normal);
  gates_.begin_confirm(one, 7);
  EXPECT_EQ(gates_.not_made(7), std::vector{workspace});
  EXPECT_EQ(gates_.verdict(two, false), Verdict::confirm);
}

TEST_F(GatesTest, CountsWhatTheProbingWritesOfAProjectTold) {
  const auto scope = Scope::of(one);
  const auto write = [this] {
    now_ = *gates_.next();
    ASSERT_EQ(gates_.due(now_), std::vector{Scope::of(one)});
    gates_.begin_confirm(one, 7);
  };
  gates_.enter(scope, "archived", 7, now_);
  EXPECT_TRUE(gates_.told_of_projects().empty()) << "that was no probe";
  write();
  gates_.not_made(7);
  write();
  gates_.enter(scope, "archived", 7, now_);
  gates_.enter(scope, "archived", 8, now_);
  write();
  gates_.unconfirmed(7, now_);
  write();
  gates_.confirmed(7);
  const auto told = gates_.told_of_projects().at(one);
  EXPECT_EQ(told.read_only, 1u);
  EXPECT_EQ(told.nothing, 1u);
  EXPECT_EQ(told.normal, 1u);
}

TEST_F(GatesTest, ProbesBackOffWhileTheServerSaysReadOnlyUpToTheMaximum) {
  gates_.enter(workspace, "full", 7, now_);
  auto previous = now_;
  for (int i = 0; i < 10; ++i) {
    const auto pause = *gates_.next() - previous;
    const auto expected = std::min<Duration>(15min, 30s * (1 << i));
    EXPECT_GE(pause, expected * 4 / 5);
    EXPECT_LE(pause, expected * 6 / 5);
    previous = *gates_.next();
    probe(Is::read_only);
  }
}

TEST_F(GatesTest, WhereTheStatusCallIsMissingOneRealWriteIsTheProbe) {
  gates_.enter(workspace, "full", 7, now_);
  probe(Is::unknown);
  EXPECT_EQ(gates_.verdict(one, false), Verdict::confirm);
}

TEST_F(GatesTest, AnUnansweredProbeChangesNothingButTheTimeOfTheNext) {
  gates_.enter(workspace, "full", 7, now_);
  probe(Is::unanswered);
  EXPECT_EQ(gates_.verdict(one, false), Verdict::workspace_mode);
  EXPECT_TRUE(gates_.next());
}

TEST_F(GatesTest, ASuspendedCheckClosesTheWorkspaceUntilTheStatusCallNarrowsItToTheProject) {
  EXPECT_EQ(gates_.suspect(one, "suspended", 7, now_).closed, std::vector{workspace});
  EXPECT_EQ(gates_.verdict(two, false), Verdict::workspace_mode);
  const auto effect = gates_.status("ml", {Is::normal, {}}, true, now_);
  EXPECT_EQ(effect.opened, std::vector{workspace});
  EXPECT_EQ(effect.closed, std::vector{Scope::of(one)});
  EXPECT_EQ(gates_.verdict(one, false), Verdict::project_mode);
  EXPECT_EQ(gates_.verdict(two, false), Verdict::open);
}

TEST_F(GatesTest, AnOperatorsHoldAndTheServersModeStandBesideEachOther) {
  gates_.hold(workspace, true);
  gates_.enter(workspace, "full", 7, now_);
  EXPECT_EQ(gates_.verdict(one, false), Verdict::workspace_held);
  gates_.hold(workspace, false);
  EXPECT_EQ(gates_.verdict(one, false), Verdict::workspace_mode);
  EXPECT_EQ(gates_.view(workspace).reason, "full");
}

TEST_F(GatesTest, LateAnswersOfWritesThatWereOutChangeNothing) {
  gates_.enter(workspace, "full", 7, now_);
  const auto next = gates_.next();
  EXPECT_FALSE(gates_.enter(workspace, "full", 7, now_ + 1s));
  EXPECT_EQ(gates_.next(), next);
}

TEST_F(GatesTest, WhileOneWriteConfirmsTheLateAnswersOfOthersChangeNothing) {
  gates_.enter(workspace, "full", 7, now_);
  probe(Is::normal);
  gates_.begin_confirm(one, 7);
  EXPECT_FALSE(gates_.enter(workspace, "full", 8, now_));
  EXPECT_TRUE(gates_.suspect(two, "suspended", 8, now_).closed.empty());
  EXPECT_TRUE(gates_.lets_begin(one, 7, false));
  EXPECT_EQ(gates_.confirmed(7), std::vector{workspace});
}

TEST_F(GatesTest, AProbeNowIsDueAtOnce) {
  EXPECT_FALSE(gates_.probe_now(workspace, now_));
  gates_.enter(workspace, "full", 7, now_);
  EXPECT_TRUE(gates_.probe_now(workspace, now_));
  EXPECT_EQ(gates_.next(), now_);
}

TEST_F(GatesTest, TheReasonCarriesWhatTheStatusCallAdds) {
  gates_.enter(workspace, "full", 7, now_);
  gates_.status("ml", {Is::read_only, "12.0 GiB of 10.0 GiB storage used"}, true, now_);
  EXPECT_EQ(gates_.view(workspace).reason, "full (12.0 GiB of 10.0 GiB storage used)");
}

TEST_F(GatesTest, AWriteThatWasLetGoMayNotBeginOnceItsScopeClosedUnlessItIsTheOneThatConfirms) {
  EXPECT_TRUE(gates_.lets_begin(one, 7, false));
  gates_.enter(workspace, "full", 7, now_);
  EXPECT_FALSE(gates_.lets_begin(one, 7, false));
  EXPECT_TRUE(gates_.lets_begin(one, 7, true)) << "a removal frees room";
  EXPECT_TRUE(gates_.lets_begin(elsewhere, 7, false));
  probe(Is::normal);
  gates_.begin_confirm(one, 7);
  EXPECT_TRUE(gates_.lets_begin(one, 7, false));
  EXPECT_FALSE(gates_.lets_begin(one, 8, false));
  gates_.enter(Scope::of(one), "archived", 7, now_);
  EXPECT_FALSE(gates_.lets_begin(one, 7, false)) << "its project closed meanwhile";
}

TEST_F(GatesTest, AnOperatorsHoldCallsOffWhatHasNotBegun) {
  gates_.hold(Scope::of(one), true);
  EXPECT_FALSE(gates_.lets_begin(one, 7, false));
  EXPECT_TRUE(gates_.lets_begin(two, 8, false));
}

TEST_F(GatesTest, AWorkspaceOfAServerThatCannotTellOpensWhenNothingWaits) {
  gates_.enter(workspace, "full", 7, now_);
  now_ = *gates_.next();
  gates_.due(now_);
  EXPECT_EQ(gates_.status("ml", {Is::unknown, {}}, false, now_).opened, std::vector{workspace});
  EXPECT_EQ(gates_.verdict(one, false), Verdict::open);
}

TEST_F(GatesTest, ItsWordsAreKeptApartFromWhatTheStatusCallAdds) {
  gates_.enter(workspace, "full", 7, now_);
  gates_.status("ml", {Is::read_only, "12.0 GiB of 10.0 GiB storage used"}, true, now_);
  EXPECT_EQ(gates_.view(workspace).words, "full");
}

TEST_F(GatesTest, AProbeThatIsWantedWhileTheStatusCallIsOutComesRightAfterIt) {
  gates_.enter(workspace, "full", 7, now_);
  now_ = *gates_.next();
  gates_.due(now_);
  EXPECT_TRUE(gates_.probe_now(workspace, now_));
  gates_.status("ml", {Is::read_only, {}}, true, now_);
  EXPECT_EQ(gates_.next(), now_);
}

}  // namespace
}  // namespace neptune::core
