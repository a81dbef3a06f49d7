#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <regex>

#include "tests/unit/layering/source_tree.h"

/// What pages and comments point to must be there.
namespace neptune::layering {
namespace {

using ::testing::IsEmpty;

/// Relative links of a page that lead nowhere. Links elsewhere and within the page are not followed.
std::vector<std::string> broken_links(const SourceFile& page) {
  const auto folder = std::filesystem::path(SOURCE_DIR) / std::filesystem::path(page.path).parent_path();
  const std::regex link("\\]\\(([^)#\\s]+)(#[^)]*)?\\)");
  std::vector<std::string> broken;
  for (std::sregex_iterator it(page.text.begin(), page.text.end(), link), end; it != end; ++it) {
    const std::string target = (*it)[1];
    if (target.find("://") == std::string::npos && !std::filesystem::exists(folder / target))
      broken.push_back(page.path + ": " + target);
  }
  return broken;
}

/// Sections of docs/protocol.md that a comment names and that are not there. The beginning of a title will do.
std::vector<std::string> unknown_sections(const SourceFile& file, const std::string& protocol) {
  // A comment may be broken anywhere: look at it as one line.
  const auto text = std::regex_replace(file.text, std::regex("\\s*\n\\s*(///?<?)?\\s*"), " ");
  const std::regex reference("docs/protocol\\.md[,:]? \\(?\"([^\"]+)\"");
  std::vector<std::string> unknown;
  for (std::sregex_iterator it(text.begin(), text.end(), reference), end; it != end; ++it)
    if (protocol.find("\n## " + (*it)[1].str()) == std::string::npos)
      unknown.push_back(file.path + ": " + (*it)[1].str());
  return unknown;
}

TEST(Documentation, EveryLinkLeadsToAFile) {
  auto pages = files_below({"docs"}, {".md"});
  for (const auto* page : {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}) pages.push_back(read_source(page));
  ASSERT_GT(pages.size(), 5u);
  for (const auto& page : pages) EXPECT_THAT(broken_links(page), IsEmpty());
}

TEST(Documentation, EverySectionThatCodeRefersToIsThere) {
  const auto protocol = read_source("docs/protocol.md").text;
  for (const auto& file : files_below({"daemon", "client", "tests"}, {".h", ".cpp", ".proto"}))
    if (!file.path.starts_with("tests/unit/layering/")) {
      EXPECT_THAT(unknown_sections(file, protocol), IsEmpty());
    }
}

/// Blocks of commands that are neither run by a test (tests/docs) nor said to be for somebody at the keyboard.
std::vector<std::string> unmarked_examples(const SourceFile& page) {
  const std::regex fence("(^|\n)```(sh|console|python|toml)([^\n]*)\n"), bare("\n```\n\\$ [^\n]*");
  std::vector<std::string> found;
  for (std::sregex_iterator it(page.text.begin(), page.text.end(), fence), end; it != end; ++it) {
    const std::string mark = (*it)[3];
    if (mark != " tested" && mark != " tested daemon" && mark != " tested script" && mark != " by-hand")
      found.push_back(page.path + ": " + (*it)[2].str() + mark);
  }
  for (std::sregex_iterator it(page.text.begin(), page.text.end(), bare), end; it != end; ++it)
    found.push_back(page.path + ": " + it->str().substr(5));
  return found;
}

std::size_t count_of(const std::string& text, const std::string& what) {
  std::size_t count = 0;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(Documentation, OnlyWhatBuildsOrTakesAMachineOfItsOwnIsLeftToAPerson) {
  const std::map<std::string, std::size_t> by_hand{
      {"README.md", 2}, {"CONTRIBUTING.md", 2}, {"docs/walkthrough.md", 1}, {"docs/operations.md", 3}};
  auto pages = files_below({"docs"}, {".md"});
  for (const auto* page : {"README.md", "CONTRIBUTING.md"}) pages.push_back(read_source(page));
  for (const auto& page : pages) {
    const auto found = by_hand.find(page.path);
    EXPECT_EQ(count_of(page.text, " by-hand\n"), found == by_hand.end() ? 0 : found->second) << page.path;
    // tests/docs runs these pages; a mark elsewhere would promise what nobody does.
    const bool is_run = page.path == "README.md" || std::filesystem::path(page.path).parent_path() == "docs";
    if (!is_run) {
      EXPECT_EQ(count_of(page.text, " tested\n"), 0u) << page.path;
    }
  }
}

TEST(Documentation, EveryExampleIsRunByATestOrSaysThatItIsNot) {
  auto pages = files_below({"docs"}, {".md"});
  for (const auto* page : {"README.md", "CONTRIBUTING.md"}) pages.push_back(read_source(page));
  for (const auto& page : pages) EXPECT_THAT(unmarked_examples(page), IsEmpty());
  EXPECT_EQ(unmarked_examples({"a.md", "text\n```sh\nls\n```\n"}), std::vector<std::string>{"a.md: sh"});
  EXPECT_EQ(unmarked_examples({"a.md", "text\n```\n$ ls\n```\n"}), std::vector<std::string>{"a.md: $ ls"});
}

TEST(Documentation, TheReadmeShowsAJobInOfflineModeAndAScriptThatIsRun) {
  const auto readme = read_source("README.md").text;
  const auto blocks_of = [&readme](const std::string& language) {
    std::string all;
    const std::regex block("\n```" + language + "\n([^`]*)\n```\n");
    for (std::sregex_iterator it(readme.begin(), readme.end(), block), end; it != end; ++it) all += (*it)[1];
    return all;
  };
  using ::testing::HasSubstr;
  // Without offline mode the job's own process has the log, and nothing on the page works.
  EXPECT_THAT(blocks_of("python by-hand"), HasSubstr("mode=\"offline\""));
  EXPECT_THAT(blocks_of("sh tested"),
              ::testing::AllOf(HasSubstr("neptune-sync run create"), HasSubstr("neptune-sync run log"),
                               HasSubstr("neptune-sync wait --run")));
}

/// As GitHub makes it of a heading.
std::string anchor_of(const std::string& heading) {
  std::string anchor;
  for (const char c : heading) {
    const auto lower = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    if (c == ' ')
      anchor += '-';
    else if (c == '-' || c == '_' || (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z'))
      anchor += lower;
  }
  return anchor;
}

TEST(Documentation, TheOperationsPageBeginsWithALinkToEachOfItsSections) {
  const auto page = read_source("docs/operations.md").text;
  const std::regex heading("\n## ([^\n]+)"), link("\\[([^\\]]+)\\]\\(#([^)]+)\\)");
  std::map<std::string, std::string> sections, listed;
  for (std::sregex_iterator it(page.begin(), page.end(), heading), end; it != end; ++it)
    sections[(*it)[1]] = anchor_of((*it)[1]);
  const auto top = page.substr(0, page.find("\n## "));
  for (std::sregex_iterator it(top.begin(), top.end(), link), end; it != end; ++it) listed[(*it)[1]] = (*it)[2];
  EXPECT_GT(sections.size(), 15u);
  EXPECT_EQ(listed, sections);
}

TEST(Documentation, ALinkThatLeadsNowhereIsFound) {
  EXPECT_EQ(broken_links({"docs/a.md", "[x](protocol.md#ingestion) [y](https://example.org/z) [z](nowhere.md)"}),
            std::vector<std::string>{"docs/a.md: nowhere.md"});
}

TEST(Documentation, ASectionThatIsMissingIsFoundAcrossLines) {
  const std::string protocol = "# Page\n\n## Sharing a log with a live process\n";
  EXPECT_THAT(unknown_sections({"a.h", "// (docs/protocol.md, \"Sharing a log\")"}, protocol), IsEmpty());
  EXPECT_EQ(unknown_sections({"a.h", "/// docs/protocol.md,\n  /// \"Nothing\""}, protocol),
            std::vector<std::string>{"a.h: Nothing"});
}

}  // namespace
}  // namespace neptune::layering
