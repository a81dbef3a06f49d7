#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>

#include "sources/change_queue/queue_schema.h"
#include "support/sqlite.h"
#include "tests/integration/support/small_disk.h"
#include "tests/unit/sources/change_queue_fixture.h"

namespace neptune::sources {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class ChangeQueueBounds : public ChangeQueueTest {};
class ChangeQueueFullDisk : public ChangeQueueTest {};
class ChangeQueueFile : public ChangeQueueTest {
 protected:
  std::string content() const {
    std::ifstream file(options.file, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& bytes) const { std::ofstream(options.file, std::ios::binary) << bytes; }
  void exec(const std::string& sql) const {
    auto db = sqlite::Database::open(options.file, {.access = sqlite::Access::create});
    ASSERT_TRUE(db);
    const auto done = db->exec(sql);
    ASSERT_TRUE(done) << done.error().message;
  }
};

TEST_F(ChangeQueueBounds, PastMaxBytesNothingIsTakenAndSettlingMakesRoom) {
  options.max_bytes = 100;
  open();
  ASSERT_TRUE(accept({update_of("a", std::string(60, 'x'))}));
  ASSERT_TRUE(accept({update_of("a", std::string(40, 'x'))}));
  const auto refused = accept({update_of("b", "y")});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "queue_full");
  EXPECT_TRUE(refused.error().retryable);
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("max_bytes"), HasSubstr("neptune-sync status")));
  EXPECT_EQ(source(run_named("b")), nullptr);
  ASSERT_TRUE(settle(run_named("a"), 1));
  EXPECT_TRUE(accept({update_of("b", "y")}));
}

TEST_F(ChangeQueueBounds, PastThemALittleIsTakenThatOnlyRemoves) {
  options.max_bytes = 100;
  options.min_free_disk = 0;
  open();
  ASSERT_TRUE(accept({update_of("a", std::string(100, 'x'))}));
  auto removal = change_of(ChangeKind::run_trash, {queue_project, {}, ContainerKind::removals}, std::string(60, 'x'));
  removal.frees = true;
  EXPECT_TRUE(accept({removal}));
  EXPECT_EQ(accept({removal, update_of("a")}).error().code, "queue_full");
  removal.payload = std::string(4u << 20, 'x');
  EXPECT_EQ(accept({removal}).error().code, "queue_full");
}

TEST_F(ChangeQueueBounds, OfARequestThatDoesNotFitNothingIsTaken) {
  options.max_bytes = 100;
  open();
  std::vector<Change> request{update_of("a", "1"), update_of("b", std::string(100, 'x'))};
  EXPECT_EQ(accept(request).error().code, "queue_full");
  EXPECT_EQ(queue->totals().bytes, 0u);
  EXPECT_TRUE(listener.logs.empty());
}

TEST_F(ChangeQueueBounds, OfRequestsThatComeTogetherEachIsTakenOrRefusedByItself) {
  options.max_bytes = 100;
  open();
  std::vector<std::vector<Change>> requests{{update_of("a", std::string(60, 'x'))},
                                            {update_of("b", std::string(60, 'x'))},
                                            {update_of("c", std::string(40, 'x'))}};
  const auto outcomes = accept_at_once(std::move(requests));
  EXPECT_THAT(outcomes[0].value(), ElementsAre(1));
  EXPECT_EQ(outcomes[1].error().code, "queue_full");
  EXPECT_THAT(outcomes[2].value(), ElementsAre(2));
  EXPECT_EQ(queue->totals().bytes, 100u);
}

TEST_F(ChangeQueueBounds, ARequestThatWasTakenBeforeIsAnsweredByItsKeysEvenWhenFull) {
  options.max_bytes = 100;
  open();
  std::vector<Change> request{keyed(update_of("a", std::string(100, 'x')), "k")};
  ASSERT_TRUE(accept(request));
  EXPECT_THAT(accept(request).value(), ElementsAre(1));
  EXPECT_EQ(accept(request, 1001).error().code, "queue_full");
}

TEST_F(ChangeQueueBounds, BelowMinFreeDiskNothingIsTakenAndWhatWaitsDrains) {
  open();
  ASSERT_TRUE(accept({update_of("a")}));
  close();
  options.min_free_disk = 1ull << 60;
  open();
  const auto refused = accept({update_of("a")});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "low_disk");
  EXPECT_TRUE(refused.error().retryable);
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("min_free_disk"), HasSubstr(dir.path().string())));
  EXPECT_EQ(batch(run_named("a")).count, 1u);
  EXPECT_TRUE(settle(run_named("a"), 1));
  EXPECT_EQ(backlog(run_named("a")).count, 0u);
}

TEST_F(ChangeQueueFullDisk, LosesNothingAcknowledgedAndWorksAgainWhenThereIsRoom) {
  const testing::SmallDisk disk(16);
  if (!disk.mounted()) GTEST_SKIP() << "needs root to mount a small file system";
  options.file = disk.path() / "changes.sqlite3";
  open();
  Ids taken = accept(std::vector<Change>(1500, update_of("a", std::string(1000, 'x')))).value();
  disk.fill();
  Result<Ids> refused;
  for (int i = 0; i < 1000 && refused; ++i) {
    refused = accept(std::vector<Change>(50, update_of("a", std::string(1000, 'x'))));
    if (refused) taken.insert(taken.end(), refused->begin(), refused->end());
  }
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "disk_full");
  EXPECT_TRUE(refused.error().retryable);
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr(disk.path().string()), HasSubstr("free some space")));
  EXPECT_EQ(waiting(run_named("a")), taken);
  EXPECT_EQ(backlog(run_named("a")).count, taken.size());
  EXPECT_EQ(bytes_of(loop, *source(run_named("a")), batch(run_named("a"), 0, {100, 16u << 20})).size(), 100u * 1003);

  // Taken out or not, as it comes out; an error it is not.
  settle(run_named("a"), 10);
  disk.make_room();
  EXPECT_TRUE(settle(run_named("a"), 1200));
  taken.erase(taken.begin(), std::ranges::upper_bound(taken, 1200));
  EXPECT_EQ(waiting(run_named("a")), taken);
  const auto more = accept({update_of("a")});
  ASSERT_TRUE(more) << more.error().message;
  taken.push_back(more->front());
  reopen();
  EXPECT_EQ(waiting(run_named("a")), taken);
}

TEST_F(ChangeQueueFullDisk, TakesAgainWhatSettlingFreedInsideTheFile) {
  const testing::SmallDisk disk(24);
  if (!disk.mounted()) GTEST_SKIP() << "needs root to mount a small file system";
  options.file = disk.path() / "changes.sqlite3";
  options.min_free_disk = 8u << 20;
  open();
  Result<Ids> taken;
  Position last = 0;
  for (int i = 0; i < 100; ++i) {
    taken = accept(std::vector<Change>(100, update_of("a", std::string(3500, 'x'))));
    if (!taken) break;
    last = taken->back();
  }
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, "low_disk");
  ASSERT_TRUE(settle(run_named("a"), last));
  taken = accept(std::vector<Change>(100, update_of("a", std::string(3500, 'x'))));
  EXPECT_TRUE(taken) << taken.error().message;
}

TEST_F(ChangeQueueFile, IsItsOwnersAlone) {
  using std::filesystem::perms;
  const auto opened = QueueStore::open(options.file);
  ASSERT_TRUE(opened);
  for (const auto& beside : {options.file.string(), options.file.string() + "-wal"})
    EXPECT_EQ(std::filesystem::status(beside).permissions(), perms::owner_read | perms::owner_write) << beside;
}

TEST_F(ChangeQueueFile, ThatIsNoDatabaseIsRefusedAndLeftAsItIs) {
  const std::string bytes = "this was never a database, but somebody's notes " + std::string(5000, 'x');
  write(bytes);
  const auto error = refusal();
  EXPECT_EQ(error.code, "queue_unusable");
  EXPECT_THAT(error.message, AllOf(HasSubstr(options.file.string()), HasSubstr("neptune-sync queue check --repair"),
                                   HasSubstr("move it away"), HasSubstr("accepted changes that wait in it"),
                                   Not(HasSubstr("remove it"))));
  EXPECT_TRUE(content() == bytes);
}

TEST_F(ChangeQueueFile, ThatIsDamagedIsRefusedAndLeftAsItIs) {
  open();
  ASSERT_TRUE(accept(std::vector<Change>(500, update_of("a", std::string(500, 'x')))));
  close();
  auto bytes = content();
  ASSERT_GT(bytes.size(), 100'000u);
  // The schema's page keeps its header and loses its cells.
  std::fill(bytes.begin() + 100, bytes.begin() + 4096, '\xa5');
  write(bytes);
  const auto error = refusal();
  EXPECT_EQ(error.code, "queue_unusable");
  EXPECT_THAT(error.message, AllOf(HasSubstr("damaged"), Not(HasSubstr("remove it"))));
  EXPECT_TRUE(content() == bytes);
}

TEST_F(ChangeQueueFile, WithADamagedPageSaysSoWhereItIsReadAndServesTheRest) {
  open();
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(accept(std::vector<Change>(100, update_of("run-" + std::to_string(i), std::string(1500, 'x')))));
  close();
  auto bytes = content();
  const auto damaged = bytes.size() / 2 / 4096 * 4096;
  std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(damaged), 16 * 4096, '\xa5');
  write(bytes);
  open();
  int good = 0, bad = 0;
  for (int i = 0; i < 20; ++i) {
    const auto run = run_named("run-" + std::to_string(i));
    auto planned = loop.await(source(run)->next_batch(0, {1000, 16u << 20}));
    Result<std::string_view> piece = planned ? Result<std::string_view>("") : std::unexpected(planned.error());
    if (planned) {
      auto stream = source(run)->open(std::get<Batch>(*planned));
      do piece = loop.await(stream->next());
      while (piece && !piece->empty());
    }
    piece ? good++ : bad++;
    if (!piece) {
      EXPECT_EQ(piece.error().code, "sqlite_corrupt");
    }
  }
  EXPECT_GE(good, 15);
  EXPECT_GE(bad, 1);
}

TEST_F(ChangeQueueFile, OfANewerVersionIsRefusedAndLeftAsItIs) {
  open();
  ASSERT_TRUE(accept({update_of("a")}));
  close();
  exec("PRAGMA user_version = 99; PRAGMA journal_mode = DELETE");
  const auto bytes = content();
  const auto error = refusal();
  EXPECT_EQ(error.code, "queue_too_new");
  EXPECT_THAT(error.message, AllOf(HasSubstr(options.file.string()), HasSubstr("99"), HasSubstr("is kept")));
  EXPECT_TRUE(content() == bytes);
}

/// Up to the fourth version.
constexpr auto as_of_the_fourth =
    "DROP TABLE moves; DROP TABLE moved; DROP TABLE moved_streams; DROP INDEX creates_of_stream";

TEST_F(ChangeQueueFile, OfTheFirstVersionIsTakenOver) {
  open();
  ASSERT_TRUE(accept({update_of("a", "kept")}));
  close();
  exec(as_of_the_fourth);
  exec("DROP INDEX changes_of_place; ALTER TABLE changes DROP COLUMN place; ALTER TABLE keys DROP COLUMN content");
  exec("DROP TABLE gaps; CREATE TABLE intents (seq INTEGER PRIMARY KEY, text TEXT NOT NULL); PRAGMA user_version = 1");
  open();
  EXPECT_EQ(loop.await(source(run_named("a"))->changes(1, 1)).value().front().payload, "kept");
  ASSERT_TRUE(accept({update_of("a")}));
}

TEST_F(ChangeQueueFile, OfTheFifthVersionFindsItsCreatesAsOneOfThis) {
  open();
  ASSERT_TRUE(accept({update_of("a", "kept"), create_of("a")}));
  close();
  exec("DROP TABLE gaps; DROP INDEX creates_of_stream; PRAGMA user_version = 5");
  open();
  EXPECT_EQ(backlog(run_named("a")).create_behind, 2);
  close();
  exec("DROP INDEX creates_of_stream");  // fails where there is none
}

TEST_F(ChangeQueueFile, OfTheThirdVersionKnowsItsKeysButNotWhatWasHandedInUnderThem) {
  open();
  auto change = keyed(update_of("a", "kept"), "once");
  change.content = 1;
  const auto first = accept({change}).value();
  close();
  exec(as_of_the_fourth);
  exec("DROP TABLE gaps; ALTER TABLE keys DROP COLUMN content; PRAGMA user_version = 3");
  open();
  change.content = 2;
  EXPECT_EQ(accept({change}).value(), first) << "as it was before";
  change.idempotency_key = "twice";
  ASSERT_TRUE(accept({change}));
  change.content = 3;
  EXPECT_EQ(accept({change}).error().code, "idempotency_key_reused");
}

std::string first_version() {
  std::ostringstream text;
  text << std::ifstream(NEPTUNE_DATA "/change-queue/first_version.sql").rdbuf();
  return text.str();
}

TEST_F(ChangeQueueFile, AsTheFirstVersionMadeItIsTakenOverWithAllThatWaitsInIt) {
  exec("PRAGMA journal_mode = WAL");
  exec(first_version());
  // A run's create and an update that wait, a key, and an intent.
  exec(R"(
    INSERT INTO streams VALUES (3, 'ml-team', 'classification', 0, 'a', 2, 8, 1, 1767323045678);
    INSERT INTO changes VALUES (41, 3, 11, 1000, 1767323045678, 4, 0, 1, NULL, x'2a026b31');
    INSERT INTO changes VALUES (42, 3, 12, 1000, 1767323045679, 4, 0, 0, NULL, x'6b657074');
    INSERT INTO keys VALUES (7, 1000, 'once', 42);
    INSERT INTO intents VALUES (42, 'to be dropped'))");
  const auto examined = sqlite::check(examined_queue(options.file));
  ASSERT_TRUE(examined) << examined.error().message;
  EXPECT_TRUE(examined->empty()) << "an older version is no fault";
  open();
  const auto kept = loop.await(source(run_named("a"))->changes(41, 42)).value();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].kind, ChangeKind::run_create);
  EXPECT_EQ(kept[1].payload, "kept");
  EXPECT_EQ(kept[1].uid, 1000u);
  EXPECT_NE(queue->identity(), 0u);
  EXPECT_GT(accept({update_of("a")}).value().front(), 42) << "numbers go on";
  close();
  const auto upgraded = sqlite::check(examined_queue(options.file));
  ASSERT_TRUE(upgraded) << upgraded.error().message;
  EXPECT_TRUE(upgraded->empty()) << upgraded->front().what;
}

TEST_F(ChangeQueueFile, OfAnotherProgramIsRefusedAndLeftAsItIs) {
  exec("CREATE TABLE photos (name TEXT); INSERT INTO photos VALUES ('cat')");
  const auto bytes = content();
  const auto error = refusal();
  EXPECT_EQ(error.code, "queue_unusable");
  EXPECT_THAT(error.message, HasSubstr("another program"));
  EXPECT_TRUE(content() == bytes);
}

TEST_F(ChangeQueueFile, ThatIsADirectoryOrHasNoFolderIsRefused) {
  fs::create_directory(options.file);
  EXPECT_EQ(refusal().code, "queue_unusable");
  options.file = dir / "missing" / "changes.sqlite3";
  EXPECT_EQ(refusal().code, "queue_unusable");
}

/// Runs as a user whom file modes bind (root's children become nobody), and hands back the exit status: 0 when `check`
/// says so.
int as_ordinary_user(const std::function<bool()>& check) {
  const auto child = fork();
  if (child == 0) {
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) _exit(77);
    _exit(check() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

bool refuses(const fs::path& file) {
  const auto opened = QueueStore::open(file);
  if (!opened) fputs((opened.error().message + "\n").c_str(), stderr);
  return !opened && opened.error().code == "queue_unusable" &&
         opened.error().message.find(file.string()) != std::string::npos;
}

TEST_F(ChangeQueueFile, ThatMayOnlyBeReadIsRefusedAndLeftAsItIs) {
  open();
  ASSERT_TRUE(accept({update_of("a")}));
  close();
  const auto bytes = content();
  chmod(options.file.c_str(), 0444);
  chmod(dir.path().c_str(), 0777);
  EXPECT_EQ(as_ordinary_user([&] { return refuses(options.file); }), 0);
  EXPECT_TRUE(content() == bytes);
}

TEST_F(ChangeQueueFile, InAFolderThatMayOnlyBeReadIsRefusedAndLeftAsItIs) {
  open();
  ASSERT_TRUE(accept({update_of("a")}));
  close();
  const auto bytes = content();
  chmod(options.file.c_str(), 0666);
  chmod(dir.path().c_str(), 0555);
  EXPECT_EQ(as_ordinary_user([&] { return refuses(options.file); }), 0);
  EXPECT_EQ(as_ordinary_user([&] { return refuses(dir / "new.sqlite3"); }), 0);
  chmod(dir.path().c_str(), 0700);
  EXPECT_TRUE(content() == bytes);
  open();
  EXPECT_THAT(waiting(run_named("a")), ElementsAre(1));
}

}  // namespace
}  // namespace neptune::sources
