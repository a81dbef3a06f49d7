#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <regex>
#include <set>

#include "tests/unit/layering/source_tree.h"

/// Which folder may include from which. The table of docs/architecture.md ("Who may include whom") is the rule; this
/// test holds the tree to it.
namespace neptune::layering {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// For each folder ("daemon/core", "client/lib") what it may include from besides itself: folders, or single headers.
using Graph = std::map<std::string, std::set<std::string>>;

/// Rows like "| `daemon/core` | `daemon/changes` · `daemon/support` | why |" below the heading.
Graph documented_graph() {
  const auto page = read_source("docs/architecture.md").text;
  const auto begin = page.find("## Who may include whom");
  Graph graph;
  if (begin == std::string::npos) return graph;
  const auto section = page.substr(begin, page.find("\n## ", begin + 1) - begin);
  const std::regex row("\\| `([a-z0-9_./]+)` \\|([^|]*)\\|"), name("`([a-z0-9_./]+)`");
  for (std::sregex_iterator it(section.begin(), section.end(), row), end; it != end; ++it) {
    auto& uses = graph[(*it)[1]];
    const std::string cell = (*it)[2];
    for (std::sregex_iterator each(cell.begin(), cell.end(), name); each != end; ++each) uses.insert((*each)[1]);
  }
  return graph;
}

/// "daemon/core/impl/a.h" belongs to "daemon/core"; a file beside the folders, to itself.
std::string folder_of(const std::string& path) {
  const auto first = path.find('/');
  const auto second = path.find('/', first + 1);
  return second == std::string::npos ? path : path.substr(0, second);
}

/// Where a quoted include leads: the daemon's folders are included from daemon/, everything else from the root.
std::string target_of(const std::string& include) {
  for (const auto* root : {"client/", "tests/", "daemon/"})
    if (include.starts_with(root)) return include;
  return "daemon/" + include;
}

/// What is wrong with an include; empty when nothing is.
std::string objection(const Graph& graph, const std::string& file, const std::string& include) {
  const auto from = folder_of(file), target = target_of(include), to = folder_of(target);
  if (include.starts_with("../") || include.starts_with("./"))
    return "write it from the root of the daemon or the tree";
  if (from == to) return {};
  const auto row = graph.find(from);
  if (row == graph.end()) return from + " has no row in docs/architecture.md";
  if (!row->second.contains(to) && !row->second.contains(target)) return from + " may not use " + to;
  if (target.starts_with(to + "/impl/")) return "impl/ is private to " + to;
  return {};
}

std::vector<std::string> objections(const Graph& graph, const std::vector<SourceFile>& files) {
  std::vector<std::string> found;
  for (const auto& file : files)
    for (const auto& [include, line] : quoted_includes(file))
      if (const auto what = objection(graph, file.path, include); !what.empty())
        found.push_back(file.path + ":" + std::to_string(line) + ": \"" + include + "\": " + what);
  return found;
}

TEST(Includes, FollowTheTableOfTheArchitecturePage) {
  const auto files = files_below({"daemon", "client"}, {".h", ".cpp"});
  ASSERT_GT(files.size(), 20u);
  EXPECT_THAT(objections(documented_graph(), files), IsEmpty());
}

TEST(Includes, EveryFolderHasARowInTheTable) {
  const auto graph = documented_graph();
  for (const auto& file : files_below({"daemon", "client"}, {".cpp", ".h"}))
    EXPECT_TRUE(graph.contains(folder_of(file.path))) << file.path;
}

TEST(Includes, TheTableHasNoCircle) {
  auto graph = documented_graph();
  ASSERT_GT(graph.size(), 8u);
  // Take away, again and again, what uses nothing that is left; a circle never goes.
  for (bool removed = true; removed;) {
    removed = false;
    for (auto it = graph.begin(); it != graph.end();) {
      const bool free = std::ranges::none_of(it->second, [&graph](const auto& use) { return graph.contains(use); });
      removed |= free;
      it = free ? graph.erase(it) : std::next(it);
    }
  }
  EXPECT_THAT(graph, IsEmpty());
}

TEST(Includes, TheLibrariesLinkNoMoreThanTheTableAllows) {
  const auto graph = documented_graph();
  const std::regex library("neptune_([a-z_]+)");
  for (const auto& file : files_below({"daemon"}, {"CMakeLists.txt"})) {
    const auto from = folder_of(file.path);
    if (!graph.contains(from)) continue;
    for (std::sregex_iterator it(file.text.begin(), file.text.end(), library), end; it != end; ++it) {
      const auto to = "daemon/" + (*it)[1].str();
      const bool allowed = to == from || !graph.contains(to) || graph.at(from).contains(to);
      EXPECT_TRUE(allowed) << file.path << " links " << to;
    }
  }
}

const Graph kGraph{{"daemon/core", {"daemon/support"}},
                   {"daemon/engine", {"daemon/core", "client/lib/types.h"}},
                   {"daemon/support", {}},
                   {"client/lib", {"daemon/support/error.h"}}};

TEST(ForbiddenIncludes, AreFoundByFileAndLine) {
  const SourceFile file{"daemon/core/gate.h", "#pragma once\n#include <vector>\n#include \"engine/engine.h\"\n"};
  EXPECT_THAT(objections(kGraph, {file}),
              ElementsAre("daemon/core/gate.h:3: \"engine/engine.h\": daemon/core may not use daemon/engine"));
}

TEST(ForbiddenIncludes, AreThoseUpwardsSidewaysAndIntoPrivateParts) {
  const auto bad = [](const char* file, const char* include) { return !objection(kGraph, file, include).empty(); };
  EXPECT_FALSE(bad("daemon/core/gate.cpp", "core/impl/timers.h"));
  EXPECT_FALSE(bad("daemon/core/gate.cpp", "support/clock.h"));
  EXPECT_FALSE(bad("daemon/engine/engine.h", "client/lib/types.h"));
  EXPECT_FALSE(bad("client/lib/api.h", "support/error.h"));
  EXPECT_TRUE(bad("daemon/support/clock.h", "core/gate.h"));
  EXPECT_TRUE(bad("daemon/engine/engine.h", "core/impl/timers.h"));
  EXPECT_TRUE(bad("daemon/engine/engine.h", "client/lib/api.h"));
  EXPECT_TRUE(bad("client/lib/api.h", "support/sqlite.h"));
  EXPECT_TRUE(bad("client/lib/api.h", "client/cli/verbs.h"));
  EXPECT_TRUE(bad("daemon/core/gate.cpp", "tests/unit/core/histories.h"));
  EXPECT_TRUE(bad("daemon/core/gate.cpp", "../support/clock.h"));
  EXPECT_TRUE(bad("daemon/novel/novel.h", "support/clock.h"));
}

}  // namespace
}  // namespace neptune::layering
