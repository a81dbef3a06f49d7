#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/ledger.h"
#include "sources/change_queue/change_queue.h"
#include "tests/integration/support/small_disk.h"
#include "tests/integration/support/temp_dir.h"
#include "tests/unit/sources/fixture.h"

/// What the ledger remembers of a queue's streams, and what the queue calls them, go together over the queue's lives.
namespace neptune::sources {
namespace {

namespace fs = std::filesystem;

const ContainerName run{{"ml-team", "classification"}, "run-1", ContainerKind::run};

class ChangeQueueIdentity : public ::testing::Test {
 protected:
  ChangeQueueIdentity() {
    options.min_free_disk = 0;
    options.on_record = [this](std::uint64_t of) { return ledger->numbers_of_queue(of); };
  }
  ~ChangeQueueIdentity() override { close(); }

  Result<void> try_open() {
    auto opened = ChangeQueue::open(loop.context.get_executor(), loop.clock, options, listener);
    if (!opened) return std::unexpected(opened.error());
    queue = std::move(*opened);
    queue->announce();
    return {};
  }
  void open() {
    const auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().message;
  }
  void close() {
    if (!queue) return;
    loop.await(queue->stop());
    listener.logs.clear();
    queue.reset();
  }
  /// What was committed is in the file itself from here on.
  void move_log_into_file() { ASSERT_TRUE(loop.await(queue->give_back_log())); }
  /// The server has them, and they are taken out.
  void settle(Position upto, std::uint64_t count) {
    ASSERT_TRUE(ledger->confirm(row().id, run.project, upto, count, loop.clock.wall()));
    ASSERT_TRUE(loop.await(stream().source->settle(upto)));
  }
  /// As a kill leaves the files; the queue is opened there from now on.
  void kill() {
    const auto after = dir / "after";
    fs::create_directory(after);
    for (const auto* name : {"changes.sqlite3", "changes.sqlite3-wal", "changes.mark"})
      fs::copy_file(dir / name, after / name);
    close();
    options.file = after / "changes.sqlite3";
  }
  fs::path log() const { return options.file.string() + "-wal"; }
  void damage_log(std::uint64_t at, std::size_t size) const {
    std::fstream file(log(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(at));
    file << std::string(size, '\xa5');
  }
  Position accept_one() {
    Change update;
    update.container = run;
    std::vector<Change> changes{update};
    Submitter by;
    return loop.await(queue->accept(std::move(changes), std::move(by))).value().ids.front();
  }
  QueueStore::Place place(Position position) { return loop.await(queue->place(position)).value(); }

  void move_file_away() const {
    for (const auto* end : {"", "-wal", "-shm"}) fs::remove(options.file.string() + end);
  }
  void accept(std::size_t count) {
    Change update;
    update.container = run;
    update.payload = "point";
    std::vector<Change> changes(count, update);
    Submitter by;
    const auto ids = loop.await(queue->accept(std::move(changes), std::move(by)));
    ASSERT_TRUE(ids) << ids.error().message;
  }
  const Listener::Seen& stream() const { return listener.logs.begin()->second; }
  engine::LedgerSource row() { return ledger->source(stream().info.key, run).value(); }
  std::uint64_t waits_after(Position confirmed) {
    return loop.await(stream().source->backlog(confirmed)).value().count;
  }

  testing::TempDir dir;
  Loop loop;
  Listener listener;
  ChangeQueueOptions options{.file = dir / "changes.sqlite3"};
  std::unique_ptr<engine::Ledger> ledger = engine::Ledger::open(dir / "memory.sqlite3").value();
  std::unique_ptr<ChangeQueue> queue;
};

TEST_F(ChangeQueueIdentity, WhatWasConfirmedOfAFileThatWasMovedAwayHidesNothingOfTheNewOne) {
  open();
  accept(600);
  ASSERT_TRUE(ledger->confirm(row().id, run.project, 500, 500, loop.clock.wall()));
  close();
  move_file_away();
  open();
  accept(200);
  const auto known = row();
  EXPECT_EQ(known.confirmed, 0);
  EXPECT_EQ(waits_after(known.confirmed), 200u);
}

TEST_F(ChangeQueueIdentity, WhatWasConfirmedStaysKnownOverARestart) {
  open();
  accept(600);
  ASSERT_TRUE(ledger->confirm(row().id, run.project, 500, 500, loop.clock.wall()));
  close();
  open();
  EXPECT_EQ(row().confirmed, 500);
  EXPECT_EQ(waits_after(500), 100u);
}

TEST_F(ChangeQueueIdentity, IsOneForAllStreamsOfAFile) {
  open();
  accept(1);
  const auto first = stream().info.key;
  EXPECT_NE(first.device, 0u);
  EXPECT_EQ(first.inode, 0u);
  listener.logs.clear();
  Change other;
  other.container = {run.project, {}, ContainerKind::management};
  std::vector<Change> changes{other};
  Submitter by;
  ASSERT_TRUE(loop.await(queue->accept(std::move(changes), std::move(by))));
  EXPECT_EQ(stream().info.key.device, first.device);
  EXPECT_NE(stream().info.key, first);
}

TEST_F(ChangeQueueIdentity, AfterADamagedLogNoNumberIsGivenOutAgainAndWhatIsGoneIsKnown) {
  open();
  accept(100);
  move_log_into_file();
  accept(20);
  settle(105, 105);
  kill();
  damage_log(0, 16);
  open();
  ASSERT_TRUE(queue->new_gap());
  const auto gap = *queue->new_gap();
  EXPECT_EQ(gap.first, 101);
  EXPECT_EQ(gap.last, 120);
  EXPECT_EQ(gap.recorded, 105);
  EXPECT_EQ(gap.lost, 15u);
  EXPECT_EQ(gap.queue, queue->identity());
  EXPECT_EQ(waits_after(row().confirmed), 0u);
  EXPECT_EQ(accept_one(), 121);
  EXPECT_EQ(waits_after(row().confirmed), 1u);
  EXPECT_TRUE(place(110).known);
  EXPECT_TRUE(place(110).gap);
  EXPECT_FALSE(place(100).gap);
  EXPECT_FALSE(place(121).gap);

  close();
  open();
  EXPECT_FALSE(queue->new_gap()) << "it was found before";
  EXPECT_EQ(queue->gaps().size(), 1u);
}

TEST_F(ChangeQueueIdentity, DamageWithinTheLogCostsWhatLiesBehindItAndThatIsKnown) {
  open();
  accept(100);
  move_log_into_file();
  accept(1);
  const auto size = fs::file_size(log());
  for (int i = 0; i < 9; ++i) accept(1);
  kill();
  damage_log(size + 100, 64);
  open();
  ASSERT_TRUE(queue->new_gap());
  EXPECT_EQ(queue->new_gap()->first, 102);
  EXPECT_EQ(queue->new_gap()->last, 110);
  EXPECT_EQ(queue->new_gap()->lost, 9u);
  EXPECT_EQ(waits_after(0), 101u);
}

TEST_F(ChangeQueueIdentity, WhatIsTakenOutOfADamagedOneHidesNothingFromTheDaemonThatStartsNext) {
  open();
  accept(100);
  move_log_into_file();
  accept(20);
  kill();
  damage_log(0, 16);
  {
    auto store = QueueStore::open(options.file);
    ASSERT_TRUE(store);
    const auto streams = (*store)->streams();
    ASSERT_TRUE(streams);
    ASSERT_TRUE((*store)->settle(streams->front().id, 100));
  }
  open();
  ASSERT_TRUE(queue->new_gap());
  EXPECT_EQ(queue->new_gap()->first, 101);
  EXPECT_EQ(queue->new_gap()->last, 120);
  EXPECT_EQ(accept_one(), 121);
}

TEST_F(ChangeQueueIdentity, AGapThatWasFoundWhileNoDaemonRanIsTold) {
  open();
  accept(100);
  move_log_into_file();
  accept(20);
  kill();
  damage_log(0, 16);
  {
    auto store = QueueStore::open(options.file);
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->close_gap({}, loop.clock.wall()));
  }
  open();
  ASSERT_TRUE(queue->new_gap());
  EXPECT_EQ(queue->new_gap()->lost, 20u);
  close();
  open();
  EXPECT_FALSE(queue->new_gap());
}

TEST_F(ChangeQueueIdentity, WithoutAMarkItGoesOnBehindWhatTheLedgerKnows) {
  open();
  accept(100);
  move_log_into_file();
  accept(20);
  settle(105, 105);
  kill();
  damage_log(0, 16);
  std::ofstream(dir / "after" / "changes.mark") << "queue 1 last 9999999 count 5 sum 0\n";
  open();
  ASSERT_TRUE(queue->new_gap());
  EXPECT_EQ(queue->new_gap()->last, 105);
  EXPECT_FALSE(queue->new_gap()->lost);
  EXPECT_TRUE(queue->new_gap()->lost_some());
  EXPECT_EQ(accept_one(), 106);
}

TEST_F(ChangeQueueIdentity, AKillLeavesNoGap) {
  open();
  accept(100);
  settle(40, 40);
  kill();
  open();
  EXPECT_FALSE(queue->new_gap());
  EXPECT_EQ(waits_after(row().confirmed), 60u);
  EXPECT_EQ(accept_one(), 101);
}

TEST_F(ChangeQueueIdentity, AnotherFileGoesOnBehindTheNumbersOfTheOneThatWasThereAndTellsWhatWaitedInThat) {
  open();
  accept(100);
  settle(60, 60);
  const auto before = queue->identity();
  close();
  move_file_away();
  open();
  ASSERT_TRUE(queue->new_gap());
  const auto gap = *queue->new_gap();
  EXPECT_EQ(gap.queue, before);
  EXPECT_EQ(gap.first, 1);
  EXPECT_EQ(gap.last, 100);
  EXPECT_EQ(gap.recorded, 60);
  EXPECT_EQ(gap.lost, 40u);
  EXPECT_EQ(accept_one(), 101);

  settle(101, 1);
  close();
  move_file_away();
  open();
  ASSERT_TRUE(queue->new_gap());
  EXPECT_EQ(queue->new_gap()->lost, 0u) << "nothing waited";
  EXPECT_EQ(accept_one(), 102);
}

TEST_F(ChangeQueueIdentity, AFileThatIsEmptyOrGoneBesideItsLogIsNotTakenForANewOne) {
  open();
  accept(100);
  kill();
  const auto size = fs::file_size(log());
  ASSERT_GT(size, 0u);
  const auto whole = dir / "whole.sqlite3";
  fs::copy_file(options.file, whole);
  const auto is_refused = [&](const char* how) {
    const auto opened = try_open();
    ASSERT_FALSE(opened) << how;
    EXPECT_EQ(opened.error().code, "queue_unusable");
    EXPECT_NE(opened.error().message.find(how), std::string::npos) << opened.error().message;
    EXPECT_EQ(fs::file_size(log()), size);
  };
  fs::resize_file(options.file, 0);
  is_refused("the file is empty");
  fs::remove(options.file);
  is_refused("the file is missing");
  EXPECT_FALSE(fs::exists(options.file));
  fs::copy_file(whole, options.file);
  open();
  EXPECT_EQ(waits_after(0), 100u);
}

TEST_F(ChangeQueueIdentity, AFullDiskAtTheStartIsSaidAndNobodyIsToldToMoveTheFileAway) {
  const testing::SmallDisk disk(16);
  if (!disk.mounted()) GTEST_SKIP() << "a small file system can be mounted by root only";
  options.file = disk.path() / "changes.sqlite3";
  open();
  accept(50);
  close();
  disk.fill();
  const auto refused = try_open();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "disk_full");
  EXPECT_TRUE(refused.error().retryable);
  EXPECT_NE(refused.error().message.find("free some space"), std::string::npos);
  EXPECT_EQ(refused.error().message.find("move it away"), std::string::npos);
  disk.make_room();
  open();
  EXPECT_EQ(waits_after(0), 50u);
}

}  // namespace
}  // namespace neptune::sources
