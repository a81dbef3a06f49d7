#include "sources/impl/run_log_watch.h"

#include <spdlog/spdlog.h>
#include <sys/inotify.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "sources/run_log/admission.h"
#include "support/pause.h"

namespace neptune::sources {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto admitted_again = 500ms;  // a log that is still being made, or busy
// Nobody can tell who has a log open on another host. A clean end leaves no -wal; else only time tells.
constexpr auto network_quiet = 24h;  // our own bound: no job that lives is silent for so long

std::vector<fs::path> run_log_folders(const RunLogsOptions& options) {
  std::vector<fs::path> out;
  for (const auto& folder : options.folders)
    if (folder.kind != WatchFolder::Kind::client_1x) out.push_back(folder.path);
  return out;
}

bool same_content(const LogStamp& a, const LogStamp& b) {
  return a.size == b.size && a.wal_size == b.wal_size && a.written_ns == b.written_ns &&
         a.wal_written_ns == b.wal_written_ns;
}

LogDatabase::Mode mode_of(const SourceInfo& info) {
  return {info.state == SourceState::live, info.read_only, info.network};
}

std::vector<std::int32_t> holders_of(const LogFacts& facts, const FileSystem& file_system, const LockTable& locks) {
  if (!facts.has_shm) return {};
  return locks.holders(facts.shm, file_system.lock_device);
}

}  // namespace

RunLogWatch::RunLogWatch(asio::any_io_executor executor, WorkerPool& pool, const Clock& clock, RunLogsOptions options,
                         SourceListener& listener, FileSystemProbe probe)
    : executor_(executor),
      pool_(pool),
      clock_(clock),
      options_(std::move(options)),
      listener_(listener),
      registry_(std::make_shared<LogRegistry>(options_.open_logs)),
      group_(executor),
      processes_(executor, group_,
                 [this](std::int32_t pid) {
                   for (const auto& [path, entry] : entries_)
                     if (std::ranges::find(entry.info.holders, pid) != entry.info.holders.end()) due_.add(path);
                 }),
      due_(executor, clock),
      folder_watch_(executor, pool, run_log_folders(options_), ScanRules{.marker = run_log_file}, options_.rescan,
                    *this, std::move(probe)) {}

RunLogWatch::~RunLogWatch() {
  for (auto& [path, entry] : entries_)
    if (entry.source) entry.source->forget_listener();
}

asio::awaitable<void> RunLogWatch::run() {
  group_.spawn("folder events", folder_watch_.run_events());
  group_.spawn("folder scans", folder_watch_.run_scans());
  group_.spawn("run logs", run_looks());
  asio::steady_timer forever(executor_, asio::steady_timer::time_point::max());
  boost::system::error_code cancelled;
  co_await forever.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  // The tasks are to be waited for, although this one is cancelled.
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await group_.stop();
  processes_.clear();
  for (auto& [path, entry] : entries_)
    if (entry.source) co_await entry.source->release();
  co_await asio::this_coro::throw_if_cancelled(true);
}

// The operator's word: what was refused may be mended in ways that its files do not show.
void RunLogWatch::rescan() {
  for (auto& [path, entry] : entries_) entry.refused.reset();
  folder_watch_.rescan();
}

void RunLogWatch::follow(std::vector<WatchFolder> folders) {
  options_.folders = std::move(folders);
  folder_watch_.follow(run_log_folders(options_));
  std::vector<std::string> left;
  for (const auto& [path, entry] : entries_)
    if (!folder_watch_.covers(path)) left.push_back(path);
  for (const auto& path : left) group_.spawn("unwatched run log", let_go(path));
}

std::vector<WatchState> RunLogWatch::folders() const {
  std::vector<WatchState> out;
  for (const auto& state : folder_watch_.states()) {
    out.push_back({state.folder.string(), state.problem, state.network, state.followed, state.closed});
    out.back().finding = std::ranges::any_of(entries_, [&state](const auto& entry) {
      return !entry.second.looked_at && entry.first.starts_with(state.folder.string() + "/");
    });
    // No log is taken while nobody can tell who has it open.
    if (locks_problem_) out.back().problem = locks_problem_->message, out.back().followed = false;
  }
  return out;
}

void RunLogWatch::directory_found(const fs::path& directory, const FileSystem& file_system) {
  if (!folder_watch_.covers(directory)) return;  // by a scan that began before the folders changed
  const Liveness::Rules rules{options_.live_after, options_.closed_after};
  const auto [entry, fresh] = entries_.try_emplace(directory.string(), LogPaths(directory), file_system, rules);
  entry->second.file_system = file_system;
  entry->second.scanned = true;
  due_.add(entry->first);
}

void RunLogWatch::file_touched(const fs::path& directory, const std::string& name, std::uint32_t mask) {
  const auto found = entries_.find(directory.string());
  if (found == entries_.end() || !name.starts_with(run_log_file)) return;
  auto& entry = found->second;
  const auto beside = std::string_view(name).substr(std::string_view(run_log_file).size());
  // Only -shm is opened by those alone who open the log in SQLite.
  if ((mask & IN_OPEN) && (beside != "-shm" || std::exchange(entry.own_open, false))) return;
  if ((mask & IN_MODIFY) && beside == "-wal" && entry.source) listener_.source_written(entry.info.key);
  // Writing tells nothing new of a log whose holders are known; coming and going does.
  const bool known = entry.info.state == SourceState::live || entry.info.state == SourceState::left_to_client;
  if (!(mask & IN_MODIFY) || !known) due_.add(found->first);
}

void RunLogWatch::directory_left(const fs::path& directory) {
  if (entries_.contains(directory.string())) due_.add(directory.string());
}

void RunLogWatch::looked_through() {
  due_.add_all(entries_);
}

void RunLogWatch::trouble_told(const fs::path& path, const std::string& trouble) {
  log_trouble(path, trouble);
}

asio::awaitable<void> RunLogWatch::run_looks() {
  for (;;) {
    auto due = co_await due_.next(&entries_);
    co_await look_at_all(std::move(due));
    co_await pause(FolderWatch::between_looks);
  }
}

asio::awaitable<void> RunLogWatch::look_at_all(DueLooks::Due due) {
  const auto paths = std::move(due.paths);
  for (const auto& path : paths)
    if (const auto entry = entries_.find(path); entry != entries_.end()) entry->second.own_open = true;
  auto work = [paths, registry = registry_] {
    Looks looks;
    for (const auto& path : paths) looks.facts.push_back(look_at(LogPaths(path), registry->files));
    // After the files: a holder that came meanwhile is seen.
    auto locks = LockTable::read();
    if (locks)
      looks.locks = std::move(*locks);
    else
      looks.problem = std::move(locks.error());
    return looks;
  };
  auto looks = co_await pool_.run(std::move(work));
  locks_problem_ = looks.problem;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    co_await decide(paths[i], std::move(looks.facts[i]), looks.locks);
    if (const auto entry = entries_.find(paths[i]); entry != entries_.end()) entry->second.looked_at = true;
  }
  watch_processes();
  if (due.looked_through && !std::exchange(first_scan_done_, true)) listener_.first_scan_done();
}

SourceState RunLogWatch::judge(Entry& entry, const LogFacts& facts, const std::vector<std::int32_t>& holders) {
  const auto now = clock_.now();
  const bool unseen = locks_problem_ || (facts.unseen_holder && holders.empty());
  auto state = entry.liveness.judge({holders, unseen, facts.quiet_for}, now);
  entry.look_again = entry.liveness.look_again();
  if (unseen) entry.look_again = now + options_.live_after;
  const bool being_made = facts.header == LogHeader::empty || facts.header == LogHeader::not_wal;
  if (state == SourceState::closed && being_made && facts.quiet_for < Liveness::Rules{}.quiet) {
    state = SourceState::settling_in;
    entry.look_again = now + options_.closed_after;
  }
  const bool quiet = !facts.has_wal || facts.quiet_for > network_quiet;
  if (entry.file_system.network && !(state == SourceState::closed && quiet) && takeable(state))
    state = SourceState::settling_in;
  return state;
}

bool RunLogWatch::another_path_to(const std::string& path, const SourceKey& key) const {
  return std::ranges::any_of(entries_, [&path, &key](const auto& other) {
    return other.first != path && other.second.announced && other.second.info.key.is_same_file(key);
  });
}

void RunLogWatch::compare_with_last_scan(Entry& entry, const LogFacts& facts) {
  if (!std::exchange(entry.scanned, false)) return;
  const bool written = entry.stamp && !same_content(*entry.stamp, facts.stamp);
  entry.stamp = facts.stamp;
  if (!written || !entry.source) return;
  // What we took out ourselves is no news. On a network scans alone tell of writes: there each one is looked into.
  const auto& left_as = entry.source->left_as();
  if (!entry.file_system.network && left_as && same_content(*left_as, facts.stamp)) return;
  listener_.source_written(entry.info.key);
}

asio::awaitable<void> RunLogWatch::decide(std::string path, LogFacts facts, const LockTable& locks) {
  auto found = entries_.find(path);
  if (found == entries_.end()) co_return;
  if (found->second.announced && found->second.info.key != facts.key) {
    const auto file_system = found->second.file_system;
    co_await vanish(path);
    if (facts.there) directory_found(path, file_system);  // another log in its place
    co_return;
  }
  auto& entry = found->second;
  if (!facts.there) {
    entries_.erase(found);  // gone before it was announced
    co_return;
  }
  if (!entry.announced && another_path_to(path, facts.key)) co_return;
  compare_with_last_scan(entry, facts);

  const auto holders = holders_of(facts, entry.file_system, locks);
  SourceInfo info;
  info.key = facts.key;
  info.container = entry.info.container;
  info.order = facts.order;
  info.state = judge(entry, facts, holders);
  info.read_only = !facts.may_write;
  info.network = entry.file_system.network;
  info.holders = holders;
  auto problem = entry.damage ? std::exchange(entry.damage, {}) : facts.problem;
  if (!problem && info.state == SourceState::closed) problem = needs_its_owner(facts);
  if (problem) {
    info.state = SourceState::set_aside;
    info.problem = std::move(problem);
    entry.refused = facts.stamp;
    entry.not_before = clock_.now() + options_.live_after;
    entry.look_again.reset();
  }
  if (!takeable(info.state)) {
    co_await withdraw(path, std::move(info));
  } else if (entry.source && info.read_only == entry.info.read_only) {
    const auto source = entry.source;
    // Before it is told: who then reads it must find it as it is told.
    auto work = [database = source->shared_database(), live = info.state == SourceState::live] {
      database->set_live(live);
    };
    if (source->shared_database()->is_live() != (info.state == SourceState::live)) co_await pool_.run(std::move(work));
    found = entries_.find(path);
    if (found != entries_.end() && found->second.source == source) announce(found->second, std::move(info), source);
  } else {
    co_await take_up(path, std::move(facts), std::move(info));
  }
}

// Looks into a log that may be taken, and takes it if it is one of ours.
asio::awaitable<void> RunLogWatch::take_up(std::string path, LogFacts facts, SourceInfo info) {
  auto& entry = entries_.at(path);
  if (entry.refused && entry.info.state == SourceState::set_aside) {
    if (entry.refused == facts.stamp) co_return;
    if (entry.not_before && clock_.now() < *entry.not_before) {
      entry.look_again = entry.not_before;
      co_return;
    }
  }
  auto work = [paths = entry.paths, facts, mode = mode_of(info), registry = registry_] {
    return admit(paths, facts, mode, registry);
  };
  auto admission = co_await pool_.run(std::move(work));
  const auto found = entries_.find(path);
  if (found == entries_.end()) co_return;
  found->second.refused.reset();
  if (std::holds_alternative<NotYet>(admission)) {
    found->second.look_again = clock_.now() + admitted_again;
    info.state = SourceState::settling_in;
    co_await withdraw(path, std::move(info));
  } else if (auto* problem = std::get_if<Error>(&admission)) {
    found->second.refused = facts.stamp;
    found->second.not_before.reset();
    info.state = SourceState::set_aside;
    info.problem = std::move(*problem);
    co_await withdraw(path, std::move(info));
  } else {
    info.container = std::get<ContainerName>(admission);
    const auto before = found->second.source;
    if (before) before->forget_listener();
    auto source = make_source(found->second, info);
    announce(found->second, std::move(info), std::move(source));
    if (before) co_await close_for_good(before);
  }
}

std::shared_ptr<RunLog> RunLogWatch::make_source(const Entry& entry, const SourceInfo& info) {
  const auto& path = info.key.path;
  auto damaged = [this, path](const Error& error) {
    if (const auto found = entries_.find(path); found != entries_.end()) {
      found->second.damage = error;
      due_.add(path);
    }
  };
  auto database = std::make_shared<LogDatabase>(entry.paths, info.key, mode_of(info), registry_);
  return std::make_shared<RunLog>(pool_, std::move(database), *info.container, std::move(damaged));
}

void RunLogWatch::announce(Entry& entry, SourceInfo info, std::shared_ptr<RunLog> source) {
  const bool changed = !entry.announced || !tell_the_same(entry.info, info) || entry.source != source;
  entry.info = std::move(info);
  entry.announced = true;
  entry.source = std::move(source);
  if (!changed) return;
  spdlog::debug("run_log={:?} state={} holders={}", entry.info.key.path, static_cast<int>(entry.info.state),
                entry.info.holders.size());
  listener_.source_changed(entry.info, entry.source);
}

asio::awaitable<void> RunLogWatch::withdraw(std::string path, SourceInfo info) {
  auto& entry = entries_.at(path);
  auto source = entry.source;
  if (source) source->forget_listener();
  announce(entry, std::move(info), nullptr);
  if (source) co_await close_for_good(std::move(source));
}

asio::awaitable<void> RunLogWatch::close_for_good(std::shared_ptr<RunLog> source) {
  auto work = [database = source->shared_database()] { database->withdraw(); };
  co_await pool_.run(std::move(work));
}

asio::awaitable<void> RunLogWatch::vanish(std::string path) {
  auto node = entries_.extract(path);
  if (node.empty()) co_return;
  auto& entry = node.mapped();
  if (entry.source) entry.source->forget_listener();
  if (entry.announced) {
    listener_.source_vanished(entry.info.key);
    // It may have been moved, and kept back under its new name by the old one.
    for (const auto& [other, unannounced] : entries_)
      if (!unannounced.announced) due_.add(other);
  }
  if (!entry.source) co_return;
  // A producer that closed and removed its emptied log while we had it open could not remove what lies beside it.
  auto work = [database = entry.source->shared_database(), empty = entry.source->seen_empty(), paths = entry.paths] {
    database->withdraw();
    const auto locks = LockTable::read();
    if (empty && locks) remove_orphans(paths, *locks);
  };
  co_await pool_.run(std::move(work));
}

/// It stays as it is, and is nobody's of ours any more.
asio::awaitable<void> RunLogWatch::let_go(std::string path) {
  auto node = entries_.extract(path);
  if (node.empty()) co_return;
  auto& entry = node.mapped();
  if (entry.source) entry.source->forget_listener();
  if (entry.announced) listener_.source_unwatched(entry.info.key);
  if (entry.source) co_await close_for_good(entry.source);
}

asio::awaitable<Result<bool>> RunLogWatch::remove(SourceKey key, Position confirmed) {
  const auto found = entries_.find(key.path);
  if (found == entries_.end() || found->second.info.key != key) co_return false;
  const auto& entry = found->second;
  if (entry.info.state != SourceState::closed || !entry.source || entry.info.read_only) co_return false;
  auto work = [database = entry.source->shared_database(), confirmed, device = entry.file_system.lock_device] {
    return database->remove_if_done(confirmed, device);
  };
  auto removed = co_await pool_.run(std::move(work));
  if (removed && *removed) co_await vanish(key.path);
  co_return removed;
}

asio::awaitable<Result<std::optional<Removal>>> RunLogWatch::removable(SourceKey key, Position confirmed,
                                                                       Position files_confirmed) {
  const auto found = entries_.find(key.path);
  if (found == entries_.end() || found->second.info.key != key) co_return std::nullopt;
  const auto& entry = found->second;
  if (entry.info.state != SourceState::closed || !entry.source || !entry.info.read_only) co_return std::nullopt;
  auto work = [database = entry.source->shared_database(), confirmed,
               files_confirmed]() -> Result<std::optional<Removal>> {
    // Before the look: whatever is written after it changes it.
    auto print = fingerprint(database->paths().directory);
    if (!print) return std::unexpected(std::move(print.error()));
    auto leftovers = database->leftovers(confirmed, files_confirmed);
    database->close();
    if (!leftovers) return std::unexpected(std::move(leftovers.error()));
    if (!*leftovers) return std::nullopt;
    return Removal{RemovalKind::run_log, database->paths().directory, std::move(*print), std::move(**leftovers)};
  };
  co_return co_await pool_.run(std::move(work));
}

void RunLogWatch::watch_processes() {
  std::set<std::int32_t> holders;
  for (const auto& [path, entry] : entries_) holders.insert(entry.info.holders.begin(), entry.info.holders.end());
  processes_.follow(holders);
}

}  // namespace neptune::sources
