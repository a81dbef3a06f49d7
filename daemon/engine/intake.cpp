// What is handed in over the socket.
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

constexpr std::size_t lookups_at_once = 4;        // our own bound; later changes ask for what was passed over
constexpr std::size_t follow_ups_kept = 100'000;  // our own bound
constexpr std::size_t versions_kept = 10'000;     // likewise

}  // namespace

WorkspaceType Engine::workspace_type(std::string_view workspace) const {
  return workspace_types_.of(workspace);
}

asio::awaitable<void> Engine::learn_type(std::string workspace) {
  auto& slot = servers_.at(server_of(workspace)).slot;
  if (const auto server = slot.server) {
    auto type = co_await outcome(server->workspace_type(workspace));
    if (type && workspace_types_.told(workspace, *type, clock_.now())) {
      const KeptWorkspace kept{server->url(), workspace, *type};
      auto keep = [kept](Ledger& ledger) { return ledger.keep(kept); };
      if (const auto done = co_await with_ledger(std::move(keep)); !done)
        spdlog::warn("not recorded workspace={:?} error={:?}", workspace, done.error().message);
    }
  }
  learning_types_.erase(workspace);
}

asio::awaitable<Accepted> Engine::accept(std::vector<Change> changes, Submitter by) {
  if (draining_) co_return fail("draining", "the daemon stops; hand the changes in again when it runs", true);
  if (!queue_) co_return std::unexpected(queue_problem_);
  // The reserve was given back for what is to be recorded, not for what comes in.
  if (disk_full_) co_await look_for_room();
  if (disk_full_) co_return std::unexpected(sources::ChangeQueue::disk_full(state_dir_.path()));
  std::vector<Copy> copies;
  auto ids = co_await take(std::move(changes), by, copies);
  if (!ids && ids.error().code == "disk_full") co_await look_for_room();  // for the next one
  if (ids) spdlog::debug("accepted changes={} uid={}", ids->size(), by.uid);
  for (const auto& copy : copies) {
    auto file = source_file(copy.upload, by.uid);
    co_await delete_own_file(std::move(file), std::nullopt);
  }
  co_return ids;
}

/// `copies`: at the end, those that no change needs.
asio::awaitable<Accepted> Engine::take(std::vector<Change> changes, Submitter by, std::vector<Copy>& copies) {
  std::vector<std::pair<std::size_t, Change>> discarding;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    auto& change = changes[i];
    const auto& workspace = change.container.project.workspace;
    if (!is_ingested(change.kind) && workspace_types_.is_due(workspace, clock_.now()) &&
        learning_types_.size() < lookups_at_once && learning_types_.insert(workspace).second)
      tasks_.spawn("workspace type", learn_type(workspace));
    if (change.kind == ChangeKind::run_upload) {
      auto copy = co_await admit(change, by);
      if (!copy) co_return std::unexpected(NotTaken(std::move(copy.error()), i));
      if (*copy) copies.push_back({i, std::move(**copy)});
    }
    if (change.container.kind != ContainerKind::removals) continue;
    // One that comes again was let in when it came first: what was written since is not what it removes.
    Result<bool> known = false;
    if (!change.idempotency_key.empty()) known = co_await outcome(queue_->knows(by.uid, change.idempotency_key));
    if (!known) co_return std::unexpected(known.error());
    if (!*known)
      if (auto clear = may_make_way(change); !clear) co_return std::unexpected(NotTaken(std::move(clear.error()), i));
    if (change.discard_pending) discarding.emplace_back(i, change);
  }
  auto taken = co_await queue_->accept(std::move(changes), by);
  if (!taken) co_return std::unexpected(std::move(taken.error()));
  // One that was handed in twice at once, under one key, was copied twice.
  std::erase_if(copies, [&known = taken->known](const Copy& copy) { return !known[copy.change]; });
  // Only what was accepted discards anything; one that comes again goes on with that where it was cut short.
  for (auto& [i, removal] : discarding) co_await make_way(std::move(removal), taken->ids[i], by);
  co_return std::move(taken->ids);
}

/// Of uploads before a restart it is not known any more.
void Engine::follow_up(std::int64_t upload, std::int64_t reference) {
  follow_ups_[upload] = reference;
  if (follow_ups_.size() > follow_ups_kept) follow_ups_.erase(follow_ups_.begin());
}

/// It has no name until then, and whoever created it needs that to log to it. Not known any more after a restart.
void Engine::version_was_made(const ModelVersionCreate& create, sources::Position position,
                              const std::string& short_id) {
  versions_made_[position] = short_id;
  if (versions_made_.size() > versions_kept) versions_made_.erase(versions_made_.begin());
  events_.add("version_created",
              fmt::format("{} of {} was created, a version of model {} (change {})", short_id, create.project.full(),
                          create.model, position),
              {.scope = create.project.full()});
}

/// An upload is done when its file is assigned to the attribute, which is a change of its own.
asio::awaitable<Result<api::ChangePlace>> Engine::change(std::int64_t id) {
  auto place = co_await place_of(id);
  if (!place || place->state != "done") co_return place;
  if (const auto follows = follow_ups_.find(id); follows != follow_ups_.end()) {
    auto assigned = co_await place_of(follows->second);
    if (assigned && assigned->state != "done") assigned->id = id;
    if (!assigned || assigned->state != "done") co_return assigned;
    follow_ups_.erase(id);
  }
  if (const auto later = follow_ups_.upper_bound(id); later != follow_ups_.end())
    place->done_through = std::min(place->done_through, later->first - 1);
  if (const auto made = versions_made_.find(id); made != versions_made_.end()) place->made = made->second;
  co_return place;
}

namespace {

api::ChangePlace moved_change(std::int64_t id, const sources::QueueStore::Place::Moved& moved) {
  api::ChangePlace answer;
  answer.id = answer.done_through = id;
  answer.state = "moved";
  answer.why = fmt::format("it was moved to another machine in {}, which sends it", moved.file);
  answer.moved_at = format_time(moved.at);
  answer.moved_to = moved.file;
  return answer;
}

}  // namespace

asio::awaitable<Result<api::ChangePlace>> Engine::place_of(std::int64_t id) {
  if (!queue_) co_return std::unexpected(queue_problem_);
  const auto place = co_await queue_->place(id);
  if (!place) co_return std::unexpected(place.error());
  if (!place->known)
    co_return fail("unknown_change", fmt::format("No change {} was handed in over the socket here.", id));
  if (place->moved && place->moved->back) {
    auto back = co_await change(*place->moved->back);
    if (back) back->id = back->done_through = id;
    co_return back;
  }
  if (place->moved) co_return moved_change(id, *place->moved);
  if (!place->queued) co_return co_await recorded_change(id, place->through, place->gap);
  api::ChangePlace answer;
  answer.id = id;
  answer.state = "waiting";
  const auto& container = place->container;
  sources::SourceKey key;
  key.device = queue_->identity();
  key.path = sources::queue_path(container, place->lane);
  const auto at = feeds_.find(key);
  if (at != feeds_.end()) {
    const auto& feed = *at->second;
    if (id <= feed.recorded) co_return co_await recorded_change(id, id);
    const auto stream = describe(feed);
    if (id <= feed.confirmed || place->ahead < stream.in_flight) {
      answer.state = "sent";
    } else if (stream.held > 0) {
      answer.state = "held";
    }
    answer.source = feed.info.key.path;
    answer.why = stream.why;
    const auto of_change = [&feed, id](const ActiveUpload& upload) {
      return upload.feed == &feed && upload.position == id;
    };
    answer.active_uploads = uploads(of_change);
  }
  answer.project = Scope::of(container.project).text();
  answer.container_type = name(container.kind);
  answer.container = container.id;
  answer.kind = name(place->kind);
  answer.accepted_at = format_time(place->at);
  answer.uid = place->uid;
  answer.ahead = place->ahead;
  co_return answer;
}

namespace {

/// What is on record of changes that are not on the server, from one on.
struct NotThere {
  std::optional<Rejection> rejected;
  std::optional<Discarded> discarded;
  sources::Position forgotten = 0;
};

Result<NotThere> not_there(Ledger& ledger, std::uint64_t queue, sources::Position from) {
  auto rejected = ledger.next_rejection(queue, from);
  if (!rejected) return std::unexpected(std::move(rejected.error()));
  auto discarded = ledger.next_discarded(queue, from);
  if (!discarded) return std::unexpected(std::move(discarded.error()));
  const auto forgotten = ledger.forgotten(queue);
  if (!forgotten) return std::unexpected(forgotten.error());
  return NotThere{std::move(*rejected), std::move(*discarded), *forgotten};
}

}  // namespace

/// What became of one whose outcome is on record, as it is of all up to `through`.
asio::awaitable<Result<api::ChangePlace>> Engine::recorded_change(std::int64_t id, std::int64_t through,
                                                                  std::optional<sources::QueueGap> gap) {
  const auto queue = gap ? gap->queue : queue_->identity();
  auto look = [queue, id](Ledger& ledger) { return not_there(ledger, queue, id); };
  const auto found = co_await with_ledger(std::move(look));
  if (!found) co_return std::unexpected(found.error());
  const auto& [rejected, discarded, forgotten] = *found;
  api::ChangePlace answer;
  answer.id = answer.done_through = id;
  if (rejected && rejected->position == id) {
    answer.state = "rejected";
    answer.rejected = rejected->id;
    answer.why = rejected->reason;
  } else if (discarded && discarded->position == id) {
    answer.state = "discarded";
    answer.rejected = discarded->rejection;
    answer.why = discarded->reason;
    answer.discarded_at = format_time(discarded->at);
    answer.discarded_by = discarded->by;
  } else if (id <= forgotten) {
    answer.state = "unknown";
  } else {
    answer.state = "done";
    answer.done_through = through;
    if (gap) answer = place_in_gap(id, *gap);
    if (rejected) answer.done_through = std::min(answer.done_through, rejected->position - 1);
    if (discarded) answer.done_through = std::min(answer.done_through, discarded->position - 1);
  }
  co_return answer;
}

}  // namespace neptune::engine
