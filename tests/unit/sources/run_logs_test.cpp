#include "sources/run_logs.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <fstream>

#include "sources/impl/run_log_watch.h"
#include "tests/unit/sources/fixture.h"

/// Which logs are found, and how they are removed.
namespace neptune::sources {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

void make_log(const fs::path& directory, const std::vector<std::string>& commands = {}) {
  Writer writer;
  writer("begin " + directory.string() + " create");
  for (const auto& command : commands) writer(command);
  writer("close");
}

TEST(RunLogs, TheFirstScanIsDoneOnlyAfterEveryLogWasAnnounced) {
  RunLogsFixture fixture;
  for (int i = 0; i < 5; ++i) make_log(fixture.folder / ("a_b_c_" + std::to_string(i)));
  fixture.start();
  ASSERT_TRUE(fixture.loop.until([&] { return fixture.listener.first_scan; }));
  EXPECT_EQ(fixture.listener.logs.size(), 5u);
}

TEST(RunLogs, TheFirstScanIsDoneWithoutAnyFolderToo) {
  RunLogsFixture fixture([](RunLogsOptions& options) { options.folders.clear(); });
  fixture.start();
  EXPECT_TRUE(fixture.loop.until([&] { return fixture.listener.first_scan; }));
}

TEST(RunLogs, TheFirstScanIsDoneWhenFoldersAreMissingAndTheyAreWaitedFor) {
  RunLogsFixture fixture;
  fs::remove_all(fixture.folder);
  fixture.options.folders[0].path = fixture.folder / "deep" / "down";
  fixture.start();
  ASSERT_TRUE(fixture.loop.until([&] { return fixture.listener.first_scan; }));
  EXPECT_NE(fixture.logs->folders()[0].problem.find("not there yet"), std::string::npos);
  make_log(fixture.folder / "deep" / "down" / "a_b_c_1");
  ASSERT_TRUE(fixture.reaches(fixture.folder / "deep" / "down" / "a_b_c_1", SourceState::closed));
  EXPECT_EQ(fixture.logs->folders()[0].problem, "");
}

TEST(RunLogs, FindsLogsAtEveryPlaceTheClientPutsThem) {
  RunLogsFixture fixture;
  const std::vector<fs::path> places = {fixture.folder / "a_b_c_1", fixture.folder / ".neptune" / "a_b_c_2",
                                        fixture.folder / "job" / ".neptune" / "a_b_c_3",
                                        fixture.folder / "user/project/experiment/trial/1/2/.neptune/a_b_c_4"};
  for (const auto& place : places) make_log(place);
  make_log(fixture.folder / ".git" / "a_b_c_6");
  fixture.start();
  for (const auto& place : places) EXPECT_TRUE(fixture.reaches(place, SourceState::closed)) << place;
  EXPECT_EQ(fixture.listener.logs.size(), places.size());
}

TEST(RunLogs, WhatLiesTooDeepBelowAFolderIsSaid) {
  RunLogsFixture fixture;
  make_log(fixture.folder / "1/2/3/4/5/6/7/8/9/10/11/a_b_c_1");
  make_log(fixture.folder / "1/2/3/4/5/6/7/8/9/10/11/12/a_b_c_2");
  fixture.start();
  EXPECT_TRUE(fixture.reaches(fixture.folder / "1/2/3/4/5/6/7/8/9/10/11/a_b_c_1", SourceState::closed));
  EXPECT_EQ(fixture.listener.logs.size(), 1u);
  const auto problem = fixture.logs->folders()[0].problem;
  EXPECT_NE(problem.find("more than 12 levels below " + fixture.folder.string() + ", 1 directory is not looked into"),
            std::string::npos)
      << problem;
}

TEST(RunLogs, AFolderThatIsALogItselfIsTaken) {
  RunLogsFixture fixture([](RunLogsOptions& options) { options.folders[0].path /= "a_b_c_1/"; });
  make_log(fixture.folder / "a_b_c_1");
  fixture.start();
  EXPECT_TRUE(fixture.reaches(fixture.folder / "a_b_c_1", SourceState::closed));
}

TEST(RunLogs, LeavesFoldersOfTheOtherClientAlone) {
  RunLogsFixture fixture([](RunLogsOptions& options) { options.folders[0].kind = WatchFolder::Kind::client_1x; });
  make_log(fixture.folder / "a_b_c_1");
  fixture.start();
  ASSERT_TRUE(fixture.loop.until([&] { return fixture.listener.first_scan; }));
  EXPECT_TRUE(fixture.listener.logs.empty());
  EXPECT_TRUE(fixture.logs->folders().empty());
}

TEST(RunLogs, DoesNotFollowLinksOutOfAFolder) {
  RunLogsFixture fixture;
  make_log(fixture.temp / "outside" / "a_b_c_1");
  fs::create_directory_symlink(fixture.temp / "outside", fixture.folder / "link");
  make_log(fixture.folder / "a_b_c_2");
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.folder / "a_b_c_2", SourceState::closed));
  EXPECT_EQ(fixture.listener.logs.size(), 1u);
}

TEST(RunLogs, ALogInTwoFoldersIsOneSource) {
  RunLogsFixture fixture;
  auto again = fixture.options.folders[0];
  again.path = fixture.temp / "link";
  fs::create_directory_symlink(fixture.folder, again.path);
  fixture.options.folders.push_back(again);
  again.path = fixture.folder / ".neptune";
  fixture.options.folders.push_back(again);
  make_log(fixture.folder / ".neptune" / "a_b_c_1");
  fixture.start();
  ASSERT_TRUE(fixture.loop.until([&] { return fixture.listener.first_scan; }));
  fixture.loop.run_for(300ms);
  EXPECT_EQ(fixture.listener.logs.size(), 1u);
}

TEST(RunLogs, ALogThatIsMovedIsGoneThereAndFoundHere) {
  RunLogsFixture fixture;
  make_log(fixture.folder / "old" / "a_b_c_1");
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.folder / "old" / "a_b_c_1", SourceState::closed));
  fs::rename(fixture.folder / "old", fixture.folder / "new");
  ASSERT_TRUE(fixture.reaches(fixture.folder / "new" / "a_b_c_1", SourceState::closed));
  EXPECT_TRUE(fixture.loop.until([&] { return !fixture.listener.at(fixture.folder / "old" / "a_b_c_1"); }));
}

TEST(RunLogs, LogsMadeInABurstAreAllFound) {
  RunLogsFixture fixture;
  fixture.start();
  ASSERT_TRUE(fixture.loop.until([&] { return fixture.listener.first_scan; }));
  const auto original = fixture.temp / "original_1";
  make_log(original);
  for (int i = 0; i < 200; ++i) {
    const auto log = fixture.folder / std::to_string(i % 10) / ("a_b_c_" + std::to_string(i));
    fs::create_directories(log);
    fs::copy_file(database_of(original), database_of(log));
  }
  EXPECT_TRUE(fixture.loop.until([&] {
    return std::ranges::count_if(fixture.listener.logs,
                                 [](const auto& log) { return log.second.info.state == SourceState::closed; }) == 200;
  }));
}

TEST(RunLogs, ALogIsFoundThoughTheKernelsQueueOverflowed) {
  RunLogsFixture fixture;
  fixture.start();
  ASSERT_TRUE(fixture.loop.until([&] { return fixture.listener.first_scan; }));
  std::ifstream setting("/proc/sys/fs/inotify/max_queued_events");
  int queued = 0;
  setting >> queued;
  ASSERT_GT(queued, 0);
  if (queued > 100'000) GTEST_SKIP() << "a queue of " << queued << " events takes too long to fill";
  for (int i = 0; i <= queued / 2; ++i) {
    const auto file = fixture.folder / std::to_string(i);
    {
      std::ofstream made(file);
    }
    fs::remove(file);
  }
  make_log(fixture.log);
  EXPECT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
}

// 0 when all went well, else the number of the step that did not. In a user namespace of its own, with few watches.
int follow_with_few_watches() {
  const auto uid = std::to_string(geteuid());
  if (unshare(CLONE_NEWUSER) != 0) return 77;
  std::ofstream("/proc/self/uid_map") << "0 " << uid << " 1";
  if (!(std::ofstream("/proc/sys/user/max_inotify_watches") << 2 << std::flush)) return 77;
  RunLogsFixture fixture([](RunLogsOptions& options) { options.rescan = 100ms; });
  for (int i = 0; i < 5; ++i) fs::create_directories(fixture.folder / std::to_string(i) / "deeper");
  fixture.start();
  if (!fixture.loop.until([&] { return fixture.listener.first_scan; })) return 1;
  if (fixture.logs->folders()[0].problem.find("fs.inotify.max_user_watches") == std::string::npos) return 2;
  const auto log = fixture.folder / "4" / "deeper" / "a_b_c_1";
  make_log(log, {"insert 5 10"});
  if (!fixture.reaches(log, SourceState::closed)) return 3;
  if (fixture.loop.await(fixture.source(log)->settle(6)) != true) return 4;
  fixture.loop.run_for(300ms);
  const auto before = fixture.listener.at(log)->written;
  Writer writer;
  writer("attach " + log.string());
  writer("insert 1 10");
  if (!fixture.loop.until([&] { return fixture.listener.at(log)->written > before; })) return 5;
  writer("close");
  fixture.stop();
  return 0;
}

TEST(RunLogs, GoesOnByLookingThroughFoldersWhenTheInotifyLimitIsReachedAndSaysSo) {
  const pid_t child = fork();
  if (child == 0) _exit(follow_with_few_watches());
  int status = 0;
  waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) GTEST_SKIP() << "user namespaces are not allowed here";
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(RunLogs, WhatWasTakenOutOfALogIsNotTakenForAWriteWhenItsFolderIsLookedThrough) {
  RunLogsFixture fixture;
  make_log(fixture.log, {"insert 5 10"});
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  fixture.loop.run_for(200ms);
  const auto written_at = fs::last_write_time(database_of(fixture.log));
  ASSERT_EQ(fixture.loop.await(fixture.source(fixture.log)->settle(6)), true);
  ASSERT_NE(fs::last_write_time(database_of(fixture.log)), written_at);
  fixture.loop.run_for(200ms);  // inotify tells of it
  const auto before = fixture.listener.at(fixture.log)->written;
  fixture.logs->rescan();
  fixture.loop.run_for(300ms);
  EXPECT_EQ(fixture.listener.at(fixture.log)->written, before);
}

TEST(RunLogs, RemovesAClosedLogWhenEverythingIsConfirmed) {
  RunLogsFixture fixture;
  make_log(fixture.log, {"insert 5 10"});
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  const auto key = fixture.listener.at(fixture.log)->info.key;
  EXPECT_EQ(fixture.loop.await(fixture.logs->remove(key, 5)), false) << "the sixth is not confirmed";
  EXPECT_TRUE(fs::exists(database_of(fixture.log)));
  EXPECT_EQ(fixture.loop.await(fixture.logs->remove(key, 6)), true);
  EXPECT_FALSE(fs::exists(fixture.log));
  EXPECT_EQ(fixture.listener.vanished, std::vector<SourceKey>{key});
}

TEST(RunLogs, KeepsALogWithUploadsOrFilesBesideIt) {
  RunLogsFixture fixture;
  make_log(fixture.log, {"upload"});
  const auto other = fixture.folder / "a_b_c_1";
  make_log(other);
  std::ofstream(other / "picture.png") << "png";
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  ASSERT_TRUE(fixture.reaches(other, SourceState::closed));
  EXPECT_EQ(fixture.loop.await(fixture.logs->remove(fixture.listener.at(fixture.log)->info.key, 100)), false);
  EXPECT_EQ(fixture.loop.await(fixture.logs->remove(fixture.listener.at(other)->info.key, 100)), true);
  EXPECT_EQ(content_of(other), (std::map<std::string, std::string>{{"picture.png", "png"}}));
}

TEST(RunLogs, DoesNotRemoveALogThatSomebodyHasOpen) {
  RunLogsFixture fixture;
  make_log(fixture.log);
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  const auto key = fixture.listener.at(fixture.log)->info.key;
  Writer writer;
  writer("attach " + fixture.log.string());  // not noticed yet: the loop did not run since
  EXPECT_EQ(fixture.loop.await(fixture.logs->remove(key, 100)), false);
  EXPECT_TRUE(fs::exists(database_of(fixture.log)));
  writer("insert 1 10");
}

/// The folder as if it were on a network file system.
struct WatchedOverNetwork {
  explicit WatchedOverNetwork(RunLogsFixture& with)
      : fixture(with),
        watch(with.loop.context.get_executor(), with.loop.pool, with.loop.clock, often(with.options), with.listener,
              [](const fs::path&) { return FileSystem{true, "NFS", 0}; }) {
    boost::asio::co_spawn(
        fixture.loop.context, watch.run(),
        boost::asio::bind_cancellation_slot(cancel.slot(), [this](std::exception_ptr) { ended = true; }));
  }
  void end() {
    cancel.emit(boost::asio::cancellation_type::terminal);
    ASSERT_TRUE(fixture.loop.until([this] { return ended; }));
  }
  static RunLogsOptions often(RunLogsOptions options) {
    options.rescan = 50ms;
    return options;
  }

  RunLogsFixture& fixture;
  RunLogWatch watch;
  boost::asio::cancellation_signal cancel;
  bool ended = false;
};

TEST(RunLogs, OfANetworkFileSystemALogThatWasNotClosedIsTakenAfterADayWithoutAWriteOnly) {
  RunLogsFixture fixture;
  {
    // As a job on another host leaves it: nobody here has it open.
    Writer writer;
    writer("begin " + (fixture.temp / "a_b_c_1").string() + " create");
    fs::copy(fixture.temp / "a_b_c_1", fixture.log, fs::copy_options::recursive);
    writer("close");
  }
  ASSERT_TRUE(fs::exists(database_of(fixture.log).string() + "-wal"));
  const auto last_write = [&fixture](std::chrono::hours ago) {
    for (const auto& file : fs::directory_iterator(fixture.log))
      fs::last_write_time(file, fs::file_time_type::clock::now() - ago);
  };
  last_write(23h);
  WatchedOverNetwork network(fixture);
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::settling_in));
  fixture.loop.run_for(500ms);
  EXPECT_TRUE(fixture.listener.is(fixture.log, SourceState::settling_in));
  last_write(25h);
  EXPECT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  network.end();
  fixture.listener.logs.clear();
}

TEST(RunLogs, TakesOnlyClosedLogsFromANetworkFileSystem) {
  RunLogsFixture fixture;
  WatchedOverNetwork network(fixture);
  Writer writer;
  writer("begin " + fixture.log.string() + " create");
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::settling_in));
  fixture.loop.run_for(500ms);
  EXPECT_TRUE(fixture.listener.is(fixture.log, SourceState::settling_in)) << "a producer may be on another host, too";
  EXPECT_TRUE(fixture.listener.at(fixture.log)->info.network);
  EXPECT_NE(network.watch.folders()[0].problem.find("NFS"), std::string::npos);
  writer("close");
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  auto source = fixture.source(fixture.log);
  EXPECT_EQ(fixture.loop.await(source->backlog(0))->count, 1u);
  EXPECT_FALSE(fs::exists(database_of(fixture.log).string() + "-shm")) << "no memory is shared over the network";
  EXPECT_EQ(fixture.loop.await(source->settle(1)), true);
  source.reset();
  network.end();
  EXPECT_EQ(content_of(fixture.log).size(), 1u);
  fixture.listener.logs.clear();
}

}  // namespace
}  // namespace neptune::sources
