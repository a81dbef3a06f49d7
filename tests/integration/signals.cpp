#include "tests/integration/signals.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <thread>

#include "tests/integration/box.h"
#include "tests/integration/support/json.h"
#include "tests/integration/support/run_log_writer.h"

namespace neptune::testing {

using namespace std::chrono_literals;

namespace {

constexpr int workspaces = 3, runs_each = 4, max_in_flight = 4;
constexpr std::int64_t probe_interval_us = 1'000'000;
constexpr std::int64_t first_probe_us = probe_interval_us * 4 / 5;  // with the shortest jitter

std::int64_t now_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string workspace(int w) {
  return fmt::format("w{}", w);
}

std::string project(int w, int run) {
  return fmt::format("w{}/lab-{}", w, run / 2);
}

struct Job {
  std::string full_name;
  std::unique_ptr<RunLogWriter> log;
};

class Drain {
 public:
  explicit Drain(const SignalPlan& plan) : plan_(plan), random_(plan.seed) {}

  SignalReport play() {
    box_.sandbox().control(
        R"({"processing_delay_ms": 10, "fault": {"path": "/api/client/v1/ingest", "delay_ms": 20}})");
    for (int w = 0; w < workspaces; ++w)
      for (int r = 0; r < runs_each; ++r) begin_job(w, r);
    box_.start_daemon();
    write_until_it_drains();
    const auto kill_every = plan_.kills > 0 ? plan_.flips / (plan_.kills + 1) : plan_.flips + 1;
    for (int flip = 1; flip <= plan_.flips; ++flip) {
      flip_a_scope();
      write_for(std::chrono::milliseconds(pick(100, 600)));
      if (flip % kill_every == 0 && static_cast<int>(kills_us_.size()) < plan_.kills) kill();
    }
    for (const auto& scope : std::set<std::string>(read_only_)) let_go(scope);
    for (auto& job : jobs_) job.log->close(false);
    box_.wait_synced(120s);
    look_at_the_server();
    return report_;
  }

 private:
  int pick(int from, int to) { return std::uniform_int_distribution(from, to)(random_); }

  void begin_job(int w, int r) {
    const auto run = fmt::format("r{}", r);
    jobs_.push_back(
        {project(w, r) + "/" + run,
         std::make_unique<RunLogWriter>(RunLogWriter::Options{
             .directory = box_.runs(), .project = project(w, r), .run = run, .experiment = {}, .fork = {}})});
  }

  void write_for(std::chrono::milliseconds time) {
    const auto until = std::chrono::steady_clock::now() + time;
    do {
      report_.points++;
      for (auto& job : jobs_)
        job.log->append(static_cast<std::uint64_t>(report_.points) * 1'000'000, {{"train/loss", 1.0 / report_.points}});
      std::this_thread::sleep_for(20ms);
    } while (std::chrono::steady_clock::now() < until);
  }

  /// A live log is followed once it was seen long enough.
  void write_until_it_drains() {
    for (int i = 0; i < 300; ++i) {
      write_for(100ms);
      const auto sources = box_.get("/v1/status").at("sources");
      const auto followed = std::ranges::count_if(
          sources.as_array(), [](const auto& source) { return source.at("state").as_string() == "live"; });
      if (followed == workspaces * runs_each) return;
    }
    wrong("the logs were not followed");
  }

  void kill() {
    box_.kill_daemon();
    kills_us_.push_back(now_us());
    box_.start_daemon();
    write_until_it_drains();
  }

  void flip_a_scope() {
    const auto& signal = plan_.signals[static_cast<std::size_t>(pick(0, static_cast<int>(plan_.signals.size()) - 1))];
    const int w = pick(0, workspaces - 1);
    const auto scope = signal.of_project ? project(w, pick(0, runs_each - 1)) : workspace(w);
    if (read_only_.contains(scope)) return let_go(scope);
    read_only_.insert(scope);
    ever_.insert(scope);
    box_.sandbox().control(
        fmt::format(R"({{"{}": "{}", {}}})", signal.of_project ? "project" : "workspace", scope, signal.settings));
  }

  void let_go(const std::string& scope) {
    const bool of_project = scope.find('/') != std::string::npos;
    box_.sandbox().control(fmt::format(R"({{"{}": "{}", "mode": "normal", "error_type": ""{}}})",
                                       of_project ? "project" : "workspace", scope,
                                       of_project ? R"(, "archived": false)" : ""));
    read_only_.erase(scope);
  }

  void wrong(std::string what) { report_.wrong.push_back(std::move(what)); }

  void look_at_the_server() {
    std::vector<std::pair<std::uint64_t, double>> points;
    for (int i = 1; i <= report_.points; ++i) points.emplace_back(static_cast<std::uint64_t>(i) * 1'000'000, 1.0 / i);
    const auto state = box_.sandbox().state("summary=1&traffic=1");
    const auto& runs = state.at("runs").as_object();
    for (const auto& job : jobs_) {
      const auto* run = runs.if_contains(job.full_name);
      const auto* loss = run ? run->at("series").as_object().if_contains("train/loss") : nullptr;
      if (!loss || loss->at("hash").as_string() != points_hash(points))
        wrong(job.full_name + " does not have every point once and in order");
    }
    report_.again = state.at("duplicates").at("points").as_int64();
    if (state.at("order_violations").as_int64() != 0) wrong("a later batch was stored before an earlier one");
    const auto totals = box_.get("/v1/status").at("totals");
    if (totals.at("rejected").as_int64() != 0) wrong("changes were rejected");
    if (totals.at("synced").as_int64() != static_cast<std::int64_t>(jobs_.size()) * (report_.points + 1))
      wrong(fmt::format("{} changes are counted as synced", totals.at("synced").as_int64()));
    read_traffic(state.at("traffic"));
    for (const auto& scope : ever_) judge_writes(scope);
  }

  struct Call {
    std::string scope, read_only;
    std::int64_t started, answered, told;
    bool is_of(const std::string& of) const { return scope == of || scope.starts_with(of + "/"); }
    /// When the daemon was told of the mode, or that the write is stored.
    std::int64_t sign() const { return told >= 0 ? told : answered; }
  };

  void read_traffic(const boost::json::value& traffic) {
    for (const auto& call : traffic.as_array()) {
      const Call read{std::string(call.at("scope").as_string()), std::string(call.at("read_only").as_string()),
                      call.at("started_us").as_int64(), call.at("answered_us").as_int64(),
                      call.at("told_us").as_int64()};
      (call.at("what").as_string() == "write" ? writes_ : asks_).push_back(read);
    }
    std::ranges::sort(writes_, {}, &Call::started);
    report_.writes = static_cast<int>(writes_.size());
    report_.probes = static_cast<int>(asks_.size());
  }

  struct Sign {
    std::int64_t at;
    bool by_check;
  };

  /// The first sign of `scope` after `after`.
  std::optional<Sign> next_sign(const std::string& scope, std::int64_t after) const {
    std::optional<Sign> first;
    for (const auto* calls : {&writes_, &asks_})
      for (const auto& call : *calls)
        if (call.read_only == scope && call.sign() > after && (!first || call.sign() < first->at))
          first = {call.sign(), call.told >= 0};
    return first;
  }

  /// When the daemon may first have taken the scope for writable again: a write that began after the sign was stored,
  /// or it was killed before it had the mode on disk. What a check suspended may have been meant for a project alone:
  /// that is so when the first status call after it calls the workspace writable.
  /// After a kill its word is enough: the live logs are not followed yet, so that nothing waits that could confirm.
  std::int64_t reopened(const std::string& scope, Sign sign) const {
    std::int64_t first = INT64_MAX;
    for (const auto& write : writes_)
      if (write.is_of(scope) && write.started > sign.at && write.read_only.empty() && write.told >= 0)
        first = std::min(first, write.told);
    const auto* first_ask = first_ask_after(scope, sign.at);
    for (const auto& ask : asks_)
      if (((sign.by_check && &ask == first_ask) || killed_between(sign.at, ask.answered)) && ask.scope == scope &&
          ask.read_only.empty() && ask.answered > sign.at)
        first = std::min(first, ask.answered);
    // So it is when the one write after such a status call is suspended by its project.
    for (const auto& write : writes_)
      if (says_a_project_of(scope, write) && write.told >= 0 && write.started > sign.at &&
          probes_between(scope, sign.at, write.told) > 0)
        first = std::min(first, write.told);
    for (const auto kill : kills_us_)
      if (kill > sign.at && kill - sign.at < 500'000) first = std::min(first, kill);
    return first;
  }

  const Call* first_ask_after(const std::string& scope, std::int64_t at) const {
    const Call* first = nullptr;
    for (const auto& ask : asks_)
      if (ask.scope == scope && ask.answered > at && (!first || ask.answered < first->answered)) first = &ask;
    return first;
  }

  bool killed_between(std::int64_t from, std::int64_t to) const {
    return std::ranges::any_of(kills_us_, [&](std::int64_t kill) { return kill > from && kill < to; });
  }

  /// The write speaks of a project's mode, and of its workspace's says nothing: another may confirm that.
  static bool says_a_project_of(const std::string& scope, const Call& write) {
    return write.is_of(scope) && write.read_only.size() > scope.size();
  }

  /// How often the scope may have been probed in between: a workspace's one write follows a status call that calls it
  /// writable, a project's is the probe itself.
  std::int64_t probes_between(const std::string& scope, std::int64_t from, std::int64_t to) const {
    if (scope.find('/') != std::string::npos) return (to - from) / first_probe_us;
    return std::ranges::count_if(asks_, [&](const Call& ask) {
      return ask.scope == scope && ask.read_only.empty() && ask.answered > from && ask.answered < to;
    });
  }

  void judge_writes(const std::string& scope) {
    for (auto sign = next_sign(scope, 0); sign;) {
      report_.closings++;
      const auto open = reopened(scope, *sign);
      int late = 0, later = 0;
      for (const auto& write : writes_) {
        if (!write.is_of(scope) || write.started <= sign->at || write.started > open) continue;
        if (says_a_project_of(scope, write)) continue;
        (write.started < sign->at + first_probe_us ? late : later)++;
      }
      report_.most_late = std::max(report_.most_late, late);
      report_.confirming += later;
      if (late > max_in_flight)
        wrong(fmt::format("{} writes into {} began after its sign and before a probe was due", late, scope));
      const auto end = std::min(open, now_us());
      if (const auto probes = probes_between(scope, sign->at, end); later > probes)
        wrong(fmt::format("{} writes into {} for {} probes in {} ms", later, scope, probes, (end - sign->at) / 1000));
      if (open == INT64_MAX) return;
      sign = next_sign(scope, open);
    }
  }

  const SignalPlan& plan_;
  std::mt19937_64 random_;
  Box box_{{.sandbox_args = {"--workspace", "w0:team", "--workspace", "w1:team", "--workspace", "w2:team"},
            .server = fmt::format("max_in_flight = {}", max_in_flight),
            .config = "[read_only]\nprobe_interval = \"1s\"\nprobe_interval_max = \"2s\"\nrelease_ramp = \"200ms\"\n",
            .start = false}};
  std::vector<Job> jobs_;
  std::set<std::string> read_only_, ever_;
  std::vector<std::int64_t> kills_us_;
  std::vector<Call> writes_, asks_;
  SignalReport report_;
};

}  // namespace

const std::vector<Signal>& read_only_signals() {
  static const std::vector<Signal> signals = [] {
    std::vector<Signal> list;
    for (const int status : {402, 403, 422}) {
      const auto style = fmt::format(R"("mode": "read_only", "style": "http_{}")", status);
      for (const auto* type : {"WORKSPACE_IN_READ_ONLY_MODE", "WORKSPACE_READONLY", "INGEST_SUSPENDED"})
        list.push_back(
            {fmt::format("{} {}", status, type), false, fmt::format(R"({}, "error_type": "{}")", style, type)});
      list.push_back({fmt::format("{} PROJECT_LIMITS_EXCEEDED", status), true, style});
      list.push_back({fmt::format("{} WRITE_ACCESS_DENIED_TO_ARCHIVED_PROJECT", status), true,
                      fmt::format(R"("archived": true, "style": "http_{}")", status)});
    }
    for (const int status : {402, 422})
      list.push_back({fmt::format("{} without an errorType", status), false,
                      fmt::format(R"("mode": "read_only", "style": "http_{}_bare")", status)});
    for (const bool of_project : {false, true})
      for (const auto* style : {"suspended", "suspended_part"})
        list.push_back({fmt::format("{} {}", of_project ? "project" : "workspace", style), of_project,
                        fmt::format(R"("mode": "read_only", "style": "{}")", style)});
    return list;
  }();
  return signals;
}

SignalReport drain_under_signals(const SignalPlan& plan) {
  return Drain(plan).play();
}

}  // namespace neptune::testing
