#include "core/core.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace neptune::core {
namespace {

using namespace std::chrono_literals;

const ProjectName project{"ml", "one"};

class CoreTest : public ::testing::Test {
 protected:
  void open(StreamId id, const std::string& run, std::uint64_t waiting, bool create = false,
            const std::string& parent = {}, const std::string& order = {}) {
    core_.open({id, 0, {project, run}, order, 0}, now_);
    Backlog backlog{.count = waiting, .bytes = waiting * 10, .create_next = create};
    if (!parent.empty()) backlog.fork_parent = ContainerName{project, parent};
    core_.backlog(id, 0, backlog, now_);
  }

  template <class T>
  std::vector<T> take() {
    std::vector<T> found;
    for (auto& action : core_.take_actions())
      if (auto* wanted = std::get_if<T>(&action)) found.push_back(*wanted);
    return found;
  }

  void answer(StreamId id, Position last, std::uint64_t count, bool create, IngestCode code = IngestCode::ok) {
    core_.sent(id, {last, count, count * 10, create}, "q", now_);
    now_ += 20ms;
    core_.time_passed(now_);
    for (const auto& check : take<Check>()) {
      std::vector<RequestStatus> statuses;
      for (std::size_t i = 0; i < check.ids.size(); ++i) {
        RequestStatus status;
        status.counts = {{0, static_cast<std::int64_t>(count), code}};
        statuses.push_back(status);
      }
      core_.checked(check, statuses, now_);
    }
  }

  Failure failure(Failure::Kind kind) { return {kind, "code", "a sentence", std::nullopt, false}; }

  Core core_{Options{}, 1};
  Instant now_{1h};
};

TEST_F(CoreTest, SendsOneRequestOfAStreamAtATimeAndSettlesItOnceConfirmed) {
  open(1, "r", 100);
  ASSERT_EQ(take<Send>().size(), 1u);
  answer(1, 60, 60, false);
  const auto actions = core_.take_actions();
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_EQ(std::get<Settle>(actions[0]).upto, 60);
  EXPECT_EQ(std::get<Send>(actions[1]).after, 60);
}

TEST_F(CoreTest, AStreamWhoseSourceNamesATimeIsNotTriedBefore) {
  open(1, "r", 10);
  take<Send>();
  auto later = failure(Failure::Kind::source);
  later.retry_after = 90s;
  core_.failed(1, Sent{10, 10, 100, false}, later, now_);
  EXPECT_EQ(core_.stream(1, now_).until, now_ + 90s);
  core_.time_passed(now_ + 89s);
  EXPECT_TRUE(take<Send>().empty());
  core_.time_passed(now_ + 90s);
  EXPECT_EQ(take<Send>().size(), 1u);
}

TEST_F(CoreTest, AForkOfWhoseParentNothingIsKnownIsTried) {
  open(1, "child", 10, true, "parent");
  open(2, "parent", 1000, true);
  core_.take_actions();
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::sending);
}

TEST_F(CoreTest, AForkWhoseParentIsKnownGoesRightAfterItsCreate) {
  open(2, "parent", 1000, true);
  open(1, "child", 10, true, "parent");
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::parent);
  take<Send>();
  answer(2, 1, 1, true);
  std::vector<StreamId> sent;
  for (const auto& send : take<Send>()) sent.push_back(send.stream);
  EXPECT_NE(std::ranges::find(sent, 1u), sent.end());
}

TEST_F(CoreTest, WhileLogsAreStillBeingFoundAForkGivesItsParentTime) {
  core_.discovering(true, now_);
  open(1, "child", 10, true, "parent");
  EXPECT_TRUE(take<Send>().empty());
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::discovery);
  core_.discovering(false, now_);
  EXPECT_EQ(take<Send>().size(), 1u);
}

TEST_F(CoreTest, ForksInACircleAreTheServersToJudge) {
  core_.open({1, 0, {project, "a"}, {}, 0}, now_);
  core_.open({2, 0, {project, "b"}, {}, 0}, now_);
  core_.backlog(1, 0, {1, 10, true, false, ContainerName{project, "b"}}, now_);
  core_.backlog(2, 0, {1, 10, true, false, ContainerName{project, "a"}}, now_);
  EXPECT_GE(take<Send>().size(), 1u);
}

TEST_F(CoreTest, AnOlderLogOfTheSameRunGoesFirst) {
  core_.open({1, 0, {project, "r"}, "2", 0}, now_);
  core_.open({2, 0, {project, "r"}, "1", 0}, now_);
  core_.backlog(2, 0, {5, 50, false, false, {}}, now_);
  core_.backlog(1, 0, {5, 50, false, false, {}}, now_);
  const auto sends = take<Send>();
  ASSERT_EQ(sends.size(), 1u);
  EXPECT_EQ(sends[0].stream, 2u);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::earlier_source);
  answer(2, 5, 5, false);
  const auto next = take<Send>();
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].stream, 1u);
}

TEST_F(CoreTest, ATroubledStreamDelaysNoOther) {
  open(1, "bad", 10);
  open(2, "good", 10);
  EXPECT_EQ(take<Send>().size(), 2u);
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::server_error), now_);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::retry);
  answer(2, 10, 10, false);
  EXPECT_EQ(take<Settle>().size(), 1u);
  EXPECT_EQ(core_.stream(2, now_).wait, Wait::nothing);
}

TEST_F(CoreTest, WhatAsksForAPauseIsNotStuckAndTheAnswerBeforeIsForgotten) {
  open(1, "r", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::forbidden), now_);
  ASSERT_EQ(core_.stuck(), std::set<StreamId>{1});
  now_ = *core_.next_wakeup();
  core_.time_passed(now_);
  ASSERT_EQ(take<Send>().size(), 1u);
  auto pause = failure(Failure::Kind::busy);
  pause.retry_after = 18s;
  core_.failed(1, Sent{10, 10, 100, false}, pause, now_);
  EXPECT_TRUE(core_.stuck().empty());
  EXPECT_EQ(core_.next_try_of(0), now_ + 18s);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::server);
  EXPECT_EQ(core_.stream(1, now_ + 18s).trouble.text, "");
}

TEST_F(CoreTest, WhatTheServerTookHasNoTroubleAnyMore) {
  open(1, "r", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::forbidden), now_);
  now_ = *core_.next_wakeup();
  core_.time_passed(now_);
  ASSERT_EQ(take<Send>().size(), 1u);
  core_.sent(1, Sent{10, 10, 100, false}, "q", now_);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::unconfirmed);
  EXPECT_EQ(core_.stream(1, now_).trouble.text, "");
  EXPECT_TRUE(core_.stuck().empty());
}

TEST_F(CoreTest, AForkWhoseParentIsMadeWhileItsLastRefusalIsOnItsWayIsTriedAgain) {
  const auto refused = [this] {
    now_ += 1s;
    core_.time_passed(now_);
    RequestStatus status;
    status.counts = {{3, 1, IngestCode::run_fork_parent_not_found}};
    for (const auto& check : take<Check>()) core_.checked(check, {status}, now_);
  };
  open(1, "child", 1, true, "parent");
  ASSERT_EQ(take<Send>().size(), 1u);
  core_.sent(1, {1, 1, 10, true}, "q", now_);
  refused();
  now_ += 20s;
  core_.time_passed(now_);
  ASSERT_EQ(take<Send>().size(), 1u);
  core_.sent(1, {1, 1, 10, true}, "q", now_);
  open(2, "parent", 1, true);
  core_.stored(2, {1, 1, 10, true}, {}, now_);
  refused();
  EXPECT_TRUE(take<Reject>().empty());
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::retry);
}

TEST_F(CoreTest, AForkOfAnUnknownParentIsRefusedWithTheParentsName) {
  open(1, "child", 1, true, "parent");
  std::vector<Reject> rejected;
  for (int tries = 0; tries < 100 && rejected.empty(); ++tries) {
    core_.sent(1, {1, 1, 10, true}, "q", now_);
    now_ += 20ms;
    core_.time_passed(now_);
    for (const auto& action : core_.take_actions())
      if (const auto* check = std::get_if<Check>(&action)) {
        RequestStatus status;
        status.counts = {{3, 1, IngestCode::run_fork_parent_not_found}};
        status.message = "1 of the request's values: RUN_FORK_PARENT_NOT_FOUND";
        core_.checked(*check, {status}, now_);
      }
    if (rejected = take<Reject>(); !rejected.empty()) break;
    now_ = *core_.next_wakeup();
    core_.time_passed(now_);
    take<Send>();
  }
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected.front().code, "RUN_FORK_PARENT_NOT_FOUND");
  EXPECT_EQ(rejected.front().reason, "the server does not know the run parent of ml/one, which it is a fork of");
}

TEST_F(CoreTest, RetryAfterIsHonouredForTheWholeServer) {
  open(1, "r", 10);
  take<Send>();
  auto busy = failure(Failure::Kind::busy);
  busy.retry_after = 7s;
  core_.failed(1, Sent{10, 10, 100, false}, busy, now_);
  core_.time_passed(now_ + 6s);
  EXPECT_TRUE(take<Send>().empty());
  core_.time_passed(now_ + 7s + 1ms);
  EXPECT_EQ(take<Send>().size(), 1u);
}

TEST_F(CoreTest, ARequestThatAGatewayGivesUpOnIsMadeSmaller) {
  open(1, "big", 10'000);
  std::vector<Send> sends;
  for (int times = 1; times <= 3; ++times) {
    sends = take<Send>();
    ASSERT_EQ(sends.size(), 1u);
    core_.failed(1, Sent{10'000, 10'000, 100'000, false}, failure(Failure::Kind::busy), now_);
    now_ += 1min;
    core_.time_passed(now_);
  }
  sends = take<Send>();
  ASSERT_EQ(sends.size(), 1u);
  EXPECT_EQ(sends[0].max_operations, 5'000u);
}

TEST_F(CoreTest, ARequestThatTheServerFailsAtIsMadeSmallerButFilesAreTriedAgainTogether) {
  for (const auto kind : {ContainerKind::run, ContainerKind::files}) {
    const StreamId id = kind == ContainerKind::run ? 1 : 2;
    core_.open({id, 0, {project, "big", kind}, {}, 0}, now_);
    core_.backlog(id, 0, {.count = 100, .bytes = 100'000}, now_);
    const auto most = take<Send>().front().max_operations;
    std::uint64_t next = 0;
    for (int times = 1; times <= 6; ++times) {
      core_.failed(id, Sent{100, 100, 100'000, false}, failure(Failure::Kind::server_error), now_);
      now_ += 1h;
      core_.time_passed(now_);
      for (const auto& send : take<Send>())
        if (send.stream == id) next = send.max_operations;
    }
    if (kind == ContainerKind::run) {
      EXPECT_LT(next, 100u);
    } else {
      EXPECT_EQ(next, most);
    }
    core_.close(id, now_);
  }
}

TEST_F(CoreTest, ACheckIsNotPushedBackByWhatIsSentMeanwhile) {
  for (StreamId id = 1; id <= 4; ++id) open(id, std::to_string(id), 10);
  take<Send>();
  bool asked = false;
  for (StreamId id = 1; id <= 4; ++id) {
    core_.sent(id, {10, 10, 100, false}, "q", now_);
    now_ += 12ms;
    core_.time_passed(now_);
    asked |= id < 4 && !take<Check>().empty();
  }
  EXPECT_TRUE(asked) << "the first request's check waited for the last request";
}

TEST_F(CoreTest, AForkDoesNotWaitForAParentThatIsLeftToItsOwnClient) {
  open(2, "parent", 1000, true);
  core_.pause(2, true, now_);
  take<Send>();
  open(1, "child", 10, true, "parent");
  if (core_.stream(2, now_).wait == Wait::sending) answer(2, 1, 1, true);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::sending);
}

TEST_F(CoreTest, AForkOfAParentThatIsLeftToItsOwnClientIsRejectedOnlyOnceThatIsGone) {
  open(2, "parent", 1000, true);
  core_.pause(2, true, now_);
  if (core_.stream(2, now_).wait == Wait::sending) core_.failed(2, {}, failure(Failure::Kind::source), now_);
  open(1, "child", 10, true, "parent");
  const auto tried = [this] {
    for (const auto& send : take<Send>())
      if (send.stream == 1) answer(1, 1, 1, true, IngestCode::run_fork_parent_not_found);
    const auto rejected = take<Reject>();
    now_ = core_.next_wakeup().value_or(now_ + 1s);
    core_.time_passed(now_);
    return !rejected.empty();
  };
  const auto begun = now_;
  while (now_ < begun + 10min) ASSERT_FALSE(tried());
  core_.close(2, now_);
  const auto gone = now_;
  while (!tried()) ASSERT_LT(now_, gone + 5min);
}

TEST_F(CoreTest, OneCheckAsksForAThousandRequestsAtMostAndTheNextForTheOthers) {
  Options many;
  many.max_in_flight = 2000;
  Core core{many, 1};
  for (StreamId id = 1; id <= 1500; ++id) {
    core.open({id, 0, {project, "r-" + std::to_string(id)}, "", 0}, now_);
    core.backlog(id, 0, {.count = 1, .bytes = 10}, now_);
  }
  for (const auto& action : core.take_actions()) {
    const auto& send = std::get<Send>(action);
    core.sent(send.stream, {1, 1, 10, false}, "q" + std::to_string(send.stream), now_);
  }
  std::set<StreamId> asked;
  for (const auto expected : {1000u, 1000u}) {
    now_ = *core.next_wakeup();
    core.time_passed(now_);
    const auto actions = core.take_actions();
    ASSERT_EQ(actions.size(), 1u);
    const auto& check = std::get<Check>(actions[0]);
    EXPECT_EQ(check.ids.size(), expected);
    asked.insert(check.streams.begin(), check.streams.end());
    core.checked(check, std::vector<RequestStatus>(check.ids.size(), {.pending = true, .counts = {}, .message = {}}),
                 now_);
  }
  EXPECT_EQ(asked.size(), 1500u);
}

TEST_F(CoreTest, ChecksOfARequestThatStaysPendingComeLaterEachTimeUpToASecond) {
  open(1, "r", 10);
  take<Send>();
  core_.sent(1, {10, 10, 100, false}, "q", now_);
  Duration last{};
  for (int i = 0; i < 20; ++i) {
    const auto due = *core_.next_wakeup();
    EXPECT_GE(due - now_, last);
    last = due - now_;
    EXPECT_TRUE(i > 0 || last == 20ms);
    now_ = due;
    core_.time_passed(now_);
    const auto checks = take<Check>();
    ASSERT_EQ(checks.size(), 1u);
    core_.checked(checks[0], {{.pending = true, .counts = {}, .message = {}}}, now_);
  }
  EXPECT_EQ(last, 1s);
}

TEST_F(CoreTest, AStreamThatKeepsFailingIsTriedLaterEachTimeUpToAMinuteAndAtOnceAfterASuccess) {
  open(1, "r", 100);
  std::vector<Duration> pauses;
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(take<Send>().size(), 1u);
    core_.failed(1, Sent{1, 1, 10, false}, failure(Failure::Kind::server_error), now_);
    pauses.push_back(*core_.stream(1, now_).until - now_);
    now_ = *core_.stream(1, now_).until;
    core_.time_passed(now_);
  }
  const auto step = [](int attempt) { return std::min<Duration>(1min, 500ms * (1 << std::min(attempt, 10))); };
  for (int i = 0; i < 40; ++i) {
    EXPECT_GE(pauses[static_cast<std::size_t>(i)], step(i) / 10) << i;
    EXPECT_LE(pauses[static_cast<std::size_t>(i)], step(i)) << i;
  }
  EXPECT_GT(std::set<Duration>(pauses.end() - 20, pauses.end()).size(), 10u) << "each at a moment of its own";
  ASSERT_EQ(take<Send>().size(), 1u);
  answer(1, 1, 1, false);
  EXPECT_EQ(take<Send>().size(), 1u);
}

TEST_F(CoreTest, FilesWaitForTheirRunsCreateAndForNothingElseOfIt) {
  open(1, "r", 1000, true);
  core_.open({2, 0, {project, "r", ContainerKind::files}, {}, 0}, now_);
  core_.backlog(2, 0, {.count = 1, .bytes = 10}, now_);
  ASSERT_EQ(take<Send>().size(), 1u);
  EXPECT_EQ(core_.stream(2, now_).wait, Wait::earlier_change);
  answer(1, 1, 1, true);
  std::set<StreamId> sent;
  for (const auto& send : take<Send>()) sent.insert(send.stream);
  EXPECT_EQ(sent, (std::set<StreamId>{1, 2}));
}

TEST_F(CoreTest, ARejectedTokenIsLeftAloneForAWhile) {
  open(1, "r", 10);
  open(2, "s", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::token_rejected), now_);
  core_.failed(2, Sent{10, 10, 100, false}, failure(Failure::Kind::token_rejected), now_);
  core_.time_passed(now_ + 4min);
  EXPECT_TRUE(take<Send>().empty());
  core_.token_replaced(0, now_ + 4min);
  EXPECT_EQ(take<Send>().size(), 1u) << "one call finds out whether the new one is taken";
}

TEST_F(CoreTest, WhatReadOnlyModeSendsBackCostsNoAttempt) {
  open(1, "r", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::read_only), now_);
  EXPECT_EQ(core_.stream(1, now_).attempts, 0u);
  EXPECT_EQ(core_.total().held, 10u);
  EXPECT_EQ(core_.total().pending, 0u);
  EXPECT_TRUE(take<Send>().empty());
}

TEST_F(CoreTest, TheReasonOfAModeIsTheServersWordsAloneAndWhatTheStatusCallAdds) {
  open(1, "r", 10);
  take<Send>();
  auto refused = failure(Failure::Kind::read_only);
  refused.message = "the server takes no writes now: Storage is full";
  refused.words = "Storage is full";
  core_.failed(1, Sent{10, 10, 100, false}, refused, now_);
  const auto actions = core_.take_actions();
  ASSERT_EQ(actions.size(), 2u);
  EXPECT_EQ(std::get<ModeChanged>(actions[0]).reason, "Storage is full");
  WorkspaceStatus full;
  full.read_only = true;
  full.storage_limit = 10'000'000'000;
  full.storage_available = 0;
  core_.status_told(std::get<AskStatus>(actions[1]), full, now_);
  EXPECT_EQ(core_.scope(Scope::of("ml")).reason, "Storage is full (none of 9.3 GiB storage left)");
  full.storage_limit = 200'000;
  full.storage_available = 199'100;
  core_.status_told(std::get<AskStatus>(actions[1]), full, now_);
  EXPECT_EQ(core_.scope(Scope::of("ml")).reason, "Storage is full (900 B of 195.3 KiB storage used)");
}

TEST_F(CoreTest, AModeWithoutAWordOfTheServerIsToldInOurs) {
  open(1, "r", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::read_only), now_);
  EXPECT_EQ(core_.scope(Scope::of("ml")).reason, "a sentence");
}

TEST_F(CoreTest, ARefusedChangeIsFoundByHalves) {
  open(1, "r", 4);
  take<Send>();
  answer(1, 4, 4, false, IngestCode::field_path_invalid);
  auto sends = take<Send>();
  ASSERT_EQ(sends.size(), 1u);
  EXPECT_EQ(sends[0].max_operations, 2u);
  answer(1, 2, 2, false, IngestCode::field_path_invalid);
  sends = take<Send>();
  ASSERT_EQ(sends.size(), 1u);
  EXPECT_EQ(sends[0].max_operations, 1u);
  answer(1, 1, 1, false, IngestCode::field_path_invalid);
  std::vector<Reject> rejected;
  for (auto& action : core_.take_actions())
    if (auto* reject = std::get_if<Reject>(&action)) rejected.push_back(*reject);
  ASSERT_EQ(rejected.size(), 1u);
  EXPECT_EQ(rejected[0].position, 1);
  EXPECT_EQ(rejected[0].code, "FIELD_PATH_INVALID");
}

TEST_F(CoreTest, ManyRefusedChangesCostOneRequestEach) {
  open(1, "r", 300);
  std::uint64_t sends = 0, sent = 0, rejected = 0, last = 0;
  while (last < 300) {
    std::optional<Send> send;
    for (auto& action : core_.take_actions()) {
      if (const auto* next = std::get_if<Send>(&action)) send = *next;
      if (const auto* reject = std::get_if<Reject>(&action)) {
        ++rejected;
        last = static_cast<std::uint64_t>(reject->position);
      }
    }
    if (!send) break;
    const auto count = std::min<std::uint64_t>(send->max_operations, 300 - last);
    ++sends;
    sent += count;
    answer(1, static_cast<Position>(last + count), count, false, IngestCode::field_path_invalid);
  }
  EXPECT_EQ(rejected, 300u);
  EXPECT_LT(sends, 320u);
  EXPECT_LT(sent, 1000u);
}

TEST_F(CoreTest, AWrongRouteIsNotTheChangesFault) {
  open(1, "r", 1);
  take<Send>();
  auto not_found = failure(Failure::Kind::rejected);
  not_found.code = "http_404";
  core_.failed(1, Sent{1, 1, 10, false}, not_found, now_);
  EXPECT_TRUE(take<Reject>().empty());
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::retry);
}

TEST_F(CoreTest, ABareLimitAnswerIsBelievedOnlyOnceTheStatusCallSpokeAndItCameAgain) {
  open(1, "r", 1);
  take<Send>();
  core_.failed(1, Sent{1, 1, 10, false}, failure(Failure::Kind::ambiguous_limit), now_);
  const auto actions = core_.take_actions();
  ASSERT_EQ(actions.size(), 1u);
  const auto ask = std::get<AskStatus>(actions[0]);
  core_.status_told(ask, WorkspaceStatus{}, now_);
  const auto again = core_.take_actions();
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(std::get<Send>(again[0]).stream, 1u) << "the workspace may have turned writable in between";
  core_.failed(1, Sent{1, 1, 10, false}, failure(Failure::Kind::ambiguous_limit), now_);
  core_.status_told(ask, WorkspaceStatus{}, now_);
  EXPECT_EQ(take<Reject>().size(), 1u);
}

TEST_F(CoreTest, ABareLimitAnswerThatNobodyExplainsIsBelievedTheFourthTime) {
  open(1, "r", 1);
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(take<Send>().size(), 1u);
    core_.failed(1, Sent{1, 1, 10, false}, failure(Failure::Kind::ambiguous_limit), now_);
    const auto asks = take<AskStatus>();
    ASSERT_EQ(asks.size(), 1u);
    core_.status_told(asks[0], std::unexpected(failure(Failure::Kind::unreachable)), now_);
    now_ += 10min;
    core_.time_passed(now_);
  }
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::sending) << "no answer is no word";
  for (int i = 0; i < 4; ++i) {
    ASSERT_EQ(take<Send>().size(), 1u);
    core_.failed(1, Sent{1, 1, 10, false}, failure(Failure::Kind::ambiguous_limit), now_);
    core_.status_told(take<AskStatus>().at(0), std::unexpected(failure(Failure::Kind::rejected)), now_);
    EXPECT_EQ(take<Reject>().size(), i == 3 ? 1u : 0u);
    now_ += 10min;
    core_.time_passed(now_);
  }
}

TEST_F(CoreTest, ABareLimitAnswerToTheConfirmingWriteLetsNoOtherConfirmBeforeTheStatusCallSpoke) {
  open(1, "r", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::read_only), now_);
  open(2, "s", 10);
  take<AskStatus>();
  now_ += 1h;
  core_.time_passed(now_);
  core_.status_told(take<AskStatus>().at(0), WorkspaceStatus{}, now_);
  const auto sends = take<Send>();
  ASSERT_EQ(sends.size(), 1u);
  core_.failed(sends[0].stream, Sent{10, 10, 100, false}, failure(Failure::Kind::ambiguous_limit), now_);
  const auto actions = core_.take_actions();
  ASSERT_EQ(actions.size(), 1u);
  WorkspaceStatus full;
  full.read_only = true;
  core_.status_told(std::get<AskStatus>(actions[0]), full, now_);
  EXPECT_TRUE(take<Send>().empty());
  EXPECT_EQ(core_.stream(1, now_).attempts + core_.stream(2, now_).attempts, 0u);
}

TEST_F(CoreTest, ABareLimitAnswerHoldsTheWorkspaceWhenTheStatusCallCallsItReadOnly) {
  open(1, "r", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::ambiguous_limit), now_);
  const auto asks = take<AskStatus>();
  ASSERT_EQ(asks.size(), 1u);
  WorkspaceStatus full;
  full.read_only = true;
  core_.status_told(asks[0], full, now_);
  const auto changed = take<ModeChanged>();
  ASSERT_EQ(changed.size(), 1u);
  EXPECT_EQ(changed[0].mode, Mode::read_only);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::workspace_mode);
}

TEST_F(CoreTest, AfterOneSmallWriteTheOthersFollowWithinTheRampAndARelapseHoldsThemAgain) {
  for (StreamId id = 1; id <= 20; ++id) open(id, "r" + std::to_string(id), 1000);
  ASSERT_EQ(take<Send>().size(), 4u) << "as many as may be out at once";
  for (StreamId id = 1; id <= 4; ++id)
    core_.failed(id, Sent{1000, 1000, 10'000, false}, failure(Failure::Kind::read_only), now_);
  EXPECT_TRUE(take<Send>().empty());
  now_ += 1h;
  core_.time_passed(now_);
  core_.status_told(take<AskStatus>().at(0), WorkspaceStatus{}, now_);
  const auto one = take<Send>();
  ASSERT_EQ(one.size(), 1u);
  EXPECT_EQ(one[0].max_operations, 100u);
  answer(one[0].stream, 100, 100, false);
  const auto opened_at = now_;
  std::set<StreamId> ramped;
  for (StreamId id = 1; id <= 20; ++id)
    if (core_.stream(id, now_).wait == Wait::ramp) ramped.insert(id);
  EXPECT_GE(ramped.size(), 18u) << "each at a moment of its own";
  for (const auto id : ramped) EXPECT_LE(*core_.stream(id, now_).until, opened_at + 30s);
  core_.failed(one[0].stream, Sent{1000, 900, 9'000, false}, failure(Failure::Kind::read_only), now_);
  core_.take_actions();
  now_ += 31s;
  core_.time_passed(now_);
  EXPECT_TRUE(take<Send>().empty());
  EXPECT_EQ(core_.total().held, 20u * 1000 - 100);
}

TEST_F(CoreTest, WhatIsMissingOnAServerWithoutIngestionIsToldAsSuch) {
  open(1, "r", 10);
  open(2, "s", 10);
  take<Send>();
  auto no_project = failure(Failure::Kind::forbidden);
  no_project.code = "project_not_found";
  core_.failed(1, Sent{10, 10, 100, false}, no_project, now_);
  EXPECT_EQ(core_.stream(1, now_).trouble.lacks, Lacks::project);
  auto no_run = failure(Failure::Kind::source);
  no_run.code = "run_not_found";
  core_.failed(2, Sent{10, 10, 100, false}, no_run, now_);
  EXPECT_EQ(core_.stream(2, now_).trouble.lacks, Lacks::run);
}

TEST_F(CoreTest, AProbeThatSomebodyAsksForGoesToAServerThatWasAway) {
  const auto workspace = Scope::of(project.workspace);
  core_.restore(workspace, "full", now_);
  open(1, "r", 10);
  const AskStatus ask{0, project.workspace};
  for (int i = 0; i < 5; ++i) {
    now_ += 1h;
    core_.time_passed(now_);
    ASSERT_EQ(take<AskStatus>().size(), 1u);
    core_.status_told(ask, std::unexpected(failure(Failure::Kind::unreachable)), now_);
  }
  core_.time_passed(now_ + 10ms);
  ASSERT_TRUE(take<AskStatus>().empty()) << "it is left alone for a while";
  EXPECT_TRUE(core_.probe(workspace, now_ + 20ms));
  EXPECT_EQ(take<AskStatus>().size(), 1u);
}

TEST_F(CoreTest, AStreamThatCannotConfirmLeavesThePlaceToAnother) {
  open(1, "gone", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::read_only), now_);
  open(2, "fine", 10);
  take<AskStatus>();
  now_ += 1h;
  core_.time_passed(now_);
  const auto asks = take<AskStatus>();
  ASSERT_EQ(asks.size(), 1u);
  core_.status_told(asks[0], WorkspaceStatus{}, now_);
  auto sends = take<Send>();
  ASSERT_EQ(sends.size(), 1u) << "one write confirms";
  const auto first = sends[0].stream;
  core_.failed(first, Sent{10, 10, 100, false}, failure(Failure::Kind::forbidden), now_);
  EXPECT_TRUE(take<Send>().empty()) << "one write a probe";
  now_ += 2s;
  core_.time_passed(now_);
  core_.status_told(take<AskStatus>().at(0), WorkspaceStatus{}, now_);
  sends = take<Send>();
  ASSERT_EQ(sends.size(), 1u);
  EXPECT_NE(sends[0].stream, first);
}

TEST_F(CoreTest, FilesThatVanishedUseUpNoProbe) {
  open(1, "r", 10);
  for (StreamId id = 2; id <= 3; ++id) {
    core_.open({id, 0, {project, "run " + std::to_string(id), ContainerKind::files}, "", 0}, now_);
    core_.backlog(id, 0, {.count = 1, .bytes = 10}, now_);
  }
  take<Send>();
  for (StreamId id = 1; id <= 3; ++id) core_.failed(id, Sent{1, 1, 10, false}, failure(Failure::Kind::read_only), now_);
  now_ += 1h;
  core_.time_passed(now_);
  core_.status_told(take<AskStatus>().at(0), WorkspaceStatus{}, now_);
  for (int vanished = 0; vanished < 3; ++vanished) {
    const auto sends = take<Send>();
    ASSERT_EQ(sends.size(), 1u);
    if (sends[0].stream == 1) return;
    core_.stored(sends[0].stream, Sent{1, 1, 10, false}, {{1, "file_missing", "it is gone"}}, now_);
  }
  FAIL() << "the stream that can confirm was not asked";
}

TEST_F(CoreTest, AWorkspaceIsOpenWhenItsServerLooksAtAWriteThoughTheRunIsGone) {
  open(1, "gone", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::read_only), now_);
  now_ += 1h;
  core_.time_passed(now_);
  core_.status_told(take<AskStatus>().at(0), WorkspaceStatus{}, now_);
  ASSERT_EQ(take<Send>().size(), 1u);
  answer(1, 10, 10, false, IngestCode::run_not_found);
  const auto changes = take<ModeChanged>();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].mode, Mode::normal);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::retry);
}

TEST_F(CoreTest, TellsWhatHasToBeMadeOnTheServerFirst) {
  open(1, "r", 10);
  take<Send>();
  answer(1, 10, 10, false, IngestCode::run_not_found);
  EXPECT_EQ(core_.stream(1, now_).trouble.lacks, Lacks::run);
  now_ = *core_.next_wakeup();
  core_.time_passed(now_);
  ASSERT_EQ(take<Send>().size(), 1u);
  answer(1, 10, 10, false, IngestCode::project_not_found);
  EXPECT_EQ(core_.stream(1, now_).trouble.lacks, Lacks::project);
  now_ = *core_.next_wakeup();
  core_.time_passed(now_);
  ASSERT_EQ(take<Send>().size(), 1u);
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::forbidden), now_);
  EXPECT_EQ(core_.stream(1, now_).trouble.lacks, Lacks::nothing);
}

TEST_F(CoreTest, AForkOfAnUnknownParentLacksNoRunOfItsOwn) {
  open(1, "child", 1, true, "parent");
  now_ += 1h;  // its parent was looked for long enough
  core_.time_passed(now_);
  ASSERT_EQ(take<Send>().size(), 1u);
  answer(1, 1, 1, true, IngestCode::run_fork_parent_not_found);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::retry);
  EXPECT_EQ(core_.stream(1, now_).trouble.lacks, Lacks::nothing);
}

TEST_F(CoreTest, NothingPollsWhenNothingIsToBeDone) {
  open(1, "r", 10);
  take<Send>();
  answer(1, 10, 10, false);
  core_.take_actions();
  for (int i = 0; i < 3 && core_.next_wakeup(); ++i) core_.time_passed(*core_.next_wakeup());
  EXPECT_FALSE(core_.next_wakeup());
}

TEST_F(CoreTest, AServerThatIsAwayIsAskedEverMoreRarelyWhileNothingWaitsAndNoMoreOnceItAnswers) {
  open(1, "r", 10);
  int sent = 0, asked = 0;
  const auto fail_for_ten_minutes = [&] {
    for (const auto end = now_ + 10min;; core_.time_passed(now_ = *core_.next_wakeup())) {
      for (const auto& action : core_.take_actions()) {
        const auto none = failure(Failure::Kind::unreachable);
        if (std::holds_alternative<Send>(action)) ++sent, core_.failed(1, Sent{10, 10, 100, false}, none, now_);
        if (const auto* ask = std::get_if<AskServer>(&action))
          ++asked, core_.server_told(*ask, std::unexpected(none), now_);
      }
      if (!core_.next_wakeup() || *core_.next_wakeup() > end) return;
    }
  };
  fail_for_ten_minutes();
  EXPECT_GT(sent, 20);
  EXPECT_EQ(asked, 0) << "what waits finds out";
  core_.close(1, now_);
  fail_for_ten_minutes();
  EXPECT_GE(asked, 20);
  EXPECT_LT(asked, 60);
  ASSERT_TRUE(core_.next_wakeup()) << "it is asked again";
  core_.time_passed(now_ = *core_.next_wakeup());
  const auto asks = take<AskServer>();
  ASSERT_EQ(asks.size(), 1u);
  core_.server_told(asks[0], {}, now_);
  const auto changes = take<ServerChanged>();
  ASSERT_EQ(changes.size(), 1u);
  EXPECT_EQ(changes[0].state, ServerChanged::State::up);
  EXPECT_FALSE(core_.next_wakeup()) << "nothing is polled while all is well";
}

TEST_F(CoreTest, AProbeWhoseStreamIsClosedIsNoneAndAnotherProbes) {
  core_.restore(Scope::of(project), "archived", now_);
  open(1, "a", 10);
  open(2, "b", 10);
  core_.time_passed(now_ = *core_.next_wakeup());
  const auto probe = take<Send>();
  ASSERT_EQ(probe.size(), 1u);
  core_.close(probe[0].stream, now_);
  EXPECT_TRUE(take<Send>().empty()) << "it is on its way: one at a time";
  core_.sent(probe[0].stream, {10, 10, 100, false}, "q", now_);
  const auto next = take<Send>();
  ASSERT_EQ(next.size(), 1u);
  EXPECT_EQ(next[0].stream, 3 - probe[0].stream);
  core_.sent(next[0].stream, {10, 10, 100, false}, "q", now_);
  open(3, "c", 10);
  core_.close(next[0].stream, now_);
  EXPECT_EQ(take<Send>().size(), 1u) << "what became of it will not be known";
  core_.close(3, now_);
  core_.failed(3, Sent{10, 10, 100, false}, failure(Failure::Kind::called_off), now_);
  core_.time_passed(now_ += 1200ms);
  const auto opened = take<ModeChanged>();
  ASSERT_EQ(opened.size(), 1u) << "nothing waits that could tell";
  EXPECT_EQ(opened[0].mode, Mode::normal);
}

TEST_F(CoreTest, AServerThatIsAwayIsAskedSoonWhenTheLastThatWaitedForItIsGone) {
  auto later = failure(Failure::Kind::source);
  later.retry_after = 90s;
  for (const StreamId id : {1, 2}) {
    open(id, "r", 10);
    core_.time_passed(now_ += 1min);
    ASSERT_EQ(take<Send>().size(), 1u);
    core_.failed(id, Sent{10, 10, 100, false}, failure(Failure::Kind::unreachable), now_);
    while (core_.next_wakeup() && take<Send>().empty()) core_.time_passed(now_ = *core_.next_wakeup());
    core_.failed(id, Sent{10, 10, 100, false}, later, now_);
    ASSERT_EQ(core_.stream(id, now_).wait, Wait::retry);
    core_.time_passed(now_ += 1s);
    ASSERT_TRUE(take<AskServer>().empty()) << "what waits finds out";
    id == 1 ? core_.close(id, now_) : core_.backlog(id, 0, {}, now_);
    core_.time_passed(now_ += 1s);
    const auto asks = take<AskServer>();
    ASSERT_EQ(asks.size(), 1u);
    core_.server_told(asks[0], std::unexpected(failure(Failure::Kind::unreachable)), now_);
  }
}

TEST_F(CoreTest, AServerThatIsAwayIsAskedAtOnceByAFlushAndByANewToken) {
  open(1, "r", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::unreachable), now_);
  core_.flush(now_);
  EXPECT_EQ(take<Send>().size(), 1u) << "what waits finds out";
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::token_rejected), now_);
  core_.close(1, now_);
  core_.take_actions();
  core_.flush(now_);
  EXPECT_TRUE(take<AskServer>().empty()) << "a flush mends no token";
  core_.token_replaced(0, now_);
  const auto asks = take<AskServer>();
  ASSERT_EQ(asks.size(), 1u);
  core_.server_told(asks[0], std::unexpected(failure(Failure::Kind::unreachable)), now_);
  core_.flush(now_);
  EXPECT_EQ(take<AskServer>().size(), 1u);
}

TEST_F(CoreTest, AServerIsAskedWhenItIsMetAndAgainUntilItAnswers) {
  core_.meet(0, now_);
  auto asks = take<AskServer>();
  ASSERT_EQ(asks.size(), 1u);
  core_.server_told(asks[0], std::unexpected(failure(Failure::Kind::unreachable)), now_);
  EXPECT_EQ(take<ServerChanged>().size(), 1u);
  ASSERT_TRUE(core_.next_wakeup());
  core_.time_passed(now_ = *core_.next_wakeup());
  asks = take<AskServer>();
  ASSERT_EQ(asks.size(), 1u);
  core_.server_told(asks[0], {}, now_);
  EXPECT_FALSE(core_.next_wakeup());
}

TEST_F(CoreTest, WhatIsOutIsToldToWaitForAServerThatWentAway) {
  open(1, "r", 10);
  take<Send>();
  core_.sent(1, {10, 10, 100, false}, "q", now_);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::unconfirmed);
  core_.time_passed(now_ = *core_.next_wakeup());
  core_.check_failed(take<Check>().at(0), failure(Failure::Kind::unreachable), now_);
  const auto view = core_.stream(1, now_);
  EXPECT_EQ(view.wait, Wait::server);
  EXPECT_EQ(view.trouble.text, failure(Failure::Kind::unreachable).message);
  EXPECT_TRUE(view.until);
  EXPECT_EQ(view.tally.in_flight, 10u);
}

class DirectChanges : public CoreTest {
 protected:
  void wait_in(StreamId id, const ContainerName& container, Backlog backlog) {
    if (opened_.insert(id).second) core_.open({id, 0, container, "", 0}, now_);
    core_.backlog(id, core_.stream(id, now_).spec->confirmed, std::move(backlog), now_);
  }
  std::vector<StreamId> sends() {
    std::vector<StreamId> ids;
    for (const auto& send : take<Send>()) ids.push_back(send.stream);
    return ids;
  }
  void refuse_until_barred(StreamId id, const Sent& sent) {
    for (int attempt = 1; attempt <= 3; ++attempt) {
      ASSERT_EQ(sends(), std::vector<StreamId>{id});
      core_.failed(id, sent, failure(Failure::Kind::forbidden), now_);
      if (attempt == 3) break;
      now_ = *core_.stream(id, now_).until;
      core_.time_passed(now_);
    }
  }

  const ContainerName management_{project, {}, ContainerKind::management};
  const ContainerName removals_{project, {}, ContainerKind::removals};
  const ContainerName waiting_{project, std::string(removals_that_wait), ContainerKind::removals};
  const ContainerName run_{project, "r"};
  const ContainerName other_{project, "other"};
  std::set<StreamId> opened_;
};

TEST_F(DirectChanges, AreSettledByTheirAnswerWithoutACheckAndRefusedOnesAreRejected) {
  wait_in(1, management_, {.count = 3, .bytes = 30, .ticket = 4});
  ASSERT_EQ(sends(), std::vector<StreamId>{1});
  core_.stored(1, {9, 3, 30, false}, {{5, "http_409", "no"}}, now_);
  const auto actions = core_.take_actions();
  ASSERT_EQ(actions.size(), 1u) << "in one word, so that no kill comes between";
  const auto& settle = std::get<Settle>(actions[0]);
  ASSERT_EQ(settle.refused.size(), 1u);
  EXPECT_EQ(settle.refused[0].position, 5);
  EXPECT_EQ(settle.upto, 9);
  EXPECT_EQ(settle.count, 2u);
  EXPECT_EQ(core_.total(), Tally{});
}

TEST_F(DirectChanges, EverythingOfAProjectWaitsForItsCreate) {
  open(1, "r", 10, true);
  take<Send>();
  core_.failed(1, Sent{1, 1, 10, true}, failure(Failure::Kind::server_error), now_);
  wait_in(2, management_, {.count = 1, .bytes = 10, .ticket = 1, .creates_project = 1});
  EXPECT_EQ(sends(), std::vector<StreamId>{2});
  now_ += 1h;
  core_.time_passed(now_);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::project);
  core_.stored(2, {1, 1, 10, false}, {}, now_);
  wait_in(2, management_, {});
  EXPECT_EQ(sends(), std::vector<StreamId>{1});
}

TEST_F(DirectChanges, WhatAProjectWasCreatedForGoesThoughItIsToBeCreatedAgainLater) {
  wait_in(1, management_, {.count = 2, .bytes = 20, .ticket = 1, .creates_project = 1});
  wait_in(2, run_, {.count = 1, .bytes = 10, .ticket = 2});
  wait_in(3, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 3, .after = {run_}});
  ASSERT_EQ(sends(), std::vector<StreamId>{1});
  EXPECT_EQ(core_.stream(2, now_).wait, Wait::project);
  core_.stored(1, {1, 1, 10, false}, {}, now_);
  wait_in(1, management_, {.count = 1, .bytes = 10, .ticket = 4, .creates_project = 4, .after = {removals_}});
  EXPECT_EQ(sends(), std::vector<StreamId>{2});
}

TEST_F(DirectChanges, NothingWaitsForACreateOfItsProjectThatWasAcceptedAfterIt) {
  core_.hold(Scope::of(project), true, now_);
  wait_in(1, management_, {.count = 2, .bytes = 20, .ticket = 1, .creates_project = 4});
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 3, .after = {run_}});
  wait_in(3, waiting_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {run_}});
  EXPECT_EQ(sends(), std::vector<StreamId>{2}) << "though other management is held before the create";
  EXPECT_EQ(core_.stream(3, now_).wait, Wait::project);
}

TEST_F(DirectChanges, AWriteDoesNotWaitForTheAssignmentOfAFileOfTheNextProjectOfThatName) {
  const ContainerName of_all{project, std::string(removals_of_all), ContainerKind::removals};
  const ContainerName everything{project, std::string(everything_in_project), ContainerKind::management};
  core_.hold(Scope::of(project), true, now_);
  core_.open({.id = 1, .server = 0, .container = run_, .order = "1"}, now_);
  core_.open({.id = 2, .server = 0, .container = run_, .order = "0"}, now_);
  core_.backlog(1, 0, {.count = 1, .bytes = 10, .ticket = 1}, now_);
  core_.backlog(2, 0, {.count = 1, .bytes = 10, .ticket = 4}, now_);
  wait_in(3, of_all, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 2, .after = {everything}});
  wait_in(4, management_, {.count = 1, .bytes = 10, .ticket = 3, .creates_project = 3, .after = {of_all}});
  core_.hold(Scope::of(project), false, now_);
  ASSERT_EQ(sends(), std::vector<StreamId>{1}) << "the assignment waits for the create, that for the removal";
  answer(1, 1, 1, false);
  EXPECT_EQ(sends(), std::vector<StreamId>{3});
  EXPECT_EQ(core_.stream(2, now_).wait, Wait::project);
}

TEST_F(DirectChanges, ALogOfAProjectThatIsToBeDeletedAndMadeAnewGoesBeforeBoth) {
  const ContainerName everything{project, std::string(everything_in_project), ContainerKind::management};
  const ContainerName of_all{project, std::string(removals_of_all), ContainerKind::removals};
  open(1, "r", 10);
  ASSERT_EQ(sends(), std::vector<StreamId>{1});
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::server_error), now_);
  wait_in(2, of_all, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 1, .after = {everything}});
  wait_in(3, management_, {.count = 1, .bytes = 10, .ticket = 2, .creates_project = 2, .after = {of_all}});
  now_ += 1h;
  core_.time_passed(now_);
  EXPECT_EQ(sends(), std::vector<StreamId>{1});
  EXPECT_EQ(core_.stream(2, now_).wait, Wait::earlier_change);
}

TEST_F(DirectChanges, ARemovalWaitsForEarlierWritesToItsTargetAndNotForLaterOnes) {
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {run_}});
  EXPECT_EQ(sends(), std::vector<StreamId>{1});
  EXPECT_EQ(core_.stream(2, now_).wait, Wait::earlier_change);
  answer(1, 4, 2, false);
  wait_in(1, run_, {.count = 1, .bytes = 10, .ticket = 6});
  EXPECT_EQ(core_.stream(2, now_).wait, Wait::sending);
}

TEST_F(DirectChanges, ARemovalStepsAsideWhenTheWritesItWaitsForTurnOutToBeHeld) {
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  wait_in(2, removals_, {.count = 2, .bytes = 20, .frees_next = true, .ticket = 5, .after = {run_}});
  ASSERT_EQ(sends(), std::vector<StreamId>{1});
  EXPECT_TRUE(take<StepAside>().empty()) << "what it waits for is on its way";
  core_.failed(1, Sent{4, 2, 20, false}, failure(Failure::Kind::read_only), now_);
  const auto aside = take<StepAside>();
  ASSERT_EQ(aside.size(), 1u);
  EXPECT_EQ(aside[0].stream, 2u);
  EXPECT_EQ(aside[0].position, 5);
  core_.time_passed(now_);
  EXPECT_TRUE(sends().empty()) << "until what stands first now is told";
  wait_in(3, waiting_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {run_}});
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 6, .after = {other_}});
  EXPECT_EQ(sends(), std::vector<StreamId>{2}) << "another removal passes";
  EXPECT_EQ(core_.stream(3, now_).wait, Wait::earlier_change);
  core_.stored(2, {6, 1, 10, false}, {}, now_);
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 7, .after = {run_, waiting_}});
  const auto second = take<StepAside>();
  ASSERT_EQ(second.size(), 1u) << "behind the one of the same run";
  EXPECT_EQ(second[0].position, 7);
}

TEST_F(DirectChanges, ARemovalStepsAsideAlsoWhenItWaitsForOneOfTheProjectThatWaitsForWhatIsHeld) {
  const ContainerName of_all{project, std::string(removals_of_all), ContainerKind::removals};
  const ContainerName everything{project, std::string(everything_in_project), ContainerKind::management};
  wait_in(1, run_, {.count = 1, .bytes = 10, .ticket = 3});
  wait_in(3, of_all, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 4, .after = {everything}});
  wait_in(2, removals_, {.count = 2, .bytes = 20, .frees_next = true, .ticket = 5, .after = {other_, of_all}});
  ASSERT_EQ(sends(), std::vector<StreamId>{1});
  EXPECT_TRUE(take<StepAside>().empty()) << "the write goes, so both do";
  core_.failed(1, Sent{3, 1, 10, false}, failure(Failure::Kind::read_only), now_);
  const auto aside = take<StepAside>();
  ASSERT_EQ(aside.size(), 1u);
  EXPECT_EQ(aside[0].stream, 2u);
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 6});
  EXPECT_EQ(sends(), std::vector<StreamId>{2}) << "what makes room passes";
}

TEST_F(DirectChanges, ARemovalDoesNotWaitForALogThatForksFromARunWhichIsCreatedAfterIt) {
  const ContainerName of_all{project, std::string(removals_of_all), ContainerKind::removals};
  const ContainerName everything{project, std::string(everything_in_project), ContainerKind::management};
  core_.expect(of_all, true, now_);
  wait_in(1, run_, {.count = 1, .bytes = 10, .create_next = true, .ticket = 7, .after = {removals_, of_all}});
  open(4, "fork", 10, true, run_.id);
  open(5, "fork of it", 10, true, "fork");
  wait_in(6, {project, "fork", ContainerKind::files}, {.count = 1, .bytes = 10, .ticket = 2});
  open(8, "fork", 10, false, {}, "later");
  wait_in(3, of_all, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {everything}});
  core_.expect(of_all, false, now_);
  ASSERT_EQ(sends(), std::vector<StreamId>{3}) << "the create waits for it, and all of the forks for that";
  core_.stored(3, {5, 1, 10, false}, {}, now_);
  wait_in(3, of_all, {});
  EXPECT_EQ(sends(), std::vector<StreamId>{1});
  EXPECT_EQ(core_.stream(4, now_).wait, Wait::parent);
}

TEST_F(DirectChanges, ARemovalDoesNotWaitForALogThatForksFromARunWhichIsLoggedAndThenCreatedAfterIt) {
  core_.hold(Scope::of(project), true, now_);
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 7, .create_behind = 8});
  open(4, "fork", 10, true, run_.id);
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {{project, "fork"}}});
  EXPECT_EQ(sends(), std::vector<StreamId>{2});
}

TEST_F(DirectChanges, ARemovalDoesNotWaitForWritesThatGoNowhere) {
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {run_}});
  for (int attempt = 1; attempt <= 3; ++attempt) {
    ASSERT_EQ(core_.stream(2, now_).wait, Wait::earlier_change) << "a right that was just given may take a moment";
    ASSERT_EQ(sends(), std::vector<StreamId>{1});
    core_.failed(1, Sent{4, 2, 20, false}, failure(Failure::Kind::forbidden), now_);
    if (attempt == 3) break;
    now_ = *core_.stream(1, now_).until;
    core_.time_passed(now_);
  }
  EXPECT_EQ(sends(), std::vector<StreamId>{2});
}

TEST_F(DirectChanges, ARemovalDoesNotWaitForWhatWaitsForWhatGoesNowhere) {
  const ContainerName of_all{project, std::string(removals_of_all), ContainerKind::removals};
  const ContainerName everything{project, std::string(everything_in_project), ContainerKind::management};
  core_.expect(of_all, true, now_);
  open(4, run_.id, 10, true);
  open(5, "fork", 10, true, run_.id);
  open(6, "fork of it", 10, true, "fork");
  open(7, "fork of it", 10, false, {}, "later");
  wait_in(8, {project, "fork of it", ContainerKind::files}, {.count = 1, .bytes = 10, .ticket = 2});
  wait_in(3, of_all, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {everything}});
  core_.expect(of_all, false, now_);
  refuse_until_barred(4, {1, 1, 10, true});
  EXPECT_EQ(sends(), std::vector<StreamId>{3});
}

TEST_F(DirectChanges, ARemovalOfAForkIsLookedAtAgainWhenItsParentGoesNowhere) {
  open(4, run_.id, 10, true);
  open(5, "fork", 10, true, run_.id);
  open(6, "fork of it", 10, true, "fork");
  const ContainerName files{project, "fork of it", ContainerKind::files};
  wait_in(8, files, {.count = 1, .bytes = 10, .ticket = 2});
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {files}});
  refuse_until_barred(4, {1, 1, 10, true});
  EXPECT_EQ(sends(), std::vector<StreamId>{2});
}

TEST_F(DirectChanges, ARemovalOfAForkIsLookedAtAgainWhenTheCreateOfItsParentIsHandedInAfterIt) {
  core_.hold(Scope::of(project), true, now_);
  open(4, "fork", 10, true, run_.id);
  wait_in(1, run_, {.count = 1, .bytes = 10, .ticket = 3});
  wait_in(2, waiting_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 4, .after = {{project, "fork"}}});
  ASSERT_TRUE(sends().empty()) << "for what is held";
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3, .create_behind = 5});
  EXPECT_EQ(sends(), std::vector<StreamId>{2});
}

TEST_F(DirectChanges, ABatchOfARunCostsTheSameHoweverManyRunsForkFromItAndFromThose) {
  core_.hold(Scope::of(project), true, now_);
  StreamId next = 1;
  const auto fork = [&](const std::string& run, const std::string& parent) { open(next++, run, 10, true, parent); };
  fork("of many", "r");
  for (int i = 0; i < 20'000; ++i) fork("a-" + std::to_string(i), "r");
  for (int i = 0; i < 20'000; ++i) fork("b-" + std::to_string(i), "of many");
  wait_in(next, run_, {.count = 5'000, .bytes = 50'000, .ticket = 1});
  core_.take_actions();
  const auto begun = std::chrono::steady_clock::now();
  for (std::uint64_t left = 2'000; left > 0; --left)
    core_.backlog(next, 0, {.count = left, .bytes = left * 10, .ticket = 1}, now_);
  // Some milliseconds; to look at each of the forks each time would take minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 5s);
}

TEST_F(DirectChanges, TheRemovalOfAProjectDoesNotWaitForWhatWaitsForACreateOfItThatGoesNowhere) {
  const ContainerName of_all{project, std::string(removals_of_all), ContainerKind::removals};
  const ContainerName everything{project, std::string(everything_in_project), ContainerKind::management};
  wait_in(1, management_, {.count = 1, .bytes = 10, .ticket = 1, .creates_project = 1});
  wait_in(2, run_, {.count = 2, .bytes = 20, .create_next = true, .ticket = 2});
  wait_in(4, {project, run_.id, ContainerKind::files}, {.count = 1, .bytes = 10, .ticket = 3});
  wait_in(3, of_all, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {everything}});
  refuse_until_barred(1, {1, 1, 10, false});
  EXPECT_EQ(sends(), std::vector<StreamId>{3});
}

TEST_F(DirectChanges, ARemovalIsLookedAtAgainWhenTheCreateOfItsProjectGoesNowhere) {
  wait_in(1, management_, {.count = 1, .bytes = 10, .ticket = 1, .creates_project = 1});
  wait_in(2, run_, {.count = 2, .bytes = 20, .create_next = true, .ticket = 2});
  wait_in(3, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {run_}});
  refuse_until_barred(1, {1, 1, 10, false});
  EXPECT_EQ(sends(), std::vector<StreamId>{3});
}

TEST_F(DirectChanges, ARemovalThatCameWhileThatCreateWasOutIsLookedAtWhenItIsBackAsItWas) {
  wait_in(1, management_, {.count = 1, .bytes = 10, .ticket = 1, .creates_project = 1});
  refuse_until_barred(1, {1, 1, 10, false});
  auto read_only = failure(Failure::Kind::read_only);
  read_only.scope_is_project = true;
  const auto send_again = [this] {
    now_ += 1h;
    core_.time_passed(now_);
    EXPECT_EQ(sends(), std::vector<StreamId>{1});
  };
  send_again();
  core_.failed(1, Sent{1, 1, 10, false}, read_only, now_);
  send_again();  // as the write that is to confirm that the project is open
  wait_in(3, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5});
  ASSERT_TRUE(sends().empty()) << "the project may just be made";
  core_.failed(1, Sent{1, 1, 10, false}, read_only, now_);
  EXPECT_EQ(sends(), std::vector<StreamId>{3});
}

TEST_F(DirectChanges, TheRemovalOfAProjectDoesNotWaitForWhatIsForAModelWhoseCreateGoesNowhere) {
  const ContainerName of_all{project, std::string(removals_of_all), ContainerKind::removals};
  const ContainerName everything{project, std::string(everything_in_project), ContainerKind::management};
  const ContainerName model{project, "FOREST", ContainerKind::model};
  wait_in(1, model, {.count = 1, .bytes = 10, .create_next = true, .ticket = 1});
  wait_in(2, {project, "FOREST-1", ContainerKind::model_version},
          {.count = 1, .bytes = 10, .ticket = 2, .after = {model}});
  wait_in(3, of_all, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 3, .after = {everything}});
  refuse_until_barred(1, {1, 1, 10, true});
  EXPECT_EQ(sends(), std::vector<StreamId>{3});
}

TEST_F(DirectChanges, ARemovalThatThrowsWritesAwayHasThatDoneAlsoOfOneThatComesBackHeldLater) {
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  wait_in(2, removals_,
          {.count = 1, .bytes = 10, .frees_next = true, .discards = true, .ticket = 5, .after = {run_, other_}});
  wait_in(3, other_, {.count = 1, .bytes = 10, .ticket = 6});
  ASSERT_EQ(sends(), (std::vector<StreamId>{1, 3})) << "it waits for the first of them";
  core_.failed(1, Sent{4, 2, 20, false}, failure(Failure::Kind::read_only), now_);
  core_.failed(3, Sent{6, 1, 10, false}, failure(Failure::Kind::read_only), now_);
  const auto way = take<MakeWay>();
  ASSERT_EQ(way.size(), 1u);
  EXPECT_EQ(way[0].stream, 2u);
  EXPECT_EQ(way[0].position, 5);
  core_.pause(1, true, now_);
  ASSERT_TRUE(core_.discard(1, 4, 2, now_));
  core_.pause(1, false, now_);
  EXPECT_TRUE(sends().empty()) << "until the way is made";
  core_.way_made(2, now_);
  EXPECT_EQ(sends(), std::vector<StreamId>{2}) << "what came after it stays, and is not waited for";
  EXPECT_EQ(core_.stream(3, now_).tally.held, 1u);
}

TEST_F(DirectChanges, WhatCouldNotBeThrownAwayForARemovalIsAskedForAgainAndKeepsBackNoOther) {
  core_.hold(Scope::of(project), true, now_);
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  wait_in(2, removals_, {.count = 2, .bytes = 20, .frees_next = true, .discards = true, .ticket = 5, .after = {run_}});
  for (int tried = 1; tried <= 3; ++tried) {
    ASSERT_EQ(take<MakeWay>().size(), 1u);
    core_.way_made(2, now_);
    EXPECT_EQ(take<StepAside>().size(), tried < 3 ? 0u : 1u);
    if (tried == 3) break;
    now_ += 1s;
    core_.time_passed(now_);
  }
  wait_in(3, waiting_, {.count = 1, .bytes = 10, .frees_next = true, .discards = true, .ticket = 5, .after = {run_}});
  ASSERT_EQ(take<MakeWay>().size(), 1u);
  core_.way_made(3, now_);
  EXPECT_TRUE(take<MakeWay>().empty());
  now_ += 1s;
  core_.time_passed(now_);
  EXPECT_EQ(take<MakeWay>().size(), 1u);
}

TEST_F(DirectChanges, ARemovalThatThrowsWritesAwayDoesNotPassThoseThatGoNowhereBeforeThatWasTried) {
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .discards = true, .ticket = 5, .after = {run_}});
  for (int attempt = 1; attempt <= 3; ++attempt) {
    ASSERT_EQ(sends(), std::vector<StreamId>{1});
    core_.failed(1, Sent{4, 2, 20, false}, failure(Failure::Kind::forbidden), now_);
    if (attempt == 3) break;
    now_ = *core_.stream(1, now_).until;
    core_.time_passed(now_);
  }
  ASSERT_EQ(take<MakeWay>().size(), 1u);
  core_.way_made(2, now_);
  EXPECT_EQ(sends(), std::vector<StreamId>{2}) << "as any removal does";
}

TEST_F(DirectChanges, ACreatePassesTheWritesOfItsRunThatGoNowhereAndTheyFollow) {
  const auto refused = [this](std::uint64_t times) {
    for (std::uint64_t attempt = 1; attempt <= times; ++attempt) {
      ASSERT_EQ(sends(), std::vector<StreamId>{1});
      core_.sent(1, {3, 1, 10, false}, "q", now_);
      now_ += 20ms;
      core_.time_passed(now_);
      RequestStatus status;
      status.counts = {{0, 1, IngestCode::run_not_found}};
      core_.checked(take<Check>().at(0), {status}, now_);
      if (attempt == times) return;
      EXPECT_TRUE(take<LetCreatePass>().empty()) << "the run may have been made a moment ago";
      now_ = *core_.stream(1, now_).until;
      core_.time_passed(now_);
    }
  };
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3, .create_behind = 5});
  wait_in(4, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 6, .after = {run_}});
  refused(4);
  ASSERT_EQ(take<LetCreatePass>().size(), 1u);
  EXPECT_EQ(core_.stream(4, now_).wait, Wait::earlier_change) << "the create was handed in before the removal";
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3, .create_behind = 5});
  EXPECT_EQ(take<LetCreatePass>().size(), 1u) << "once more, should the first have failed";
  core_.expect(run_, true, now_);
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3, .create_behind = 5});
  EXPECT_TRUE(take<LetCreatePass>().empty()) << "a later create is for the time after the one that passes";
  core_.open({.id = 2, .server = 0, .container = run_, .order = "2", .confirmed = 0, .passed = true}, now_);
  core_.backlog(2, 0, {.count = 1, .bytes = 10, .ticket = 5}, now_);
  core_.expect(run_, false, now_);
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3, .create_behind = 7});
  const auto actions = core_.take_actions();
  ASSERT_EQ(actions.size(), 1u) << "the later create stays";
  ASSERT_EQ(std::get<Send>(actions[0]).stream, 2u);
  wait_in(1, run_, {.count = 1, .bytes = 10, .ticket = 3});
  answer(2, 5, 1, true);
  EXPECT_EQ(sends(), std::vector<StreamId>{1}) << "at once, and before the removal";
  EXPECT_EQ(core_.stream(4, now_).wait, Wait::earlier_change);
  answer(1, 3, 1, false);
  EXPECT_EQ(sends(), std::vector<StreamId>{4});
}

TEST_F(DirectChanges, TheCreateOfAProjectPassesManagementOfItThatGoesNowhere) {
  wait_in(1, management_, {.count = 2, .bytes = 20, .ticket = 1, .create_behind = 3, .creates_project = 3});
  wait_in(3, run_, {.count = 1, .bytes = 10, .create_next = true, .ticket = 4});
  refuse_until_barred(1, {1, 1, 10, false});
  ASSERT_EQ(take<LetCreatePass>().size(), 1u);
  core_.open({.id = 2, .server = 0, .container = management_, .order = "2", .confirmed = 0, .passed = true}, now_);
  core_.backlog(2, 0, {.count = 1, .bytes = 10, .ticket = 3, .creates_project = 3}, now_);
  wait_in(1, management_, {.count = 1, .bytes = 10, .ticket = 1});
  ASSERT_EQ(sends(), std::vector<StreamId>{2});
  core_.stored(2, {3, 1, 10, false}, {}, now_);
  core_.backlog(2, 3, {}, now_);
  EXPECT_EQ(sends(), (std::vector<StreamId>{1, 3})) << "at once";
}

TEST_F(DirectChanges, ARemovalPassesWritesThatGoNowhereThoughALaterCreateStandsBehindThoseOfTheOneThatPassed) {
  // Logged, removed, and created twice: the first create waits for the removal, and the second for the first.
  core_.open({.id = 1, .server = 0, .container = run_, .order = "1"}, now_);
  core_.open({.id = 2, .server = 0, .container = run_, .order = "2", .confirmed = 0, .passed = true}, now_);
  core_.backlog(1, 0, {.count = 2, .bytes = 20, .ticket = 3, .create_behind = 8}, now_);
  core_.backlog(2, 0, {.count = 1, .bytes = 10, .create_next = true, .ticket = 7, .after = {removals_}}, now_);
  wait_in(4, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 6, .after = {run_}});
  for (int attempt = 0; attempt < 4; ++attempt) {
    ASSERT_EQ(sends(), std::vector<StreamId>{1});
    core_.failed(1, Sent{3, 1, 10, false}, failure(Failure::Kind::forbidden), now_);
    if (core_.stream(1, now_).barred) break;
    now_ = *core_.stream(1, now_).until;
    core_.time_passed(now_);
  }
  EXPECT_EQ(sends(), std::vector<StreamId>{4});
}

TEST_F(DirectChanges, ARemovalGoesAfterAnAssignmentAtAnEarlierPlaceAndTheCreateBehindItAfterBoth) {
  // A file's place is 1, and it was assigned after the removal and the new create were handed in.
  core_.open({.id = 1, .server = 0, .container = run_, .order = "1"}, now_);
  core_.open({.id = 2, .server = 0, .container = run_, .order = "0"}, now_);
  core_.expect(run_, true, now_);
  core_.backlog(1, 0, {.count = 1, .bytes = 10, .create_next = true, .ticket = 3, .after = {removals_}}, now_);
  wait_in(4, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 2, .after = {run_}});
  EXPECT_TRUE(sends().empty());
  core_.backlog(2, 0, {.count = 1, .bytes = 10, .ticket = 1}, now_);
  core_.expect(run_, false, now_);
  ASSERT_EQ(sends(), std::vector<StreamId>{2});
  EXPECT_EQ(core_.stream(4, now_).wait, Wait::earlier_change);
  answer(2, 4, 1, false);
  ASSERT_EQ(sends(), std::vector<StreamId>{4});
  core_.stored(4, {2, 1, 10, false}, {}, now_);
  wait_in(4, removals_, {});
  EXPECT_EQ(sends(), std::vector<StreamId>{1});
}

TEST_F(DirectChanges, AnAssignmentWaitsForTheWriteOfItsRunThatIsOnItsWayAlsoWhenThatFails) {
  core_.open({.id = 1, .server = 0, .container = run_, .order = "1"}, now_);
  core_.backlog(1, 0, {.count = 1, .bytes = 10, .ticket = 3}, now_);
  ASSERT_EQ(sends(), std::vector<StreamId>{1});
  core_.open({.id = 2, .server = 0, .container = run_, .order = "0"}, now_);
  core_.backlog(2, 0, {.count = 1, .bytes = 10, .ticket = 1}, now_);
  EXPECT_TRUE(sends().empty());
  core_.failed(1, Sent{3, 1, 10, false}, failure(Failure::Kind::forbidden), now_);
  EXPECT_EQ(sends(), std::vector<StreamId>{2});
}

TEST_F(DirectChanges, ACreateBehindAWriteAlsoPassesAnAssignmentThatGoesNowhere) {
  core_.open({.id = 2, .server = 0, .container = run_, .order = "0"}, now_);
  core_.open({.id = 1, .server = 0, .container = run_, .order = "1"}, now_);
  core_.backlog(2, 0, {.count = 1, .bytes = 10, .ticket = 1}, now_);
  core_.backlog(1, 0, {.count = 2, .bytes = 20, .ticket = 3, .create_behind = 4}, now_);
  std::set<StreamId> passing;
  for (int step = 0; step < 40 && passing.empty(); ++step) {
    for (const auto& action : core_.take_actions()) {
      if (const auto* send = std::get_if<Send>(&action))
        core_.failed(send->stream, Sent{4, 1, 10, false}, failure(Failure::Kind::forbidden), now_);
      else if (const auto* pass = std::get_if<LetCreatePass>(&action))
        passing.insert(pass->stream);
    }
    now_ += 1min;
    core_.time_passed(now_);
  }
  EXPECT_EQ(passing, std::set<StreamId>{1});
}

TEST_F(DirectChanges, ACreateThatPassedAlsoPassesTheWriteBehindAnAssignmentThatGoesNowhere) {
  // As a restart finds them: nothing is known as going nowhere any more.
  core_.open({.id = 2, .server = 0, .container = run_, .order = "0"}, now_);
  core_.open({.id = 1, .server = 0, .container = run_, .order = "1"}, now_);
  core_.open({.id = 3, .server = 0, .container = run_, .order = "2", .confirmed = 0, .passed = true}, now_);
  core_.backlog(2, 0, {.count = 1, .bytes = 10, .ticket = 1}, now_);
  core_.backlog(1, 0, {.count = 1, .bytes = 10, .ticket = 3}, now_);
  core_.backlog(3, 0, {.count = 1, .bytes = 10, .create_next = true, .ticket = 5}, now_);
  bool created = false;
  for (int step = 0; step < 40 && !created; ++step) {
    for (const auto id : sends()) {
      created = id == 3;
      if (!created) core_.failed(id, Sent{4, 1, 10, false}, failure(Failure::Kind::forbidden), now_);
    }
    now_ += 1min;
    core_.time_passed(now_);
  }
  EXPECT_TRUE(created);
}

TEST_F(DirectChanges, FilesDoNotWaitForACreateBehindTheRemovalThatWaitsForThem) {
  const ContainerName files{project, "r", ContainerKind::files};
  wait_in(4, removals_, {.count = 2, .bytes = 20, .frees_next = true, .ticket = 2, .after = {other_}});
  wait_in(1, run_, {.count = 1, .bytes = 10, .create_next = true, .ticket = 4, .after = {removals_}});
  ASSERT_EQ(sends(), std::vector<StreamId>{4}) << "of another run";
  wait_in(3, files, {.count = 1, .bytes = 10, .ticket = 1});
  EXPECT_TRUE(sends().empty()) << "the create may be this one's";
  core_.stored(4, {2, 1, 10, false}, {}, now_);
  wait_in(4, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 3, .after = {run_, files}});
  EXPECT_EQ(sends(), std::vector<StreamId>{3});
  EXPECT_EQ(core_.stream(4, now_).wait, Wait::earlier_change);
}

TEST_F(DirectChanges, FilesDoNotWaitForACreateBehindTheRemovalOfTheWholeProjectEither) {
  const ContainerName files{project, "r", ContainerKind::files};
  const ContainerName of_all{project, std::string(removals_of_all), ContainerKind::removals};
  const ContainerName everything{project, std::string(everything_in_project), ContainerKind::management};
  wait_in(1, run_, {.count = 1, .bytes = 10, .create_next = true, .ticket = 4, .after = {removals_, of_all}});
  ASSERT_EQ(sends(), std::vector<StreamId>{1});
  wait_in(3, files, {.count = 1, .bytes = 10, .ticket = 1});
  core_.expect(of_all, true, now_);
  core_.failed(1, Sent{4, 1, 10, true}, failure(Failure::Kind::source), now_);
  EXPECT_TRUE(sends().empty()) << "the create may be this one's";
  wait_in(4, of_all, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 3, .after = {everything}});
  EXPECT_EQ(sends(), std::vector<StreamId>{3});
}

TEST_F(DirectChanges, FilesDoNotWaitForACreateBehindWritesThatIsBehindARemovalWhichWaitsForThem) {
  const ContainerName files{project, "r", ContainerKind::files};
  core_.expect(files, true, now_);
  wait_in(4, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 2, .after = {run_, files}});
  wait_in(5, management_, {.count = 1, .bytes = 10, .ticket = 3, .creates_project = 3, .after = {removals_}});
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 4, .create_behind = 6});
  wait_in(3, files, {.count = 1, .bytes = 10, .ticket = 1});
  core_.expect(files, false, now_);
  EXPECT_EQ(sends(), std::vector<StreamId>{3}) << "what is logged waits for the project, that for the removal";
}

TEST_F(DirectChanges, WhatPassedWaitsAfterARestartUntilTheWritesAreRefusedAgain) {
  core_.open({.id = 2, .server = 0, .container = run_, .order = "2", .confirmed = 0, .passed = true}, now_);
  core_.open({.id = 1, .server = 0, .container = run_, .order = "1"}, now_);
  core_.backlog(2, 0, {.count = 1, .bytes = 10, .create_next = true, .ticket = 5, .after = {removals_}}, now_);
  core_.backlog(1, 0, {.count = 1, .bytes = 10, .ticket = 3}, now_);
  wait_in(4, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 4, .after = {run_}});
  refuse_until_barred(1, Sent{3, 1, 10, false});
  EXPECT_EQ(sends(), std::vector<StreamId>{4}) << "the removal that was handed in between";
  core_.stored(4, {4, 1, 10, false}, {}, now_);
  wait_in(4, removals_, {});
  EXPECT_EQ(sends(), std::vector<StreamId>{2});
}

TEST_F(DirectChanges, WhatPassedGoesAsSoonAsTheWritesAreRefusedOftenEnough) {
  core_.open({.id = 2, .server = 0, .container = run_, .order = "2", .confirmed = 0, .passed = true}, now_);
  core_.open({.id = 1, .server = 0, .container = run_, .order = "1"}, now_);
  core_.backlog(1, 0, {.count = 1, .bytes = 10, .ticket = 3}, now_);
  core_.backlog(2, 0, {.count = 1, .bytes = 10, .create_next = true, .ticket = 5}, now_);
  refuse_until_barred(1, Sent{3, 1, 10, false});
  EXPECT_EQ(sends(), std::vector<StreamId>{2});
}

TEST_F(DirectChanges, AForkWaitsForTheCreateOfItsParentThatWaitsBehindWrites) {
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3, .create_behind = 4});
  EXPECT_EQ(sends(), std::vector<StreamId>{1});
  wait_in(2, other_, {.count = 1, .bytes = 10, .create_next = true, .fork_parent = run_, .ticket = 4});
  EXPECT_EQ(core_.stream(2, now_).wait, Wait::parent);
}

TEST_F(DirectChanges, ARemovalStepsAsideWhenWhatItWaitsForComesBackToAHeldScope) {
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {run_}});
  ASSERT_EQ(sends(), std::vector<StreamId>{1});
  core_.hold(Scope::of(project), true, now_);
  EXPECT_TRUE(take<StepAside>().empty()) << "it is on its way still";
  core_.failed(1, Sent{4, 2, 20, false}, failure(Failure::Kind::called_off), now_);
  EXPECT_EQ(take<StepAside>().size(), 1u);
}

TEST_F(DirectChanges, ARemovalWaitsForWritesThatAreBeingThrownAway) {
  core_.hold(Scope::of(project), true, now_);
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  wait_in(3, waiting_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {run_}});
  core_.pause(1, true, now_);
  EXPECT_TRUE(sends().empty());
  ASSERT_TRUE(core_.discard(1, 4, 2, now_));
  core_.pause(1, false, now_);
  EXPECT_EQ(sends(), std::vector<StreamId>{3});
}

TEST_F(DirectChanges, AWorkspaceInWhichOnlyHeldWritesWaitOpensByTheStatusCallsWord) {
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  ASSERT_EQ(sends(), std::vector<StreamId>{1});
  core_.failed(1, Sent{4, 2, 20, false}, failure(Failure::Kind::read_only), now_);
  core_.hold(Scope::of(project), true, now_);
  core_.take_actions();
  now_ += 1h;
  core_.time_passed(now_);
  core_.status_told(take<AskStatus>().at(0), WorkspaceStatus{}, now_);
  EXPECT_EQ(core_.scope(Scope::of(project.workspace)).mode, Mode::normal);
}

TEST_F(DirectChanges, AForkWaitsForAParentOfWhichSomethingIsNotTold) {
  const ContainerName parent{run_.project, "parent", ContainerKind::run};
  core_.expect(parent, true, now_);
  wait_in(1, run_, {.count = 1, .bytes = 10, .create_next = true, .fork_parent = parent});
  EXPECT_TRUE(sends().empty()) << "the parent's create may be in there";
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::parent);
  core_.expect(parent, false, now_);
  EXPECT_EQ(sends(), std::vector<StreamId>{1});
}

TEST_F(DirectChanges, WaitForTheManagementOfTheirProjectThatIsAboutToBeOpened) {
  core_.expect(management_, true, now_);
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  EXPECT_TRUE(sends().empty()) << "the project's create may be in there";
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::project);
  core_.expect(management_, false, now_);
  EXPECT_EQ(sends(), std::vector<StreamId>{1});
}

TEST_F(DirectChanges, OfAProjectThatIsDeletedAllGoFirst) {
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  wait_in(2, removals_,
          {.count = 1,
           .bytes = 10,
           .frees_next = true,
           .ticket = 5,
           .after = {{project, std::string(everything_in_project), ContainerKind::management}}});
  EXPECT_EQ(sends(), std::vector<StreamId>{1});
  EXPECT_EQ(core_.stream(2, now_).wait, Wait::earlier_change);
}

TEST_F(DirectChanges, ARemovalWaitsForWritesThatWereHandedInAndAreNotReadYet) {
  for (const auto& after :
       {run_, ContainerName{project, std::string(everything_in_project), ContainerKind::management}}) {
    const auto id = static_cast<StreamId>(2 + opened_.size());
    core_.expect(run_, true, now_);
    wait_in(id, {project, std::to_string(id), ContainerKind::removals},
            {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {after}});
    EXPECT_TRUE(sends().empty());
    EXPECT_EQ(core_.stream(id, now_).wait, Wait::earlier_change);
    core_.expect(run_, false, now_);
    EXPECT_EQ(sends(), std::vector<StreamId>{id}) << "there were none";
  }
}

TEST_F(DirectChanges, TheNextOneIsNotSentBeforeItIsKnownWhatItNeeds) {
  wait_in(1, management_, {.count = 2, .bytes = 20, .ticket = 1});
  take<Send>();
  core_.stored(1, {1, 1, 10, false}, {}, now_);
  EXPECT_TRUE(sends().empty());
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::counting);
  wait_in(1, management_, {.count = 1, .bytes = 10, .ticket = 7});
  EXPECT_EQ(sends(), std::vector<StreamId>{1});
}

TEST_F(DirectChanges, WhatIsDiscardedGivesWayAndWhatIsBeingSentDoesNot) {
  wait_in(1, run_, {.count = 2, .bytes = 20, .ticket = 3});
  take<Send>();
  core_.pause(1, true, now_);
  EXPECT_FALSE(core_.discard(1, 4, 2, now_)) << "its request is out";
  core_.failed(1, std::nullopt, failure(Failure::Kind::read_only), now_);
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5, .after = {run_}});
  EXPECT_TRUE(core_.discard(1, 4, 2, now_));
  EXPECT_EQ(core_.stream(1, now_).tally, Tally{});
  core_.pause(1, false, now_);
  EXPECT_EQ(core_.stream(2, now_).wait, Wait::sending);
}

TEST_F(DirectChanges, RemovalsPassWhileWritesAreHeldAndAskAtOnceWhetherRoomWasMade) {
  open(1, "r", 10);
  take<Send>();
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::read_only), now_);
  EXPECT_TRUE(is_held(core_.stream(1, now_).wait));
  const auto ask = take<AskStatus>();
  ASSERT_EQ(ask.size(), 1u);
  WorkspaceStatus full;
  full.read_only = true;
  core_.status_told(ask[0], full, now_);
  wait_in(2, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5});
  EXPECT_EQ(sends(), std::vector<StreamId>{2});
  core_.stored(2, {5, 1, 10, false}, {}, now_);
  EXPECT_EQ(take<AskStatus>().size(), 1u) << "no waiting for the next probe";
}

TEST_F(DirectChanges, ARemovalThatIsRefusedAsReadOnlyIsNotTriedAgainAtOnce) {
  wait_in(1, removals_, {.count = 1, .bytes = 10, .frees_next = true, .ticket = 5});
  ASSERT_EQ(sends().size(), 1u);
  core_.failed(1, Sent{5, 1, 10, false}, failure(Failure::Kind::read_only), now_);
  EXPECT_TRUE(sends().empty());
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::retry);
}

TEST_F(CoreTest, AWriteThatHadNotBegunWhenItsWorkspaceClosedIsTakenBackAtNoCost) {
  open(1, "a", 10);
  open(2, "b", 10);
  ASSERT_EQ(take<Send>().size(), 2u);
  EXPECT_TRUE(core_.may_begin(2));
  core_.failed(1, Sent{10, 10, 100, false}, failure(Failure::Kind::read_only), now_);
  EXPECT_FALSE(core_.may_begin(2));
  core_.failed(2, Sent{10, 10, 100, false}, failure(Failure::Kind::called_off), now_);
  const auto view = core_.stream(2, now_);
  EXPECT_EQ(view.wait, Wait::workspace_mode);
  EXPECT_EQ(view.attempts, 0u);
  EXPECT_EQ(view.trouble.text, "");
  EXPECT_EQ(view.tally.held, 10u);
  EXPECT_TRUE(take<Send>().empty());
}

TEST_F(CoreTest, AReadOnlyProjectInWhichNothingWaitsOpensWithItsNextProbe) {
  open(1, "r", 10);
  take<Send>();
  auto full = failure(Failure::Kind::read_only);
  full.scope_is_project = true;
  core_.failed(1, Sent{10, 10, 100, false}, full, now_);
  ASSERT_EQ(core_.scope(Scope::of(project)).mode, Mode::read_only);
  ASSERT_TRUE(core_.discard(1, 10, 10, now_));
  take<ModeChanged>();
  now_ = *core_.next_wakeup();
  core_.time_passed(now_);
  EXPECT_EQ(core_.scope(Scope::of(project)).mode, Mode::normal);
  EXPECT_EQ(take<ModeChanged>().size(), 1u);
}

TEST_F(CoreTest, AProjectStaysReadOnlyWhileItIsNotKnownWhatWaitsInIt) {
  core_.restore(Scope::of(project), "archived", now_);
  core_.discovering(true, now_);
  now_ = *core_.next_wakeup();
  core_.time_passed(now_);
  EXPECT_EQ(core_.scope(Scope::of(project)).mode, Mode::read_only);
  core_.discovering(false, now_);
  now_ = *core_.next_wakeup();
  core_.time_passed(now_);
  EXPECT_EQ(core_.scope(Scope::of(project)).mode, Mode::normal);
}

TEST_F(CoreTest, ACheckThatNamesNoCountMeansOneChangeAtLeast) {
  open(1, "r", 10);
  take<Send>();
  core_.sent(1, {10, 10, 100, false}, "q", now_);
  now_ += 20ms;
  core_.time_passed(now_);
  RequestStatus status;
  status.counts = {{0, 0, IngestCode::ok}};
  core_.checked(take<Check>().at(0), {status}, now_);
  EXPECT_EQ(take<Settle>().size(), 1u);
}

TEST_F(CoreTest, ChecksThatKeepFailingComeLessOften) {
  open(1, "r", 10);
  take<Send>();
  core_.sent(1, {10, 10, 100, false}, "q", now_);
  Duration last{};
  for (int i = 0; i < 12; ++i) {
    const auto due = *core_.next_wakeup();
    last = due - now_;
    now_ = due;
    core_.time_passed(now_);
    for (const auto& check : take<Check>()) core_.check_failed(check, failure(Failure::Kind::server_error), now_);
  }
  EXPECT_EQ(last, Options{}.retry.max);
}

TEST_F(CoreTest, WhatWasRefusedAsAWholeConfirmsNothing) {
  open(1, "r", 1);
  take<Send>();
  auto full = failure(Failure::Kind::read_only);
  full.scope_is_project = true;
  core_.failed(1, Sent{1, 1, 10, false}, full, now_);
  now_ = *core_.next_wakeup();
  core_.time_passed(now_);
  ASSERT_EQ(take<Send>().size(), 1u) << "the one that confirms";
  core_.stored(1, Sent{1, 1, 10, false}, {{1, "file_missing", "it is gone"}}, now_);
  EXPECT_EQ(core_.scope(Scope::of(project)).mode, Mode::read_only);
  EXPECT_EQ(take<Reject>().size(), 1u);
}

TEST_F(CoreTest, TheNeighboursOfAProjectThatIsSuspendedAloneDoNotWaitForARamp) {
  open(1, "r", 10);
  core_.open({2, 0, {{"ml", "two"}, "r"}, "", 0}, now_);
  core_.backlog(2, 0, {.count = 10, .bytes = 100}, now_);
  take<Send>();
  core_.failed(2, Sent{10, 10, 100, false}, failure(Failure::Kind::called_off), now_);
  take<Send>();
  core_.failed(2, Sent{10, 10, 100, false}, failure(Failure::Kind::server_error), now_);
  answer(1, 10, 10, false, IngestCode::ingest_suspended);
  const auto asked = take<AskStatus>();
  ASSERT_EQ(asked.size(), 1u);
  core_.status_told(asked[0], WorkspaceStatus{}, now_);
  EXPECT_EQ(core_.stream(1, now_).wait, Wait::project_mode);
  EXPECT_NE(core_.stream(2, now_).wait, Wait::ramp);
}

}  // namespace
}  // namespace neptune::core
