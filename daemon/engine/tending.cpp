// All work on one source, one thing after the other.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <array>
#include <limits>

#include "changes/wire.h"
#include "engine/engine.h"
#include "engine/impl/for_people.h"
#include "engine/impl/outcome.h"
#include "engine/impl/part.h"
#include "engine/impl/with_ledger.h"
#include "support/disk.h"
#include "support/sizes.h"

namespace neptune::engine {

namespace asio = boost::asio;
using namespace std::chrono_literals;

void Engine::tend(const FeedPtr& feed) {
  if (std::exchange(feed->tended, true)) return;
  tasks_.spawn("tend", tending(feed));
}

asio::awaitable<void> Engine::tending(FeedPtr feed) {
  struct Done {
    Feed& feed;
    ~Done() { feed.tended = false; }
  };
  {
    const Done done{*feed};
    for (bool more = true; more;) more = co_await tend_once(feed);
  }
  look_for_rest(feed);
}

/// The most urgent thing to do; false when there is none. Sends go first: settling can follow while a body is on its
/// way.
asio::awaitable<bool> Engine::tend_once(FeedPtr feed) {
  if (feed->send) {
    const auto send = *std::exchange(feed->send, std::nullopt);
    feed->aside.reset();  // its turn came after all
    if (feed->source) {
      co_await take_batch(feed, send);
    } else {
      no_longer_sent(send.stream);
      core_.failed(send.stream, std::nullopt,
                   {Failure::Kind::source, "source_gone", "its source may not be taken now", std::nullopt, false},
                   clock_.now());
      pump();
    }
  } else if (may_record(*feed)) {
    const auto outcome = std::move(feed->outcomes.front());
    feed->outcomes.pop_front();
    if (const auto* settle = std::get_if<core::Settle>(&outcome)) {
      co_await record(feed, *settle);
    } else {
      co_await record(feed, std::get<core::Reject>(outcome));
    }
  } else if (std::exchange(feed->take_out_wanted, false)) {
    co_await take_out(feed);
  } else if (feed->gone) {
    // The answer of a call that is on its way is still to be put on record.
    if (!calls_out_.contains(feed->info.key)) co_await finish(feed);
    co_return false;
  } else if (feed->aside) {
    co_await step_aside(feed, *std::exchange(feed->aside, std::nullopt));
  } else if (std::exchange(feed->create_passes, false)) {
    co_await let_create_pass(feed);
  } else if (wants_rename(*feed)) {
    co_await rename_registered(feed);
  } else if (std::exchange(feed->refresh_wanted, false)) {
    co_await refresh(feed);
  } else if (std::exchange(feed->release_wanted, false)) {
    const auto source = feed->source;
    if (source && (feed->backlog.count == 0 || feed->stream == 0)) {
      feed->released = true;
      co_await source->release();
    }
  } else {
    co_return false;
  }
  co_return true;
}

namespace {

bool is_settled_whole(const core::Outcome& outcome) {
  const auto* settle = std::get_if<core::Settle>(&outcome);
  return settle && settle->refused.empty();
}

}  // namespace

/// A rejection is kept with its bytes: it waits for its source while that may not be read.
bool Engine::may_record(const Feed& feed) {
  if (feed.outcomes.empty()) return false;
  return feed.source || feed.gone || is_settled_whole(feed.outcomes.front());
}

/// Of one that is set aside: what is not on record. Where that cannot be read, what was counted last stands.
asio::awaitable<void> Engine::count_aside(FeedPtr feed) {
  const auto source = feed->source;
  auto backlog = co_await outcome(source->backlog(feed->recorded));
  if (!backlog || feed->stream != 0 || !aside_.contains(feed)) co_return;
  feed->backlog = std::move(*backlog);
  told(*feed, feed->backlog.last);
}

namespace {

/// Of a log that its job ends, or that changes hands: who watches its files tells what becomes of it.
bool is_usual(const Error& error) {
  return error.code == "run_log_gone" || error.code == "run_log_closing" || error.code == "run_log_withdrawn";
}

core::Backlog as_the_core_has_it(sources::Backlog& backlog) {
  return {
      .count = backlog.count,
      .bytes = backlog.bytes,
      .create_next = backlog.next == sources::OperationKind::create,
      .frees_next = backlog.frees_next,
      .fork_parent = backlog.fork_parent,
      .discards = backlog.discards,
      .ticket = backlog.ticket,
      .create_behind = backlog.create_behind,
      .creates_project = backlog.creates_project,
      // Who makes way for it asks for these again.
      .after = backlog.discards ? backlog.after : std::exchange(backlog.after, {}),
  };
}

}  // namespace

/// What waits in it could not be read.
void Engine::not_counted(const FeedPtr& feed, const Error& error) {
  if (!error.retryable) {
    not_readable(feed, error);
    pump();
    return;
  }
  if (!feed->unread)
    spdlog::log(is_usual(error) ? spdlog::level::debug : spdlog::level::warn, "not read path={:?} error={:?}",
                feed->info.key.path, error.message);
  const auto times = feed->unread ? feed->unread->times : 0;
  feed->unread = Feed::Unread{error.message, times + 1};
  const auto pause = std::min<Duration>(1s * (1u << std::min(times, 5u)), 30s);
  alarms_.set({Alarm::Of::tend, feed->info.key}, clock_.now() + pause);
  rearm();
}

asio::awaitable<void> Engine::refresh(FeedPtr feed) {
  if (!feed->source) co_return;
  if (feed->stream == 0) {
    if (aside_.contains(feed)) co_await count_aside(feed);
    co_return;
  }
  const auto source = feed->source;
  const auto stream = feed->stream;
  const auto after = feed->confirmed;
  const auto began = clock_.now();
  feed->released = false;
  auto backlog = co_await outcome(source->backlog(after));
  if (feed->stream != stream || feed->gone) co_return;
  if (!backlog) co_return not_counted(feed, backlog.error());
  if (feed->confirmed != after) {
    feed->refresh_wanted = true;  // it moved on meanwhile
    co_return;
  }
  feed->unread.reset();
  feed->uncounted = false;
  feed->unread_count = 0;
  auto known = as_the_core_has_it(*backlog);
  feed->backlog = std::move(*backlog);
  if (feed->backlog.count > 0) feed->told_synced = false;
  if (feed->backlog.uploads > 0) follow_files(feed);
  feed->last_looked = clock_.now();
  feed->looked_from = began;
  core_.backlog(stream, after, std::move(known), clock_.now());
  aside_.erase(feed);
  // What came meanwhile is told with the next look.
  told(*feed, feed->refresh_wanted ? feed->backlog.last : std::numeric_limits<sources::Position>::max());
  if (!feed->refresh_wanted) expect_more(*feed, false);
  look_again(feed);
  pump();
  co_await note_waiting(feed);
}

/// A removal that has to wait lets the others pass. Its stream sends nothing until it was looked into again.
asio::awaitable<void> Engine::step_aside(FeedPtr feed, core::StepAside aside) {
  if (!queue_ || feed->stream != aside.stream) co_return;
  const auto moved = co_await outcome(queue_->step_aside(*feed->info.container, aside.position));
  if (moved) {
    spdlog::debug("stepped aside project={:?} change={}", feed->info.container->project.full(), aside.position);
    feed->refresh_wanted = true;
  } else {
    spdlog::warn("not stepped aside project={:?} change={} error={:?}", feed->info.container->project.full(),
                 aside.position, moved.error().message);
    alarms_.set({Alarm::Of::tend, feed->info.key}, clock_.now() + options_.problem_retry);
    rearm();
  }
}

/// Unless the writes before it go after all. Should it fail, it is tried again when the stream is looked into anew.
asio::awaitable<void> Engine::let_create_pass(FeedPtr feed) {
  if (!queue_ || feed->stream == 0 || !core_.stream(feed->stream, clock_.now()).barred) co_return;
  const auto passed = co_await outcome(queue_->let_create_pass(*feed->info.container, feed->confirmed));
  if (passed) {
    feed->refresh_wanted = true;
  } else {
    spdlog::warn("a create waits behind what goes nowhere container={:?} error={:?}", feed->info.container->label(),
                 passed.error().message);
    alarms_.set({Alarm::Of::tend, feed->info.key}, clock_.now() + options_.problem_retry);
    rearm();
  }
}

/// A producer's write is told when it enters `-wal`, and can be read only when its commit is through, an fsync later,
/// which nothing tells: so a live log is looked at again a few times after each write, and then no more.
void Engine::look_again(const FeedPtr& feed) {
  static constexpr std::array<Duration, looks_after_a_write> pauses{20ms, 80ms, 320ms, 1280ms};
  feed->look_due = feed->info.state == sources::SourceState::live && feed->looks < pauses.size();
  if (!feed->look_due) return;
  alarms_.set({Alarm::Of::tend, feed->info.key}, clock_.now() + pauses[feed->looks++]);
}

// What the server's word means for what is on disk: the ledger first, then the source.

asio::awaitable<void> Engine::record(FeedPtr feed, core::Settle settle) {
  // One record for all that was confirmed in a row.
  while (settle.refused.empty() && !feed->outcomes.empty() && is_settled_whole(feed->outcomes.front())) {
    const auto& next = std::get<core::Settle>(feed->outcomes.front());
    settle.upto = next.upto;
    settle.count += next.count;
    settle.create |= next.create;
    feed->outcomes.pop_front();
  }
  const auto now = clock_.wall();
  auto refused = co_await rejected_changes(feed, std::move(settle.refused), now);
  if (!refused) {
    // Without their bytes they must not count as dealt with.
    start_over(feed, refused.error());
    pump();
    co_return;
  }
  const auto rejections = co_await this->settle(feed, settle, std::move(*refused), now);
  if (!rejections) {
    not_recorded(feed, rejections.error());
    pump();
    co_return;
  }
  for (const auto& rejection : *rejections) {
    note_rejected(*feed, rejection.code, rejection.position, 1);
    tell_rejected(*feed->info.container, rejection);
  }
  note_settled(*feed, settle, now);
  const auto rejected = counts_[feed->info.container->project].rejected;
  if (settle.create && rejected > 0) co_await retry_forks_of(*feed->info.container);
}

/// In one transaction; what was refused, with its numbers.
asio::awaitable<Result<std::vector<Rejection>>> Engine::settle(FeedPtr feed, core::Settle settle,
                                                               std::vector<RejectedChange> refused, WallTime now) {
  std::vector<Rejection> rejections;
  if (feed->replayed) {
    auto resolved = co_await resolve(feed, settle.upto);
    if (!resolved) co_return std::unexpected(std::move(resolved.error()));
    co_return rejections;
  }
  for (const auto& change : refused) rejections.push_back(change.rejection);
  auto record = [id = feed->ledger_id, project = feed->info.container->project, upto = settle.upto,
                 count = settle.count, refused = std::move(refused),
                 now](Ledger& ledger) { return ledger.settle(id, project, upto, count, refused, now); };
  const auto ids = co_await with_ledger(std::move(record));
  if (!ids) co_return std::unexpected(ids.error());
  for (std::size_t i = 0; i < rejections.size(); ++i) rejections[i].id = ids->at(i);
  co_return rejections;
}

/// Rejected changes that were tried again are stored now.
asio::awaitable<Result<void>> Engine::resolve(FeedPtr feed, sources::Position upto) {
  const auto& container = *feed->info.container;
  std::vector<std::int64_t> stored(feed->replayed->begin() + feed->recorded, feed->replayed->begin() + upto);
  auto resolve = [project = container.project, stored](Ledger& ledger) { return ledger.resolve(project, stored); };
  const auto resolved = co_await with_ledger(std::move(resolve));
  if (!resolved) co_return std::unexpected(resolved.error());
  for (const auto& source : *resolved) no_longer_kept(source, container, true);
  co_return Result<void>();
}

void Engine::note_settled(Feed& feed, const core::Settle& settle, WallTime now) {
  const auto& container = *feed.info.container;
  auto& counts = counts_[container.project];
  counts.synced += settle.count;
  if (feed.replayed) {
    counts.rejected -= std::min(counts.rejected, settle.count);
    counts.retried += settle.count;
  } else {
    feed.synced += settle.count;
  }
  feed.synced_at = now;
  note_recorded(feed, settle.upto);
  rate_.add(static_cast<double>(feed.backlog.bytes) /
                static_cast<double>(std::max<std::uint64_t>(1, feed.backlog.count)) * static_cast<double>(settle.count),
            clock_.now());
  events_.add("synced",
              fmt::format("{} {} on the server", changes_of(settle.count, container), settle.count == 1 ? "is" : "are"),
              {.scope = Scope::of(container.project).text(), .stream = container.label(), .count = settle.count});
}

/// One rejected change of a source was tried again and is synced, or was discarded.
void Engine::no_longer_kept(const std::string& source, const ContainerName& container, bool stored) {
  const auto less = [](std::uint64_t& count) { count -= std::min<std::uint64_t>(count, 1); };
  const auto move = [stored, less](auto& of) {
    less(of.kept);
    if (!stored || of.rejected == 0) return;
    of.rejected--;
    of.synced++;
  };
  less(counts_[container.project].kept);
  for (const auto& [key, feed] : feeds_)
    if (key.path == source && feed->info.container == container) return move(*feed);
  const auto done = std::ranges::find_if(
      finished_.rbegin(), finished_.rend(),
      [&source, &container](const FinishedSource& each) { return each.path == source && each.container == container; });
  if (done != finished_.rend()) move(*done);
}

/// A run is on the server: its forks that were refused for want of it are tried again.
asio::awaitable<void> Engine::retry_forks_of(ContainerName parent) {
  auto mark = [parent](Ledger& ledger) { return ledger.retry_forks_of(parent); };
  auto forks = co_await with_ledger(std::move(mark));
  if (!forks) {
    spdlog::warn("forks not tried again parent={:?} error={:?}", parent.label(), forks.error().message);
    co_return;
  }
  for (const auto& fork : *forks) open_replay(fork);
}

/// What a rejected change is, with its bytes.
asio::awaitable<Result<sources::QueuedChange>> Engine::change_to_keep(FeedPtr feed, sources::Position position) {
  const auto source = feed->source;
  if (!source) co_return fail("source_gone", "its source may not be read now", true);
  // One that came back since its call was made has not been looked through yet.
  if (feed->stream == 0) {
    auto looked = co_await outcome(source->backlog(feed->recorded));
    if (!looked) co_return std::unexpected(std::move(looked.error()));
  }
  auto changes = co_await outcome(source->changes(position, position));
  if (!changes) co_return std::unexpected(std::move(changes.error()));
  co_return std::move(changes->front());
}

asio::awaitable<Result<RejectedChange>> Engine::rejected_change(FeedPtr feed, core::Refusal refusal, WallTime now) {
  auto change = co_await change_to_keep(feed, refusal.position);
  if (!change) co_return std::unexpected(std::move(change.error()));
  auto reason = with_attributes(std::move(refusal.reason), *change, refusal.part);
  RejectedChange rejected{rejection_of(*feed, *change, std::move(refusal.code), std::move(reason), now),
                          std::move(change->payload)};
  rejected.rejection.part = std::move(refusal.part);
  co_return rejected;
}

asio::awaitable<Result<std::vector<RejectedChange>>> Engine::rejected_changes(FeedPtr feed,
                                                                              std::vector<core::Refusal> refused,
                                                                              WallTime now) {
  std::vector<RejectedChange> changes;
  for (auto& refusal : refused) {
    auto change = co_await rejected_change(feed, std::move(refusal), now);
    if (!change) co_return std::unexpected(std::move(change.error()));
    changes.push_back(std::move(*change));
  }
  co_return changes;
}

Rejection Engine::rejection_of(const Feed& feed, const sources::QueuedChange& change, std::string code,
                               std::string reason, WallTime now) {
  Rejection rejection;
  rejection.at = now;
  rejection.source = feed.info.key.path;
  rejection.position = change.position;
  rejection.container = *feed.info.container;
  rejection.change = change.kind;
  rejection.uid = change.uid;
  rejection.accepted = change.at;
  rejection.code = std::move(code);
  rejection.reason = std::move(reason);
  return rejection;
}

/// What of an update handed in by ingestion was refused, which the server's check does not say. Of one that went as a
/// call, the reason says it.
std::string Engine::with_attributes(std::string reason, const sources::QueuedChange& change, const std::string& part) {
  const auto values = values_in(part);
  if (change.kind != ChangeKind::run_update || (!values && !part.empty())) return reason;
  const auto attributes = wire::attributes_of(values ? wire::with_values(change.payload, *values) : change.payload);
  if (attributes.empty()) return reason;
  if (reason.ends_with('.')) reason.pop_back();
  return fmt::format("{} (of {})", reason, attributes);
}

/// Some changes up to a position, on record as rejected.
void Engine::note_rejected(Feed& feed, const std::string& code, sources::Position last, std::uint64_t count) {
  const auto& project = feed.info.container->project;
  counts_[project].rejected += count;
  counts_[project].kept += count;
  metrics_.rejections[{project, code}] += count;
  feed.rejected += count;
  feed.kept += count;
  note_recorded(feed, last);
}

/// What is on record may be taken out of its source.
void Engine::note_recorded(Feed& feed, sources::Position upto) {
  feed.recorded = std::max(feed.recorded, upto);
  feed.take_out_wanted = feed.refresh_wanted = true;
}

asio::awaitable<void> Engine::record(FeedPtr feed, core::Reject reject) {
  if (feed->replayed) co_return co_await record_again(feed, std::move(reject));
  core::Refusal refusal{reject.position, std::move(reject.code), std::move(reject.reason), std::move(reject.part)};
  auto change = co_await rejected_change(feed, std::move(refusal), clock_.wall());
  if (!change) {
    // Without its bytes it must not count as dealt with.
    start_over(feed, change.error());
    pump();
    co_return;
  }
  auto rejection = change->rejection;
  auto keep = [id = feed->ledger_id, change = std::move(*change)](Ledger& ledger) {
    return ledger.reject(id, change.rejection, change.payload);
  };
  const auto recorded = co_await with_ledger(std::move(keep));
  if (!recorded) {
    not_recorded(feed, recorded.error());
    pump();
    co_return;
  }
  rejection.id = *recorded;
  note_rejected(*feed, rejection.code, rejection.position, 1);
  tell_rejected(*feed->info.container, rejection);
}

/// One that had been rejected was tried again, and is refused once more.
asio::awaitable<void> Engine::record_again(FeedPtr feed, core::Reject reject) {
  const auto source = feed->source;
  const auto change = co_await outcome(source->changes(reject.position, reject.position));
  if (change) {
    // Refused whole again: that is what was sent of it.
    if (reject.part.empty()) reject.part = change->front().part;
    reject.reason = with_attributes(std::move(reject.reason), change->front(), reject.part);
  }
  const auto id = feed->replayed->at(static_cast<std::size_t>(reject.position - 1));
  auto again = [id, reject, now = clock_.wall()](Ledger& ledger) {
    return ledger.reject_again(id, reject.code, reject.reason, reject.part, now);
  };
  auto recorded = co_await with_ledger(std::move(again));
  if (!recorded) {
    not_recorded(feed, recorded.error());
    pump();
    co_return;
  }
  note_recorded(*feed, reject.position);
  Rejection rejection;
  rejection.id = id;
  rejection.position = reject.position;
  rejection.code = std::move(reject.code);
  rejection.reason = std::move(reject.reason);
  tell_rejected(*feed->info.container, rejection);
}

void Engine::tell_rejected(const ContainerName& container, const Rejection& rejection) {
  spdlog::warn("rejected container={:?} position={} code={} reason={:?}", container.label(), rejection.position,
               rejection.code, rejection.reason);
  events_.add("rejected",
              fmt::format("{} was refused: {}{} It is kept: `neptune-sync rejected show {}`.", changes_of(1, container),
                          rejection.reason, rejection.reason.ends_with('.') ? "" : ".", rejection.id),
              {.scope = Scope::of(container.project).text(), .stream = container.label(), .count = 1});
}

/// Takes what is on record out of the source. Whatever stays (a read-only log, a full disk) is covered by the record.
asio::awaitable<void> Engine::take_out(FeedPtr feed) {
  if (!feed->source || feed->replayed || feed->gone || feed->taken_out >= feed->recorded) co_return;
  const auto upto = feed->recorded;
  const auto source = feed->source;
  feed->released = false;
  auto settled = co_await outcome(source->settle(upto));
  if (settled && *settled) {
    feed->taken_out = upto;
    if (const auto log = feed->log.lock()) {
      log->refresh_wanted = true;  // it may be rid of the last file that kept it
      tend(log);
    }
  } else if (settled ? !feed->info.read_only : settled.error().retryable) {
    // The disk is full: nothing tells when it has room again. Where it is the daemon's own, there is the reserve.
    const bool own = feed->info.kind == sources::Kind::change_queue;
    if (own && free_space(state_dir_.path()).value_or(StateDir::left_beside) < StateDir::left_beside)
      co_await give_back_reserve();
    feed->take_out_again = true;
    alarms_.set({Alarm::Of::tend, feed->info.key}, clock_.now() + (settled ? 5s : 1s));
    rearm();
  } else if (!settled) {
    spdlog::warn("rows stay in their log path={:?} error={:?}", feed->info.key.path, settled.error().message);
  }
}

FinishedSource Engine::end_of(const Feed& feed, WallTime now) {
  return {feed.ledger_id, feed.info.key.path, *feed.info.container, feed.synced, feed.rejected,
          feed.kept,      feed.lost,          feed.synced_at,       now,         feed.moved};
}

/// Of a log, with its files.
void Engine::tell_of_end(const Feed& feed) {
  const auto kept = feed.kept + (feed.files ? feed.files->kept : 0);
  const auto moved = moved_of(feed).count;
  events_.add(
      "source_gone",
      fmt::format("{} is gone; all of it that was known is synced{}{}", feed.info.key.path,
                  kept > 0 ? fmt::format(", but for {} rejected", number_of(kept, "change")) : "",
                  moved > 0 ? fmt::format(", but for {} moved to another machine", number_of(moved, "change")) : ""),
      {.scope = Scope::of(feed.info.container->project).text(), .stream = feed.info.container->label()});
}

/// The source is gone and all that was known of it is on record.
asio::awaitable<void> Engine::finish(FeedPtr feed) {
  if (std::exchange(feed->finished, true)) co_return;
  const auto now = clock_.wall();
  const auto there = feeds_.find(feed->info.key);
  const bool came_back = there != feeds_.end() && there->second != feed;
  if (feed->ledger_id != 0 && !feed->replayed && !feed->unwatched && !came_back) {
    const bool may_come_back = feed->info.kind == sources::Kind::client_dir;
    auto done = [id = feed->ledger_id, lost = feed->lost, now, may_come_back](Ledger& ledger) {
      return ledger.finish(id, lost, now, may_come_back);
    };
    auto recorded = co_await with_ledger(std::move(done));
    if (!recorded) spdlog::warn("not recorded path={:?} error={:?}", feed->info.key.path, recorded.error().message);
    finished_.push_back(end_of(*feed, now));
    if (finished_.size() > Ledger::finished_kept) finished_.pop_front();
    if (feed->lost.changes == 0 && feed->info.kind != sources::Kind::change_queue && !feed->info.key.files)
      tell_of_end(*feed);
  }
  const auto it = feeds_.find(feed->info.key);
  if (it != feeds_.end() && it->second == feed) {
    feeds_.erase(it);
    for (const auto of : {Alarm::Of::release, Alarm::Of::tidy, Alarm::Of::retry, Alarm::Of::tend})
      alarms_.cancel({of, feed->info.key});
  }
  wake_what_came_back(feed->info.key);
}

}  // namespace neptune::engine
