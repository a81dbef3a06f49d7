#include <gmock/gmock.h>

#include <fstream>
#include <set>

#include "changes/kinds.h"
#include "tests/unit/changes/parsed.h"

/// docs/local-api.md is held against what is accepted.
namespace neptune {
namespace {

std::string local_api_page() {
  std::ifstream file(SOURCE_DIR "/docs/local-api.md");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The lines of its block of examples.
std::string examples() {
  const auto page = local_api_page();
  const std::string mark = "```json tested by tests/unit/changes/docs_examples_test.cpp\n";
  const auto at = page.find(mark);
  if (at == std::string::npos) return "";
  return page.substr(at + mark.size(), page.find("```", at + mark.size()) - at - mark.size());
}

TEST(LocalApiPage, HasAnExampleOfEachKindAndAllAreAccepted) {
  std::istringstream lines(examples());
  std::set<ChangeKind> seen;
  for (std::string line; std::getline(lines, line);) seen.insert(accepted(line).kind);
  std::set<ChangeKind> there(every_kind().begin(), every_kind().end());
  there.erase(ChangeKind::client_operation);  // nobody hands it in
  EXPECT_EQ(seen, there);
}

TEST(LocalApiPage, SaysOfEachKindWhetherItNeedsPower) {
  std::istringstream page(local_api_page());
  int rows = 0;
  for (std::string line; std::getline(page, line);) {
    const auto end = line.starts_with("| `") ? line.find('`', 3) : std::string::npos;
    const auto kind = end == std::string::npos ? std::nullopt : change_kind(line.substr(3, end - 3));
    if (!kind) continue;
    ++rows;
    EXPECT_EQ(line.find("| power |") != std::string::npos, needs_power(*kind)) << line;
  }
  EXPECT_EQ(rows, 20);
}

}  // namespace
}  // namespace neptune
