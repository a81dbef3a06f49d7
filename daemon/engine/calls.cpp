// Changes that are calls of their own: management, attribute operations of models and projects, and runs where the
// server has no ingestion.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

#include "changes/management.h"
#include "engine/engine.h"
#include "engine/impl/attribute_calls.h"
#include "engine/impl/failures.h"
#include "engine/impl/outcome.h"
#include "engine/impl/search_lag.h"
#include "engine/impl/with_ledger.h"
#include "sources/client_dir/directory_name.h"
#include "support/pause.h"

namespace neptune::engine {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr int looks_at_record = 200;
constexpr auto between_looks_at_record = 5ms;

}  // namespace

/// True when the source's changes are calls, whatever they are.
bool Engine::goes_by_call(const Feed& feed) const {
  const auto& container = *feed.info.container;
  return container.kind != ContainerKind::run || servers_.at(server_of(container.project.workspace)).runs_by_call;
}

/// After a run could not be handed in: whether that is because the server has no ingestion, so that its runs are calls
/// from now on.
asio::awaitable<bool> Engine::lacks_ingestion(core::ServerId id, Failure failure) {
  const bool may_be = failure.status == 404 || failure.status == 405 || failure.status == 501;
  const auto server = servers_.at(id).slot.server;
  if (options_.runs != RunsBy::finding_out || !may_be || !server) co_return false;
  auto found = co_await outcome(server->has_ingest());
  if (!found || *found) co_return false;
  servers_.at(id).asked_for_ingestion = clock_.now();
  if (std::exchange(servers_.at(id).runs_by_call, true)) co_return true;
  spdlog::info("no ingestion url={}; its runs are created and updated as attributes", server->url());
  events_.add("no_ingestion", server->url() + " has no ingestion API; its runs are created and updated as attributes");
  co_return true;
}

/// While a server's runs are calls since it seemed to have no ingestion: whether it has it after all, asked before each
/// create and else once in a while. Its runs go there again from then on.
asio::awaitable<bool> Engine::ingestion_is_back(core::ServerId id, bool creates) {
  auto& state = servers_.at(id);
  if (options_.runs != RunsBy::finding_out || !state.runs_by_call) co_return false;
  if (!creates && clock_.now() - state.asked_for_ingestion < options_.ask_for_ingestion) co_return false;
  state.asked_for_ingestion = clock_.now();
  const auto server = state.slot.server;
  auto found = co_await outcome(server->has_ingest());
  if (!found || !*found) co_return false;
  if (std::exchange(servers_.at(id).runs_by_call, false)) {
    spdlog::info("ingestion url={}; its runs go there", server->url());
    events_.add("ingestion", server->url() + " has the ingestion API after all; its runs go there from now on");
  }
  co_return true;
}

Intents Engine::intents_of(const Feed& feed, sources::Position position) {
  Ledger::IntentOf of{feed.ledger_id, 0};
  if (feed.replayed) of = {0, feed.replayed->at(static_cast<std::size_t>(position - 1))};
  return {[this, of](sources::Position first) { return intent(of, first); },
          [this, of](sources::Position first, sources::Position last, std::string text) {
            return intend(of, first, last, std::move(text));
          }};
}

asio::awaitable<Result<std::optional<std::string>>> Engine::intent(Ledger::IntentOf of, sources::Position first) {
  auto read = [of, first](Ledger& ledger) { return ledger.intent(of, first); };
  co_return co_await with_ledger(std::move(read));
}

asio::awaitable<Result<void>> Engine::intend(Ledger::IntentOf of, sources::Position first, sources::Position last,
                                             std::string text) {
  auto write = [of, first, last, text = std::move(text)](Ledger& ledger) {
    return ledger.intend(of, first, last, text);
  };
  co_return co_await with_ledger(std::move(write));
}

/// Whether the server knows the container. An offline run is created under its local id; to do that again finds it.
bool Engine::is_registered(const Feed& feed) const {
  return feed.info.kind != sources::Kind::client_dir || !feed.info.server_id.empty() || !feed.client->server_id.empty();
}

/// The call of a batch, and what it means for its changes. It may carry fewer of them than the batch holds.
asio::awaitable<void> Engine::make_call(FeedPtr feed, std::shared_ptr<sources::Source> source, core::StreamId stream,
                                        sources::Batch batch) {
  const auto server_id = server_of(feed->info.container->project.workspace);
  const auto out = calls_out_.insert(feed->info.key);
  auto done = co_await call(feed, std::move(source), stream, batch);
  calls_out_.erase(out);
  no_longer_sent(stream);
  heard_from(server_id, failure_of(done.answer));
  const core::Sent sent{done.count > 0 ? done.last : batch.last, done.count > 0 ? done.count : batch.count,
                        batch.payload_bytes, batch.kind == sources::OperationKind::create};
  const auto label = feed->info.container->label();
  if (done.put_back) {
    core_.put_back(stream, clock_.now());
  } else if (done.answer) {
    if (feed->stream != stream) record_late(feed, stream, sent, done.refused);
    spdlog::debug("call container={:?} changes={} refused={}", label, sent.count, done.refused.size());
    core_.stored(stream, sent, std::move(done.refused), clock_.now());
  } else {
    spdlog::debug("call failed container={:?} changes={} code={} message={:?}", label, sent.count,
                  done.answer.error().code, done.answer.error().message);
    core_.failed(stream, sent, done.answer.error(), clock_.now());
  }
  pump();
  tend(feed);
}

/// The answer to a call of a stream that was closed meanwhile, and so is nobody's in the core: what it says is put on
/// record all the same, and its source goes on behind it when it is opened again.
void Engine::record_late(const FeedPtr& feed, core::StreamId stream, const core::Sent& sent,
                         std::vector<core::Refusal> refused) {
  auto outcomes = core::outcomes_of(stream, sent, std::move(refused));
  std::ranges::move(outcomes, std::back_inserter(feed->outcomes));
  feed->confirmed = std::max(feed->confirmed, sent.last);
}

/// What the server has stored of a project so far, waited for a moment. Before anything is removed: of a thing that is
/// gone, what a killed daemon had not put on record could not be made again, nor be found to be there.
asio::awaitable<bool> Engine::is_on_record(ProjectName project) {
  std::vector<std::pair<FeedPtr, sources::Position>> stored;
  for (const auto& [key, feed] : feeds_)
    if (feed->info.container && feed->info.container->project == project && feed->recorded < feed->confirmed)
      stored.emplace_back(feed, feed->confirmed);
  const auto is_recorded = [](const auto& one) { return one.first->recorded >= one.second || one.first->gone; };
  for (int looks = 0; looks < looks_at_record; ++looks) {
    if (std::ranges::all_of(stored, is_recorded)) co_return true;
    co_await pause(between_looks_at_record);
  }
  co_return false;
}

/// Before the first call of a 1.x directory.
asio::awaitable<Answer<void>> Engine::register_run(FeedPtr feed, std::shared_ptr<server::Server> server,
                                                   server::MayBegin may_begin) {
  ContainerName run = *feed->info.container;
  auto made = co_await outcome(server->create_run(std::move(run), "", std::move(may_begin)));
  if (made) {
    feed->client->server_id = std::move(made->id);
    co_return Answer<void>{};
  }
  auto failure = waiting_for_container(std::move(made.error()));
  // It is the run that is refused, and none of what was logged in it: that waits.
  if (failure.kind == Failure::Kind::rejected || failure.kind == Failure::Kind::too_large)
    failure.kind = Failure::Kind::forbidden;
  co_return std::unexpected(std::move(failure));
}

/// What is to be seen to before such a change goes, and why it does not go now.
asio::awaitable<Answer<void>> Engine::see_to(ContainerName container, ChangeKind kind) {
  const auto& workspace = container.project.workspace;
  if (container.kind == ContainerKind::run) {
    const bool back = co_await ingestion_is_back(server_of(workspace), kind == ChangeKind::run_create);
    if (back)
      co_return std::unexpected(Failure{Failure::Kind::busy, "ingestion_is_back",
                                        "the server has the ingestion API; it is sent there", 0s, false});
  }
  if (container.kind == ContainerKind::removals) {
    const bool on_record = co_await is_on_record(container.project);
    if (!on_record)
      co_return std::unexpected(
          source_failure(Error{"not_recorded", "what was stored before it is not on record yet", true}));
  }
  // Whether anybody may be invited depends on the workspace's type, which may not have been known at the door.
  if (kind == ChangeKind::workspace_invite && workspace_types_.is_due(workspace, clock_.now()))
    co_await learn_type(workspace);
  co_return Answer<void>{};
}

asio::awaitable<CallOutcome> Engine::call(FeedPtr feed, std::shared_ptr<sources::Source> source, core::StreamId stream,
                                          sources::Batch batch) {
  const auto failed = [](Failure failure) { return CallOutcome{.answer = std::unexpected(std::move(failure))}; };
  const auto may_begin = this->may_begin(stream);
  const auto& slot = servers_.at(server_of(feed->info.container->project.workspace)).slot;
  const auto server = slot.server;
  if (!server) co_return failed(no_server<void>(slot.problem).error());
  if (!is_registered(*feed)) {
    auto registered = co_await register_run(feed, server, may_begin);
    if (!registered) co_return failed(std::move(registered.error()));
  }
  auto changes = co_await outcome(source->changes(batch.first, batch.last));
  if (!changes) co_return failed(source_failure(std::move(changes.error())));
  auto clear = co_await see_to(*feed->info.container, changes->front().kind);
  if (!clear) co_return failed(std::move(clear.error()));
  if (!may_begin()) co_return failed(called_off());
  co_return co_await call_with(feed, std::move(source), stream, server, std::move(*changes));
}

/// By what the changes are, all of one kind.
asio::awaitable<CallOutcome> Engine::call_with(FeedPtr feed, std::shared_ptr<sources::Source> source,
                                               core::StreamId stream, std::shared_ptr<server::Server> server,
                                               std::vector<sources::QueuedChange> changes) {
  const auto may_begin = this->may_begin(stream);
  const ContainerName container = *feed->info.container;
  const auto kind = changes.front().kind;
  // Of a directory that the server's id is in the name of, that counts, whatever its container is called.
  server::Addressed addressed(container);
  if (kind == ChangeKind::client_operation) addressed.id = sources::server_id_in(changes.front().directory);
  if (auto alone = goes_alone(changes.front())) {
    if (alone->copy)
      co_return co_await copy_attribute(server, may_begin, std::move(addressed), changes.front().position,
                                        std::move(*alone->copy));
    co_return co_await upload_for_client(feed, stream, server, std::move(changes.front()), std::move(*alone->upload));
  }
  if (kind == ChangeKind::run_create)
    co_return co_await create_run(server, may_begin, container, std::move(changes.front()));
  if (!feed->unclear_since) feed->unclear_since = std::make_shared<std::map<sources::Position, Instant>>();
  auto intents = intents_of(*feed, changes.back().position);
  if (kind == ChangeKind::run_update || is_attributes(kind)) {
    AttributeCall about{server,
                        std::move(intents),
                        may_begin,
                        &clock_,
                        options_.doubt_patience,
                        feed->unclear_since,
                        servers_.at(server_of(container.project.workspace)).most_operations};
    co_return co_await update_attributes(std::move(about), std::move(source), std::move(addressed), std::move(changes));
  }
  const auto type = workspace_type(container.project.workspace);
  co_return co_await manage(feed, server, std::move(intents), may_begin, std::move(changes.front()), type);
}

namespace {

/// An intent whose call surely had no effect.
constexpr std::string_view not_made = "not made";

core::Refusal in_doubt(sources::Position position) {
  return {
      position, "in_doubt",
      "its call was made and the answer lost, so that it may have been created: look on the server, then discard it "
      "or try it again"};
}

/// The server does not know the question.
bool cannot_be_asked(const Failure& failure) {
  return failure.status == 404 || failure.status == 405 || failure.status == 501;
}

bool takes_runs_away(const Management& management) {
  const auto* runs = std::get_if<RunsChange>(&management);
  return runs && (runs->act == RunsAct::trash || runs->act == RunsAct::remove);
}

/// Whether an earlier try may have had an effect; before the call, it is written down that this one may.
asio::awaitable<Result<bool>> note_try(Intents intents, sources::Position change) {
  auto begun = co_await outcome(intents.read(change));
  if (!begun) co_return std::unexpected(std::move(begun.error()));
  if (*begun && **begun != not_made) co_return true;
  std::string text = "made";
  auto intended = co_await outcome(intents.write(change, change, std::move(text)));
  if (!intended) co_return std::unexpected(std::move(intended.error()));
  co_return false;
}

}  // namespace

/// A version has no name of its own that would tell whether it was made, but a number: where the last one has the
/// number that it had before, and the server had its time, it was not, and is made now. Else it may be ours or
/// somebody's: a person must look. So where there was none before: a server that cannot search for them says so, too.
asio::awaitable<CallOutcome> Engine::make_version(FeedPtr feed, std::shared_ptr<server::Server> server, Intents intents,
                                                  server::MayBegin may_begin, sources::Position position,
                                                  ModelVersionCreate create) {
  CallOutcome done{.count = 1, .last = position, .answer = {}, .refused = {}};
  const auto begun = co_await outcome(intents.read(position));
  if (!begun) {
    done.answer = std::unexpected(source_failure(begun.error()));
    co_return done;
  }
  const bool again = *begun && **begun != not_made;
  ContainerName model{create.project, create.model, ContainerKind::model};
  const auto last = co_await outcome(server->last_version(std::move(model)));
  if (!last && !cannot_be_asked(last.error())) {
    done.answer = std::unexpected(last.error());
    co_return done;
  }
  const auto since = feed->unclear_since->try_emplace(position, clock_.now()).first->second;
  const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now() - since);
  // The server's search may know a new one a little later, and be there a little later.
  const auto patience = std::max<std::chrono::milliseconds>(options_.doubt_patience, search_lag);
  std::string text = last ? fmt::format("made after {}", *last) : "made";
  const bool may_be_told = !last && waited < patience;
  const bool is_told = again && last && *last > 0 && **begun == text;
  if (again && !is_told && !may_be_told) {
    feed->unclear_since->erase(position);
    done.refused.push_back(in_doubt(position));
    co_return done;
  }
  if (again && waited < patience) {
    done.answer = std::unexpected(still_in_doubt(patience - waited));
    co_return done;
  }
  const auto noted = co_await outcome(intents.write(position, position, std::move(text)));
  if (!noted) {
    done.answer = std::unexpected(source_failure(noted.error()));
    co_return done;
  }
  ModelVersionCreate asked_for = create;
  auto answer = co_await outcome(server->manage(std::move(asked_for), std::move(may_begin)));
  feed->unclear_since->erase(position);
  if (answer) {
    if (!feed->replayed) version_was_made(create, position, answer->short_id);
    co_return done;
  }
  if (!answer.error().in_doubt) {
    // Should this not be written, it is looked for.
    std::string none(not_made);
    co_await outcome(intents.write(position, position, std::move(none)));
    done.answer = std::unexpected(waiting_for_container(std::move(answer.error())));
    co_return done;
  }
  feed->unclear_since->emplace(position, clock_.now());
  done.answer = std::unexpected(still_in_doubt(std::chrono::seconds(1)));
  co_return done;
}

/// What is meant by runs that are not found: at first that the search does not know them yet.
server::Missing Engine::missing_runs(const Feed& feed, const RunsChange& change, sources::Position position) const {
  if (feed.replayed) position = 0;  // accepted long ago
  return search_lag_.may_lack(change.project, change.runs, position, clock_.now()) ? server::Missing::not_yet
                                                                                   : server::Missing::refused;
}

/// Which runs a change takes from the server, or brings back; of the trash, those that are known to be in it.
std::optional<RunsChange> Engine::removal_of(const Management& management) const {
  const auto* restored = std::get_if<RunsChange>(&management);
  if (takes_runs_away(management) || (restored && restored->act == RunsAct::restore)) return *restored;
  const auto* trash = std::get_if<TrashEmpty>(&management);
  if (!trash) return std::nullopt;
  RunsChange all{.project = trash->project, .act = RunsAct::remove};
  for (auto it = removed_.lower_bound({trash->project, ""}); it != removed_.end() && it->first.first == trash->project;
       ++it)
    if (!it->second.for_good) all.runs.push_back(it->first.second);
  return all;
}

/// As the ledger does; many at a time, as all have to be looked at for that.
void Engine::forget_old_removals() {
  constexpr std::size_t kept = Ledger::removed_kept;
  if (removed_.size() < 2 * kept) return;
  std::vector<WallTime> times;
  for (const auto& [run, removed] : removed_) times.push_back(removed.at);
  const auto oldest_kept = times.end() - kept;
  std::ranges::nth_element(times, oldest_kept);
  std::erase_if(removed_, [from = *oldest_kept](const auto& each) { return each.second.at < from; });
}

/// Of runs that are gone, or are back: people ask for them. Should it not get on record, they are told less.
asio::awaitable<void> Engine::note_removal(RunsChange change, sources::Position position) {
  std::vector<RemovedRun> gone;
  for (const auto& run : change.runs) {
    if (change.act == RunsAct::restore) {
      removed_.erase({change.project, run});
    } else {
      gone.push_back({change.project, run, position, clock_.wall(), change.act == RunsAct::remove});
      removed_[{change.project, run}] = gone.back();
    }
  }
  forget_old_removals();
  auto note = [change, gone](Ledger& ledger) {
    return gone.empty() ? ledger.note_restored(change.project, change.runs) : ledger.note_removed(gone);
  };
  const auto noted = co_await with_ledger(std::move(note));
  if (!noted) spdlog::warn("removed runs not recorded change={} error={:?}", position, noted.error().message);
}

asio::awaitable<CallOutcome> Engine::manage(FeedPtr feed, std::shared_ptr<server::Server> server, Intents intents,
                                            server::MayBegin may_begin, sources::QueuedChange change,
                                            WorkspaceType type) {
  CallOutcome done{.count = 1, .last = change.position, .answer = {}, .refused = {}};
  auto management = read_management(change.payload, type);
  if (!management) {
    done.refused.push_back({change.position, management.error().code, management.error().message});
    co_return done;
  }
  if (std::holds_alternative<ModelVersionCreate>(*management))
    co_return co_await make_version(feed, std::move(server), std::move(intents), std::move(may_begin), change.position,
                                    std::get<ModelVersionCreate>(*management));
  const bool noted = takes_runs_away(*management);
  Result<bool> again = false;
  if (noted) again = co_await note_try(intents, change.position);
  if (!again) {
    done.answer = std::unexpected(source_failure(std::move(again.error())));
    co_return done;
  }
  const auto* runs = std::get_if<RunsChange>(&*management);
  const bool may_be_gone = *again || (runs && runs->discard_pending);
  auto missing = may_be_gone ? server::Missing::fine : server::Missing::refused;
  if (runs && !may_be_gone) missing = missing_runs(*feed, *runs, change.position);
  auto removal = removal_of(*management);
  auto answer = co_await outcome(server->manage(std::move(*management), std::move(may_begin), missing));
  if (answer && removal) co_await note_removal(std::move(*removal), feed->replayed ? 0 : change.position);
  if (answer) co_return done;
  if (noted && !*again && !answer.error().in_doubt) {
    // Should this not be written, a person is asked to look, or what is gone counts as removed.
    std::string text(not_made);
    co_await outcome(intents.write(change.position, change.position, std::move(text)));
  }
  if (answer.error().code == server::runs_not_found) {
    answer.error().kind = Failure::Kind::source;
    answer.error().retry_after = 1s;
  }
  done.answer = std::unexpected(std::move(answer.error()));
  co_return done;
}

}  // namespace neptune::engine
