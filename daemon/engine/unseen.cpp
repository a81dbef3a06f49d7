// Logs of which something waits by the record, and that were not found when the daemon started: removed meanwhile, or
// where nobody can look now.
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>
#include <utility>

#include "engine/engine.h"
#include "engine/impl/for_people.h"
#include "engine/impl/kind_name.h"
#include "engine/impl/views.h"
#include "engine/impl/with_ledger.h"
#include "sources/run_log/log_files.h"
#include "support/pause.h"

namespace neptune::engine {

namespace asio = boost::asio;
namespace fs = std::filesystem;

namespace {

/// A log that is not among what was found, and the watched folder it was in.
struct Missing {
  UnsyncedLog log;
  fs::path folder;
};

struct Look {
  bool gone = false;
  std::string unseen{};  ///< of one that is not: why it was not found
};

bool is_missing(int error) {
  return error == ENOENT || error == ENOTDIR;
}

/// It is gone where its directory, or what is left of the way to it, is on the file system that it was on: an empty
/// directory that something is mounted on at other times says nothing. Blocks.
Look look_for(const Missing& missing) {
  const auto& key = missing.log.key;
  struct stat there{};
  auto path = fs::path(key.path) / sources::run_log_file;
  if (::stat(path.c_str(), &there) == 0) return {.unseen = "the way to it cannot be looked through"};
  while (is_missing(errno) && path != missing.folder && path.has_relative_path()) {
    path = path.parent_path();
    if (::stat(path.c_str(), &there) != 0) continue;
    if (there.st_dev == key.device) return {.gone = true};
    return {.unseen =
                fmt::format("{} is not the file system that it was on; perhaps that is not mounted", path.string())};
  }
  if (is_missing(errno)) return {.unseen = fmt::format("the watched folder {} is not there", path.string())};
  return {.unseen = fmt::format("{} cannot be looked at: {}", path.string(), std::strerror(errno))};
}

std::vector<Look> look_for_all(const std::vector<Missing>& all) {
  std::vector<Look> looks;
  for (const auto& missing : all) looks.push_back(look_for(missing));
  return looks;
}

/// A log with its files.
sources::SourceKey whole(sources::SourceKey key) {
  key.files = false;
  return key;
}

/// Wherever it lies.
sources::SourceKey file_alone(sources::SourceKey key) {
  key.path.clear();
  return whole(std::move(key));
}

/// The innermost watched one that it is in; empty: none.
fs::path folder_of(const std::string& path, const std::vector<sources::WatchState>& folders) {
  std::string found;
  for (const auto& folder : folders)
    if (sources::is_within(path, folder.path) && folder.path.size() > found.size()) found = folder.path;
  return found;
}

}  // namespace

/// Something waits in it: that is written down, so that it can be told as lost should it be removed while no daemon
/// runs. Not each time, of one that was written down before and goes at once.
asio::awaitable<void> Engine::note_waiting(FeedPtr feed) {
  if (!is_of_log(*feed)) co_return;
  const bool waits = feed->backlog.count > 0, noted = feed->noted > feed->recorded;
  const bool goes = feed->recorded > 0 && (feed->send || being_sent_.contains(feed->stream));
  if (waits == noted || (waits ? goes : feed->recorded != feed->confirmed)) co_return;
  const sources::Position last = waits ? feed->backlog.last : 0;
  auto note = [all = std::vector{Ledger::Waiting{feed->ledger_id, last}}](Ledger& ledger) {
    return ledger.note_waiting(all);
  };
  if (const auto done = co_await with_ledger(std::move(note)); done) feed->noted = last;
}

bool Engine::is_of_log(const Feed& feed) {
  return feed.info.kind == sources::Kind::run_log && !feed.replayed && feed.ledger_id != 0;
}

/// How it stands when the daemon stops.
asio::awaitable<void> Engine::note_all_waiting() {
  std::vector<Ledger::Waiting> all;
  for (const auto& [stream, feed] : streams_)
    if (is_of_log(*feed) && feed->backlog.count > 0 && feed->noted != feed->backlog.last)
      all.push_back({feed->ledger_id, feed->backlog.last});
  if (all.empty()) co_return;
  auto note = [all](Ledger& ledger) { return ledger.note_waiting(all); };
  const auto done = co_await with_ledger(std::move(note));
  if (!done) spdlog::warn("not recorded what waits error={:?}", done.error().message);
}

/// What was found, by all that a log may be known by; also what is gone, and not on record as that yet.
struct Engine::LogsHere {
  std::set<sources::SourceKey> logs, files;
  std::set<std::string> paths;

  void add(const sources::SourceKey& key) {
    logs.insert(whole(key));
    files.insert(file_alone(key));
    paths.insert(key.path);
  }
};

Engine::LogsHere Engine::logs_here() const {
  LogsHere found;
  for (const auto& [key, feed] : feeds_) found.add(key);
  for (const auto& key : leaving_) found.files.insert(file_alone(key));
  return found;
}

/// Once all folders were looked through; and again now and then while something cannot be seen.
asio::awaitable<void> Engine::look_for_unsynced_logs() {
  for (bool again = true; again;) {
    const auto known = co_await with_ledger([](Ledger& ledger) { return ledger.unsynced_logs(); });
    if (known && known->empty()) break;
    again = !known;
    if (known) again = co_await look_for_unsynced(*known);
    if (again) co_await pause(options_.problem_retry);
  }
  unseen_.clear();
}

/// Whether some of them cannot be seen.
asio::awaitable<bool> Engine::look_for_unsynced(std::vector<UnsyncedLog> known) {
  const auto found = logs_here();
  const auto folders = run_logs_->folders();
  std::vector<Missing> missing;
  std::vector<Ledger::Waiting> elsewhere;
  for (const auto& log : known) {
    if (found.logs.contains(whole(log.key))) continue;
    // Moved, or copied back: what waits in it is counted where it lies, or in what lies there.
    if (found.files.contains(file_alone(log.key)) || found.paths.contains(log.key.path))
      elsewhere.push_back({log.end.id, 0});
    else if (auto folder = folder_of(log.key.path, folders); !folder.empty())
      missing.push_back({log, std::move(folder)});
  }
  auto note = [elsewhere](Ledger& ledger) { return ledger.note_waiting(elsewhere); };
  if (!elsewhere.empty()) (void)co_await with_ledger(std::move(note));
  auto look = [missing] { return look_for_all(missing); };
  const auto looks = co_await file_threads_.run(std::move(look));
  const auto found_since = logs_here().files;
  const auto before = std::exchange(unseen_, {});
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const auto& log = missing[i].log;
    if (found_since.contains(file_alone(log.key))) continue;  // it came back
    if (looks[i].gone) {
      co_await tell_removed(log);
      continue;
    }
    unseen_.push_back({log, looks[i].unseen});
    if (std::ranges::find(before, log.end.id, [](const Unseen& one) { return one.log.end.id; }) == before.end())
      tell_unseen(unseen_.back());
  }
  co_return !unseen_.empty();
}

asio::awaitable<void> Engine::tell_removed(UnsyncedLog log) {
  auto end = log.end;
  end.finished_at = clock_.wall();
  auto finish = [end](Ledger& ledger) { return ledger.finish(end.id, end.lost, end.finished_at); };
  const auto recorded = co_await with_ledger(std::move(finish));
  if (!recorded) spdlog::warn("not recorded path={:?} error={:?}", end.path, recorded.error().message);
  finished_.push_back(end);
  if (finished_.size() > Ledger::finished_kept) finished_.pop_front();
  spdlog::warn("log gone while the daemon was stopped path={:?} unsent={}", end.path, end.lost.changes);
  events_.add("source_gone", sentence_of_lost(end) + "; that was while the daemon was stopped",
              {.scope = Scope::of(end.container.project).text(),
               .stream = end.container.label(),
               .count = end.lost.changes,
               .loss = true});
}

namespace {

std::string sentence_of_unseen(const FinishedSource& end, const std::string& why) {
  return fmt::format("{} of {} that {} not synced {} in it when it was read last, and it cannot be read now: {}",
                     number_of(end.lost.changes, "change"), end.container.label(), end.lost.changes == 1 ? "is" : "are",
                     end.lost.changes == 1 ? "was" : "were", why);
}

}  // namespace

void Engine::tell_unseen(const Unseen& unseen) {
  const auto& end = unseen.log.end;
  spdlog::warn("log not to be seen path={:?} unsent={} reason={:?}", end.path, end.lost.changes, unseen.why);
  events_.add("source_set_aside", end.path + ": " + sentence_of_unseen(end, unseen.why),
              {.scope = Scope::of(end.container.project).text(), .stream = end.container.label()});
}

void Engine::add_unseen(std::vector<api::SourceStatus>& sources) const {
  if (unseen_.empty()) return;
  std::set<std::string> told;
  for (const auto& source : sources) told.insert(source.path);
  for (const auto& [log, why] : unseen_) {
    if (told.contains(log.key.path)) continue;
    auto& source = sources.emplace_back();
    source.path = log.key.path;
    source.kind = kind_name(sources::Kind::run_log);
    source.state = "set_aside";
    source.detail = sentence_of_unseen(log.end, why);
    source.project = log.end.container.project.full();
    source.run = log.end.container.id;
  }
}

}  // namespace neptune::engine
