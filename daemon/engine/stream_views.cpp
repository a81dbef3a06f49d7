// What people are told of streams: what waits, where, and why; and of what was sent, or went otherwise.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>

#include "engine/engine.h"
#include "engine/impl/views.h"
#include "engine/impl/why.h"

namespace neptune::engine {

using core::Wait;
using sources::SourceState;

namespace {

constexpr const char* state_name(Wait wait) {
  switch (wait) {
    case Wait::nothing:
      return "idle";
    case Wait::sending:
      return "sending";
    case Wait::unconfirmed:
      return "unconfirmed";
    case Wait::retry:
    case Wait::server:
    case Wait::paused:
      return "blocked";
    case Wait::workspace_mode:
    case Wait::project_mode:
    case Wait::workspace_held:
    case Wait::project_held:
      return "held";
    case Wait::turn:
    case Wait::counting:
    case Wait::earlier_source:
    case Wait::parent:
    case Wait::discovery:
    case Wait::project:
    case Wait::earlier_change:
    case Wait::ramp:
      break;
  }
  return "waiting";
}

constexpr std::chrono::seconds silence_told{10};

}  // namespace

std::string Engine::rfc3339(Instant at) const {
  return format_time(clock_.wall() + std::chrono::duration_cast<WallTime::duration>(at - clock_.now()));
}

std::string Engine::why(const Feed& feed, const core::StreamView& view) const {
  Waiting waiting{.wait = view.wait, .container = view.spec->container, .kind = feed.info.kind};
  waiting.left_to_client = feed.info.state == SourceState::left_to_client;
  if (feed.unread) waiting.unread = feed.unread->why;
  if (feed.backlog.fork_parent) waiting.fork_parent = *feed.backlog.fork_parent;
  waiting.trouble = view.trouble.text;
  const auto& slot = servers_.at(server_of(waiting.container.project.workspace)).slot;
  waiting.lacks_token = slot.lacks_token();
  waiting.cannot_ask = slot.is_unusable();
  waiting.when = in_seconds(view.until, clock_.now());
  if (view.wait == Wait::sending) waiting.unanswered = unanswered(feed);
  if (core::is_held(view.wait)) waiting.closed = closed(Scope::of(waiting.container.project));
  return engine::why(waiting);
}

/// How long the server has had nothing to say to what is being sent. A file takes its time.
std::optional<std::chrono::seconds> Engine::unanswered(const Feed& feed) const {
  if (!feed.taken_up_at || feed.info.container->kind == ContainerKind::files) return std::nullopt;
  const auto since = std::chrono::duration_cast<std::chrono::seconds>(clock_.now() - *feed.taken_up_at);
  return since > silence_told ? std::optional(since) : std::nullopt;
}

namespace {

constexpr std::size_t uploads_shown = 20;  // in the status: as many are sent at once, and more only by configuration

}  // namespace

api::Upload Engine::describe_upload(const ActiveUpload& active, Instant now) {
  api::Upload upload;
  upload.project = active.container.project.full();
  upload.run = active.container.id;
  if (!active.attribute.empty()) upload.attribute = active.attribute;
  upload.file = active.file;
  upload.bytes_done = active.done;
  upload.bytes_total = active.total;
  upload.bytes_per_second = active.rate.per_second(now);
  if (upload.bytes_per_second && *upload.bytes_per_second > 0)
    upload.seconds_left =
        static_cast<double>(active.total - std::min(active.done, active.total)) / *upload.bytes_per_second;
  return upload;
}

std::vector<api::Upload> Engine::uploads(const std::function<bool(const ActiveUpload&)>& wanted) const {
  std::vector<api::Upload> list;
  const auto now = clock_.now();
  for (const auto& [id, active] : active_uploads_) {
    if (!wanted(active)) continue;
    if (list.size() == uploads_shown) break;
    list.push_back(describe_upload(active, now));
  }
  return list;
}

namespace {

void tell_lost(api::Stream& stream, const FinishedSource& end) {
  stream.state = stream.waiting_for = "lost";
  stream.lost = end.lost.changes;
  stream.why = sentence_of_lost(end);
}

}  // namespace

/// Of what is no stream of the core: it is being looked up, or is set aside.
void Engine::tell_not_open(api::Stream& stream, const Feed& feed) const {
  const auto& problem = feed.problem ? feed.problem : feed.info.problem;
  stream.state = problem ? "blocked" : "waiting";
  stream.waiting_for = problem ? "source" : "lookup";
  stream.why = problem                                    ? problem->message
               : feed.info.kind == sources::Kind::run_log ? "its log is being looked at"
                                                          : "what waits of it is being looked up";
  if (!problem) return;
  const auto waiting = tally_aside(feed);
  stream.pending = waiting.pending;
  stream.held = waiting.held;
  stream.pending_bytes = waiting.bytes;
}

/// As the core has it.
void Engine::tell_open(api::Stream& stream, const Feed& feed) const {
  const auto view = core_.stream(feed.stream, clock_.now());
  stream.pending = view.tally.pending;
  stream.held = view.tally.held;
  stream.in_flight = view.tally.in_flight;
  stream.pending_bytes = view.tally.bytes;
  if (const auto at = known_at(feed); at && feed.info.kind != sources::Kind::change_queue) {
    stream.known_through = std::max({feed.backlog.last, feed.confirmed, feed.recorded});
    stream.done_through = feed.recorded;
    stream.known_at = std::chrono::duration_cast<std::chrono::microseconds>(at->time_since_epoch()).count();
  }
  // What is confirmed but not on record yet is not idle: whoever waits for "synced" must be able to rely on it.
  if (view.wait == Wait::nothing && !at_rest(feed)) {
    stream.state = "unconfirmed";
    stream.why = "confirmed; being recorded";
    stream.waiting_for = "recording";
    return;
  }
  stream.state = state_name(view.wait);
  stream.why = why(feed, view);
  stream.waiting_for = view.doubted && view.wait == Wait::retry ? "doubt" : core::word(view.wait);
  if (view.wait == Wait::retry) stream.missing = missing(view.trouble.lacks);
  if (view.wait == Wait::server && token_is_missing(server_of(feed.info.container->project.workspace)))
    stream.missing = "token";
  if (view.until) stream.retry_at = rfc3339(*view.until);
}

void Engine::tell_removed_run(api::Stream& stream, const ContainerName& container) const {
  if (container.kind != ContainerKind::run && container.kind != ContainerKind::files) return;
  const auto removed = removed_.find({container.project, container.id});
  if (removed == removed_.end()) return;
  stream.removed_at = format_time(removed->second.at);
  if (removed->second.change != 0) stream.removed_by = removed->second.change;
  stream.in_trash = !removed->second.for_good;
}

api::Stream Engine::describe(const Feed& feed) const {
  const auto& container = *feed.info.container;
  api::Stream stream;
  stream.project = Scope::of(container.project).text();
  stream.container_type = name(container.kind);
  stream.container = container.id;
  stream.source = feed.info.key.path;
  stream.id = stream.source + (feed.info.key.files ? " (files)" : "");
  stream.closed = feed.info.state == SourceState::closed;
  stream.synced = feed.synced;
  stream.rejected = feed.rejected;
  stream.rejected_kept = feed.kept;
  count_discarded(stream);
  stream.uploads = files_waiting(feed);
  const auto of_feed = [&feed](const ActiveUpload& upload) { return upload.feed == &feed; };
  if (container.kind == ContainerKind::files || feed.info.kind == sources::Kind::client_dir)
    stream.active_uploads = uploads(of_feed);
  if (feed.synced_at) stream.last_synced_at = format_time(*feed.synced_at);
  tell_moved(stream, feed.moved);
  tell_removed_run(stream, container);
  if (feed.backlog.oldest_at && feed.backlog.count > 0) stream.oldest_pending_at = format_time(*feed.backlog.oldest_at);
  // Also while its end is being recorded, nobody may take it for synced.
  if (const auto end = end_of(feed, clock_.wall()); feed.gone && is_lost(end))
    tell_lost(stream, end);
  else if (feed.stream == 0)
    tell_not_open(stream, feed);
  else
    tell_open(stream, feed);
  return stream;
}

namespace {

/// A create that passed the writes before it is one with them for people: what it waits for is what they wait for.
void add_create(api::Stream& writes, const api::Stream& create) {
  writes.pending += create.pending;
  writes.held += create.held;
  writes.in_flight += create.in_flight;
  writes.synced += create.synced;
  writes.rejected += create.rejected;
  writes.rejected_kept += create.rejected_kept;
  writes.discarded += create.discarded;
  writes.pending_bytes += create.pending_bytes;
  writes.last_synced_at = std::max(writes.last_synced_at, create.last_synced_at);
  if (create.state == "done" || create.waiting_for == "nothing") return;
  writes.state = create.state;
  writes.why = create.why;
  writes.waiting_for = create.waiting_for;
  writes.missing = create.missing;
  writes.retry_at = create.retry_at;
}

}  // namespace

/// Changes were removed with it, and the run has not come back, as it does when its log is moved.
bool Engine::is_lost(const FinishedSource& finished) const {
  if (finished.lost.changes == 0) return false;
  const auto again = [&finished](const auto& entry) {
    return !entry.second->gone && entry.second->info.container == finished.container;
  };
  const auto later = [&finished](const FinishedSource& other) {
    return other.container == finished.container && other.finished_at > finished.finished_at;
  };
  return std::ranges::none_of(feeds_, again) && std::ranges::none_of(finished_, later);
}

/// One that has ended.
api::Stream Engine::describe(const FinishedSource& finished) const {
  const auto& container = finished.container;
  api::Stream stream;
  stream.id = stream.source = finished.path;
  if (container.kind == ContainerKind::files && finished.path.starts_with('/')) stream.id += " (files)";
  stream.project = Scope::of(container.project).text();
  stream.container_type = name(container.kind);
  stream.container = container.id;
  stream.state = "done";
  stream.closed = true;
  stream.synced = finished.synced;
  stream.rejected = finished.rejected;
  stream.rejected_kept = finished.kept;
  count_discarded(stream);
  if (is_lost(finished)) tell_lost(stream, finished);
  if (finished.synced_at) stream.last_synced_at = format_time(*finished.synced_at);
  tell_moved(stream, finished.moved);
  tell_removed_run(stream, container);
  return stream;
}

std::vector<api::Stream> Engine::streams(const StreamFilter& filter) const {
  const auto matches = [&filter](const ContainerName& run) {
    const bool of_runs = run.kind == ContainerKind::run || run.kind == ContainerKind::files;
    if (filter.run && (!of_runs || run.id != *filter.run)) return false;
    return !filter.project || run.project.full() == *filter.project || run.project.workspace == *filter.project;
  };
  std::vector<api::Stream> list;
  for (const auto& [key, feed] : feeds_) {
    if (!feed->info.container || !matches(*feed->info.container)) continue;
    if (is_passed(*feed) && lane_of(*feed, sources::Lane::writes)) continue;
    list.push_back(describe(*feed));
    const bool queued = feed->info.kind == sources::Kind::change_queue && !feed->replayed;
    const auto passed = queued ? lane_of(*feed, sources::Lane::passed) : nullptr;
    if (passed && passed != feed) add_create(list.back(), describe(*passed));
  }
  // A stream of the change queue goes on with its record when it comes again, as often as it ended.
  std::set<std::string_view> of_queue;
  for (const auto& [key, feed] : feeds_)
    if (feed->info.kind == sources::Kind::change_queue) of_queue.insert(key.path);
  const auto goes_on = [&of_queue](const FinishedSource& finished) {
    return finished.path.starts_with(api::queue_source) && !of_queue.insert(finished.path).second;
  };
  for (auto it = finished_.rbegin(); it != finished_.rend(); ++it) {
    if (!matches(it->container) || goes_on(*it)) continue;
    auto stream = describe(*it);
    const bool passed = it->path == sources::queue_path(it->container, sources::Lane::passed);
    const auto writes =
        !passed ? list.end()
                : std::ranges::find(list, sources::queue_path(it->container, sources::Lane::writes), &api::Stream::id);
    if (writes != list.end()) {
      add_create(*writes, stream);
    } else {
      list.push_back(std::move(stream));
    }
  }
  add_moved_of_queue(list, matches);
  return list;
}

}  // namespace neptune::engine
