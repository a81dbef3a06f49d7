#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tests/unit/sources/fixture.h"

/// A run log beside the processes that write it (docs/protocol.md, "Sharing a log").
namespace neptune::sources {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class SharingTest : public testing::Test {
 protected:
  Backlog backlog(Position after) {
    auto out = fixture.loop.await(fixture.source(fixture.log)->backlog(after));
    EXPECT_TRUE(out) << out.error().message;
    return out.value_or(Backlog{});
  }
  std::string begin(const std::string& stage) { return "begin " + fixture.log.string() + " " + stage; }

  RunLogsFixture fixture;
};

TEST_F(SharingTest, TakesALiveLogOnlyAfterItsOneHolderWasSeenForAWhile) {
  Writer writer;
  writer(begin("create"));
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::settling_in));
  const auto found = fixture.loop.clock.now();
  EXPECT_FALSE(fixture.source(fixture.log));
  EXPECT_EQ(fixture.listener.at(fixture.log)->info.holders, (std::vector<std::int32_t>{writer.pid()}));
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  EXPECT_GE(fixture.loop.clock.now() - found, 150ms);
  EXPECT_TRUE(fixture.source(fixture.log));
  EXPECT_EQ(backlog(0).count, 1u);
}

TEST_F(SharingTest, FindsALogMadeWhileItWatches) {
  fixture.start();
  ASSERT_TRUE(fixture.loop.until([&] { return fixture.listener.first_scan; }));
  Writer writer;
  writer(begin("create"));
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
}

TEST_F(SharingTest, EveryCommitOfTheProducerIsReported) {
  Writer writer;
  writer(begin("create"));
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  EXPECT_EQ(backlog(0).count, 1u);
  for (int i = 0; i < 3; ++i) {
    const int written = fixture.listener.at(fixture.log)->written;
    writer("insert 5 10");
    ASSERT_TRUE(fixture.loop.until([&] { return fixture.listener.at(fixture.log)->written > written; }));
    EXPECT_EQ(backlog(0).count, 1u + 5u * static_cast<unsigned>(i + 1));
  }
}

TEST_F(SharingTest, ReadingCausesNoReportOfWriting) {
  {
    Writer writer;
    writer(begin("create"));
    writer("insert 50 10");
    writer("close");
  }
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  auto source = fixture.source(fixture.log);
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(fixture.loop.await(source->backlog(0)));
    fixture.loop.await(source->release());
  }
  fixture.logs->rescan();
  fixture.loop.run_for(150ms);
  fixture.logs->rescan();
  fixture.loop.run_for(150ms);
  EXPECT_EQ(fixture.listener.at(fixture.log)->written, 0);
  EXPECT_EQ(fixture.listener.states.size(), 2u) << "settling in, closed, and nothing after";
}

TEST_F(SharingTest, LeavesALogToTheClientWhileItsSyncProcessLives) {
  Writer trainer, syncer;
  trainer(begin("create"));
  syncer("attach " + fixture.log.string());
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::left_to_client));
  EXPECT_EQ(fixture.listener.at(fixture.log)->info.holders.size(), 2u);
  fixture.loop.run_for(400ms);
  EXPECT_TRUE(fixture.listener.is(fixture.log, SourceState::left_to_client));
  EXPECT_FALSE(fixture.source(fixture.log));
  syncer.kill();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  EXPECT_TRUE(fixture.source(fixture.log));
}

TEST_F(SharingTest, StepsBackWhenASecondHolderComesToALiveLog) {
  Writer trainer, syncer;
  trainer(begin("create"));
  trainer("insert 10 10");
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  auto source = fixture.source(fixture.log);
  ASSERT_TRUE(fixture.loop.await(source->backlog(0)));
  syncer("attach " + fixture.log.string());
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::left_to_client));
  EXPECT_FALSE(fixture.source(fixture.log));
  fixture.loop.run_for(50ms);
  auto refused = fixture.loop.await(source->settle(5));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "run_log_withdrawn");
  syncer("close");
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  EXPECT_EQ(backlog(0).count, 11u);
}

TEST_F(SharingTest, AProducerThatIsKilledLeavesAClosedLogWithAllItCommitted) {
  Writer writer;
  writer(begin("create"));
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  writer("insert 20 10");
  writer.kill();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  EXPECT_TRUE(fixture.listener.at(fixture.log)->info.holders.empty());
  EXPECT_EQ(backlog(0).count, 21u);
}

TEST_F(SharingTest, AProducerThatClosesIsNoticed) {
  Writer writer;
  writer(begin("create"));
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  backlog(0);  // we have it open, so that the producer's closing removes nothing
  writer("close");
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
}

TEST_F(SharingTest, AClosedLogThatIsOpenedAgainIsGivenBack) {
  Writer writer;
  writer(begin("create"));
  writer("close");
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  writer("attach " + fixture.log.string());
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::settling_in));
  EXPECT_FALSE(fixture.source(fixture.log));
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
}

TEST_F(SharingTest, WaitsForALogThatIsStillBeingMade) {
  for (const auto* stage : {"connect", "schema", "metadata"}) {
    SCOPED_TRACE(stage);
    RunLogsFixture other;
    Writer writer;
    writer("begin " + other.log.string() + " " + stage);
    other.start();
    ASSERT_TRUE(other.reaches(other.log, SourceState::settling_in));
    other.loop.run_for(500ms);
    EXPECT_TRUE(other.listener.is(other.log, SourceState::settling_in)) << "not yet is not corrupt";
    EXPECT_FALSE(other.source(other.log));
    other.stop();
  }
  Writer writer;
  writer(begin("metadata"));
  fixture.start();
  fixture.loop.run_for(400ms);
  EXPECT_FALSE(fixture.source(fixture.log));
  writer("insert 1 10");
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
}

TEST_F(SharingTest, AProducerThatHoldsTheWriteLockMakesSettlingWait) {
  Writer writer;
  writer(begin("create"));
  writer("insert 10 10");
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  auto source = fixture.source(fixture.log);
  EXPECT_EQ(backlog(0).count, 11u);
  writer("hold");
  bool settled = false;
  boost::asio::co_spawn(fixture.loop.context, source->settle(5), [&](std::exception_ptr, Result<bool> result) {
    EXPECT_EQ(result, true);
    settled = true;
  });
  fixture.loop.run_for(200ms);
  EXPECT_FALSE(settled);
  EXPECT_EQ(bytes_of(fixture.loop, *source, {OperationKind::update, 6, 11, 6, 6 * 12}).size(), 72u)
      << "a stream is read meanwhile";
  writer("let-go");
  ASSERT_TRUE(fixture.loop.until([&] { return settled; }));
  EXPECT_EQ(backlog(5).count, 6u);
}

TEST_F(SharingTest, AnEmptiedLogThatItsProducerRemovesLeavesNoOrphans) {
  Writer writer;
  writer(begin("create"));
  writer("insert 10 10");
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  auto source = fixture.source(fixture.log);
  ASSERT_TRUE(fixture.loop.await(source->backlog(0)));
  ASSERT_EQ(fixture.loop.await(source->settle(11)), true);
  // Let go of at once: the producer finds itself alone, and can clear up.
  EXPECT_EQ(writer("close-and-remove"), "removed");
  ASSERT_TRUE(fixture.loop.until([&] { return !fixture.listener.vanished.empty(); }));
  EXPECT_FALSE(fs::exists(fixture.log));
}

TEST_F(SharingTest, OrphansOfALogThatWasRemovedWhileWeLookedAreClearedUp) {
  Writer writer;
  writer(begin("create"));
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  auto source = fixture.source(fixture.log);
  ASSERT_EQ(fixture.loop.await(source->settle(1)), true);
  ASSERT_TRUE(fixture.loop.await(source->backlog(1)));
  ASSERT_TRUE(fixture.loop.await(source->changes(1, 1)).error().code == "run_log_changed") << "opens it again";
  EXPECT_EQ(writer("close-and-remove"), "directory stays");
  ASSERT_TRUE(fixture.loop.until([&] { return !fixture.listener.vanished.empty() && !fs::exists(fixture.log); }));
}

TEST_F(SharingTest, WhatIsLeftOfALogThatStillHeldOperationsIsNotTouched) {
  Writer writer;
  writer(begin("create"));
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  const fs::path note = fixture.log / "notes.txt";
  std::ofstream(note) << "mine";
  fs::remove(database_of(fixture.log));
  ASSERT_TRUE(fixture.loop.until([&] { return !fixture.listener.vanished.empty(); }));
  EXPECT_TRUE(fs::exists(note));
  EXPECT_TRUE(fs::exists(database_of(fixture.log).string() + "-wal"));
}

// 0 when all went well, else the number of the step that did not. In a mount namespace of its own, on a small disk.
int settle_on_a_full_disk() {
  TempDir temp;
  const auto disk = temp / "disk", log = disk / "a_b_c_1";
  fs::create_directories(disk);
  if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=2M") != 0)
    return 77;
  RunLogsFixture fixture([&](RunLogsOptions& options) { options.folders[0].path = disk; });
  Writer writer;
  writer("begin " + log.string() + " create");
  writer("insert 2000 200");
  fixture.start();
  if (!fixture.reaches(log, SourceState::live)) return 1;
  auto source = fixture.source(log);
  if (!fixture.loop.await(source->backlog(0))) return 2;
  const auto filler = disk / "filler";
  {
    std::ofstream file(filler, std::ios::binary);
    while (file << std::string(4096, 'x') << std::flush) {
    }
  }
  auto refused = fixture.loop.await(source->settle(1500));
  if (!refused || *refused) return 3;
  auto waiting = fixture.loop.await(source->backlog(0));
  if (!waiting || waiting->count != 2001) return 4;
  fs::remove(filler);
  auto settled = fixture.loop.await(source->settle(1500));
  if (!settled || !*settled) return 5;
  waiting = fixture.loop.await(source->backlog(1500));
  if (!waiting || waiting->count != 501) return 6;
  source.reset();
  fixture.stop();
  writer.kill();
  return umount(disk.c_str()) == 0 ? 0 : 7;
}

TEST(FullDiskTest, NothingIsTakenOutAndNothingIsLost) {
  const pid_t child = fork();
  if (child == 0) _exit(settle_on_a_full_disk());
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "only root can mount a small disk";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// How long the producer's commits take meanwhile is measured by the campaign "writer".
TEST_F(SharingTest, TheProducerGoesOnWritingWhileManyRowsAreTakenOut) {
  Writer writer;
  writer(begin("create"));
  writer("insert 20000 70");
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
  auto source = fixture.source(fixture.log);
  writer.send("paced 100 70 2");
  ASSERT_EQ(fixture.loop.await(source->settle(20001)), true);
  EXPECT_GT(std::stol(writer.receive()), 0);  // an error is no number
  EXPECT_EQ(backlog(20001).count, 100u);
}

}  // namespace
}  // namespace neptune::sources
