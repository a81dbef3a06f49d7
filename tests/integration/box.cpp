#include "tests/integration/box.h"

#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <thread>

#include "tests/integration/support/http_client.h"
#include "tests/integration/support/json.h"
#include "tests/integration/support/notify_socket.h"
#include "tests/integration/support/samples.h"

namespace neptune::testing {

using namespace std::chrono_literals;

namespace {

std::filesystem::path made(std::filesystem::path path) {
  std::filesystem::create_directories(path);
  return path;
}

}  // namespace

Box::Box(Options options) : options_(std::move(options)), sandbox_(made(dir_ / "sandbox"), options_.sandbox_args) {
  made(runs());
  made(dir_ / "output");
  write_config();
  if (options_.start) start_daemon();
}

Box::~Box() {
  if (::testing::Test::HasFailure() && daemon_) fmt::print("--- the daemon's log\n{}\n", daemon_->err());
}

void Box::write_config() {
  auto config = options_.config;
  constexpr std::string_view here = "@DIR@";
  for (auto at = config.find(here); at != std::string::npos; at = config.find(here, at))
    config.replace(at, here.size(), dir().string());
  std::ofstream(dir_ / "config.toml") << fmt::format(
      "state_dir = \"{5}\"\nsocket = \"{0}/api.sock\"\nlog_level = \"debug\"\n\n[server]\napi_token_file = "
      "\"{1}\"\n{2}\n\n"
      "[[watch]]\npath = \"{0}/runs\"\nkind = \"run-logs\"\ncleanup_after = \"{3}\"\n\n{4}\n",
      dir().string(), sandbox_.token_file().string(), options_.server, options_.cleanup_after, config,
      (options_.state_dir.empty() ? dir_ / "state" : options_.state_dir).string());
}

void Box::start_daemon() {
  NotifySocket ready(dir_ / "notify.sock");
  std::vector<std::string> command{binary("neptune-syncd"), "--config", dir_ / "config.toml"};
  if (!options_.reads_everything && ::geteuid() == 0)
    command.insert(command.begin(), {"/usr/bin/setpriv", "--bounding-set=-dac_override,-dac_read_search"});
  Process::Options process{
      .binary = command.front(),
      .args = {command.begin() + 1, command.end()},
      .env = {{"NOTIFY_SOCKET", ready.path()}},
      .unset_env = {"NEPTUNE_API_TOKEN", "NEPTUNE_PROJECT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"},
      .output_dir = dir_ / "output",
      .name = "neptune-syncd",
      .working_dir = {}};
  if (!options_.project.empty()) process.env["NEPTUNE_PROJECT"] = options_.project;
  if (!options_.preload.empty()) {
    process.env["LD_PRELOAD"] = options_.preload.string();
    process.env["NEPTUNE_READ_ONLY"] = (std::filesystem::canonical(dir()) / "state").string();
    process.env["ASAN_OPTIONS"] = "verify_asan_link_order=0";
  }
  daemon_.emplace(std::move(process));
  if (!ready.wait("READY=1", 20s)) ADD_FAILURE() << "the daemon did not come up:\n" << daemon_->err();
}

std::optional<int> Box::stop_daemon() {
  return daemon_->terminate(20s);
}

void Box::kill_daemon() {
  daemon_->kill();
}

Ran Box::sync(std::vector<std::string> args, std::chrono::milliseconds timeout) {
  args.insert(args.begin(), {"--socket", socket()});
  Process process({.binary = binary("neptune-sync"),
                   .args = std::move(args),
                   .env = {},
                   .unset_env = {"NEPTUNE_SYNC_SOCKET"},
                   .output_dir = dir_ / "output",
                   .name = fmt::format("neptune-sync-{}", ++commands_),
                   .working_dir = {}});
  const auto status = process.wait(timeout);
  return {status.value_or(-1), process.out(), process.err()};
}

Ran Box::sync_as(unsigned uid, std::vector<std::string> args) {
  const auto id = std::to_string(uid);
  args.insert(args.begin(),
              {"--reuid", id, "--regid", id, "--clear-groups", binary("neptune-sync"), "--socket", socket()});
  Process process({.binary = "/usr/bin/setpriv",
                   .args = std::move(args),
                   .env = {},
                   .unset_env = {"NEPTUNE_SYNC_SOCKET"},
                   .output_dir = dir_ / "output",
                   .name = fmt::format("neptune-sync-{}", ++commands_),
                   .working_dir = {}});
  const auto status = process.wait(60s);
  return {status.value_or(-1), process.out(), process.err()};
}

boost::json::value Box::get(const std::string& target) {
  return parse_json(http_unix(socket(), {.method = "GET", .target = target, .headers = {}, .body = {}}).body);
}

std::pair<unsigned, boost::json::value> Box::hand_in(const std::string& changes) {
  const auto answer = http_unix(
      socket(),
      {.method = "POST", .target = "/v1/changes", .headers = {{"Content-Type", "application/json"}}, .body = changes});
  return {answer.status, parse_json(answer.body)};
}

void Box::wait_synced(std::chrono::seconds timeout) {
  // "Everything" is what the daemon knows of: first let it see the logs that lie there.
  std::set<std::string> logs;
  for (const auto& log : run_logs_in(runs())) logs.insert(log.parent_path());
  const auto seen = wait_status([&logs](const boost::json::value& status) {
    auto missing = logs;
    for (const auto& source : status.at("sources").as_array())
      missing.erase(std::string(source.at("path").as_string()));
    return missing.empty();
  });
  EXPECT_TRUE(seen.first) << "a log was not found";
  const auto ran = sync({"wait", "--timeout", fmt::format("{}s", timeout.count())}, timeout + 10s);
  EXPECT_EQ(ran.status, 0) << ran.out << ran.err << sync({"status"}).out << sync({"streams"}).out;
}

std::pair<bool, boost::json::value> Box::wait_status(const std::function<bool(const boost::json::value&)>& holds,
                                                     std::chrono::milliseconds timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    auto status = get("/v1/status");
    const bool yes = holds(status);
    if (yes || std::chrono::steady_clock::now() > until) return {yes, std::move(status)};
    std::this_thread::sleep_for(20ms);
  }
}

std::uint64_t Box::peak_memory() const {
  std::ifstream status(fmt::format("/proc/{}/status", daemon_->pid()));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  return 0;
}

std::string differs_from_sample(Box& box, const std::string& sample) {
  const auto expected = read_json(test_data() / "run-logs" / sample / "expected.json");
  const auto state = box.sandbox().state();
  return first_difference(expected.at("runs"), state.at("runs"));
}

}  // namespace neptune::testing
