#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/unit/sandbox/served.h"

namespace neptune::sandbox {
namespace {

class Ingest : public ::testing::Test {
 protected:
  Ingest() { served_.ingest(create("run")); }
  Counts send(UpdateRunSnapshot snapshot) { return served_.ingest(update("run", {std::move(snapshot)})); }
  Counts set(const std::string& path, const ingest::v1::Value& value) { return send(assign(path, value)); }

  Served served_;
};

Counts only(IngestCode code, std::int64_t count = 1) {
  return {{code, count}};
}

TEST_F(Ingest, IsNotProcessedAtOnce) {
  served_.control(R"({"processing": "paused"})");
  const auto id = Served::id_of(served_.submit(update("run", {points(0, {{"m", 1}})})));
  EXPECT_TRUE(served_.check(id).pending);
  EXPECT_TRUE(served_.run("run").at("series").as_object().empty());
  served_.control(R"({"processing": "running"})");
  ASSERT_TRUE(served_.sandbox().wait_for([](const auto& s) { return s.at("unprocessed").as_int64() == 0; }).first);
  EXPECT_FALSE(served_.check(id).pending);
}

TEST_F(Ingest, PausesOneProjectAlone) {
  served_.control(R"({"project": "ml-team/other", "processing": "paused"})");
  auto elsewhere = create("x");
  elsewhere.set_project("ml-team/other");
  const auto paused = Served::id_of(served_.submit(elsewhere));
  const auto id = Served::id_of(served_.submit(create("y")));
  ASSERT_TRUE(served_.sandbox().wait_for([](const auto& s) { return s.at("unprocessed").as_int64() == 1; }).first);
  EXPECT_TRUE(served_.check(paused).pending);
  EXPECT_FALSE(served_.check(id).pending);
}

TEST_F(Ingest, CountsEveryValue) {
  auto snapshot = points(0, {{"a", 1}, {"b", 2}});
  (*snapshot.mutable_assign())["name"] = text("x");
  (*(*snapshot.mutable_modify_sets())["sys/tags"].mutable_string()->mutable_values())["t"] =
      ingest::v1::SET_OPERATION_ADD;
  EXPECT_EQ(send(snapshot), only(IngestCode::ok, 4));
}

TEST_F(Ingest, TakesARepeatedCreateForADuplicateAndAnotherForkPointForAConflict) {
  EXPECT_EQ(served_.ingest(create("run")), only(IngestCode::run_duplicate));
  EXPECT_EQ(served_.ingest(fork("child", "run", 3)), only(IngestCode::ok));
  EXPECT_EQ(served_.ingest(fork("child", "run", 3)), only(IngestCode::run_duplicate));
  EXPECT_EQ(served_.ingest(fork("child", "run", 4)), only(IngestCode::run_conflicting));
  EXPECT_EQ(served_.ingest(create("child")), only(IngestCode::run_conflicting));
  EXPECT_EQ(served_.state().at("duplicates").at("creates").as_int64(), 2);
}

TEST_F(Ingest, KnowsForksByTheirParents) {
  EXPECT_EQ(served_.ingest(fork("child", "nobody", 3)), only(IngestCode::run_fork_parent_not_found));
  served_.ingest(fork("child", "run", 3));
  EXPECT_EQ(served_.ingest(update("child", {points(3, {{"m", 1}})})),
            only(IngestCode::series_step_not_after_fork_point));
  EXPECT_EQ(served_.ingest(update("child", {points(4, {{"m", 1}})})), only(IngestCode::ok));
  EXPECT_EQ(served_.run("child").at("parent").as_string(), "run");
}

TEST_F(Ingest, KnowsNoRunBeforeItsCreate) {
  EXPECT_EQ(served_.ingest(update("later", {points(0, {{"a", 1}, {"b", 1}})})), only(IngestCode::run_not_found, 2));
}

TEST_F(Ingest, KeepsTheStepsOfASeriesIncreasing) {
  EXPECT_EQ(send(points(5, {{"m", 0.5}})), only(IngestCode::ok));
  EXPECT_EQ(send(points(5, {{"m", 0.5}})), only(IngestCode::series_point_duplicate));
  EXPECT_EQ(send(points(5, {{"m", 0.6}})), only(IngestCode::series_step_non_increasing));
  EXPECT_EQ(send(points(4, {{"m", 0.5}})), only(IngestCode::series_step_non_increasing));
  EXPECT_EQ(send(points(4, {{"other", 0.5}})), only(IngestCode::ok));
  EXPECT_EQ(served_.state().at("duplicates").at("points").as_int64(), 1);
}

TEST_F(Ingest, TellsNegativeZeroFromZeroAndTakesNaNForItself) {
  send(points(0, {{"zero", 0.0}, {"nan", std::nan("")}, {"inf", -std::numeric_limits<double>::infinity()}}));
  EXPECT_EQ(send(points(0, {{"zero", -0.0}})), only(IngestCode::series_step_non_increasing));
  EXPECT_EQ(send(points(0, {{"nan", std::nan("")}})), only(IngestCode::series_point_duplicate));
  EXPECT_TRUE(std::isinf(served_.run("run").at("series").at("inf").at(0).at(1).as_double()));
}

TEST_F(Ingest, ReplacesPreviewsByCommittedPoints) {
  EXPECT_EQ(send(preview(1, {{"m", 0.1}})), only(IngestCode::ok));
  EXPECT_EQ(send(preview(3, {{"m", 0.3}})), only(IngestCode::ok));
  EXPECT_EQ(send(preview(3, {{"m", 0.4}})), only(IngestCode::ok)) << "a preview may change";
  EXPECT_EQ(send(points(2, {{"m", 0.2}})), only(IngestCode::ok));
  EXPECT_EQ(send(preview(1, {{"m", 0.1}})), only(IngestCode::series_point_duplicate)) << "sent again";
  EXPECT_EQ(send(preview(2, {{"m", 0.1}})), only(IngestCode::series_preview_step_not_after_last_committed_step));
  EXPECT_EQ(testing::first_difference(testing::parse_json("[[2000000, 0.2], [3000000, 0.4]]"),
                                      served_.run("run").at("series").at("m")),
            "");
}

TEST_F(Ingest, HoldsEveryPathToOneType) {
  set("p", real(1.5));
  EXPECT_EQ(set("p", text("x")), only(IngestCode::field_type_conflicting));
  EXPECT_EQ(send(points(0, {{"p", 1}})), only(IngestCode::field_type_conflicting));
  EXPECT_EQ(set("p", real(2.5)), only(IngestCode::ok));
  EXPECT_EQ(served_.run("run").at("attrs").at("p").as_double(), 2.5);
}

TEST_F(Ingest, HoldsPathsAndStringsToTheirLimits) {
  EXPECT_EQ(set("", text("x")), only(IngestCode::field_path_empty));
  EXPECT_EQ(set(std::string(1024, 'p'), text("x")), only(IngestCode::ok));
  EXPECT_EQ(set(std::string(1025, 'p'), text("x")), only(IngestCode::field_path_exceeds_size_limit));
  EXPECT_EQ(set("a//b", text("x")), only(IngestCode::field_path_invalid));
  EXPECT_EQ(set("sys/id", text("x")), only(IngestCode::field_path_non_writable));
  EXPECT_EQ(set("s", text(std::string(1 << 20, 'x'))), only(IngestCode::ok));
  EXPECT_EQ(set("s", text(std::string((1 << 20) + 1, 'x'))), only(IngestCode::string_value_exceeds_size_limit));
  ingest::v1::Value late;
  late.mutable_timestamp()->set_seconds(253402300800);
  EXPECT_EQ(set("t", late), only(IngestCode::datetime_value_out_of_range));
  EXPECT_EQ(served_.ingest(create(std::string(730, 'r'))), only(IngestCode::ok));
  EXPECT_EQ(served_.ingest(create(std::string(731, 'r'))), only(IngestCode::run_invalid_creation_parameters));
  EXPECT_EQ(served_.ingest(create("a/b")), only(IngestCode::run_invalid_creation_parameters));
}

TEST_F(Ingest, HoldsStepsToTheirLimits) {
  auto snapshot = points(1'000'000'000'000, {{"m", 1}});
  EXPECT_EQ(send(snapshot), only(IngestCode::series_step_too_large));
  snapshot.mutable_step()->set_whole(1);
  snapshot.mutable_step()->set_micro(1'000'000);
  EXPECT_EQ(send(snapshot), only(IngestCode::series_step_invalid));
}

TEST_F(Ingest, HoldsTheTimeOfAPointInTwoHundredAndEightyFiveYearsAroundTheEpoch) {
  auto snapshot = points(1, {{"m", 1}});
  for (const std::int64_t seconds : {INT64_MIN, INT64_MAX}) {
    snapshot.mutable_timestamp()->set_seconds(seconds);
    EXPECT_EQ(send(snapshot), only(IngestCode::ok));
    snapshot.mutable_step()->set_whole(2);
  }
  const auto series = served_.run("run", "times=1").at("series").at("m");
  EXPECT_EQ(series.at(0).at(2).as_int64(), -9'000'000'000'000'000'000);
  EXPECT_EQ(series.at(1).at(2).as_int64(), 9'000'000'000'000'000'000);
}

TEST_F(Ingest, HoldsHistogramsToTheirRules) {
  const auto send_histogram = [this](std::vector<double> edges, int counts) {
    UpdateRunSnapshot snapshot;
    snapshot.mutable_step();
    auto& histogram = *(*snapshot.mutable_append())["h"].mutable_histogram();
    histogram.mutable_bin_edges()->Add(edges.begin(), edges.end());
    for (int i = 0; i < counts; ++i) histogram.mutable_counts()->add_values(1);
    return send(snapshot);
  };
  std::vector<double> many(514);
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<double>(i);
  EXPECT_EQ(send_histogram(many, 513), only(IngestCode::histogram_too_many_bins));
  EXPECT_EQ(send_histogram({0, std::nan(""), 2}, 2), only(IngestCode::histogram_bin_edges_contains_nan));
  EXPECT_EQ(send_histogram({0, 1, 1}, 2), only(IngestCode::histogram_bin_edges_not_increasing));
  EXPECT_EQ(send_histogram({0, 1, 2}, 3), only(IngestCode::histogram_values_length_doesnt_match_bins));
  EXPECT_EQ(send_histogram({0, 1, 2}, 2), only(IngestCode::ok));
}

TEST_F(Ingest, ChangesStringSets) {
  const auto modify = [this](const std::string& value, ingest::v1::SetOperation operation) {
    UpdateRunSnapshot snapshot;
    (*(*snapshot.mutable_modify_sets())["sys/tags"].mutable_string()->mutable_values())[value] = operation;
    return send(snapshot);
  };
  modify("b", ingest::v1::SET_OPERATION_ADD);
  modify("a", ingest::v1::SET_OPERATION_ADD);
  modify("b", ingest::v1::SET_OPERATION_REMOVE);
  modify("c", ingest::v1::SET_OPERATION_NOOP);
  EXPECT_EQ(testing::first_difference(testing::parse_json(R"(["a"])"), served_.run("run").at("sets").at("sys/tags")),
            "");
}

TEST_F(Ingest, CreatesProjectsOnFirstUseUnlessToldOtherwise) {
  served_.control(R"({"auto_create_projects": false})");
  auto operation = create("x");
  operation.set_project("ml-team/unknown");
  EXPECT_EQ(served_.ingest(operation), only(IngestCode::project_not_found));
  operation.set_create_missing_project(true);
  EXPECT_EQ(served_.ingest(operation), only(IngestCode::ok));
  operation.set_project("strangers/unknown");
  EXPECT_EQ(served_.ingest(operation), only(IngestCode::project_not_found)) << "no such workspace";
  operation.set_project("ml-team/no:colons");
  EXPECT_EQ(served_.ingest(operation), only(IngestCode::project_invalid_name));
}

TEST_F(Ingest, RefusesBodiesItCannotRead) {
  EXPECT_EQ(served_.post("/api/client/v1/ingest", "this is no message").status, 400u);
  EXPECT_EQ(served_.post("/api/client/v1/ingest", "").status, 400u);
  EXPECT_EQ(served_.submit(update("run", {assign("a", text(std::string(2 << 20, 'x')))})).status, 400u);
  EXPECT_EQ(served_.post("/api/client/v1/ingest", std::string((16 << 20) + 1, 'x')).status, 413u);
  EXPECT_EQ(served_.post("/api/client/v1/ingest/check?projectIdentifier=ml-team/p", "\xFF\xFF").status, 400u);
}

TEST_F(Ingest, RejectsWhatItIsToldTo) {
  served_.control(R"({"reject": {"path": "bad", "code": "FIELD_PATH_INVALID"}})");
  served_.control(R"({"reject": {"path": "worse/*", "code": 64, "run": "run"}})");
  EXPECT_EQ(send(points(0, {{"bad", 1}, {"good", 1}, {"worse/a", 1}})),
            (Counts{{IngestCode::ok, 1}, {IngestCode::field_path_invalid, 1}, {IngestCode::internal, 1}}));
  served_.control(R"({"reset": true})");
  EXPECT_EQ(send(points(1, {{"bad", 1}})), only(IngestCode::ok));
}

}  // namespace
}  // namespace neptune::sandbox
