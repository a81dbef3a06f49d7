#include <gtest/gtest.h>

#include <set>
#include <string_view>
#include <vector>

#include "changes/kinds.h"

namespace neptune {
namespace {

TEST(Kinds, KeepTheNumbersThatAreInEveryQueueOnDisk) {
  // A new one comes last, here as there: none of these ever moves.
  const std::vector<std::string_view> numbered{"project.create",
                                               "project.update",
                                               "project.delete",
                                               "project.set_storage_limit",
                                               "member.add",
                                               "member.update",
                                               "member.remove",
                                               "service_account.add",
                                               "service_account.update",
                                               "service_account.remove",
                                               "workspace.invite",
                                               "run.create",
                                               "run.update",
                                               "run.trash",
                                               "run.restore",
                                               "run.delete",
                                               "run.archive",
                                               "run.unarchive",
                                               "trash.empty",
                                               "model.create",
                                               "model.update",
                                               "model_version.create",
                                               "model_version.update",
                                               "project.metadata",
                                               "client.operation",
                                               "run.upload"};
  std::vector<std::string_view> names;
  for (const auto kind : every_kind()) {
    EXPECT_EQ(static_cast<std::size_t>(kind), names.size());
    names.push_back(name(kind));
  }
  EXPECT_EQ(names, numbered);
}

TEST(Kinds, EveryKindHasANameOfItsOwnThatLeadsBack) {
  std::set<std::string_view> names;
  for (const auto kind : every_kind()) {
    EXPECT_TRUE(names.insert(name(kind)).second) << name(kind);
    if (kind == ChangeKind::client_operation) {
      EXPECT_FALSE(change_kind(name(kind)));  // nobody hands it in
    } else {
      EXPECT_EQ(change_kind(name(kind)), kind);
    }
  }
  EXPECT_FALSE(change_kind("run.explode"));
  EXPECT_FALSE(change_kind(""));
}

TEST(Kinds, OnlyMetadataAndWhatHoldsItNeedsNoPower) {
  std::set<std::string_view> everybody;
  for (const auto kind : every_kind())
    if (!needs_power(kind)) everybody.insert(name(kind));
  EXPECT_EQ(everybody,
            (std::set<std::string_view>{"run.create", "run.update", "run.upload", "model.create", "model.update",
                                        "model_version.create", "model_version.update", "project.metadata"}));
}

}  // namespace
}  // namespace neptune
