#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <regex>
#include <set>
#include <sstream>

#include "client/man/page.h"

// The manual pages as they are installed, against what the programs themselves say.
namespace neptune::man {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::string output_of(const std::string& command) {
  std::string out;
  auto* pipe = ::popen(command.c_str(), "r");
  std::array<char, 4096> piece{};
  while (const auto got = std::fread(piece.data(), 1, piece.size(), pipe)) out.append(piece.data(), got);
  ::pclose(pipe);
  return out;
}

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

bool can_render() {
  return std::system("command -v man >/dev/null && command -v groff >/dev/null") == 0;
}

std::string rendered(const std::string& page) {
  return output_of("MANWIDTH=500 MAN_KEEP_FORMATTING= man -E UTF-8 -l " NEPTUNE_PAGES "/" + page + " | col -bx");
}

/// The words that begin the lines of one part of a help text: "  -f,--follow   Go on" → "-f,--follow".
std::vector<std::string> listed(const std::string& help, const std::string& part) {
  std::vector<std::string> names;
  std::istringstream lines(help);
  std::string line;
  while (std::getline(lines, line) && line != part + ":") {
  }
  while (std::getline(lines, line) && !line.empty())
    if (line.starts_with("  ") && line[2] != ' ') names.push_back(line.substr(2, line.find(' ', 2) - 2));
  return names;
}

/// What a rendered page says of one verb, up to the next; of none: all of it.
std::string part_of(const std::string& page, const std::string& path) {
  if (path.empty()) return page;
  const auto heading = "\n   " + path;
  auto begin = page.find(heading + "\n");
  if (begin == std::string::npos) begin = page.find(heading + " ");
  if (begin == std::string::npos) return {};
  auto end = begin + heading.size();
  do end = page.find("\n", end + 1);
  while (end != std::string::npos && (page.compare(end, 5, "\n    ") == 0 || page.compare(end, 2, "\n\n") == 0));
  return page.substr(begin, end - begin);
}

/// What one verb's help names and the page does not; then the same of those below it.
void compare(const std::string& page, const std::string& path, std::vector<std::string>& missing, int& compared) {
  const auto help = output_of(NEPTUNE_SYNC + (path.empty() ? "" : " " + path) + " --help");
  const auto own = part_of(page, path);
  if (own.empty()) {
    missing.push_back(path);
    return;
  }
  for (const auto& names : listed(help, "Options")) {
    if (!path.empty() && names == "-h,--help") continue;
    const auto written = std::regex_replace(names, std::regex(","), ", ");
    if (own.find("       " + written) == std::string::npos) missing.push_back(path + " " + names);
    ++compared;
  }
  for (const auto& name : listed(help, "Arguments"))
    if (own.find("       " + name) == std::string::npos) missing.push_back(path + " " + name);
  for (const auto& verb : listed(help, "Commands"))
    compare(page, path.empty() ? verb : path + " " + verb, missing, compared);
}

TEST(ManualPages, HaveEveryVerbArgumentAndOptionOfTheHelp) {
  if (!can_render()) GTEST_SKIP() << "there is no man here";
  const auto page = rendered("neptune-sync.1");
  std::vector<std::string> missing;
  int compared = 0;
  compare(page, {}, missing, compared);
  EXPECT_THAT(missing, IsEmpty()) << page.substr(0, 3000);
  EXPECT_GT(compared, 50);
  const auto daemon = rendered("neptune-syncd.8");
  for (const auto& names : listed(output_of(NEPTUNE_SYNCD " --help"), "Options"))
    EXPECT_THAT(daemon, HasSubstr("       " + std::regex_replace(names, std::regex(","), ", ")));
}

TEST(ManualPages, NameTheVariablesThatTheCommandListensTo) {
  if (!can_render()) GTEST_SKIP() << "there is no man here";
  const auto page = rendered("neptune-sync.1");
  const auto about = page.substr(std::min(page.find("\nENVIRONMENT\n"), page.size()));
  for (const auto* variable : {"NEPTUNE_SYNC_SOCKET", "NEPTUNE_PROJECT", "NO_COLOR"})
    EXPECT_THAT(about, HasSubstr("\n       " + std::string(variable) + "\n"));
}

TEST(ManualPages, HaveAnExampleOfEveryVerb) {
  const auto page = text_of(NEPTUNE_PAGES "/neptune-sync.1");
  const auto begin = page.find("EXAMPLES");
  ASSERT_NE(begin, std::string::npos);
  for (const auto& verb : listed(output_of(NEPTUNE_SYNC " --help"), "Commands"))
    EXPECT_NE(page.find("neptune\\-sync " + verb, begin), std::string::npos) << verb;
}

/// Goes through the help of a command and of those below it.
void each_help(const std::string& path, const std::function<void(const std::string&, const std::string&)>& look) {
  const auto help = output_of(NEPTUNE_SYNC + (path.empty() ? "" : " " + path) + " --help");
  look(path, help);
  for (const auto& command : listed(help, "Commands")) each_help(path.empty() ? command : path + " " + command, look);
}

TEST(Help, OfEachCommandHasAnExampleOfItAndFitsATerminal) {
  int commands = 0;
  const auto look = [&commands](const std::string& path, const std::string& help) {
    ++commands;
    EXPECT_THAT(help, HasSubstr("\nExamples:\n  # ")) << path;
    EXPECT_THAT(help, HasSubstr("\n  neptune-sync " + path)) << path;
    std::istringstream lines(help);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << path << ": " << line;
  };
  each_help("", look);
  EXPECT_GT(commands, 50);
  std::istringstream lines(output_of(NEPTUNE_SYNCD " --help"));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
}

TEST(Help, SaysOfAnArgumentWhatItTakesAndWhatItsDefaultIs) {
  const auto help = output_of(NEPTUNE_SYNC " rejected --help");
  EXPECT_THAT(help, HasSubstr("\nUsage: neptune-sync rejected [OPTIONS] [COMMAND]\n"));
  EXPECT_THAT(help, HasSubstr("\n  --limit NUMBER          How many at most (from 1 to 1000; default: 100)\n"));
  EXPECT_THAT(output_of(NEPTUNE_SYNC " run log --help"),
              ::testing::AllOf(HasSubstr("\nUsage: neptune-sync run log [OPTIONS] RUN [NAME=VALUE...]\n"),
                               HasSubstr("\n  NAME=VALUE              With --step,"),
                               HasSubstr("(else\n                          $NEPTUNE_PROJECT)\n")));
}

/// Each command line of the EXAMPLES, as a shell reads it.
std::vector<std::string> examples_of(const std::string& page) {
  std::vector<std::string> found;
  std::istringstream lines(page.substr(page.find("EXAMPLES")));
  for (std::string line; std::getline(lines, line);) {
    const auto begin = line.find("neptune\\-sync ");
    if (begin == std::string::npos || line.starts_with(".BR")) continue;
    line = line.substr(begin, line.find("\\fR", begin) - begin);
    line = std::regex_replace(line, std::regex("\\\\\\(aq"), "'");
    for (std::size_t at = 0; (at = line.find('\\', at)) != std::string::npos; ++at) line.erase(at, 1);
    found.push_back(line);
  }
  return found;
}

TEST(ManualPages, EachExampleIsACommandLineThatIsUnderstood) {
  const auto examples = examples_of(output_of(NEPTUNE_SYNC " --man-page"));
  EXPECT_GT(examples.size(), 15u);
  for (const auto& example : examples) {
    const auto arguments = example.substr(std::string("neptune-sync").size());
    const auto line = "cd $(mktemp -d) && { " NEPTUNE_SYNC " --socket /nowhere" + arguments +
                      "; } >/dev/null 2>&1 </dev/null; echo $?; rm -r \"$PWD\"";
    const auto status = output_of(line);
    EXPECT_NE(status, "2\n") << example << " is a wrong usage";
    EXPECT_NE(status, "127\n") << example;
  }
}

/// Every `neptune-sync ...` that stands in the text of a page, without the brackets of what may be left out.
std::set<std::string> commands_on(const std::string& page) {
  const std::regex block("```[^`]*```"), span("`(neptune-sync [^`]+)`"), brackets("[\\[\\]]"), space("\\s+");
  const auto text = std::regex_replace(text_of(page), block, "");
  std::set<std::string> found;
  for (std::sregex_iterator it(text.begin(), text.end(), span), end; it != end; ++it)
    found.insert(std::regex_replace(std::regex_replace((*it)[1].str(), brackets, ""), space, " "));
  return found;
}

TEST(Documentation, EveryCommandInThePagesIsOneOrNamesOne) {
  std::set<std::string> commands;
  for (const auto& page : std::filesystem::recursive_directory_iterator(NEPTUNE_DOCS))
    if (page.path().extension() == ".md") commands.merge(commands_on(page.path()));
  commands.merge(commands_on(NEPTUNE_DOCS "/../README.md"));
  EXPECT_GT(commands.size(), 30u);
  for (const auto& command : commands) {
    const auto arguments = command.substr(std::string("neptune-sync").size());
    // Understood as it stands, but for the daemon, which is not there; or the words alone of a command that wants more.
    const auto in_a_folder = [&arguments](const std::string& more) {
      return output_of("cd $(mktemp -d) && touch FILE && { NEPTUNE_PROJECT=w/p timeout 5 " NEPTUNE_SYNC
                       " --socket /nowhere" +
                       arguments + more + "; } 2>&1 </dev/null; echo \"status $?\"; rm -r \"$PWD\"");
    };
    const bool is_one = in_a_folder("").find("status 2\n") == std::string::npos;
    const bool names_one = in_a_folder(" --help").find("Usage: " + command) != std::string::npos;
    EXPECT_TRUE(is_one || names_one) << command;
  }
}

TEST(ManualPages, AreReadWithoutAWarning) {
  if (!can_render()) GTEST_SKIP() << "there is no man here";
  for (const auto* page : {"neptune-sync.1", "neptune-syncd.8", "neptune-syncd.toml.5"})
    EXPECT_EQ(output_of(std::string("man --warnings -E UTF-8 -l " NEPTUNE_PAGES "/") + page + " 2>&1 >/dev/null"), "");
}

TEST(ManualPages, OfTheConfigurationHasEveryKeyOfTheExample) {
  const auto page = text_of(NEPTUNE_PAGES "/neptune-syncd.toml.5");
  const auto example = text_of(NEPTUNE_EXAMPLE);
  const std::regex key("(^|\n)#?([a-z_]+) = ");
  std::set<std::string> keys;
  for (std::sregex_iterator it(example.begin(), example.end(), key), end; it != end; ++it) keys.insert((*it)[2]);
  EXPECT_GT(keys.size(), 20u);
  for (const auto& each : keys) EXPECT_THAT(page, HasSubstr("\\fB" + each + "\\fR = "));
}

TEST(ManualPages, TheTableOfTheConfigurationPageHasTheKeysOfTheExample) {
  const auto keys_of = [](const std::string& text, const char* pattern) {
    std::set<std::string> keys;
    const std::regex key(pattern);
    for (std::sregex_iterator it(text.begin(), text.end(), key), end; it != end; ++it) keys.insert((*it)[1]);
    return keys;
  };
  EXPECT_EQ(keys_of(text_of(NEPTUNE_DOCS "/configuration.md"), "\n\\| `([a-z_]+)` \\|"),
            keys_of(text_of(NEPTUNE_EXAMPLE), "\n#?([a-z_]+) = "));
}

TEST(Roff, TextIsNeverTakenForARequestOrAnEscape) {
  const Command program{.name = "p",
                        .description = "Does.",
                        .arguments = {{.names = {"--a"},
                                       .positional = false,
                                       .value = {},
                                       .description = ".so /etc/passwd \\fB 'x' \"y\"",
                                       .limits = {},
                                       .preset = {},
                                       .environment = {}}},
                        .commands = {}};
  const auto page = manual(program, {.number = "1", .version = "1", .sections = {}, .see_also = {}});
  EXPECT_THAT(page, HasSubstr("\n\\&.so /etc/passwd \\efB \\(aqx\\(aq \\(dqy\\(dq\n"));
}

TEST(Roff, AConfigurationsKeysWithOneCommentShareIt) {
  const auto page = config_manual("c", "# What it is.\n\n[t]\n# Both.\na = 1\n#b = \"-\"\n\n# Other.\nc = 2\n",
                                  {.number = "5", .version = "1", .sections = {}, .see_also = {}});
  EXPECT_THAT(page, HasSubstr(".SS \"\\fB[t]\\fR\"\n.TP\n\\fBa\\fR = 1\n.TQ\n\\fBb\\fR = "
                              "\\(dq\\-\\(dq\nBoth.\n.TP\n\\fBc\\fR = 2\nOther.\n"));
}

}  // namespace
}  // namespace neptune::man
