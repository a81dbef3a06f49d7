// What is synced and closed is removed: after a while, or because its owner says so.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <vector>

#include "engine/engine.h"
#include "engine/impl/kind_name.h"
#include "engine/impl/with_ledger.h"
#include "support/sizes.h"
#include "support/users.h"

namespace neptune::engine {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using sources::SourceState;

/// One log, and what is to be told of it.
struct Engine::Candidate {
  FeedPtr feed;
  api::TidyItem item;
  std::uint32_t owner = 0, group = 0;
  bool there = false;
};

const std::optional<std::chrono::milliseconds>* Engine::cleanup_after(const Feed& feed) const {
  // The folder it was found in is the longest watched path above it.
  const std::optional<std::chrono::milliseconds>* after = nullptr;
  std::size_t longest = 0;
  for (const auto& [path, cleanup] : cleanup_after_)
    if (sources::is_within(feed.info.key.path, path) && path.size() >= longest) {
      after = &cleanup;
      longest = path.size();
    }
  return after;
}

void Engine::tidy_later(const FeedPtr& feed) {
  if (feed->info.read_only || feed->backlog.uploads > 0 || feed->info.kind == sources::Kind::change_queue) return;
  if (feed->info.key.files) return;  // they go with their log
  if (feed->info.kind == sources::Kind::client_dir && feed->info.server_id.empty()) return;
  const auto* after = cleanup_after(*feed);
  if (!after || !*after) return;
  const auto since = feed->synced_at.value_or(clock_.wall());
  const auto left = std::max(std::chrono::milliseconds(0),
                             std::chrono::duration_cast<std::chrono::milliseconds>(since + **after - clock_.wall()));
  feed->tidying = true;
  alarms_.set({Alarm::Of::tidy, feed->info.key}, clock_.now() + left);
}

asio::awaitable<void> Engine::tidy(FeedPtr feed) {
  feed->tidying = false;
  if (feed->gone || feed->info.state != SourceState::closed) co_return;
  if (!at_rest(*feed)) co_return;  // its next rest sets the alarm again
  const auto removed = co_await remove_synced(feed);
  if (removed && *removed) co_return;
  if (!removed) spdlog::warn("a synced log stays path={:?} error={:?}", feed->info.key.path, removed.error().message);
  feed->tidying = true;
  alarms_.set({Alarm::Of::tidy, feed->info.key}, clock_.now() + std::chrono::minutes(10));
  rearm();
}

asio::awaitable<Result<bool>> Engine::keeps_rejected(FeedPtr feed) {
  auto ask = [path = feed->info.key.path](Ledger& ledger) { return ledger.keeps_rejected_of(path); };
  co_return co_await with_ledger(std::move(ask));
}

/// Of one at rest that the daemon may write. False when it must stay: somebody has it open, or wrote to it just now.
asio::awaitable<Result<bool>> Engine::remove_synced(FeedPtr feed) {
  const auto key = feed->info.key;
  Result<bool> removed = false;
  if (feed->info.kind == sources::Kind::client_dir && client_dirs_) {
    // What was refused may need the files that lie in the directory.
    const auto kept = co_await keeps_rejected(feed);
    if (kept && !*kept) removed = co_await client_dirs_->remove(key, feed->recorded);
  } else if (feed->info.kind == sources::Kind::run_log && run_logs_) {
    removed = co_await run_logs_->remove(key, feed->recorded);
  }
  if (removed && *removed) {
    spdlog::info("removed a synced log path={:?}", key.path);
    if (!feed->gone) source_vanished(key);
  }
  co_return removed;
}

asio::awaitable<Result<std::optional<sources::Removal>>> Engine::removable(FeedPtr feed) {
  using Found = Result<std::optional<sources::Removal>>;
  const auto kept = co_await keeps_rejected(feed);
  if (!kept) co_return std::unexpected(kept.error());
  if (feed->info.kind == sources::Kind::client_dir) {
    if (*kept || !client_dirs_) co_return std::nullopt;
    co_return co_await client_dirs_->removable(feed->info.key, feed->recorded);
  }
  if (!run_logs_) co_return std::nullopt;
  const auto files = feed->files ? feed->files->recorded : 0;
  Found found = co_await run_logs_->removable(feed->info.key, feed->recorded, files);
  // A file that was refused is tried again from where it lies.
  if (found && *found && *kept) (*found)->files.clear();
  co_return found;
}

// Because its owner says so

/// Empty when it is synced and closed.
std::string Engine::why_it_stays(const Feed& feed) const {
  switch (feed.info.state) {
    case SourceState::live:
      return feed.info.holders.empty() ? "a process writes it"
                                       : fmt::format("process {} writes it", feed.info.holders.front());
    case SourceState::settling_in:
      return "it was found just now";
    case SourceState::left_to_client:
      return "its own client may still sync it";
    case SourceState::set_aside:
      return feed.info.problem ? feed.info.problem->message : "it cannot be read";
    case SourceState::closed:
      break;
  }
  if (feed.problem) return feed.problem->message;
  const auto waiting = feed.backlog.count + (feed.files ? feed.files->backlog.count : 0);
  if (waiting > 0)
    return fmt::format("{} of it {} not on the server yet; `neptune-sync explain {}` says why",
                       number_of(waiting, "change"), waiting == 1 ? "is" : "are", feed.info.key.path);
  // What was confirmed was sent to a run that is there; its directory keeps its name where the daemon may only read it.
  const bool registered = feed.info.kind != sources::Kind::client_dir || !feed.info.server_id.empty() ||
                          (feed.info.read_only && feed.recorded > 0);
  if (!registered) return "it is not registered on the server yet";
  if (!at_rest(feed) || (feed.files && !at_rest(*feed.files))) return "it is being worked on; try again in a moment";
  return {};
}

std::vector<Engine::Candidate> Engine::candidates(const std::string& below) const {
  std::vector<Candidate> found;
  for (const auto& [key, feed] : feeds_) {
    if (feed->info.kind == sources::Kind::change_queue || key.files || feed->gone || feed->replayed) continue;
    if (!below.empty() && !sources::is_within(key.path, below)) continue;
    Candidate candidate;
    candidate.feed = feed;
    candidate.item.path = key.path;
    candidate.item.kind = kind_name(feed->info.kind);
    if (const auto& container = feed->info.container) {
      candidate.item.project = container->project.full();
      candidate.item.container = container->label();
    }
    found.push_back(std::move(candidate));
  }
  return found;
}

namespace {

struct OnDisk {
  bool there = false;
  std::uint32_t owner = 0, group = 0;
  std::uint64_t bytes = 0;
};

/// As the kernel takes a mode: of the first of owner, group and others that somebody is, that word alone counts.
bool lets(const fs::path& path, uid_t uid, const std::vector<gid_t>& groups, mode_t of_others) {
  struct stat data{};
  if (::stat(path.c_str(), &data) != 0) return false;
  const bool in_group = std::ranges::find(groups, data.st_gid) != groups.end();
  const auto wanted = data.st_uid == uid ? of_others << 6 : in_group ? of_others << 3 : of_others;
  return (data.st_mode & wanted) != 0;
}

/// Of a daemon of one's own, the socket lies where nobody else may go. `own_group`: of what the user made, where the
/// name service does not know them. Blocks on that.
bool may_reach(const fs::path& socket, uid_t uid, gid_t own_group) {
  if (uid == 0) return true;
  auto groups = groups_of(uid);
  if (groups.empty()) groups.push_back(own_group);
  if (!lets(socket, uid, groups, S_IWOTH)) return false;
  for (auto folder = socket.parent_path();; folder = folder.parent_path()) {
    if (!lets(folder, uid, groups, S_IXOTH)) return false;
    if (folder == folder.parent_path()) return true;
  }
}

OnDisk look_on_disk(const fs::path& directory) {
  OnDisk found;
  struct stat data{};
  if (::lstat(directory.c_str(), &data) != 0) return found;
  found.there = true;
  found.owner = data.st_uid;
  found.group = data.st_gid;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error))
    if (::lstat(entry->path().c_str(), &data) == 0) found.bytes += static_cast<std::uint64_t>(data.st_blocks) * 512;
  return found;
}

}  // namespace

/// Of one that is removed, or would be: what lies beside it is told, as it stays.
asio::awaitable<api::TidyItem> Engine::with_what_is_left(api::TidyItem item, bool keeps_rejected) {
  if (item.kind != kind_name(sources::Kind::run_log)) co_return item;  // goes with all that is in it
  auto look = [path = item.path, gone = item.files] { return sources::beside_log(path, gone); };
  auto beside = co_await file_threads_.run(std::move(look));
  if (beside.names.empty()) co_return item;
  item.left = std::move(beside.names);
  item.bytes -= std::min(item.bytes, beside.bytes);
  item.why = keeps_rejected ? "changes of the run were refused, and a retry may need that (`neptune-sync rejected`)"
                            : "that is no part of the log, and nothing here waits for it";
  co_return item;
}

asio::awaitable<api::TidyItem> Engine::tidy_one(Candidate candidate, TidyRequest request) {
  auto item = std::move(candidate.item);
  const auto feed = candidate.feed;
  item.action = "kept";
  const bool own = candidate.owner == request.uid;
  item.why = feed->gone ? "it is gone" : why_it_stays(*feed);
  if (!item.why.empty()) co_return item;
  if (!own && (feed->info.read_only || !request.is_operator)) {
    auto ask = [uid = candidate.owner, group = candidate.group, socket = options_.socket] {
      const auto* how = may_reach(socket, uid, group)
                            ? "remove it with `neptune-sync tidy`"
                            : "delete it: all of it is on the server. (They cannot reach this "
                              "daemon for `neptune-sync tidy`)";
      return fmt::format("it belongs to {}, who may {}", user_name(uid).value_or(fmt::format("the user {}", uid)), how);
    };
    item.why = co_await file_threads_.run(std::move(ask));
    co_return item;
  }
  const auto refused = co_await keeps_rejected(feed);
  if (!refused || (*refused && feed->info.kind == sources::Kind::client_dir)) {
    item.why = refused ? "changes of it were refused, and their files may lie in it; retry or discard them first "
                         "(`neptune-sync rejected`)"
                       : refused.error().message;
    co_return item;
  }
  constexpr auto in_use = "somebody has it open, or wrote to it just now";
  if (feed->info.read_only) {
    const auto found = co_await removable(feed);
    item.why = found ? (*found ? "" : in_use) : found.error().message;
    if (!found || !*found) co_return item;
    item.action = "yours";
    item.fingerprint = (*found)->fingerprint;
    item.files = (*found)->files;
  } else if (request.dry_run) {
    item.action = "removable";
  } else {
    const auto removed = co_await remove_synced(feed);
    if (removed && *removed) item.action = "removed";
    if (!removed || !*removed) item.why = removed ? in_use : removed.error().message;
    if (!removed || !*removed) co_return item;
  }
  co_return co_await with_what_is_left(std::move(item), *refused);
}

asio::awaitable<api::TidyReply> Engine::tidy(TidyRequest request) {
  auto look = [found = candidates(request.below)]() mutable {
    for (auto& candidate : found) {
      const auto on_disk = look_on_disk(candidate.item.path);
      candidate.there = on_disk.there;
      candidate.owner = on_disk.owner;
      candidate.group = on_disk.group;
      candidate.item.bytes = on_disk.bytes;
    }
    return std::move(found);
  };
  auto found = co_await file_threads_.run(std::move(look));
  api::TidyReply reply;
  for (auto& candidate : found) {
    if (!candidate.there) continue;
    auto item = co_await tidy_one(std::move(candidate), request);
    reply.found.push_back(std::move(item));
  }
  co_return reply;
}

}  // namespace neptune::engine
