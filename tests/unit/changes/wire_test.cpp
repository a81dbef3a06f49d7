#include "changes/wire.h"

#include <gtest/gtest.h>

#include "proto/ingest.pb.h"
#include "proto/ingest_pub.pb.h"

namespace neptune {
namespace {

const ContainerName run{{"ml-team", "classification"}, "r-1"};

std::string snapshot(std::uint64_t step, std::size_t padding) {
  ingest::v1::UpdateRunSnapshot message;
  message.mutable_step()->set_whole(step);
  (*message.mutable_assign())["note"].set_string(std::string(padding, 'x'));
  return message.SerializeAsString();
}

TEST(Wire, FramedOperationsAfterAHeadAreAnUpdateBatch) {
  std::string frames;
  std::uint64_t size = 0;
  for (std::uint64_t step : {1, 2, 3}) {
    const auto operation = snapshot(step, step * 100);
    wire::append_frame_head(frames, operation.size());
    frames += operation;
    size += wire::framed_size(operation.size());
  }
  ASSERT_EQ(frames.size(), size);
  ingest::v1::pub::RunOperation parsed;
  ASSERT_TRUE(parsed.ParseFromString(wire::update_head(run, size) + frames));
  EXPECT_EQ(parsed.project(), "ml-team/classification");
  EXPECT_EQ(parsed.run_id(), "r-1");
  ASSERT_EQ(parsed.update_batch().snapshots_size(), 3);
  EXPECT_EQ(parsed.update_batch().snapshots(2).step().whole(), 3u);
  EXPECT_EQ(parsed.update_batch().snapshots(2).assign().at("note").string().size(), 300u);
}

TEST(Wire, AnUpdateIsToldByItsAttributesAndTheStepOfItsPoints) {
  ingest::v1::UpdateRunSnapshot message;
  message.mutable_step()->set_whole(3);
  (*message.mutable_assign())["b"].set_bool_(true);
  EXPECT_EQ(wire::attributes_of(message.SerializeAsString()), "b") << "what is assigned has no step";
  (*message.mutable_append())["loss"].set_float64(1);
  EXPECT_EQ(wire::attributes_of(message.SerializeAsString()), "b, loss at step 3");
  message.mutable_step()->set_micro(500'000);
  for (const auto* name : {"a", "c", "d"}) (*message.mutable_append())[name].set_float64(1);
  EXPECT_EQ(wire::attributes_of(message.SerializeAsString()), "a, b, c and 2 more at step 3.5");
  EXPECT_EQ(wire::attributes_of("no such thing"), "");
  EXPECT_EQ(wire::attributes_of(""), "");
}

TEST(Wire, AnUpdateIsCutToSomeOfItsValues) {
  ingest::v1::UpdateRunSnapshot message;
  message.mutable_step()->set_whole(3);
  (*message.mutable_assign())["a"].set_bool_(true);
  (*message.mutable_append())["a"].set_float64(1);
  (*message.mutable_append())["loss"].set_float64(2);
  message.mutable_modify_sets()->insert({"tags", {}});
  const auto update = message.SerializeAsString();
  EXPECT_EQ(wire::values_of(update), (std::vector<std::string>{"+a", "+loss", "=a", "~tags"}));
  ingest::v1::UpdateRunSnapshot cut;
  ASSERT_TRUE(cut.ParseFromString(wire::with_values(update, {"+a", "~tags"})));
  EXPECT_EQ(cut.step().whole(), 3u);
  EXPECT_EQ(cut.assign_size(), 0);
  EXPECT_EQ(cut.append_size(), 1);
  EXPECT_EQ(cut.append().at("a").float64(), 1);
  EXPECT_EQ(cut.modify_sets_size(), 1);
  EXPECT_TRUE(wire::values_of("no such thing").empty());
}

TEST(Wire, AFrameCostsItsTagAndItsLength) {
  EXPECT_EQ(wire::framed_size(0), 2u);
  EXPECT_EQ(wire::framed_size(127), 129u);
  EXPECT_EQ(wire::framed_size(128), 131u);
  EXPECT_EQ(wire::framed_size(1u << 21), (1u << 21) + 5u);
}

TEST(Wire, ACreateCarriesTheStoredRun) {
  ingest::v1::Run create;
  create.set_experiment_id("baseline");
  ingest::v1::pub::RunOperation parsed;
  ASSERT_TRUE(parsed.ParseFromString(wire::create_request(run, create.SerializeAsString())));
  EXPECT_EQ(parsed.create().experiment_id(), "baseline");
}

TEST(Wire, ReadsTheParentOfAFork) {
  ingest::v1::Run create;
  EXPECT_EQ(wire::read_fork(run.project, create.SerializeAsString())->has_value(), false);
  create.mutable_fork_point()->set_parent_run_id("root");
  EXPECT_EQ((*wire::read_fork(run.project, create.SerializeAsString()))->parent, (ContainerName{run.project, "root"}));
  create.mutable_fork_point()->set_parent_project("other/place");
  EXPECT_EQ((*wire::read_fork(run.project, create.SerializeAsString()))->parent,
            (ContainerName{{"other", "place"}, "root"}));
}

TEST(Wire, RefusesACreateThatIsNoMessage) {
  EXPECT_FALSE(wire::read_fork(run.project, "\xff\xff\xff"));
}

}  // namespace
}  // namespace neptune
