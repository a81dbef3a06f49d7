#include "history.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <ranges>
#include <set>
#include <vector>

#include "history_world.h"

namespace neptune::core {
namespace {

using namespace std::chrono_literals;

class History {
 public:
  History(std::uint64_t seed, HistoryOptions options) : options_(options), seed_(seed), random_(seed) {}

  HistoryReport play() {
    build();
    start_core();
    plan_trouble();
    run_until([this] { return now_ >= calm_at_; });
    if (options_.direct && chance(0.3)) see_removals_go();
    calm();
    run_until([this] { return all_done() || now_ > calm_at_ + 2h; });
    run_until([this] { return !still_read_only() || now_ > calm_at_ + 4h; });
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
          Lane run{.name = {{fmt::format("w{}", w), fmt::format("p{}", p)}, fmt::format("r{}", r)}};
          if (r > 0 && chance(0.3)) run.parent = fmt::format("r{}", pick(r));
          const auto size = 1 + static_cast<Position>(pick(40));
          for (Position i = 1; i <= size; ++i)
            run.items.push_back({.position = i,
                                 .is = i == 1 ? Is::create : Is::update,
                                 .poison = i > 1 && options_.poison && chance(0.05)});
          lanes_.push_back(run);
          if (options_.files && chance(0.3)) add_files(run.name);
        }
    std::shuffle(lanes_.begin(), lanes_.end(), random_);
    if (options_.direct) add_queue();
    settings_.batch_operations = 1 + pick(16);
    settings_.max_in_flight = static_cast<std::uint32_t>(1 + pick(4));
    settings_.max_files_in_flight = static_cast<std::uint32_t>(1 + pick(3));
    settings_.batch_files = 1 + pick(8);
    settings_.confirm_operations = 1 + pick(4);
    settings_.gate.release_ramp = 2s;
    calm_at_ = now_ + 30s + span(90s);
  }

  /// Files of a run: sent beside it, some at once, and told one after the other.
  void add_files(ContainerName run) {
    run.kind = ContainerKind::files;
    Lane files{.name = std::move(run)};
    for (Position i = 1, n = 1 + static_cast<Position>(pick(20)); i <= n; ++i)
      files.items.push_back({.position = i, .is = Is::call, .poison = options_.poison && chance(0.05)});
    lanes_.push_back(std::move(files));
  }

  /// The lanes of the change queue, one project's of each workspace; the project's own create may wait in them.
  void add_queue() {
    std::set<std::string> workspaces;
    for (std::size_t i = 0, logs = lanes_.size(); i < logs; ++i) {
      const auto project = lanes_[i].name.project;
      if (!workspaces.insert(project.workspace).second) continue;
      for (std::size_t log = 0; log < logs; ++log)
        if (lanes_[log].name.project == project && lanes_[log].ingested() && chance(0.1)) lanes_[log].parent = "q0";
      const auto management = lanes_.size();
      lanes_.push_back({.name = {project, {}, ContainerKind::management}, .queued = true});
      lanes_.push_back({.name = {project, {}, ContainerKind::removals}, .queued = true});
      lanes_.push_back({.name = {project, {}, ContainerKind::project}, .queued = true});
      lanes_.push_back({.name = {project, "q0"}, .queued = true});
      lanes_.push_back({.name = {project, "q1"}, .queued = true});
      lanes_.push_back({.name = {project, std::string(removals_that_wait), ContainerKind::removals}, .queued = true});
      lanes_.push_back({.name = {project, "q0"}, .queued = true, .passed = true});
      lanes_.push_back({.name = {project, "q1"}, .queued = true, .passed = true});
      lanes_.push_back({.name = {project, std::string(removals_of_all), ContainerKind::removals}, .queued = true});
      for (const char* run : {"q0", "q1"})
        lanes_.push_back({.name = {project, run, ContainerKind::files}, .queued = true});
      lanes_.push_back({.name = {project, "q0"}, .queued = true, .assigns = true});
      lanes_.push_back({.name = {project, "q1"}, .queued = true, .assigns = true});
      for (const auto id : {limits_of_project, unarchiving_of_project})
        lanes_.push_back({.name = {project, std::string(id), ContainerKind::management}, .queued = true});
      lanes_.push_back({.name = lanes_[management].name, .queued = true, .passed = true});
      queues_.push_back(management);
      if (!chance(0.2)) continue;
      server_.missing_projects.insert(project);
      lanes_[management].items.push_back({.position = ++tickets_, .is = Is::call, .creates_project = true});
    }
  }

  void plan_trouble() {
    const auto planned = [this](std::uint64_t upto, void (History::*what)()) {
      for (std::uint64_t i = 0, n = pick(upto); i < n; ++i)
        at(span(calm_at_ - now_), [this, what] {
          if (!calm_) (this->*what)();
        });
    };
    if (options_.modes) planned(6, &History::flip);
    if (options_.restarts) planned(3, &History::restart);
    if (options_.operators) planned(4, &History::operate);
    if (options_.direct) planned(16, &History::hand_in);
    if (options_.jumps) planned(4, &History::jump);
    trouble_ = options_.failures ? 0.25 : 0.0;
    status_call_ = !options_.failures || !chance(0.1);
  }

  // Time

  void at(Duration in, std::function<void()> event) { events_.push({now_ + in, ++events_made_, std::move(event)}); }
  /// Of this life of the process: a kill takes it along.
  void soon(Duration in, std::function<void()> event) {
    at(in, [this, life = life_, event = std::move(event)] {
      if (life == life_) event();
    });
  }

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

  /// The server is well again, but for its modes, and operators hold what they held: whatever of it stays held, each
  /// removal goes that waits for nothing of its own.
  void see_removals_go() {
    calm_ = true;
    trouble_ = 0;
    for (const auto management : queues_) {
      add(management + 1, {.is = Is::call});  // an emptying of the trash
      announce(management + 1);
    }
    run_until([this] { return now_ > calm_at_ + 40min; });
    if (!report_.violation.empty()) return;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& lane = lanes_[i];
      const auto next = lane.next(lane.confirmed);
      if (!lane.frees() || (next != lane.items.end() && awaits_project(lane, *next))) continue;
      if (next == lane.items.end()) {
        if (core_->total().held > 0) report_.seen_to_go++;
      } else if (!waits_for_some(i, *next)) {
        violate(fmt::format("change {} waits for nothing, and does not go: {}", next->position, what_stopped()));
      }
    }
    calm_at_ = now_;
  }

  bool awaits_project(const Lane& removals, const Item& removal) const {
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& lane = lanes_[i];
      const auto is_before = [&](const Item& item) { return item.creates_project && item.position < removal.position; };
      const bool creates = std::any_of(lane.next(lane.confirmed), lane.items.end(), is_before);
      if (creates && lane.name.project == removals.name.project && !goes_nowhere(i)) return true;
    }
    return false;
  }

  bool is_held_here(std::size_t lane) const {
    const auto id = stream_of(lane);
    return streams_.contains(id) && core_->stream(id, now_).tally.held > 0;
  }

  /// What is held is thrown away for some.
  bool waits_for_some(std::size_t index, const Item& removal) const {
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& other = lanes_[i];
      if (i == index || !goes_after(removal, other)) continue;
      if (removal.discards && other.queued && !other.passed && !other.assigns && is_held_here(i)) continue;
      if (waits_for_what_comes_after(other, removal)) continue;
      if (goes_nowhere(i)) continue;
      // What goes nowhere is passed, unless the create behind it passes first.
      if (is_barred(i) && !has_create_behind(other)) continue;
      if ((other.queued ? other.first_before(removal.position) : other.next(other.confirmed)) != other.items.end())
        return true;
    }
    return false;
  }

  void calm() {
    calm_ = true;
    trouble_ = 0;
    for (auto& [scope, mode] : server_.modes) mode.read_only = false;
    for (const auto& scope : std::set<Scope>(held_)) {
      held_.erase(scope);
      core_->hold(scope, false, now_);
    }
    for (const auto management : queues_) {
      create_project(management);
      for (const auto run : {management + 3, management + 4}) create_for_who_waits(run, management + 1);
    }
    act();
  }

  /// The create of a project may have been thrown away with all that was for it: whoever is told that there is none
  /// makes it.
  void create_project(std::size_t management) {
    const auto creates = [](const Item& item) { return item.creates_project && !item.poison; };
    const auto is_to_create = [&](std::size_t index) {
      const auto& lane = lanes_[index];
      return std::any_of(lane.next(std::max(lane.confirmed, thrown_away_before(lane))), lane.items.end(), creates);
    };
    if (!server_.missing_projects.contains(lanes_[management].name.project)) return;
    if (is_to_create(management) || is_to_create(passed_of(management))) return;
    add(management, {.is = Is::call, .creates_project = true, .after = removals_of(management + 1)});
    lanes_[management].items.back().poison = false;
    announce(management);
  }

  /// A create may have been thrown away while a file of its run was on its way, or a run log forks from it: whoever is
  /// told that there is no such run makes it.
  void create_for_who_waits(std::size_t run, std::size_t removals) {
    const auto& name = lanes_[run].name;
    const auto files = files_of(run);
    if (server_.is_created(name)) try_forks_again(name);
    const auto waits = [&](std::size_t lane) {
      const auto& [project, parent] = std::tie(lanes_[lane].name.project, lanes_[lane].parent);
      const bool forks = project == name.project && parent == name.id;
      if (forks && orphans_.contains(lane)) return true;
      return (forks || lane == files || lane == assignments_of(files)) && lanes_[lane].confirmed != lanes_[lane].last();
    };
    if (!needs_create(run) || std::ranges::none_of(std::views::iota(std::size_t{0}, lanes_.size()), waits)) return;
    add(run, {.is = Is::create, .after = removals_of(removals)});
    announce(run);
  }

  // The process

  void start_core() {
    core_ = std::make_unique<Core>(settings_, seed_ + report_.restarts);
    life_++;
    known_read_only_.clear();
    writing_into_.clear();
    quiet_until_.clear();
    probe_first_.clear();
    out_.clear();
    requests_of_.clear();
    discarding_.clear();
    expecting_.clear();
    streams_.clear();
    for (const auto& [scope, mode] : durable_modes_)
      if (mode == Mode::read_only) {
        core_->restore(scope, "kept", now_);
        known_read_only_.insert(scope);
      }
    for (const auto& scope : held_) core_->hold(scope, true, now_);
    for (std::size_t i = 0; i < lanes_.size(); ++i)
      if (!lanes_[i].queued) open(i);
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      if (!lanes_[i].queued) {
        look_into(i);
      } else if (lanes_[i].last() > lanes_[i].confirmed) {
        announce(i);
      }
    }
    act();
  }

  void restart() {
    report_.restarts++;
    start_core();
  }

  StreamId stream_of(std::size_t lane) const { return static_cast<StreamId>(life_ * 1000 + lane); }

  void open(std::size_t lane) {
    const auto id = stream_of(lane);
    const auto& of = lanes_[lane];
    StreamSpec spec{id, 0, of.name, of.assigns ? "0" : of.passed ? "2" : "1", of.confirmed};
    spec.passed = of.passed;
    if (streams_.emplace(id, lane).second) core_->open(std::move(spec), now_);
  }

  /// A lane of the queue holds something new: that is known at once, what it is a little later.
  void announce(std::size_t lane) {
    expect(lane, true);
    soon(span(30ms), [this, lane] {
      open(lane);
      look_into(lane);
    });
  }

  /// Of a container that has two lanes, each is to be looked into.
  void expect(std::size_t index, bool on) {
    auto& lanes = expecting_[lanes_[index].name];
    if (on) {
      lanes.insert(index);
    } else {
      lanes.erase(index);
    }
    core_->expect(lanes_[index].name, !lanes.empty(), now_);
  }

  void look_into(std::size_t index) {
    const auto& lane = lanes_[index];
    const auto next = lane.next(lane.confirmed);
    Backlog backlog;
    backlog.count = static_cast<std::uint64_t>(lane.items.end() - next);
    backlog.bytes = backlog.count * 10;
    if (backlog.count > 0) {
      backlog.create_next = next->is == Is::create;
      backlog.frees_next = next->frees;
      backlog.discards = next->discards;
      if (backlog.create_next && !lane.parent.empty())
        backlog.fork_parent = ContainerName{lane.name.project, lane.parent};
      const auto create = std::find_if(next, lane.items.end(), [](const Item& i) { return i.creates_project; });
      if (create != lane.items.end()) backlog.creates_project = create->position;
      if (lane.queued) backlog.ticket = std::ranges::min_element(next, lane.items.end(), {}, &Item::place)->place();
      if (lane.queued && has_create_behind(lane)) backlog.create_behind = create_in(lane, next)->position;
      backlog.after = next->after;
      if (is_removals(lane) && waits_for_the_same(*next, lanes_[waiting(index)]))
        backlog.after.push_back(lanes_[waiting(index)].name);
    }
    core_->backlog(stream_of(index), lane.confirmed, std::move(backlog), now_);
    if (lane.queued) expect(index, false);
    if (lane.frees() && is_held(core_->stream(stream_of(index), now_).wait)) violate("a removal is held");
  }

  using Items = std::vector<Item>::const_iterator;
  /// Of its run, or of its project.
  static Items create_in(const Lane& lane, Items from) {
    return std::find_if(from, lane.items.end(),
                        [](const Item& item) { return item.is == Is::create || item.creates_project; });
  }
  static bool has_create_behind(const Lane& lane) {
    const auto next = lane.next(lane.confirmed);
    const auto create = create_in(lane, next);
    return create != next && create != lane.items.end();
  }

  static bool is_removals(const Lane& lane) { return lane.frees() && lane.name.id.empty(); }

  static bool removes_the_same(const Item& removal, const Item& other) {
    if (removal.after.empty()) return false;  // the emptying of the trash goes after none
    return std::ranges::any_of(other.after, [&removal](const ContainerName& name) {
      if (name.kind == ContainerKind::removals) return false;  // all of them go after the project's own
      return name.id == everything_in_project || std::ranges::find(removal.after, name) != removal.after.end();
    });
  }

  static bool waits_for_the_same(const Item& removal, const Lane& waiting) {
    return std::any_of(waiting.next(waiting.confirmed), waiting.items.end(),
                       [&removal](const Item& item) { return removes_the_same(removal, item); });
  }

  // What is handed in meanwhile

  void add(std::size_t lane, Item item) {
    item.position = ++tickets_;
    item.poison = item.is != Is::create && options_.poison && chance(0.05);
    item.frees = lanes_[lane].frees();
    lanes_[lane].items.push_back(std::move(item));
  }

  void hand_in() {
    const auto management = queues_[pick(queues_.size())];
    const auto removals = management + 1;
    switch (pick(6)) {
      case 0:
        add(management, {.is = Is::call, .creates_project = chance(0.2), .after = removals_of(removals)});
        return announce(management);
      case 1:
        for (std::uint64_t i = 0, n = 1 + pick(6); i < n; ++i) add(management + 2, {.is = Is::call});
        return announce(management + 2);
      case 2:
        return write_to(management + 3 + pick(2), pick(6), removals);
      case 3: {
        const auto run = management + 3 + pick(2);
        write_to(run, pick(2), removals);
        for (std::uint64_t i = 0, n = 1 + pick(3); i < n; ++i) add(files_of(run), {.is = Is::call});
        return announce(files_of(run));
      }
      case 4:
        return relieve(management);
      default:
        return remove_something(removals);
    }
  }

  /// A storage limit, or the project is taken out of the archive: sent in spite of its mode, behind no write.
  void relieve(std::size_t management) {
    const auto removals = management + 1;
    const auto limits = management + 13, unarchiving = management + 14;
    if (chance(0.5)) {
      add(limits, {.is = Is::call, .after = {lanes_[removals].name}});
      return announce(limits);
    }
    add(unarchiving, {.is = Is::call, .after = {lanes_[removals].name, lanes_[of_all(removals)].name}});
    announce(unarchiving);
  }

  /// Some log first, and create later.
  void write_to(std::size_t run, std::uint64_t updates, std::size_t removals) {
    const bool create = needs_create(run), late = chance(0.3);
    if (!create && chance(0.2)) {  // by a job that begins anew
      report_.created_again++;
      add(run, {.is = Is::create, .after = removals_of(removals)});
    }
    if (create && !late) add(run, {.is = Is::create, .after = removals_of(removals)});
    for (std::uint64_t i = 0; i < updates; ++i) add(run, {});
    if (create && late)
      at(span(10s), [this, run, removals] {
        if (needs_create(run)) add(run, {.is = Is::create, .after = removals_of(removals)});
        announce(run);
      });
    announce(run);
  }

  /// Those that step aside stand in a lane of their own.
  static std::size_t waiting(std::size_t removals) { return removals + 4; }
  /// So do those of the whole project.
  static std::size_t of_all(std::size_t removals) { return removals + 7; }
  std::vector<ContainerName> removals_of(std::size_t removals) const {
    return {lanes_[removals].name, lanes_[waiting(removals)].name, lanes_[of_all(removals)].name};
  }

  bool needs_create(std::size_t index) const {
    return !server_.is_created(lanes_[index].name) && !has_create(index) && !has_create(passed_of(index));
  }

  bool has_create(std::size_t index) const {
    const auto& lane = lanes_[index];
    const auto from = thrown_away_before(lane);
    return std::ranges::any_of(lane.items, [&lane, from](const Item& item) {
      return item.is == Is::create && item.position >= from && !lane.discarded.contains(item.position);
    });
  }

  /// What of the lane was accepted before this may still be thrown away by a removal that waits.
  Position thrown_away_before(const Lane& lane) const {
    Position before = 0;
    for (const auto& removals : lanes_)
      for (auto item = removals.next(removals.confirmed); item != removals.items.end(); ++item)
        if (item->discards && goes_after(*item, lane)) before = std::max(before, item->position);
    return before;
  }

  /// The lane of the creates that passed the writes of a run's lane, or management.
  std::size_t passed_of(std::size_t lane) const { return lane + (lanes_[lane].ingested() ? 3 : 15); }
  /// The lanes of its files, and of what assigns these.
  static std::size_t files_of(std::size_t lane) { return lane + 6; }
  static std::size_t assignments_of(std::size_t files) { return files + 2; }

  void remove_something(std::size_t removals) {
    const auto& project = lanes_[removals].name.project;
    std::vector<ContainerName> runs;
    for (const auto& lane : lanes_)
      if (lane.name.project == project && lane.ingested()) runs.push_back(lane.name);
    const auto& run = runs[pick(runs.size())];
    Item removal{.is = Is::call,
                 .after = {run, {project, run.id, ContainerKind::files}, lanes_[of_all(removals)].name}};
    const bool all = chance(0.2);
    if (all) removal.after = {{project, std::string(everything_in_project), ContainerKind::management}};
    make_way(all ? of_all(removals) : removals, removal, chance(0.5));
  }

  static bool goes_after(const Item& removal, const Lane& lane) {
    return std::ranges::any_of(removal.after, [&lane](const ContainerName& name) {
      return name.id == everything_in_project ? lane.name.project == name.project : lane.name == name;
    });
  }

  /// Held writes to the target stand in the way: what was accepted before the removal is discarded when that was asked
  /// for, else the removal is refused.
  void make_way(std::size_t removals, Item removal, bool discard) {
    std::vector<std::size_t> targets;
    for (const auto& [id, index] : streams_) {
      if (!goes_after(removal, lanes_[index]) || core_->stream(id, now_).tally.held == 0) continue;
      if (!discard || !lanes_[index].queued || discarding_.contains(index)) {
        report_.refused_removals++;
        return;
      }
      targets.push_back(index);
    }
    removal.discards = discard;
    add(removals, removal);
    announce(removals);
    throw_away_from(std::move(targets), tickets_);
  }

  /// Writes before the create that passed them: what of them cannot be thrown away now needs it.
  void throw_away_from(std::vector<std::size_t> targets, Position before) {
    std::ranges::stable_partition(targets, [this](std::size_t target) { return !lanes_[target].passed; });
    for (const auto target : targets)
      if (!lanes_[target].passed || !writes_stay(target)) throw_away(target, before);
  }

  bool writes_stay(std::size_t passed) const {
    const auto is_its = [&](const Lane& lane) {
      return lane.name == lanes_[passed].name && !lane.passed && !lane.assigns;
    };
    const auto lane_it = std::ranges::find_if(lanes_, is_its);
    const auto writes = static_cast<std::size_t>(lane_it - lanes_.begin());
    const auto& lane = *lane_it;
    return !discarding_.contains(writes) && lane.confirmed != lane.last();
  }

  /// What waits and was accepted before is put on record, piece by piece, some time later; unless it is being sent.
  void throw_away(std::size_t index, Position before) {
    const auto id = stream_of(index);
    core_->pause(id, true, now_);
    if (core_->stream(id, now_).wait != Wait::paused) {
      if (core_->discard(id, lanes_[index].last(), 1, now_)) violate("a discard met a request");
      return core_->pause(id, false, now_);
    }
    discarding_[index] = before;
    throw_away_some(index, before);
  }

  void throw_away_some(std::size_t index, Position before) {
    soon(span(5ms), [this, index, before] {
      auto& lane = lanes_[index];
      const auto from = lane.next(lane.confirmed);
      const auto stays = [before](const Item& item) { return item.place() >= before; };
      const auto all = std::find_if(from, lane.items.cend(), stays) - from;
      if (all <= 0) {
        core_->pause(stream_of(index), false, now_);
        discarding_.erase(index);
        return look_into(index);
      }
      const auto count = 1 + static_cast<std::int64_t>(pick(static_cast<std::uint64_t>(all)));
      for (auto it = from; it != from + count; ++it) lane.discarded.insert(it->position);
      lane.confirmed = (from + (count - 1))->position;
      report_.discarded += static_cast<std::uint64_t>(count);
      if (!core_->discard(stream_of(index), lane.confirmed, static_cast<std::uint64_t>(count), now_))
        return violate("a discard was refused");
      look_into(index);
      throw_away_some(index, before);
    });
  }

  // Actions

  void act() {
    for (auto actions = core_->take_actions(); !actions.empty(); actions = core_->take_actions())
      for (const auto& action : actions) std::visit([this](const auto& a) { carry_out(a); }, action);
  }

  static std::array<Scope, 2> scopes_of(const Lane& lane) {
    return {Scope::of(lane.name.project.workspace), Scope::of(lane.name.project)};
  }

  void carry_out(const Send& send) {
    report_.sends++;
    const auto index = streams_.at(send.stream);
    const auto& lane = lanes_[index];
    if (send.after != lane.confirmed) return violate("a send does not start at the confirmed position");
    if (!out_.insert(send.stream).second) return violate("two requests of one stream at once");
    const auto first = lane.next(send.after);
    if (first == lane.items.end()) return violate("a send of nothing");
    if (discarding_.contains(index)) return violate("what is being discarded was sent");
    if (lane.relieves()) report_.relieved++;
    if (first->frees && !lane.relieves()) {
      report_.removals++;
      const auto known = [this](const Scope& scope) { return known_read_only_.contains(scope); };
      if (std::ranges::any_of(scopes_of(lane), known)) report_.removals_while_read_only++;
    }
    check_order(index, *first);
    const auto one_by_one = first->is == Is::create || lane.name.kind == ContainerKind::management || lane.frees();
    auto last = first;
    for (std::uint64_t n = 1; !one_by_one && n < send.max_operations; ++n, ++last)
      if (last + 1 == lane.items.end() || (last + 1)->is != first->is || !(last + 1)->after.empty() ||
          is_create_between(lane, *first, *(last + 1)))
        break;
    for (auto item = first; item <= last; ++item) check_project(lane, *item);
    const Request request{index, first->position, last->position};
    requests_of_[send.stream] = request;
    if (lane.files()) {
      check_scopes(send.stream, lane);
      return begin_files(send, request);
    }
    if (!lane.ingested()) report_.calls++;
    soon(span(chance(0.1) ? 5s : 20ms), [this, id = send.stream, request] { begin(id, request); });
  }

  /// It was read, and a connection is found: it may begin, unless the gate closed meanwhile.
  void begin(StreamId id, Request request) {
    const auto& lane = lanes_[request.lane];
    if (!core_->may_begin(id)) {
      report_.called_off++;
      out_.erase(id);
      for (auto& [scope, writing] : writing_into_) writing.erase(id);
      return core_->failed(id, sent_of(request), Failure{Failure::Kind::called_off, "", "", {}, false}, now_);
    }
    if (!lane.next(request.first - 1)->frees) check_scopes(id, lane);
    at(span(200ms), [this, life = life_, id, request, ingested = lane.ingested()] {
      if (ingested) {
        arrive(life, id, request);
      } else {
        call(life, id, request);
      }
    });
  }

  void check_scopes(StreamId id, const Lane& lane) {
    for (const auto& scope : scopes_of(lane)) {
      if (held_.contains(scope)) return violate("a write started into a held scope");
      if (!known_read_only_.contains(scope)) continue;
      auto& writing = writing_into_[scope];
      writing.insert(id);
      if (writing.size() > 1) return violate("a second write started into a scope known as read-only");
      if (const auto quiet = quiet_until_.find(scope); quiet != quiet_until_.end() && now_ < quiet->second)
        return violate("a write started before a probe was due, after the last one was refused");
      if (const auto first = probe_first_.find(scope); first != probe_first_.end() && now_ < first->second)
        return violate("a second write started after one probe");
    }
  }

  /// In the queue, of the project, or of the run that the files are of: as the queue plans it, no batch spans one.
  bool is_create_between(const Lane& lane, const Item& first, const Item& next) const {
    if (!lane.queued) return false;
    return std::ranges::any_of(lanes_, [&](const Lane& other) {
      const bool is_its_run = lane.files() && other.ingested() && other.name.id == lane.name.id;
      const auto is_between = [&](const Item& item) {
        return (item.creates_project || (is_its_run && item.is == Is::create)) && item.position > first.place() &&
               item.position < next.place();
      };
      return other.queued && other.name.project == lane.name.project &&
             std::any_of(other.next(other.confirmed), other.items.end(), is_between);
    });
  }

  /// What was accepted after a create of its project is for the project that is made then, and not for one that is
  /// removed before.
  void check_project(const Lane& lane, const Item& item) {
    if (!lane.queued || item.frees) return;
    for (const auto& other : lanes_) {
      if (!other.queued || &other == &lane || other.name.project != lane.name.project) continue;
      for (auto it = other.next(other.confirmed); it != other.items.end() && it->position < item.place(); ++it)
        if (it->creates_project)
          return violate(fmt::format("change {} of {} went before the create of its project, {}", item.position,
                                     lane.name.label(), it->position));
    }
  }

  /// Everything that goes before this change is confirmed, or was thrown away.
  void check_order(std::size_t index, const Item& item) {
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& other = lanes_[i];
      if (i == index || !goes_after(item, other) || (item.frees && (is_barred(i) || goes_nowhere(i)))) continue;
      if (item.frees && waits_for_what_comes_after(other, item)) continue;
      const auto next = other.queued ? other.first_before(item.position) : other.next(other.confirmed);
      if (next != other.items.end())
        return violate(fmt::format("change {} of {} went before change {} of {}", item.position,
                                   lanes_[index].name.label(), next->position, other.name.label()));
    }
    if (lanes_[index].name.kind == ContainerKind::removals) check_removals(index, item);
    if (item.frees && removes_uploads(item)) report_.removals_after_uploads++;
  }

  /// Of a run of which files were handed in before it.
  bool removes_uploads(const Item& removal) const {
    return std::ranges::any_of(lanes_, [&removal](const Lane& lane) {
      return lane.assigns && goes_after(removal, lane) && !lane.items.empty() &&
             lane.items.front().place() < removal.position;
    });
  }

  /// A fork, or files of one.
  bool waits_for_what_comes_after(const Lane& lane, const Item& removal) const {
    if (!lane.files()) return forks_from_what_comes_after(lane, removal);
    return std::ranges::any_of(lanes_, [&](const Lane& run) {
      return run.name == ContainerName{lane.name.project, lane.name.id} && forks_from_what_comes_after(run, removal);
    });
  }

  /// Its parent's create waits for this removal, or that of the parent's parent.
  bool forks_from_what_comes_after(const Lane& fork, const Item& removal) const {
    if (fork.parent.empty() || !creates_next(fork)) return false;
    return std::ranges::any_of(lanes_, [&](const Lane& parent) {
      if (parent.name != ContainerName{fork.name.project, fork.parent}) return false;
      const auto create = create_in(parent, parent.next(parent.confirmed));
      const bool is_after = parent.queued && create != parent.items.end() && create->position > removal.position;
      return is_after || forks_from_what_comes_after(parent, removal);
    });
  }

  static bool creates_next(const Lane& lane) {
    const auto next = lane.next(lane.confirmed);
    return next != lane.items.end() && next->is == Is::create;
  }

  /// It goes nowhere, or they are files of a run whose create goes nowhere.
  bool is_barred(std::size_t lane) const {
    return std::ranges::any_of(streams_, [this, lane](const auto& stream) {
      const auto& [project, id, kind] = lanes_[lane].name;
      const bool is_its_create = kind == ContainerKind::files && creates_next(lanes_[stream.second]) &&
                                 lanes_[stream.second].name == ContainerName{project, id, ContainerKind::run};
      return (stream.second == lane || is_its_create) && core_->stream(stream.first, now_).barred;
    });
  }

  /// It goes nowhere, or it waits for what does: for what stands before it, for its run's create or its parent's, for
  /// that of its project, or for what it names.
  bool goes_nowhere(std::size_t index, std::set<std::size_t> seen = {}) const {
    const auto& lane = lanes_[index];
    const auto next = lane.next(lane.confirmed);
    if (lane.frees() || next == lane.items.end() || !seen.insert(index).second) return false;
    if (core_->stream(stream_of(index), now_).barred)
      return !lane.queued || !has_create_behind(lane) || has_passed(lane.name);
    const auto stands_in_the_way = [&](std::size_t i) {
      const auto& other = lanes_[i];
      const auto first = other.next(other.confirmed);
      if (i == index || first == other.items.end() || other.name.project != lane.name.project) return false;
      if (other.name == lane.name)
        return other.assigns && !lane.passed && first->place() < next->place() && !holds_create(lane.name) &&
               goes_nowhere(i, seen);
      const auto create = std::find_if(first, other.items.end(), [](const Item& item) { return item.creates_project; });
      const bool is_awaited = create != other.items.end() && (!lane.queued || create->position < next->place());
      if (is_awaited && other.queued) return goes_nowhere(i, seen);
      return next->place() > first->place() && goes_after(*next, other) && goes_nowhere(i, seen);
    };
    if (std::ranges::any_of(std::views::iota(std::size_t{0}, lanes_.size()), stands_in_the_way)) return true;
    if (lane.files() && creates_go_nowhere({lane.name.project, lane.name.id}, seen)) return true;
    return next->is == Is::create && !lane.parent.empty() && creates_go_nowhere({lane.name.project, lane.parent}, seen);
  }

  bool creates_go_nowhere(const ContainerName& run, const std::set<std::size_t>& seen) const {
    bool creates = false;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& lane = lanes_[i];
      if (lane.name != run || create_in(lane, lane.next(lane.confirmed)) == lane.items.end()) continue;
      if (!goes_nowhere(i, seen)) return false;
      creates = true;
    }
    return creates;
  }

  /// Then those behind what goes nowhere are tried, too.
  bool holds_create(const ContainerName& run) const {
    return std::ranges::any_of(lanes_, [&run](const Lane& lane) {
      return lane.name == run && create_in(lane, lane.next(lane.confirmed)) != lane.items.end();
    });
  }

  bool has_passed(const ContainerName& run) const {
    return std::ranges::any_of(
        lanes_, [&run](const Lane& lane) { return lane.passed && lane.name == run && lane.confirmed != lane.last(); });
  }

  /// Removals of the same thing go in the order in which they were handed in.
  void check_removals(std::size_t index, const Item& item) {
    for (const auto& other : lanes_) {
      if (!other.frees() || &other == &lanes_[index] || other.name.project != lanes_[index].name.project) continue;
      for (auto it = other.next(other.confirmed); it != other.items.end() && it->position < item.position; ++it)
        if (removes_the_same(item, *it))
          return violate(fmt::format("removal {} went before removal {} of the same", item.position, it->position));
    }
  }

  Sent sent_of(const Request& request) const {
    const auto& lane = lanes_[request.lane];
    const auto count = static_cast<std::uint64_t>(lane.next(request.last) - lane.next(request.first - 1));
    return {request.last, count, count * 10, lane.next(request.first - 1)->is == Is::create};
  }

  struct Fate {
    bool taken;
    std::optional<Failure> failure;
  };

  /// The request reaches the server, or not; the answer reaches us, or not.
  Fate fate(const Lane& lane) {
    const auto& [scope, mode] = server_.mode_of(lane.name.project);
    const bool http = !lane.ingested() || mode.style == Style::http || mode.style == Style::bare;
    const auto kind = mode.style == Style::bare ? Failure::Kind::ambiguous_limit : Failure::Kind::read_only;
    const Failure read_only{kind, "code", "over quota", {}, scope && !scope->is_workspace()};
    if (!chance(trouble_)) {
      if (scope && http && !lane.frees()) return {false, read_only};
      // What is to be removed of it is gone.
      if (!lane.ingested() && !lane.frees() && server_.missing_projects.contains(lane.name.project) &&
          !creates_project(lane))
        return {false, Failure{Failure::Kind::forbidden, "http_403", "no such project", {}, false}};
      return {true, std::nullopt};
    }
    switch (pick(lane.frees() && scope ? 7 : 6)) {
      case 0:  // stored, unless the scope takes no writes, and the answer is lost
        return {!scope || !http || lane.frees(), Failure{Failure::Kind::unreachable, "lost", "lost", {}, false}};
      case 1:
        return {false, Failure{Failure::Kind::unreachable, "lost", "lost", {}, false}};
      case 2:
        return {false, Failure{Failure::Kind::busy, "http_429", "slow down", 3s, false}};
      case 3:
        return {false, Failure{Failure::Kind::server_error, "http_500", "oops", {}, false}};
      case 4:
        return {false, Failure{Failure::Kind::source, "source", "not now", {}, false}};
      case 5:
        return {false, Failure{Failure::Kind::forbidden, "http_403", "no permission", {}, false}};
      default:
        return {false, read_only};  // even a removal
    }
  }

  static bool creates_project(const Lane& lane) {
    const auto next = lane.next(lane.confirmed);
    return next != lane.items.end() && next->creates_project;
  }

  void arrive(std::uint64_t life, StreamId id, Request request) {
    const auto& lane = lanes_[request.lane];
    const auto [taken, failure] = fate(lane);
    std::string request_id;
    if (taken) {
      request_id = fmt::format("q{}", ++requests_made_);
      requests_[request_id] = request;
      at(span(chance(0.1) ? 5s : 100ms), [this, request_id] { server_.process(requests_.at(request_id)); });
    }
    if (life != life_) return;
    if (failure) {
      out_.erase(id);
      ended(id, failure->kind);
      core_->failed(id, sent_of(request), *failure, now_);
    } else {
      core_->sent(id, sent_of(request), request_id, now_);
    }
  }

  /// A direct call reaches the server, or not; it may carry fewer changes than the batch holds.
  void call(std::uint64_t life, StreamId id, Request request) {
    const auto& lane = lanes_[request.lane];
    // Sent in an earlier life, and stepped aside in this one: as if it were lost.
    if (const auto sent = lane.next(request.first - 1); sent == lane.items.end() || sent->position != request.first)
      return;
    const auto [taken, failure] = fate(lane);
    if (chance(0.2))
      request.last = (lane.next(request.first - 1) + static_cast<std::int64_t>(pick(sent_of(request).count)))->position;
    std::vector<Position> refused;
    if (taken) refused = server_.call(request.lane, request.first, request.last);
    if (life != life_) return;
    out_.erase(id);
    requests_of_[id] = request;
    ended(id, failure ? std::optional(failure->kind) : std::nullopt);
    const auto sent = sent_of(request);
    if (failure) {
      core_->failed(id, sent, *failure, now_);
    } else if (sent.count == 1 && !refused.empty() && chance(0.5)) {
      core_->failed(id, sent, Failure{Failure::Kind::rejected, "http_409", "no", {}, false}, now_);
    } else {
      std::vector<Refusal> refusals;
      for (const auto position : refused) refusals.push_back({position, "refused", "no"});
      if (lane.frees()) {  // room may have been made: it is asked at once
        quiet_until_.clear();
        std::erase_if(probe_first_, [](const auto& entry) { return !entry.first.is_workspace(); });
      }
      core_->stored(id, sent, std::move(refusals), now_);
      answered_call_ = &lane;
      act();
      answered_call_ = nullptr;
    }
  }

  void begin_files(const Send& send, Request request) {
    report_.files++;
    const auto& workspace = lanes_[request.lane].name.project.workspace;
    const auto is_of_these = [this, &workspace](StreamId id) {
      const auto& lane = lanes_[streams_.at(id)];
      return lane.files() && lane.name.project.workspace == workspace;
    };
    if (std::ranges::count_if(out_, is_of_these) > settings_.max_files_in_flight)
      violate("more streams of files of a workspace are being sent than may be");
    if (send.ask_first && chance(0.2)) request.last = request.first;
    core_->begun(send.stream, sent_of(request), now_);
    at(span(200ms), [this, life = life_, id = send.stream, request] { sign_files(life, id, request); });
  }

  void sign_files(std::uint64_t life, StreamId id, Request request) {
    const auto [taken, failure] = fate(lanes_[request.lane]);
    if (life != life_) return;
    if (failure) return end_files(id, request, failure);
    ended(id, std::nullopt);
    core_->taken(id, now_);
    soon(span(500ms), [this, id, request] { send_some_files(id, request); });
  }

  /// Some of the files arrive; the rest follows, unless the gate closed meanwhile, or completing one is refused.
  void send_some_files(StreamId id, Request request) {
    const auto& lane = lanes_[request.lane];
    if (!core_->is_open(lane.name.project)) {
      out_.erase(id);
      report_.put_back++;
      return core_->put_back(id, now_);
    }
    if (const auto [taken, failure] = fate(lane); failure) return end_files(id, request, failure);
    Request some = request;
    some.last = (lane.next(request.first - 1) + static_cast<std::int64_t>(pick(sent_of(request).count)))->position;
    std::vector<Refusal> refusals;
    for (const auto position : server_.call(some.lane, some.first, some.last))
      refusals.push_back({position, "refused", "no"});
    if (lane.queued) assign(some, refusals);
    requests_of_[id] = some;
    if (some.last == request.last) {
      out_.erase(id);
      return core_->stored(id, sent_of(some), std::move(refusals), now_);
    }
    report_.told_in_part++;
    core_->stored_so_far(id, sent_of(some), std::move(refusals), now_);
    request.first = some.last + 1;
    soon(span(500ms), [this, id, request] { send_some_files(id, request); });
  }

  /// Before a file that is there is told, its assignment is handed in, at its place; once, however often it is sent.
  void assign(const Request& request, const std::vector<Refusal>& refused) {
    const auto to = assignments_of(request.lane);
    const auto& files = lanes_[request.lane];
    for (auto it = files.next(request.first - 1); it != files.items.end() && it->position <= request.last; ++it)
      if (std::ranges::find(refused, it->position, &Refusal::position) == refused.end() &&
          is_unassigned(to, it->position)) {
        report_.assigned++;
        add(to, {.follows = it->position});
      }
    announce(to);
  }
  bool is_unassigned(std::size_t assignments, Position upload) const {
    return std::ranges::find(lanes_[assignments].items, upload, &Item::follows) == lanes_[assignments].items.end();
  }

  void end_files(StreamId id, const Request& request, const std::optional<Failure>& failure) {
    out_.erase(id);
    requests_of_[id] = request;
    ended(id, failure->kind);
    core_->failed(id, sent_of(request), *failure, now_);
  }

  /// The write's outcome is known: it no longer counts against its scopes. Refused by a scope that was known as
  /// read-only, it was that probe's one; where only the status call can tell, that is to be heard first.
  void ended(StreamId id, std::optional<Failure::Kind> failure) {
    const auto scope = server_.mode_of(lanes_[streams_.at(id)].name.project).first;
    for (auto& [of, writing] : writing_into_) {
      if (writing.erase(id) == 0) continue;
      // A workspace is to be asked for first; a project's next write is its probe.
      probe_first_[of] = of.is_workspace() ? Instant::max() : now_ + least_wait_unconfirmed();
      if (of != scope) continue;
      if (failure == Failure::Kind::read_only) quiet_until_[of] = now_ + least_wait();
      if (failure == Failure::Kind::ambiguous_limit) quiet_until_[of] = now_ + 24h;
    }
  }

  /// Before the next probe, after a write that was to confirm and did not.
  Duration least_wait_unconfirmed() const { return std::min<Duration>(1s, settings_.gate.probe_interval) * 4 / 5; }
  /// Before the next probe, whatever the jitter; an answer may be a moment older.
  Duration least_wait() const { return settings_.gate.probe_interval * 4 / 5 - 1s; }

  void carry_out(const Check& check) {
    soon(span(50ms), [this, check] {
      if (chance(trouble_ / 2)) {
        using Kind = Failure::Kind;
        static constexpr std::array kinds{Kind::unreachable, Kind::server_error, Kind::busy, Kind::rejected,
                                          Kind::forbidden};
        const auto kind = kinds[pick(kinds.size())];
        for (std::size_t i = 0; kind == Kind::rejected && i < check.ids.size(); ++i)  // forgotten, it is sent again
          if (out_.erase(check.streams[i]) > 0) ended(check.streams[i], std::nullopt);
        core_->check_failed(check, Failure{kind, "check", "check failed", {}, false}, now_);
        return;
      }
      std::vector<RequestStatus> statuses;
      for (std::size_t i = 0; i < check.ids.size(); ++i) {
        const auto& request = requests_.at(check.ids[i]);
        RequestStatus status = request.status;
        status.pending = !request.processed;
        const auto suspended = [](const CodeCount& entry) { return entry.detail == IngestCode::ingest_suspended; };
        if (std::ranges::any_of(status.counts, suspended)) report_.suspended++;
        if (request.processed) {
          out_.erase(check.streams[i]);
          ended(check.streams[i], std::nullopt);
        }
        statuses.push_back(status);
      }
      core_->checked(check, statuses, now_);
    });
  }

  /// What was sent of a stream came to its end; of the queue, what stands first now is told a little later.
  void settled(StreamId id) {
    const auto index = streams_.at(id);
    if (lanes_[index].queued) soon(span(20ms), [this, index] { look_into(index); });
  }

  void carry_out(const Settle& settle) {
    auto& lane = lanes_[streams_.at(settle.stream)];
    for (const auto& refusal : settle.refused) refuse(settle.stream, refusal.position, refusal.code);
    const auto request = requests_of_.extract(settle.stream);
    if (request.empty() || settle.upto != request.mapped().last || settle.upto < lane.confirmed)
      return violate("settled twice, or what was not sent");
    std::uint64_t count = 0;
    for (auto it = lane.next(request.mapped().first - 1); it != lane.items.end() && it->position <= settle.upto; ++it) {
      if (lane.rejected.contains(it->position)) continue;
      if (!lane.is_stored(it->position))
        return violate(fmt::format("{} settled, but the server has no change {}", lane.name.label(), it->position));
      count++;
    }
    if (settle.count != count) return violate("a settle counts wrong");
    lane.confirmed = settle.upto;
    if (settle.create) try_forks_again(lane.name);
    settled(settle.stream);
  }

  /// Those that were refused for want of it, as the engine does, or a person: they are stored then.
  void try_forks_again(const ContainerName& parent) {
    for (const auto index : std::set<std::size_t>(orphans_)) {
      auto& lane = lanes_[index];
      if (ContainerName{lane.name.project, lane.parent} != parent) continue;
      orphans_.erase(index);
      tried_again_.insert(index);
      lane.rejected.erase(lane.items.front().position);
      lane.created = true;
      lane.stored.insert(lane.stored.begin(), lane.items.front().position);
      try_forks_again(lane.name);
    }
  }

  /// It was told that it is on the server, and not just now by what was tried again, of which the core knows nothing
  /// here: what comes to be refused for want of it is not tried again by itself.
  bool is_told_created(const ContainerName& run) const {
    return std::ranges::any_of(lanes_, [this, &run](const Lane& lane) {
      if (tried_again_.contains(static_cast<std::size_t>(&lane - lanes_.data()))) return false;
      const auto is_told = [&lane](const Item& item) {
        return item.is == Is::create && item.position <= lane.confirmed && !lane.rejected.contains(item.position) &&
               !lane.discarded.contains(item.position);
      };
      return lane.name == run && std::ranges::any_of(lane.items, is_told);
    });
  }

  void carry_out(const Reject& reject) {
    refuse(reject.stream, reject.position, reject.code);
    settled(reject.stream);
  }

  void refuse(StreamId stream, Position position, const std::string& code) {
    report_.rejected++;
    auto& lane = lanes_[streams_.at(stream)];
    const auto item = lane.next(position - 1);
    if (position <= lane.confirmed || item == lane.items.end() || item->position != position)
      return violate("a rejection out of order");
    for (auto it = lane.next(lane.confirmed); it != item; ++it)
      if (lane.ingested() || !lane.is_stored(it->position)) return violate("a rejection went past what was not stored");
    const ContainerName parent{lane.name.project, lane.parent};
    const bool is_orphan =
        code == name(IngestCode::run_fork_parent_not_found) && item->is == Is::create && !is_told_created(parent);
    if (!item->poison && !is_orphan)
      return violate(fmt::format("{}: change {} rejected with {}, and nothing is wrong with it", lane.name.label(),
                                 position, code));
    if (is_orphan) orphans_.insert(streams_.at(stream));
    report_.orphans += is_orphan ? 1 : 0;
    lane.rejected.insert(position);
    lane.confirmed = position;
    const auto is_parent = [this, &parent](std::size_t index) { return lanes_[index].name == parent; };
    if (is_orphan && std::ranges::any_of(tried_again_, is_parent)) try_forks_again(parent);
  }

  /// Unless its turn came meanwhile.
  void carry_out(const StepAside& aside) {
    soon(span(20ms), [this, aside] {
      const auto index = streams_.at(aside.stream);
      auto& lane = lanes_[index];
      if (!is_removals(lane)) return violate("what is no removal stepped aside");
      const auto item = lane.next(lane.confirmed);
      if (out_.contains(aside.stream) || item == lane.items.end() || item->position != aside.position) return;
      report_.stepped_aside++;
      lanes_[waiting(index)].items.push_back(*item);
      lane.items.erase(item);
      announce(waiting(index));
      look_into(index);
    });
  }

  void carry_out(const MakeWay& way) {
    soon(span(20ms), [this, way] {
      const auto& removal = *lanes_[streams_.at(way.stream)].next(way.position - 1);
      if (!removal.discards || removal.position != way.position) return violate("way was made for nothing");
      report_.ways_made++;
      std::vector<std::size_t> targets;
      for (const auto& [id, index] : streams_) {
        const auto view = core_->stream(id, now_);
        const bool stuck = view.tally.held > 0 || view.barred;
        if (stuck && lanes_[index].queued && goes_after(removal, lanes_[index]) && !discarding_.contains(index))
          targets.push_back(index);
      }
      throw_away_from(std::move(targets), way.position);
      soon(span(200ms), [this, way] { core_->way_made(way.stream, now_); });
    });
  }

  /// Unless the writes before it went meanwhile.
  void carry_out(const LetCreatePass& pass) {
    soon(span(20ms), [this, pass] {
      const auto index = streams_.at(pass.stream);
      auto& lane = lanes_[index];
      const bool has_creates = lane.ingested() || lane.name.kind == ContainerKind::management;
      if (!lane.queued || !has_creates || lane.passed) return violate("what is no write of the queue was passed");
      const auto first = lane.next(lane.confirmed);
      const auto create = create_in(lane, first);
      if (out_.contains(pass.stream) || !core_->stream(pass.stream, now_).barred) return;
      if (create == lane.items.end() || create == first) return;
      report_.passed++;
      auto& passed = lanes_[passed_of(index)];
      passed.items.insert(std::ranges::upper_bound(passed.items, create->position, {}, &Item::position), *create);
      lane.items.erase(create);
      announce(passed_of(index));
      look_into(index);
    });
  }

  void carry_out(const AskStatus& ask) {
    report_.probes++;
    probe_first_.erase(Scope::of(ask.workspace));
    soon(span(50ms), [this, ask] {
      const auto it = server_.modes.find(Scope::of(ask.workspace));
      WorkspaceStatus status;
      status.read_only = it != server_.modes.end() && it->second.read_only;
      Answer<WorkspaceStatus> answer = status;
      if (chance(trouble_)) {
        const auto kind = chance(0.5) ? Failure::Kind::unreachable : Failure::Kind::server_error;
        answer = std::unexpected(Failure{kind, "status", "no status", {}, false});
      }
      if (!status_call_) answer = std::unexpected(Failure{Failure::Kind::rejected, "status", "no status", {}, false});
      if (const auto quiet = quiet_until_.find(Scope::of(ask.workspace));
          quiet != quiet_until_.end() && quiet->second > now_ + 1h) {
        quiet->second = now_ + least_wait();
        if (answer && !answer->read_only) quiet_until_.erase(quiet);
      }
      core_->status_told(ask, answer, now_);
    });
  }

  void carry_out(const AskServer& ask) {
    soon(span(50ms), [this, ask] {
      Answer<void> answer;
      if (chance(trouble_))
        answer = std::unexpected(Failure{Failure::Kind::unreachable, "away", "no answer", {}, false});
      core_->server_told(ask, answer, now_);
    });
  }

  void carry_out(const ModeChanged& changed) {
    durable_modes_[changed.scope] = changed.mode;
    writing_into_.erase(changed.scope);
    quiet_until_.erase(changed.scope);
    probe_first_.erase(changed.scope);
    if (changed.mode == Mode::read_only) {
      known_read_only_.insert(changed.scope);
    } else {
      known_read_only_.erase(changed.scope);
      if (answered_call_ && answered_call_->frees() && writes_wait(changed.scope))
        violate("a removal opened " + changed.scope.text());
      if (answered_call_) report_.opened_by_calls++;
    }
  }

  /// Of which one could tell the mode: an operator lets none of a scope that is held, and what is thrown away goes
  /// nowhere.
  bool writes_wait(const Scope& scope) const {
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& lane = lanes_[i];
      const auto scopes = scopes_of(lane);
      const auto is_held = [this](const Scope& of) { return held_.contains(of); };
      if (std::ranges::find(scopes, scope) == scopes.end() || std::ranges::any_of(scopes, is_held)) continue;
      if (!lane.frees() && lane.confirmed != lane.last() && !discarding_.contains(i)) return true;
    }
    return false;
  }

  void carry_out(const ServerChanged&) {}

  // Trouble

  Scope some_scope() {
    const auto& project = lanes_[pick(lanes_.size())].name.project;
    return chance(0.5) ? Scope::of(project) : Scope::of(project.workspace);
  }

  void flip() {
    report_.flips++;
    const auto scope = some_scope();
    auto& mode = server_.modes[scope];
    mode.read_only = !mode.read_only;
    mode.style = static_cast<Style>(pick(scope.is_workspace() && status_call_ ? 4 : 3));
  }

  /// The machine slept: all that was due is late, and comes at once.
  void jump() {
    report_.jumps++;
    now_ += span(3min);
  }

  void operate() {
    const auto scope = some_scope();
    if (chance(0.3)) {
      quiet_until_.erase(scope);
      if (!scope.is_workspace()) probe_first_.erase(scope);
      core_->probe(scope, now_);
      return;
    }
    if (held_.erase(scope) == 0) held_.insert(scope);
    core_->hold(scope, held_.contains(scope), now_);
  }

  // The end

  bool all_done() const {
    return std::ranges::all_of(lanes_, [](const Lane& lane) { return lane.confirmed == lane.last(); });
  }

  /// A workspace that nothing waits in is asked about until the status call says that it takes writes.
  /// So is a project; where that can't be told, the next write may try.
  std::optional<Scope> still_read_only() const {
    for (const auto& lane : lanes_)
      for (const auto& scope : scopes_of(lane))
        if (core_->scope(scope).mode != Mode::normal) return scope;
    return std::nullopt;
  }

  void check_end() {
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& lane = lanes_[i];
      if (lane.confirmed != lane.last()) return violate(what_stopped());
      for (const auto& item : lane.items) {
        if (lane.discarded.contains(item.position)) continue;
        if (item.poison != lane.rejected.contains(item.position))
          return violate(lane.name.label() + ": not exactly the refused changes were rejected");
        if (!item.poison && !lane.is_stored(item.position)) return violate(lane.name.label() + ": a change is missing");
        if (!item.poison && lane.files() && lane.queued && is_unassigned(assignments_of(i), item.position))
          return violate(lane.name.label() + ": a file is not assigned");
      }
    }
    for (const auto& [id, index] : streams_)
      if (core_->stream(id, now_).tally != Tally{}) return violate("a tally is not empty in the end");
    if (core_->total() != Tally{}) return violate("the total is not empty in the end");
    if (const auto scope = still_read_only()) violate(scope->text() + " is still read-only in the end");
  }

  std::string what_stopped() const {
    std::string text;
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
      const auto& lane = lanes_[i];
      if (lane.confirmed == lane.last()) continue;
      const auto view = core_->stream(stream_of(i), now_);
      text +=
          fmt::format("{}{}/{}{} stopped at {} of {}, before {}: wait {} trouble '{}'", text.empty() ? "" : "; ",
                      lane.name.project.full(), lane.name.label(), lane.passed ? " (passed)" : "", lane.confirmed,
                      lane.last(), lane.next(lane.confirmed)->position, static_cast<int>(view.wait), view.trouble.text);
    }
    return text;
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
  bool calm_ = false;        // no trouble comes any more; a jump may have passed over some
  bool status_call_ = true;  // the server has one
  std::priority_queue<Event> events_;
  std::uint64_t events_made_ = 0;
  std::vector<Lane> lanes_;
  std::vector<std::size_t> queues_;  // the first lane of each: management, removals, metadata, two runs, ...
  HistoryServer server_{lanes_, [this](std::string what) { violate(std::move(what)); }};
  Position tickets_ = 0;
  std::unique_ptr<Core> core_;
  std::uint64_t life_ = 0;
  std::map<StreamId, std::size_t> streams_;
  std::map<ContainerName, std::set<std::size_t>> expecting_;
  std::set<StreamId> out_;                      // handed in, and its fate not known yet
  std::map<StreamId, Request> requests_of_;     // the last of each
  std::set<std::size_t> tried_again_;           // of those below, once they are stored
  std::set<std::size_t> orphans_;               // run logs whose create was refused for want of its parent
  std::map<std::size_t, Position> discarding_;  // of these lanes, what was accepted before
  const Lane* answered_call_ = nullptr;         // what follows is what its success means
  std::map<Scope, Mode> durable_modes_;
  std::set<Scope> known_read_only_;
  std::set<Scope> held_;
  std::map<Scope, std::set<StreamId>> writing_into_;  // since it is known as read-only, and not yet ended
  std::map<Scope, Instant> probe_first_;              // a write that was to confirm ended: none begins before then
  std::map<Scope, Instant> quiet_until_;              // its probe's one write was refused
  std::map<std::string, Request> requests_;
  std::uint64_t requests_made_ = 0;
  HistoryReport report_;
};

}  // namespace

HistoryReport play_history(std::uint64_t seed, const HistoryOptions& options) {
  return History(seed, options).play();
}

}  // namespace neptune::core
