#include "tests/integration/upkeep.h"

#include <fmt/format.h>

#include <cstdlib>
#include <sstream>

namespace neptune::testing {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

void Upkeep::SetUp() {
  // An installed client finds the daemon's program beside itself.
  if (const char* path = std::getenv("PATH")) path_ = path;
  ::setenv("PATH", (binary("neptune-syncd").parent_path().string() + ":" + path_).c_str(), 1);
}

void Upkeep::TearDown() {
  ::setenv("PATH", path_.c_str(), 1);
}

void Upkeep::fill(Box& of, int updates) {
  ASSERT_EQ(of.sync({"hold", "ml-team"}).status, 0);
  std::string changes = R"([{"kind": "run.create", "project": "ml-team/lab", "run": "r-1"})";
  for (int step = 1; step <= updates; ++step)
    changes += fmt::format(
        R"(, {{"kind": "run.update", "project": "ml-team/lab", "run": "r-1", "step": {0}, "append": {{"loss": {0}.5}}}})",
        step);
  ASSERT_EQ(of.hand_in(changes + "]").first, 202u);
}

Ran Upkeep::upkeep(Box& of, std::vector<std::string> args) {
  args.insert(args.end(), {"--config", of.dir() / "config.toml"});
  return of.sync(std::move(args));
}

}  // namespace neptune::testing
