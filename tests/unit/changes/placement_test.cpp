#include <gmock/gmock.h>

#include "changes/management.h"
#include "tests/unit/changes/parsed.h"

/// Which stream each kind goes into, and what it waits for.
namespace neptune {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string body(std::string_view kind, std::string_view more = "") {
  return R"({"kind":")" + std::string(kind) + R"(","project":"ml-team/lab")" + std::string(more) + "}";
}

const ContainerName removal_of_all{lab, std::string(removals_of_all), ContainerKind::removals};
const ContainerName unarchiving{lab, "unarchiving", ContainerKind::management};
const ContainerName limits{lab, "limits", ContainerKind::management};
const ContainerName restores{lab, "restores", ContainerKind::management};
const ContainerName everything{lab, "*", ContainerKind::management};

struct Placed {
  std::string kind, more;
  ContainerName container;
  bool frees, creates;
  std::vector<ContainerName> after;
};

const std::vector<Placed> kPlaced{
    {"project.create", "", management, false, true, {removals, waiting, removal_of_all}},
    {"project.update", R"(,"visibility":"pub")", management, false, false, {removals, waiting, removal_of_all}},
    {"project.update", R"(,"name":"other")", management, false, false, {removals, waiting, removal_of_all, everything}},
    {"project.update", R"(,"archived":false)", unarchiving, true, false, {removals, removal_of_all}},
    {"project.update", R"(,"archived":true)", removal_of_all, true, false, {everything}},
    {"project.delete", "", removal_of_all, true, false, {everything}},
    {"project.set_storage_limit", R"(,"bytes":5)", limits, true, false, {removals}},
    {"member.add", R"(,"user":"jo","role":"viewer")", jo, false, false, {removals, waiting, removal_of_all}},
    {"member.update", R"(,"user":"jo","role":"viewer")", jo, false, false, {removals, waiting, removal_of_all}},
    {"member.remove", R"(,"user":"jo")", removals, true, false, {jo, removal_of_all}},
    {"service_account.add",
     R"(,"account":"bot","role":"viewer")",
     bot,
     false,
     false,
     {removals, waiting, removal_of_all}},
    {"service_account.update",
     R"(,"account":"bot","role":"viewer")",
     bot,
     false,
     false,
     {removals, waiting, removal_of_all}},
    {"service_account.remove", R"(,"account":"bot")", removals, true, false, {bot, removal_of_all}},
    {"run.create", R"(,"run":"r-1")", run("r-1"), false, true, {removals, waiting, removal_of_all}},
    {"run.update", R"(,"run":"r-1","assign":{"a":1})", run("r-1"), false, false, {}},
    {"run.upload", R"(,"run":"r-1","attribute":"a","file":"/a")", files("r-1"), false, false, {}},
    {"run.trash",
     R"(,"runs":["r-1","r-2"])",
     removals,
     true,
     false,
     {restores, run("r-1"), files("r-1"), run("r-2"), files("r-2"), removal_of_all}},
    {"run.delete", R"(,"runs":["r-1"])", removals, true, false, {restores, run("r-1"), files("r-1"), removal_of_all}},
    {"run.archive", R"(,"runs":"r-1")", removals, true, false, {restores, run("r-1"), files("r-1"), removal_of_all}},
    {"run.restore", R"(,"runs":["r-1"])", restores, false, false, {removals, waiting, removal_of_all}},
    {"run.unarchive", R"(,"runs":["r-1"])", restores, false, false, {removals, waiting, removal_of_all}},
    {"trash.empty", "", removals, true, false, {restores}},
    {"model.create", R"(,"key":"FOREST")", model("FOREST"), false, true, {}},
    {"model.update", R"(,"model":"FOREST","assign":{"a":1})", model("FOREST"), false, false, {}},
    {"model.update", R"(,"model":"LAB-FOREST","assign":{"a":1})", model("LAB-FOREST"), false, false, {model("FOREST")}},
    {"model_version.create", R"(,"model":"FOREST")", model("FOREST"), false, false, {}},
    {"model_version.create", R"(,"model":"LAB-FOREST")", model("FOREST"), false, false, {model("LAB-FOREST")}},
    {"model_version.update",
     R"(,"model_version":"LAB-FOREST-3","assign":{"a":1})",
     {lab, "LAB-FOREST-3", ContainerKind::model_version},
     false,
     false,
     {model("LAB-FOREST"), model("FOREST")}},
    {"model_version.update",
     R"(,"model_version":"FOREST-3","assign":{"a":1})",
     {lab, "FOREST-3", ContainerKind::model_version},
     false,
     false,
     {model("FOREST")}},
    {"project.metadata", R"(,"assign":{"a":1})", {lab, "", ContainerKind::project}, false, false, {}},
};

class Placement : public ::testing::TestWithParam<Placed> {};

TEST_P(Placement, PutsEachKindIntoItsStream) {
  const auto& expected = GetParam();
  const auto change = accepted(body(expected.kind, expected.more));
  EXPECT_EQ(name(change.kind), expected.kind);
  EXPECT_EQ(change.container, expected.container) << change.container.label();
  EXPECT_EQ(change.frees, expected.frees);
  EXPECT_EQ(change.creates, expected.creates);
  EXPECT_EQ(change.after, expected.after);
  EXPECT_EQ(change.fork_parent, std::nullopt);
  EXPECT_FALSE(change.payload.empty());
  EXPECT_TRUE(change.idempotency_key.empty());
  EXPECT_FALSE(change.discard_pending);
}

INSTANTIATE_TEST_SUITE_P(Kinds, Placement, ::testing::ValuesIn(kPlaced), [](const auto& each) {
  auto text = each.param.kind;
  std::replace(text.begin(), text.end(), '.', '_');
  return text + "_" + std::to_string(each.index);
});

TEST(Placing, AnInvitationBelongsToItsWorkspace) {
  const auto change = accepted(R"({"kind":"workspace.invite","workspace":"ml-team","user":"jo","role":"member"})");
  EXPECT_EQ(change.container, (ContainerName{{"ml-team", ""}, "", ContainerKind::management}));
  EXPECT_THAT(change.after, IsEmpty());
  EXPECT_FALSE(change.frees || change.creates);
}

TEST(Placing, AForkNamesItsParent) {
  const auto change = accepted(body("run.create", R"(,"run":"child","fork":{"run":"root","step":49})"));
  EXPECT_EQ(change.fork_parent, run("root"));
}

TEST(Placing, KeysAndTheWishToDiscardAreTaken) {
  const auto change = accepted(body("run.trash", R"(,"runs":["a"],"idempotency_key":"k-1","discard_pending":true)"));
  EXPECT_EQ(change.idempotency_key, "k-1");
  EXPECT_TRUE(change.discard_pending);
  EXPECT_EQ(change.payload, R"({"kind":"run.trash","project":"ml-team/lab","runs":["a"],"discard_pending":true})");
  EXPECT_TRUE(read_management(change.payload));
}

TEST(Placing, OnlyWhatRemovesRunsOrProjectsCanDiscard) {
  for (const auto& each : kPlaced) {
    const auto changes = parse(body(each.kind, each.more + R"(,"discard_pending":true)"));
    const bool membership = each.kind.starts_with("member.") || each.kind.starts_with("service_account.");
    const bool may = each.container.kind == ContainerKind::removals && !membership;
    EXPECT_EQ(changes.has_value(), may) << each.kind;
    if (!changes) {
      EXPECT_EQ(changes.error().code, "nothing_to_discard") << each.kind;
    }
    EXPECT_TRUE(parse(body(each.kind, each.more + R"(,"discard_pending":false)"))) << each.kind;
  }
}

}  // namespace
}  // namespace neptune
