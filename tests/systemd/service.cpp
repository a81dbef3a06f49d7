#include "tests/systemd/service.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace neptune::testing {

using namespace std::chrono_literals;

namespace {

Process::Options as_service(const Box& box, const NotifySocket& manager, std::map<std::string, std::string> env) {
  env["NOTIFY_SOCKET"] = manager.path();
  return {
      .binary = binary("neptune-syncd"),
      .args = {"--config", box.dir() / "config.toml"},
      .env = std::move(env),
      .unset_env = {"NEPTUNE_API_TOKEN", "NEPTUNE_PROJECT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"},
      .output_dir = box.dir() / "output",
      .name = {},
      .working_dir = {}};
}

}  // namespace

Service::Service(Box& box, std::map<std::string, std::string> env)
    : manager_(box.dir() / "manager.sock"), daemon_(as_service(box, manager_, std::move(env))) {
  if (!manager_.wait("READY=1", 20s)) ADD_FAILURE() << "the daemon did not come up:\n" << daemon_.err();
}

std::ptrdiff_t Service::told(const std::string& line) const {
  return std::ranges::count(manager_.lines(), line);
}

bool Service::tells(const std::string& begin, const std::string& end) {
  const auto is_it = [&begin, &end](const std::string& line) { return line.starts_with(begin) && line.ends_with(end); };
  const auto until = std::chrono::steady_clock::now() + 20s;
  while (std::ranges::none_of(manager_.lines(), is_it)) {
    if (std::chrono::steady_clock::now() > until) return false;
    manager_.wait("", 100ms);
  }
  return true;
}

bool Service::reload() {
  const auto before = told("READY=1");
  daemon_.signal(SIGHUP);
  // Each wait takes in at least one more message, or what is there already.
  const auto until = std::chrono::steady_clock::now() + 10s;
  while (told("READY=1") == before && std::chrono::steady_clock::now() < until) manager_.wait("", 100ms);
  return told("READY=1") > before;
}

Ran ask(const Box& box, const std::string& socket, std::vector<std::string> args) {
  args.insert(args.begin(), {"--socket", socket});
  Process process({.binary = binary("neptune-sync"),
                   .args = std::move(args),
                   .env = {},
                   .unset_env = {"NEPTUNE_SYNC_SOCKET"},
                   .output_dir = box.dir() / "output",
                   .name = "ask",
                   .working_dir = {}});
  const auto status = process.wait(60s);
  return {status.value_or(-1), process.out(), process.err()};
}

void edit_config(const Box& box, const std::string& before, const std::string& after) {
  const auto file = box.dir() / "config.toml";
  std::ostringstream read;
  read << std::ifstream(file).rdbuf();
  auto text = read.str();
  const auto at = text.find(before);
  ASSERT_NE(at, std::string::npos) << text;
  text.replace(at, before.size(), after);
  std::ofstream(file) << text;
}

}  // namespace neptune::testing
