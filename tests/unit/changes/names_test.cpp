#include "changes/names.h"

#include <gtest/gtest.h>

#include "changes/ingest_code.h"

namespace neptune {
namespace {

TEST(Names, AProjectNameIsWorkspaceAndProject) {
  const auto name = ProjectName::parse("ml-team/classification");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->workspace, "ml-team");
  EXPECT_EQ(name->project, "classification");
  EXPECT_EQ(name->full(), "ml-team/classification");
}

TEST(Names, RefusesAProjectNameWithoutBothHalves) {
  for (const char* bad : {"", "ml-team", "/classification", "ml-team/", "a/b/c", "/"})
    EXPECT_FALSE(ProjectName::parse(bad)) << bad;
}

TEST(Names, AScopeIsAWorkspaceOrAProject) {
  EXPECT_TRUE(Scope::parse("ml-team")->is_workspace());
  EXPECT_EQ(Scope::parse("ml-team/x")->text(), "ml-team/x");
  EXPECT_FALSE(Scope::parse(""));
  EXPECT_FALSE(Scope::parse("a/b/c"));
  EXPECT_FALSE(Scope::parse("ml-team\nlevel=error"));
}

TEST(Names, TellsIngestCodesByTheirName) {
  EXPECT_EQ(name(IngestCode::series_step_non_increasing), "SERIES_STEP_NON_INCREASING");
  EXPECT_EQ(name(static_cast<IngestCode>(99)), "INGEST_CODE_99");
}

}  // namespace
}  // namespace neptune
