#include "sources/folder_watch/folder_watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstring>
#include <utility>

#include "sources/folder_watch/folder_survey.h"

namespace neptune::sources {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

constexpr std::size_t unexplained_limit = 20'000;  // past it a scan of everything is cheaper

bool is_below(const fs::path& path, const fs::path& directory) {
  const auto& a = path.native();
  const auto& b = directory.native();
  return a.starts_with(b) && (a.size() == b.size() || a[b.size()] == '/');
}

struct Waiting {
  int watch;
  std::string name;  // what has to come into the watched directory
};

std::vector<fs::path> normal(std::vector<fs::path> folders) {
  for (auto& folder : folders) {
    folder = fs::absolute(folder).lexically_normal();
    if (!folder.has_filename() && folder.has_relative_path()) folder = folder.parent_path();  // "/a/b/"
  }
  return folders;
}

// The nearest directory above `folder` that is there, watched for what comes into it.
std::optional<Waiting> watch_parent(Inotify& inotify, fs::path folder) {
  while (folder.has_relative_path()) {
    const auto name = folder.filename().string();
    folder = folder.parent_path();
    constexpr auto mask = IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_MASK_ADD;
    if (auto watch = inotify.watch(folder, mask)) return Waiting{*watch, name};
  }
  return std::nullopt;
}

}  // namespace

void log_trouble(const fs::path& path, const std::string& trouble) {
  if (trouble.empty())
    spdlog::info("folder is watched path={:?}", path.string());
  else
    spdlog::warn("folder not watched as it should be path={:?} reason={:?}", path.string(), trouble);
}

FolderWatch::FolderWatch(asio::any_io_executor executor, WorkerPool& pool, std::vector<fs::path> folders,
                         ScanRules rules, std::chrono::milliseconds rescan_interval, Listener& listener,
                         FileSystemProbe probe)
    : executor_(executor),
      pool_(pool),
      rules_(std::move(rules)),
      interval_(rescan_interval),
      listener_(listener),
      probe_(std::move(probe)),
      descriptor_(executor),
      wake_(executor) {
  set_folders(normal(std::move(folders)));
  if (auto inotify = Inotify::open()) {
    inotify_.emplace(std::move(*inotify));
    descriptor_.assign(::dup(inotify_->descriptor()));
  } else {
    inotify_problem_ = std::move(inotify.error());
  }
}

void FolderWatch::set_folders(std::vector<fs::path> folders) {
  states_.clear();
  for (auto& folder : folders) states_.push_back({std::move(folder), {}, false});
  file_systems_.assign(states_.size(), {});
}

void FolderWatch::follow(std::vector<fs::path> folders) {
  next_folders_ = normal(std::move(folders));
  rescan();
}

bool FolderWatch::covers(const fs::path& directory) const {
  const auto holds = [&directory](const fs::path& folder) { return is_below(directory, folder); };
  return next_folders_ ? std::ranges::any_of(*next_folders_, holds)
                       : std::ranges::any_of(states_, holds, &State::folder);
}

// The scan that follows makes those anew that are still wanted.
void FolderWatch::unwatch_all() {
  if (!inotify_) return;
  for (const auto& [watch, watched] : watched_) inotify_->unwatch(watch);
  for (const auto& [watch, folders] : waiting_) inotify_->unwatch(watch);
  watched_.clear();
  waiting_.clear();
}

void FolderWatch::rescan() {
  everything_ = true;
  wake();
}

void FolderWatch::wake() {
  if (!scanning_) wake_.cancel();
}

void FolderWatch::request(Request request) {
  const auto same = [&request](const Request& other) { return other.directory == request.directory; };
  if (std::ranges::none_of(requests_, same)) requests_.push_back(std::move(request));
  wake();
}

asio::awaitable<void> FolderWatch::run_events() {
  while (descriptor_.is_open()) {
    co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
    for (auto events = inotify_->read(); !events.empty(); events = inotify_->read())
      for (const auto& event : events) handle(event);
  }
}

asio::awaitable<void> FolderWatch::run_scans() {
  for (;;) {
    scanning_ = true;
    if (everything_) {
      co_await scan_everything();
    } else {
      for (auto requests = std::exchange(requests_, {}); auto& next : requests) co_await scan_part(std::move(next));
    }
    scanning_ = false;
    replay();
    if (everything_ || !requests_.empty()) continue;
    wake_.expires_after(interval_);
    boost::system::error_code woken;
    co_await wake_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    if (!woken) everything_ = true;
  }
}

asio::awaitable<void> FolderWatch::scan_everything() {
  everything_ = false;
  requests_.clear();
  if (auto folders = std::exchange(next_folders_, std::nullopt)) {
    unwatch_all();
    set_folders(std::move(*folders));
  }
  for (std::size_t folder = 0; folder < states_.size(); ++folder) co_await scan_folder(folder);
  listener_.looked_through();
}

asio::awaitable<void> FolderWatch::scan_folder(std::size_t folder) {
  for (auto& [watch, folders] : waiting_) folders.erase(folder);
  std::erase_if(waiting_, [](const auto& entry) { return entry.second.empty(); });
  struct Found {
    FileSystem file_system;
    Scan scan;
    std::optional<Waiting> parent;
  };
  auto work = [this, path = states_[folder].folder] {
    Found found;
    found.file_system = probe_(path);
    auto* inotify = inotify_ && !found.file_system.network ? &*inotify_ : nullptr;
    found.scan = scan_tree(path, 0, rules_, inotify, probe_);
    if (!found.scan.missing || !inotify) return found;
    found.parent = watch_parent(*inotify, path);
    // Made between the two looks: nothing would tell.
    found.scan = scan_tree(path, 0, rules_, inotify, probe_);
    return found;
  };
  const auto found = co_await pool_.run(std::move(work));
  file_systems_[folder] = found.file_system;
  states_[folder].network = found.file_system.network;
  if (found.scan.missing && found.parent) waiting_[found.parent->watch][folder] = found.parent->name;
  describe(folder, found.scan);
  take_closed(folder, found.scan, states_[folder].folder);
  take_scan(folder, found.scan);
}

asio::awaitable<void> FolderWatch::scan_part(Request request) {
  auto work = [this, request] {
    auto* inotify = inotify_ && !file_systems_[request.folder].network ? &*inotify_ : nullptr;
    return scan_tree(request.directory, request.depth, rules_, inotify, probe_);
  };
  const auto scan = co_await pool_.run(std::move(work));
  if (scan.watch_problem || scan.too_deep > 0) describe(request.folder, scan);
  take_closed(request.folder, scan, request.directory);
  take_scan(request.folder, scan);
}

void FolderWatch::take_scan(std::size_t folder, const Scan& scan) {
  for (const auto& directory : scan.directories) {
    if (directory.watch >= 0) {
      auto& watched = watched_[directory.watch];
      // Of two folders, one in the other, the one nearer to it looks deeper below it.
      const bool nearer = watched.path == directory.path && watched.depth < directory.depth;
      if (!nearer) watched = {directory.path, directory.depth, folder, directory.marked};
      watched.marked = directory.marked;
    }
    if (directory.marked)
      listener_.directory_found(directory.path, directory.file_system.value_or(file_systems_[folder]));
  }
}

/// What was closed below `scanned` is known anew.
void FolderWatch::take_closed(std::size_t folder, const Scan& scan, const fs::path& scanned) {
  auto& closed = states_[folder].closed;
  const auto known = std::exchange(closed, {});
  for (const auto& one : known)
    if (!is_below(one.path, scanned)) closed.push_back(one);
  for (const auto& one : scan.closed) {
    if (closed.size() == closed_at_most) return;
    closed.push_back(one);
    if (std::ranges::find(known, one.path, &ClosedDirectory::path) == known.end())
      listener_.trouble_told(one.path, why_closed(one));
  }
}

void FolderWatch::describe(std::size_t folder, const Scan& scan) {
  auto& state = states_[folder];
  state.followed = !scan.missing && scan.error == 0;
  auto trouble = trouble_of(folder, scan);
  if (trouble == state.problem) return;
  state.problem = std::move(trouble);
  listener_.trouble_told(state.folder, state.problem);
}

std::string FolderWatch::trouble_of(std::size_t folder, const Scan& scan) const {
  const auto directories = [](std::size_t n) {
    return n == 1 ? "1 directory is" : fmt::format("{} directories are", n);
  };
  const auto& state = states_[folder];
  const auto path = state.folder.string();
  const auto interval = std::chrono::duration_cast<std::chrono::seconds>(interval_);
  const auto* problem = scan.watch_problem ? &*scan.watch_problem : inotify_problem_ ? &*inotify_problem_ : nullptr;
  if (auto of_itself = trouble_of_itself(state.folder, scan, file_systems_[folder], interval); !of_itself.empty())
    return of_itself;
  if (problem)
    return fmt::format("{} is followed by looking through it every {} seconds only: {}", path, interval.count(),
                       problem->message);
  if (scan.closed_more > 0)
    return fmt::format("below {}, {} left out which the daemon's user cannot read, besides those that are named", path,
                       directories(scan.closed_more));
  if (scan.too_deep > 0)
    return fmt::format(
        "more than {1} levels below {2}, {0} not looked into; what is logged there needs a [[watch]] nearer to it",
        directories(scan.too_deep), rules_.depth, path);
  return {};
}

void FolderWatch::handle(const Inotify::Event& event) {
  if (event.mask & IN_Q_OVERFLOW) return rescan();
  if (const auto waiting = waiting_.find(event.watch); waiting != waiting_.end()) {
    const auto comes = [&event](const auto& folder) { return event.name.empty() || event.name == folder.second; };
    if (std::ranges::any_of(waiting->second, comes)) rescan();
  }
  const auto found = watched_.find(event.watch);
  if (found == watched_.end()) {
    if (!scanning_) return;
    if (unexplained_.size() < unexplained_limit)
      unexplained_.push_back(event);
    else
      everything_ = true;
    return;
  }
  if (event.mask & IN_IGNORED) {
    watched_.erase(found);
    return;
  }
  handle_in(Watched(found->second), event);
}

// `watched` is a copy: handling may forget the watch.
void FolderWatch::handle_in(const Watched& watched, const Inotify::Event& event) {
  if (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
    if (watched.depth == 0) rescan();
    forget_below(watched.path);
  } else if (event.mask & IN_ISDIR) {
    handle_directory(watched, event);
  } else if (watched.marked) {
    if (!event.name.empty()) listener_.file_touched(watched.path, event.name, event.mask);
  } else if (event.name == rules_.marker && (event.mask & (IN_CREATE | IN_MOVED_TO))) {
    request({watched.path, watched.depth, watched.folder});
  }
}

void FolderWatch::handle_directory(const Watched& watched, const Inotify::Event& event) {
  if (event.name.empty()) return;
  const auto directory = watched.path / event.name;
  if (event.mask & (IN_MOVED_FROM | IN_DELETE)) return forget_below(directory);
  // IN_ATTRIB: it may be readable now.
  if ((event.mask & (IN_CREATE | IN_MOVED_TO | IN_ATTRIB)) && !watched.marked && watched.depth < rules_.depth)
    request({directory, watched.depth + 1, watched.folder});
}

// A watch stays with a directory that is moved, under a name that is no longer right.
void FolderWatch::forget_below(const fs::path& directory) {
  for (auto& state : states_)
    std::erase_if(state.closed, [&directory](const auto& closed) { return is_below(closed.path, directory); });
  for (auto it = watched_.begin(); it != watched_.end();) {
    if (!is_below(it->second.path, directory)) {
      ++it;
      continue;
    }
    if (it->second.marked) listener_.directory_left(it->second.path);
    inotify_->unwatch(it->first);
    it = watched_.erase(it);
  }
}

void FolderWatch::replay() {
  for (auto events = std::exchange(unexplained_, {}); const auto& event : events) handle(event);
}

}  // namespace neptune::sources
