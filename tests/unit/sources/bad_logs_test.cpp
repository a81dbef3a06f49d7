#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "changes/file_upload.h"
#include "tests/unit/sources/fixture.h"

/// Logs that cannot be taken, and why; and logs that may only be read.
namespace neptune::sources {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

class BadLogTest : public testing::Test {
 protected:
  void make(const std::string& stage, const std::string& sql = {}) {
    {
      Writer writer;
      writer("begin " + fixture.log.string() + " " + stage);
      if (stage == "create") writer("insert 2000 200");
      writer("close");
    }
    if (sql.empty()) return;
    auto database = sqlite::Database::open(database_of(fixture.log), {});
    ASSERT_TRUE(database->exec(sql));
  }

  // The second half of its pages: what says whose log it is stays as it was.
  void spoil() {
    std::fstream file(database_of(fixture.log), std::ios::in | std::ios::out | std::ios::binary);
    const auto size = static_cast<std::streamoff>(fs::file_size(database_of(fixture.log)));
    for (std::streamoff at = size / 2 / 4096 * 4096; at < size; at += 4096) {
      file.seekp(at);
      file << std::string(4096, '\xA5');
    }
  }

  // Set aside for this reason, and left as it was.
  void expect_set_aside(const std::string& code) {
    const auto before = content_of(fixture.log);
    fixture.start();
    ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::set_aside));
    const auto& seen = *fixture.listener.at(fixture.log);
    EXPECT_FALSE(seen.source);
    ASSERT_TRUE(seen.info.problem);
    EXPECT_EQ(seen.info.problem->code, code);
    EXPECT_NE(seen.info.problem->message.find(fixture.log.string()), std::string::npos) << seen.info.problem->message;
    fixture.loop.run_for(100ms);
    EXPECT_EQ(content_of(fixture.log), before);
  }

  RunLogsFixture fixture;
};

TEST_F(BadLogTest, AFileThatIsNoDatabaseIsSetAsideAndTakenOnceItIsOne) {
  fs::create_directories(fixture.log);
  std::ofstream(database_of(fixture.log)) << std::string(5000, 'x');
  expect_set_aside("sqlite_not_a_database");
  const auto other = fixture.temp / "other_log_1";
  {
    Writer writer;
    writer("begin " + other.string() + " create");
    writer("close");
  }
  fs::copy_file(database_of(other), database_of(fixture.log), fs::copy_options::overwrite_existing);
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  EXPECT_TRUE(fixture.source(fixture.log));
}

TEST_F(BadLogTest, AnotherFormatVersionIsSetAside) {
  make("create", "UPDATE metadata SET version = 'v6'");
  expect_set_aside("run_log_version");
}

TEST_F(BadLogTest, AnotherFormatVersionWithAnUnfinishedWalIsLeftAsItWas) {
  Writer writer;
  writer("begin " + fixture.log.string() + " create");
  {
    auto database = sqlite::Database::open(database_of(fixture.log), {.busy_timeout = 1s});
    ASSERT_TRUE(database->exec("UPDATE metadata SET version = 'v6'"));
    writer.kill();
    // Killed as well, as far as the files tell: copied while the log is open.
    fs::copy(fixture.log, fixture.temp / "copy");
  }
  fs::remove_all(fixture.log);
  fs::rename(fixture.temp / "copy", fixture.log);
  const auto database = content_of(fixture.log).at("run_operations.sqlite3");
  const auto wal = content_of(fixture.log).at("run_operations.sqlite3-wal");
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::set_aside));
  EXPECT_EQ(content_of(fixture.log).at("run_operations.sqlite3"), database);
  EXPECT_EQ(content_of(fixture.log).at("run_operations.sqlite3-wal"), wal);
}

TEST_F(BadLogTest, AClosedLogWithoutMetadataIsSetAside) {
  make("schema");
  expect_set_aside("run_log_without_metadata");
}

TEST_F(BadLogTest, AClosedLogWithoutTablesIsSetAside) {
  make("connect");
  expect_set_aside("run_log_without_metadata");
}

TEST_F(BadLogTest, AnOldEmptyFileIsSetAside) {
  fs::create_directories(fixture.log);
  {
    std::ofstream file(database_of(fixture.log));
  }
  fs::last_write_time(database_of(fixture.log), fs::file_time_type::clock::now() - 1h);
  expect_set_aside("run_log_without_metadata");
}

TEST_F(BadLogTest, MetadataThatNamesNoProjectIsSetAside) {
  make("create", "UPDATE metadata SET project = 'nonsense'");
  expect_set_aside("run_log_metadata");
}

TEST_F(BadLogTest, ADirectoryInTheFilesPlaceIsSetAside) {
  fs::create_directories(database_of(fixture.log));
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::set_aside));
  EXPECT_EQ(fixture.listener.at(fixture.log)->info.problem->code, "run_log_not_a_file");
}

TEST_F(BadLogTest, ALinkInTheFilesPlaceIsNotFollowed) {
  make("create");
  const auto elsewhere = fixture.temp / "elsewhere.sqlite3";
  fs::rename(database_of(fixture.log), elsewhere);
  fs::create_symlink(elsewhere, database_of(fixture.log));
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::set_aside));
  EXPECT_EQ(fixture.listener.at(fixture.log)->info.problem->code, "run_log_not_a_file");
}

TEST_F(BadLogTest, CorruptPagesAreFoundWhenTheyAreReadAndSetTheLogAside) {
  make("create");
  spoil();
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  auto source = fixture.source(fixture.log);
  auto planned = fixture.loop.await(source->next_batch(1, {100000, 16 << 20}));
  ASSERT_FALSE(planned);
  EXPECT_EQ(planned.error().code, "sqlite_corrupt");
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::set_aside));
  EXPECT_EQ(fixture.listener.at(fixture.log)->info.problem->code, "sqlite_corrupt");
}

TEST_F(BadLogTest, ACorruptLogIsTriedAgainOnTheOperatorsWord) {
  make("create");
  spoil();
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  ASSERT_FALSE(fixture.loop.await(fixture.source(fixture.log)->next_batch(1, {100000, 16 << 20})));
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::set_aside));
  fixture.logs->rescan();
  EXPECT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
}

TEST_F(BadLogTest, ADirectoryThatVanishesIsReported) {
  make("create");
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  auto source = fixture.source(fixture.log);
  fs::remove_all(fixture.log);
  ASSERT_TRUE(fixture.loop.until([&] { return !fixture.listener.vanished.empty(); }));
  EXPECT_FALSE(fixture.loop.await(source->backlog(0)));
}

TEST_F(BadLogTest, AnotherLogInTheSamePlaceIsAnotherSource) {
  make("create");
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  const auto key = fixture.listener.at(fixture.log)->info.key;
  const auto other = fixture.temp / "other_log_1";
  {
    Writer writer;
    writer("begin " + other.string() + " create");
    writer("close");
  }
  fs::rename(database_of(other), database_of(fixture.log));
  ASSERT_TRUE(fixture.loop.until([&] {
    const auto* seen = fixture.listener.at(fixture.log);
    return seen && seen->info.key != key && seen->info.state == SourceState::closed;
  }));
  EXPECT_EQ(fixture.listener.vanished, std::vector<SourceKey>{key});
}

// Runs `check` in a process of the user "nobody": its return value, or -1.
template <class F>
int as_nobody(F check) {
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(99);
    _exit(check());
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

class OtherUserTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "only root can act as another user";
    fs::permissions(temp.path(), fs::perms(0755));
    fs::create_directories(folder);
  }

  // 0 when all went well, else the number of the step that did not.
  int follow(SourceState state, std::uint64_t count) {
    RunLogsFixture fixture([&](RunLogsOptions& options) { options.folders[0].path = folder; });
    fixture.start();
    if (!fixture.reaches(log, state)) return 1;
    if (!fixture.listener.at(log)->info.read_only) return 2;
    auto source = fixture.source(log);
    if (!source) return 3;
    auto waiting = fixture.loop.await(source->backlog(0));
    if (!waiting || waiting->count != count) return 4;
    auto settled = fixture.loop.await(source->settle(5));
    if (!settled || *settled) return 5;
    auto removed = fixture.loop.await(fixture.logs->remove(fixture.listener.at(log)->info.key, 1000));
    if (!removed || *removed) return 6;
    source.reset();
    fixture.stop();
    return 0;
  }

  TempDir temp;
  fs::path folder = temp / "shared", log = folder / "w_p_r_100";
};

TEST_F(OtherUserTest, AClosedLogIsReadAndNeverWritten) {
  {
    Writer writer;
    writer("begin " + log.string() + " create");
    writer("insert 9 10");
    writer("close");
  }
  const auto before = content_of(log);
  EXPECT_EQ(as_nobody([&] { return follow(SourceState::closed, 10); }), 0);
  EXPECT_EQ(content_of(log), before);
}

TEST_F(OtherUserTest, TheTemporaryFilesOfALogThatMayOnlyBeReadStay) {
  {
    Writer writer;
    writer("begin " + log.string() + " create");
    writer("upload " + (log / "memory.bin").string() + " 7 1");
    writer("close");
  }
  const auto look = [this] {
    RunLogsFixture fixture([this](RunLogsOptions& options) { options.folders[0].path = folder; });
    fixture.start();
    if (!fixture.reaches(log, SourceState::closed)) return 1;
    auto files = fixture.source(log)->files();
    const auto changes = fixture.loop.await(files->changes(1, 1));
    if (!changes) return 2;
    const auto upload = read_upload(changes->front().payload);
    files.reset();
    fixture.stop();
    return upload && upload->beneath == log && !upload->temporary ? 0 : 3;
  };
  EXPECT_EQ(as_nobody(look), 0);
}

TEST_F(OtherUserTest, ALiveLogIsFollowed) {
  Writer writer;
  writer("begin " + log.string() + " create");
  writer("insert 9 10");
  EXPECT_EQ(as_nobody([&] { return follow(SourceState::live, 10); }), 0);
  writer("insert 1 10");
  EXPECT_EQ(content_of(log).size(), 3u);
}

TEST_F(OtherUserTest, ALogOfAKilledJobIsReadWithWhatItsWalHolds) {
  Writer writer;
  writer("begin " + log.string() + " create");
  writer("insert 9 10");
  writer.kill();
  EXPECT_EQ(as_nobody([&] { return follow(SourceState::closed, 10); }), 0);
}

TEST_F(OtherUserTest, ALiveLogThatIsClosedWhileItIsNotOpenHereIsReadToItsEnd) {
  Writer writer;
  writer("begin " + log.string() + " create");
  writer("insert 9 10");
  const auto look = [&] {
    RunLogsFixture fixture([&](RunLogsOptions& options) {
      options.folders[0].path = folder;
      options.closed_after = 500ms;
    });
    fixture.start();
    if (!fixture.reaches(log, SourceState::live)) return 1;
    auto source = fixture.source(log);
    if (!fixture.loop.await(source->backlog(0))) return 2;
    fixture.loop.await(source->release());
    writer("insert 1 10");
    writer("close");
    // Its -shm went with it, and it does not count as closed yet.
    const auto between = fixture.loop.await(source->backlog(0));
    if (between || !between.error().retryable) return 3;
    if (!fixture.reaches(log, SourceState::closed)) return 4;
    const auto rest = fixture.loop.await(fixture.source(log)->backlog(0));
    if (!rest || rest->count != 11) return 5;
    source.reset();
    fixture.stop();
    return std::ranges::count(fixture.listener.states, SourceState::set_aside) == 0 ? 0 : 6;
  };
  EXPECT_EQ(as_nobody(look), 0);
}

TEST_F(OtherUserTest, ALogThatWasNotClosedProperlyIsSetAsideUntilItsOwnerOpensIt) {
  Writer writer;
  writer("begin " + (temp / "log_1").string() + " create");
  writer("insert 9 10");
  fs::create_directories(log);
  for (const auto* file : {"run_operations.sqlite3", "run_operations.sqlite3-wal"})
    fs::copy_file(temp / "log_1" / file, log / file);
  writer("close");
  const auto look = [&] {
    RunLogsFixture fixture([&](RunLogsOptions& options) { options.folders[0].path = folder; });
    fixture.start();
    if (!fixture.reaches(log, SourceState::set_aside)) return 1;
    if (fixture.listener.at(log)->info.problem->code != "run_log_needs_its_owner") return 2;
    writer("attach " + log.string());
    writer("close");
    if (!fixture.reaches(log, SourceState::closed)) return 3;
    const auto waiting = fixture.loop.await(fixture.source(log)->backlog(0));
    if (!waiting || waiting->count != 10) return 4;
    fixture.stop();
    return 0;
  };
  EXPECT_EQ(as_nobody(look), 0);
}

TEST_F(OtherUserTest, ALogWhoseWalMayNotBeReadIsSetAsideUntilItMay) {
  Writer writer, owner;
  writer("begin " + log.string() + " create");
  writer("insert 9 10");
  writer.kill();
  const auto wal = database_of(log).string() + "-wal";
  fs::permissions(wal, fs::perms(0600));
  const auto look = [&] {
    RunLogsFixture fixture([&](RunLogsOptions& options) {
      options.folders[0].path = folder;
      options.rescan = 1h;
    });
    fixture.start();
    if (!fixture.reaches(log, SourceState::set_aside)) return 1;
    owner("mode " + wal + " 644");
    if (!fixture.reaches(log, SourceState::closed)) return 2;
    const auto waiting = fixture.loop.await(fixture.source(log)->backlog(0));
    if (!waiting || waiting->count != 10) return 3;
    fixture.stop();
    return 0;
  };
  EXPECT_EQ(as_nobody(look), 0);
}

TEST_F(OtherUserTest, ADirectoryThatMayNotBeLookedIntoIsNamedUntilItMay) {
  Writer owner;
  owner("begin " + log.string() + " create");
  owner("close");
  fs::permissions(log, fs::perms(0700));
  const auto look = [&] {
    RunLogsFixture fixture([&](RunLogsOptions& options) {
      options.folders[0].path = folder;
      options.rescan = 1h;
    });
    const auto closed = [&] { return fixture.logs->folders()[0].closed; };
    fixture.start();
    if (!fixture.loop.until([&] { return fixture.listener.first_scan; })) return 1;
    if (closed().size() != 1 || closed()[0].path != log || closed()[0].owner != "root") return 2;
    owner("mode " + log.string() + " 755");
    if (!fixture.reaches(log, SourceState::closed) || !closed().empty()) return 3;
    const auto later = (folder / "w_p_r_200").string();
    owner("begin " + later + " create");
    owner("mode " + later + " 700");
    if (!fixture.loop.until([&] { return closed().size() == 1 && closed()[0].path == later; })) return 4;
    owner("remove " + later);
    if (!fixture.loop.until([&] { return closed().empty(); })) return 5;
    fixture.stop();
    return 0;
  };
  EXPECT_EQ(as_nobody(look), 0);
}

TEST_F(OtherUserTest, OfManyDirectoriesThatMayNotBeLookedIntoTheFirstAreNamedAndTheOthersCounted) {
  for (int i = 0; i < 23; ++i) {
    fs::create_directories(folder / std::to_string(i));
    fs::permissions(folder / std::to_string(i), fs::perms(0700));
  }
  fs::create_directories(folder / "lost+found");
  fs::permissions(folder / "lost+found", fs::perms(0700));
  const auto look = [&] {
    RunLogsFixture fixture([&](RunLogsOptions& options) { options.folders[0].path = folder; });
    fixture.start();
    if (!fixture.loop.until([&] { return fixture.listener.first_scan; })) return 1;
    const auto state = fixture.logs->folders()[0];
    fixture.stop();
    return state.closed.size() == 20 && state.problem.find("3 directories are left out") != std::string::npos ? 0 : 2;
  };
  EXPECT_EQ(as_nobody(look), 0);
}

TEST_F(OtherUserTest, ALogThatMayNotBeReadIsSetAsideUntilItMay) {
  {
    Writer writer;
    writer("begin " + log.string() + " create");
    writer("close");
  }
  fs::permissions(database_of(log), fs::perms(0600));
  int told[2], go[2];
  ASSERT_EQ(pipe(told), 0);
  ASSERT_EQ(pipe(go), 0);
  const pid_t child = fork();
  if (child == 0) {
    if (setgid(65534) != 0 || setuid(65534) != 0) _exit(99);
    RunLogsFixture fixture([&](RunLogsOptions& options) { options.folders[0].path = folder; });
    fixture.start();
    if (!fixture.reaches(log, SourceState::set_aside)) _exit(1);
    if (fixture.listener.at(log)->info.problem->code != "run_log_unreadable") _exit(2);
    char c = 'x';
    if (write(told[1], &c, 1) != 1) _exit(3);
    if (!fixture.reaches(log, SourceState::closed)) _exit(4);
    fixture.stop();
    _exit(0);
  }
  char c = 0;
  ::close(told[1]);
  EXPECT_EQ(read(told[0], &c, 1), 1);
  fs::permissions(database_of(log), fs::perms(0644));
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  for (const int fd : {told[0], go[0], go[1]}) ::close(fd);
}

}  // namespace
}  // namespace neptune::sources
