#include <gtest/gtest.h>

#include <set>

#include "changes/change.h"

namespace neptune {
namespace {

constexpr int kinds = static_cast<int>(ChangeKind::run_upload) + 1;

TEST(Kinds, EveryKindHasANameOfItsOwnThatLeadsBack) {
  std::set<std::string_view> names;
  for (int i = 0; i < kinds; ++i) {
    const auto kind = static_cast<ChangeKind>(i);
    EXPECT_TRUE(names.insert(name(kind)).second) << name(kind);
    if (kind == ChangeKind::client_operation) {
      EXPECT_FALSE(change_kind(name(kind)));  // nobody hands it in
    } else {
      EXPECT_EQ(change_kind(name(kind)), kind);
    }
  }
  EXPECT_EQ(names.size(), 26u);
  EXPECT_TRUE(names.contains("service_account.remove"));
  EXPECT_FALSE(change_kind("run.explode"));
  EXPECT_FALSE(change_kind(""));
}

TEST(Kinds, OnlyMetadataAndWhatHoldsItNeedsNoPower) {
  std::set<std::string_view> everybody;
  for (int i = 0; i < kinds; ++i)
    if (!needs_power(static_cast<ChangeKind>(i))) everybody.insert(name(static_cast<ChangeKind>(i)));
  EXPECT_EQ(everybody,
            (std::set<std::string_view>{"run.create", "run.update", "run.upload", "model.create", "model.update",
                                        "model_version.create", "model_version.update", "project.metadata"}));
}

}  // namespace
}  // namespace neptune
