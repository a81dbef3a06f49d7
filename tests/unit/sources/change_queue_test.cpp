#include <gmock/gmock.h>

#include <span>

#include "sources/change_queue/queue_schema.h"
#include "tests/unit/sources/change_queue_fixture.h"

namespace neptune::sources {
namespace {

using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ChangeQueueOrder : public ChangeQueueTest {};
class ChangeQueueKeys : public ChangeQueueTest {};
class ChangeQueueStreams : public ChangeQueueTest {};

std::vector<Change> updates(const std::string& run, int count) {
  return std::vector<Change>(static_cast<std::size_t>(count), update_of(run));
}

TEST_F(ChangeQueueOrder, NumbersChangesOfAllStreamsInTheOrderTheyWereHandedIn) {
  open();
  std::vector<Change> request{update_of("a"), update_of("b"), update_of("a")};
  EXPECT_THAT(accept(request).value(), ElementsAre(1, 2, 3));
  EXPECT_THAT(accept(updates("b", 1)).value(), ElementsAre(4));
  EXPECT_THAT(waiting(run_named("a")), ElementsAre(1, 3));
  EXPECT_THAT(waiting(run_named("b")), ElementsAre(2, 4));
  EXPECT_EQ(backlog(run_named("b")).ticket, 2);
  EXPECT_EQ(backlog(run_named("b"), 2).ticket, 4);
}

TEST_F(ChangeQueueOrder, TellsWhereAChangeIsAndHowManyGoBeforeIt) {
  open();
  std::vector<Change> request{update_of("a"), update_of("b"), update_of("a")};
  ASSERT_TRUE(accept(request, 1234));
  const auto place = [this](Position position) { return loop.await(queue->place(position)).value(); };
  const auto third = place(3);
  EXPECT_TRUE(third.known && third.queued);
  EXPECT_EQ(third.container, run_named("a"));
  EXPECT_EQ(third.kind, ChangeKind::run_update);
  EXPECT_EQ(third.uid, 1234u);
  EXPECT_EQ(third.ahead, 1u);
  EXPECT_EQ(place(2).ahead, 0u);
  ASSERT_TRUE(settle(run_named("a"), 1));
  EXPECT_TRUE(place(1).known);
  EXPECT_FALSE(place(1).queued);
  EXPECT_EQ(place(1).through, 1);
  ASSERT_TRUE(settle(run_named("b"), 2));
  EXPECT_EQ(place(1).through, 2);
  ASSERT_TRUE(settle(run_named("a"), 3));
  EXPECT_EQ(place(1).through, 3);
  for (const Position never : {0, 4, -1}) EXPECT_FALSE(place(never).known);
}

TEST_F(ChangeQueueOrder, NeverGivesANumberTwiceEvenAfterAllWasSettledAndTheQueueReopened) {
  open();
  ASSERT_TRUE(accept(updates("a", 3)));
  ASSERT_TRUE(settle(run_named("a"), 3));
  reopen();
  EXPECT_THAT(accept(updates("a", 1)).value(), ElementsAre(4));
  EXPECT_EQ(backlog(run_named("a"), 3).count, 1u);
}

TEST_F(ChangeQueueOrder, ConcurrentRequestsShareCommitsAndEachStaysWhole) {
  open();
  std::vector<std::vector<Change>> requests;
  for (int i = 0; i < 200; ++i) requests.push_back(updates("run-" + std::to_string(i % 7), 3));
  const auto outcomes = accept_at_once(std::move(requests));
  Position last = 0;
  for (const auto& ids : outcomes) {
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_THAT(*ids, ElementsAre(last + 1, last + 2, last + 3));
    last += 3;
  }
  EXPECT_LE(queue->totals().commits, 5u);
  EXPECT_GE(queue->totals().commits, 1u);
}

TEST_F(ChangeQueueOrder, KeepsWhatWasHandedInOverARestart) {
  open();
  const std::string bytes("\0\xff\n\x01 bytes", 10);
  std::vector<Change> request{update_of("a", bytes),
                              change_of(ChangeKind::project_create, management_lane(), "{\"project\": \"x\"}")};
  request[1].creates = true;
  ASSERT_TRUE(accept(request, 4321));
  reopen();
  const auto updates = loop.await(source(run_named("a"))->changes(1, 1));
  ASSERT_TRUE(updates) << updates.error().message;
  ASSERT_EQ(updates->size(), 1u);
  const auto* update = &updates->front();
  EXPECT_EQ(update->payload, bytes);
  EXPECT_EQ(update->uid, 4321u);
  EXPECT_EQ(update->container, run_named("a"));
  EXPECT_FALSE(update->creates);
  const auto creates = loop.await(source(management_lane())->changes(1, 9));
  ASSERT_TRUE(creates) << creates.error().message;
  ASSERT_EQ(creates->size(), 1u);
  const auto* create = &creates->front();
  EXPECT_EQ(create->kind, ChangeKind::project_create);
  EXPECT_EQ(create->container, management_lane());
  EXPECT_TRUE(create->creates);
  EXPECT_EQ(loop.await(source(run_named("a"))->changes(2, 9)).error().code, "change_gone");
  EXPECT_EQ(queue->totals().bytes, bytes.size() + 16);
}

TEST_F(ChangeQueueOrder, RefusesWhatComesOnceItStopsAndKeepsNothingOfIt) {
  open();
  ASSERT_TRUE(accept(updates("a", 1)));
  loop.await(queue->stop());
  EXPECT_EQ(accept(updates("a", 1)).error().code, "draining");
  EXPECT_THAT(waiting(run_named("a")), ElementsAre(1));
}

TEST_F(ChangeQueueOrder, AnswersEveryRequestThatIsInLineWhenItStops) {
  open();
  using Taken = Result<ChangeQueue::Taken>;
  std::vector<std::optional<Taken>> outcomes(50);
  const auto hand_in = [&](std::size_t i) {
    boost::asio::co_spawn(loop.context, queue->accept(updates("a", 1), Submitter{}),
                          [&outcomes, i](std::exception_ptr, Taken taken) { outcomes[i] = std::move(taken); });
  };
  for (std::size_t i = 0; i < 25; ++i) hand_in(i);
  loop.context.restart();
  for (int i = 0; i < 30; ++i) loop.context.poll_one();
  for (std::size_t i = 25; i < 50; ++i) hand_in(i);
  loop.context.poll_one();
  loop.await(queue->stop());
  EXPECT_TRUE(loop.until([&] { return std::ranges::all_of(outcomes, [](const auto& o) { return o.has_value(); }); }));
  std::size_t taken = 0;
  for (const auto& outcome : outcomes) {
    if (outcome->has_value()) {
      taken++;
    } else {
      EXPECT_EQ(outcome->error().code, "draining");
    }
  }
  EXPECT_EQ(waiting(run_named("a")).size(), taken);
}

TEST_F(ChangeQueueKeys, AKeyThatItsUserGaveBeforeKeepsItsFirstIdAndQueuesNothing) {
  open();
  std::vector<Change> request{keyed(update_of("a"), "k")};
  EXPECT_THAT(accept(request).value(), ElementsAre(1));
  EXPECT_THAT(accept(request).value(), ElementsAre(1));
  EXPECT_THAT(waiting(run_named("a")), ElementsAre(1));
  EXPECT_EQ(queue->totals().bytes, 5u);
}

TEST_F(ChangeQueueKeys, AnotherUsersSameKeyIsAnother) {
  open();
  std::vector<Change> request{keyed(update_of("a"), "k")};
  EXPECT_THAT(accept(request, 1000).value(), ElementsAre(1));
  EXPECT_THAT(accept(request, 1001).value(), ElementsAre(2));
}

TEST_F(ChangeQueueKeys, AreRememberedAfterTheChangeIsSettledAndTheQueueReopened) {
  open();
  std::vector<Change> request{keyed(update_of("a"), "k")};
  ASSERT_TRUE(accept(request));
  ASSERT_TRUE(settle(run_named("a"), 1));
  EXPECT_THAT(accept(request).value(), ElementsAre(1));
  reopen();
  EXPECT_THAT(accept(request).value(), ElementsAre(1));
  EXPECT_THAT(waiting(run_named("a")), IsEmpty());
}

TEST_F(ChangeQueueKeys, ARequestThatRepeatsAKeyQueuesItOnce) {
  open();
  std::vector<Change> request{keyed(update_of("a"), "k"), update_of("a"), keyed(update_of("b"), "k")};
  EXPECT_THAT(accept(request).value(), ElementsAre(1, 2, 1));
  EXPECT_THAT(waiting(run_named("a")), ElementsAre(1, 2));
  EXPECT_THAT(waiting(run_named("b")), IsEmpty());
}

Change saying(std::uint64_t content, const char* run, const char* key) {
  auto change = keyed(update_of(run), key);
  change.content = content;
  return change;
}

TEST_F(ChangeQueueKeys, AKeyWithOtherContentIsRefusedWithAllOfItsRequestAndKeepsItsId) {
  open();
  ASSERT_TRUE(accept({saying(7, "a", "k")}));
  ASSERT_TRUE(settle(run_named("a"), 1));
  reopen();
  const auto refused = accept({update_of("b"), saying(8, "a", "k")});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "idempotency_key_reused");
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("'k'"), HasSubstr("change 1"), HasSubstr("content differs")));
  EXPECT_FALSE(refused.error().retryable);
  EXPECT_EQ(queue->totals().bytes, 0u) << "nothing of it is queued";
  EXPECT_THAT(accept({saying(7, "a", "k")}).value(), ElementsAre(1));
  EXPECT_EQ(accept({saying(1, "a", "twice"), saying(2, "a", "twice")}).error().code, "idempotency_key_reused");
}

TEST_F(ChangeQueueKeys, OfTwoWithOneKeyAtOnceTheOtherContentIsRefusedAloneAndKeepsBackNobody) {
  open();
  std::vector<std::vector<Change>> requests;
  for (int i = 0; i < 10; ++i) {
    requests.push_back({saying(i < 5 ? 1 : 2, "a", "k")});
    requests.push_back({update_of("b")});
  }
  int refused = 0;
  for (const auto& ids : accept_at_once(std::move(requests))) refused += ids ? 0 : 1;
  EXPECT_EQ(refused, 5);
  EXPECT_EQ(waiting(run_named("a")).size(), 1u);
  EXPECT_EQ(waiting(run_named("b")).size(), 10u);
}

TEST_F(ChangeQueueKeys, ConcurrentRequestsOfOneKeyAreOneChange) {
  open();
  std::vector<std::vector<Change>> requests(20, {keyed(update_of("a"), "k")});
  for (const auto& ids : accept_at_once(std::move(requests))) EXPECT_THAT(ids.value(), ElementsAre(1));
  EXPECT_THAT(waiting(run_named("a")), ElementsAre(1));
}

TEST_F(ChangeQueueStreams, TellTheListenerOnceAndThenOfEachWrite) {
  open();
  ASSERT_TRUE(accept(updates("a", 2)));
  ASSERT_TRUE(accept(updates("a", 1)));
  ASSERT_EQ(listener.logs.size(), 1u);
  const auto& seen = listener.logs.begin()->second;
  EXPECT_EQ(seen.info.kind, Kind::change_queue);
  EXPECT_EQ(seen.info.state, SourceState::closed);
  EXPECT_EQ(seen.written, 1);
}

TEST_F(ChangeQueueStreams, AreApartWhateverTheirContainersAreCalled) {
  open();
  const std::vector<ContainerName> names{
      management_lane(),
      {queue_project, {}, ContainerKind::removals},
      {queue_project, {}, ContainerKind::project},
      model_named("FOREST"),
      {queue_project, "FOREST", ContainerKind::model_version},
      run_named("management"),
      run_named("removals"),
      run_named("project metadata"),
      run_named("project"),
      run_named("model FOREST"),
      run_named("model version FOREST"),
      run_named("FOREST"),
      {queue_project, "member jo", ContainerKind::management},
      {{"ml-team", "classification 2"}, "x", ContainerKind::run},
      {{"ml-team", ""}, "", ContainerKind::management},
  };
  std::vector<Change> request;
  for (const auto& name : names) request.push_back(change_of(ChangeKind::model_update, name));
  ASSERT_TRUE(accept(request));
  EXPECT_EQ(listener.logs.size(), names.size());
  reopen();
  EXPECT_EQ(listener.logs.size(), names.size());
  Position seq = 0;
  for (const auto& name : names) EXPECT_EQ(backlog(name).ticket, ++seq) << name.label();
}

TEST_F(ChangeQueueStreams, AreAnnouncedAfterARestart) {
  open();
  ASSERT_TRUE(accept(updates("a", 2)));
  ASSERT_TRUE(accept(updates("b", 1)));
  reopen();
  EXPECT_EQ(backlog(run_named("a")).count, 2u);
  EXPECT_EQ(backlog(run_named("b")).count, 1u);
  EXPECT_EQ(queue->totals().streams, 2u);
}

TEST_F(ChangeQueueStreams, TellWhatWaitsAfterPartialSettlesAndPastAConfirmedPrefix) {
  open();
  std::vector<Change> request;
  for (const std::size_t size : {10, 20, 30, 40}) request.push_back(update_of("a", std::string(size, 'x')));
  ASSERT_TRUE(accept(request));
  const auto all = backlog(run_named("a"));
  EXPECT_EQ(all.count, 4u);
  EXPECT_EQ(all.bytes, 100u);
  EXPECT_EQ(all.last, 4);
  EXPECT_EQ(all.next, OperationKind::update);
  EXPECT_TRUE(all.oldest_at);

  const auto confirmed = backlog(run_named("a"), 2);
  EXPECT_EQ(confirmed.count, 2u);
  EXPECT_EQ(confirmed.bytes, 70u);
  EXPECT_EQ(confirmed.ticket, 3);

  ASSERT_TRUE(settle(run_named("a"), 1));
  const auto settled = backlog(run_named("a"), 2);
  EXPECT_EQ(settled.count, 2u);
  EXPECT_EQ(settled.bytes, 70u);
  EXPECT_EQ(backlog(run_named("a"), 1).count, 3u);
  EXPECT_EQ(queue->totals().bytes, 90u);

  const auto none = backlog(run_named("a"), 4);
  EXPECT_EQ(none.count, 0u);
  EXPECT_EQ(none.bytes, 0u);
  EXPECT_EQ(none.next, std::nullopt);
}

TEST_F(ChangeQueueStreams, SettleFiveThousandChangesAndOnlyTheirOwn) {
  open();
  ASSERT_TRUE(accept(updates("a", 5000)));
  ASSERT_TRUE(accept(updates("b", 1)));
  ASSERT_TRUE(accept(updates("a", 2)));
  ASSERT_TRUE(settle(run_named("a"), 5001));
  EXPECT_THAT(waiting(run_named("a")), ElementsAre(5002, 5003));
  EXPECT_THAT(waiting(run_named("b")), ElementsAre(5001));
  EXPECT_EQ(backlog(run_named("a")).count, 2u);
}

TEST_F(ChangeQueueStreams, TellOfTheProjectsCreateUntilItIsConfirmed) {
  open();
  auto create = change_of(ChangeKind::project_create, management_lane());
  create.creates = true;
  auto run = change_of(ChangeKind::run_create, run_named("a"));
  run.creates = true;
  std::vector<Change> request{change_of(ChangeKind::member_add, management_lane()), create, run};
  ASSERT_TRUE(accept(request));
  reopen();
  EXPECT_EQ(backlog(management_lane()).creates_project, 2);
  EXPECT_EQ(backlog(management_lane(), 1).creates_project, 2);
  EXPECT_EQ(backlog(management_lane(), 2).creates_project, 0);
  EXPECT_EQ(backlog(run_named("a")).creates_project, 0);
  ASSERT_TRUE(settle(management_lane(), 1));
  EXPECT_EQ(backlog(management_lane(), 1).creates_project, 2);
  ASSERT_TRUE(settle(management_lane(), 2));
  EXPECT_EQ(backlog(management_lane(), 2).creates_project, 0);
}

TEST_F(ChangeQueueStreams, TellWhetherTheirFirstChangePassesAGateAndWhatItWaitsFor) {
  open();
  const std::vector<ContainerName> after{
      run_named("^-\u00fc name"), management_lane(), {queue_project, "*", ContainerKind::management}};
  auto removal = change_of(ChangeKind::run_delete, {queue_project, {}, ContainerKind::removals});
  removal.frees = true;
  removal.after = after;
  auto fork = change_of(ChangeKind::run_create, run_named("child"));
  fork.fork_parent = run_named("- parent");
  std::vector<Change> request{removal, fork, change_of(ChangeKind::run_delete, removal.container)};
  ASSERT_TRUE(accept(request));
  reopen();
  const auto first = backlog(removal.container);
  EXPECT_TRUE(first.frees_next);
  EXPECT_EQ(first.after, after);
  EXPECT_EQ(first.next, OperationKind::call);
  const auto second = backlog(removal.container, 1);
  EXPECT_FALSE(second.frees_next);
  EXPECT_THAT(second.after, IsEmpty());
  EXPECT_EQ(backlog(run_named("child")).fork_parent, run_named("- parent"));
  EXPECT_EQ(backlog(run_named("child")).next, OperationKind::create);
}

class Removals : public ChangeQueueTest {
 protected:
  Removals() { options.keep_empty = 20ms; }

  static Change removing(const std::vector<std::string>& runs) {
    auto removal = change_of(ChangeKind::run_delete, lane);
    removal.frees = true;
    removal.after = {{queue_project, std::string(restores_of_project), ContainerKind::management}};
    for (const auto& run : runs) removal.after.push_back(run_named(run));
    removal.after.push_back({queue_project, std::string(removals_of_all), ContainerKind::removals});
    return removal;
  }
  void step_aside(Position position) { ASSERT_TRUE(loop.await(queue->step_aside(lane, position))); }

  static inline const ContainerName lane{queue_project, {}, ContainerKind::removals};
  static inline const ContainerName waiting_lane{queue_project, std::string(removals_that_wait),
                                                 ContainerKind::removals};
};

TEST_F(Removals, ThatStepAsideKeepTheirNumbersAndTheirOrderAlsoOverARestart) {
  open();
  std::vector<Change> request{removing({"a"}), removing({"b"}), removing({"c"})};
  ASSERT_TRUE(accept(request, 4321));
  step_aside(1);
  step_aside(2);
  step_aside(2);
  for (int life = 0; life < 2; ++life) {
    EXPECT_THAT(waiting(lane), ElementsAre(3));
    EXPECT_THAT(waiting(waiting_lane), ElementsAre(1, 2));
    EXPECT_EQ(backlog(waiting_lane).ticket, 1);
    EXPECT_TRUE(backlog(waiting_lane).frees_next);
    EXPECT_EQ(backlog(lane).count, 1u);
    const auto place = loop.await(queue->place(2)).value();
    EXPECT_EQ(place.container, waiting_lane);
    EXPECT_EQ(place.uid, 4321u);
    EXPECT_EQ(place.ahead, 1u);
    reopen();
  }
  step_aside(3);
  EXPECT_TRUE(loop.until([&] { return source(lane) == nullptr; })) << "nothing is left in it";
}

TEST_F(Removals, KeepThatTheyThrowWritesAwayAlsoWhereTheyStepAside) {
  open();
  std::vector<Change> request{removing({"a"}), removing({"b"})};
  request[0].discard_pending = true;
  ASSERT_TRUE(accept(request));
  reopen();
  EXPECT_TRUE(backlog(lane).discards);
  EXPECT_EQ(backlog(lane).after, request[0].after);
  EXPECT_FALSE(backlog(lane, 1).discards);
  step_aside(1);
  EXPECT_TRUE(backlog(waiting_lane).discards);
  EXPECT_FALSE(backlog(lane).discards);
  close();
  auto store = QueueStore::open(options.file);
  ASSERT_TRUE(store);
  std::vector<bool> discards;
  ASSERT_TRUE((*store)->each_change([&discards](const QueueStore::Whole& whole) {
    discards.push_back(whole.needs.discards);
    return Result<void>{};
  }));
  EXPECT_THAT(discards, ElementsAre(true, false));
}

TEST_F(Removals, GoBehindThoseOfTheSameThingThatSteppedAsideAndBehindNoOthers) {
  open();
  std::vector<Change> request{removing({"a", "b"}), removing({"c"}), removing({"b"}),
                              change_of(ChangeKind::project_delete, lane), removing({"c"})};
  request[3].after = {{queue_project, std::string(everything_in_project), ContainerKind::management}};
  ASSERT_TRUE(accept(request));
  using ::testing::Contains;
  using ::testing::Not;
  EXPECT_THAT(backlog(lane).after, Not(Contains(waiting_lane)));
  step_aside(1);
  EXPECT_THAT(backlog(lane, 1).after, Not(Contains(waiting_lane))) << "of c";
  EXPECT_THAT(backlog(lane, 2).after, Contains(waiting_lane)) << "of b";
  step_aside(4);
  EXPECT_THAT(backlog(lane, 4).after, Contains(waiting_lane)) << "all of the project is to be deleted before";
}

class Creates : public ChangeQueueTest {
 protected:
  std::shared_ptr<Source> passed(const std::string& run) {
    const auto found = listener.logs.find(queue_path(run_named(run), Lane::passed));
    return found == listener.logs.end() ? nullptr : found->second.source;
  }
  std::shared_ptr<Source> writes(const std::string& run) {
    return listener.logs.at(queue_path(run_named(run), Lane::writes)).source;
  }
  Backlog waits(const std::shared_ptr<Source>& source, Position after = 0) {
    return loop.await(source->backlog(after)).value();
  }
};

TEST_F(Creates, ThatWaitBehindWritesPassThemWithTheirNumbersAlsoOverARestart) {
  open();
  ASSERT_TRUE(accept({update_of("a"), update_of("a"), create_of("a"), update_of("a")}));
  EXPECT_EQ(waits(writes("a")).create_behind, 3);
  ASSERT_TRUE(loop.await(queue->let_create_pass(run_named("a"), 1)));
  for (int life = 0; life < 2; ++life) {
    ASSERT_TRUE(passed("a"));
    const auto first = waits(passed("a"));
    EXPECT_EQ(first.count, 1u);
    EXPECT_EQ(first.next, OperationKind::create);
    EXPECT_EQ(first.ticket, 3);
    EXPECT_EQ(first.after.size(), 1u);
    EXPECT_GT(listener.logs.at(queue_path(run_named("a"), Lane::passed)).info.order,
              listener.logs.at(queue_path(run_named("a"), Lane::writes)).info.order);
    const auto rest = waits(writes("a"));
    EXPECT_EQ(rest.count, 3u);
    EXPECT_EQ(rest.create_behind, 0);
    EXPECT_EQ(loop.await(queue->place(3)).value().lane, Lane::passed);
    EXPECT_EQ(loop.await(queue->place(4)).value().lane, Lane::writes);
    const auto counts = sqlite::check(examined_queue(options.file));
    EXPECT_TRUE(counts && counts->empty()) << "the streams' counts are those of their changes";
    reopen();
  }
  ASSERT_TRUE(loop.await(passed("a")->settle(3)));
  EXPECT_THAT(waiting(run_named("a")), ElementsAre(1, 2, 4)) << "the writes with lower numbers stay";
}

TEST_F(Creates, OfTheProjectPassItsOtherManagement) {
  open();
  auto create = change_of(ChangeKind::project_create, management_lane());
  create.creates = true;
  ASSERT_TRUE(accept(std::vector<Change>{change_of(ChangeKind::project_update, management_lane()), create}));
  EXPECT_EQ(backlog(management_lane()).create_behind, 2);
  ASSERT_TRUE(loop.await(queue->let_create_pass(management_lane(), 0)));
  const auto passed = waits(listener.logs.at(queue_path(management_lane(), Lane::passed)).source);
  EXPECT_EQ(passed.ticket, 2);
  EXPECT_EQ(passed.creates_project, 2);
  const auto rest = waits(listener.logs.at(queue_path(management_lane(), Lane::writes)).source);
  EXPECT_EQ(rest.ticket, 1);
  EXPECT_EQ(rest.creates_project, 0);
}

TEST_F(Creates, ThatStandFirstOrAreNotThereLetNothingBeMoved) {
  open();
  ASSERT_TRUE(accept({create_of("a"), update_of("a"), update_of("b")}));
  EXPECT_EQ(waits(writes("a")).create_behind, 0);
  EXPECT_EQ(waits(writes("b")).create_behind, 0);
  for (const auto* run : {"a", "b"}) {
    ASSERT_TRUE(loop.await(queue->let_create_pass(run_named(run), 0)));
    EXPECT_FALSE(passed(run));
  }
}

class Assignments : public ChangeQueueTest {
 protected:
  std::shared_ptr<Source> assignments(const std::string& run) {
    const auto found = listener.logs.find(queue_path(run_named(run), Lane::assignments));
    return found == listener.logs.end() ? nullptr : found->second.source;
  }
  void assign(Position place, const std::string& run = "a") {
    ASSERT_TRUE(loop.await(queue->accept_what_follows(update_of(run), {1000, {}}, place)));
  }
  static Change removal_of(const std::string& run) {
    auto removal = change_of(ChangeKind::run_delete, lane);
    removal.frees = true;
    removal.after = {run_named(run)};
    return removal;
  }
  Position ticket(Position after = 0) { return loop.await(assignments("a")->backlog(after)).value().ticket; }

  static inline const ContainerName lane{queue_project, {}, ContainerKind::removals};
};

TEST_F(Assignments, StandAtThePlaceOfTheirUploadBeforeTheWritesAlsoOverARestart) {
  open();
  ASSERT_TRUE(accept({update_of("b"), update_of("b"), removal_of("a"), update_of("a")}));
  assign(2);
  assign(1);
  for (int life = 0; life < 2; ++life) {
    ASSERT_TRUE(assignments("a"));
    EXPECT_EQ(ticket(), 1) << "what waits for the second waits for the first";
    EXPECT_EQ(ticket(5), 1);
    EXPECT_EQ(loop.await(assignments("a")->changes(5, 6)).value().front().place, 2);
    EXPECT_LT(listener.logs.at(queue_path(run_named("a"), Lane::assignments)).info.order,
              listener.logs.at(queue_path(run_named("a"), Lane::writes)).info.order);
    EXPECT_EQ(loop.await(queue->place(5)).value().lane, Lane::assignments);
    EXPECT_EQ(loop.await(queue->place(4)).value().lane, Lane::writes);
    const auto counts = sqlite::check(examined_queue(options.file));
    EXPECT_TRUE(counts && counts->empty());
    reopen();
  }
  ASSERT_TRUE(loop.await(assignments("a")->settle(6)));
  EXPECT_EQ(loop.await(assignments("a")->backlog(6)).value().count, 0u);
}

TEST_F(Assignments, AreHandedOutBeforeTheRemovalThatWaitsForThem) {
  open();
  ASSERT_TRUE(accept({update_of("b"), removal_of("a"), update_of("a")}));
  assign(1);
  close();
  auto store = QueueStore::open(options.file);
  ASSERT_TRUE(store);
  std::vector<Position> order;
  ASSERT_TRUE((*store)->each_change([&order](const QueueStore::Whole& whole) {
    order.push_back(whole.change.position);
    return Result<void>{};
  }));
  EXPECT_THAT(order, ElementsAre(1, 4, 2, 3));
}

TEST_F(ChangeQueueOrder, KnowsWhatLeftForAnotherMachineUntilItIsBroughtBack) {
  open();
  ASSERT_TRUE(accept({update_of("a"), update_of("b"), update_of("a"), update_of("a")}));
  close();
  auto store = QueueStore::open(options.file).value();
  const auto at = from_unix_ms(1'700'000'000'000);
  const auto move = store->begin_move("stick.jsonl", at);
  ASSERT_TRUE(move);
  EXPECT_EQ(move->forgotten, 0);
  const auto of_a = store->streams()->front().id;
  ASSERT_EQ(store->move_out(of_a, 3, *move)->left.count, 1u);
  store.reset();
  store = QueueStore::open(options.file).value();
  const auto third = *store->place(3);
  EXPECT_TRUE(third.known && !third.queued);
  ASSERT_TRUE(third.moved);
  EXPECT_EQ(third.moved->at, at);
  EXPECT_EQ(third.moved->file, "stick.jsonl");
  EXPECT_FALSE(third.moved->back);
  for (const Position other : {2, 4}) EXPECT_FALSE(store->place(other)->moved) << other;
  ASSERT_EQ(store->moved()->size(), 1u);
  EXPECT_EQ(store->moved()->front().container, run_named("a"));
  EXPECT_EQ(store->moved()->front().count, 2u);
  const auto of_b = store->streams()->back().id;
  ASSERT_TRUE(store->settle(of_b, 2));
  EXPECT_EQ(store->place(2)->through, 2) << "the third is not done";

  const QueueStore::CameBack back{3, run_named("a"), 9};
  for (int twice = 0; twice < 2; ++twice) ASSERT_TRUE(store->note_back(std::span(&back, 1)));
  EXPECT_EQ(store->place(3)->moved->back, 9);
  EXPECT_EQ(store->moved()->front().count, 1u);
  const QueueStore::CameBack first{1, run_named("a"), 8};
  ASSERT_TRUE(store->note_back(std::span(&first, 1)));
  EXPECT_THAT(*store->moved(), IsEmpty());
}

class ForgetfulQueue : public ChangeQueueTest {
 protected:
  ForgetfulQueue() { options.keep_empty = 20ms; }
  bool forgotten(const ContainerName& container) {
    return loop.until([&] { return source(container) == nullptr; });
  }
};

TEST_F(ForgetfulQueue, LetsGoOfAnEmptiedStreamAndTakesItUpAgainWithANewChange) {
  open();
  ASSERT_TRUE(accept(updates("a", 2)));
  const auto before = source(run_named("a"));
  ASSERT_TRUE(settle(run_named("a"), 2));
  ASSERT_TRUE(forgotten(run_named("a")));
  EXPECT_EQ(listener.vanished.size(), 1u);
  EXPECT_EQ(queue->totals().streams, 0u);
  EXPECT_THAT(accept(updates("a", 1)).value(), ElementsAre(3));
  EXPECT_NE(source(run_named("a")), before);
  EXPECT_EQ(backlog(run_named("a"), 2).count, 1u);
}

TEST_F(ForgetfulQueue, KeepsAStreamThatGotAChangeMeanwhile) {
  open();
  ASSERT_TRUE(accept(updates("a", 1)));
  ASSERT_TRUE(settle(run_named("a"), 1));
  ASSERT_TRUE(accept(updates("a", 1)));
  loop.run_for(60ms);
  EXPECT_EQ(backlog(run_named("a"), 1).count, 1u);
  EXPECT_THAT(listener.vanished, IsEmpty());
}

TEST_F(ForgetfulQueue, KeepsAStreamThatIsEmptiedOverAndOverAndForgetsItOnce) {
  options.keep_empty = 150ms;
  open();
  for (Position i = 1; i <= 100; ++i) {
    ASSERT_TRUE(accept(updates("a", 1)));
    ASSERT_TRUE(settle(run_named("a"), i));
  }
  ASSERT_TRUE(forgotten(run_named("a")));
  loop.run_for(50ms);
  EXPECT_EQ(listener.vanished.size(), 1u);
}

TEST_F(ForgetfulQueue, LosesNothingOfWhatIsHandedInWhileItForgets) {
  options.keep_empty = 0ms;
  open();
  for (Position i = 1; i <= 300; ++i) {
    ASSERT_EQ(accept(updates("a", 1)).value(), Ids{i});
    ASSERT_NE(source(run_named("a")), nullptr) << i;
    ASSERT_EQ(backlog(run_named("a"), i - 1).count, 1u) << i;
    // Both are on their way at once: the next accept meets the forgetting anywhere.
    bool settled = false;
    const auto held = source(run_named("a"));
    boost::asio::co_spawn(loop.context, held->settle(i), [&](std::exception_ptr, Result<bool>) { settled = true; });
    if (i % 3 == 0) {
      ASSERT_TRUE(loop.until([&] { return settled; }));
    }
    if (i % 3 == 1)
      for (int turns = 0; turns < 4; ++turns) loop.context.poll_one();
    if (i % 3 != 0) {
      ASSERT_EQ(accept(updates("b", 1)).value().size(), 1u);
      ASSERT_TRUE(loop.until([&] { return settled; }));
      ASSERT_TRUE(settle(run_named("b"), ++i));
    }
  }
}

TEST_F(ForgetfulQueue, KnowsNoMoreStreamsThanHoldChanges) {
  open();
  for (int round = 0; round < 20; ++round) {
    std::vector<Change> request;
    for (int i = 0; i < 50; ++i) request.push_back(update_of(std::to_string(round) + "-" + std::to_string(i)));
    const auto ids = accept(request).value();
    for (std::size_t i = 0; i < request.size(); ++i) ASSERT_TRUE(settle(request[i].container, ids[i]));
  }
  EXPECT_TRUE(loop.until([&] { return queue->totals().streams == 0; }));
  EXPECT_EQ(listener.vanished.size(), 1000u);
  reopen();
  EXPECT_EQ(queue->totals().streams, 0u);
}

TEST_F(ForgetfulQueue, ForgetsAfterARestartWhatWasEmptyBefore) {
  options.keep_empty = 1h;
  open();
  ASSERT_TRUE(accept(updates("a", 1)));
  ASSERT_TRUE(settle(run_named("a"), 1));
  close();
  options.keep_empty = 20ms;
  open();
  EXPECT_TRUE(forgotten(run_named("a")));
}

TEST_F(ForgetfulQueue, ASourceThatIsStillHeldOutlivesTheQueue) {
  open();
  ASSERT_TRUE(accept(updates("a", 1)));
  const auto held = source(run_named("a"));
  ASSERT_TRUE(settle(run_named("a"), 1));
  ASSERT_TRUE(forgotten(run_named("a")));
  close();
  EXPECT_TRUE(loop.await(held->settle(1)).value());
  EXPECT_EQ(loop.await(held->backlog(0)).value().count, 0u);
}

}  // namespace
}  // namespace neptune::sources
