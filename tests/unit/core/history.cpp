#include "history.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <set>
#include <vector>

#include "core/core.h"

namespace neptune::core {
namespace {

using namespace std::chrono_literals;

/// One run: changes 1..size, the first a create. What is durable here, and what the server holds.
struct Run {
  ContainerName name;
  std::string parent;
  std::set<Position> poison;
  Position size = 0;
  // durable on this side
  Position confirmed = 0;
  std::set<Position> rejected;
  // at the server
  bool created = false;
  std::vector<Position> stored;
};

enum class Style { http, check_all, check_part };

struct ServerMode {
  bool read_only = false;
  Style style = Style::http;
};

struct Request {
  std::size_t run;
  Position first, last;
  bool processed = false;
  RequestStatus status;
};

class History {
 public:
  History(std::uint64_t seed, HistoryOptions options) : options_(options), seed_(seed), random_(seed) {}

  HistoryReport play() {
    build();
    start_core();
    plan_trouble();
    run_until([this] { return now_ >= calm_at_; });
    calm();
    run_until([this] { return all_done() || now_ > calm_at_ + 2h; });
    if (report_.violation.empty()) check_end();
    return report_;
  }

 private:
  // Building

  std::uint64_t pick(std::uint64_t n) { return std::uniform_int_distribution<std::uint64_t>(0, n - 1)(random_); }
  bool chance(double p) { return std::bernoulli_distribution(p)(random_); }
  Duration span(Duration max) {
    return Duration(static_cast<Duration::rep>(pick(static_cast<std::uint64_t>(max.count())) + 1));
  }

  void build() {
    const auto workspaces = 1 + pick(3);
    for (std::uint64_t w = 0; w < workspaces; ++w)
      for (std::uint64_t p = 0, projects = 1 + pick(2); p < projects; ++p)
        for (std::uint64_t r = 0, runs = 1 + pick(3); r < runs; ++r) {
          Run run;
          run.name = {{fmt::format("w{}", w), fmt::format("p{}", p)}, fmt::format("r{}", r)};
          run.size = 1 + static_cast<Position>(pick(40));
          if (r > 0 && chance(0.3)) run.parent = fmt::format("r{}", pick(r));
          if (options_.poison)
            for (Position i = 2; i <= run.size; ++i)
              if (chance(0.05)) run.poison.insert(i);
          runs_.push_back(run);
        }
    std::shuffle(runs_.begin(), runs_.end(), random_);
    settings_.batch_operations = 1 + pick(16);
    settings_.max_in_flight = static_cast<std::uint32_t>(1 + pick(4));
    settings_.confirm_operations = 1 + pick(4);
    settings_.gate.release_ramp = 2s;
    calm_at_ = now_ + 30s + span(90s);
  }

  void plan_trouble() {
    if (options_.modes)
      for (std::uint64_t i = 0, n = pick(6); i < n; ++i) at(span(calm_at_ - now_), [this] { flip(); });
    if (options_.restarts)
      for (std::uint64_t i = 0, n = pick(3); i < n; ++i) at(span(calm_at_ - now_), [this] { restart(); });
    if (options_.operators)
      for (std::uint64_t i = 0, n = pick(3); i < n; ++i) at(span(calm_at_ - now_), [this] { operate(); });
    trouble_ = options_.failures ? 0.25 : 0.0;
  }

  // Time

  void at(Duration in, std::function<void()> event) { events_.push({now_ + in, ++events_made_, std::move(event)}); }

  void run_until(const std::function<bool()>& done) {
    for (int steps = 0; report_.violation.empty() && !done(); ++steps) {
      if (steps > 400'000) return violate("the history does not end");
      const auto wake = core_->next_wakeup();
      if (events_.empty() && !wake) return;
      if (!events_.empty() && (!wake || events_.top().at <= *wake)) {
        now_ = std::max(now_, events_.top().at);
        const auto event = events_.top().event;
        events_.pop();
        event();
      } else {
        now_ = std::max(now_, *wake);
        core_->time_passed(now_);
      }
      act();
    }
  }

  void calm() {
    trouble_ = 0;
    for (auto& [scope, mode] : modes_) mode.read_only = false;
    for (const auto& scope : std::set<Scope>(held_)) {
      held_.erase(scope);
      core_->hold(scope, false, now_);
    }
    act();
  }

  // The process

  void start_core() {
    core_ = std::make_unique<Core>(settings_, seed_ + report_.restarts);
    life_++;
    known_read_only_.clear();
    writes_into_.clear();
    sending_.clear();
    streams_.clear();
    for (const auto& [scope, mode] : durable_modes_)
      if (mode == Mode::read_only) {
        core_->restore(scope, "kept", now_);
        known_read_only_.insert(scope);
      }
    for (const auto& scope : held_) core_->hold(scope, true, now_);
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      const auto id = static_cast<StreamId>(life_ * 1000 + i);
      streams_[id] = i;
      core_->open({id, 0, runs_[i].name, "", runs_[i].confirmed}, now_);
    }
    for (const auto& [id, run] : streams_) tell_backlog(id);
    act();
  }

  void restart() {
    report_.restarts++;
    start_core();
  }

  void tell_backlog(StreamId id) {
    const auto& run = runs_[streams_.at(id)];
    Backlog backlog;
    backlog.count = static_cast<std::uint64_t>(run.size - run.confirmed);
    backlog.bytes = backlog.count * 10;
    if (run.confirmed == 0) {
      backlog.create_next = true;
      if (!run.parent.empty()) backlog.fork_parent = ContainerName{run.name.project, run.parent};
    }
    core_->backlog(id, run.confirmed, backlog, now_);
  }

  void act() {
    for (auto actions = core_->take_actions(); !actions.empty(); actions = core_->take_actions())
      for (const auto& action : actions) std::visit([this](const auto& a) { carry_out(a); }, action);
  }

  void carry_out(const Send& send) {
    report_.sends++;
    const auto index = streams_.at(send.stream);
    const auto& run = runs_[index];
    if (send.after != run.confirmed) return violate("a send does not start at the confirmed position");
    if (sending_.contains(send.stream)) return violate("two requests of one stream at once");
    sending_.insert(send.stream);
    for (const auto& scope : {Scope::of(run.name.project.workspace), Scope::of(run.name.project)}) {
      if (held_.contains(scope)) return violate("a write started into a held scope");
      if (known_read_only_.contains(scope) && ++writes_into_[scope] > 1)
        return violate("a second write started into a scope known as read-only");
    }
    Request request{index, run.confirmed + 1, run.confirmed + 1, false, {}};
    if (run.confirmed > 0) {
      const auto count = std::min<Position>(static_cast<Position>(send.max_operations), run.size - run.confirmed);
      request.last = run.confirmed + count;
    }
    const auto sent = Sent{request.last, static_cast<std::uint64_t>(request.last - request.first + 1),
                           static_cast<std::uint64_t>(request.last - request.first + 1) * 10, request.first == 1};
    const auto life = life_;
    at(span(200ms), [this, life, id = send.stream, request, sent] { arrive(life, id, request, sent); });
  }

  /// The request reaches the server, or not; the answer reaches us, or not.
  void arrive(std::uint64_t life, StreamId id, Request request, Sent sent) {
    const auto mode = mode_of(runs_[request.run].name.project);
    std::optional<Failure> failure;
    bool taken = false;
    if (chance(trouble_)) {
      switch (pick(6)) {
        case 0:
          taken = true;  // stored, and the answer is lost
          [[fallthrough]];
        case 1:
          failure = Failure{Failure::Kind::unreachable, "lost", "lost", {}, false};
          break;
        case 2:
          failure = Failure{Failure::Kind::busy, "http_429", "slow down", 3s, false};
          break;
        case 3:
          failure = Failure{Failure::Kind::server_error, "http_500", "oops", {}, false};
          break;
        case 4:
          failure = Failure{Failure::Kind::source, "source", "not now", {}, false};
          break;
        default:
          failure = Failure{Failure::Kind::forbidden, "http_403", "no permission", {}, false};
          break;
      }
    } else if (mode.first && mode.second.style == Style::http) {
      failure = Failure{
          Failure::Kind::read_only, "WORKSPACE_IN_READ_ONLY_MODE", "over quota", {}, !mode.first->is_workspace()};
    } else {
      taken = true;
    }
    std::string request_id;
    if (taken) {
      request_id = fmt::format("q{}", ++requests_made_);
      requests_[request_id] = request;
      at(span(chance(0.1) ? 5s : 100ms), [this, request_id] { process(request_id); });
    }
    if (life != life_) return;
    sending_.erase(id);
    if (failure) {
      ended(id);
      core_->failed(id, sent, *failure, now_);
    } else {
      core_->sent(id, sent, request_id, now_);
    }
  }

  /// The write no longer counts against its scopes: its outcome is known.
  void ended(StreamId id) {
    const auto& project = runs_[streams_.at(id)].name.project;
    for (const auto& scope : {Scope::of(project.workspace), Scope::of(project)}) writes_into_[scope] = 0;
  }

  void carry_out(const Check& check) {
    const auto life = life_;
    at(span(50ms), [this, life, check] {
      if (life != life_) return;
      if (chance(trouble_ / 2)) {
        const auto kind = chance(0.5) ? Failure::Kind::unreachable : Failure::Kind::server_error;
        core_->check_failed(check, Failure{kind, "check", "check failed", {}, false}, now_);
        return;
      }
      std::vector<RequestStatus> statuses;
      for (std::size_t i = 0; i < check.ids.size(); ++i) {
        const auto& request = requests_.at(check.ids[i]);
        RequestStatus status = request.status;
        status.pending = !request.processed;
        if (request.processed) ended(check.streams[i]);
        statuses.push_back(status);
      }
      core_->checked(check, statuses, now_);
    });
  }

  void carry_out(const Settle& settle) {
    auto& run = runs_[streams_.at(settle.stream)];
    if (settle.upto <= run.confirmed || settle.upto > run.size) return violate("settled twice, or beyond the end");
    for (auto i = run.confirmed + 1; i <= settle.upto; ++i)
      if (!std::ranges::binary_search(run.stored, i))
        return violate(fmt::format("{} settled, but the server has no change {}", run.name.id, i));
    if (settle.count != static_cast<std::uint64_t>(settle.upto - run.confirmed))
      return violate("a settle counts wrong");
    run.confirmed = settle.upto;
  }

  void carry_out(const Reject& reject) {
    report_.rejected++;
    auto& run = runs_[streams_.at(reject.stream)];
    if (reject.position != run.confirmed + 1) return violate("a rejection out of order");
    if (!run.poison.contains(reject.position))
      return violate(fmt::format("{}: change {} rejected with {}, and nothing is wrong with it", run.name.id,
                                 reject.position, reject.code));
    run.rejected.insert(reject.position);
    run.confirmed = reject.position;
  }

  void carry_out(const AskStatus& ask) {
    report_.probes++;
    const auto life = life_;
    at(span(50ms), [this, life, ask] {
      if (life != life_) return;
      const auto it = modes_.find(Scope::of(ask.workspace));
      WorkspaceStatus status;
      status.read_only = it != modes_.end() && it->second.read_only;
      Answer<WorkspaceStatus> answer = status;
      if (chance(trouble_)) {
        const auto kind = chance(0.5) ? Failure::Kind::unreachable : Failure::Kind::rejected;
        answer = std::unexpected(Failure{kind, "status", "no status", {}, false});
      }
      core_->status_told(ask, answer, now_);
    });
  }

  void carry_out(const ModeChanged& changed) {
    durable_modes_[changed.scope] = changed.mode;
    if (changed.mode == Mode::read_only) {
      known_read_only_.insert(changed.scope);
    } else {
      known_read_only_.erase(changed.scope);
    }
    writes_into_[changed.scope] = 0;
  }

  void carry_out(const ServerChanged&) {}

  // The server

  std::pair<std::optional<Scope>, ServerMode> mode_of(const ProjectName& project) {
    for (const auto& scope : {Scope::of(project.workspace), Scope::of(project)})
      if (const auto it = modes_.find(scope); it != modes_.end() && it->second.read_only) return {scope, it->second};
    return {std::nullopt, {}};
  }

  void process(const std::string& id) {
    auto& request = requests_.at(id);
    auto& run = runs_[request.run];
    const auto [scope, mode] = mode_of(run.name.project);
    std::map<IngestCode, std::int64_t> codes;
    const auto count = request.last - request.first + 1;
    const auto store_upto = !scope                            ? request.last
                            : mode.style == Style::check_part ? request.first + count / 2 - 1
                                                              : request.first - 1;
    for (auto i = request.first; i <= request.last; ++i)
      codes[i <= store_upto ? store(run, i) : IngestCode::ingest_suspended]++;
    if (codes.contains(IngestCode::ingest_suspended)) report_.suspended++;
    for (const auto& [code, n] : codes) request.status.counts.push_back({0, n, code});
    request.processed = true;
  }

  IngestCode store(Run& run, Position i) {
    if (i == 1) {
      if (run.created) return IngestCode::run_duplicate;
      if (!run.parent.empty() && !std::ranges::any_of(runs_, [&run](const Run& other) {
            return other.name == ContainerName{run.name.project, run.parent} && other.created;
          }))
        return IngestCode::run_fork_parent_not_found;
      run.created = true;
    } else if (!run.created) {
      return IngestCode::run_not_found;
    }
    if (run.poison.contains(i)) return IngestCode::field_type_conflicting;
    if (std::ranges::binary_search(run.stored, i)) return IngestCode::series_point_duplicate;
    if (!run.stored.empty() && run.stored.back() > i) {
      violate(fmt::format("{}: change {} stored after {}", run.name.id, i, run.stored.back()));
      return IngestCode::series_step_non_increasing;
    }
    run.stored.push_back(i);
    return IngestCode::ok;
  }

  void flip() {
    report_.flips++;
    const auto& project = runs_[pick(runs_.size())].name.project;
    auto& mode = modes_[chance(0.5) ? Scope::of(project) : Scope::of(project.workspace)];
    mode.read_only = !mode.read_only;
    mode.style = static_cast<Style>(pick(3));
  }

  void operate() {
    const auto& project = runs_[pick(runs_.size())].name.project;
    const auto scope = chance(0.5) ? Scope::of(project) : Scope::of(project.workspace);
    if (held_.erase(scope) == 0) held_.insert(scope);
    core_->hold(scope, held_.contains(scope), now_);
  }

  // The end

  bool all_done() const {
    return std::ranges::all_of(runs_, [](const Run& run) { return run.confirmed == run.size; });
  }

  void check_end() {
    for (const auto& run : runs_) {
      if (run.confirmed != run.size) {
        std::string why;
        for (const auto& [id, index] : streams_)
          if (&runs_[index] == &run) {
            const auto view = core_->stream(id, now_);
            why = fmt::format("wait {} trouble '{}'", static_cast<int>(view.wait), view.trouble);
          }
        return violate(fmt::format("{}/{} stopped at {} of {}: {}", run.name.project.full(), run.name.id, run.confirmed,
                                   run.size, why));
      }
      if (run.rejected != run.poison) return violate(run.name.id + ": not exactly the refused changes were rejected");
      if (run.stored.size() + run.poison.size() != static_cast<std::size_t>(run.size))
        return violate(run.name.id + ": changes are missing");
    }
    for (const auto& [id, index] : streams_)
      if (core_->stream(id, now_).tally != Tally{}) return violate("a tally is not empty in the end");
    if (core_->total() != Tally{}) return violate("the total is not empty in the end");
  }

  void violate(std::string what) {
    if (report_.violation.empty()) report_.violation = fmt::format("seed {}: {}", seed_, what);
  }

  struct Event {
    Instant at;
    std::uint64_t number;
    std::function<void()> event;
    bool operator<(const Event& other) const { return std::tie(other.at, other.number) < std::tie(at, number); }
  };

  HistoryOptions options_;
  std::uint64_t seed_;
  Random random_;
  Options settings_;
  Instant now_{};
  Instant calm_at_;
  double trouble_ = 0;
  std::priority_queue<Event> events_;
  std::uint64_t events_made_ = 0;
  std::vector<Run> runs_;
  std::unique_ptr<Core> core_;
  std::uint64_t life_ = 0;
  std::map<StreamId, std::size_t> streams_;
  std::set<StreamId> sending_;
  std::map<Scope, Mode> durable_modes_;
  std::set<Scope> known_read_only_;
  std::set<Scope> held_;
  std::map<Scope, int> writes_into_;  // since it is known as read-only, and not yet ended
  std::map<Scope, ServerMode> modes_;
  std::map<std::string, Request> requests_;
  std::uint64_t requests_made_ = 0;
  HistoryReport report_;
};

}  // namespace

HistoryReport play_history(std::uint64_t seed, const HistoryOptions& options) {
  return History(seed, options).play();
}

}  // namespace neptune::core
