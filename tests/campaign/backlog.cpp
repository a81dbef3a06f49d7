#include "tests/campaign/backlog.h"

#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>
#include <vector>

#include "sources/change_queue/queue_store.h"
#include "tests/integration/box.h"
#include "tests/integration/support/http_client.h"

namespace neptune::testing {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;

double milliseconds_since(SteadyClock::time_point begin) {
  return std::chrono::duration<double, std::milli>(SteadyClock::now() - begin).count();
}

struct Times {
  double median = 0, p99 = 0;
  explicit Times(std::vector<double> all) {
    std::ranges::sort(all);
    median = all[all.size() / 2];
    p99 = all[all.size() * 99 / 100];
  }
};

double resident_mib(pid_t pid) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stod(line.substr(6)) / 1024;
  return 0;
}

/// Writes them as the daemon would; it is not running.
bool fill(const std::filesystem::path& file, std::size_t changes, std::size_t runs) {
  auto store = sources::QueueStore::open(file);
  if (!store) return false;
  constexpr std::size_t at_once = 50'000;
  for (std::size_t done = 0; done < changes; done += at_once) {
    std::vector<sources::Handed> request(1);
    for (std::size_t i = done; i < std::min(done + at_once, changes); ++i) {
      Change change;
      change.container = {{"ml-team", "classification"}, fmt::format("run-{}", i % runs), ContainerKind::run};
      change.payload = std::string(60, 'x');
      request[0].changes.push_back(std::move(change));
    }
    if (!(*store)->accept(request, std::chrono::system_clock::now())) return false;
  }
  return true;
}

struct Look {
  Times status{std::vector<double>{0}};
  std::size_t bytes = 0;
  double resident = 0;
};

Look look(Box& box) {
  Look found;
  std::vector<double> times;
  for (int i = 0; i < 2000; ++i) {
    const auto begin = SteadyClock::now();
    const auto answer = http_unix(box.socket(), {.method = "GET", .target = "/v1/status", .headers = {}, .body = {}});
    times.push_back(milliseconds_since(begin));
    found.bytes = answer.body.size();
  }
  found.status = Times(std::move(times));
  found.resident = resident_mib(box.daemon().pid());
  return found;
}

}  // namespace

bool backlog(std::size_t changes, std::size_t runs) {
  Box box({.config = "[queue]\nmin_free_disk = \"1MiB\"\n"});
  box.sync({"hold", "ml-team"});
  const auto empty = look(box);
  box.stop_daemon();
  if (!fill(box.dir() / "state" / "changes.sqlite3", changes, runs)) return false;
  const auto begin = SteadyClock::now();
  box.start_daemon();
  const auto start = milliseconds_since(begin);
  const auto counted = [changes](const auto& s) {
    return s.at("totals").at("held").as_int64() == static_cast<std::int64_t>(changes);
  };
  const bool all = box.wait_status(counted).first;
  const auto known = milliseconds_since(begin);
  const auto full = look(box);
  fmt::print(
      "backlog: {} changes of {} runs waiting: start {:.0f} ms, all counted after {:.0f} ms; GET /v1/status ({} bytes) "
      "median {:.2f} ms, p99 {:.2f} ms (empty: {:.2f} and {:.2f}); resident {:.1f} MiB (empty: {:.1f})\n",
      changes, runs, start, known, full.bytes, full.status.median, full.status.p99, empty.status.median,
      empty.status.p99, full.resident, empty.resident);
  // A stream costs a little, its changes nothing.
  const auto of_streams = static_cast<double>(runs) * 3 / 1024;
  return all && start < 100 && full.status.p99 < 2 && full.resident < empty.resident + 4 + of_streams;
}

namespace {

/// One change of each `kind` a line: `fields` has a place for its number.
double hand_in(Box& box, std::size_t count, std::string_view fields) {
  std::string body;
  for (std::size_t i = 0; i < count; ++i) body += fmt::format(fmt::runtime(fields), i) + "\n";
  const auto begin = SteadyClock::now();
  const auto answer =
      http_unix(box.socket(), {.method = "POST", .target = "/v1/changes", .headers = {}, .body = std::move(body)});
  return answer.status == 202 ? milliseconds_since(begin) : 0;
}

struct Crowd {
  double status = 0, removals = 0;
};

Crowd crowd_of(std::size_t count) {
  Box box({.config = "[queue]\nmin_free_disk = \"1MiB\"\n"});
  box.sync({"hold", "ml-team"});
  box.sync({"hold", "other"});
  hand_in(box, count, R"({{"kind":"run.create","project":"other/p{}","run":"r"}})");
  hand_in(box, count, R"({{"kind":"run.create","project":"ml-team/lab","run":"r{}"}})");
  Crowd crowd;
  crowd.removals =
      hand_in(box, count, R"({{"kind":"run.delete","project":"ml-team/lab","runs":["r{}"],"discard_pending":true}})");
  std::vector<double> times;
  for (int i = 0; i < 20; ++i) {
    const auto begin = SteadyClock::now();
    http_unix(box.socket(), {.method = "GET", .target = "/v1/status", .headers = {}, .body = {}});
    times.push_back(milliseconds_since(begin));
  }
  crowd.status = Times(std::move(times)).median;
  return crowd;
}

}  // namespace

bool crowd() {
  const auto few = crowd_of(1'000), many = crowd_of(10'000);
  fmt::print(
      "crowd: GET /v1/status of 1,000 projects {:.1f} ms, of 10,000 {:.1f} ms; 1,000 removals of as many runs that are "
      "held {:.0f} ms, 10,000 {:.0f} ms\n",
      few.status, many.status, few.removals, many.removals);
  // Ten times as much, and the noise of a machine that does other things.
  return few.removals > 0 && many.removals > 0 && many.status < 20 * few.status && many.removals < 20 * few.removals;
}

bool command() {
  Box box({.config = "[queue]\nmin_free_disk = \"1MiB\"\n"});
  const std::string socket = box.socket(), program = binary("neptune-sync");
  std::vector<double> times;
  for (int step = 0; step < 300; ++step) {
    std::vector<std::string> words{program,    "--socket", socket,      "run",         "log",    "r",
                                   "loss=0.3", "acc=0.9",  "--project", "ml-team/lab", "--step", std::to_string(step)};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    const auto begin = SteadyClock::now();
    pid_t pid = 0;
    int status = 0;
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", 1, 0);
    const int spawned = ::posix_spawn(&pid, program.c_str(), &quiet, nullptr, arguments.data(), environ);
    posix_spawn_file_actions_destroy(&quiet);
    if (spawned != 0 || ::waitpid(pid, &status, 0) != pid || status != 0) return false;
    times.push_back(milliseconds_since(begin));
  }
  const Times took(std::move(times));
  fmt::print("command: `neptune-sync run log` took {:.1f} ms in the median, p99 {:.1f} ms\n", took.median, took.p99);
  return took.median < 10;
}

}  // namespace neptune::testing
