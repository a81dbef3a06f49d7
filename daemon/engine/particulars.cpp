// What a check does not tell of a change: which values of an update the server refused, and whether a run that is there
// already is the one that was to be created.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "changes/attributes.h"
#include "changes/wire.h"
#include "core/findings.h"
#include "engine/engine.h"
#include "engine/impl/failures.h"
#include "engine/impl/outcome.h"
#include "engine/impl/part.h"
#include "engine/impl/refused_search.h"
#include "support/pause.h"

namespace neptune::engine {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr std::chrono::milliseconds first_check{20}, last_check{500};
constexpr std::chrono::seconds name_patience{2};  // our own bound
// Our own bounds on the search for what was refused: past them all of the update is named.
constexpr std::uint32_t most_searches = 4;        // at once, beside what [server] max_in_flight allows
constexpr std::uint64_t most_bytes = 256u << 10;  // of an update, which is held in memory meanwhile, and taken apart
constexpr std::size_t most_requests = 200;
constexpr std::chrono::seconds most_time{60};  // of all of it, and of one request

bool is_run_duplicate(const RequestStatus& status) {
  return std::ranges::any_of(status.counts,
                             [](const CodeCount& count) { return count.detail == IngestCode::run_duplicate; });
}

std::string shortened(const std::string& text) {
  constexpr std::size_t most = 100;
  return text.size() <= most ? text : text.substr(0, most) + "...";
}

bool may_pass(const Failure& failure) {
  using Kind = Failure::Kind;
  return failure.kind != Kind::rejected && failure.kind != Kind::too_large && failure.kind != Kind::forbidden;
}

/// What the core takes for a request that is to be sent again.
RequestStatus sent_again() {
  return {.pending = false, .counts = {{13, 1, IngestCode::internal}}, .message = {}};
}

}  // namespace

/// What the core is told of a request: as pending, while more is being found out of its one change.
RequestStatus Engine::with_particulars(core::StreamId stream, const std::string& request_id, RequestStatus status) {
  if (status.pending) return status;
  const auto feed = feed_of(stream);
  const auto carried = core_.carried_alone(stream, request_id);
  if (!feed || !carried) return status;
  if (feed->looked_into && feed->looked_into->request_id == request_id) {
    if (!feed->looked_into->found) return {.pending = true, .counts = {}, .message = {}};
    return *std::exchange(feed->looked_into, std::nullopt)->found;
  }
  const auto found = core::examine(status);
  const bool in_part = !carried->create && found.refused > 0 && found.refused < found.total;
  const bool was_there = carried->create && found.refused == 0 && is_run_duplicate(status) &&
                         feed->info.kind == sources::Kind::change_queue && !feed->create_may_be_ours;
  if (found.suspended || found.broken || (!in_part && !was_there)) return status;
  if (in_part && (searches_for_refused_ >= most_searches || carried->bytes > most_bytes)) return status;
  if (in_part) ++searches_for_refused_;
  feed->looked_into = Feed::LookedInto{request_id};
  tasks_.spawn("particulars", find_particulars(feed, stream, *carried, std::move(status)));
  return {.pending = true, .counts = {}, .message = {}};
}

asio::awaitable<void> Engine::find_particulars(FeedPtr feed, core::StreamId stream, core::Sent carried,
                                               RequestStatus status) {
  const auto request = feed->looked_into->request_id;
  const auto source = feed->source;
  Result<std::vector<sources::QueuedChange>> changes = std::vector<sources::QueuedChange>{};
  if (source) changes = co_await outcome(source->changes(carried.last, carried.last));
  if (changes && changes->size() == 1) {
    if (carried.create) {
      status = co_await compare_run(*feed->info.container, std::move(changes->front()), std::move(status));
    } else {
      status = co_await find_refused(feed, stream, std::move(changes->front()), std::move(status));
    }
  }
  if (!carried.create) --searches_for_refused_;
  if (feed->looked_into && feed->looked_into->request_id == request) feed->looked_into->found = std::move(status);
}

/// A create is about to be handed in. The server may have it already from a try whose answer or check was lost: one of
/// this process, or of an earlier one that accepted it.
void Engine::note_create(Feed& feed, sources::Position create) const {
  const bool tried = std::exchange(feed.create_tried, create) == create;
  const bool is_of_before = !feed.replayed && (accepted_from_ == 0 || create < accepted_from_);
  feed.create_may_be_ours = tried || is_of_before;
}

/// The server keeps a run that is there as it is, and says only that it is there: of another fork, it says so. Its
/// experiment is its name, which people change: so it tells nothing of a run that may be the one we created.
asio::awaitable<RequestStatus> Engine::compare_run(ContainerName run, sources::QueuedChange create,
                                                   RequestStatus status) {
  const auto wanted = leaderboard_create(create.payload);
  const auto server = servers_.at(server_of(run.project.workspace)).slot.server;
  if (!wanted || wanted->experiment.empty() || !server) co_return status;
  Answer<std::optional<std::string>> there;
  // Of a run that was made a moment ago, the name may come a little later.
  const auto until = clock_.now() + name_patience;
  for (auto wait = first_check;; wait = std::min(wait * 2, last_check)) {
    server::Addressed addressed(run);
    std::string name("sys/name");
    there = co_await outcome(server->string_value(std::move(addressed), std::move(name)));
    if (!there || (*there && !(*there)->empty()) || clock_.now() >= until) break;
    co_await pause(wait);
  }
  if (!there) co_return status;
  const auto experiment = there->value_or("");
  if (experiment == wanted->experiment) co_return status;
  status.differs_code = "experiment_differs";
  status.differs_reason = fmt::format(
      "run {} exists in project {} already, and {}, not '{}'; give the new run another id", run.id, run.project.full(),
      experiment.empty() ? "it is of no experiment" : fmt::format("its experiment is '{}'", shortened(experiment)),
      shortened(wanted->experiment));
  co_return status;
}

/// Sends parts of it again, which is idempotent, until all that are refused are known; nothing of its stream goes
/// meanwhile. What comes in the way (a mode, a failure) is what the whole request is told as.
asio::awaitable<RequestStatus> Engine::find_refused(FeedPtr feed, core::StreamId stream, sources::QueuedChange change,
                                                    RequestStatus status) {
  auto update = std::move(change.payload);
  if (const auto part = values_in(change.part)) update = wire::with_values(update, *part);
  auto values = wire::values_of(update);
  const auto whole = core::examine(status);
  if (std::cmp_not_equal(values.size(), whole.total)) values.clear();
  std::ranges::stable_partition(values, [&feed](const std::string& value) {
    return std::ranges::find(feed->refused_before, value) != feed->refused_before.end();
  });
  RefusedSearch search(std::move(values), static_cast<std::size_t>(whole.refused));
  const auto until = clock_.now() + most_time;
  std::size_t requests = 0;
  while (auto asked = search.next()) {
    if (++requests > most_requests || clock_.now() > until) co_return status;
    auto part = wire::with_values(update, *asked);
    auto answer = co_await ask_about(feed, stream, std::move(part));
    if (!answer) {
      spdlog::debug("not found out what was refused container={:?} error={:?}", feed->info.container->label(),
                    answer.error().message);
      co_return may_pass(answer.error()) ? sent_again() : status;
    }
    const auto found = core::examine(*answer);
    if (found.suspended || found.broken) co_return *answer;
    search.told(static_cast<std::size_t>(found.refused));
  }
  if (search.refused().empty()) co_return status;
  status.refused_part = part_of(search.refused());
  feed->refused_before = search.refused();
  co_return status;
}

/// Hands in a part of an update, and waits for the server's word on it.
asio::awaitable<Answer<RequestStatus>> Engine::ask_about(FeedPtr feed, core::StreamId stream, std::string update) {
  const auto run = *feed->info.container;
  const auto server = servers_.at(server_of(run.project.workspace)).slot.server;
  if (!server) co_return std::unexpected(source_failure("no_server", "there is no server"));
  server::Body body;
  body.head = wire::update_head(run, wire::framed_size(update.size()));
  wire::append_frame_head(body.head, update.size());
  body.head += update;
  body.may_begin = may_begin(stream);
  auto id = co_await outcome(server->submit(std::move(body)));
  if (!id) co_return std::unexpected(std::move(id.error()));
  const std::vector<std::string> ids(1, *id);
  const auto until = clock_.now() + most_time;
  for (auto wait = first_check; clock_.now() < until; wait = std::min(wait * 2, last_check)) {
    co_await pause(wait);
    auto told = co_await outcome(server->check(run.project, ids));
    if (!told) co_return std::unexpected(std::move(told.error()));
    if (!told->empty() && !told->front().pending) co_return std::move(told->front());
  }
  co_return std::unexpected(source_failure("not_processed", "the server does not say what became of it"));
}

}  // namespace neptune::engine
