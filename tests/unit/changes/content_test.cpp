// What is compared of a change whose idempotency key was given before.
#include "tests/unit/changes/parsed.h"

namespace neptune {
namespace {

std::uint64_t content(std::string_view more) {
  return accepted(R"({"kind":"run.update","project":"ml-team/lab","run":"r","idempotency_key":"k",)" +
                  std::string(more) + "}")
      .content;
}

TEST(Content, IsTheSameOfTheSameHoweverItIsWrittenAndWhenever) {
  const auto first = content(R"("step":1,"append":{"loss":0.5,"acc":1})");
  EXPECT_NE(first, 0u);
  EXPECT_EQ(content(R"( "append" : {"acc":1, "loss":0.5}, "step":1)"), first);
  auto later = facts();
  later.accepted_ms += 1000;
  later.project = "ml-team/lab";
  const auto again = parse_changes(
      R"({"idempotency_key":"other","kind":"run.update","run":"r","step":1,"append":{"loss":0.5,"acc":1}})",
      ChangesFormat::json, later);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->front().content, first);
}

TEST(Content, IsAnotherOfWhatSaysOtherwise) {
  const auto first = content(R"("step":1,"append":{"loss":0.5,"acc":1})");
  for (const auto* other : {R"("step":2,"append":{"loss":0.5,"acc":1})", R"("step":1,"append":{"loss":1,"acc":0.5})",
                            R"("step":1,"append":{"loss":0.5})", R"("step":1,"append":{"loss":0.5},"assign":{"acc":1})",
                            R"("step":1,"append":{"loss":0.5,"acc":1},"timestamp":"2026-01-31T12:00:00Z")"})
    EXPECT_NE(content(other), first) << other;
  EXPECT_NE(content(R"("assign":{"a":"1"})"), content(R"("assign":{"a":1})"));
  EXPECT_NE(content(R"("assign":{"a":true})"), content(R"("assign":{"a":false})"));
}

TEST(Content, IsKeptOnDiskSoThatItStaysWhatItWas) {
  EXPECT_EQ(content(R"("step":1.5,"append":{"loss":0.5},"assign":{"a":{"type":"string_set","value":["x","y"]}})"),
            1675498167406133697u);
}

TEST(Content, OfAChangeWithoutAKeyIsNotAskedFor) {
  EXPECT_EQ(accepted(R"({"kind":"run.update","project":"ml-team/lab","run":"r","assign":{"a":1}})").content, 0u);
}

}  // namespace
}  // namespace neptune
