#include "client/cli/values.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace neptune::cli {
namespace {

using testing::HasSubstr;

TEST(Values, NumbersAreNumbersAsTheyWereWritten) {
  for (const char* number : {"0", "-1", "0.3", "1e-3", "-2.50E+10", "9223372036854775807"})
    EXPECT_EQ(value_json(number).value(), number);
  EXPECT_EQ(value_json(".5").value(), "0.5");
  EXPECT_EQ(value_json("5.").value(), "5");
  EXPECT_EQ(value_json("+3").value(), "3");
  EXPECT_EQ(value_json("1e-400").value(), "1e-400") << "as good as none, and no infinity";
}

TEST(Values, TruthValuesAreThemselvesAndAllElseIsText) {
  EXPECT_EQ(value_json("true").value(), "true");
  EXPECT_EQ(value_json("True").value(), R"("True")");
  for (const char* text : {"007", "-08", "1.2.3", "0x10", "1_000", "12 ", "--1", "1e", "e5", "."})
    EXPECT_EQ(value_json(text).value(), "\"" + std::string(text) + "\"");
  EXPECT_EQ(value_json("a \"b\"\n").value(), R"("a \"b\"\n")");
}

TEST(Values, QuotesMakeTextOfWhatLooksLikeANumber) {
  EXPECT_EQ(value_json("\"0.3\"").value(), R"("0.3")");
  EXPECT_EQ(value_json("\"nan\"").value(), R"("nan")");
  EXPECT_EQ(value_json("\"").value(), R"("\"")");
}

TEST(Values, NanAndInfinityAreRefusedRatherThanMadeText) {
  for (const char* text : {"nan", "NaN", "inf", "-inf", "Infinity", "1e999"})
    EXPECT_FALSE(value_json(text).has_value() && value_json(text)->starts_with('"')) << text;
  const auto refused = assignments_json({"loss=nan"});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("loss: the server takes no NaN"));
}

TEST(Assignments, AreSplitAtTheFirstEqualsSign) {
  EXPECT_EQ(assignments_json({"train/loss=0.3", "note=a=b", "empty=\"\""}).value(),
            R"({"train/loss":0.3,"note":"a=b","empty":""})");
  EXPECT_EQ(points_json({"loss=0.3"}, "12").value(), R"({"loss":{"value":0.3,"step":12}})");
  for (const char* bad : {"loss", "=3", ""}) EXPECT_FALSE(assignments_json({bad})) << bad;
  EXPECT_EQ(assignments_json({"loss=1", "acc=1", "loss=2"}).error().message, "loss is given twice; keep one of them.");
}

TEST(Assignments, RefuseWhatAnUnsetVariableLeavesAndSayHowAnEmptyTextIsWritten) {
  for (const auto& refused : {assignments_json({"loss="}), points_json({"loss="}), points_json({"loss="}, "1")}) {
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("loss: the value is empty"));
    EXPECT_THAT(refused.error().message, HasSubstr("loss='\"\"'"));
  }
}

TEST(Points, AreNumbersOrTexts) {
  EXPECT_EQ(points_json({"loss=0.3", "note=\"true\""}).value(), R"({"loss":0.3,"note":"true"})");
  for (const auto& refused : {points_json({"ok=true"}), points_json({"ok=false"}, "1")}) {
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("ok: a series holds numbers or texts; use --assign for"));
  }
}

TEST(Points, ThatBeginLikeANumberAndAreNoneAreRefusedUnlessTheyAreInQuotes) {
  for (const char* text : {"0.31%", "0,31", "-", "1.2.3", ".", "+x", "007", "2026-01-31"}) {
    const auto refused = points_json({"loss=" + std::string(text)});
    ASSERT_FALSE(refused) << text;
    EXPECT_THAT(refused.error().message, HasSubstr("loss: '" + std::string(text) + "' is no number; write one, or " +
                                                   "loss='\"" + text + "\"' to log a text"));
    EXPECT_EQ(points_json({"loss=\"" + std::string(text) + "\""}).value(), "{\"loss\":\"" + std::string(text) + "\"}");
    EXPECT_TRUE(assignments_json({"loss=" + std::string(text)})) << "a value may be changed again";
  }
  EXPECT_TRUE(is_bare_text("warm-up"));
  for (const char* text : {"\"warm-up\"", "0.3", "true", ""}) EXPECT_FALSE(is_bare_text(text)) << text;
}

TEST(Sets, GatherWhatBelongsToOneName) {
  EXPECT_EQ(sets_json({"sys/tags=best", "a=1", "sys/tags=new"}).value(), R"({"a":["1"],"sys/tags":["best","new"]})");
}

TEST(ChangeText, IsOneJsonObject) {
  ChangeText change("run.update");
  change.text("run", std::string("a\"b")).text("name", std::optional<std::string>()).texts("runs", {"x", "y"});
  EXPECT_EQ(change.json("step", "1").str(), R"({"kind":"run.update","run":"a\"b","runs":["x","y"],"step":1})");
}

TEST(LineOfChange, IsFoundInAnArrayAndOneALine) {
  const std::string lines = "{\"a\": 1}\n\n{\"a\": \"} { \\\" [\"}\n{\"a\": {\"b\": [1, 2]}}\n";
  EXPECT_EQ(line_of_change(lines, 0), 1u);
  EXPECT_EQ(line_of_change(lines, 1), 3u);
  EXPECT_EQ(line_of_change(lines, 2), 4u);
  EXPECT_EQ(line_of_change(lines, 3), std::nullopt);
  const std::string array = "[\n  {\"a\": [\n1,\n2]}, {\"a\": 2},\n  3,\n{}]";
  EXPECT_EQ(line_of_change(array, 0), 2u);
  EXPECT_EQ(line_of_change(array, 1), 4u);
  EXPECT_EQ(line_of_change(array, 2), 5u);
  EXPECT_EQ(line_of_change(array, 3), 6u);
  EXPECT_EQ(line_of_change("", 0), std::nullopt);
}

}  // namespace
}  // namespace neptune::cli
