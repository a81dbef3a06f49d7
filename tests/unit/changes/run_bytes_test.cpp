#include <gmock/gmock.h>

#include "changes/wire.h"
#include "proto/ingest.pb.h"
#include "tests/unit/changes/parsed.h"

/// run.create and run.update as the messages a run log would hold.
namespace neptune {
namespace {

using ::testing::ElementsAre;

ingest::v1::Run created(std::string_view more) {
  ingest::v1::Run message;
  EXPECT_TRUE(message.ParseFromString(
      accepted(R"({"kind":"run.create","project":"ml-team/lab","run":"r-1")" + std::string(more) + "}").payload));
  return message;
}

ingest::v1::UpdateRunSnapshot updated(std::string_view more) {
  ingest::v1::UpdateRunSnapshot message;
  EXPECT_TRUE(message.ParseFromString(
      accepted(R"({"kind":"run.update","project":"ml-team/lab","run":"r-1",)" + std::string(more) + "}").payload));
  return message;
}

TEST(RunCreate, IsFilledInAsTheOfficialClientDoes) {
  const auto message = created(R"(,"experiment":"baseline")");
  EXPECT_FALSE(message.has_run_id());
  EXPECT_EQ(message.family(), "r-1");
  EXPECT_EQ(message.experiment_id(), "baseline");
  EXPECT_EQ(message.creation_time().seconds(), accepted_ms / 1000);
  EXPECT_EQ(message.creation_time().nanos(), 678'000'000);
  EXPECT_FALSE(message.has_fork_point());
}

TEST(RunCreate, CarriesItsForkPoint) {
  const auto message =
      created(R"(,"fork":{"run":"root","step":49.5},"created_at":"2026-01-02T05:04:05.123456789+02:00")");
  EXPECT_EQ(message.fork_point().parent_project(), "ml-team/lab");
  EXPECT_EQ(message.fork_point().parent_run_id(), "root");
  EXPECT_EQ(message.fork_point().step().whole(), 49u);
  EXPECT_EQ(message.fork_point().step().micro(), 500'000u);
  EXPECT_EQ(message.creation_time().seconds(), 1'767'323'045);
  EXPECT_EQ(message.creation_time().nanos(), 123'456'789);
  EXPECT_FALSE(message.has_experiment_id());
  const auto fork = wire::read_fork(lab, message.SerializeAsString());
  ASSERT_TRUE(fork && *fork);
  EXPECT_EQ((*fork)->parent, run("root"));
}

TEST(RunUpdate, AssignsValuesByTheirJsonType) {
  const auto message =
      updated(R"("assign":{"i":3,"n":-9223372036854775808,"f":3.0,"e":1e3,"s":"x","b":true,"t":false})");
  EXPECT_EQ(message.assign().at("i").int64(), 3);
  EXPECT_EQ(message.assign().at("n").int64(), INT64_MIN);
  EXPECT_EQ(message.assign().at("f").float64(), 3.0);
  EXPECT_EQ(message.assign().at("e").float64(), 1000.0);
  EXPECT_EQ(message.assign().at("s").string(), "x");
  EXPECT_TRUE(message.assign().at("b").bool_());
  EXPECT_EQ(message.assign().at("t").value_case(), ingest::v1::Value::kBool);
  EXPECT_FALSE(message.has_step());
  EXPECT_EQ(message.timestamp().seconds(), accepted_ms / 1000);
}

TEST(RunUpdate, AssignsTypedValues) {
  const auto message = updated(R"("timestamp":1500,"assign":{
      "f":{"type":"float","value":3}, "i":{"value":4,"type":"int"}, "s":{"type":"string","value":"v"},
      "b":{"type":"bool","value":false}, "d":{"type":"datetime","value":"1969-12-31T23:59:59.5Z"},
      "ms":{"type":"datetime","value":-500}, "set":{"type":"string_set","value":["b","a","b"]},
      "none":{"type":"string_set","value":[]}})");
  EXPECT_EQ(message.assign().at("f").float64(), 3.0);
  EXPECT_EQ(message.assign().at("i").int64(), 4);
  EXPECT_EQ(message.assign().at("s").string(), "v");
  EXPECT_EQ(message.assign().at("b").value_case(), ingest::v1::Value::kBool);
  for (const auto* path : {"d", "ms"}) {
    EXPECT_EQ(message.assign().at(path).timestamp().seconds(), -1) << path;
    EXPECT_EQ(message.assign().at(path).timestamp().nanos(), 500'000'000) << path;
  }
  EXPECT_THAT(message.assign().at("set").string_set().values(), ElementsAre("b", "a"));
  EXPECT_TRUE(message.assign().at("none").has_string_set());
  EXPECT_EQ(message.timestamp().seconds(), 1);
  EXPECT_EQ(message.timestamp().nanos(), 500'000'000);
}

TEST(RunUpdate, NestedObjectsArePathsAndOnlyTypeWithValueIsAValue) {
  const auto message =
      updated(R"("assign":{"a":{"b":{"c":1},"d/e":2},"type":{"type":"x"},"v":{"type":"x","value":1,"z":2}})");
  std::vector<std::string> paths;
  for (const auto& [path, value] : message.assign()) paths.push_back(path);
  EXPECT_THAT(paths, ::testing::UnorderedElementsAre("a/b/c", "a/d/e", "type/type", "v/type", "v/value", "v/z"));
}

TEST(RunUpdate, AppendsFloatsStringsAndHistograms) {
  const auto message = updated(R"("step":12,"append":{"loss":1,"acc":0.1,"text":"hi","nest":{"ed":2},
      "h":{"type":"histogram","value":{"bin_edges":[0,0.5,1],"counts":[1,2]}},
      "g":{"type":"histogram","value":{"bin_edges":[0,1],"densities":[0.25]}}},"preview":{"completion_ratio":0.5})");
  EXPECT_EQ(message.append().at("loss").float64(), 1.0);
  EXPECT_EQ(message.append().at("acc").float64(), 0.1);
  EXPECT_EQ(message.append().at("text").string(), "hi");
  EXPECT_EQ(message.append().at("nest/ed").float64(), 2.0);
  EXPECT_THAT(message.append().at("h").histogram().bin_edges(), ElementsAre(0, 0.5, 1));
  EXPECT_THAT(message.append().at("h").histogram().counts().values(), ElementsAre(1u, 2u));
  EXPECT_THAT(message.append().at("g").histogram().densities().values(), ElementsAre(0.25));
  EXPECT_EQ(message.step().whole(), 12u);
  EXPECT_TRUE(message.preview().is_preview());
  EXPECT_EQ(message.preview().completion_ratio(), 0.5f);
  EXPECT_FALSE(updated(R"("step":1,"append":{"a":1},"preview":false)").has_preview());
  EXPECT_TRUE(updated(R"("step":1,"append":{"a":1},"preview":true)").preview().is_preview());
}

TEST(RunUpdate, StepsAreExactToTheMillionth) {
  const std::vector<std::tuple<std::string, std::uint64_t, std::uint64_t>> steps{
      {"0", 0, 0},
      {"-0", 0, 0},
      {"0.0", 0, 0},
      {"7", 7, 0},
      {"0.1", 0, 100'000},
      {"0.000001", 0, 1},
      {"1e3", 1000, 0},
      {"1.5E-3", 0, 1500},
      {"2.50000000", 2, 500'000},
      {"123456789012.654321", 123'456'789'012, 654'321},
      {"0e999999", 0, 0},
      {"999999999999.999999", 999'999'999'999, 999'999}};
  for (const auto& [text, whole, micro] : steps) {
    const auto message = updated(R"("append":{"a":1},"step":)" + text);
    EXPECT_TRUE(message.has_step()) << text;
    EXPECT_EQ(message.step().whole(), whole) << text;
    EXPECT_EQ(message.step().micro(), micro) << text;
  }
}

TEST(RunUpdate, NumbersAreTheNearestDoubles) {
  for (const auto* text : {"0.1", "0.30000000000000004", "1.7976931348623157e308", "5e-324", "123456789.123456789",
                           "-2.2250738585072014e-308", "9007199254740993"})
    EXPECT_EQ(updated(R"("step":1,"append":{"a":)" + std::string(text) + "}").append().at("a").float64(),
              std::strtod(text, nullptr))
        << text;
}

TEST(RunUpdate, TagsModifySets) {
  const auto message =
      updated(R"("tags":{"sys/tags":{"add":["a","b"],"remove":"c"},"sys":{"group_tags":{"add":["g"]}}})");
  const auto& values = message.modify_sets().at("sys/tags").string().values();
  EXPECT_EQ(values.size(), 3u);
  EXPECT_EQ(values.at("a"), ingest::v1::SET_OPERATION_ADD);
  EXPECT_EQ(values.at("c"), ingest::v1::SET_OPERATION_REMOVE);
  EXPECT_EQ(message.modify_sets().at("sys/group_tags").string().values().at("g"), ingest::v1::SET_OPERATION_ADD);
}

TEST(RunUpdate, TheSameChangeGivesTheSameBytes) {
  const auto bytes = [](std::string_view assign) {
    return accepted(R"({"kind":"run.update","project":"a/b","run":"r","assign":)" + std::string(assign) + "}").payload;
  };
  EXPECT_EQ(bytes(R"({"a":1,"b":2,"c":3,"d":4,"e":5})"), bytes(R"({"e":5,"c":3,"d":4,"b":2,"a":1})"));
}

}  // namespace
}  // namespace neptune
