#include "engine/ledger.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/sqlite.h"
#include "tests/integration/support/temp_dir.h"

namespace neptune::engine {
namespace {

const ProjectName project{"ml-team", "classification"};
const ContainerName run{project, "r-1"};
const sources::SourceKey key{"/runs/a", 1, 2, 3};
const WallTime now = from_unix_ms(1'700'000'000'000);

class LedgerTest : public ::testing::Test {
 protected:
  void SetUp() override { reopen(); }
  void reopen() {
    ledger_.reset();
    auto opened = Ledger::open(file());
    ASSERT_TRUE(opened) << opened.error().message;
    ledger_ = std::move(*opened);
  }
  std::filesystem::path file() const { return dir_ / "memory.sqlite3"; }
  LedgerSource source() { return *ledger_->source(key, run); }
  std::int64_t reject(sources::Position position, const std::string& payload) {
    Rejection rejection;
    rejection.at = now;
    rejection.accepted = now - std::chrono::hours(1);
    rejection.source = key.path;
    rejection.position = position;
    rejection.container = run;
    rejection.code = "FIELD_TYPE_CONFLICTING";
    rejection.reason = "no";
    return *ledger_->reject(source().id, rejection, payload);
  }

  /// As version 7 left it, and what `also` puts in; then it is opened again.
  void was_of_version_7(const std::string& also = "") {
    ledger_.reset();
    {
      auto db = sqlite::Database::open(file(), {.access = sqlite::Access::read_write});
      ASSERT_TRUE(db);
      ASSERT_TRUE(db->exec(R"(
        DROP TABLE discarded; DROP TABLE forgotten; DROP INDEX rejected_of_source; DROP INDEX sources_by_file;
        ALTER TABLE uploads DROP COLUMN ctime_ns; ALTER TABLE uploads ADD COLUMN device INTEGER;
        ALTER TABLE uploads ADD COLUMN expires_ms INTEGER; ALTER TABLE counters DROP COLUMN retried;
        DROP TABLE workspaces;
        ALTER TABLE sources DROP COLUMN moved; ALTER TABLE sources DROP COLUMN moved_at_ms;
        ALTER TABLE sources DROP COLUMN moved_to; DROP TABLE imports;
        ALTER TABLE sources DROP COLUMN waiting; DROP TABLE removed;
        PRAGMA user_version = 7;)" +
                           also));
    }
    reopen();
  }

  testing::TempDir dir_;
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(LedgerTest, RemembersAConfirmedPositionAndItsCountsOverARestart) {
  ASSERT_TRUE(ledger_->confirm(source().id, project, 10, 10, now));
  ASSERT_TRUE(ledger_->confirm(source().id, project, 15, 5, now));
  reopen();
  EXPECT_EQ(source().confirmed, 15);
  EXPECT_EQ(source().synced, 15u);
  EXPECT_EQ(ledger_->counts()->at(project).synced, 15u);
}

TEST_F(LedgerTest, KnowsOfLogsThatHaveNotEndedWhatWaitsInThem) {
  const auto id = source().id;
  ASSERT_TRUE(ledger_->note_waiting({{id, 20}}));
  ASSERT_TRUE(ledger_->confirm(id, project, 15, 15, now));
  reopen();
  EXPECT_EQ(source().waiting, 20);
  const auto waits = ledger_->unsynced_logs();
  ASSERT_TRUE(waits);
  ASSERT_EQ(waits->size(), 1u);
  EXPECT_EQ(waits->front().key, key);
  EXPECT_EQ(waits->front().end.container, run);
  EXPECT_EQ(waits->front().end.lost.changes, 5u);
  EXPECT_EQ(waits->front().end.synced, 15u);
  ASSERT_TRUE(ledger_->confirm(id, project, 20, 5, now));
  EXPECT_TRUE(ledger_->unsynced_logs()->empty()) << "all of it is on the server";
  ASSERT_TRUE(ledger_->note_waiting({{id, 30}}));
  Moved moved;
  moved.count = 10;
  moved.at = now;
  ASSERT_TRUE(ledger_->move_out(*ledger_->log_record(key, run), 30, moved));
  EXPECT_TRUE(ledger_->unsynced_logs()->empty()) << "another machine sends it";
  ASSERT_TRUE(ledger_->note_waiting({{id, 40}}));
  ASSERT_TRUE(ledger_->finish(id, {10}, now));
  EXPECT_TRUE(ledger_->unsynced_logs()->empty()) << "that was told";
}

TEST_F(LedgerTest, RemembersWhichRunsWereRemovedUntilTheyAreRestored) {
  ASSERT_TRUE(ledger_->note_removed({{project, "r-1", 7, now, false}, {project, "r-2", 7, now, false}}));
  ASSERT_TRUE(ledger_->note_removed({{project, "r-1", 9, now, true}}));
  reopen();
  const auto removed = ledger_->removed();
  ASSERT_TRUE(removed);
  ASSERT_EQ(removed->size(), 2u);
  EXPECT_EQ(removed->front().run, "r-1");
  EXPECT_EQ(removed->front().change, 9);
  EXPECT_TRUE(removed->front().for_good);
  EXPECT_EQ(removed->front().at, now);
  ASSERT_TRUE(ledger_->note_restored(project, {"r-2"}));
  EXPECT_EQ(ledger_->removed()->size(), 1u);
}

TEST_F(LedgerTest, KnowsWhatIsKeptOfTheRejectedAndWhatWasDiscardedByWhom) {
  const sources::SourceKey of_queue{"change queue: ml-team/classification/run r-1", 7, 0, 0};
  const auto queued = ledger_->source(of_queue, run)->id;
  Rejection rejection;
  rejection.at = now;
  rejection.source = of_queue.path;
  rejection.container = run;
  rejection.code = "FIELD_TYPE_CONFLICTING";
  rejection.reason = "no";
  std::vector<std::int64_t> ids;
  for (const sources::Position position : {3, 5}) {
    rejection.position = position;
    ids.push_back(*ledger_->reject(queued, rejection, "bytes"));
  }
  EXPECT_EQ(ledger_->source(of_queue, run)->kept, 2u);
  EXPECT_EQ(ledger_->discard(ids[1], "jackie", now)->position, 5);
  EXPECT_FALSE(ledger_->discard(ids[1], "jackie", now)) << "it is gone";
  reopen();
  EXPECT_EQ(ledger_->source(of_queue, run)->kept, 1u);
  EXPECT_EQ(ledger_->source(of_queue, run)->rejected, 2u);
  EXPECT_EQ(ledger_->counts()->at(project).kept, 1u);
  EXPECT_EQ(ledger_->counts()->at(project).rejected, 2u);
  const auto discarded = *ledger_->next_discarded(7, 4);
  ASSERT_TRUE(discarded);
  EXPECT_EQ(discarded->position, 5);
  EXPECT_EQ(discarded->rejection, ids[1]);
  EXPECT_EQ(discarded->by, "jackie");
  EXPECT_EQ(discarded->reason, "no");
  EXPECT_EQ(discarded->at, now);
  EXPECT_FALSE(*ledger_->next_discarded(8, 0)) << "of another queue";
  EXPECT_EQ(*ledger_->forgotten(7), 0);
  ASSERT_TRUE(ledger_->finish(queued, {}, now));
  EXPECT_EQ(ledger_->finished()->at(0).kept, 1u);
}

TEST_F(LedgerTest, OfAQueueOfWhichVersionSevenDiscardedSomethingItSaysThatItIsNotKnown) {
  was_of_version_7(R"(
      INSERT INTO sources (path, device, inode, born_ms, project, kind, container, confirmed, rejected) VALUES
        ('change queue: a', 7, 0, 0, 'ml-team/lab', 0, 'a', 9, 1), ('change queue: b', 8, 0, 0, 'ml-team/lab', 0, 'b', 4, 1);
      INSERT INTO rejected (at_ms, source, position, project, kind, container, change, code, reason, payload, queue)
        VALUES (0, 'change queue: b', 4, 'ml-team/lab', 0, 'b', 12, 'c', 'r', x'00', 8);)");
  EXPECT_EQ(*ledger_->forgotten(7), 9);
  EXPECT_EQ(*ledger_->forgotten(8), 0) << "what was rejected of it is kept";
}

TEST_F(LedgerTest, RemembersHowFarAFileIsUntilItIsConfirmedAndIsItsOwnersAlone) {
  const Ledger::UploadOf file{{source().id, 0}, 3};
  server::UploadProgress progress;
  progress.provider = server::Provider::aws;
  progress.file = {~std::uint64_t{0}, 2, 3, -4};
  progress.session = "upload";
  progress.part_size = 5;
  progress.part_urls = {"http://a", "http://b"};
  ASSERT_TRUE(ledger_->save_upload(file, progress));
  ASSERT_TRUE(ledger_->add_part(file, {2, "tag"}));
  ASSERT_TRUE(ledger_->add_part(file, {2, "tag"}));
  reopen();
  const auto kept = ledger_->upload(file);
  ASSERT_TRUE(kept && *kept);
  EXPECT_EQ((*kept)->provider, server::Provider::aws);
  EXPECT_TRUE((*kept)->file.is_untouched(progress.file));
  EXPECT_EQ((*kept)->session, "upload");
  EXPECT_EQ((*kept)->part_urls, progress.part_urls);
  ASSERT_EQ((*kept)->finished.size(), 1u);
  EXPECT_EQ((*kept)->finished[0].tag, "tag");
  EXPECT_EQ(std::filesystem::status(dir_ / "memory.sqlite3").permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(ledger_->uploads(file.of, 1, 9)->begun, std::set<sources::Position>{3});
  const server::FileIdentity sent{1, 2, 3, 4};
  ASSERT_TRUE(ledger_->uploads_done({{file, sent}}, true));
  EXPECT_EQ(ledger_->uploads(file.of, 1, 9)->done, (std::map<sources::Position, server::FileIdentity>{{3, sent}}));
  EXPECT_FALSE(*ledger_->upload(file));
  ASSERT_TRUE(ledger_->confirm(source().id, project, 3, 1, now));
  EXPECT_TRUE(ledger_->uploads(file.of, 1, 9)->done.empty());
}

TEST_F(LedgerTest, ASourceThatWasRenamedStaysTheSame) {
  ASSERT_TRUE(ledger_->confirm(source().id, project, 10, 10, now));
  const auto rejection = reject(7, "x");
  auto renamed = key;
  renamed.path = "/runs/b";
  ASSERT_TRUE(ledger_->move(source().id, renamed));
  EXPECT_EQ(ledger_->source(renamed, run)->confirmed, 10);
  EXPECT_EQ(ledger_->container_of(renamed).value(), run);
  EXPECT_EQ(ledger_->rejection(rejection)->source, "/runs/b");
  EXPECT_FALSE(ledger_->container_of(key).value());
}

TEST_F(LedgerTest, TakesAnotherFileAtTheSamePathForAnotherSource) {
  ASSERT_TRUE(ledger_->confirm(source().id, project, 10, 10, now));
  auto born_later = key;
  born_later.born_ms = 4;
  EXPECT_EQ(ledger_->source(born_later, run)->confirmed, 0);
  auto other_inode = key;
  other_inode.inode = 99;
  EXPECT_EQ(ledger_->source(other_inode, run)->confirmed, 0);
}

TEST_F(LedgerTest, WhatWasLostAndCouldNotBeCountedStaysSoUntilItIsGivenUp) {
  ASSERT_TRUE(ledger_->finish(source().id, {1, true}, now));
  reopen();
  const auto lost = *ledger_->finished();
  ASSERT_EQ(lost.size(), 1u);
  EXPECT_EQ(lost.front().lost.changes, 1u);
  EXPECT_TRUE(lost.front().lost.uncounted);
  ASSERT_TRUE(ledger_->give_up(lost));
  EXPECT_EQ(ledger_->finished()->front().lost.changes, 0u);
  EXPECT_EQ(ledger_->finished()->front().rejected, 1u);
}

TEST_F(LedgerTest, AFinishedSourceIsToldOfAndItsFileMayComeAgainAfresh) {
  ASSERT_TRUE(ledger_->confirm(source().id, project, 10, 10, now));
  ASSERT_TRUE(ledger_->finish(source().id, {3}, now));
  reopen();
  ASSERT_EQ(ledger_->finished()->size(), 1u);
  EXPECT_EQ(ledger_->finished()->front().lost.changes, 3u);
  EXPECT_FALSE(ledger_->finished()->front().lost.uncounted);
  EXPECT_EQ(ledger_->finished()->front().finished_at, now);
  EXPECT_EQ(ledger_->finished()->front().synced, 10u);
  EXPECT_EQ(source().confirmed, 0);
}

TEST_F(LedgerTest, ADirectoryThatWasAwayGoesOnWhereItWasAndWithWhatWasIntended) {
  const auto id = ledger_->directory(key, run)->id;
  ASSERT_TRUE(ledger_->confirm(id, project, 10, 10, now));
  ASSERT_TRUE(ledger_->intend({id, 0}, 11, 12, "next two"));
  ASSERT_TRUE(ledger_->finish(id, {3}, now, true));
  reopen();
  EXPECT_EQ(ledger_->container_of(key).value(), run);
  const auto again = ledger_->directory(key, run);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id, id);
  EXPECT_EQ(again->confirmed, 10);
  EXPECT_EQ(again->synced, 10u);
  EXPECT_EQ(*ledger_->intent({id, 0}, 11), "next two");
  EXPECT_TRUE(ledger_->finished()->empty());
}

TEST_F(LedgerTest, ADirectoryIsTheSameOnAnotherDeviceOrAtAnotherPathButNotOnBoth) {
  const auto id = ledger_->directory(key, run)->id;
  auto mounted_anew = key;
  mounted_anew.device = 99;
  EXPECT_EQ(ledger_->directory(mounted_anew, run)->id, id);
  auto moved = mounted_anew;
  moved.path = "/runs/b";
  EXPECT_EQ(ledger_->directory(moved, run)->id, id);
  EXPECT_NE(ledger_->directory(key, run)->id, id) << "another file system has the same numbers";
  EXPECT_NE(ledger_->directory(moved, {project, "r-2"})->id, id);
}

TEST_F(LedgerTest, WithoutATimeOfBirthADirectoryIsKnownByItsPathOnly) {
  auto unborn = key;
  unborn.born_ms = 0;
  const auto id = ledger_->directory(unborn, run)->id;
  EXPECT_EQ(ledger_->directory(unborn, run)->id, id);
  unborn.path = "/runs/b";
  EXPECT_NE(ledger_->directory(unborn, run)->id, id);
}

TEST_F(LedgerTest, WhatWasIntendedOfASourceGoesWithTheLastThatIsKnownOfIt) {
  const auto intended = [this](std::int64_t id) { return ledger_->intent({id, 0}, 1).value().has_value(); };
  const auto finish = [this](const std::string& path, WallTime at, bool may_come_back) {
    const auto id = ledger_->directory({path, 1, 2, 3}, {project, path})->id;
    EXPECT_TRUE(ledger_->intend({id, 0}, 1, 1, "call"));
    EXPECT_TRUE(ledger_->finish(id, {}, at, may_come_back));
    return id;
  };
  EXPECT_FALSE(intended(finish("/runs/for-good", now, false)));
  const auto oldest = finish("/runs/oldest", now - std::chrono::hours(1), true);
  EXPECT_TRUE(intended(oldest));
  auto db = sqlite::Database::open(file(), {.access = sqlite::Access::read_write});
  ASSERT_TRUE(
      db->exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO "
               "sources (path, device, inode, born_ms, project, kind, container, finished_at_ms) SELECT "
               "'/many/' || i, 1, 2, 3, 'ml-team/lab', 0, 'many', 1700000000000 FROM n"));
  finish("/runs/newest", now, true);
  EXPECT_FALSE(intended(oldest));
}

TEST_F(LedgerTest, KeepsARejectedChangeWithItsBytesAndConfirmsItsPositionWithIt) {
  const std::string payload("\0\xff\x01 bytes", 9);
  const auto id = reject(7, payload);
  reopen();
  EXPECT_EQ(*ledger_->payload(id), payload);
  EXPECT_EQ(ledger_->rejection(id)->code, "FIELD_TYPE_CONFLICTING");
  EXPECT_EQ(source().confirmed, 7);
  EXPECT_EQ(source().rejected, 1u);
  EXPECT_EQ(ledger_->counts()->at(project).rejected, 1u);
}

TEST_F(LedgerTest, ListsRejectionsNewestFirstInPages) {
  for (sources::Position i = 1; i <= 5; ++i) reject(i, "x");
  const auto page = *ledger_->rejections(0, 2);
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0].position, 5);
  const auto next = *ledger_->rejections(page[1].id, 2);
  EXPECT_EQ(next[0].position, 3);
}

TEST_F(LedgerTest, ARetriedRejectionThatWasStoredCountsAsSynced) {
  const auto id = reject(7, "x");
  ASSERT_TRUE(ledger_->mark_for_retry(id));
  EXPECT_EQ(ledger_->containers_to_retry()->front(), run);
  EXPECT_EQ(ledger_->to_retry(run)->size(), 1u);
  const auto sources = ledger_->resolve(project, {id});
  ASSERT_TRUE(sources);
  EXPECT_EQ(*sources, std::vector{std::string(key.path)});
  EXPECT_FALSE(ledger_->rejection(id));
  EXPECT_EQ(source().rejected, 0u);
  EXPECT_EQ(source().synced, 1u);
  EXPECT_EQ(ledger_->counts()->at(project).synced, 1u);
  reopen();
  EXPECT_EQ(ledger_->counts()->at(project).rejected, 0u);
  EXPECT_EQ(ledger_->counts()->at(project).retried, 1u);
}

TEST_F(LedgerTest, WhatWasLostWithASourceCountsAsRejectedOnceItIsGivenUp) {
  ASSERT_TRUE(ledger_->finish(source().id, {3}, now));
  ASSERT_TRUE(ledger_->give_up(*ledger_->finished()));
  reopen();
  EXPECT_EQ(ledger_->finished()->front().lost.changes, 0u);
  EXPECT_EQ(ledger_->finished()->front().rejected, 3u);
  EXPECT_EQ(ledger_->finished()->front().kept, 0u);
  EXPECT_EQ(ledger_->counts()->at(project).rejected, 3u);
}

TEST_F(LedgerTest, ResolvesExactlyTheRejectionsThatWereStored) {
  const auto first = reject(7, "x");
  const auto second = reject(8, "y");
  ASSERT_TRUE(ledger_->mark_for_retry(second));
  ASSERT_TRUE(ledger_->mark_for_retry(first));
  ASSERT_TRUE(ledger_->resolve(project, {second}));
  EXPECT_TRUE(ledger_->rejection(first));
}

TEST_F(LedgerTest, ARetriedRejectionThatIsRefusedAgainStaysWithItsNewReason) {
  const auto id = reject(7, "x");
  ASSERT_TRUE(ledger_->mark_for_retry(id));
  ASSERT_TRUE(ledger_->reject_again(id, "RUN_NOT_FOUND", "still no", "1,3", now));
  EXPECT_TRUE(ledger_->to_retry(run)->empty());
  EXPECT_EQ(ledger_->rejection(id)->reason, "still no");
  EXPECT_EQ(ledger_->rejection(id)->part, "1,3");
  EXPECT_EQ(ledger_->rejection(id)->accepted, now - std::chrono::hours(1)) << "its points keep their time";
}

TEST_F(LedgerTest, AnUnknownRejectionIsAnErrorThatSaysWhereToLook) {
  EXPECT_EQ(ledger_->payload(42).error().code, "rejection_not_found");
  EXPECT_EQ(ledger_->discard(42, "jackie", now).error().code, "rejection_not_found");
  EXPECT_EQ(ledger_->mark_for_retry(42).error().code, "rejection_not_found");
}

TEST_F(LedgerTest, KeepsModesUntilTheScopeIsNormalAgain) {
  KeptMode mode;
  mode.scope = Scope::of("ml-team");
  mode.read_only = true;
  mode.reason = "over quota";
  mode.since = now;
  ASSERT_TRUE(ledger_->keep(mode));
  mode.held_by = "uid 0";
  ASSERT_TRUE(ledger_->keep(mode));
  reopen();
  ASSERT_EQ(ledger_->modes()->size(), 1u);
  EXPECT_EQ(ledger_->modes()->front().reason, "over quota");
  EXPECT_EQ(ledger_->modes()->front().held_by, "uid 0");
  EXPECT_EQ(ledger_->modes()->front().since, now);
  mode.read_only = false;
  mode.held_by.clear();
  ASSERT_TRUE(ledger_->keep(mode));
  EXPECT_TRUE(ledger_->modes()->empty());
}

TEST_F(LedgerTest, AStreamOfTheChangeQueueGoesOnWithItsRowWhenItComesBack) {
  const sources::SourceKey queued{"change queue: ml-team/lab/r-1", 0, 0, 0};
  const auto id = ledger_->source(queued, run)->id;
  ASSERT_TRUE(ledger_->confirm(id, project, 7, 7, now));
  ASSERT_TRUE(ledger_->finish(id, {}, now));
  const auto again = ledger_->source(queued, run);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id, id);
  EXPECT_EQ(again->confirmed, 7);
  EXPECT_TRUE(ledger_->finished()->empty());
}

TEST_F(LedgerTest, KeepsContainersOfEveryKindApart) {
  const ContainerName model{project, "r-1", ContainerKind::model};
  const ContainerName invitations{{"ml-team", ""}, "", ContainerKind::management};
  for (const auto& container : {run, model, invitations}) {
    Rejection rejection;
    rejection.container = container;
    rejection.change = ChangeKind::model_update;
    const auto id = ledger_->source({"change queue: " + container.label(), 0, 0, 0}, container)->id;
    const auto rejected = ledger_->reject(id, rejection, "{}");
    ASSERT_TRUE(rejected);
    EXPECT_EQ(ledger_->rejection(*rejected)->container, container);
    EXPECT_EQ(ledger_->rejection(*rejected)->change, ChangeKind::model_update);
    ASSERT_TRUE(ledger_->mark_for_retry(*rejected));
    EXPECT_EQ(ledger_->to_retry(container)->size(), 1u);
  }
  EXPECT_EQ(ledger_->containers_to_retry()->size(), 3u);
}

TEST_F(LedgerTest, AnIntentSpeaksOfItsChangesUntilTheyAreConfirmedOrANewerOneOverlapsIt) {
  const Ledger::IntentOf of{source().id, 0};
  ASSERT_TRUE(ledger_->intend(of, 1, 10, "first ten"));
  ASSERT_TRUE(ledger_->intend(of, 11, 12, "next two"));
  reopen();
  EXPECT_EQ(*ledger_->intent(of, 1), "first ten");
  EXPECT_EQ(*ledger_->intent(of, 7), "first ten") << "some of them may be on record already";
  EXPECT_EQ(*ledger_->intent(of, 11), "next two");
  ASSERT_TRUE(ledger_->confirm(of.source, project, 10, 10, now));
  EXPECT_EQ(*ledger_->intent(of, 11), "next two");
  ASSERT_TRUE(ledger_->intend(of, 11, 11, "one of them"));
  EXPECT_EQ(*ledger_->intent(of, 12), std::nullopt) << "they were not sent together after all";
  reject(11, "x");
  EXPECT_EQ(*ledger_->intent(of, 11), std::nullopt);
}

TEST_F(LedgerTest, AnIntentOfARejectedChangeGoesWithTheOutcomeOfItsRetry) {
  const Ledger::IntentOf first{0, reject(7, "x")}, second{0, reject(8, "y")};
  ASSERT_TRUE(ledger_->intend(first, 1, 1, "call"));
  ASSERT_TRUE(ledger_->intend(second, 2, 2, "call"));
  ASSERT_TRUE(ledger_->reject_again(first.rejection, "CODE", "still no", "", now));
  EXPECT_EQ(*ledger_->intent(first, 1), std::nullopt);
  EXPECT_EQ(*ledger_->intent(second, 2), "call");
  ASSERT_TRUE(ledger_->resolve(project, {second.rejection}));
  EXPECT_EQ(*ledger_->intent(second, 2), std::nullopt);
}

TEST_F(LedgerTest, ReadsWhatAnOlderVersionKept) {
  ledger_.reset();
  std::filesystem::remove(file());
  {
    auto db = sqlite::Database::open(file(), {.access = sqlite::Access::create});
    ASSERT_TRUE(db->exec(R"(
CREATE TABLE sources (
  id INTEGER PRIMARY KEY, path TEXT NOT NULL, device INTEGER NOT NULL, inode INTEGER NOT NULL, born_ms INTEGER NOT NULL,
  project TEXT NOT NULL, run TEXT NOT NULL, confirmed INTEGER NOT NULL DEFAULT 0,
  synced INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0, synced_at_ms INTEGER, finished_at_ms INTEGER);
CREATE INDEX sources_by_path ON sources (path);
CREATE TABLE counters (project TEXT PRIMARY KEY, synced INTEGER NOT NULL DEFAULT 0, rejected INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE rejected (
  id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, source TEXT NOT NULL, position INTEGER NOT NULL,
  project TEXT NOT NULL, run TEXT NOT NULL, create_ INTEGER NOT NULL, code TEXT NOT NULL, reason TEXT NOT NULL,
  retry INTEGER NOT NULL DEFAULT 0, payload BLOB NOT NULL);
CREATE INDEX rejected_retry ON rejected (project, run, id) WHERE retry = 1;
CREATE TABLE modes (
  scope TEXT PRIMARY KEY, read_only INTEGER NOT NULL, reason TEXT NOT NULL, since_ms INTEGER, held_by TEXT NOT NULL,
  held_since_ms INTEGER) WITHOUT ROWID;
INSERT INTO sources VALUES (1, '/runs/a', 1, 2, 3, 'ml-team/lab', 'r-1', 5, 4, 1, 1000, NULL);
INSERT INTO rejected VALUES (1, 1000, '/runs/a', 5, 'ml-team/lab', 'r-1', 1, 'CODE', 'no', 1, x'01');
PRAGMA user_version = 1)"));
  }
  reopen();
  const ContainerName old{{"ml-team", "lab"}, "r-1"};
  EXPECT_EQ(ledger_->source(key, old)->confirmed, 5);
  const auto rejection = ledger_->rejection(1);
  ASSERT_TRUE(rejection);
  EXPECT_EQ(rejection->container, old);
  EXPECT_EQ(rejection->change, ChangeKind::run_create);
  EXPECT_EQ(rejection->uid, std::nullopt);
  EXPECT_EQ(ledger_->to_retry(old)->size(), 1u);
  EXPECT_EQ(*ledger_->intent({1, 0}, 6), std::nullopt);
  EXPECT_EQ(rejection->part, "");
  EXPECT_EQ(rejection->accepted, from_unix_ms(1000));
}

TEST_F(LedgerTest, AFileWhoseUploadAnOlderVersionBeganIsSentFromItsBeginning) {
  const Ledger::UploadOf file{{source().id, 0}, 3};
  ASSERT_TRUE(ledger_->save_upload(file, {.file = {2, 3, 4, 5}, .session = "s", .part_size = 5}));
  was_of_version_7();
  const auto begun = ledger_->upload(file);
  ASSERT_TRUE(begun && *begun);
  EXPECT_EQ((*begun)->session, "s");
  EXPECT_FALSE((*begun)->file.is_untouched({2, 3, 4, 5}));
}

TEST_F(LedgerTest, KeepsWhoseAWorkspaceIsAsItsServerToldLast) {
  was_of_version_7();
  EXPECT_TRUE(ledger_->workspaces()->empty());
  const auto keep = [this](const char* server, WorkspaceType type) {
    return ledger_->keep(KeptWorkspace{server, "ml-team", type}).has_value();
  };
  ASSERT_TRUE(keep("https://a", WorkspaceType::individual));
  ASSERT_TRUE(keep("https://b", WorkspaceType::individual));
  ASSERT_TRUE(keep("https://a", WorkspaceType::team));
  reopen();
  const auto kept = *ledger_->workspaces();
  ASSERT_EQ(kept.size(), 2u);
  EXPECT_EQ(kept[0].server, "https://a");
  EXPECT_EQ(kept[0].name, "ml-team");
  EXPECT_EQ(kept[0].type, WorkspaceType::team);
  EXPECT_EQ(kept[1].type, WorkspaceType::individual);
}

TEST_F(LedgerTest, WhatWasMovedOutIsSentFromHereNoMoreAndIsNoneOfWhatWasSynced) {
  const auto id = source().id;
  ASSERT_TRUE(ledger_->confirm(id, run.project, 4, 4, now));
  ASSERT_TRUE(ledger_->intend({id, 0}, 5, 6, "doubt"));
  const auto record = ledger_->log_record(key, run);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->confirmed, 4);
  EXPECT_TRUE(record->in_doubt);
  EXPECT_EQ(ledger_->directory_record(key)->ids, record->ids);
  ASSERT_TRUE(ledger_->move_out(*record, 9, {5, now, "stick.jsonl"}));
  reopen();
  const auto after = source();
  EXPECT_EQ(after.confirmed, 9);
  EXPECT_EQ(after.synced, 4u);
  EXPECT_EQ(after.moved.count, 5u);
  EXPECT_EQ(after.moved.to, "stick.jsonl");
  EXPECT_EQ(after.moved.at, now);
  EXPECT_FALSE(ledger_->log_record(key, run)->in_doubt);
  EXPECT_TRUE(ledger_->log_record({.path = "/never/seen"}, run)->ids.empty());
  ASSERT_TRUE(ledger_->move_out(*record, 11, {2, now + std::chrono::hours(1), "other.jsonl"}));
  ASSERT_TRUE(ledger_->move_out(*record, 12, {1, now + std::chrono::hours(1), "stick.jsonl"}));
  EXPECT_EQ(source().moved.count, 8u);
  EXPECT_EQ(source().moved.to, "stick.jsonl, other.jsonl") << "each of them is to be brought back";
  EXPECT_EQ(source().moved.at, now + std::chrono::hours(1));
}

TEST_F(LedgerTest, WhatIsBroughtBackIsMovedNoMore) {
  const auto id = source().id;
  ASSERT_TRUE(ledger_->move_out({.ids = {id}}, 9, {9, now, "stick.jsonl"}));
  ASSERT_TRUE(ledger_->note_import("abc", {5, ""}, now, {.key = key, .files = true, .count = 5}));
  EXPECT_EQ(source().moved.count, 9u) << "its files are others";
  ASSERT_TRUE(ledger_->note_import("abc", {5, ""}, now, {.key = key, .files = false, .count = 5}));
  EXPECT_EQ(source().moved.count, 4u);
  ASSERT_TRUE(ledger_->note_import("abc", {9, ""}, now, {.key = key, .files = false, .count = 5}));
  EXPECT_EQ(source().moved.count, 0u);
}

TEST_F(LedgerTest, ForgetsUpToANumberOfAQueueAndNeverLess) {
  ASSERT_TRUE(ledger_->forget(7, 9));
  ASSERT_TRUE(ledger_->forget(7, 4));
  EXPECT_EQ(*ledger_->forgotten(7), 9);
}

TEST_F(LedgerTest, KnowsUpToWhereALogOfAnotherMachineWasTaken) {
  EXPECT_EQ(ledger_->import_of("abc")->upto, 0);
  ASSERT_TRUE(ledger_->note_import("abc", {7, "/runs/imported/abc/building"}, now));
  reopen();
  EXPECT_EQ(ledger_->import_of("abc")->building, "/runs/imported/abc/building");
  ASSERT_TRUE(ledger_->note_import("abc", {9, ""}, now));
  EXPECT_EQ(ledger_->import_of("abc")->upto, 9);
  EXPECT_EQ(ledger_->import_of("abc")->building, "");
}

TEST_F(LedgerTest, FindsWhatWasRejectedOfOneChangeQueueByItsNumber) {
  const auto reject = [this](std::uint64_t queue, sources::Position position, const std::string& part) {
    const sources::SourceKey stream{"change queue: ml-team/lab run r", queue, 0, 0, false};
    Rejection one;
    one.source = stream.path;
    one.position = position;
    one.container = run;
    one.code = "CODE";
    one.part = part;
    return ledger_->reject(ledger_->source(stream, run)->id, one, "bytes").value();
  };
  const auto first = reject(11, 5, "");
  const auto other = reject(12, 5, R"({"loss":[1]})");
  EXPECT_EQ((*ledger_->next_rejection(11, 1))->id, first);
  EXPECT_EQ((*ledger_->next_rejection(12, 5))->id, other);
  EXPECT_EQ((*ledger_->next_rejection(12, 5))->part, R"({"loss":[1]})");
  EXPECT_FALSE(*ledger_->next_rejection(12, 6));
  EXPECT_FALSE(*ledger_->next_rejection(0, 1));
}

TEST_F(LedgerTest, RefusesAFileThatIsNoDatabaseAndOneOfANewerVersion) {
  ledger_.reset();
  std::filesystem::remove(file());
  std::ofstream(file()) << "this is certainly not a database, and long enough to be looked at as one";
  const auto refused = Ledger::open(file()).error();
  EXPECT_EQ(refused.code, "state_unusable");
  for (const char* said : {"neptune-sync queue check --repair", "rejected changes, holds and counts are in it"})
    EXPECT_NE(refused.message.find(said), std::string::npos) << refused.message;
  EXPECT_EQ(refused.message.find("remove it"), std::string::npos) << refused.message;
  std::filesystem::remove(file());
  {
    auto db = sqlite::Database::open(file(), {.access = sqlite::Access::create});
    ASSERT_TRUE(db->exec("PRAGMA user_version = 99"));
  }
  EXPECT_EQ(Ledger::open(file()).error().code, "state_too_new");
}

TEST_F(LedgerTest, IsNotBegunAnewWhereItsFileIsEmptyOrGoneAndItsLogIsNot) {
  ledger_.reset();
  const std::filesystem::path log = file().string() + "-wal";
  for (const bool gone : {false, true}) {
    std::filesystem::remove(file());
    if (!gone) std::ofstream(file()).flush();
    std::ofstream(log) << "what was committed last";
    const auto refused = Ledger::open(file());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "state_unusable");
    EXPECT_NE(refused.error().message.find(gone ? "the file is missing" : "the file is empty"), std::string::npos)
        << refused.error().message;
    EXPECT_EQ(std::filesystem::file_size(log), 23u);
    EXPECT_EQ(std::filesystem::exists(file()), !gone);
  }
}

TEST_F(LedgerTest, WhatOneAnswerStoredAndRefusedIsOnRecordTogetherOrNotAtAll) {
  RejectedChange refused;
  refused.rejection.at = now;
  refused.rejection.source = key.path;
  refused.rejection.position = 2;
  refused.rejection.container = run;
  refused.rejection.code = "CODE";
  refused.payload = "x";
  const auto id = source().id;
  {
    auto other = sqlite::Database::open(file(), {.access = sqlite::Access::create});
    ASSERT_TRUE(
        other->exec("CREATE TRIGGER fails BEFORE UPDATE OF synced ON sources BEGIN SELECT RAISE(ABORT, 'no'); END"));
  }
  EXPECT_FALSE(ledger_->settle(id, project, 3, 2, {refused}, now));
  reopen();
  EXPECT_EQ(source().confirmed, 0);
  EXPECT_EQ(*ledger_->rejected(), 0u);
  EXPECT_TRUE(ledger_->counts()->empty());
  {
    auto other = sqlite::Database::open(file(), {.access = sqlite::Access::create});
    ASSERT_TRUE(other->exec("DROP TRIGGER fails"));
  }
  const auto ids = ledger_->settle(id, project, 3, 2, {refused}, now);
  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->size(), 1u);
  reopen();
  EXPECT_EQ(source().confirmed, 3);
  EXPECT_EQ(source().synced, 2u);
  EXPECT_EQ(source().rejected, 1u);
  EXPECT_EQ(ledger_->rejection(ids->front())->position, 2);
  EXPECT_EQ(ledger_->counts()->at(project).synced, 2u);
}

TEST_F(LedgerTest, SeveralChangesAreRejectedAsAWhole) {
  std::vector<RejectedChange> changes;
  for (sources::Position position = 1; position <= 3; ++position) {
    RejectedChange change;
    change.rejection.at = now;
    change.rejection.source = key.path;
    change.rejection.position = position;
    change.rejection.container = run;
    change.rejection.code = "discarded";
    change.payload = "x";
    changes.push_back(std::move(change));
  }
  ASSERT_TRUE(ledger_->reject_all(source().id, changes));
  reopen();
  EXPECT_EQ(source().confirmed, 3);
  EXPECT_EQ(source().rejected, 3u);
  EXPECT_EQ(ledger_->counts()->at(project).rejected, 3u);
}

}  // namespace
}  // namespace neptune::engine
