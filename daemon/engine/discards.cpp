// What is thrown away of what waits: because somebody says so, or to make way for a removal.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "engine/engine.h"
#include "engine/impl/for_people.h"
#include "engine/impl/outcome.h"
#include "engine/impl/with_ledger.h"
#include "support/pause.h"
#include "support/sizes.h"
#include "support/spelling.h"
#include "support/users.h"

namespace neptune::engine {

namespace asio = boost::asio;

namespace {

// Our own bounds on what is thrown away in one transaction: it is in memory meanwhile.
constexpr std::uint64_t discards_at_once = 10'000;
constexpr std::uint64_t discard_bytes_at_once = 16u << 20;
constexpr int tries_to_discard = 20;
constexpr std::chrono::milliseconds between_tries{100};

std::string name_of(const Submitter& by) {
  return by.name.empty() ? fmt::format("uid {}", by.uid) : by.name;
}

}  // namespace

/// The streams with writes to what a removal removes that are held, or go nowhere.
std::vector<Engine::Target> Engine::stuck_targets(const Change& removal) const {
  std::set<core::StreamId> meant;
  for (const auto& name : removal.after) {
    const bool everything = name.kind == ContainerKind::management && name.id == everything_in_project;
    const auto ids = everything ? core_.streams_for(name.project) : core_.streams_for(name);
    meant.insert(ids.begin(), ids.end());
  }
  std::vector<Target> targets;
  for (const auto id : meant) {
    const auto feed = feed_of(id);
    if (!feed || feed->replayed) continue;
    const auto view = core_.stream(id, clock_.now());
    const auto& container = *feed->info.container;
    auto held = view.tally.held;
    // A file that is being sent when its scope closes is held as soon as its chunk is there.
    if (container.kind == ContainerKind::files && !core_.is_open(container.project)) held += view.tally.in_flight;
    if (held > 0 || view.barred) targets.push_back({feed, held});
  }
  return targets;
}

namespace {

/// For a sentence: "run-7", "the project's management".
std::string in_words(const ContainerName& container) {
  if (container.kind != ContainerKind::management || !container.id.empty()) return container.label();
  return "the project's management";
}

}  // namespace

/// Held writes to what is removed stand in the way, unless they may be discarded.
Result<void> Engine::may_make_way(const Change& removal) const {
  for (const auto& [feed, held] : stuck_targets(removal)) {
    if (held == 0) continue;
    const bool queued = feed->info.kind == sources::Kind::change_queue;
    if (removal.discard_pending && queued) continue;
    return fail(
        "held_writes",
        fmt::format(
            "{} to {} {} held; {} would go before {}. {}", number_of(held, "write"), in_words(*feed->info.container),
            held == 1 ? "is" : "are", name(removal.kind), held == 1 ? "it" : "them",
            queued
                ? fmt::format("Hand it in again with --discard-pending (in JSON: \"discard_pending\": true) to throw "
                              "{0} away ({1} kept as rejected), or wait until {1} synced.",
                              held == 1 ? "it" : "them", held == 1 ? "it is" : "they are")
                : fmt::format("{0} in the run log {1}: wait until {2} synced, or remove the log.",
                              held == 1 ? "It is" : "They are", feed->info.key.path,
                              held == 1 ? "it is" : "they are")));
  }
  return {};
}

/// Of a create that passed the writes before it.
bool Engine::is_passed(const Feed& feed) {
  return feed.info.kind == sources::Kind::change_queue &&
         feed.info.key.path == sources::queue_path(*feed.info.container, sources::Lane::passed);
}

/// A create that passed writes is not thrown away before them: what of them cannot be now needs it.
bool Engine::writes_stay(const Feed& passed) const {
  if (!is_passed(passed)) return false;
  const auto writes = lane_of(passed, sources::Lane::writes);
  return writes && (writes->stream == 0 || !writes->last_looked ||
                    core_.stream(writes->stream, clock_.now()).tally.changes() > 0);
}

/// Another stream of the queue for the same container; null when there is none.
Engine::FeedPtr Engine::lane_of(const Feed& feed, sources::Lane lane) const {
  auto key = feed.info.key;
  key.path = sources::queue_path(*feed.info.container, lane);
  const auto found = feeds_.find(key);
  return found == feeds_.end() ? nullptr : found->second;
}

/// Throws away the writes to what a removal removes that were accepted before it and are held, or go nowhere. It waits
/// for them until they are on record as rejected. For what cannot be thrown away now, for what comes to be held later,
/// and after a restart in the middle of it, the core asks for it again (core::MakeWay): that it was to throw writes
/// away is kept with the removal.
asio::awaitable<void> Engine::make_way(Change removal, sources::Position position, Submitter by) {
  if (!making_way_.insert(position).second) co_return;
  struct Done {
    std::set<sources::Position>& making_way;
    sources::Position position;
    ~Done() { making_way.erase(position); }
  };
  const Done done{making_way_, position};
  const auto who = name_of(by);
  auto targets = stuck_targets(removal);
  std::ranges::stable_partition(targets, [](const Target& target) { return !is_passed(*target.feed); });
  for (const auto& [feed, held] : targets) {
    if (feed->info.kind != sources::Kind::change_queue || writes_stay(*feed)) continue;
    ToDiscard what{position, std::nullopt, fmt::format("discarded by {} with {}", who, name(removal.kind))};
    const auto discarded = co_await discard(feed, std::move(what));
    if (!discarded)
      spdlog::warn("not discarded yet container={:?} before={} error={:?}", feed->info.container->label(), position,
                   discarded.error().message);
  }
}

/// For a removal that was accepted before, maybe by an earlier process.
asio::awaitable<void> Engine::make_way_for(core::MakeWay way) {
  const auto feed = feed_of(way.stream);
  if (making_way_.contains(way.position)) {
    co_await pause(between_tries);
  } else if (feed && feed->source && feed->backlog.ticket == way.position) {
    Change removal;
    removal.after = feed->backlog.after;
    const auto source = feed->source;
    const auto found = co_await outcome(source->changes(way.position, way.position));
    if (found) {
      removal.kind = found->front().kind;
      Submitter by{found->front().uid.value_or(0)};
      auto ask = [uid = by.uid] { return user_name(uid); };
      by.name = (co_await file_threads_.run(std::move(ask))).value_or("");
      co_await make_way(std::move(removal), way.position, std::move(by));
    }
  }
  core_.way_made(way.stream, clock_.now());
  pump();
}

/// The first changes that wait in a stream of the queue and are to be thrown away, with their bytes.
asio::awaitable<Result<std::vector<sources::QueuedChange>>> Engine::first_waiting(FeedPtr feed, ToDiscard what) {
  const auto stays = [&what](const sources::QueuedChange& change) {
    return change.place >= what.before || (what.of_uid && change.uid != what.of_uid);
  };
  std::vector<sources::QueuedChange> found;
  const auto source = feed->source;
  auto after = feed->confirmed;
  std::uint64_t bytes = 0;
  while (found.size() < discards_at_once && bytes < discard_bytes_at_once) {
    const sources::BatchLimits limits{discards_at_once - found.size(), discard_bytes_at_once - bytes};
    const auto batch = co_await outcome(source->next_batch(after, limits));
    if (!batch) co_return std::unexpected(batch.error());
    const auto* next = std::get_if<sources::Batch>(&*batch);
    if (!next) break;
    auto changes = co_await outcome(source->changes(next->first, next->last));
    if (!changes) co_return std::unexpected(std::move(changes.error()));
    const auto end = std::ranges::find_if(*changes, stays);
    std::move(changes->begin(), end, std::back_inserter(found));
    if (end != changes->end()) break;
    bytes += next->payload_bytes;
    after = next->last;
  }
  co_return found;
}

/// Records what waits in a stream of the queue as rejected, then lets go of it, each piece as a whole; how many.
asio::awaitable<Result<std::uint64_t>> Engine::discard(FeedPtr feed, ToDiscard what) {
  const auto stream = feed->stream;
  const auto label = feed->info.container->label();
  if (std::exchange(feed->discarding, true))
    co_return fail("held_writes", fmt::format("the writes to {} are just being thrown away; try again", label), true);
  core_.pause(stream, true, clock_.now());
  if (feed->info.container->kind == ContainerKind::files) {
    // Not for what stays anyway, such as others' files.
    const auto wanted = co_await first_waiting(feed, what);
    if (wanted && !wanted->empty()) co_await call_off(feed);
  }
  std::uint64_t count = 0;
  Result<PieceDiscarded> piece;
  do {
    if (core_.stream(stream, clock_.now()).wait != core::Wait::paused)
      piece = fail("held_writes", fmt::format("a write to {} is just being sent; try again", label), true);
    else
      piece = co_await discard_piece(feed, what);
    if (piece) count += piece->count;
  } while (piece && piece->came_further && feed->stream == stream);
  feed->discarding = false;
  if (feed->stream == stream) core_.pause(stream, false, clock_.now());
  feed->refresh_wanted = true;
  tend(feed);
  pump();
  if (!piece) co_return std::unexpected(std::move(piece.error()));
  if (count == 0) co_return 0;
  spdlog::info("discarded changes={} container={:?} reason={:?}", count, label, what.reason);
  events_.add("rejected",
              fmt::format("{} {} {}; `neptune-sync rejected` lists {}.", changes_of(count, *feed->info.container),
                          count == 1 ? "was" : "were", what.reason, count == 1 ? "it" : "them"),
              {.scope = Scope::of(feed->info.container->project).text(), .stream = label, .count = count});
  co_return count;
}

asio::awaitable<Result<Engine::PieceDiscarded>> Engine::discard_piece(FeedPtr feed, ToDiscard what) {
  const auto stream = feed->stream;
  auto waiting = co_await first_waiting(feed, what);
  if (!waiting) co_return std::unexpected(std::move(waiting.error()));
  if (waiting->empty()) co_return PieceDiscarded{};
  // A file that is there and assigned, behind one that is not, is done.
  const auto is_done = [&feed](const sources::QueuedChange& change) {
    return feed->uploading && feed->uploading->told.contains(change.position);
  };
  const auto done = std::ranges::find_if(*waiting, is_done);
  if (done == waiting->begin()) {
    const auto end = std::ranges::find_if_not(*waiting, is_done);
    const auto settled = static_cast<std::uint64_t>(end - done);
    const auto last = std::prev(end)->position;
    carry_out(core::Settle{stream, last, settled, false});
    core_.discard(stream, last, settled, clock_.now());
    co_return PieceDiscarded{0, true};
  }
  waiting->erase(done, waiting->end());
  const auto last = waiting->back().position;
  const auto count = waiting->size();
  std::vector<RejectedChange> discarded;
  for (auto& change : *waiting)
    discarded.push_back({rejection_of(*feed, change, std::string(api::discarded_code), what.reason, clock_.wall()),
                         std::move(change.payload)});
  auto keep = [id = feed->ledger_id, discarded = std::move(discarded)](Ledger& ledger) {
    return ledger.reject_all(id, discarded);
  };
  const auto recorded = co_await with_ledger(std::move(keep));
  if (!recorded || feed->stream != stream)
    co_return fail(
        "not_recorded",
        fmt::format("the writes to {} could not be recorded as rejected; try again", feed->info.container->label()),
        true);
  note_rejected(*feed, std::string(api::discarded_code), last, count);
  feed->confirmed = last;
  core_.discard(stream, last, count, clock_.now());
  co_return PieceDiscarded{count, true};
}

bool Engine::means(const DiscardRequest& request, const ContainerName& container) {
  const bool of_runs = container.kind == ContainerKind::run || container.kind == ContainerKind::files;
  const bool of_models = container.kind == ContainerKind::model || container.kind == ContainerKind::model_version;
  return request.scope.covers(container.project) && (!request.run || (of_runs && container.id == *request.run)) &&
         (!request.model || (of_models && container.id == *request.model));
}

/// The streams with something that waits and may be meant, run logs among them.
std::vector<Engine::FeedPtr> Engine::waiting_in(const DiscardRequest& request) const {
  std::vector<FeedPtr> list;
  for (const auto& [id, feed] : streams_) {
    const bool meant = means(request, *feed->info.container);
    if (meant && !feed->replayed && core_.stream(id, clock_.now()).tally.changes() > 0) list.push_back(feed);
  }
  return list;
}

/// What was lost with logs that were removed.
std::vector<FinishedSource> Engine::lost_in(const DiscardRequest& request) const {
  std::vector<FinishedSource> list;
  for (const auto& finished : finished_)
    if (means(request, finished.container) && is_lost(finished)) list.push_back(finished);
  return list;
}

/// How many changes are told as lost no more.
asio::awaitable<Result<std::uint64_t>> Engine::give_up_lost(DiscardRequest request) {
  // A log that cannot be seen is as good as removed for who gives it up.
  std::vector<UnsyncedLog> not_to_be_seen;
  std::erase_if(unseen_, [&request, &not_to_be_seen](const Unseen& one) {
    if (!means(request, one.log.end.container)) return false;
    not_to_be_seen.push_back(one.log);
    return true;
  });
  for (const auto& log : not_to_be_seen) co_await tell_removed(log);
  const auto lost = lost_in(request);
  if (lost.empty()) co_return 0;
  auto give_up = [lost](Ledger& ledger) { return ledger.give_up(lost); };
  const auto recorded = co_await with_ledger(std::move(give_up));
  if (!recorded) co_return std::unexpected(recorded.error());
  std::uint64_t count = 0;
  for (const auto& each : lost) {
    const auto known = std::ranges::find(finished_, each.id, &FinishedSource::id);
    if (known != finished_.end()) known->rejected += std::exchange(known->lost, {}).changes;
    counts_[each.container.project].rejected += each.lost.changes;
    metrics_.rejections[{each.container.project, std::string(api::discarded_code)}] += each.lost.changes;
    count += each.lost.changes;
    const auto label = each.container.label();
    spdlog::info("given up changes={} container={:?} path={:?} by={:?}", each.lost.changes, label, each.path,
                 name_of(request.by));
    events_.add(
        "rejected",
        fmt::format("{} of {} that had been lost with {} {} given up by {}.", number_of(each.lost.changes, "change"),
                    label, each.path, each.lost.changes == 1 ? "was" : "were", name_of(request.by)),
        {.scope = Scope::of(each.container.project).text(), .stream = label, .count = each.lost.changes});
  }
  co_return count;
}

/// Where nothing was ever known here of what is meant, as of a name that was mistyped.
std::optional<Error> Engine::nothing_known(const DiscardRequest& request) const {
  const auto scope = request.scope.text();
  const auto of_scope = if_unknown(
      request.scope, fmt::format("Nothing is known of {}: no change of it was found, or came over the socket.", scope));
  if (!of_scope.empty()) return Error{"unknown_scope", of_scope.substr(of_scope.find_first_not_of(' '))};
  if (!request.run && !request.model) return std::nullopt;
  const auto& wanted = request.run ? *request.run : *request.model;
  std::set<std::string> known;
  const auto add = [&known, &request](const ContainerName& container) {
    auto of_it = request;
    (request.run ? of_it.run : of_it.model) = container.id;
    if (means(of_it, container)) known.insert(container.id);
  };
  for (const auto& [key, feed] : feeds_)
    if (feed->info.container) add(*feed->info.container);
  for (const auto& finished : finished_) add(finished.container);
  if (known.contains(wanted)) return std::nullopt;
  const auto near = closest(wanted, {known.begin(), known.end()});
  const auto* const kind = request.run ? "run" : "model";
  return Error{fmt::format("unknown_{}", kind),
               fmt::format("{} has no {} {} here: no change of it was found, or came over the socket.{}", scope, kind,
                           wanted, near.empty() ? "" : " Did you mean " + near + "?")};
}

namespace {

/// What is waited for and given up no more, in sentences.
std::string gone(const api::DiscardReply& reply, const std::string& what, const std::optional<std::string>& run) {
  if (reply.discarded + reply.lost == 0) return fmt::format("Nothing of {} was thrown away.", what);
  std::string text;
  if (reply.discarded > 0)
    text = fmt::format(
        "{} of {} {} thrown away, and kept as rejected: `neptune-sync rejected discard --project {}{}` drops that for "
        "good, `neptune-sync rejected retry` sends it after all.",
        number_of(reply.discarded, "change"), what, reply.discarded == 1 ? "was" : "were", reply.scope,
        run ? " --run " + *run : "");
  if (reply.lost > 0)
    text += fmt::format("{}{} of {} that {} lost with what was removed {} given up: told no more.",
                        text.empty() ? "" : " ", number_of(reply.lost, "change"), what,
                        reply.lost == 1 ? "was" : "were", reply.lost == 1 ? "is" : "are");
  return text;
}

/// What waits and stays, and why.
std::string stays(std::uint64_t left, const std::string& trouble, bool everybodys) {
  return fmt::format(" {} still: {}.", number_of(left, "change") + (left == 1 ? " waits" : " wait"),
                     !trouble.empty() ? trouble
                     : everybodys     ? "in run logs, which are their owners' to remove, or handed in meanwhile"
                                      : "in run logs, or handed in by others, or behind what others handed in");
}

}  // namespace

/// What is meant and is set aside: it cannot be read, and so not be kept as rejected.
Engine::Aside Engine::aside_in(const DiscardRequest& request) const {
  Aside aside;
  for (const auto& [key, feed] : feeds_) {
    const auto& problem = feed->problem ? feed->problem : feed->info.problem;
    if (!problem || feed->stream != 0 || !feed->info.container || !means(request, *feed->info.container)) continue;
    aside.count += std::max(feed->backlog.count, feed->unread_count);
    if (aside.problem.empty()) aside.problem = problem->message;
  }
  return aside;
}

asio::awaitable<Result<api::DiscardReply>> Engine::discard_waiting(DiscardRequest request) {
  const auto what = request.run     ? fmt::format("run {} of {}", *request.run, request.scope.text())
                    : request.model ? fmt::format("model {} of {}", *request.model, request.scope.text())
                                    : request.scope.text();
  const auto who = name_of(request.by);
  api::DiscardReply reply;
  reply.scope = request.scope.text();
  std::string trouble;
  auto feeds = waiting_in(request);
  std::ranges::stable_partition(feeds, [](const FeedPtr& feed) { return !is_passed(*feed); });
  for (const auto& feed : feeds) {
    if (feed->info.kind != sources::Kind::change_queue || feed->stream == 0 || writes_stay(*feed)) continue;
    // What comes meanwhile is not meant.
    ToDiscard discarding{feed->backlog.last + 1, std::nullopt, "discarded by " + who};
    if (!request.everybodys) discarding.of_uid = request.by.uid;
    auto discarded = co_await discard(feed, discarding);
    // What is being sent comes back within moments, or is on its way.
    for (int tries = 0; tries < tries_to_discard && !discarded && discarded.error().retryable; ++tries) {
      co_await pause(between_tries);
      discarded = co_await discard(feed, discarding);
    }
    if (discarded) reply.discarded += *discarded;
    if (!discarded) trouble = discarded.error().message;
  }
  Result<std::uint64_t> lost = 0;
  if (request.everybodys) lost = co_await give_up_lost(request);
  if (!lost) co_return std::unexpected(lost.error());
  reply.lost = *lost;
  for (const auto& feed : waiting_in(request)) reply.left += core_.stream(feed->stream, clock_.now()).tally.changes();
  if (reply.discarded + reply.lost + reply.left == 0 && lost_in(request).empty()) {
    if (auto unknown = nothing_known(request)) co_return std::unexpected(std::move(*unknown));
  }
  const auto aside = aside_in(request);
  reply.message = gone(reply, what, request.run);
  if (reply.left > 0) reply.message += stays(reply.left, trouble, request.everybodys);
  if (aside.count == 0 && !aside.problem.empty())
    reply.message += fmt::format(" What is set aside stays: {}.", aside.problem);
  if (aside.count > 0)
    reply.message += fmt::format(" {} in what is set aside, and {}: {}.",
                                 number_of(aside.count, "change") + (aside.count == 1 ? " waits" : " wait"),
                                 aside.count == 1 ? "stays" : "stay", aside.problem);
  reply.left += aside.count;
  if (reply.discarded + reply.lost + reply.left == 0 && aside.problem.empty())
    reply.message += !lost_in(request).empty()
                         ? " What was lost of it with a removed log is for operators, and the workspace's allow_users, "
                           "to give up."
                         : " Nothing of it waits.";
  co_return reply;
}

}  // namespace neptune::engine
