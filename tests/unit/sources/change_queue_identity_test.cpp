#include <gtest/gtest.h>

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
  ChangeQueueIdentity() { options.min_free_disk = 0; }
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
