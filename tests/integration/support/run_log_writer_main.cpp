// run-log-writer: a trainer in a process of its own. Prints "log PATH" once the log is there, "done {json}" after the
// last operation, then closes (after SIGTERM or SIGINT with --hold-open) as the official producer does.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <iostream>
#include <thread>
#include <vector>

#include "tests/integration/support/run_log_writer.h"

namespace {

using neptune::testing::RunLogWriter;
using std::chrono::steady_clock;

struct Settings {
  RunLogWriter::Options log;
  std::uint64_t points = 2, operations = 100, interval_ms = 0, first_step = 0;
  std::string fork_parent, prefix = "metrics/";
  std::uint64_t fork_step = 0;
  bool hold_open = false, keep = false;
};

void read_flags(CLI::App& app, Settings& settings) {
  app.add_option("--dir", settings.log.directory, "the log directory; made when missing")->required();
  app.add_option("--project", settings.log.project, "workspace/project")->required();
  app.add_option("--run", settings.log.run, "run id")->required();
  app.add_option("--experiment", settings.log.experiment);
  app.add_option("--points", settings.points, "series, each of which gets a point per operation");
  app.add_option("--ops", settings.operations, "operations after the create");
  app.add_option("--interval-ms", settings.interval_ms, "between two operations");
  app.add_option("--first-step", settings.first_step);
  app.add_option("--prefix", settings.prefix, "of the series' paths");
  app.add_option("--fork-parent", settings.fork_parent, "run id of the parent, in the same project");
  app.add_option("--fork-step", settings.fork_step);
  app.add_flag("--hold-open", settings.hold_open, "keep the log open until SIGTERM or SIGINT");
  app.add_flag("--keep", settings.keep, "leave an emptied log there when closing");
}

std::string report(const RunLogWriter& log, const Settings& settings, std::vector<double> commits_ms) {
  std::sort(commits_ms.begin(), commits_ms.end());
  const auto at = [&](double share) {
    if (commits_ms.empty()) return 0.0;
    return commits_ms[static_cast<std::size_t>(share * static_cast<double>(commits_ms.size() - 1))];
  };
  return boost::json::serialize(
      boost::json::object{{"path", log.path().string()},
                          {"ops", settings.operations},
                          {"points", settings.operations * settings.points},
                          {"commit_ms", {{"median", at(0.5)}, {"p95", at(0.95)}, {"max", at(1.0)}}}});
}

void write(RunLogWriter& log, const Settings& settings, std::vector<double>& commits_ms) {
  auto next = steady_clock::now();
  std::map<std::string, double> points;
  for (std::uint64_t op = 0; op < settings.operations; ++op) {
    const auto step = settings.first_step + op;
    for (std::uint64_t i = 0; i < settings.points; ++i)
      points[settings.prefix + std::to_string(i)] = static_cast<double>(step) + static_cast<double>(i) / 1000.0;
    log.append(step * 1'000'000, points);
    commits_ms.push_back(std::chrono::duration<double, std::milli>(log.last_commit()).count());
    next += std::chrono::milliseconds(settings.interval_ms);
    if (settings.interval_ms > 0) std::this_thread::sleep_until(next);
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Writes a run log as a trainer does"};
  Settings settings;
  read_flags(app, settings);
  CLI11_PARSE(app, argc, argv);
  if (!settings.fork_parent.empty()) settings.log.fork = {settings.fork_parent, settings.fork_step, {}};

  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  if (settings.hold_open) pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  try {
    RunLogWriter log(settings.log);
    std::cout << "log " << log.path().string() << std::endl;
    std::vector<double> commits_ms;
    commits_ms.reserve(settings.operations);
    write(log, settings, commits_ms);
    std::cout << "done " << report(log, settings, std::move(commits_ms)) << std::endl;
    int received = 0;
    if (settings.hold_open) sigwait(&ends, &received);
    log.close(!settings.keep);
  } catch (const std::exception& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
  return 0;
}
