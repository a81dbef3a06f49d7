#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <limits>

#include "changes/file_upload.h"
#include "tests/unit/sources/fixture.h"

/// What a run log's requests for files are as a Source of their own: whose they are, batches, settling.
namespace neptune::sources {
namespace {

constexpr BatchLimits no_limits{std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max()};

class LogUploadsTest : public testing::Test {
 protected:
  /// The files of the log the writer made by these commands and closed.
  std::shared_ptr<Source> closed_log(const std::vector<std::string>& commands) {
    Writer writer;
    writer("begin " + fixture.log.string() + " create");
    for (const auto& command : commands) writer(command);
    writer("close");
    return files_of(SourceState::closed);
  }

  std::shared_ptr<Source> files_of(SourceState state) {
    fixture.start();
    EXPECT_TRUE(fixture.reaches(fixture.log, state));
    const auto log = fixture.source(fixture.log);
    return log ? log->files() : nullptr;
  }

  /// "": all went well.
  std::string error_of_changes(Source& files) {
    const auto changes = fixture.loop.await(files.changes(1, 1));
    return changes ? "" : changes.error().code;
  }

  void give(const std::filesystem::path& file, uid_t owner) {
    ASSERT_EQ(::chown(file.c_str(), owner, static_cast<gid_t>(-1)), 0);
  }

  RunLogsFixture fixture;
};

TEST_F(LogUploadsTest, AreBatchesOfRequestsAndNoBytes) {
  std::vector<std::string> commands;
  for (int i = 1; i <= 3; ++i) commands.push_back("upload /data/f" + std::to_string(i) + " 100 0");
  const auto files = closed_log(commands);
  ASSERT_TRUE(files);
  const auto waiting = fixture.loop.await(files->backlog(0)).value();
  EXPECT_EQ(waiting.count, 3u);
  EXPECT_EQ(waiting.bytes, 300u);
  EXPECT_EQ(waiting.last, 3);
  EXPECT_EQ(waiting.next, OperationKind::upload);
  EXPECT_EQ(fixture.loop.await(files->backlog(3)).value().count, 0u);
  const auto next = fixture.loop.await(files->next_batch(1, {.operations = 1, .bytes = 1})).value();
  const auto* batch = std::get_if<Batch>(&next);
  ASSERT_TRUE(batch) << "a file is larger than any request";
  EXPECT_EQ(batch->first, 2);
  EXPECT_EQ(batch->last, 2);
  EXPECT_EQ(batch->count, 1u);
  EXPECT_EQ(batch->payload_bytes, 100u);
  EXPECT_EQ(bytes_of(fixture.loop, *files, *batch), "");
  const auto none = fixture.loop.await(files->next_batch(3, no_limits)).value();
  EXPECT_TRUE(std::holds_alternative<std::monostate>(none));
}

TEST_F(LogUploadsTest, AreReadAThousandAtATime) {
  const auto files = closed_log(std::vector<std::string>(1001, "upload"));
  ASSERT_TRUE(files);
  const auto next = fixture.loop.await(files->next_batch(0, no_limits)).value();
  ASSERT_TRUE(std::holds_alternative<Batch>(next));
  EXPECT_EQ(std::get<Batch>(next).count, 1000u);
  EXPECT_EQ(fixture.loop.await(files->changes(1, 1000)).value().size(), 1000u);
}

TEST_F(LogUploadsTest, AreTakenOutOneByOneAndLeaveTheOperationsAlone) {
  const auto files = closed_log({"insert 5 10", "upload", "upload"});
  ASSERT_TRUE(files);
  EXPECT_EQ(fixture.loop.await(files->settle(1)), true);
  EXPECT_EQ(fixture.loop.await(files->backlog(1)).value().count, 1u);
  EXPECT_EQ(error_of_changes(*files), "run_log_changed");
  EXPECT_EQ(fixture.loop.await(files->settle(1)), true) << "it is out already";
  EXPECT_EQ(fixture.loop.await(files->settle(2)), true);
  EXPECT_EQ(fixture.loop.await(files->backlog(0)).value().count, 0u);
  EXPECT_EQ(fixture.loop.await(fixture.source(fixture.log)->backlog(0)).value().count, 6u);
}

TEST_F(LogUploadsTest, AreAskedForByTheOwnerOfTheFileThatIsOpenWhateverLiesAtItsPath) {
  const uid_t owner = ::geteuid() == 0 ? 1234 : ::geteuid();
  const auto files = closed_log({"upload"});
  ASSERT_TRUE(files);
  give(database_of(fixture.log), owner);
  const auto changes = fixture.loop.await(files->changes(1, 1));
  ASSERT_TRUE(changes) << changes.error().message;
  EXPECT_EQ(changes->at(0).uid, owner);
  // The source sees itself that its file is gone, or the watch, which is faster at times, has taken it back.
  const auto refused = ::testing::AnyOf("run_log_gone", "run_log_withdrawn");
  // Its place is taken by a link to a file of root's.
  std::filesystem::rename(database_of(fixture.log), fixture.temp / "away");
  std::filesystem::create_symlink("/etc/passwd", database_of(fixture.log));
  const auto still = fixture.loop.await(files->changes(1, 1));
  ASSERT_TRUE(still) << still.error().message;
  EXPECT_EQ(still->at(0).uid, owner);
  fixture.loop.await(files->release());
  EXPECT_THAT(error_of_changes(*files), refused);
  // So it is with a link to the log itself, and with another file.
  std::filesystem::remove(database_of(fixture.log));
  std::filesystem::create_symlink(fixture.temp / "away", database_of(fixture.log));
  EXPECT_THAT(error_of_changes(*files), refused);
  std::filesystem::remove(database_of(fixture.log));
  std::filesystem::copy(fixture.temp / "away", database_of(fixture.log));
  EXPECT_THAT(error_of_changes(*files), refused);
}

TEST_F(LogUploadsTest, AreOursToDeleteOnlyInTheLogsOwnFolder) {
  const auto files =
      closed_log({"upload " + (fixture.log / "in/memory.bin").string() + " 7 1",
                  "upload " + (fixture.log / "kept.bin").string() + " 7 0",
                  "upload " + (fixture.folder / "elsewhere.bin").string() + " 7 1",
                  "upload " + (fixture.temp / "way" / fixture.log.filename() / "linked.bin").string() + " 7 1",
                  "upload " + (fixture.log / "out/gone.bin").string() + " 7 1",
                  "upload " + (fixture.log / "../elsewhere.bin").string() + " 7 1"});
  ASSERT_TRUE(files);
  std::filesystem::create_directory(fixture.log / "in");
  std::filesystem::create_directory_symlink(fixture.folder, fixture.temp / "way");
  std::filesystem::create_directory_symlink(fixture.folder, fixture.log / "out");
  const auto changes = fixture.loop.await(files->changes(1, 6));
  ASSERT_TRUE(changes && changes->size() == 6);
  const auto upload = [&changes](std::size_t index) { return read_upload(changes->at(index).payload).value(); };
  EXPECT_TRUE(upload(0).temporary);
  EXPECT_EQ(upload(0).beneath, fixture.log);
  EXPECT_EQ(upload(0).file, "in/memory.bin");
  EXPECT_FALSE(upload(1).temporary);
  EXPECT_FALSE(upload(2).temporary);
  EXPECT_EQ(upload(2).file, fixture.folder / "elsewhere.bin");
  EXPECT_TRUE(upload(3).temporary) << "another way to the same folder";
  EXPECT_EQ(upload(3).file, "linked.bin");
  for (const std::size_t outside : {4u, 5u}) {
    EXPECT_FALSE(upload(outside).temporary) << outside;
    EXPECT_EQ(upload(outside).beneath, "") << outside;
  }
}

TEST_F(LogUploadsTest, AreFoundBesideALogThatWasMoved) {
  const auto before = fixture.temp / "before";
  Writer writer;
  writer("begin " + before.string() + " create");
  for (const auto* file : {"memory.bin", "gone.bin", "linked.bin"})
    writer("upload " + (before / file).string() + " 7 1");
  writer("upload " + (before / "kept.bin").string() + " 7 0");
  writer("upload " + (fixture.temp / "there.bin").string() + " 7 1");
  writer("close");
  for (const auto& file :
       {before / "memory.bin", before / "kept.bin", before / "there.bin", fixture.temp / "there.bin"})
    std::ofstream(file) << "content";
  std::filesystem::create_symlink("/etc/passwd", before / "linked.bin");
  std::filesystem::rename(before, fixture.log);
  const auto files = files_of(SourceState::closed);
  ASSERT_TRUE(files);
  const auto changes = fixture.loop.await(files->changes(1, 5));
  ASSERT_TRUE(changes && changes->size() == 5);
  const auto upload = [&changes](std::size_t index) { return read_upload(changes->at(index).payload).value(); };
  EXPECT_EQ(upload(0).beneath, fixture.log);
  EXPECT_EQ(upload(0).file, "memory.bin");
  EXPECT_TRUE(upload(0).temporary);
  EXPECT_EQ(upload(1).file, before / "gone.bin");
  EXPECT_EQ(upload(2).file, before / "linked.bin") << "no link is followed";
  EXPECT_EQ(upload(3).file, before / "kept.bin") << "what is not the log's own does not go with it";
  EXPECT_EQ(upload(4).file, fixture.temp / "there.bin") << "it is where it was";
  for (const std::size_t not_ours : {1u, 2u, 3u, 4u}) EXPECT_EQ(upload(not_ours).beneath, "") << not_ours;
}

TEST_F(LogUploadsTest, AreNotAskedForByAnybodyWhileTheWalIsAnotherUsers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give files to another user";
  Writer writer;
  writer("begin " + fixture.log.string() + " create");
  writer("upload");
  const auto files = files_of(SourceState::live);
  ASSERT_TRUE(files);
  const std::filesystem::path wal = database_of(fixture.log).string() + "-wal";
  EXPECT_EQ(error_of_changes(*files), "");
  give(database_of(fixture.log), 1234);
  EXPECT_EQ(error_of_changes(*files), "") << "root writes in anybody's name";
  fixture.loop.await(files->release());
  give(wal, 4321);
  for (int again = 0; again < 2; ++again) EXPECT_EQ(error_of_changes(*files), "run_log_not_theirs");
  give(wal, 1234);
  EXPECT_EQ(error_of_changes(*files), "");
}

}  // namespace
}  // namespace neptune::sources
