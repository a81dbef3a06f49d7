#include "sources/removal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "tests/unit/sources/fixture.h"

namespace neptune::sources {
namespace {

namespace fs = std::filesystem;

class RemovalByItsOwner : public testing::Test {
 protected:
  fs::path make_log() {
    const auto directory = folder_ / "ml-team_lab_r-1_1";
    fs::create_directory(directory);
    for (const char* suffix : {"", "-wal", "-shm"}) std::ofstream(directory / (std::string(database) + suffix)) << "x";
    return directory;
  }
  static Removal removal_of(const fs::path& directory) {
    return {.kind = RemovalKind::run_log,
            .directory = directory,
            .fingerprint = fingerprint(directory).value(),
            .files = {}};
  }
  static std::string refused(const Removal& removal) {
    const auto removed = remove_own(removal);
    return removed ? "" : removed.error().code;
  }

  static constexpr const char* database = "run_operations.sqlite3";
  TempDir folder_;
};

TEST_F(RemovalByItsOwner, TakesTheLogItsUploadedFilesAndTheFolder) {
  const auto log = make_log();
  std::ofstream(log / "a.png") << "p";
  auto removal = removal_of(log);
  removal.files = {"a.png"};
  EXPECT_EQ(refused(removal), "");
  EXPECT_FALSE(fs::exists(log));
}

TEST_F(RemovalByItsOwner, LeavesWhatItWasNotToldOf) {
  const auto log = make_log();
  std::ofstream(log / "notes.txt") << "mine";
  std::ofstream(folder_ / "other") << "mine";
  auto removal = removal_of(log);
  removal.files = {"../other", ""};
  EXPECT_EQ(refused(removal), "");
  EXPECT_TRUE(fs::exists(log / "notes.txt"));
  EXPECT_TRUE(fs::exists(folder_ / "other"));
  EXPECT_FALSE(fs::exists(log / database));
}

TEST_F(RemovalByItsOwner, LeavesALogThatWasWrittenMeanwhile) {
  const auto log = make_log();
  const auto removal = removal_of(log);
  std::ofstream(log / (std::string(database) + "-wal"), std::ios::app) << "more";
  EXPECT_EQ(refused(removal), "changed");
  EXPECT_TRUE(fs::exists(log / database));
}

TEST_F(RemovalByItsOwner, IsNotMisledByAnotherFileOfTheSameSizeAndTime) {
  const auto log = make_log();
  const auto removal = removal_of(log);
  const auto time = fs::last_write_time(log / database);
  fs::rename(log / database, folder_ / "old");
  std::ofstream(log / database) << "y";
  fs::last_write_time(log / database, time);
  EXPECT_EQ(refused(removal), "changed");
}

TEST_F(RemovalByItsOwner, TakesWhatReadersWriteForNoChange) {
  const auto log = make_log();
  const auto removal = removal_of(log);
  std::ofstream(log / (std::string(database) + "-shm"), std::ios::app) << "marks";
  EXPECT_EQ(refused(removal), "");
}

TEST_F(RemovalByItsOwner, LeavesALogThatAProcessHasOpen) {
  Writer writer;
  const auto log = folder_ / "ml-team_lab_r-1_1";
  writer("begin " + log.string() + " create");
  EXPECT_EQ(refused(removal_of(log)), "in_use");
  EXPECT_TRUE(fs::exists(log / database));
}

TEST_F(RemovalByItsOwner, TakesA1xDirectoryWholeAndLeavesOneThatIsOpen) {
  const auto directory = folder_ / "run__id__1__key";
  fs::create_directories(directory / "upload_path");
  std::ofstream(directory / "data-1.log") << "x";
  auto removal = removal_of(directory);
  removal.kind = RemovalKind::client_dir;

  // Of another process: what this one has open is its own affair.
  const pid_t holder = ::fork();
  if (holder == 0) {
    const int fd = ::open((directory / "data-1.log").c_str(), O_RDWR);
    ::pause();
    ::_exit(fd);
  }
  const auto descriptors = fs::path("/proc/" + std::to_string(holder) + "/fd");
  const auto has_it_open = [&] {
    for (const auto& entry : fs::directory_iterator(descriptors)) {
      std::error_code ignored;
      if (fs::read_symlink(entry.path(), ignored) == directory / "data-1.log") return true;
    }
    return false;
  };
  Loop loop;
  EXPECT_TRUE(loop.until(has_it_open));
  EXPECT_EQ(refused(removal), "in_use");
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  EXPECT_EQ(refused(removal), "");
  EXPECT_FALSE(fs::exists(directory));
}

TEST_F(RemovalByItsOwner, IsForNobodyElse) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can make another user's directory";
  const auto log = make_log();
  const auto removal = removal_of(log);
  ASSERT_EQ(::chown(log.c_str(), 65534, 65534), 0);
  EXPECT_EQ(refused(removal), "not_yours");
  EXPECT_TRUE(fs::exists(log / database));
}

TEST_F(RemovalByItsOwner, FollowsNoLink) {
  const auto log = make_log();
  fs::create_directory_symlink(log, folder_ / "link");
  auto removal = removal_of(log);
  removal.directory = folder_ / "link";
  EXPECT_EQ(refused(removal), "not_yours");
}

}  // namespace
}  // namespace neptune::sources
