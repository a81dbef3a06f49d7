#include <gmock/gmock.h>

#include "changes/wire.h"
#include "tests/unit/sources/change_queue_fixture.h"

namespace neptune::sources {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

class ChangeBatches : public ChangeQueueTest {};

TEST_F(ChangeBatches, ACreateGoesAlone) {
  open();
  std::vector<Change> request{update_of("a"), change_of(ChangeKind::run_create, run_named("a"), "create"),
                              change_of(ChangeKind::run_create, run_named("a")), update_of("a"), update_of("a")};
  ASSERT_TRUE(accept(request));
  EXPECT_THAT(batches(run_named("a")), ElementsAre(Pair(1, 1), Pair(2, 2), Pair(3, 3), Pair(4, 5)));
  const auto create = batch(run_named("a"), 1);
  EXPECT_EQ(create.kind, OperationKind::create);
  EXPECT_EQ(create.payload_bytes, 6u);
  EXPECT_EQ(bytes_of(loop, *source(run_named("a")), create), "create");
}

TEST_F(ChangeBatches, UpdatesFillABatchUpToItsOperations) {
  open();
  ASSERT_TRUE(accept(std::vector<Change>(7, update_of("a"))));
  EXPECT_THAT(batches(run_named("a"), {3, 1u << 20}), ElementsAre(Pair(1, 3), Pair(4, 6), Pair(7, 7)));
}

TEST_F(ChangeBatches, UpdatesFillABatchUpToItsFramedBytes) {
  open();
  ASSERT_TRUE(accept(std::vector<Change>(5, update_of("a", std::string(100, 'x')))));
  const auto each = wire::framed_size(100);
  EXPECT_THAT(batches(run_named("a"), {1000, 2 * each}), ElementsAre(Pair(1, 2), Pair(3, 4), Pair(5, 5)));
  EXPECT_THAT(batches(run_named("a"), {1000, 2 * each - 1}),
              ElementsAre(Pair(1, 1), Pair(2, 2), Pair(3, 3), Pair(4, 4), Pair(5, 5)));
}

TEST_F(ChangeBatches, AChangeOverTheLimitGoesAllTheSameAlone) {
  open();
  std::vector<Change> request{update_of("a"), update_of("a", std::string(5000, 'x')), update_of("a")};
  ASSERT_TRUE(accept(request));
  EXPECT_THAT(batches(run_named("a"), {1000, 100}), ElementsAre(Pair(1, 1), Pair(2, 2), Pair(3, 3)));
}

TEST_F(ChangeBatches, HoldExactlyTheFramedPayloadsOverManyPieces) {
  open();
  std::vector<Change> request;
  std::string expected;
  for (std::size_t i = 0; i < 300; ++i) {
    // Of every length a frame head can have, and one far larger than a piece.
    const auto size = i == 150 ? 300'000 : i * i % 20'000;
    request.push_back(update_of("a", std::string(size, static_cast<char>(i))));
    wire::append_frame_head(expected, size);
    expected += request.back().payload;
  }
  // Another stream's are between them.
  request.insert(request.begin() + 100, update_of("b"));
  ASSERT_TRUE(accept(request));
  const auto whole = batch(run_named("a"), 0, {1000, 64u << 20});
  EXPECT_EQ(whole.count, 300u);
  EXPECT_EQ(whole.payload_bytes, expected.size());
  auto stream = source(run_named("a"))->open(whole);
  std::string bytes;
  int pieces = 0;
  for (;; ++pieces) {
    auto piece = loop.await(stream->next());
    ASSERT_TRUE(piece) << piece.error().message;
    if (piece->empty()) break;
    bytes += *piece;
  }
  EXPECT_TRUE(bytes == expected);
  EXPECT_GT(pieces, 10);
}

TEST_F(ChangeBatches, AreReadAgainWhenTheirChangesWentMeanwhile) {
  open();
  ASSERT_TRUE(accept(std::vector<Change>(3, update_of("a"))));
  const auto planned = batch(run_named("a"));
  ASSERT_TRUE(settle(run_named("a"), 1));
  auto stream = source(run_named("a"))->open(planned);
  ASSERT_TRUE(loop.await(stream->next()));
  const auto end = loop.await(stream->next());
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code, "change_gone");
  EXPECT_TRUE(end.error().retryable);
}

TEST_F(ChangeBatches, AttributeChangesOfAContainerShareACallAndNeverWithAnotherKind) {
  open();
  const auto model = model_named("FOREST");
  std::vector<Change> request{
      change_of(ChangeKind::model_create, model),         change_of(ChangeKind::model_update, model),
      change_of(ChangeKind::model_update, model),         change_of(ChangeKind::model_version_create, model),
      change_of(ChangeKind::model_version_create, model), change_of(ChangeKind::model_update, model)};
  ASSERT_TRUE(accept(request));
  EXPECT_THAT(batches(model), ElementsAre(Pair(1, 1), Pair(2, 3), Pair(4, 4), Pair(5, 5), Pair(6, 6)));
  const auto shared = batch(model, 1);
  EXPECT_EQ(shared.kind, OperationKind::call);
  EXPECT_EQ(shared.payload_bytes, 4u);
  const auto changes = loop.await(source(model)->changes(shared.first, shared.last));
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 2u);
  EXPECT_EQ(changes->at(1).position, 3);
  EXPECT_EQ(changes->at(1).container, model);
}

TEST_F(ChangeBatches, ManagementGoesOneByOne) {
  open();
  ASSERT_TRUE(accept(std::vector<Change>(3, change_of(ChangeKind::member_add, management_lane()))));
  EXPECT_THAT(batches(management_lane()), ElementsAre(Pair(1, 1), Pair(2, 2), Pair(3, 3)));
}

TEST_F(ChangeBatches, EndBeforeAChangeThatWaitsForOneAcceptedInBetween) {
  open();
  const auto model = model_named("FOREST");
  const ContainerName version{queue_project, "FOREST-1", ContainerKind::model_version};
  auto update = change_of(ChangeKind::model_version_update, version);
  update.after = {model};
  std::vector<Change> request{update, update, change_of(ChangeKind::model_version_create, model), update, update};
  ASSERT_TRUE(accept(request));
  EXPECT_THAT(batches(version), ElementsAre(Pair(1, 2), Pair(4, 5)));
  EXPECT_EQ(batch(version).payload_bytes, 4u);
  ASSERT_TRUE(settle(model, 3));
  EXPECT_THAT(batches(version), ElementsAre(Pair(1, 5)));
}

TEST_F(ChangeBatches, OfAnyKindEndBeforeAChangeForTheProjectThatIsMadeAnewInBetween) {
  open();
  auto create = change_of(ChangeKind::project_create, management_lane());
  create.creates = true;
  const ContainerName metadata{queue_project, {}, ContainerKind::project}, model = model_named("FOREST");
  const ContainerName files{queue_project, "a", ContainerKind::files};
  const std::vector<Change> one_of_each{update_of("a"), change_of(ChangeKind::project_metadata, metadata),
                                        change_of(ChangeKind::model_update, model),
                                        change_of(ChangeKind::run_upload, files)};
  std::vector<Change> request;
  for (int i = 0; i < 2; ++i) request.insert(request.end(), one_of_each.begin(), one_of_each.end());
  request.push_back(change_of(ChangeKind::member_add, management_lane()));
  request.push_back(create);
  request.insert(request.end(), one_of_each.begin(), one_of_each.end());
  ASSERT_TRUE(accept(request));
  EXPECT_THAT(batches(run_named("a")), ElementsAre(Pair(1, 5), Pair(11, 11)));
  EXPECT_THAT(batches(metadata), ElementsAre(Pair(2, 6), Pair(12, 12)));
  EXPECT_THAT(batches(model), ElementsAre(Pair(3, 7), Pair(13, 13)));
  EXPECT_THAT(batches(files), ElementsAre(Pair(4, 8), Pair(14, 14)));
  EXPECT_EQ(batch(run_named("a")).payload_bytes, 2 * wire::framed_size(5));
  ASSERT_TRUE(settle(management_lane(), 10));
  EXPECT_THAT(batches(run_named("a")), ElementsAre(Pair(1, 11)));
  EXPECT_THAT(batches(metadata), ElementsAre(Pair(2, 12)));
}

TEST_F(ChangeBatches, OfFilesEndBeforeAFileOfTheRunThatIsMadeAnewInBetween) {
  open();
  auto create = change_of(ChangeKind::run_create, run_named("a"));
  create.creates = true;
  const auto file = change_of(ChangeKind::run_upload, {queue_project, "a", ContainerKind::files});
  ASSERT_TRUE(accept({file, update_of("a"), file, create, file}));
  EXPECT_THAT(batches(file.container), ElementsAre(Pair(1, 3), Pair(5, 5)));
}

TEST_F(ChangeBatches, OfNothingIsNothing) {
  open();
  ASSERT_TRUE(accept({update_of("a")}));
  auto planned = loop.await(source(run_named("a"))->next_batch(1, {10, 10}));
  ASSERT_TRUE(planned);
  EXPECT_TRUE(std::holds_alternative<std::monostate>(*planned));
}

TEST_F(ChangeBatches, OneOperationIsReadForItsRejection) {
  open();
  std::vector<Change> request{update_of("a", "first"), update_of("a", "second")};
  ASSERT_TRUE(accept(request));
  EXPECT_EQ(loop.await(source(run_named("a"))->changes(2, 2)).value().at(0).payload, "second");
}

}  // namespace
}  // namespace neptune::sources
