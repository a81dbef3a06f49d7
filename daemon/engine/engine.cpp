#include "engine/engine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "client/lib/names.h"
#include "engine/impl/attribute_batch.h"
#include "engine/impl/outcome.h"
#include "engine/impl/with_ledger.h"

namespace neptune::engine {

namespace asio = boost::asio;

Engine::Engine(asio::any_io_executor executor, const Clock& clock, EngineOptions options, StateDir& state_dir,
               std::unique_ptr<Ledger> ledger, std::vector<ServerSlot> servers,
               std::map<std::string, core::ServerId> workspace_servers)
    : executor_(executor),
      clock_(clock),
      options_(std::move(options)),
      state_dir_(state_dir),
      ledger_(std::move(ledger)),
      core_(options_.core, options_.seed),
      events_(executor, clock),
      tasks_(executor),
      clock_timer_(executor),
      all_handed_in_(executor),
      workspace_servers_(std::move(workspace_servers)),
      started_(clock.wall()),
      disk_full_(!state_dir.restore_reserve()),
      upload_slots_(executor, clock, options_.uploads.max_concurrent, options_.uploads.pace),
      bandwidth_(std::make_shared<Bandwidth>(options_.uploads.max_bandwidth)) {
  for (auto& slot : servers) {
    auto& state = servers_.emplace_back();
    if (!slot.server) state.last_error = slot.problem.message;
    state.slot = std::move(slot);
    state.runs_by_call = options_.runs == RunsBy::calls;
  }
  for (const auto& [workspace, id] : workspace_servers_) core_.set_server(workspace, id);
  set_priorities(options_.priorities);
}

Engine::~Engine() = default;

asio::awaitable<Result<void>> Engine::restore() {
  auto modes = co_await with_ledger([](Ledger& ledger) { return ledger.modes(); });
  if (!modes) co_return std::unexpected(modes.error());
  auto counts = co_await with_ledger([](Ledger& ledger) { return ledger.counts(); });
  if (!counts) co_return std::unexpected(counts.error());
  auto finished = co_await with_ledger([](Ledger& ledger) { return ledger.finished(); });
  if (!finished) co_return std::unexpected(finished.error());
  auto retries = co_await with_ledger([](Ledger& ledger) { return ledger.containers_to_retry(); });
  if (!retries) co_return std::unexpected(retries.error());
  auto workspaces = co_await with_ledger([](Ledger& ledger) { return ledger.workspaces(); });
  if (!workspaces) co_return std::unexpected(workspaces.error());
  for (const auto& [url, name, type] : *workspaces) {
    const auto& server = servers_.at(server_of(name)).slot.server;
    if (server && server->url() == url) workspace_types_.recall(name, type);
  }
  auto removed = co_await with_ledger([](Ledger& ledger) { return ledger.removed(); });
  if (!removed) co_return std::unexpected(removed.error());
  for (auto& one : *removed) removed_[{one.project, one.run}] = std::move(one);
  counts_ = std::move(*counts);
  finished_.assign(finished->begin(), finished->end());
  const auto now = clock_.now();
  for (auto& mode : *modes) {
    if (mode.read_only) core_.restore(mode.scope, mode.reason, now);
    if (!mode.held_by.empty()) core_.hold(mode.scope, true, now);
    spdlog::info("mode kept from before scope={:?} read_only={} held_by={:?}", mode.scope.text(), mode.read_only,
                 mode.held_by);
    auto scope = mode.scope;
    modes_.emplace(std::move(scope), std::move(mode));
  }
  for (const auto& container : *retries) open_replay(container);
  co_return Result<void>{};
}

void Engine::follow(sources::RunLogs& run_logs,
                    std::map<std::string, std::optional<std::chrono::milliseconds>> cleanup_after) {
  run_logs_ = &run_logs;
  cleanup_after_ = std::move(cleanup_after);
}

void Engine::start() {
  core_.discovering(true, clock_.now());
  tasks_.spawn("clock", run_clock());
  if (disk_full_) tasks_.spawn("look for room", look_for_room());
  for (core::ServerId id = 0; id < servers_.size(); ++id)
    if (servers_[id].slot.server) core_.meet(id, clock_.now());
  pump();
}

asio::awaitable<void> Engine::drain(std::chrono::milliseconds bound) {
  draining_ = true;
  core_.stop_sending();
  events_.add("draining", "the daemon stops; what is being handed in may still finish");
  if (being_sent_.empty()) co_return;
  all_handed_in_.expires_after(bound);
  boost::system::error_code ignored;
  co_await all_handed_in_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

void Engine::configuration_refused(std::string why) {
  refused_configuration_ = std::move(why);
  if (changed_) changed_();
}

void Engine::no_longer_sent(core::StreamId stream) {
  being_sent_.erase(stream);
  if (being_sent_.empty()) all_handed_in_.cancel();
}

asio::awaitable<void> Engine::stop() {
  co_await tasks_.stop();
  co_await note_all_waiting();
  for (auto& state : servers_)
    if (state.slot.server) state.slot.server->close();
}

void Engine::replace_server(core::ServerId id, ServerSlot slot) {
  auto& state = servers_.at(id);
  if (slot.is_unusable() && state.slot.server) {
    state.settings_problem = std::move(slot.problem.message);
    state.slot.remedy = std::move(slot.remedy);
    return;
  }
  state.settings_problem.clear();
  if (!slot.server && state.slot.server) {
    state.token_problem = std::move(slot.problem.message);
    state.slot.token_remedy = std::move(slot.token_remedy);
    return;
  }
  const auto before = state.slot.server ? state.slot.server->url() : std::string();
  if (slot.server && slot.server->url() != before) {
    state.last_success.reset();  // that was another one's
    state.last_error.clear();
  }
  state.slot = std::move(slot);
  state.token_problem.clear();
  if (!state.slot.server) {
    state.last_error = state.slot.problem.message;
    return;
  }
  // It may be another server.
  state.runs_by_call = options_.runs == RunsBy::calls;
  *state.most_operations = limits::attribute_operations;
  workspace_types_.forget();
  core_.token_replaced(id, clock_.now());
  pump();
}

void Engine::set_priorities(const std::map<std::string, std::uint32_t>& priorities) {
  for (const auto& [workspace, turns] : priorities) {
    core_.set_priority(server_of(workspace), workspace, turns);
    upload_slots_.set_priority(workspace, turns);
  }
}

void Engine::set_limits(std::uint32_t max_in_flight, core::GateOptions gate,
                        std::map<std::string, std::uint32_t> priorities, const UploadOptions& uploads) {
  for (const auto& [workspace, turns] : options_.priorities) priorities.try_emplace(workspace, 1);
  set_priorities(priorities);
  options_.priorities = std::move(priorities);
  options_.uploads = uploads;
  upload_slots_.set_places(uploads.max_concurrent);
  bandwidth_->set_rate(uploads.max_bandwidth);
  core_.set_limits(max_in_flight, uploads.max_concurrent, gate);
  pump();
}

asio::awaitable<Result<void>> Engine::store_answers() {
  co_return co_await with_ledger([](Ledger& ledger) { return ledger.answers(); });
}

// A full disk

void Engine::note_disk_full(bool full) {
  if (std::exchange(disk_full_, full) == full) return;
  if (!full) {
    spdlog::info("disk has room again state_dir={}", state_dir_.path().string());
    events_.add("disk_has_room", "the disk of " + state_dir_.path().string() + " has room again");
    return;
  }
  spdlog::error("disk full state_dir={}; the reserve was given back", state_dir_.path().string());
  events_.add("disk_full", "the disk of " + state_dir_.path().string() + " is full; free some space there");
  tasks_.spawn("look for room", look_for_room());
}

/// The reserve, for what is to be taken out of the queue.
asio::awaitable<void> Engine::give_back_reserve() {
  auto give = [this] {
    reserve_is_out_ = true;
    return state_dir_.release_reserve();
  };
  co_await ledger_thread_.run(std::move(give));
  note_disk_full(true);
}

/// The logs of both stores go back to the disk, which may be what it lacks: nothing else tells when it has room again.
/// The queue's goes first, as it is the one that grows with what is handed in.
asio::awaitable<void> Engine::look_for_room() {
  if (queue_) (void)co_await outcome(queue_->give_back_log());
  (void)co_await with_ledger([](Ledger& ledger) { return ledger.give_back_log(); });
  if (!disk_full_) co_return;
  static constexpr std::chrono::seconds look_for_room_every{5};
  alarms_.set({Alarm::Of::room, {}}, clock_.now() + look_for_room_every);
  rearm();
}

// The alarm clock

asio::awaitable<void> Engine::run_clock() {
  for (;;) {
    const auto core_wake = core_.next_wakeup();
    const auto alarm = alarms_.next();
    auto at = asio::steady_timer::time_point::max();
    if (core_wake) at = std::min(at, *core_wake);
    if (alarm) at = std::min(at, *alarm);
    clock_timer_.expires_at(at);
    boost::system::error_code ignored;
    co_await clock_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) co_return;
    const auto now = clock_.now();
    for (const auto& due : alarms_.due(now)) ring(due);
    if (core_wake && *core_wake <= now) {
      core_.time_passed(now);
      pump();
    }
  }
}

/// Wakes the clock when something is due earlier than it sleeps.
void Engine::rearm() {
  const auto core_wake = core_.next_wakeup();
  const auto alarm = alarms_.next();
  if ((core_wake && *core_wake < clock_timer_.expiry()) || (alarm && *alarm < clock_timer_.expiry()))
    clock_timer_.cancel();
}

void Engine::ring(const Alarm& alarm) {
  if (alarm.of == Alarm::Of::room) return tasks_.spawn("look for room", look_for_room());
  const auto it = feeds_.find(alarm.key);
  if (it == feeds_.end()) return;
  const auto feed = it->second;
  switch (alarm.of) {
    case Alarm::Of::release:
      feed->release_wanted = true;
      tend(feed);
      break;
    case Alarm::Of::tidy:
      tasks_.spawn("tidy", tidy(feed));
      break;
    case Alarm::Of::tend:
      feed->refresh_wanted = true;
      feed->take_out_wanted |= std::exchange(feed->take_out_again, false);
      tend(feed);
      break;
    case Alarm::Of::retry:
      feed->problem.reset();
      open_stream(feed);
      break;
    case Alarm::Of::room:
      break;
  }
}

// What the operator asks for

api::FlushReply Engine::flush() {
  if (run_logs_) run_logs_->rescan();
  if (client_dirs_) client_dirs_->rescan();
  for (const auto& [key, feed] : feeds_) {
    if (std::exchange(feed->problem, std::nullopt)) open_stream(feed);
    if (feed->client && std::exchange(feed->client->rename_not_before, std::nullopt)) tend(feed);
  }
  core_.flush(clock_.now());
  pump();
  const auto totals = status().totals;
  api::FlushReply reply;
  static_cast<api::Counts&>(reply) = totals;
  return reply;
}

std::vector<std::string> Engine::known_scopes() const {
  std::set<std::string> names;
  const auto add = [&names](const ProjectName& project) {
    names.insert(project.workspace);
    names.insert(Scope::of(project).text());
  };
  for (const auto& [project, counts] : counts_)
    if (counts.tell_of_it()) add(project);
  for (const auto& [key, feed] : feeds_)
    if (feed->info.container) add(feed->info.container->project);
  each_moved([&add](const ProjectName& project, const Moved&) { add(project); });
  for (const auto& [workspace, server] : workspace_servers_) names.insert(workspace);
  return {names.begin(), names.end()};
}

asio::awaitable<Result<api::ScopeReply>> Engine::hold(Scope scope, std::string by) {
  core_.hold(scope, true, clock_.now());
  pump();
  auto& mode = modes_[scope];
  mode.scope = scope;
  mode.held_by = by;
  mode.held_since = clock_.wall();
  const KeptMode kept = mode;
  auto keep = [kept](Ledger& ledger) { return ledger.keep(kept); };
  auto done = co_await with_ledger(std::move(keep));
  if (!done) co_return std::unexpected(done.error());
  spdlog::info("held scope={:?} by={:?}", scope.text(), by);
  events_.add("hold",
              by + " holds " + scope.text() + "; its writes wait until `neptune-sync release " + scope.text() + "`",
              {.scope = scope.text()});
  auto message =
      "The writes of " + scope.text() + " wait from now on; `neptune-sync release " + scope.text() + "` lets them go.";
  message += if_unknown(scope, " But nothing of it is known here yet: check the name, unless it is held beforehand.");
  co_return scope_reply(scope, std::move(message));
}

/// `text`, and what else is to be said then (api::of_unknown); empty where something of the scope is known.
std::string Engine::if_unknown(const Scope& scope, const std::string& text) const {
  const auto known = known_scopes();
  if (std::ranges::binary_search(known, scope.text())) return {};
  return api::of_unknown(text, scope.text(), known, sources_found());
}

asio::awaitable<Result<api::ScopeReply>> Engine::release(Scope scope, std::string by) {
  const auto view = core_.scope(scope);
  if (!view.operator_hold) {
    if (view.mode == core::Mode::read_only)
      co_return fail("conflict", scope.text() + " is read-only on the server (" + view.reason +
                                     "), and only the server can end that. Free space or raise the quota; "
                                     "the daemon probes and resumes by itself, at once with `neptune-sync probe " +
                                     scope.text() + "`.");
    co_return fail("already_released", scope.text() + " is not held; there is nothing to release." +
                                           still_closed(scope) + if_unknown(scope, " Nothing of it is known here."));
  }
  core_.hold(scope, false, clock_.now());
  pump();
  auto& mode = modes_[scope];
  mode.scope = scope;
  mode.held_by.clear();
  mode.held_since.reset();
  const KeptMode kept = mode;
  auto keep = [kept](Ledger& ledger) { return ledger.keep(kept); };
  auto done = co_await with_ledger(std::move(keep));
  if (!done) co_return std::unexpected(done.error());
  spdlog::info("released scope={:?} by={:?}", scope.text(), by);
  events_.add("release", by + " released " + scope.text(), {.scope = scope.text()});
  co_return scope_reply(scope, scope.text() + " is released." + still_closed(scope));
}

/// What else keeps writes of the scope, or of a part of it: sentences, each after a space.
std::string Engine::still_closed(const Scope& scope) const {
  auto found = closed(scope);
  if (scope.is_workspace())
    for (auto it = modes_.upper_bound(scope); it != modes_.end() && it->first.workspace == scope.workspace; ++it)
      if (auto of_project = closed(it->first); !of_project.empty() && of_project.back().scope == it->first)
        found.push_back(std::move(of_project.back()));
  std::string text;
  for (const auto& each : found) {
    const auto name = each.scope.text();
    if (each.held_by)
      text += fmt::format(" {0} is still held by {1}: its writes wait until `neptune-sync release {0}`.", name,
                          *each.held_by);
    if (each.read_only)
      text +=
          fmt::format(" {} is still read-only on the server ({}): its writes go when that ends.", name, each.reason);
  }
  return text;
}

asio::awaitable<Result<api::ReleasePlan>> Engine::plan_release(Scope scope) {
  const auto& asked = servers_.at(server_of(scope.workspace));
  if (asked.slot.server && asked.state == core::ServerChanged::State::up) {
    auto answer = co_await outcome(asked.slot.server->workspace_status(scope.workspace));
    if (answer) workspace_status_[scope.workspace] = std::move(*answer);
  }
  api::ReleasePlan plan;
  plan.scope = scope.text();
  std::set<std::string> kept_by;
  for (const auto& [project, tally] : core_.projects()) {
    if (!scope.covers(project) || tally.held == 0) continue;
    auto others = closed(Scope::of(project));
    for (auto& other : others)
      if (other.scope == scope) other.held_by.reset();
    std::erase_if(others, [](const Closed& other) { return !other.held_by && !other.read_only; });
    (others.empty() ? plan.changes : plan.staying) += tally.held;
    (others.empty() ? plan.bytes : plan.staying_bytes) += tally.held_bytes;
    if (!others.empty()) kept_by.insert(engine::why(others));
  }
  plan.message = fmt::format("{}", fmt::join(kept_by, ". "));
  if (!core_.scope(scope).operator_hold) plan.message = scope.text() + " is not held." + still_closed(scope);
  if (const auto rate = rate_.per_second(clock_.now())) plan.seconds = static_cast<double>(plan.bytes) / *rate;
  const auto status = workspace_status_.find(scope.workspace);
  if (status != workspace_status_.end()) plan.storage_available = status->second.storage_available;
  if (plan.storage_available) plan.fits = static_cast<std::int64_t>(plan.bytes) <= *plan.storage_available;
  plan.uncounted = api::is_uncounted(sources_found(), plan.scope);
  co_return plan;
}

Result<api::ScopeReply> Engine::probe(const Scope& scope) {
  const bool probing = core_.probe(scope, clock_.now());
  pump();
  if (probing)
    return scope_reply(scope, "The server is being asked whether " + scope.text() + " can be written again.");
  const auto view = core_.scope(scope);
  if (view.operator_hold)
    return fail("conflict", scope.text() + " is held by an operator, not by the server; `neptune-sync release " +
                                scope.text() + "` ends that.");
  if (const auto above = Scope::of(scope.workspace); core_.scope(above).mode == core::Mode::read_only)
    return fail("conflict",
                fmt::format("{} is read-only with its workspace {}: `neptune-sync probe {}` asks the server.",
                            scope.text(), above.text(), above.text()));
  return scope_reply(scope, scope.text() + " is not read-only; there is nothing to probe." +
                                if_unknown(scope, " Nothing of it is known here."));
}

// Rejected changes

namespace {

api::Rejected to_api(const Rejection& rejection) {
  api::Rejected out;
  out.id = rejection.id;
  out.at = format_time(rejection.at);
  out.project = rejection.container.project.full();
  out.container_type = name(rejection.container.kind);
  out.container = rejection.container.id;
  out.source = rejection.source;
  out.position = rejection.position;
  out.kind = name(rejection.change);
  out.code = rejection.code;
  out.reason = rejection.reason;
  out.bytes = rejection.bytes;
  out.uid = rejection.uid;
  return out;
}

/// The bytes of what was stored in part are looked into where the record alone does not tell which part.
Result<std::vector<api::Rejected>> listed(Ledger& ledger, std::int64_t before, std::uint32_t limit) {
  const auto list = ledger.rejections(before, limit);
  if (!list) return std::unexpected(list.error());
  std::vector<api::Rejected> out;
  for (const auto& rejection : *list) {
    auto& one = out.emplace_back(to_api(rejection));
    if (rejection.part.empty()) continue;
    Result<std::string> payload;
    if (!names_values(rejection.part)) payload = ledger.payload(rejection.id);
    if (!payload) return std::unexpected(payload.error());
    one.part = refused_attributes(rejection.change, rejection.part, *payload);
  }
  return out;
}

}  // namespace

asio::awaitable<Result<std::vector<api::Rejected>>> Engine::rejected(std::int64_t before, std::uint32_t limit) {
  auto read = [before, limit](Ledger& ledger) { return listed(ledger, before, limit); };
  co_return co_await with_ledger(std::move(read));
}

asio::awaitable<Result<std::string>> Engine::rejected_payload(std::int64_t id) {
  auto read = [id](Ledger& ledger) { return ledger.payload(id); };
  co_return co_await with_ledger(std::move(read));
}

asio::awaitable<Result<void>> Engine::retry_rejected(std::int64_t id) {
  auto mark = [id](Ledger& ledger) { return ledger.mark_for_retry(id); };
  auto rejection = co_await with_ledger(std::move(mark));
  if (!rejection) co_return std::unexpected(rejection.error());
  open_replay(rejection->container);
  co_return Result<void>{};
}

asio::awaitable<Result<void>> Engine::discard_rejected(std::int64_t id, std::string by) {
  auto payload = co_await rejected_payload(id);
  const auto again = uploading_again(id);
  const auto stream = again ? again->stream : 0;
  if (again) {
    core_.pause(stream, true, clock_.now());
    co_await call_off(again);
  }
  auto remove = [id, by, now = clock_.wall()](Ledger& ledger) { return ledger.discard(id, by, now); };
  auto removed = co_await with_ledger(std::move(remove));
  if (again && again->stream == stream) {
    core_.pause(stream, false, clock_.now());
    again->refresh_wanted = true;
    tend(again);
    pump();
  }
  if (!removed) co_return std::unexpected(std::move(removed.error()));
  spdlog::info("discarded rejection={} change={} container={:?} by={:?}", id, removed->position,
               removed->container.label(), by);
  no_longer_kept(removed->source, removed->container, false);
  auto upload = payload ? read_upload(*payload) : std::unexpected(payload.error());
  if (!upload || upload->copied_as.empty()) co_return Result<void>{};  // a run log's file stays with its owner
  auto copy = source_file(*upload, ::geteuid());
  co_await delete_own_file(std::move(copy), std::nullopt);
  co_return Result<void>{};
}

asio::awaitable<std::vector<api::Event>> Engine::events_after(std::uint64_t after) {
  return events_.after(after);
}

}  // namespace neptune::engine
