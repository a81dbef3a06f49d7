#include <gtest/gtest.h>

#include <limits>

#include "changes/file_upload.h"
#include "changes/limits.h"
#include "changes/wire.h"
#include "sources/run_log/run_log.h"
#include "tests/unit/sources/fixture.h"

/// What a run log offers as a Source: counts, batches, bytes, settling.
namespace neptune::sources {
namespace {

using Plan = std::variant<std::monostate, Batch, Oversized>;
constexpr BatchLimits no_limits{std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max()};

struct Row {
  Position position;
  int type;
  std::string bytes;
};

std::vector<Row> rows_of(const std::filesystem::path& log) {
  auto database = sqlite::Database::open(database_of(log), {.access = sqlite::Access::read_only, .immutable = true});
  auto query = database->prepare("SELECT sequence_id, operation_type, operation FROM run_operations ORDER BY 1");
  std::vector<Row> out;
  while (*query->step())
    out.push_back({query->number(0), static_cast<int>(query->number(1)), std::string(query->blob(2))});
  return out;
}

std::string framed(const std::vector<Row>& rows, const Batch& batch) {
  std::string out;
  for (const auto& row : rows) {
    if (row.position < batch.first || row.position > batch.last) continue;
    if (batch.kind == OperationKind::update) wire::append_frame_head(out, row.bytes.size());
    out += row.bytes;
  }
  return out;
}

class RunLogTest : public testing::Test {
 protected:
  // The closed log the writer made by these commands.
  std::shared_ptr<Source> closed_log(const std::vector<std::string>& commands) {
    {
      Writer writer;
      writer("begin " + fixture.log.string() + " create");
      for (const auto& command : commands) writer(command);
      writer("close");
    }
    fixture.start();
    EXPECT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
    return fixture.source(fixture.log);
  }

  Backlog backlog(Source& source, Position after) {
    auto out = fixture.loop.await(source.backlog(after));
    EXPECT_TRUE(out) << out.error().message;
    return out.value_or(Backlog{});
  }

  Plan plan(Source& source, Position after, BatchLimits limits = no_limits) {
    auto out = fixture.loop.await(source.next_batch(after, limits));
    EXPECT_TRUE(out) << out.error().message;
    return out.value_or(Plan{});
  }

  RunLogsFixture fixture;
};

class SampleTest : public RunLogTest, public testing::WithParamInterface<const char*> {};

TEST_P(SampleTest, StreamsEveryRowByteForByte) {
  copy_sample(GetParam(), fixture.folder);
  fixture.start();
  ASSERT_TRUE(fixture.loop.until([&] { return fixture.listener.first_scan; }));
  ASSERT_FALSE(fixture.listener.logs.empty());
  for (const auto& [path, seen] : fixture.listener.logs) {
    ASSERT_TRUE(fixture.reaches(path, SourceState::closed)) << path;
    auto source = fixture.source(path);
    ASSERT_TRUE(source);
    const auto rows = rows_of(path);
    const auto waiting = backlog(*source, 0);
    EXPECT_EQ(waiting.count, rows.size());
    EXPECT_EQ(waiting.last, rows.back().position);
    Position after = 0;
    std::uint64_t bytes = 0;
    for (;;) {
      const auto next = plan(*source, after);
      const auto* batch = std::get_if<Batch>(&next);
      if (!batch) break;
      EXPECT_EQ(bytes_of(fixture.loop, *source, *batch), framed(rows, *batch));
      after = batch->last;
      for (const auto& row : rows)
        if (row.position >= batch->first && row.position <= batch->last) bytes += row.bytes.size();
    }
    EXPECT_EQ(after, rows.back().position);
    EXPECT_EQ(bytes, waiting.bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(All, SampleTest, testing::Values("basic", "fork", "edge"),
                         [](const auto& sample) { return std::string(sample.param); });

TEST_F(RunLogTest, TellsWhoseRunItIsAndWhatWaits) {
  copy_sample("basic", fixture.folder);
  fixture.start();
  const auto log = fixture.folder / "ml-team_classification_basic-1_1795454866157327360";
  ASSERT_TRUE(fixture.reaches(log, SourceState::closed));
  const auto& info = fixture.listener.at(log)->info;
  EXPECT_EQ(info.container, (ContainerName{{"ml-team", "classification"}, "basic-1"}));
  EXPECT_EQ(info.order, "01795454866157327360");
  EXPECT_FALSE(info.read_only);
  const auto waiting = backlog(*fixture.source(log), 0);
  EXPECT_EQ(waiting.count, 532u);
  EXPECT_EQ(waiting.bytes, 35847u + 32u);
  EXPECT_EQ(waiting.uploads, 3u);
  EXPECT_EQ(waiting.next, OperationKind::create);
  EXPECT_TRUE(waiting.oldest_at);
  EXPECT_FALSE(waiting.fork_parent);
}

TEST_F(RunLogTest, TheFilesItAsksForAreASourceBesideItsOperations) {
  copy_sample("basic", fixture.folder);
  fixture.start();
  const auto log = fixture.folder / "ml-team_classification_basic-1_1795454866157327360";
  ASSERT_TRUE(fixture.reaches(log, SourceState::closed));
  const auto files = fixture.source(log)->files();
  ASSERT_TRUE(files);
  EXPECT_EQ(backlog(*files, 0).count, 3u);
  EXPECT_EQ(backlog(*files, 0).bytes, 200'014u);
  EXPECT_EQ(backlog(*files, 1).count, 2u);
  const auto changes = fixture.loop.await(files->changes(2, 3));
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 2u);
  const auto weights = read_upload(changes->at(0).payload);
  ASSERT_TRUE(weights);
  EXPECT_EQ(weights->run, "basic-1");
  EXPECT_TRUE(weights->attribute.empty());
  EXPECT_FALSE(weights->temporary);
  EXPECT_EQ(weights->destination, "basic-1-c416adf3410e9ca3/files_weights-c59af39d82c9bc72/none/weights.bin");
  EXPECT_EQ(weights->seen->size, 200'000u);
  EXPECT_EQ(fixture.loop.await(files->settle(2)), true);
  EXPECT_EQ(backlog(*files, 2).count, 1u);
  EXPECT_EQ(backlog(*fixture.source(log), 0).uploads, 1u);
  EXPECT_EQ(backlog(*fixture.source(log), 0).count, 532u) << "operations stay";
}

TEST_F(RunLogTest, NamesTheParentOfAFork) {
  copy_sample("fork", fixture.folder);
  fixture.start();
  const auto child = fixture.folder / "ml-team_classification_m-child-1_1795452629804501248";
  ASSERT_TRUE(fixture.reaches(child, SourceState::closed));
  const auto source = fixture.source(child);
  EXPECT_EQ(backlog(*source, 0).fork_parent, (ContainerName{{"ml-team", "classification"}, "z-root-1"}));
  EXPECT_FALSE(backlog(*source, 1).fork_parent);
  EXPECT_EQ(backlog(*source, 1).next, OperationKind::update);
}

TEST_F(RunLogTest, ABatchIsOneCreateOrARunOfUpdatesWithinItsLimits) {
  auto source = closed_log({"insert 100 10"});
  const auto create = std::get<Batch>(plan(*source, 0));
  EXPECT_EQ(create.kind, OperationKind::create);
  EXPECT_EQ(create.count, 1u);
  EXPECT_EQ(create.payload_bytes, 6u);
  EXPECT_EQ(bytes_of(fixture.loop, *source, create).size(), 6u);
  const auto few = std::get<Batch>(plan(*source, 1, {7, 1 << 20}));
  EXPECT_EQ(few.kind, OperationKind::update);
  EXPECT_EQ(few.first, 2);
  EXPECT_EQ(few.count, 7u);
  EXPECT_EQ(few.payload_bytes, 7u * 12u);
  EXPECT_EQ(std::get<Batch>(plan(*source, 1, {1000, 12 * 3 + 11})).count, 3u);
  EXPECT_EQ(std::get<Batch>(plan(*source, 1, {1000, 1})).count, 1u) << "at least one operation";
  EXPECT_TRUE(std::holds_alternative<std::monostate>(plan(*source, 101)));
}

TEST_F(RunLogTest, AnUpdateBatchEndsBeforeTheNextCreate) {
  {
    Writer writer;
    writer("begin " + fixture.log.string() + " create");
    writer("insert 5 10");
    writer("close");
    auto database = sqlite::Database::open(database_of(fixture.log), {});
    ASSERT_TRUE(database->exec("UPDATE run_operations SET operation_type = 1 WHERE sequence_id = 4"));
  }
  fixture.start();
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  auto source = fixture.source(fixture.log);
  EXPECT_EQ(std::get<Batch>(plan(*source, 1)).last, 3);
  EXPECT_EQ(std::get<Batch>(plan(*source, 3)).kind, OperationKind::create);
  EXPECT_EQ(std::get<Batch>(plan(*source, 3)).last, 4);
  EXPECT_EQ(std::get<Batch>(plan(*source, 4)).last, 6);
}

TEST_F(RunLogTest, AnOperationTooBigForAnyRequestIsSaidToBe) {
  auto source = closed_log({"insert 1 10", "insert 1 16777200", "insert 1 10", "insert 1 16777000"});
  EXPECT_EQ(std::get<Batch>(plan(*source, 1)).count, 1u);
  const auto oversized = std::get<Oversized>(plan(*source, 2));
  EXPECT_EQ(oversized.position, 3);
  EXPECT_EQ(oversized.bytes, 16777200u);
  const auto largest = std::get<Batch>(plan(*source, 4));
  EXPECT_EQ(largest.count, 1u);
  const ContainerName run{{"ml-team", "classification"}, "run-1"};
  EXPECT_LE(wire::update_head(run, largest.payload_bytes).size() + largest.payload_bytes, limits::request_bytes);
  EXPECT_EQ(bytes_of(fixture.loop, *source, largest).size(), largest.payload_bytes);
}

TEST_F(RunLogTest, ABatchNeverOutgrowsARequest) {
  auto source = closed_log({"insert 40 1000000"});
  Position after = 1;
  int batches = 0;
  for (Plan next = plan(*source, after); std::holds_alternative<Batch>(next); next = plan(*source, after)) {
    const auto batch = std::get<Batch>(next);
    const ContainerName run{{"ml-team", "classification"}, "run-1"};
    EXPECT_LE(wire::update_head(run, batch.payload_bytes).size() + batch.payload_bytes, limits::request_bytes);
    after = batch.last;
    ++batches;
  }
  EXPECT_EQ(after, 41);
  EXPECT_EQ(batches, 3);
}

TEST_F(RunLogTest, StreamsLargeOperationsInPieces) {
  auto source = closed_log({"insert 1 65536", "insert 1 65537", "insert 1 1000000", "insert 3 0"});
  const auto batch = std::get<Batch>(plan(*source, 1));
  EXPECT_EQ(batch.count, 6u);
  std::vector<Row> rows;
  for (const std::size_t size : {65536u, 65537u, 1000000u, 0u, 0u, 0u})
    rows.push_back({static_cast<Position>(rows.size()) + 2, 0, std::string(size, '\0')});
  EXPECT_EQ(bytes_of(fixture.loop, *source, batch), framed(rows, batch));
}

TEST_F(RunLogTest, AStreamWhoseRowsAreGoneFailsInsteadOfEndingEarly) {
  auto source = closed_log({"insert 10 50000"});
  const auto batch = std::get<Batch>(plan(*source, 1));
  auto stream = source->open(batch);
  ASSERT_TRUE(fixture.loop.await(stream->next()));
  ASSERT_EQ(fixture.loop.await(source->settle(8)), true);
  for (;;) {
    auto piece = fixture.loop.await(stream->next());
    if (!piece) {
      EXPECT_EQ(piece.error().code, "run_log_changed");
      EXPECT_TRUE(piece.error().retryable);
      break;
    }
    ASSERT_FALSE(piece->empty()) << "a short stream must not look complete";
  }
}

TEST_F(RunLogTest, ReadsOneOperation) {
  auto source = closed_log({"insert 1 70000"});
  const auto found = fixture.loop.await(source->changes(2, 2));
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().payload, std::string(70000, '\0'));
  EXPECT_EQ(found->front().kind, ChangeKind::run_update);
  auto absent = fixture.loop.await(source->changes(99, 99));
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, "run_log_changed");
}

TEST_F(RunLogTest, CountsStayRightWhileItIsConfirmedSettledAndWritten) {
  {
    Writer writer;
    writer("begin " + fixture.log.string() + " create");
    writer("insert 99 10");
    fixture.start();
    ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::live));
    auto source = fixture.source(fixture.log);
    EXPECT_EQ(backlog(*source, 0).count, 100u);
    EXPECT_EQ(backlog(*source, 40).count, 60u) << "confirmed, not settled";
    ASSERT_EQ(fixture.loop.await(source->settle(40)), true);
    EXPECT_EQ(backlog(*source, 40).count, 60u);
    ASSERT_EQ(fixture.loop.await(source->settle(50)), true);
    EXPECT_EQ(backlog(*source, 50).count, 50u) << "settled before it was asked for";
    writer("insert 7 100");
    const auto more = backlog(*source, 50);
    EXPECT_EQ(more.count, 57u);
    EXPECT_EQ(more.bytes, 50u * 10 + 7u * 100);
    EXPECT_EQ(more.last, 107);
    EXPECT_EQ(backlog(*source, 30).count, 57u) << "back to before: what is there is counted anew";
    ASSERT_EQ(fixture.loop.await(source->settle(107)), true);
    const auto none = backlog(*source, 107);
    EXPECT_EQ(none.count, 0u);
    EXPECT_FALSE(none.next);
    EXPECT_FALSE(none.oldest_at);
  }
}

TEST_F(RunLogTest, CountsLargeLogsInSmallReads) {
  auto source = closed_log({"insert 50000 3"});
  EXPECT_EQ(backlog(*source, 0).count, 50001u);
  EXPECT_EQ(backlog(*source, 25000).count, 25001u);
  EXPECT_EQ(backlog(*source, 50001).count, 0u);
}

TEST_F(RunLogTest, SettlingHoldsTheProducerUpForAThousandRowsAtMostAndGoesOnWhereItWas) {
  const auto source = closed_log({"insert 5000 10"});
  auto& database = std::static_pointer_cast<RunLog>(source)->database();
  std::uint64_t count = 0;
  for (int transactions = 1;; ++transactions) {
    const auto settled = database.settle_some(5001, 0);
    ASSERT_TRUE(settled) << settled.error().message;
    EXPECT_LE(settled->count, 1000u);
    count += settled->count;
    if (!settled->done) continue;
    EXPECT_GE(transactions, 5);
    break;
  }
  EXPECT_EQ(count, 5001u);
}

TEST_F(RunLogTest, SettlingTakesOutWhatIsConfirmedAndTheClientsNotesOnIt) {
  auto source = closed_log({"insert 10 10"});
  ASSERT_TRUE(fixture.loop.await(source->backlog(0)));
  fixture.loop.await(source->release());
  {
    auto database = sqlite::Database::open(database_of(fixture.log), {});
    ASSERT_TRUE(database->exec("INSERT INTO run_operation_submission VALUES(5, 1, 'a'), (9, 1, 'b')"));
  }
  ASSERT_TRUE(fixture.reaches(fixture.log, SourceState::closed));
  source = fixture.source(fixture.log);
  ASSERT_EQ(fixture.loop.await(source->settle(6)), true);
  fixture.loop.await(source->release());
  auto database = sqlite::Database::open(database_of(fixture.log), {});
  EXPECT_EQ(database->number("SELECT min(sequence_id) FROM run_operations"), 7);
  EXPECT_EQ(database->number("SELECT count(*) FROM run_operations"), 5);
  EXPECT_EQ(database->number("SELECT min(sequence_id) FROM run_operation_submission"), 9);
}

TEST_F(RunLogTest, LeavesNoSidecarsBehind) {
  auto source = closed_log({"insert 10 10"});
  ASSERT_TRUE(fixture.loop.await(source->backlog(0)));
  ASSERT_EQ(fixture.loop.await(source->settle(4)), true);
  EXPECT_TRUE(std::filesystem::exists(database_of(fixture.log).string() + "-wal"));
  fixture.loop.await(source->release());
  EXPECT_EQ(content_of(fixture.log).size(), 1u);
  EXPECT_EQ(backlog(*source, 4).count, 7u) << "opens again by itself";
  source.reset();
  fixture.stop();
  EXPECT_EQ(content_of(fixture.log).size(), 1u);
}

TEST_F(RunLogTest, KeepsOnlyAsManyLogsOpenAsAllowed) {
  fixture.options.open_logs = 2;
  for (int i = 0; i < 6; ++i) {
    Writer writer;
    writer("begin " + (fixture.folder / ("w_p_r_" + std::to_string(100 + i))).string() + " create");
    writer("close");
  }
  fixture.start();
  const auto all_closed = [&] {
    std::size_t closed = 0;
    for (const auto& [path, seen] : fixture.listener.logs) closed += seen.info.state == SourceState::closed;
    return closed == 6;
  };
  ASSERT_TRUE(fixture.loop.until(all_closed));
  for (int round = 0; round < 2; ++round)
    for (const auto& [path, seen] : fixture.listener.logs) EXPECT_EQ(backlog(*seen.source, 0).count, 1u);
  std::size_t open = 0;
  for (const auto& [path, seen] : fixture.listener.logs)
    open += std::filesystem::exists(database_of(path).string() + "-shm");
  EXPECT_LE(open, 2u);
  EXPECT_GE(open, 1u);
}

}  // namespace
}  // namespace neptune::sources
