#include "changes/attributes.h"

#include <gmock/gmock.h>

#include <limits>

#include "proto/ingest.pb.h"
#include "tests/unit/changes/parsed.h"

/// Metadata of models and projects, from JSON to the operations the server takes.
namespace neptune {
namespace {

using ::testing::ElementsAre;

/// The operations as "path op body".
std::vector<std::string> operations(std::string_view more) {
  const auto change = accepted(R"({"kind":"project.metadata","project":"ml-team/lab",)" + std::string(more) + "}");
  const auto read = read_attributes(change.payload, accepted_ms);
  std::vector<std::string> out;
  if (!read) {
    ADD_FAILURE() << read.error().message;
    return out;
  }
  for (const auto& each : *read) out.push_back(each.path + " " + each.op + " " + each.body);
  return out;
}

std::vector<AttributeOperation> points(std::string_view append) {
  const auto change = accepted(R"({"kind":"model.update","project":"ml-team/lab","model":"M","append":{"s":)" +
                               std::string(append) + "}}");
  return read_attributes(change.payload, accepted_ms).value();
}

TEST(Attributes, AssignmentsByType) {
  EXPECT_THAT(
      operations(
          R"("assign":{"i":3,"f":3.0,"s":"a\"b","b":true,"d":{"type":"datetime","value":"1970-01-01T00:00:01.5Z"},
                     "n":{"e":{"type":"float","value":-7}}})"),
      ElementsAre(R"(i assignInt {"value":3})", R"(f assignFloat {"value":3.0})", R"(s assignString {"value":"a\"b"})",
                  R"(b assignBool {"value":true})", R"(d assignDatetime {"valueMilliseconds":1500})",
                  R"(n/e assignFloat {"value":-7.0})"));
}

TEST(Attributes, ASetIsAssignedByEmptyingItFirst) {
  EXPECT_THAT(
      operations(R"("assign":{"t":{"type":"string_set","value":["a","b"]},"u":{"type":"string_set","value":[]}})"),
      ElementsAre("t clearStringSet {}", R"(t insertStrings {"values":["a","b"]})", "u clearStringSet {}"));
}

TEST(Attributes, AreAppliedInAnOrderThatDoesNotDependOnHowTheyWereWritten) {
  EXPECT_THAT(operations(R"("append":{"s":1},"insert":{"t":["a"]},"remove":{"t":["b"]},"assign":{"x":1},
                     "configure":{"s":{"min":0,"max":1.5,"unit":"%"}},
                     "clear":{"s":"float_series","q":"string_series","i":"image_series","t":"string_set"},
                     "delete":["old","x"])"),
              ElementsAre("old deleteAttribute {}", "x deleteAttribute {}", "s clearFloatSeries {}",
                          "q clearStringSeries {}", "i clearImageSeries {}", "t clearStringSet {}",
                          R"(s configFloatSeries {"min":0.0,"max":1.5,"unit":"%"})", R"(x assignInt {"value":1})",
                          R"(t removeStrings {"values":["b"]})", R"(t insertStrings {"values":["a"]})",
                          R"(s logFloats {"entries":[{"value":1.0,"timestampMilliseconds":1767323045678}]})"));
}

TEST(Attributes, EachPointIsAnOperationOfItsOwn) {
  const auto read = points(R"([{"value":0.1,"step":1},{"value":2,"step":1.5,"timestamp":"1970-01-01T00:00:00.007Z"}])");
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[0].op, "logFloats");
  EXPECT_EQ(read[0].body, R"({"entries":[{"value":0.1,"step":1,"timestampMilliseconds":1767323045678}]})");
  EXPECT_EQ(read[1].body, R"({"entries":[{"value":2.0,"step":1.5,"timestampMilliseconds":7}]})");
  ASSERT_TRUE(read[0].point && read[1].point);
  EXPECT_EQ(read[1].point->step, 1.5);
  EXPECT_FALSE(read[1].point->text);
}

TEST(Attributes, StringsMakeAStringSeries) {
  const auto read = points(R"(["a",{"value":"b"}])");
  ASSERT_EQ(read.size(), 2u);
  EXPECT_EQ(read[1].op, "logStrings");
  EXPECT_EQ(read[1].body, R"({"entries":[{"value":"b","timestampMilliseconds":1767323045678}]})");
  EXPECT_TRUE(read[1].point->text);
  EXPECT_FALSE(read[1].point->step);
}

TEST(Attributes, APointWithoutStepCanBeGivenOne) {
  auto point = points("3")[0];
  set_step(point, 17);
  EXPECT_EQ(point.body, R"({"entries":[{"step":17.0,"value":3.0,"timestampMilliseconds":1767323045678}]})");
  EXPECT_EQ(point.point->step, 17);
  const auto before = point.body;
  set_step(point, 18);
  EXPECT_EQ(point.body, before);
}

TEST(Attributes, NestedSeriesAndTypedPointsAreToldApart) {
  const auto change = accepted(R"({"kind":"model_version.update","project":"ml-team/lab","model_version":"M-1",
      "append":{"a":{"b":1,"c":{"value":{"type":"float","value":2},"step":0}},"d":{"type":"string","value":"x"}}})");
  const auto read = read_attributes(change.payload, 0).value();
  ASSERT_EQ(read.size(), 3u);
  EXPECT_EQ(read[0].path, "a/b");
  EXPECT_EQ(read[1].path, "a/c");
  EXPECT_EQ(read[1].point->step, 0);
  EXPECT_EQ(read[2].op, "logStrings");
}

TEST(Attributes, DoublesReadBackAsTheyWereGiven) {
  for (const auto* text : {"0.1", "1e22", "5e-324", "1.7976931348623157e308", "-0.0", "100000000000000000000"}) {
    const auto body = points(text)[0].body;
    const auto at = body.find("\"value\":") + 8;
    EXPECT_EQ(std::strtod(body.c_str() + at, nullptr), std::strtod(text, nullptr)) << body;
  }
}

TEST(Attributes, AnIntegerStaysOneAndAFloatStaysAFloatInTheQueue) {
  const auto change = accepted(R"({"kind":"project.metadata","project":"ml-team/lab","assign":{"f":1e2,"i":100}})");
  EXPECT_EQ(change.payload, R"({"kind":"project.metadata","project":"ml-team/lab","assign":{"f":100.0,"i":100}})");
}

TEST(Attributes, ThePayloadReadsBackAsTheSameChange) {
  const auto change = accepted(R"({"kind":"model.update","project":"ml-team/lab","model":"M",
      "assign":{"a":{"b":1},"d":{"type":"datetime","value":"2026-01-02T03:04:05Z"},"t":{"type":"string_set","value":["x"]}},
      "append":{"s":{"l":[{"value":0.5,"step":3}]}},"insert":{"q":["x"]},"remove":{"q":["y"]},"delete":["z"],
      "clear":{"c":{"d":"float_series"}},"configure":{"s":{"l":{"min":0}}}})");
  EXPECT_EQ(accepted(change.payload).payload, change.payload);
}

TEST(LeaderboardRun, AnUpdateOfARunBecomesAttributeOperations) {
  const auto change = accepted(R"({"kind":"run.update","project":"a/b","run":"r","step":1.5,"timestamp":7,
      "assign":{"s":"x","i":3,"d":{"type":"datetime","value":5},"t":{"type":"string_set","value":["a"]}},
      "append":{"loss":0.1,"text":"hi"},"tags":{"sys/tags":{"add":["b","a"],"remove":["c"]}}})");
  const auto read = leaderboard_operations(change.payload, 0);
  ASSERT_TRUE(read);
  std::vector<std::string> lines;
  for (const auto& each : read->operations) lines.push_back(each.path + " " + each.op + " " + each.body);
  EXPECT_THAT(
      lines,
      ElementsAre(R"(d assignDatetime {"valueMilliseconds":5})", R"(i assignInt {"value":3})",
                  R"(s assignString {"value":"x"})", "t clearStringSet {}", R"(t insertStrings {"values":["a"]})",
                  R"(sys/tags removeStrings {"values":["c"]})", R"(sys/tags insertStrings {"values":["a","b"]})",
                  R"(loss logFloats {"entries":[{"value":0.1,"step":1.5,"timestampMilliseconds":7}]})",
                  R"(text logStrings {"entries":[{"value":"hi","step":1.5,"timestampMilliseconds":7}]})"));
  EXPECT_EQ(read->operations[7].point->step, 1.5);
  EXPECT_TRUE(read->operations[8].point->text);
  EXPECT_TRUE(read->left_out.empty());
}

TEST(LeaderboardRun, WhatAttributesCannotHoldIsLeftOutWithItsReason) {
  const auto change = accepted(R"({"kind":"run.update","project":"a/b","run":"r","step":1,"append":{"a":1,
      "h":{"type":"histogram","value":{"bin_edges":[0,1],"counts":[1]}}}})");
  const auto read = leaderboard_operations(change.payload, 0);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->operations.size(), 1u);
  ASSERT_EQ(read->left_out.size(), 1u);
  EXPECT_EQ(read->left_out[0].path, "h");
  EXPECT_THAT(read->left_out[0].reason, ::testing::HasSubstr("histograms"));
  ingest::v1::UpdateRunSnapshot log;
  (*log.mutable_append())["n"].set_float64(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(leaderboard_operations(log.SerializeAsString(), 0)->left_out.size(), 1u);
}

TEST(LeaderboardRun, PreviewPointsAreDropped) {
  const auto change =
      accepted(R"({"kind":"run.update","project":"a/b","run":"r","step":1,"append":{"a":1},"preview":true})");
  const auto read = leaderboard_operations(change.payload, 0);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->operations.empty() && read->left_out.empty());
}

TEST(LeaderboardRun, ADamagedUpdateIsAnError) {
  EXPECT_EQ(leaderboard_operations("\xff\xff", 0).error().code, "invalid_update");
}

TEST(Attributes, WhatIsNoMetadataOrDamagedIsAnError) {
  EXPECT_EQ(read_attributes("{", 0).error().code, "unreadable_change");
  EXPECT_EQ(read_attributes(R"({"kind":"project.delete","project":"a/b"})", 0).error().code, "not_metadata");
  EXPECT_EQ(read_attributes(R"({"kind":"project.metadata","project":"a/b"})", 0).error().code, "unreadable_change");
}

}  // namespace
}  // namespace neptune
