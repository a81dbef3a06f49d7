#include <gmock/gmock.h>

#include "tests/unit/changes/parsed.h"

/// One object, an array, NDJSON; what is no JSON at all.
namespace neptune {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string trash(std::string_view run) {
  return R"({"kind":"run.trash","project":"ml-team/lab","runs":[")" + std::string(run) + "\"]}";
}

TEST(Forms, OneObjectIsOneChange) {
  const auto changes = parse("\n " + trash("a") + " \n");
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->size(), 1u);
}

TEST(Forms, AnArrayKeepsItsOrder) {
  const auto changes = parse("[" + trash("a") + ", " + trash("b") + "]");
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 2u);
  EXPECT_EQ((*changes)[0].after[1].id, "a");
  EXPECT_EQ((*changes)[1].after[1].id, "b");
}

TEST(Forms, NdjsonIsOneChangeALineAndSkipsEmptyLines) {
  const auto changes = parse(trash("a") + "\r\n\n  \n" + trash("b"), ChangesFormat::ndjson);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 2u);
  EXPECT_EQ((*changes)[1].after[1].id, "b");
}

TEST(Forms, NothingIsTakenWhenOneOfSeveralIsBadAndItsIndexIsSaid) {
  const auto bad = R"({"kind":"project.create","project":"ml-team/lab","visibility":"x"})";
  EXPECT_EQ(refused("[" + trash("a") + "," + trash("b") + "," + bad + "," + trash("c") + "]").field, "2.visibility");
  EXPECT_EQ(refused(trash("a") + "\n\n" + bad, ChangesFormat::ndjson).field, "1.visibility");
  EXPECT_EQ(refused("[" + trash("a") + ",5]").field, "1");
  EXPECT_EQ(refused(bad).field, "visibility");
}

TEST(Forms, ANameGivenTwiceInABatchIsFoundInItsChange) {
  const auto refusal = refused("[" + trash("a") + R"(,{"kind":"run.trash","kind":"run.trash"}])");
  EXPECT_EQ(refusal.code, "duplicate_field");
  EXPECT_EQ(refusal.field, "1.kind");
}

TEST(Forms, ANameGivenTwiceIsSaidWithTheObjectItIsInAndNotWholeWhenItIsLong) {
  const std::string name(100'000, 'a');
  const auto refusal = refused(R"({"kind":"project.metadata","project":"ml-team/lab","assign":{"x":{")" + name +
                               R"(":1,")" + name + R"(":2}}})");
  EXPECT_EQ(refusal.code, "duplicate_field");
  EXPECT_TRUE(refusal.field.starts_with("assign.x.aaa")) << refusal.field.substr(0, 80);
  EXPECT_LT(refusal.message.size() + refusal.field.size(), 4096u);
}

TEST(Forms, WhatIsNoJsonIsSaidWithItsPlace) {
  for (const auto* body :
       {"{", "{]", "[", "{\"a\":1,}", "{} {}", "[] x", "nonsense", "5", "\"x\"", "{\"a\":NaN}", "{\"a\":-Infinity}",
        "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}", "{\"a\":01}", "{'a':1}", "// x\n{}"}) {
    const auto refusal = refused(body);
    EXPECT_EQ(refusal.kind, body == std::string_view("{} {}") ? Refusal::Kind::invalid : Refusal::Kind::malformed)
        << body << ": " << refusal.message;
  }
  EXPECT_THAT(refused("{\"a\":\n  NaN}").message, HasSubstr("line 2"));
  EXPECT_THAT(refused("{\"a\":\n  NaN}").message, HasSubstr("NaN"));
}

TEST(Forms, MoreChangesThanOneRequestTakesAreRefusedTogether) {
  std::string body;
  for (int i = 0; i < 100'001; ++i)
    body += R"({"kind":"trash.empty","project":"ml-team/lab"})"
            "\n";
  const auto changes = parse_changes(body, ChangesFormat::ndjson, {});
  ASSERT_FALSE(changes);
  EXPECT_EQ(changes.error().code, "too_many_changes");
  EXPECT_EQ(changes.error().kind, Refusal::Kind::too_large);
}

TEST(Forms, ATruncatedBodyIsRefusedAsAWhole) {
  const auto whole = "[" + trash("a") + "," + trash("b") + "]";
  for (std::size_t cut = 0; cut < whole.size(); ++cut) EXPECT_FALSE(parse(whole.substr(0, cut))) << cut;
}

TEST(Forms, AnEmptyBodyIsRefused) {
  EXPECT_EQ(refused("").code, "empty_body");
  EXPECT_EQ(refused(" \n").code, "empty_body");
  EXPECT_EQ(refused("[]").code, "no_changes");
  EXPECT_EQ(refused("\n\n", ChangesFormat::ndjson).code, "empty_body");
}

TEST(Forms, DepthIsBounded) {
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "{\"a\":";
  EXPECT_EQ(refused(deep).code, "too_deep");
  EXPECT_EQ(refused(std::string(100'000, '[')).code, "too_deep");
}

TEST(Forms, ABadLineOfNdjsonIsNamed) {
  const auto refusal = refused(trash("a") + "\n{\"kind\":\n", ChangesFormat::ndjson);
  EXPECT_THAT(refusal.message, HasSubstr("at line 2, column 9: "));
  EXPECT_THAT(refusal.message, Not(HasSubstr("line 1")));
  EXPECT_EQ(refusal.field, "1");
  EXPECT_THAT(refused("\n\n" + trash("a") + "\n  {\"a\": NaN}", ChangesFormat::ndjson).message,
              HasSubstr("at line 4, column 9: "));
  EXPECT_THAT(refused(trash("a") + "\n\nnonsense", ChangesFormat::ndjson).message,
              HasSubstr("Line 3 is no JSON object"));
  EXPECT_THAT(refused(trash("a") + "\n\n[]", ChangesFormat::ndjson).message, HasSubstr("Line 3 is an array"));
  EXPECT_EQ(refused(trash("a") + "\n" + trash("b") + " x", ChangesFormat::ndjson).field, "1");
  EXPECT_EQ(refused("[" + trash("a") + "]", ChangesFormat::ndjson).code, "invalid_json");
}

TEST(Forms, ThePartOfAFileIsToldWithTheLinesOfTheFile) {
  const ChangeFacts part{.first_line = 1001};
  for (const auto format : {ChangesFormat::ndjson, ChangesFormat::json}) {
    const auto body =
        format == ChangesFormat::ndjson ? trash("a") + "\n{\"kind\":}" : "[" + trash("a") + ",\n{\"kind\":}]";
    const auto changes = parse_changes(body, format, part);
    ASSERT_FALSE(changes);
    EXPECT_THAT(changes.error().message, HasSubstr("at line 1002, column 9: "));
  }
  EXPECT_THAT(parse_changes("\n5", ChangesFormat::ndjson, part).error().message, HasSubstr("Line 1002 is"));
}

}  // namespace
}  // namespace neptune
