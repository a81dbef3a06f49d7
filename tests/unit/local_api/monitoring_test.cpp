#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "local_api/impl/metrics.h"
#include "tests/unit/local_api/served.h"

// What docs/monitoring/ says of the metrics, against what the daemon tells.
namespace neptune::local_api {
namespace {

std::string text_of(const std::string& name) {
  std::ifstream file(std::string(NEPTUNE_DOCS) + "/monitoring/" + name);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// Every name that a query may use: of each family, and of the parts of a histogram.
std::set<std::string> told() {
  const auto text = metrics_text({}, {}, {}, from_unix_ms(0));
  const std::regex family("# TYPE (\\S+) (\\S+)");
  std::set<std::string> names;
  for (std::sregex_iterator it(text.begin(), text.end(), family), end; it != end; ++it) {
    names.insert((*it)[1]);
    if ((*it)[2] != "histogram") continue;
    for (const auto* part : {"_bucket", "_sum", "_count"}) names.insert((*it)[1].str() + part);
  }
  return names;
}

std::set<std::string> named_in(const std::string& text) {
  const std::regex name("\\b(neptune_sync|process)_[a-z_]*[a-z]\\b");
  std::set<std::string> names;
  for (std::sregex_iterator it(text.begin(), text.end(), name), end; it != end; ++it) names.insert((*it)[0]);
  return names;
}

TEST(Monitoring, TheAlertsAndTheDashboardNameOnlyMetricsThatAreTold) {
  auto there = told();
  there.insert("neptune_sync_up");  // is told by who asks
  for (const auto* file : {"alerts.yml", "dashboard.json"}) {
    const auto named = named_in(text_of(file));
    EXPECT_GT(named.size(), 8u) << file;
    for (const auto& name : named) EXPECT_TRUE(there.contains(name)) << file << " names " << name;
  }
}

TEST(Monitoring, ThePagesNameOnlyMetricsThatAreTold) {
  auto there = told();
  there.insert(
      {"neptune_sync_up", "neptune_sync_workspace"});  // the latter of "neptune_sync_workspace_...", which are many
  for (const auto* page : {"README.md", "../read-only-mode.md", "../operations.md", "../uploads.md"})
    for (const auto& name : named_in(text_of(page))) EXPECT_TRUE(there.contains(name)) << page << " names " << name;
}

TEST(Monitoring, PrometheusOwnToolFindsNoFaultWithTheRulesAndTheMetrics) {
  if (std::system("command -v promtool >/dev/null") != 0) GTEST_SKIP() << "there is no promtool here";
  EXPECT_EQ(std::system("promtool check rules " NEPTUNE_DOCS "/monitoring/alerts.yml >/dev/null"), 0);
  api::Status status;
  auto& workspace = status.workspaces.emplace_back();
  workspace.name = "ml-team";
  workspace.projects.emplace_back().name = "lab";
  engine::Metrics metrics;
  metrics.confirm_seconds[{"ml-team", "lab"}].observe(0.3);
  metrics.uploaded[{"ml-team", "lab"}] = {1, 2};
  const auto file = testing::TempDir() + "metrics-for-promtool";
  std::ofstream(file) << metrics_text(status, metrics, process_facts(), from_unix_ms(1767323047178));
  EXPECT_EQ(std::system(("promtool check metrics <" + file).c_str()), 0);
  std::filesystem::remove(file);
}

TEST(Monitoring, EachAlertIsThereWhenItIsToBe) {
  if (std::system("command -v promtool >/dev/null") != 0) GTEST_SKIP() << "there is no promtool here";
  std::ostringstream text;
  text << std::ifstream(ALERTS_TEST).rdbuf();
  const auto file = testing::TempDir() + "alerts_test.yml";
  std::ofstream(file) << std::regex_replace(text.str(), std::regex("\\[ALERTS\\]"),
                                            "[" NEPTUNE_DOCS "/monitoring/alerts.yml]");
  EXPECT_EQ(std::system(("promtool test rules " + file).c_str()), 0);
  std::filesystem::remove(file);
}

TEST(Monitoring, EachAlertIsTried) {
  std::ostringstream tried;
  tried << std::ifstream(ALERTS_TEST).rdbuf();
  const auto alerts = text_of("alerts.yml");
  const std::regex alert("- alert: (\\w+)");
  int found = 0;
  for (std::sregex_iterator it(alerts.begin(), alerts.end(), alert), end; it != end; ++it, ++found)
    EXPECT_NE(tried.str().find((*it)[1]), std::string::npos) << (*it)[1];
  EXPECT_GT(found, 10);
}

/// What node_exporter would pick up.
std::string picked_up(const std::filesystem::path& folder, const std::string& socket) {
  const auto file = folder / "neptune-sync.prom";
  const auto command = NEPTUNE_DOCS "/monitoring/neptune-sync-textfile " + file.string() + " " + socket;
  EXPECT_EQ(std::system((command + " 2>/dev/null").c_str()), 0);
  const auto left = std::distance(std::filesystem::directory_iterator(folder), {});
  EXPECT_EQ(left, 1) << "and nothing else stays";
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

TEST(Monitoring, TheFileForNodeExporterSaysThatTheDaemonIsGoneAndKeepsNoOldNumbers) {
  const auto folder = std::filesystem::path(testing::TempDir()) / ("textfile-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  test::Served served;
  served.on_loop([](test::FixedControl& control) { control.status_now.version = "0.1.0"; });
  const auto there = picked_up(folder, served.path());
  EXPECT_NE(there.find("\nneptune_sync_up 1\n"), std::string::npos) << there;
  EXPECT_NE(there.find("neptune_sync_build_info{version=\"0.1.0\"} 1\n"), std::string::npos) << there;
  EXPECT_EQ(there.find("process_"), std::string::npos) << there;
  served.stop();
  const auto gone = picked_up(folder, served.path());
  EXPECT_NE(gone.find("\nneptune_sync_up 0\n"), std::string::npos) << gone;
  EXPECT_EQ(gone.find("neptune_sync_build_info"), std::string::npos) << gone;
  std::filesystem::remove_all(folder);
}

TEST(Monitoring, ThePageNamesEveryMetric) {
  const auto page = text_of("README.md");
  const std::regex of_scope("neptune_sync_(workspace_)?(\\w+)");
  for (const auto& name : told()) {
    std::smatch parts;
    std::regex_match(name, parts, of_scope);
    const bool whole = page.find("`" + name + "`") != std::string::npos;
    const bool of_each_scope = !parts.empty() && page.find("`" + parts[2].str() + "`") != std::string::npos;
    const bool part_of_histogram = name.find("confirm_seconds_") != std::string::npos;
    EXPECT_TRUE(whole || of_each_scope || part_of_histogram) << name;
  }
}

}  // namespace
}  // namespace neptune::local_api
