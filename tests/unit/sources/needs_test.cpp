#include "sources/change_queue/needs.h"

#include <gtest/gtest.h>

namespace neptune::sources {
namespace {

TEST(Needs, ComeBackAsTheyWereWritten) {
  const ProjectName project{"ml team", "\u00fcn-i ^code"};
  const std::vector<ContainerName> names{
      {project, "", ContainerKind::management},
      {project, "*", ContainerKind::management},
      {project, "", ContainerKind::removals},
      {project, "", ContainerKind::project},
      {project, "^", ContainerKind::run},
      {project, "-", ContainerKind::run},
      {project, "-0 run", ContainerKind::run},
      {project, " two  spaces ", ContainerKind::run},
      {project, "\u8fd0\u884c/1", ContainerKind::run},
      {project, "MOD-1", ContainerKind::model_version},
      {project, "MOD", ContainerKind::model},
      {{"ws", ""}, "member jo", ContainerKind::management},
  };
  for (const auto& parent : names) {
    const auto needs = read_needs(write_needs({parent, names}));
    EXPECT_EQ(needs.fork_parent, parent);
    EXPECT_EQ(needs.after, names);
  }
}

TEST(Needs, OfAChangeThatWaitsForNothingAreEmpty) {
  EXPECT_EQ(write_needs({}), "");
  const auto needs = read_needs("");
  EXPECT_FALSE(needs.fork_parent);
  EXPECT_TRUE(needs.after.empty());
  EXPECT_FALSE(needs.discards);
}

TEST(Needs, SayOfARemovalThatItThrowsAwayWhatIsHeld) {
  const ContainerName run{{"ml team", "lab"}, "!", ContainerKind::run};
  for (const bool discards : {false, true}) {
    const auto needs = read_needs(write_needs({{}, {run}, discards}));
    EXPECT_EQ(needs.after, std::vector{run});
    EXPECT_EQ(needs.discards, discards);
  }
}

}  // namespace
}  // namespace neptune::sources
