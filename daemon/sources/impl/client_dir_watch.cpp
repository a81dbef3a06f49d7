#include "sources/impl/client_dir_watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

#include "sources/client_dir/dir_moves.h"
#include "sources/client_dir/directory_name.h"
#include "support/pause.h"

namespace neptune::sources {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

constexpr auto touched_again = 1s;  // what was set aside, after it was touched

std::vector<fs::path> client_folders(const ClientDirsOptions& options) {
  std::vector<fs::path> out;
  for (const auto& folder : options.folders)
    if (folder.kind != WatchFolder::Kind::run_logs) out.push_back(folder.path);
  return out;
}

/// Whether somebody may still write to it, under its present name, whatever its pid says.
bool in_use(const fs::path& directory, const ClientDirFacts& facts, bool network, Duration takeover_after) {
  // A process of another machine, of another user, or outside of this container cannot be seen.
  const bool seen = !network && sees_all_processes() && (::geteuid() == 0 || facts.ours);
  if (!seen && facts.quiet_for < takeover_after) return true;
  return held_open_by_anybody(directory);
}

}  // namespace

ClientDirWatch::ClientDirWatch(asio::any_io_executor executor, WorkerPool& pool, const Clock& clock,
                               ClientDirsOptions options, SourceListener& listener)
    : executor_(executor),
      pool_(pool),
      clock_(clock),
      options_(std::move(options)),
      listener_(listener),
      group_(executor),
      processes_(executor, group_,
                 [this](std::int32_t pid) {
                   for (const auto& [path, entry] : entries_)
                     if (std::ranges::find(entry.info.holders, pid) != entry.info.holders.end()) due_.add(path);
                 }),
      due_(executor, clock),
      folder_watch_(executor, pool, client_folders(options_), ScanRules{.marked = is_client_dir}, options_.rescan,
                    *this, file_system_of) {}

asio::awaitable<void> ClientDirWatch::run() {
  group_.spawn("client folder events", folder_watch_.run_events());
  group_.spawn("client folder scans", folder_watch_.run_scans());
  group_.spawn("client directories", run_looks());
  asio::steady_timer forever(executor_, asio::steady_timer::time_point::max());
  boost::system::error_code cancelled;
  co_await forever.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  // The tasks are to be waited for, although this one is cancelled.
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await group_.stop();
  processes_.clear();
  co_await asio::this_coro::throw_if_cancelled(true);
}

void ClientDirWatch::follow(std::vector<WatchFolder> folders) {
  options_.folders = std::move(folders);
  folder_watch_.follow(client_folders(options_));
  std::vector<std::string> left;
  for (const auto& [path, entry] : entries_)
    if (!folder_watch_.covers(path) && !moving_.contains(path)) left.push_back(path);
  for (const auto& path : left) {
    const auto node = entries_.extract(path);
    if (node.mapped().announced) listener_.source_unwatched(node.mapped().info.key);
  }
}

std::vector<WatchState> ClientDirWatch::folders() const {
  std::vector<WatchState> out;
  for (const auto& state : folder_watch_.states())
    out.push_back({state.folder.string(), state.problem, state.network, state.followed, state.closed});
  return out;
}

void ClientDirWatch::directory_found(const fs::path& directory, const FileSystem& file_system) {
  if (moving_.contains(directory.string())) return;
  if (!folder_watch_.covers(directory)) return;  // by a scan that began before the folders changed
  auto& entry = entries_[directory.string()];
  entry.network = file_system.network;
  entry.scanned = true;
  due_.add(directory.string());
}

void ClientDirWatch::file_touched(const fs::path& directory, const std::string& name, std::uint32_t mask) {
  const auto found = entries_.find(directory.string());
  // Acknowledging is our own doing.
  if (found == entries_.end() || name == "last_ack_version") return;
  auto& entry = found->second;
  constexpr std::uint32_t written = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_ATTRIB;
  if (!(mask & written)) return;
  if (entry.source && (mask & (IN_MODIFY | IN_CREATE | IN_MOVED_TO))) listener_.source_written(entry.info.key);
  switch (entry.info.state) {
    case SourceState::left_to_client:
      if (mask & IN_MODIFY) break;  // it is looked at when it may have been quiet for long enough
      [[fallthrough]];
    case SourceState::settling_in:
    case SourceState::closed:
      due_.add(found->first);
      break;
    case SourceState::set_aside:
      if (!entry.look_again) entry.look_again = clock_.now() + touched_again;
      due_.earlier();
      break;
    case SourceState::live:
      break;
  }
}

void ClientDirWatch::directory_left(const fs::path& directory) {
  if (entries_.contains(directory.string())) due_.add(directory.string());
}

void ClientDirWatch::looked_through() {
  due_.add_all(entries_);
}

// Of a folder of both kinds, the watch for run logs tells the same.
void ClientDirWatch::trouble_told(const fs::path& path, const std::string& trouble) {
  const auto* folder = folder_of(path.string());
  if (folder && folder->kind == WatchFolder::Kind::client_1x) log_trouble(path, trouble);
}

asio::awaitable<void> ClientDirWatch::run_looks() {
  for (;;) {
    auto due = co_await due_.next(&entries_);
    co_await look_at_all(std::move(due));
    co_await pause(FolderWatch::between_looks);
  }
}

asio::awaitable<void> ClientDirWatch::look_at_all(DueLooks::Due due) {
  const auto paths = std::move(due.paths);
  auto work = [paths] {
    std::vector<ClientDirFacts> facts;
    for (const auto& path : paths) facts.push_back(look_at_client_dir(path));
    return facts;
  };
  auto facts = co_await pool_.run(std::move(work));
  // One that was moved is gone from its old place before it is found at the new one.
  for (const bool there : {false, true})
    for (std::size_t i = 0; i < paths.size(); ++i)
      if (facts[i].there == there) decide(paths[i], std::move(facts[i]));
  watch_processes();
  if (due.looked_through && !std::exchange(first_scan_done_, true)) listener_.first_scan_done();
}

const WatchFolder* ClientDirWatch::folder_of(const std::string& path) const {
  const WatchFolder* nearest = nullptr;
  for (const auto& folder : options_.folders) {
    if (folder.kind == WatchFolder::Kind::run_logs || !is_within(path, folder.path.native())) continue;
    if (!nearest || folder.path.native().size() > nearest->path.native().size()) nearest = &folder;
  }
  return nearest;
}

ClientDirRules ClientDirWatch::rules_for(const std::string& path) const {
  ClientDirRules rules;
  if (const auto* folder = folder_of(path)) rules.takeover_after = folder->takeover_after;
  rules.closed_after = std::min(options_.closed_after, rules.takeover_after);
  return rules;
}

/// Whose operations they are, as far as it can be known here.
void ClientDirWatch::name_container(SourceInfo& info, const Entry& entry, const ClientDirFacts& facts) const {
  info.container_kind = facts.name->container;
  info.container = entry.info.container;
  if (!facts.name->offline) {
    info.server_id = facts.name->id;
    return;
  }
  const auto* folder = folder_of(info.key.path);
  const auto project = ProjectName::parse(folder ? folder->project : std::string());
  if (project) {
    info.container = ContainerName{*project, facts.name->id, ContainerKind::run};
  } else if (takeable(info.state)) {
    info.state = SourceState::set_aside;
    info.problem = Error{
        "no_project",
        fmt::format("{} is a run that was logged offline, and nothing says which project it is to be created in: give "
                    "'project' in the [[watch]] of its folder, or NEPTUNE_PROJECT in the daemon's environment, and "
                    "restart the daemon",
                    info.key.path)};
  }
}

/// Where this directory was told before; null when it was not, or is told here.
const std::string* ClientDirWatch::another_path_to(const std::string& path, const SourceKey& key) const {
  for (const auto& [other, entry] : entries_)
    if (other != path && entry.announced && entry.info.key.is_same_file(key)) return &other;
  return nullptr;
}

void ClientDirWatch::decide(const std::string& path, ClientDirFacts facts) {
  const auto found = entries_.find(path);
  if (found == entries_.end() || moving_.contains(path)) return;
  auto& entry = found->second;
  if (!facts.there || (entry.announced && entry.info.key != facts.key)) {
    const bool another = facts.there;
    const bool network = entry.network;
    vanish(path);
    if (another) entries_[path].network = network;
    if (another) due_.add(path);
    return;
  }
  const auto* other = entry.announced ? nullptr : another_path_to(path, facts.key);
  if (other && !std::exchange(entry.put_off, true)) {
    // It was moved, most likely: then it is to be gone from there before it is told here.
    due_.add(*other);
    due_.add(path);
    return;
  }
  if (facts.name && judge_producer(facts.producer, facts.metadata.created_ms) == Producer::alive)
    entry.history.seen_alive = true;
  // Once it is written again after we took it, its client is not gone after all.
  entry.history.taken = entry.source && facts.quiet_for + 1s >= clock_.now() - entry.taken_at;
  const auto verdict = judge_client_dir(facts, entry.history, rules_for(path));
  entry.look_again.reset();
  if (verdict.look_again_in) entry.look_again = clock_.now() + *verdict.look_again_in;
  SourceInfo info;
  info.key = facts.key;
  info.kind = Kind::client_dir;
  info.state = verdict.state;
  info.order = fmt::format("{:020}", facts.metadata.created_ms * 1'000'000);
  info.read_only = !facts.may_write;
  info.network = entry.network;
  if (verdict.state == SourceState::set_aside) info.problem = facts.problem;
  if (verdict.state == SourceState::left_to_client && verdict.look_again_in)
    info.left_until = clock_.wall() + std::chrono::duration_cast<WallTime::duration>(*verdict.look_again_in);
  if (facts.name) {
    name_container(info, entry, facts);
    if (judge_producer(facts.producer, facts.metadata.created_ms) == Producer::alive)
      info.holders.push_back(facts.name->pid);
  }
  const bool written = std::exchange(entry.scanned, false) && entry.announced && entry.facts.stamp != facts.stamp;
  entry.facts = std::move(facts);
  announce(entry, std::move(info));
  if (written && entry.source) listener_.source_written(entry.info.key);
}

void ClientDirWatch::announce(Entry& entry, SourceInfo info) {
  const bool take = takeable(info.state);
  if (!take) entry.source.reset();
  if (entry.source && info.read_only != entry.info.read_only) entry.source.reset();
  const bool fresh = take && !entry.source;
  if (fresh) {
    auto log = std::make_shared<ClientLog>(info.key.path);
    entry.source = std::make_shared<ClientDirSource>(pool_, std::move(log), info.read_only);
    entry.taken_at = clock_.now();
  }
  const bool changed = !entry.announced || fresh || !tell_the_same(entry.info, info);
  entry.info = std::move(info);
  entry.announced = true;
  if (!changed) return;
  spdlog::debug("client_dir={:?} state={}", entry.info.key.path, static_cast<int>(entry.info.state));
  listener_.source_changed(entry.info, entry.source);
}

void ClientDirWatch::vanish(const std::string& path) {
  const auto node = entries_.extract(path);
  if (!node.empty() && node.mapped().announced) listener_.source_vanished(node.mapped().info.key);
}

void ClientDirWatch::watch_processes() {
  std::set<std::int32_t> producers;
  for (const auto& [path, entry] : entries_) producers.insert(entry.info.holders.begin(), entry.info.holders.end());
  processes_.follow(producers);
}

asio::awaitable<Result<std::optional<SourceKey>>> ClientDirWatch::rename(SourceKey key, std::string server_id) {
  using Renamed = Result<std::optional<SourceKey>>;
  const auto found = entries_.find(key.path);
  if (found == entries_.end() || found->second.info.key != key) co_return std::nullopt;
  const auto& entry = found->second;
  if (entry.info.state != SourceState::closed || entry.info.read_only || !entry.facts.name->offline)
    co_return std::nullopt;
  const fs::path from = key.path;
  const auto to = registered_path(from, *entry.facts.name, server_id);
  if (!to) co_return fail("client_dir_not_renamed", "the server's id of the run could be no file's name");
  auto work = [key, from, to = *to, network = entry.network,
               takeover_after = Duration(rules_for(key.path).takeover_after)]() -> Result<std::optional<fs::path>> {
    const auto facts = look_at_client_dir(from);
    if (!facts.there || facts.problem || in_use(from, facts, network, takeover_after)) return std::nullopt;
    auto renamed = rename_to_async(from, key, to.filename());
    if (!renamed) return std::unexpected(std::move(renamed.error()));
    return *renamed;
  };
  moving_.insert({from.string(), to->string()});
  auto renamed = co_await pool_.run(std::move(work));
  moving_.erase(from.string());
  moving_.erase(to->string());
  if (!renamed) co_return Renamed(std::unexpected(std::move(renamed.error())));
  if (!*renamed) {
    due_.add(key.path);
    co_return std::nullopt;
  }
  auto node = entries_.extract(key.path);
  if (node.empty()) co_return std::nullopt;
  auto& moved = node.mapped();
  if (moved.source) moved.source->log()->moved_to(*to);
  moved.info.key.path = to->string();
  moved.info.server_id = server_id;
  moved.taken_at = clock_.now();
  moved.facts.name->offline = false;
  moved.facts.name->id = server_id;
  const auto new_key = moved.info.key;
  node.key() = new_key.path;
  entries_.insert(std::move(node));
  due_.add(new_key.path);
  rescan();  // what happened while it was moved was passed over
  co_return new_key;
}

asio::awaitable<Result<bool>> ClientDirWatch::remove(SourceKey key, Position confirmed) {
  const auto found = entries_.find(key.path);
  if (found == entries_.end() || found->second.info.key != key) co_return false;
  const auto& entry = found->second;
  if (entry.info.state != SourceState::closed || !entry.source || entry.info.read_only || entry.facts.name->offline)
    co_return false;
  auto work = [key, path = fs::path(key.path), log = entry.source->log(), confirmed, network = entry.network,
               takeover_after = Duration(rules_for(key.path).takeover_after)]() -> Result<bool> {
    for (;;) {
      const auto state = log->look(0, 64u << 20);
      if (!state) return std::unexpected(state.error());
      if (state->more) continue;
      if (state->count > 0 || state->acked < confirmed) return false;
      break;
    }
    const auto facts = look_at_client_dir(path);
    if (!facts.there || facts.problem || in_use(path, facts, network, takeover_after)) return false;
    auto removed = remove_directory(path, key);
    if (!removed) return std::unexpected(std::move(removed.error()));
    return true;
  };
  auto removed = co_await pool_.run(std::move(work));
  if (removed && *removed) vanish(key.path);
  co_return removed;
}

asio::awaitable<Result<std::optional<Removal>>> ClientDirWatch::removable(SourceKey key, Position confirmed) {
  const auto found = entries_.find(key.path);
  if (found == entries_.end() || found->second.info.key != key) co_return std::nullopt;
  const auto& entry = found->second;
  if (entry.info.state != SourceState::closed || !entry.source || !entry.info.read_only) co_return std::nullopt;
  auto work = [path = fs::path(key.path), log = entry.source->log(), confirmed, network = entry.network,
               takeover_after = Duration(rules_for(key.path).takeover_after)]() -> Result<std::optional<Removal>> {
    // Before the look: whatever is written after it changes it.
    auto print = fingerprint(path);
    if (!print) return std::unexpected(std::move(print.error()));
    for (;;) {
      const auto state = log->look(confirmed, 64u << 20);
      if (!state) return std::unexpected(state.error());
      if (state->more) continue;
      if (state->count > 0) return std::nullopt;
      break;
    }
    const auto facts = look_at_client_dir(path);
    if (!facts.there || facts.problem || in_use(path, facts, network, takeover_after)) return std::nullopt;
    return Removal{RemovalKind::client_dir, path, std::move(*print), {}};
  };
  co_return co_await pool_.run(std::move(work));
}

}  // namespace neptune::sources
