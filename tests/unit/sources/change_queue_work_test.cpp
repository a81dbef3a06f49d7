#include <gmock/gmock.h>
#include <sqlite3.h>

#include <atomic>

#include "tests/unit/sources/change_queue_fixture.h"

/// What the queue costs is asserted on work, not on time: SQLite counts the steps of every statement.
namespace neptune::sources {
namespace {

std::atomic<long> steps{0};         // of SQLite's virtual machine
std::atomic<long> scanned_rows{0};  // of tables that were looked through from end to end

int count_work(unsigned, void*, void* statement, void*) {
  auto* ended = static_cast<sqlite3_stmt*>(statement);
  steps += sqlite3_stmt_status(ended, SQLITE_STMTSTATUS_VM_STEP, 1);
  scanned_rows += sqlite3_stmt_status(ended, SQLITE_STMTSTATUS_FULLSCAN_STEP, 1);
  return 0;
}

int watch(sqlite3* db, const char**, const sqlite3_api_routines*) {
  return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, count_work, nullptr);
}

class ChangeQueueWork : public ChangeQueueTest {
 protected:
  static constexpr long nothing = 5'000;  // steps that a few rows, or a schema, take

  ChangeQueueWork() { sqlite3_auto_extension(reinterpret_cast<void (*)()>(watch)); }
  ~ChangeQueueWork() override { sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(watch)); }

  template <class F>
  long work_of(F f) {
    steps = 0;
    f();
    return steps;
  }
  void hand_in(const std::string& run, std::size_t count) {
    ASSERT_TRUE(accept(std::vector<Change>(count, update_of(run))));
  }
};

TEST_F(ChangeQueueWork, OfOpeningIsThatOfItsStreamsNotOfItsChanges) {
  open();
  hand_in("a", 10);
  const auto few = work_of([&] { reopen(); });
  EXPECT_GT(few, 0);
  hand_in("a", 50'000);
  const auto many = work_of([&] { reopen(); });
  EXPECT_EQ(backlog(run_named("a")).count, 50'010u);
  EXPECT_LE(many, few + 50);
}

TEST_F(ChangeQueueWork, OfTellingWhatWaitsIsTheSameHoweverMuchDoes) {
  open();
  hand_in("b", 20'000);
  hand_in("a", 10);
  const auto few = work_of([&] { backlog(run_named("a")); });
  hand_in("a", 50'000);
  const auto many = work_of([&] { backlog(run_named("a")); });
  EXPECT_LE(many, few + 50);
  EXPECT_LT(work_of([&] { backlog(run_named("b")); }), nothing);
  EXPECT_EQ(work_of([&] { queue->totals(); }), 0);
}

TEST_F(ChangeQueueWork, OfFindingTheNextCreateIsThatOfTheCreatesNotOfWhatStandsBeforeThem) {
  open();
  hand_in("a", 50'000);
  ASSERT_TRUE(accept({create_of("a")}));
  hand_in("a", 50'000);
  EXPECT_LT(work_of([&] { EXPECT_EQ(backlog(run_named("a")).create_behind, 50'001); }), nothing);
  EXPECT_LT(work_of([&] { ASSERT_TRUE(loop.await(queue->let_create_pass(run_named("a"), 0))); }), 4 * nothing);
  ASSERT_TRUE(accept({create_of("a")}));
  const ContainerName files{run_named("a").project, "a", ContainerKind::files};
  auto upload = change_of(ChangeKind::run_upload, files);
  ASSERT_TRUE(accept({upload, upload}));
  EXPECT_LT(work_of([&] { EXPECT_EQ(batch(files).count, 2u); }), nothing);
}

TEST_F(ChangeQueueWork, OfTellingWhatWaitsDoesNotGrowWithWhatIsConfirmedAndCannotBeTakenOut) {
  open();
  hand_in("a", 50'000);
  EXPECT_EQ(backlog(run_named("a"), 49'000).count, 1'000u);
  EXPECT_LT(work_of([&] { EXPECT_EQ(backlog(run_named("a"), 49'010).count, 990u); }), nothing);
  ASSERT_TRUE(settle(run_named("a"), 100));
  EXPECT_EQ(backlog(run_named("a"), 49'010).count, 990u);
  hand_in("a", 10);
  EXPECT_EQ(backlog(run_named("a"), 49'010).count, 1000u);
  EXPECT_EQ(backlog(run_named("a"), 10).bytes, (50'010u - 100) * 5);
}

TEST_F(ChangeQueueWork, OfABatchIsThatOfTheBatch) {
  open();
  hand_in("a", 50'000);
  hand_in("b", 50'000);
  for (const auto* run : {"a", "b"}) {
    Batch planned;
    EXPECT_LT(work_of([&] { planned = batch(run_named(run), 0, {100, 1u << 20}); }), nothing);
    EXPECT_EQ(planned.count, 100u);
    EXPECT_LT(work_of([&] { bytes_of(loop, *source(run_named(run)), planned); }), nothing);
    EXPECT_LT(work_of([&] { settle(run_named(run), planned.last); }), 4 * nothing);
  }
}

TEST_F(ChangeQueueWork, OfAcceptingDoesNotGrowWithTheQueueOrItsKeys) {
  open();
  const auto request = [](int from, int count) {
    std::vector<Change> changes;
    for (int i = from; i < from + count; ++i) changes.push_back(keyed(update_of("a"), "key " + std::to_string(i)));
    return changes;
  };
  ASSERT_TRUE(accept(request(0, 10)));
  const auto few = work_of([&] { ASSERT_TRUE(accept(request(10, 10))); });
  ASSERT_TRUE(accept(request(20, 20'000)));
  const auto many = work_of([&] { ASSERT_TRUE(accept(request(50'000, 10))); });
  EXPECT_LE(many, few + few / 2);
}

TEST_F(ChangeQueueWork, NeverLooksThroughAWholeTableButTheStreams) {
  open();
  hand_in("a", 2'000);
  hand_in("b", 2'000);
  scanned_rows = 0;
  backlog(run_named("a"), 10);
  settle(run_named("a"), 1'500);
  batch(run_named("a"));
  waiting(run_named("b"));
  loop.await(source(run_named("a"))->changes(1'800, 1'800));
  hand_in("c", 1);
  EXPECT_EQ(scanned_rows, 0);
  reopen();
  EXPECT_LE(scanned_rows, 20);
}

}  // namespace
}  // namespace neptune::sources
