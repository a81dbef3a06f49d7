// Long measurements with the real binaries, too long or too dependent on a quiet machine for the tests: see
// docs/campaigns.md.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "tests/campaign/backlog.h"
#include "tests/campaign/changes.h"
#include "tests/campaign/uploads.h"
#include "tests/integration/box.h"
#include "tests/integration/signals.h"
#include "tests/integration/support/json.h"
#include "tests/integration/support/run_log_writer.h"
#include "tests/integration/support/sandbox.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
using Milliseconds = std::chrono::duration<double, std::milli>;

struct Spread {
  double median, p95, most;
};

Spread spread(std::vector<double> values) {
  if (values.empty()) return {};
  std::ranges::sort(values);
  return {values[values.size() / 2], values[values.size() * 95 / 100], values.back()};
}

std::unique_ptr<RunLogWriter> open_log(const Box& box, const std::string& run) {
  return std::make_unique<RunLogWriter>(RunLogWriter::Options{
      .directory = box.runs(), .project = "ml-team/classification", .run = run, .experiment = {}, .fork = {}});
}

void write_closed(const Box& box, const std::string& run, int operations, int points) {
  const auto log = open_log(box, run);
  std::map<std::string, double> values;
  for (int i = 1; i <= operations; ++i) {
    for (int p = 0; p < points; ++p) values[fmt::format("train/m{}", p)] = 1.0 / (i + p);
    log->append(static_cast<std::uint64_t>(i) * 1'000'000, values);
  }
  log->close(false);
}

std::int64_t total(Box& box, const char* what) {
  return box.get("/v1/status").at("totals").at(what).as_int64();
}

/// SIGKILL at random moments of a drain; a kill counts only while something is unsettled.
bool kills(int wanted) {
  constexpr int runs = 100, operations = 150;
  Box box({.server = "max_in_flight = 1", .start = false});
  for (int r = 0; r < runs; ++r) write_closed(box, fmt::format("r-{:02}", r), operations, 1);
  box.sandbox().control(R"({"fault": {"path": "/api/client/v1/ingest", "delay_ms": 250}, "processing_delay_ms": 50})");
  std::mt19937 random(1);
  const auto started = std::chrono::steady_clock::now();
  int counted = 0;
  const std::int64_t all = runs * (operations + 1);
  while (counted < wanted) {
    box.start_daemon();
    std::this_thread::sleep_for(std::chrono::milliseconds(std::uniform_int_distribution(0, 2100)(random)));
    if (total(box, "synced") == all) break;
    box.kill_daemon();
    counted++;
  }
  box.sandbox().control(R"({"reset": true, "processing_delay_ms": 3})");
  if (!box.daemon().running()) box.start_daemon();
  box.wait_synced(120s);
  std::vector<std::pair<std::uint64_t, double>> points;
  for (int i = 1; i <= operations; ++i) points.emplace_back(static_cast<std::uint64_t>(i) * 1'000'000, 1.0 / i);
  const auto state = box.sandbox().state("summary=1");
  int whole = 0;
  for (int r = 0; r < runs; ++r) {
    const auto* run = state.at("runs").as_object().if_contains(fmt::format("ml-team/classification/r-{:02}", r));
    if (run && run->at("series").as_object().contains("train/m0") &&
        run->at("series").at("train/m0").at("hash").as_string() == points_hash(points))
      whole++;
  }
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  fmt::print(
      "kills: {} SIGKILLs while something was unsettled, over {:.0f} s; {} of {} runs whole and in order, {} points "
      "sent twice and taken once, {} order violations, synced {} of {}\n",
      counted, seconds, whole, runs, state.at("duplicates").at("points").as_int64(),
      state.at("order_violations").as_int64(), total(box, "synced"), all);
  return counted >= wanted && whole == runs && state.at("order_violations").as_int64() == 0 &&
         total(box, "synced") == all;
}

std::int64_t monotonic_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// From a live log's commit to its body's arrival at the server.
bool latency() {
  Box box;
  const auto log = open_log(box, "r-1");
  std::vector<std::int64_t> committed = {monotonic_us()};  // the create is the first operation
  for (int i = 1; i <= 300; ++i) {
    log->append(static_cast<std::uint64_t>(i) * 1'000'000, {{"train/loss", 1.0 / i}});
    committed.push_back(monotonic_us());
    std::this_thread::sleep_for(100ms);
  }
  const bool all = box.wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 301; }).first;
  std::vector<double> late;
  std::size_t next = 0;
  const auto state = box.sandbox().state("summary=1&recent=1");
  for (const auto& request : state.at("recent").as_array())
    for (std::int64_t i = 0; i < request.at("operations").as_int64() && next < committed.size(); ++i, ++next)
      if (committed[next] - committed[0] > 8'000'000)
        late.push_back(static_cast<double>(request.at("mono_us").as_int64() - committed[next]) / 1000);
  const auto [median, p95, most] = spread(late);
  fmt::print(
      "latency: commit to body at the server over {} operations: median {:.1f} ms, p95 {:.1f} ms, most {:.1f} ms\n",
      late.size(), median, p95, most);
  log->close(true);
  return all && next == committed.size() && !late.empty() && p95 < 250;
}

/// A producer's commits while 200,000 rows of its log are settled.
bool writer() {
  Box box({.start = false});
  const auto log = open_log(box, "r-1");
  log->append(1'000'000, {{"train/loss", 1.0}});
  const auto commits = [&log](auto until) {
    std::vector<double> took;
    for (std::uint64_t step = 2; !until(); ++step) {
      log->append(step * 1'000'000, {{"train/other", 1.0}});
      took.push_back(Milliseconds(log->last_commit()).count());
      std::this_thread::sleep_for(5ms);
    }
    return took;
  };
  const auto fill = fmt::format(
      "sqlite3 '{}' \"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<200000) INSERT INTO "
      "run_operations"
      "(timestamp,operation_type,operation,operation_size_bytes) SELECT "
      "o.timestamp,0,o.operation,o.operation_size_bytes FROM n, "
      "(SELECT * FROM run_operations WHERE operation_type=0 LIMIT 1) o\"",
      log->path().string());
  if (std::system(fill.c_str()) != 0) return false;
  const auto alone_until = std::chrono::steady_clock::now() + 5s;
  const auto alone = spread(commits([&] { return std::chrono::steady_clock::now() > alone_until; }));
  box.start_daemon();
  const auto give_up = std::chrono::steady_clock::now() + 120s;
  int asked = 0;
  bool settled = false;
  const auto beside = spread(commits([&] {
    if (++asked % 100 == 0) settled = total(box, "synced") > 200'000 && log->operations() < 1'000;
    return settled || std::chrono::steady_clock::now() > give_up;
  }));
  const auto left = log->operations();
  fmt::print(
      "writer: a commit took, alone: median {:.2f} ms, p95 {:.2f} ms, most {:.1f} ms; while 200,000 rows settled: "
      "median {:.2f} ms, p95 {:.2f} ms, most {:.1f} ms; {} rows left then\n",
      alone.median, alone.p95, alone.most, beside.median, beside.p95, beside.most, left);
  log->close(false);
  return settled && beside.most - alone.most < 50;
}

/// Resident memory over a big log, and over many at once.
bool memory() {
  Box one({.start = false});
  write_closed(one, "r-1", 20'000, 50);
  const auto started = std::chrono::steady_clock::now();
  one.start_daemon();
  one.wait_synced(120s);
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  Box many({.start = false});
  for (int r = 0; r < 200; ++r) write_closed(many, fmt::format("r-{}", r), 50, 50);
  many.start_daemon();
  many.wait_synced(120s);
  const auto megabytes = [](std::uint64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  fmt::print(
      "memory: 1,000,000 points in 20,000 operations: {:.1f} MiB resident at most, {:.1f} s to drain; 200 logs at "
      "once: {:.1f} MiB\n",
      megabytes(one.peak_memory()), seconds, megabytes(many.peak_memory()));
  return one.peak_memory() < (64u << 20) && many.peak_memory() < (64u << 20);
}

/// What the scheduler counted for all its threads.
std::chrono::nanoseconds processor_time(pid_t pid) {
  std::chrono::nanoseconds::rep all = 0;
  for (const auto& thread : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    std::ifstream schedule(thread.path() / "schedstat");
    std::chrono::nanoseconds::rep run = 0;
    if (schedule >> run) all += run;
  }
  return std::chrono::nanoseconds(all);
}

/// Processor time of an idle daemon: 20 synced logs, one of them held open by its job.
bool idle() {
  Box box;
  for (int r = 0; r < 19; ++r) write_closed(box, fmt::format("r-{}", r), 10, 1);
  const auto live = open_log(box, "live");
  live->append(1'000'000, {{"train/loss", 1.0}});
  const bool synced =
      box.wait_status([](const auto& s) { return s.at("totals").at("synced").as_int64() == 19 * 11 + 2; }).first;
  std::this_thread::sleep_for(2s);
  const auto before = processor_time(box.daemon().pid());
  std::this_thread::sleep_for(130s);  // the folders are looked through twice meanwhile
  const auto used = processor_time(box.daemon().pid()) - before;
  fmt::print("idle: {:.1f} ms of processor time in 130 s\n", std::chrono::duration<double, std::milli>(used).count());
  live->close(true);
  return synced && used <= 20ms;
}

/// Every sign of read-only mode, alone and then mixed, at random moments of a drain.
bool signals() {
  std::vector<SignalPlan> plans;
  std::vector<std::string> names;
  std::uint64_t seed = 1;
  for (const auto& signal : read_only_signals()) {
    plans.push_back({.signals = {signal}, .seed = seed++});
    names.push_back(signal.name);
  }
  for (int mixed = 0; mixed < 3; ++mixed) {
    plans.push_back({.signals = read_only_signals(), .seed = seed++});
    names.push_back("all of them mixed");
  }
  bool good = true;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const auto report = drain_under_signals(plans[i]);
    fmt::print(
        "signals: {}: {} points in each of 12 runs, {} requests; the sign was seen {} times, then at most {} writes "
        "had "
        "begun, {} more were to confirm, {} status calls; {} points were sent again\n",
        names[i], report.points, report.writes, report.closings, report.most_late, report.confirming, report.probes,
        report.again);
    for (const auto& wrong : report.wrong) fmt::print("signals: {}: seed {}: {}\n", names[i], plans[i].seed, wrong);
    std::fflush(stdout);
    good = good && report.wrong.empty() && report.closings > 0;
  }
  return good;
}

}  // namespace
}  // namespace neptune::testing

int main(int argc, char** argv) {
  using namespace neptune::testing;
  CLI::App app("Long measurements of neptune-syncd; without arguments, all of them");
  std::vector<std::string> names;
  app.add_option("name", names,
                 "kills, changes, latency, writer, memory, idle, signals, beside, uploads, backlog, crowd, command");
  CLI11_PARSE(app, argc, argv);
  const auto wanted = [&names](const char* name) {
    return names.empty() || std::ranges::find(names, name) != names.end();
  };
  bool good = true;
  const auto run = [&good](const char* name, bool outcome) {
    if (!outcome) fmt::print("{}: NOT as it must be\n", name);
    good = good && outcome;
  };
  if (wanted("latency")) run("latency", latency());
  if (wanted("writer")) run("writer", writer());
  if (wanted("memory")) run("memory", memory());
  if (wanted("idle")) run("idle", idle());
  if (wanted("kills")) run("kills", kills(50));
  if (wanted("changes")) run("changes", changes(200));
  if (wanted("signals")) run("signals", signals());
  if (wanted("beside")) run("beside", beside(5000));
  if (wanted("uploads")) run("uploads", uploads(3));
  if (wanted("backlog"))
    for (const std::size_t runs : {100u, 1'000u, 10'000u}) run("backlog", backlog(10'000'000, runs));
  if (wanted("crowd")) run("crowd", crowd());
  if (wanted("command")) run("command", command());
  return good ? 0 : 1;
}
