#include "support/file_set.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "tests/integration/support/temp_dir.h"
#include "tests/unit/support/descriptors.h"

namespace neptune {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FileSets : public ::testing::Test {
 protected:
  FileSets() {
    for (const auto* name : {"a.py", "b.txt", "src/c.py", "src/deep/d.py", "src/.hidden/e.py", ".f.py"}) make(name);
  }
  void make(const std::string& name) {
    std::filesystem::create_directories((dir / name).parent_path());
    std::ofstream(dir / name) << name;
  }
  std::vector<std::string> names(const std::vector<std::string>& patterns) {
    std::vector<std::string> absolute;
    for (const auto& pattern : patterns) absolute.push_back(dir.string() + pattern);
    const auto found = find_files(absolute, 1000);
    if (!found) return {found.error().code};
    std::vector<std::string> out;
    for (const auto& member : found->members) out.push_back(member.name);
    return out;
  }

  static constexpr auto open = std::filesystem::perms(0755);
  testing::TempDir temp;
  std::filesystem::path dir = temp.path();
};

TEST_F(FileSets, AreCalledByWhatTheirMatchesHaveInCommon) {
  EXPECT_THAT(names({"/a.py"}), ElementsAre("a.py"));
  EXPECT_THAT(names({"/*.py"}), ElementsAre("a.py"));
  EXPECT_THAT(names({"/[ab].*", "/a.py"}), ElementsAre("a.py", "b.txt"));
  EXPECT_THAT(names({"/src"}), ElementsAre(".hidden/e.py", "c.py", "deep/d.py"));
  EXPECT_THAT(names({"/src", "/a.py"}), ElementsAre("a.py", "src/.hidden/e.py", "src/c.py", "src/deep/d.py"));
  EXPECT_THAT(names({"/**/*.py"}), ElementsAre("a.py", "src/c.py", "src/deep/d.py"));
  EXPECT_THAT(names({"/src/**"}), ElementsAre(".hidden/e.py", "c.py", "deep/d.py"));
  EXPECT_THAT(names({"/.*.py"}), ElementsAre(".f.py"));
}

TEST_F(FileSets, WhatMatchesNothingIsNoError) {
  EXPECT_THAT(names({"/nothing", "/*.bin", "/a.py/*"}), IsEmpty());
  EXPECT_THAT(names({}), IsEmpty());
}

TEST_F(FileSets, PatternsThatLeadElsewhereAreRefused) {
  for (const auto* pattern : {"a.py", "", "../a.py"})
    EXPECT_EQ(find_files({pattern}, 1000).error().code, "file_path_invalid") << pattern;
  EXPECT_THAT(names({"/src/../a.py"}), ElementsAre("file_path_invalid"));
}

TEST_F(FileSets, LinksAreToldAndNotFollowed) {
  std::filesystem::create_directory_symlink("/etc", dir / "src" / "deep" / "link");
  EXPECT_THAT(names({"/src/deep"}), ElementsAre("d.py", "link"));
  EXPECT_THAT(names({"/**/passwd"}), IsEmpty());
}

TEST_F(FileSets, WhatStaysUnreadableUntilSomebodyMendsItIsNoPassingTrouble) {
  const auto found = find_files({dir.string() + "/" + std::string(300, 'x') + "/*"}, 1000);
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code, "file_unreadable");
  EXPECT_FALSE(found.error().retryable);
  EXPECT_EQ(find_files({dir.string() + "/" + std::string(300, 'x')}, 1000).error().code, "file_unreadable");
}

TEST_F(FileSets, ForWantOfDescriptorsTheyAreLookedForAgain) {
  if (test::needs_descriptors) GTEST_SKIP() << "the sanitizers need descriptors of their own";
  const auto found = [this] {
    const test::DescriptorLimit none(0);
    return find_files({dir.string() + "/*"}, 1000);
  }();
  ASSERT_FALSE(found.has_value());
  EXPECT_EQ(found.error().code, "file_unreadable_now");
  EXPECT_TRUE(found.error().retryable);
}

TEST_F(FileSets, FoldersAreLookedIntoForSomebodyElseOnlyWhenTheyAreTheirsOrEverybodys) {
  const auto reader = ::geteuid() + 1;
  const auto code = [this, reader](const std::string& pattern) {
    const auto found = find_files({dir.string() + pattern}, 1000, reader);
    return found ? std::string() : found.error().code;
  };
  for (const auto& folder : {dir, dir / "src", dir / "src/deep"}) std::filesystem::permissions(folder, open);
  EXPECT_EQ(code("/src/**/*.py"), "");
  std::filesystem::permissions(dir / "src/deep", std::filesystem::perms(0711));
  EXPECT_EQ(code("/src/deep/*.py"), "file_not_theirs");
  EXPECT_EQ(code("/src/**/*.py"), "file_not_theirs");
  EXPECT_EQ(code("/src"), "file_not_theirs") << "all that is in a folder";
  std::filesystem::permissions(dir / "src/deep", open);
  std::filesystem::permissions(dir, std::filesystem::perms(0700));
  EXPECT_EQ(code("/src/*.py"), "file_not_theirs") << "a folder above it is closed";
  for (const std::uint32_t other : {::geteuid(), uid_t{0}})
    EXPECT_TRUE(find_files({dir.string() + "/src/*.py"}, 1000, other).has_value());
}

TEST_F(FileSets, TooManyAreRefused) {
  EXPECT_EQ(find_files({dir.string() + "/**"}, 3).error().code, "file_set_too_large");
}

}  // namespace
}  // namespace neptune
