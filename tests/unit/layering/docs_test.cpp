#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <regex>
#include <set>

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

/// What stands between backticks, on one line.
std::set<std::string> names_on(const SourceFile& page) {
  // Blocks are not names, and their fences are no pairs of backticks.
  const auto text = std::regex_replace(page.text, std::regex("```[^`]*```"), "");
  const std::regex span("`([^`\n]+)`");
  std::set<std::string> names;
  for (std::sregex_iterator it(text.begin(), text.end(), span), end; it != end; ++it) names.insert((*it)[1]);
  return names;
}

std::vector<SourceFile> all_pages() {
  auto pages = files_below({"docs", "tests"}, {".md"});
  for (const auto* page : {"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}) pages.push_back(read_source(page));
  return pages;
}

/// Every test of the sources, "Suite.Name".
std::set<std::string> tests_there() {
  const std::regex test("\\b(?:TEST|TEST_F|TEST_P|RC_GTEST_PROP)\\(\\s*(\\w+),\\s*(\\w+)");
  std::set<std::string> names;
  for (const auto& file : files_below({"tests"}, {".cpp"}))
    for (std::sregex_iterator it(file.text.begin(), file.text.end(), test), end; it != end; ++it)
      names.insert((*it)[1].str() + "." + (*it)[2].str());
  return names;
}

TEST(Documentation, EveryTestThatAPageNamesIsThere) {
  const auto there = tests_there();
  const std::regex test("[A-Z]\\w*\\.([A-Z]\\w*)?\\*?");
  std::size_t named = 0;
  for (const auto& page : all_pages())
    for (const auto& name : names_on(page)) {
      if (!std::regex_match(name, test)) continue;
      ++named;
      const auto begin = name.substr(0, name.find('*'));
      const auto first = there.lower_bound(begin);
      EXPECT_TRUE(first != there.end() && (begin == name ? *first == name : first->starts_with(begin)))
          << page.path << " names " << name;
    }
  EXPECT_GT(named, 15u);
}

/// What a page for contributors may name: the files, and every word in them.
struct Names {
  std::vector<std::string> files;
  std::set<std::string, std::less<>> words;
};

Names names_there() {
  Names there;
  auto sources = files_below({"daemon", "client", "tests"}, {".h", ".cpp", ".txt", ".md"});
  for (const auto* file : {"CMakePresets.json", "config.example.toml"}) sources.push_back(read_source(file));
  const auto part_of_a_word = [](char c) { return c == '_' || std::isalnum(static_cast<unsigned char>(c)) != 0; };
  for (const auto& source : sources) {
    there.files.push_back("/" + source.path);
    for (auto at = source.text.begin(); at != source.text.end();) {
      const auto begin = std::find_if(at, source.text.end(), part_of_a_word);
      at = std::find_if_not(begin, source.text.end(), part_of_a_word);
      there.words.emplace(begin, at);
    }
  }
  return there;
}

/// Whether a name of the code, or of a file or folder of it, is one; whatever else it may be is not looked into.
bool is_there(const Names& names, const std::string& name) {
  static const std::regex file("[\\w/]+\\.(h|cpp|toml|md)"), folder("(daemon|client|tests|docs|script)(/\\w+)+"),
      word("(?:\\w+::)?(\\w+)(?:<T>)?");
  std::smatch parts;
  if (std::regex_match(name, file))
    return std::ranges::any_of(names.files, [&name](const auto& path) { return path.ends_with("/" + name); });
  if (std::regex_match(name, folder))
    return name == "daemon/proto" /* generated */ || std::filesystem::exists(std::filesystem::path(SOURCE_DIR) / name);
  return !std::regex_match(name, parts, word) || names.words.contains(parts[1].str());
}

TEST(Documentation, WhatThePagesForContributorsNameIsThere) {
  const auto there = names_there();
  for (const auto* page : {"docs/architecture.md", "docs/extending.md", "CONTRIBUTING.md"})
    for (const auto& name : names_on(read_source(page)))
      EXPECT_TRUE(is_there(there, name)) << page << " names " << name;
  for (const auto* gone : {"impl/nowhere.cpp", "daemon/nowhere",
                           "no_such_"
                           "function"})
    EXPECT_FALSE(is_there(there, gone)) << gone;
}

TEST(Documentation, EveryLinkLeadsToAFile) {
  const auto pages = all_pages();
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

/// The test that a block's mark names, "tested by tests/...", if it does.
std::string named_test(const std::string& mark) {
  const std::string by = " tested by ";
  return mark.starts_with(by) ? mark.substr(by.size()) : "";
}

/// Whether a block with that mark is run: by tests/docs/run_examples, or by the test that the mark names, which finds
/// it by its mark on this page, or on every page.
bool is_run(const std::string& page, const std::string& language, const std::string& mark) {
  static const std::set<std::string> languages_run{"sh", "console", "python", "toml"};
  static const std::set<std::string> on_every_page{"tests/docs/run_in_a_clone", "tests/systemd/units_test.cpp"};
  if (mark == " tested" || mark == " tested daemon" || mark == " tested script") {
    static const std::set<std::string> pages_run{"README.md", "tests/sandbox/README.md"};
    return languages_run.contains(language) &&
           (pages_run.contains(page) || std::filesystem::path(page).parent_path() == "docs");
  }
  const auto test = named_test(mark);
  if (test.empty() || !std::filesystem::exists(std::filesystem::path(SOURCE_DIR) / test)) return false;
  const auto text = read_source(test).text;
  return text.find(language + mark) != std::string::npos &&
         (on_every_page.contains(test) ||
          text.find("/" + std::filesystem::path(page).filename().string()) != text.npos);
}

/// Blocks in a language, or of commands, behind which no test is.
std::vector<std::string> unrun_examples(const SourceFile& page) {
  const std::regex fence("(^|\n)```([^\\s`]+)([^\n]*)\n"), bare("\n```\n(\\$|neptune-|curl|sudo|script/)[^\n]*");
  std::vector<std::string> found;
  for (std::sregex_iterator it(page.text.begin(), page.text.end(), fence), end; it != end; ++it)
    if (!is_run(page.path, (*it)[2], (*it)[3])) found.push_back(page.path + ": " + (*it)[2].str() + (*it)[3].str());
  for (std::sregex_iterator it(page.text.begin(), page.text.end(), bare), end; it != end; ++it)
    found.push_back(page.path + ": " + it->str().substr(5));
  return found;
}

TEST(Documentation, EveryExampleIsRunByATest) {
  for (const auto& page : all_pages()) EXPECT_THAT(unrun_examples(page), IsEmpty());
}

TEST(Documentation, AnExampleThatNoTestRunsIsFound) {
  const auto found = [](const std::string& fence, const std::string& page = "docs/a.md") {
    return !unrun_examples({page, "text\n```" + fence + "\nls\n```\n"}).empty();
  };
  EXPECT_TRUE(found("sh"));
  EXPECT_TRUE(found("sh by-hand"));
  EXPECT_TRUE(found("\n$ ls"));
  EXPECT_TRUE(found("\ncurl localhost"));
  EXPECT_FALSE(found("sh tested"));
  EXPECT_TRUE(found("sh tested", "docs/decisions/a.md")) << "which nobody runs";
  EXPECT_TRUE(found("json tested")) << "which is not run as it is";
  EXPECT_TRUE(found("sh tested by tests/nowhere"));
  EXPECT_TRUE(found("sh tested by tests/package/boot")) << "which knows nothing of that page";
  EXPECT_TRUE(found("ini tested by tests/package/boot", "docs/operations.md")) << "which looks for another mark";
  EXPECT_FALSE(found("sh tested by tests/package/boot", "docs/operations.md"));
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
  EXPECT_THAT(blocks_of("python tested"), HasSubstr("mode=\"offline\""));
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
