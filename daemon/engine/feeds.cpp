// What the watched folders hold becomes streams of the core, and goes again.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <limits>

#include "engine/engine.h"
#include "engine/impl/for_people.h"
#include "engine/impl/views.h"
#include "engine/impl/with_ledger.h"
#include "support/sizes.h"

namespace neptune::engine {

namespace asio = boost::asio;
using sources::SourceState;

namespace {

constexpr std::size_t opened_at_once = 16;  // our own bound

std::string name_of(const sources::SourceInfo& info) {
  return info.container ? name_with_project(*info.container) : info.key.path;
}

/// The file itself, wherever it lies; what is no file is known by its name.
sources::SourceKey file_of(sources::SourceKey key) {
  if (key.inode != 0) key.path.clear();
  return key;
}

}  // namespace

// From the watcher

void Engine::source_changed(const sources::SourceInfo& info, std::shared_ptr<sources::Source> source) {
  auto& entry = feeds_[info.key];
  // One that is on its way out is finished under its own pointer; what came back at its place starts anew.
  const bool known = entry != nullptr && !entry->gone;
  if (!known) entry = std::make_shared<Feed>();
  const auto feed = entry;
  if (info.kind == sources::Kind::client_dir && !feed->client) feed->client = std::make_unique<Feed::OfClient>();
  const bool state_changed = !known || feed->info.state != info.state;
  // Of a client's directory only the server knows whose it is: that was found out here.
  auto container = known && !info.container ? std::move(feed->info.container) : info.container;
  feed->info = info;
  feed->info.container = std::move(container);
  feed->source = std::move(source);
  if (feed->files) tell_files_of(*feed);
  note_settling_in(info);
  if (state_changed) tell_of(info);
  const auto now = clock_.now();
  expect_more(*feed, true);
  if (takeable(info.state) && feed->source) {
    if (state_changed) feed->problem.reset();
    if (feed->stream == 0) {
      open_stream(feed);
    } else {
      core_.pause(feed->stream, false, now);
      feed->refresh_wanted = true;
      feed->take_out_wanted = true;  // what could not be taken out while it was somebody else's
    }
    if (!is_in_line(*feed)) tend(feed);
  } else if (info.state == SourceState::set_aside) {
    aside_.erase(feed);
    remember_unread(*feed);
    close_stream(feed);
    feed->backlog = {};  // also what was counted while it was set aside here
  } else if (feed->stream != 0) {
    core_.pause(feed->stream, true, now);
  }
  pump();
}

// Files of run logs

/// A log asks for files: they become a stream of their own, which follows what becomes of the log.
void Engine::follow_files(const FeedPtr& log) {
  if (!log->files) {
    const auto source = log->source ? log->source->files() : nullptr;
    if (!source) return;
    auto key = log->info.key;
    key.files = true;
    log->files = feeds_[key] = std::make_shared<Feed>();
    log->files->log = log;
    tell_files_of(*log);
    return;
  }
  log->files->refresh_wanted = true;
  if (log->files->stream == 0) open_stream(log->files);
  tend(log->files);
}

void Engine::tell_files_of(const Feed& log) {
  auto info = log.info;
  info.key.files = true;
  if (info.container) info.container->kind = ContainerKind::files;
  source_changed(info, log.source ? log.source->files() : nullptr);
}

void Engine::source_written(const sources::SourceKey& key) {
  const auto it = feeds_.find(key);
  if (it == feeds_.end()) return;
  const auto feed = it->second;
  feed->problem.reset();
  feed->refresh_wanted = true;
  expect_more(*feed, true);
  const bool own = feed->last_looked && clock_.now() - *feed->last_looked < std::chrono::milliseconds(15) &&
                   feed->backlog.count == 0;
  if (!own) {
    feed->looks = 0;
    feed->echoed = false;
  } else if (feed->looks >= looks_after_a_write && !std::exchange(feed->echoed, true)) {
    // What looks like our own last look may hide a write of the same moment: one more look, and no more for that.
    feed->looks = looks_after_a_write - 1;
  }
  if (feed->stream == 0) open_stream(feed);
  if (!is_in_line(*feed)) tend(feed);
}

/// It counts as waiting at once, though it is read only a little later.
void Engine::source_grew(const sources::SourceKey& key, const sources::Growth& growth) {
  const auto it = feeds_.find(key);
  if (it == feeds_.end()) return;
  auto& feed = *it->second;
  const auto& container = *feed.info.container;
  auto& untold = untold_[container.project];
  (container.kind == ContainerKind::removals ? untold.frees : untold.writes) += growth.count;
  untold.bytes += growth.bytes;
  feed.untold.push_back(growth);
  if (growth.first == 0) return;
  if (accepted_from_ == 0 || growth.first < accepted_from_) accepted_from_ = growth.first;
  const bool of_runs = container.kind == ContainerKind::removals || container.id == restores_of_project;
  if (of_runs) search_lag_.accepted(growth.first, growth.last, clock_.now());
}

/// The core knows what was accepted up to there.
void Engine::told(Feed& feed, sources::Position upto) {
  if (feed.untold.empty()) return;
  const auto& container = *feed.info.container;
  const auto of_project = untold_.find(container.project);
  auto& [writes, frees, bytes] = of_project->second;
  auto& changes = container.kind == ContainerKind::removals ? frees : writes;
  std::erase_if(feed.untold, [&changes, &bytes, upto](const sources::Growth& growth) {
    if (growth.last > upto) return false;
    changes -= growth.count;
    bytes -= growth.bytes;
    return true;
  });
  if (writes + frees == 0) untold_.erase(of_project);
}

void Engine::source_vanished(const sources::SourceKey& key) {
  leave(key, false);
}

void Engine::source_unwatched(const sources::SourceKey& key) {
  leave(key, true);
}

/// Its file is gone, or for us only: then what is in it stays there.
void Engine::leave(const sources::SourceKey& key, bool unwatched) {
  const auto it = feeds_.find(key);
  if (it == feeds_.end()) return;
  const auto feed = it->second;
  if (feed->files) {
    auto files = key;
    files.files = true;
    leave(files, unwatched);
  }
  settling_in_.erase(key);
  tell_discovering();
  if (!std::exchange(feed->gone, true)) leaving_.insert(file_of(key));
  feed->unwatched = unwatched;
  expect_more(*feed, false);
  told(*feed, std::numeric_limits<sources::Position>::max());
  tell_of_leaving(*feed);
  aside_.erase(feed);
  close_stream(feed);
  tend(feed);
  pump();
}

/// All that is known of a file that was gone is on record: if it is there again, it goes on from that.
void Engine::wake_what_came_back(const sources::SourceKey& key) {
  const auto gone = leaving_.find(file_of(key));
  if (gone != leaving_.end()) leaving_.erase(gone);
  std::vector<FeedPtr> again;
  const auto wake = [&again](const FeedPtr& feed) {
    if (feed->stream == 0 && !feed->gone) again.push_back(feed);
  };
  if (key.inode == 0) {  // known by its name; a queue may have many of them
    if (const auto there = feeds_.find(key); there != feeds_.end()) wake(there->second);
  } else {
    for (const auto& [at, feed] : feeds_)
      if (at.inode == key.inode && file_of(at) == file_of(key)) wake(feed);
  }
  for (const auto& feed : again) tend(feed);
}

/// What was confirmed meanwhile does not wait any more, though the source was not counted again.
std::uint64_t Engine::waiting_in(const Feed& feed) const {
  return feed.stream != 0 ? core_.stream(feed.stream, clock_.now()).tally.changes() : feed.backlog.count;
}

/// Before its stream is closed as it cannot be read.
void Engine::remember_unread(Feed& feed) const {
  if (feed.stream != 0 || feed.backlog.count > 0) feed.unread_count = waiting_in(feed);
  feed.uncounted = !feed.last_looked;
}

/// What was in a source that is gone and is not synced, as far as that can be known.
Lost Engine::lost_with(const Feed& feed) const {
  const auto changes = feed.stream != 0 ? waiting_in(feed) : std::max(feed.backlog.count, feed.unread_count);
  const bool of_log = feed.info.container && !feed.info.key.files && feed.info.kind != sources::Kind::change_queue;
  const auto& problem = feed.problem ? feed.problem : feed.info.problem;
  if (changes == 0 && feed.stream == 0 && feed.uncounted && problem && !problem->retryable && of_log) return {1, true};
  return {changes};
}

void Engine::tell_of_leaving(Feed& feed) {
  const auto& path = feed.info.key.path;
  EventAbout about{.stream = feed.info.container ? std::optional(feed.info.container->label()) : std::nullopt,
                   .count = feed.backlog.count};
  if (feed.unwatched) {
    events_.add("source_gone", path + " is not watched any more; what is in it stays there", std::move(about));
    return;
  }
  feed.lost = lost_with(feed);
  about.loss = true;
  if (feed.lost.changes == 0) {
    // Of one that is its client's there is nothing to tell, nor of one that could not be read.
    const bool ours = takeable(feed.info.state) || feed.info.state == SourceState::settling_in;
    const bool never_looked = feed.ledger_id == 0 && !feed.last_looked;
    if (ours && never_looked && !feed.info.key.files && feed.info.kind != sources::Kind::change_queue)
      events_.add("source_gone", path + " was removed before it was looked into; nothing of it was sent from here",
                  std::move(about));
    return;
  }
  spdlog::warn("log gone path={:?} unsent={}{}", path, feed.lost.changes, feed.lost.uncounted ? " or more" : "");
  about.count = feed.lost.changes;
  events_.add("source_gone", sentence_of_lost(end_of(feed, clock_.wall())), std::move(about));
}

void Engine::first_scan_done() {
  scanned_ = ++scans_done_ == (run_logs_ ? 1u : 0u) + (client_dirs_ ? 1u : 0u);
  if (scanned_ && run_logs_) tasks_.spawn("look for unsynced logs", look_for_unsynced_logs());
  tell_discovering();
  pump();
}

/// What was accepted takes its place in line at once, though it is read only a little later: a removal must not go
/// before it.
void Engine::expect_more(const Feed& feed, bool on) {
  if (feed.info.kind != sources::Kind::change_queue || feed.replayed) return;
  auto& streams = expecting_[*feed.info.container];
  if (on) {
    streams.insert(feed.info.key);
  } else {
    streams.erase(feed.info.key);
  }
  const bool any = !streams.empty();
  if (!any) expecting_.erase(*feed.info.container);
  core_.expect(*feed.info.container, any, clock_.now());
}

/// A fork's parent may be among what is not known yet.
void Engine::tell_discovering() {
  core_.discovering(!scanned_ || !settling_in_.empty(), clock_.now());
}

void Engine::note_settling_in(const sources::SourceInfo& info) {
  if (info.state == SourceState::settling_in && info.kind == sources::Kind::run_log && !info.key.files) {
    settling_in_.insert(info.key);
  } else {
    settling_in_.erase(info.key);
  }
  tell_discovering();
}

void Engine::tell_of(const sources::SourceInfo& info) {
  if (info.kind == sources::Kind::change_queue) return;  // it was accepted: that was told
  if (info.key.files) return;                            // with its log
  EventAbout about;
  if (info.container) {
    about.scope = Scope::of(info.container->project).text();
    about.stream = info.container->label();
  }
  switch (info.state) {
    case SourceState::settling_in:
      events_.add("source_found", "found " + info.key.path, std::move(about));
      break;
    case SourceState::live:
      events_.add("source_changed", name_of(info) + " is being written; it is followed live", std::move(about));
      break;
    case SourceState::closed:
      events_.add("source_changed", name_of(info) + " is closed", std::move(about));
      break;
    case SourceState::left_to_client:
      events_.add("source_changed",
                  name_of(info) + (info.kind == sources::Kind::client_dir
                                       ? " may still be synced by its own client; it is left to it"
                                       : " is synced by the client's own process; it is left to it"),
                  std::move(about));
      break;
    case SourceState::set_aside:
      spdlog::warn("set aside path={:?} reason={:?}", info.key.path, info.problem ? info.problem->message : "");
      events_.add("source_set_aside", info.problem ? info.problem->message : info.key.path + " cannot be read",
                  std::move(about));
      break;
  }
}

// Streams

void Engine::open_stream(const FeedPtr& feed) {
  if (feed->stream != 0 || feed->opening || feed->tended || !feed->outcomes.empty() || feed->gone || feed->problem ||
      !feed->source || !takeable(feed->info.state))
    return;
  // Whether what is on its way arrives is to be known first, and on record: else it could be sent twice.
  if (calls_out_.contains(feed->info.key) || leaving_.contains(file_of(feed->info.key))) return;
  if (!feed->info.container) return find_container(feed);
  if (feed->replayed) {
    feed->replayed->clear();
    begin_stream(feed, {});
    return;
  }
  feed->opening = true;
  if (feed->info.kind == sources::Kind::run_log && !feed->info.key.files) settling_in_.insert(feed->info.key);
  tell_discovering();
  if (!is_in_line(*feed)) return tasks_.spawn("look up", look_up(feed));
  to_open_.push_back(feed);
  if (opening_ == opened_at_once) return;
  opening_++;
  tasks_.spawn("open streams", open_in_turn());
}

/// A queue may hold any number of streams, all of which are found at once when the daemon starts. A few of them are
/// opened at a time, so that little memory is needed for it.
bool Engine::is_in_line(const Feed& feed) {
  return feed.opening && feed.info.kind == sources::Kind::change_queue;
}

asio::awaitable<void> Engine::open_in_turn() {
  struct Done {
    std::size_t& opening;
    ~Done() { opening--; }
  };
  const Done done{opening_};
  while (!to_open_.empty() && !draining_) {
    const auto feed = std::move(to_open_.front());
    to_open_.pop_front();
    const bool ours = !std::exchange(feed->tended, true);
    co_await look_up(feed);
    if (!ours) continue;
    for (bool more = true; more && feed->refresh_wanted;) more = co_await tend_once(feed);
    tasks_.spawn("tend", tending(feed));
  }
}

asio::awaitable<void> Engine::look_up(FeedPtr feed) {
  const auto key = feed->info.key;
  const ContainerName run = *feed->info.container;
  const bool directory = feed->info.kind == sources::Kind::client_dir;
  auto find = [key, run, directory](Ledger& ledger) {
    return directory ? ledger.directory(key, run) : ledger.source(key, run);
  };
  auto known = co_await with_ledger(std::move(find));
  feed->opening = false;
  settling_in_.erase(key);
  if (!known) {
    not_recorded(feed, known.error());
  } else if (!feed->gone && feed->source && feed->stream == 0) {
    begin_stream(feed, *known);
  }
  tell_discovering();
  pump();
}

void Engine::begin_stream(const FeedPtr& feed, const LedgerSource& known) {
  const auto& run = *feed->info.container;
  const auto this_one = [&known](const FinishedSource& finished) { return finished.id == known.id; };
  if (known.id != 0) std::erase_if(finished_, this_one);  // it goes on where it was
  // Of what was seen by an earlier process, that is news only when something of it waits.
  if (feed->ledger_id == 0) feed->told_synced = known.seen;
  feed->ledger_id = known.id;
  feed->confirmed = feed->recorded = known.confirmed;
  feed->taken_out = 0;
  feed->noted = known.waiting;
  feed->synced = known.synced;
  feed->rejected = known.rejected;
  feed->kept = known.kept;
  feed->synced_at = known.synced_at;
  feed->moved = known.moved;
  if (feed->moved.count > 0) note_moved_from(feed);
  feed->stream = ++last_stream_;
  feed->refresh_wanted = true;
  feed->take_out_wanted = known.confirmed > 0;
  streams_[feed->stream] = feed;
  core::StreamSpec spec{feed->stream, server_of(run.project.workspace), run, feed->info.order, feed->confirmed};
  spec.passed = is_passed(*feed);
  core_.open(std::move(spec), clock_.now());
  tend(feed);
  pump();
}

void Engine::close_stream(const FeedPtr& feed) {
  if (feed->stream == 0) return;
  streams_.erase(feed->stream);
  core_.close(std::exchange(feed->stream, 0), clock_.now());
  feed->backlog = {};
}

void Engine::set_aside(const FeedPtr& feed, Error problem) {
  if (feed->gone) return;
  if (feed->info.kind == sources::Kind::change_queue && problem.code == "sqlite_corrupt")
    problem.message += "; or stop the daemon and have `neptune-sync queue check --repair` look what can be mended";
  spdlog::warn("set aside path={:?} reason={:?}", feed->info.key.path, problem.message);
  events_.add("source_set_aside", problem.message,
              {.stream = feed->info.container ? std::optional(feed->info.container->label()) : std::nullopt});
  // What was accepted, and what is tried again by itself, waits all the same.
  const bool waits = feed->info.container && (problem.retryable || feed->info.kind == sources::Kind::change_queue);
  feed->problem = std::move(problem);
  feed->release_wanted = true;
  expect_more(*feed, true);
  remember_unread(*feed);
  auto last_counted = feed->backlog;
  close_stream(feed);
  if (waits) {
    aside_.insert(feed);
    // What was accepted meanwhile is known, though it cannot be read.
    for (const auto& growth : feed->untold) {
      if (growth.last <= last_counted.last) continue;
      last_counted.count += growth.count;
      last_counted.bytes += growth.bytes;
      last_counted.last = growth.last;
    }
    feed->backlog = std::move(last_counted);
    told(*feed, std::numeric_limits<sources::Position>::max());
    feed->refresh_wanted = true;
  } else {
    aside_.erase(feed);
    feed->backlog = {};
  }
  tend(feed);
}

/// What was read may have been half of a write that was told meanwhile: then it is read again first.
void Engine::not_readable(const FeedPtr& feed, Error problem) {
  if (!feed->refresh_wanted) set_aside(feed, std::move(problem));
}

/// The stream starts again, a while later, from what is on record; nothing else of it is taken out of its source.
void Engine::start_over(const FeedPtr& feed, Error problem) {
  feed->outcomes.clear();
  if (const auto send = std::exchange(feed->send, std::nullopt)) {
    no_longer_sent(send->stream);
    core_.failed(send->stream, std::nullopt,
                 {Failure::Kind::source, problem.code, problem.message, std::nullopt, false}, clock_.now());
  }
  set_aside(feed, std::move(problem));
  alarms_.set({Alarm::Of::retry, feed->info.key}, clock_.now() + options_.problem_retry);
  rearm();
}

void Engine::not_recorded(const FeedPtr& feed, const Error& error) {
  spdlog::error("not recorded path={:?} error={:?}", feed->info.key.path, error.message);
  start_over(feed, Error{error.code,
                         fmt::format("the daemon's memory cannot be written ({}); syncing of {} goes on when it can",
                                     error.message, name_of(feed->info)),
                         true});
}

// Rest

bool Engine::at_rest(const Feed& feed) const {
  return feed.stream != 0 && !feed.tended && !feed.send && feed.outcomes.empty() && feed.backlog.count == 0 &&
         feed.recorded == feed.confirmed && core_.stream(feed.stream, clock_.now()).wait == core::Wait::nothing;
}

/// Since when nothing may have been logged that was not read; none: it was never read, or may not be now.
std::optional<Instant> Engine::known_at(const Feed& feed) const {
  if (feed.stream == 0 || !feed.source || !feed.looked_from) return std::nullopt;
  const bool behind = feed.tended || feed.refresh_wanted || feed.look_due;
  const auto own = behind ? *feed.looked_from : clock_.now();
  const auto log = feed.log.lock();
  if (!log) return own;
  // Of files a look at their log tells.
  const auto of_log = known_at(*log);
  return of_log ? std::optional(std::min(own, *of_log)) : std::nullopt;
}

void Engine::look_for_rest(FeedPtr feed) {
  if (feed->stream == 0 && !feed->problem) open_stream(feed);
  if (!at_rest(*feed)) return;
  if (feed->replayed) {
    close_stream(feed);
    feeds_.erase(feed->info.key);
    return;
  }
  if (feed->info.kind == sources::Kind::client_dir && feed->info.state == SourceState::closed &&
      feed->backlog.unwritten > 0 && !std::exchange(feed->client->told_lost, true)) {
    spdlog::warn("lost by the client path={:?} operations={}", feed->info.key.path, feed->backlog.unwritten);
    events_.add("lost_by_client",
                fmt::format("lost by the client: {} of {} never reached its files",
                            number_of(feed->backlog.unwritten, "operation"), name_of(feed->info)),
                {.scope = Scope::of(feed->info.container->project).text(),
                 .stream = feed->info.container->label(),
                 .count = feed->backlog.unwritten});
  }
  if (!feed->released) alarms_.set({Alarm::Of::release, feed->info.key}, clock_.now() + options_.idle_release);
  if (!feed->tidying && feed->info.state == SourceState::closed) tidy_later(feed);
  // What was thrown away or refused, all of it, is not on the server.
  const bool on_server = feed->synced > 0 || feed->rejected + feed->moved.count == 0;
  if (!std::exchange(feed->told_synced, true) && feed->info.container && on_server)
    events_.add(
        "run_synced",
        fmt::format("{} {} synced{}{}{}", name_of(feed->info),
                    feed->info.container->kind == ContainerKind::files ? "are" : "is",
                    feed->info.state == SourceState::closed ? "" : " up to now",
                    feed->rejected > 0 ? fmt::format(", but for {} rejected", number_of(feed->rejected, "change")) : "",
                    feed->moved.count > 0
                        ? fmt::format(", but for {} moved to another machine", number_of(feed->moved.count, "change"))
                        : ""),
        {.scope = Scope::of(feed->info.container->project).text(),
         .stream = feed->info.container->label(),
         .count = feed->synced});
  rearm();
}

}  // namespace neptune::engine
